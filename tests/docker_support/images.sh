# Images that are made by hand, of Debian's packages: sourced by tests/docker and by bases. Owns how that is done, and what
# stands for distroless.
# shellcheck shell=bash

debian=docker.io/library/debian:bookworm-slim
distroless=gcr.io/distroless/cc-debian12:nonroot

quietly() { # quietly COMMAND...: what it says is shown when it fails
    "$@" >"$machines/quietly.log" 2>&1 || {
        tail -n 30 "$machines/quietly.log" >&2
        fail "'$*' failed: see above"
    }
}
in_container() { # in_container MACHINE CONTAINER SCRIPT
    quietly on "$1" run --isolation chroot --network host "$2" -- sh -euc "$3"
}
# A proxy between this machine and the registries may have a CA that only this machine knows.
trust() { cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"; }
commit() { # commit MACHINE CONTAINER TAG
    quietly on "$1" commit --rm --format docker "$2" "$3"
    say "$3"
}

make_distroless() { # make_distroless MACHINE ARCHITECTURE: what cc-debian12 has, unpacked and not installed
    local machine=$1 architecture=$2 files container package packages=(netbase tzdata)
    files=$(mktemp -d "$machines/files.XXXX")
    for package in base-files libc6 libgcc-s1 libgomp1 libssl3 libstdc++6 zlib1g; do
        packages+=("$package:$architecture")
    done
    container=$(on "$machine" from --pull=never "$debian")
    in_container "$machine" "$container" "dpkg --add-architecture $architecture
        apt-get update -q
        mkdir /packages && cd /packages
        apt-get download -q ${packages[*]}
        for package in *.deb; do dpkg-deb -x \"\$package\" /packages/root; done
        rm -rf /packages/root/usr/share/doc /packages/root/usr/share/lintian"
    mv "$(on "$machine" mount "$container")/packages/root" "$files/distroless"
    on "$machine" rm "$container" >/dev/null
    mkdir -p "$files"/distroless/{etc/ssl/certs,home/nonroot,root,tmp}
    chmod 1777 "$files/distroless/tmp"
    chown 65532:65532 "$files/distroless/home/nonroot"
    trust "$files/distroless"
    local homes=/home # (of the image)
    printf 'root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:%s/nonroot:/sbin/nologin\n' "$homes" \
        >"$files/distroless/etc/passwd"
    printf 'root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:65532:\n' >"$files/distroless/etc/group"
    container=$(on "$machine" from scratch)
    tar -C "$files/distroless" -cf - . | tar -C "$(on "$machine" mount "$container")" -xf -
    on "$machine" config --arch "$architecture" --user 65532 --workingdir "$homes/nonroot" \
        --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
        --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    commit "$machine" "$container" "$distroless"
    rm -rf "$files"
}
