#!/bin/sh
# with_runtime.sh COMMAND...: makes Apptainer's image of IMAGE, which ENGINE has, and runs COMMAND.
# In its environment APPTAINER is a program that takes Apptainer's command line, RUNTIME says which
# it is, and FOLDER holds the image (bids_fx.sif) and is removed at the end.
#
#   installed      apptainer or singularity, as PATH has it
#   sid            Apptainer of Debian's unstable release in a folder of its own (root, mmdebstrap)
#   charliecloud   ch-run behind charliecloud.py: it too runs an image as the user that calls it,
#                  with a read-only root
#
# The first that can be had is taken, or the one that KIND names.
set -eu

cd "$(dirname "$0")/../.."
here=$PWD/tests/apptainer
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
chmod 755 "$FOLDER"

installed() { command -v apptainer || command -v singularity; }

# Its index may be past its date where a mirror is slow; signatures are checked all the same.
set_up_sid() {
    test "$(id -u)" = 0 && command -v mmdebstrap || return
    mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
        --include=apptainer,ca-certificates,e2fsprogs,fuse-overlayfs,squashfuse \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        sid "$FOLDER/sid" || return
    # Where this build of it mounts images.
    mkdir -p "$FOLDER/sid/usr/lib/var/lib/apptainer/mnt/session"
}

find_kind() {
    if installed; then KIND=installed
    elif set_up_sid; then KIND=sid
    else KIND=charliecloud
    fi
} >&2

case ${KIND:-} in
'') find_kind ;;
sid) set_up_sid >&2 ;;
esac

case $KIND in
installed)
    PROGRAM=$(installed)
    RUNTIME=installed
    ;;
sid)
    PROGRAM=/usr/bin/apptainer
    RUNTIME="Debian's unstable release"
    ;;
charliecloud)
    PROGRAM=$here/charliecloud.py
    RUNTIME='stand-in for Apptainer'
    command -v ch-run >/dev/null || {
        echo 'Neither apptainer nor singularity nor ch-run is here: install one' >&2
        echo '(Debian: apt install mmdebstrap, or charliecloud-runtime).' >&2
        exit 1
    }
    ;;
*)
    echo "KIND=$KIND: give installed, sid or charliecloud." >&2
    exit 2
    ;;
esac
APPTAINER=$here/apptainer.sh
APPTAINER_CACHEDIR=$FOLDER/cache
export FOLDER KIND PROGRAM APPTAINER APPTAINER_CACHEDIR
RUNTIME="$("$APPTAINER" --version) ($RUNTIME)"
export RUNTIME
echo "apptainer: the image is run by $RUNTIME"
make --old-file=image sif ENGINE="$ENGINE" IMAGE="$IMAGE" SIF="$FOLDER/bids_fx.sif"
"$@"
