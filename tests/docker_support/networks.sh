# Networks as Docker makes them, of network namespaces and a bridge: sourced by the long form of tests/docker. A build in the
# namespace `build` comes from another address than the host's, and has no way to the host's loopback.
# shellcheck shell=bash

networks=(larder-test-build larder-test-compose)
bridge=larder-test0
# Of the ranges for documentation and benchmarks (RFC 5737, RFC 2544): no network that somebody has.
gateway=198.18.7.1
lan=192.0.2.7

make_networks() {
    command -v ip >/dev/null || install_packages iproute2
    remove_networks
    ip link add "$bridge" type bridge
    ip addr add "$gateway/24" dev "$bridge"
    # The host's address in the LAN, from the containers' side: reached through the gateway.
    ip addr add "$lan/32" dev "$bridge"
    ip link set "$bridge" up
    local number=2 network
    for network in "${networks[@]}"; do
        ip netns add "$network"
        ip link add "larder-t$number" type veth peer name eth0 netns "$network"
        ip link set "larder-t$number" master "$bridge" up
        ip -n "$network" link set lo up
        ip -n "$network" addr add "198.18.7.$number/24" dev eth0
        ip -n "$network" link set eth0 up
        ip -n "$network" route add default via "$gateway"
        number=$((number + 1))
    done
}

remove_networks() {
    local network
    for network in "${networks[@]}"; do
        ip netns del "$network" 2>/dev/null || true
    done
    ip link del "$bridge" 2>/dev/null || true
}

compose_address=198.18.7.3
in_build_network() { # in_build_network COMMAND...: a function of machine.sh, in the network of a build
    export -f on build one_crate
    export machines driver
    ip netns exec larder-test-build bash -c '"$@"' in-network "$@"
}
