# The steps of tests/docker, which sources it: each builds images and fails if they are not what they should be.
# Owns what is expected. `url` is a larder outside of the containers, `token` its token, machines `one` and `two` share nothing else.
# shellcheck shell=bash disable=SC2154,SC2034 # Variables of tests/docker.

logged() { # logged LOG COMMAND...: the log is shown when the build fails
    local log=$1
    shift
    "$@" >"$log" 2>&1 || { tail -n 40 "$log" >&2; fail "a build failed: $*"; }
}

# One machine fills the cache, another compiles nothing that the first has.
on_two_machines() { # on_two_machines NAME ENDPOINT
    local name=$1 endpoint=$2 hits misses
    local arguments=(-f "deploy/examples/rust/$name.Dockerfile" --build-arg "SCCACHE_WEBDAV_ENDPOINT=$endpoint" "${with_token[@]}")
    logged "$scratch/$name-1.log" build one "shelf-$name" deploy/examples/rust "${arguments[@]}"
    logged "$scratch/$name-2.log" build two "shelf-$name" deploy/examples/rust "${arguments[@]}"
    hits=$(from_cache "$scratch/$name-2.log") misses=$(compiled_here "$scratch/$name-2.log")
    [ "$hits" -gt 40 ] && [ "$misses" -le 2 ] || fail "$name: the second machine had $hits hits and $misses misses"
    say "$name: $hits crates from larder on a second machine, $misses compiled there"
    holds_no_secret one
    holds_no_secret two
    is_lean two "shelf-$name" "$most_small"
    uses_shelf two "shelf-$name"
}

# Not optimised, in a third of the time.
hasty=(--build-arg CARGO_PROFILE_RELEASE_OPT_LEVEL=0 --build-arg CARGO_PROFILE_RELEASE_LTO=off)
# How many MB an image may have: distroless has some 25 of them, and whoever pulls an image waits for each. A program that is
# not optimised is three times as large.
most_small=40 most_released=70 most_hasty=110

# The root Dockerfile, with larder as the cache of its own build.
root_image() {
    local how=() most=$most_released
    [ "$form" = long ] || { how=("${hasty[@]}"); most=$most_hasty; }
    logged "$scratch/root.log" build one larder . "${how[@]}" \
        --build-arg "SCCACHE_WEBDAV_ENDPOINT=$url" "${with_token[@]}"
    looks_right one larder "$most"
    holds_no_secret one
}

# A container's memory is what it fits itself to.
image_fits() {
    with_memory 536870912 in_image one larder LARDER_TOKEN="$token" -- check >"$scratch/fits.log"
    grep -q '^memory_budget = "128MiB"' "$scratch/fits.log" ||
        { grep '^memory' "$scratch/fits.log" >&2; fail "in 512 MB the image plans with more"; }
}

# The image as a cache: it starts only when somebody said who may come, is healthy, and serves a build.
image_serves() {
    local inside
    inside=$(free_port)
    if in_image one larder -- serve --listen "0.0.0.0:$inside" >"$scratch/open.log" 2>&1; then
        fail "the image serves everyone without being told to"
    fi
    grep -q 'without any token' "$scratch/open.log" ||
        { cat "$scratch/open.log" >&2; fail "the image did not start, and not for want of a token"; }
    served+=("serve --listen 0.0.0.0:$inside")
    in_image one larder LARDER_TOKEN="$token" -- serve --listen "0.0.0.0:$inside" >"$scratch/image.log" 2>&1 &
    until_answers "http://127.0.0.1:$inside/-/ready" ||
        { cat "$scratch/image.log" >&2; fail "the image does not serve"; }
    # As Docker asks: by the image's own variables.
    in_image one larder LARDER_TOKEN="$token" LARDER_LISTEN="0.0.0.0:$inside" -- health | grep -q ': ok$' ||
        fail "larder health says no where larder is healthy"
    on_two_machines cargo-chef "http://127.0.0.1:$inside"
    end_container "serve --listen 0.0.0.0:$inside"
    ! in_image one larder LARDER_TOKEN="$token" LARDER_LISTEN="0.0.0.0:$inside" -- health >/dev/null 2>&1 ||
        fail "larder health says yes where nobody listens"
}

plain() { on_two_machines plain "$url"; }

# The second level stands behind the first: the disk has what larder gave, and a build after it asks larder for nothing.
cache_mounts() {
    on_two_machines cache-mounts "$url"
    local before after
    on two rmi --all --force >/dev/null
    before=$(metric "$url" larder_hits_total)
    # What the second machine has read: else nothing is counted here.
    [ "$before" -gt 40 ] || fail "larder counts $before hits after a build of $(from_cache "$scratch/cache-mounts-2.log")"
    logged "$scratch/mounts-3.log" build two shelf-cache-mounts deploy/examples/rust \
        -f deploy/examples/rust/cache-mounts.Dockerfile --build-arg "SCCACHE_WEBDAV_ENDPOINT=$url" "${with_token[@]}"
    after=$(metric "$url" larder_hits_total)
    [ "$after" -le $((before + 3)) ] ||
        fail "with everything in its cache mount a build read $((after - before)) objects of larder"
    [ "$(from_cache "$scratch/mounts-3.log")" -gt 40 ] || fail "the cache mount gave nothing"
}

cpp() {
    local arguments=(--build-arg "LARDER_URL=$url" "${with_token[@]}") before after
    logged "$scratch/cpp-1.log" build one tally deploy/examples/cpp "${arguments[@]}"
    before=$(metric "$url" larder_hits_total)
    logged "$scratch/cpp-2.log" build two tally deploy/examples/cpp "${arguments[@]}"
    after=$(metric "$url" larder_hits_total)
    # Each of the four files is a manifest and a result.
    [ $((after - before)) -ge 4 ] ||
        { tail -n 20 "$scratch/cpp-2.log" >&2; fail "ccache found $((after - before)) objects"; }
    holds_no_secret two
    is_lean two tally "$most_small"
    in_image two tally -- /usr >"$scratch/tally.out"
    grep -q ^language "$scratch/tally.out" || fail "tally does not do what it is for"
}

one_crate() { # one_crate ATTEMPT ENDPOINT OPTION...: builds one, on machine one
    local attempt=$1 endpoint=$2
    shift 2
    build one reach deploy/examples/rust -f tests/docker_support/reach.Dockerfile \
        --build-arg "ATTEMPT=$attempt" --build-arg "SCCACHE_WEBDAV_ENDPOINT=$endpoint" "$@"
}

# Whatever is wrong with the cache, the build goes on, and says so.
away() {
    local endpoint attempt=0 log
    for endpoint in "http://127.0.0.1:$(free_port)" http://192.0.2.200:4227 http://cache.invalid:4227 "$url/no-such%2Fpath"; do
        attempt=$((attempt + 1))
        log=$scratch/away-$attempt.log
        logged "$log" one_crate "away-$attempt" "$endpoint" "${with_token[@]}"
        grep -q 'with-cache: going on without' "$log" || fail "$endpoint: nobody was told that the cache is away"
    done
    # A token that was revoked.
    LARDER_WRONG_SECRET=larder_0000000000000000000000000000
    export LARDER_WRONG_SECRET
    log=$scratch/away-token.log
    logged "$log" one_crate away-token "$url" --secret id=larder_token,env=LARDER_WRONG_SECRET
    grep -q 'with-cache: going on without.*unauthorized' "$log" || fail "nobody was told that the token is wrong"
    logged "$scratch/away-cpp.log" build one tally deploy/examples/cpp --build-arg "LARDER_URL=http://127.0.0.1:$(free_port)"
}

reaches() { # reaches NAME ENDPOINT OPTION...: a build in a network of its own gets its crate from larder
    local name=$1 endpoint=$2 attempt log
    shift 2
    for attempt in first second; do
        log=$scratch/reach-$name-$attempt.log
        logged "$log" in_build_network one_crate "$name-$attempt" "$endpoint" "${with_token[@]}" "$@"
    done
    [ "$(from_cache "$log")" -ge 1 ] || { tail -n 20 "$log" >&2; fail "$name: $endpoint is not reached"; }
    say "$name: $endpoint"
}

# The ways of deploy/examples/README.md.
reach() {
    # The layers before the last need the internet, which the networks below have not.
    logged "$scratch/reach.log" one_crate host "$url" "${with_token[@]}"
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
    # The networks are apart: the host's loopback is not the build's, which is what --network host is for.
    logged "$scratch/reach-loopback.log" in_build_network one_crate loopback "$url" "${with_token[@]}"
    grep -q 'with-cache: going on without' "$scratch/reach-loopback.log" || fail "the networks are not apart"
}
