#!/bin/sh
# with_image.sh COMMAND...: builds the container image, then runs COMMAND with ENGINE and IMAGE in
# its environment.
#
# Where neither docker nor podman answers, root installs podman. Where Python's image cannot be
# pulled, Debian's own Python stands in for it. ENGINE, IMAGE, BASE and BUILD_FLAGS may be set.
set -eu
cd "$(dirname "$0")/../.."

IMAGE=${IMAGE:-bids_fx:local}
STAND_IN=localhost/bids_fx-base:bookworm
CERTIFICATES=/etc/ssl/certs/ca-certificates.crt
begin=$(date +%s)

say() {
    echo "image: $1 (after $(($(date +%s) - begin)) s)"
}

need() { # PROGRAM PACKAGES...: install PACKAGES if there is no PROGRAM
    ! command -v "$1" >/dev/null || return 0
    shift
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        echo "image: $* is needed: install it (Debian: apt install $*)" >&2
        exit 1
    fi
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

has_image() {
    "$ENGINE" image inspect "$1" >/dev/null 2>&1
}

make_stand_in() {
    need mmdebstrap mmdebstrap
    mmdebstrap --quiet --variant=minbase \
        --include=ca-certificates,python3,python3-venv,python3-pip,python-is-python3 \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' bookworm - |
        "$ENGINE" import --change 'ENV LANG=C.UTF-8' --change 'CMD ["python3"]' - "$STAND_IN"
}

if [ -z "${ENGINE:-}" ]; then
    need podman podman runc ca-certificates
    ENGINE=podman
fi
case "$("$ENGINE" --version)" in
*podman*) is_podman=yes ;;
*) is_podman= ;;
esac
say "the engine is $ENGINE"

base=${BASE:-$(sed -n 's/^ARG BASE=//p' Dockerfile)}
if ! has_image "$base" && ! timeout 300 "$ENGINE" pull --quiet "$base"; then
    echo "image: $base cannot be pulled; Debian's Python stands in for it."
    base=$STAND_IN
    has_image "$base" || make_stand_in
fi
say "the base is $base"

if [ -n "$is_podman" ]; then
    try() {
        "$ENGINE" run --rm --network none "$base" true
    }
    if ! try 2>/dev/null; then
        need runc runc
        export CONTAINERS_CONF="$PWD/tests/image/containers.conf"
        try
    fi
    # The network and the certificates of this machine are right for building as well.
    BUILD_FLAGS="--network host ${BUILD_FLAGS:-}"
    [ ! -s "$CERTIFICATES" ] || BUILD_FLAGS="-v $CERTIFICATES:$CERTIFICATES:ro $BUILD_FLAGS"
fi
make image ENGINE="$ENGINE" IMAGE="$IMAGE" BUILD_FLAGS="--build-arg BASE=$base ${BUILD_FLAGS:-}"
say "$IMAGE is built"

# The tests have a HOME of their own; engines keep images and settings in the user's.
export ENGINE IMAGE ENGINE_HOME="$HOME"
"$@"
say "the tests are done"
