# Runs what was built: sourced by tests/docker. Owns how an image is started and looked at.
# shellcheck shell=bash

in_image() { # in_image MACHINE TAG [NAME=VALUE...] -- ARGUMENT...: the image's program, as its user and with its variables
    local machine=$1 tag=$2 container program
    shift 2
    container=$(on "$machine" from --pull=never "$tag")
    while [ "$1" != -- ]; do
        on "$machine" config --env "$1" "$container"
        shift
    done
    shift
    program=("$(entrypoint "$machine" "$tag")")
    # For a program of another processor.
    if [ -n "${emulator:-}" ]; then
        install -m 755 "$emulator" "$(on "$machine" mount "$container")/emulator"
        program=(/emulator "${program[@]}")
    fi
    on "$machine" run --isolation chroot --network host "$container" -- "${program[@]}" "$@"
}

image_config() { # image_config MACHINE TAG EXPRESSION: of the image's configuration, as Python's dictionary `c`
    on "$1" inspect --type image "$2" |
        python3 -c 'import json, sys; c = json.load(sys.stdin)["Docker"]["config"]; print(eval(sys.argv[1]))' "$3"
}

entrypoint() { image_config "$1" "$2" 'c["Entrypoint"][0]'; }

# Ends a container's program by what it was started with, which contains a port of its own. What is in `served` ends with the
# script, too.
end_container() {
    local tries=0
    pgrep -f -- "$1" | xargs -r kill 2>/dev/null || true
    while pgrep -f -- "$1" >/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail "a container does not end: $1"
        sleep 0.1
    done
}

with_memory() { # with_memory BYTES COMMAND...: in a control group that has no more, as a container that was started with --memory
    local group=/sys/fs/cgroup/larder-test-$$ limit=memory.max status=0
    if [ -d /sys/fs/cgroup/memory ]; then
        group=/sys/fs/cgroup/memory/larder-test-$$ limit=memory.limit_in_bytes
    else
        echo +memory >/sys/fs/cgroup/cgroup.subtree_control
    fi
    mkdir -p "$group"
    echo "$1" >"$group/$limit"
    (
        echo "$BASHPID" >"$group/cgroup.procs"
        "${@:2}"
    ) || status=$?
    rmdir "$group"
    return $status
}

uses_shelf() { # uses_shelf MACHINE TAG: starts the examples' service and keeps a link in it
    local machine=$1 tag=$2 shelf
    shelf=$(free_port)
    served+=("--test-$shelf")
    # The name of the variable is part of no command line; the program's own argument is what it is found by.
    in_image "$machine" "$tag" SHELF_LISTEN="127.0.0.1:$shelf" -- "--test-$shelf" >/dev/null 2>&1 &
    until_answers "http://127.0.0.1:$shelf/"
    curl -fsS -X PUT -H 'content-type: application/json' -d '{"to": "https://example.org/"}' "http://127.0.0.1:$shelf/a"
    [ "$(curl -fsS -o /dev/null -w '%{redirect_url}' "http://127.0.0.1:$shelf/a")" = https://example.org/ ] ||
        fail "$tag does not do what it is for"
    end_container "--test-$shelf"
}

is_lean() { # is_lean MACHINE TAG MEGABYTES: of every image that is not for building, no root, no shell, not more than this
    local machine=$1 tag=$2 most=$3 files size
    [ "$(image_config "$machine" "$tag" 'c["User"]')" = 65532:65532 ] || fail "$tag runs as root"
    files=$(image_directory "$machine" "$tag")
    [ ! -e "$files/bin/sh" ] && [ ! -e "$files/usr/bin/sh" ] || fail "$tag has a shell"
    size=$(du -sm "$files" | cut -f 1)
    say "$tag: $size MB"
    [ "$size" -le "$most" ] || fail "$tag has $size MB, more than $most"
}

# Neither the images' configuration and history, nor what is in any layer, the last ones and those for building.
holds_no_secret() { # holds_no_secret MACHINE
    local storage=$machines/$1/storage found
    [ -d "$storage/$driver-images" ] || fail "where does $1 keep its images?"
    # Where the name of its file is found, the token would be.
    grep -rqsF /run/secrets/larder_token "$storage/$driver" || fail "where does $1 keep its layers?"
    found=$(grep -rlsF "$token" "$storage/$driver-images" "$storage/$driver" || true)
    [ -z "$found" ] || fail "the token is in $1's images: $found"
}

looks_right() { # looks_right MACHINE TAG MEGABYTES: of larder's image, what its Dockerfile promises
    local machine=$1 tag=$2 files
    is_lean "$@"
    [ "$(image_config "$machine" "$tag" '"/var/lib/larder" in c["Volumes"]')" = True ] || fail "$tag has no volume"
    [ "$(image_config "$machine" "$tag" 'c["Healthcheck"]["Test"]')" = "['CMD', '/usr/local/bin/larder', 'health']" ] ||
        fail "$tag has no health check, or another: $(image_config "$machine" "$tag" 'c.get("Healthcheck")')"
    files=$(image_directory "$machine" "$tag")
    [ "$(stat -c '%u:%g' "$files/var/lib/larder")" = '65532:65532' ] ||
        fail "$tag: its volume begins as $(stat -c '%u:%g' "$files/var/lib/larder")'s"
    [ "$(stat -c '%u:%g %a' "$files/usr/local/bin/larder")" = '0:0 755' ] || fail "$tag: its user can change its program"
    say "$tag: its program $(du -sm "$files/usr/local/bin/larder" | cut -f 1) MB"
}
