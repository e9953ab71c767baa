#!/bin/bash
# Apptainer as with_runtime.sh found it. Root runs images as `nobody`, for on a cluster nobody is
# root; it builds them itself, without the image's test, which takes all capabilities to run as root.
set -eu

# Its programs and settings over those of this system, for this process and its children alone.
if [ "$KIND" = sid ]; then
    if [ -z "${OWN_MOUNTS:-}" ]; then
        OWN_MOUNTS=yes exec unshare --mount --propagation private "$0" "$@"
    fi
    mkdir -p /etc/apptainer /var/lib/apptainer
    for part in etc/apptainer var/lib/apptainer usr; do
        mount --bind "$FOLDER/sid/$part" "/$part"
    done
    unset OWN_MOUNTS
fi

user=()
if [ "$(id -u)" = 0 ]; then
    if [ "${1:-}" = build ]; then
        set -- build --notest "${@:2}"
    else
        user=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)
    fi
fi
exec "${user[@]}" "$PROGRAM" "$@"
