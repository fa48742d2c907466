# The long form of tests/docker, sourced by it: the other examples, every way to reach larder, and what a build does without it.
# shellcheck shell=bash disable=SC2154 # Variables of tests/docker.
. tests/docker_support/networks.sh

step "example plain, on two machines" example_on_two_machines plain

# The second level stands behind the first: the disk has what larder gave, and a build after it asks larder for nothing.
cache_mounts() {
    example_on_two_machines cache-mounts
    local before after arguments
    arguments=(-f deploy/examples/rust/cache-mounts.Dockerfile --build-arg "SCCACHE_WEBDAV_ENDPOINT=$url" "${with_token[@]}")
    on two rmi --all --force >/dev/null
    before=$(metric "$url" larder_hits_total)
    logged "$scratch/mounts-3.log" build two shelf-cache-mounts deploy/examples/rust "${arguments[@]}"
    after=$(metric "$url" larder_hits_total)
    [ "$after" -le $((before + 3)) ] || fail "with everything in its cache mount a build read $((after - before)) objects of larder"
    [ "$(from_cache "$scratch/mounts-3.log")" -gt 20 ] || fail "the cache mount gave nothing"
}
step "example cache-mounts, on two machines and from its mount" cache_mounts

cpp() {
    local arguments=(--build-arg "LARDER_URL=$url" "${with_token[@]}") before after
    logged "$scratch/cpp-1.log" build one tally deploy/examples/cpp "${arguments[@]}"
    before=$(metric "$url" larder_hits_total)
    logged "$scratch/cpp-2.log" build two tally deploy/examples/cpp "${arguments[@]}"
    after=$(metric "$url" larder_hits_total)
    [ $((after - before)) -ge 4 ] || { tail -n 20 "$scratch/cpp-2.log" >&2; fail "ccache found $((after - before)) objects"; }
    in_image two tally -- /usr | head -n 1 | grep -q language || fail "tally does not do what it is for"
}
step "example C++, on two machines" cpp

# Whatever is wrong with the cache, the build goes on.
away() {
    local endpoint attempt=0 log
    for endpoint in "http://127.0.0.1:$(free_port)" http://192.0.2.200:4227 http://cache.invalid:4227 "$url/no-such%2Fpath"; do
        attempt=$((attempt + 1))
        log=$scratch/away-$attempt.log
        logged "$log" build one away deploy/examples/rust -f tests/docker_support/reach.Dockerfile "${with_token[@]}" \
            --build-arg "ATTEMPT=away-$attempt" --build-arg "SCCACHE_WEBDAV_ENDPOINT=$endpoint"
        grep -q 'with-cache: going on without' "$log" || fail "$endpoint: nobody was told that the cache is away"
    done
    # A token that was revoked.
    LARDER_WRONG_SECRET=larder_0000000000000000000000000000
    export LARDER_WRONG_SECRET
    logged "$scratch/away-token.log" build one away deploy/examples/rust -f tests/docker_support/reach.Dockerfile \
        --secret id=larder_token,env=LARDER_WRONG_SECRET --build-arg ATTEMPT=token \
        --build-arg "SCCACHE_WEBDAV_ENDPOINT=$url"
    grep -q 'with-cache: going on without' "$scratch/away-token.log" || fail "a wrong token was not told"
    logged "$scratch/away-cpp.log" build one tally deploy/examples/cpp --build-arg "LARDER_URL=http://127.0.0.1:$(free_port)"
}
step "builds without their cache" away

reaches() { # reaches NAME ENDPOINT OPTION...: a build in a network of its own gets its crate from larder
    local name=$1 endpoint=$2 attempt log
    shift 2
    for attempt in first second; do
        log=$scratch/reach-$name-$attempt.log
        logged "$log" in_build_network build one reach deploy/examples/rust -f tests/docker_support/reach.Dockerfile \
            "${with_token[@]}" --build-arg "ATTEMPT=$name-$attempt" --build-arg "SCCACHE_WEBDAV_ENDPOINT=$endpoint" "$@"
    done
    [ "$(from_cache "$log")" -ge 1 ] || { tail -n 20 "$log" >&2; fail "$name: $endpoint is not reached"; }
}
reach() {
    # The layers before the last, which need the internet.
    logged "$scratch/reach.log" build one reach deploy/examples/rust -f tests/docker_support/reach.Dockerfile \
        "${with_token[@]}" --build-arg ATTEMPT=host --build-arg "SCCACHE_WEBDAV_ENDPOINT=$url"
    make_networks
    local inside
    inside=$(free_port)
    ip netns exec larder-test-compose env -i PATH="$PATH" LARDER_TOKEN="$token" "$(larder_program)" serve \
        --listen "0.0.0.0:$inside" --data-dir "$scratch/compose" >"$scratch/compose.log" 2>&1 &
    children+=($!)
    until_answers "http://$compose_address:$inside/-/ready"
    reaches host-gateway "http://host.docker.internal:$port" --add-host "host.docker.internal:$gateway"
    reaches compose "http://larder:$inside" --add-host "larder:$compose_address"
    reaches lan "http://$lan:$port"
    # The host's loopback is not the build's: that this needs --network host is true.
    logged "$scratch/reach-loopback.log" in_build_network build one reach deploy/examples/rust \
        -f tests/docker_support/reach.Dockerfile "${with_token[@]}" --build-arg ATTEMPT=loopback \
        --build-arg "SCCACHE_WEBDAV_ENDPOINT=$url"
    grep -q 'with-cache: going on without' "$scratch/reach-loopback.log" || fail "the networks are not apart"
}
step "host gateway, compose network, LAN" reach
