# shellcheck shell=bash
# Installing packages of the system: sourced by tests/install and benches/install, which define `fail`.

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "needs root to run '$*': install sudo, start this as root, or install the packages yourself"
    fi
}

# What `need` found missing.
packages=()
need() { # need COMMAND PACKAGE...
    command -v "$1" >/dev/null || packages+=("${@:2}")
}

# Runs a command that installs packages; the services in them, as Prometheus' and Redis', are not started, now or at the
# next boot.
without_services() {
    local policy=/usr/sbin/policy-rc.d made= status=0 service
    if [ ! -e $policy ]; then
        made=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
    fi
    "$@" || status=$?
    [ -z "$made" ] || as_root rm -f $policy
    if [ -d /run/systemd/system ]; then
        # Their packages' names begin with the service's.
        for service in prometheus redis-server nginx; do
            [[ " ${packages[*]}" != *" $service"* ]] || as_root systemctl disable --quiet "$service.service" || true
        done
    fi
    return $status
}

# Installs what was found missing, with Debian's package manager.
install_packages() {
    [ ${#packages[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        fail "these commands' packages are missing and there is no apt-get to install them: ${packages[*]}"
    say "installing ${packages[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
    without_services as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${packages[@]}"
}
