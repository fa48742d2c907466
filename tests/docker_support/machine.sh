# Machines that build images, each a directory with storage of its own: sourced by tests/docker and deploy/measure.
# Owns how buildah is called. Knows no Dockerfile.
# shellcheck shell=bash

# Where everything is kept that is not to be made anew each time: base images, and machines while they are used.
machines=${LARDER_DOCKER_DIR:-$PWD/target/docker}
mkdir -p "$machines"
machines=$(cd "$machines" && pwd)

say() { printf '%s: %s\n' "$(basename "$0")" "$*"; }
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "needs root, for debootstrap and for file systems of other users: sudo -E $0 $*"

install_packages() { # install_packages PACKAGE...: of Debian
    say "installing $*"
    DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >/dev/null
}
PATH=$PATH:/usr/sbin:/sbin
missing=()
for program in buildah debootstrap curl python3; do
    command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"

# Layers on top of each other where the kernel can, else a full copy of each.
storage_driver() {
    local try
    try=$(mktemp -d "$machines/try.XXXX")
    mkdir "$try"/{lower,upper,work,merged}
    if mount -t overlay overlay -o "lowerdir=$try/lower,upperdir=$try/upper,workdir=$try/work" "$try/merged" 2>/dev/null; then
        umount "$try/merged"
        echo overlay
    else
        echo vfs
    fi
    rm -rf "$try"
}
driver=${LARDER_DOCKER_DRIVER:-$(storage_driver)}

on() { # on MACHINE SUBCOMMAND...: buildah there. Base images are seen by all machines, and are in none's storage.
    local machine=$1
    shift
    mkdir -p "$machines/$machine/tmp"
    local bases=()
    [ "$machine" = bases ] || bases=(--storage-opt "$driver.imagestore=$machines/bases/storage")
    # Cache mounts are kept below TMPDIR.
    TMPDIR=$machines/$machine/tmp buildah --root "$machines/$machine/storage" --runroot "$machines/$machine/run" \
        --storage-driver "$driver" "${bases[@]}" "$@"
}

build() { # build MACHINE TAG DIRECTORY OPTION...: an image as docker would build it, with its layers kept for the next time
    local machine=$1 tag=$2 directory=$3
    shift 3
    on "$machine" bud --isolation chroot --network host --layers --pull=never --format docker -t "$tag" "$@" "$directory"
}

forget() { # forget MACHINE: all of its images, layers and cache mounts, as docker system prune --all --volumes does
    [ -d "$machines/$1" ] || return 0
    if [ -d "$machines/$1/storage" ]; then
        on "$1" rm --all >/dev/null 2>&1 || true
        # A mount that is left is a mount that would be emptied below.
        grep -o " $machines/$1/[^ ]*" /proc/mounts | sort -r | xargs -r umount || true
    fi
    rm -rf "${machines:?}/$1"
}

image_directory() { # image_directory MACHINE TAG: mounts the image's files, prints where
    local container
    container=$(on "$1" from --pull=never "$2")
    on "$1" mount "$container"
}
