# The Debian package, installed, used and removed in a Debian that has nothing else: a step of tests/docker's long form. The
# program in it is the one outside of the containers.
# shellcheck shell=bash disable=SC2154 # Variables of tests/docker.

cargo_deb_version=3.8.0

cargo_deb() { # cargo_deb ARGUMENT...: installed where it is not, once
    local tools=${LARDER_TEST_TOOLS:-$PWD/target/test-tools}/cargo-deb
    if [ "$("$tools/bin/cargo-deb" --version 2>/dev/null)" != "$cargo_deb_version" ]; then
        CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off quietly cargo install cargo-deb --locked \
            --version "$cargo_deb_version" --root "$tools" --target-dir "$tools/target" --force
        rm -rf "$tools/target"
    fi
    PATH=$tools/bin:$PATH cargo deb "$@"
}

package() {
    local container root inside
    install -D -m 755 "$(larder_program)" "$scratch/package/release/larder"
    CARGO_TARGET_DIR=$scratch/package logged "$scratch/cargo-deb.log" \
        cargo_deb --no-build --no-strip --output "$scratch/larder.deb"
    container=$(on two from --pull=never "$debian")
    root=$(on two mount "$container")
    cp "$scratch/larder.deb" "$root/larder.deb"
    in_container two "$container" 'export DEBIAN_FRONTEND=noninteractive
        apt-get update -q
        apt-get install -q -y --no-install-recommends /larder.deb'
    # What starts at boot is for somebody to decide who has read the file.
    [ ! -e "$root/etc/systemd/system/multi-user.target.wants/larder.service" ] || fail "the package starts larder by itself"
    [ "$(stat -c '%u %a' "$root/etc/default/larder")" = '0 600' ] || fail "the package's secrets are for everyone to read"
    grep -q '^ExecStart=larder serve' "$root"/{usr/,}lib/systemd/system/larder.service 2>/dev/null ||
        fail "the package has no unit"
    in_container two "$container" 'larder check --config /etc/larder/larder.toml --data-dir /tmp/checked'
    # As the unit starts it, but for systemd.
    inside=$(free_port)
    served+=("serve --config /etc/larder/larder.toml --listen 127.0.0.1:$inside")
    on two run --isolation chroot --network host --user 65532 "$container" -- \
        larder serve --config /etc/larder/larder.toml --listen "127.0.0.1:$inside" --data-dir /tmp/data >"$scratch/package.log" 2>&1 &
    until_answers "http://127.0.0.1:$inside/-/ready" || { cat "$scratch/package.log" >&2; fail "the packaged larder does not serve"; }
    curl -fsS -T "$scratch/larder.deb" "http://127.0.0.1:$inside/a/b"
    curl -fsS "http://127.0.0.1:$inside/a/b" | cmp - "$scratch/larder.deb" || fail "the packaged larder gives back another body"
    end_container "serve --config /etc/larder/larder.toml --listen 127.0.0.1:$inside"
    # What was edited stays at an upgrade, and at a removal; a purge leaves nothing.
    in_container two "$container" 'export DEBIAN_FRONTEND=noninteractive
        echo "# edited" >>/etc/larder/larder.toml
        mkdir -p /var/lib/private/larder && touch /var/lib/private/larder/segment
        ln -s private/larder /var/lib/larder
        apt-get install -q -y --reinstall /larder.deb
        grep -q "# edited" /etc/larder/larder.toml
        apt-get remove -q -y larder
        test ! -e /usr/bin/larder
        grep -q "# edited" /etc/larder/larder.toml && test -e /var/lib/larder/segment
        apt-get purge -q -y larder
        test ! -e /etc/larder && test ! -e /etc/default/larder && test ! -e /var/lib/private/larder
        test ! -e /var/lib/larder && test ! -L /var/lib/larder'
    say "package: $(du -m "$scratch/larder.deb" | cut -f 1) MB, installed, used, installed again, removed, purged"
}
