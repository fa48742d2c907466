# The image for linux/arm64, made on another processor: a step of tests/docker's long form. Compiled hastily, by the cross
# compiler that the Dockerfile installs, and run by qemu.
# shellcheck shell=bash disable=SC2154 # Variables of tests/docker.

arm64() {
    [ "$(dpkg --print-architecture)" = amd64 ] || fail "arm64: is for a machine with an amd64 processor"
    command -v qemu-aarch64-static >/dev/null || install_packages qemu-user-static
    local inside files body=$scratch/arm64.body
    forget arm
    if [ "${LARDER_DOCKER_BASES:-make}" = pull ]; then
        on arm pull --arch arm64 "$distroless" >/dev/null
    else
        make_distroless arm arm64
    fi
    logged "$scratch/arm64.log" build arm larder . --platform linux/arm64 --build-arg BUILDPLATFORM=linux/amd64 \
        "${hasty[@]}" --build-arg "SCCACHE_WEBDAV_ENDPOINT=$url" "${with_token[@]}"
    looks_right arm larder "$most_hasty"
    [ "$(on arm inspect --type image --format '{{.Docker.Architecture}}' larder)" = arm64 ] ||
        fail "the image for arm64 does not say that it is"
    files=$(image_directory arm larder)
    python3 - "$files/usr/local/bin/larder" <<'PYTHON' || fail "the image for arm64 has a program for another processor"
import struct, sys
with open(sys.argv[1], "rb") as program:
    machine = struct.unpack_from("<H", program.read(20), 18)[0]
sys.exit(machine != 183)  # EM_AARCH64
PYTHON
    inside=$(free_port)
    served+=("serve --listen 127.0.0.1:$inside")
    emulator=$(command -v qemu-aarch64-static)
    in_image arm larder LARDER_TOKEN="$token" -- serve --listen "127.0.0.1:$inside" >"$scratch/arm64-serves.log" 2>&1 &
    until_answers "http://127.0.0.1:$inside/-/ready" ||
        { cat "$scratch/arm64-serves.log" >&2; fail "the image for arm64 does not serve"; }
    in_image arm larder LARDER_TOKEN="$token" LARDER_LISTEN="127.0.0.1:$inside" -- health | grep -q ': ok$' ||
        fail "larder health says no where larder for arm64 is healthy"
    head -c 3000000 /dev/urandom >"$body"
    curl -fsS -H "Authorization: Bearer $token" -T "$body" "http://127.0.0.1:$inside/a/b"
    curl -fsS -H "Authorization: Bearer $token" "http://127.0.0.1:$inside/a/b" | cmp - "$body" ||
        fail "larder for arm64 gives back another body"
    end_container "serve --listen 127.0.0.1:$inside"
    emulator=
    forget arm
}
