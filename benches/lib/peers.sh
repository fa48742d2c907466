# shellcheck shell=bash
# The servers that larder is measured beside, each started on a free port, with its data below $dir/NAME.
# Sourced after bench.sh.

dav_module=/usr/lib/nginx/modules/ngx_http_dav_ext_module.so

# nginx NAME WORKERS: with WebDAV, as fast as its settings make it: sendfile, open files remembered, no log.
# BENCH_NGINX_BUFFER is how much of an upload it keeps in memory (default 1m).
nginx() {
    local root=$dir/$1
    free_port
    mkdir -p "$root/files" "$root/incoming"
    cat >"$root/nginx.conf" <<CONF
load_module $dav_module;
daemon off;
$([ "$(id -u)" = 0 ] && echo "user root;")
worker_processes $2;
worker_rlimit_nofile 65536;
pid $root/pid;
error_log $root/error.log error;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 100000000;
    keepalive_timeout 300;
    open_file_cache max=100000 inactive=300s;
    open_file_cache_valid 300s;
    client_max_body_size 0;
    client_body_buffer_size ${BENCH_NGINX_BUFFER:-1m};
    client_body_temp_path $root/incoming;
    server {
        listen 127.0.0.1:$port backlog=1024;
        root $root/files;
        location / {
            dav_methods PUT DELETE MKCOL COPY MOVE;
            dav_ext_methods PROPFIND OPTIONS;
            create_full_put_path on;
        }
    }
}
CONF
    url_of[$1]=http://127.0.0.1:$port
    serve "$1" "$(type -P nginx)" -p "$root" -c "$root/nginx.conf" -e "$dir/$1.log"
    await_http "$1"
}

# dufs NAME PROGRAM: a file server in Rust with WebDAV.
dufs() {
    free_port
    mkdir -p "$dir/$1/files"
    url_of[$1]=http://127.0.0.1:$port
    serve "$1" "$2" --bind 127.0.0.1 --port "$port" --allow-all --log-format '' "$dir/$1/files"
    await_http "$1"
}

# build_floor: builds the least that a server can do, benches/lib/floor.rs, and sets `floor_program`. BENCH_PROFILE is cargo's
# profile for it (default release).
build_floor() {
    local profile=${BENCH_PROFILE:-release}
    cargo build --locked --profile "$profile" --example floor >&2
    floor_program=target/${profile/#dev/debug}/examples/floor
}

# floor NAME THREADS [commit]: starts it.
floor() {
    free_port
    mkdir -p "$dir/$1/files"
    url_of[$1]=http://127.0.0.1:$port
    serve "$1" "$floor_program" "$port" "$dir/$1/files" "${@:2}"
    await_http "$1"
}

# redis NAME: keeps everything in memory and never writes it to disk, which is the fastest it can do.
redis() {
    free_port
    url_of[$1]=redis://127.0.0.1:$port
    serve "$1" redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$dir"
    await "$1" redis-cli -p "$port" ping
}

# garage NAME PROGRAM: an S3 server, with the bucket `bench` and the key below.
export BENCH_KEY=GK31c2f218a2e44f485b94239e BENCH_REGION=garage
export BENCH_SECRET=b892c0665f0ada8a4755dae98baa3b133590e11dae3bcc1f9d769d67f16c3835
garage() {
    local rpc
    free_port
    rpc=$port
    free_port
    url_of[$1]=http://127.0.0.1:$port
    cat >"$dir/$1.toml" <<TOML
metadata_dir = "$dir/$1/meta"
data_dir = "$dir/$1/data"
db_engine = "sqlite"
replication_factor = 1
compression_level = "none"
rpc_bind_addr = "127.0.0.1:$rpc"
rpc_public_addr = "127.0.0.1:$rpc"
rpc_secret = "$BENCH_SECRET"
[s3_api]
api_bind_addr = "127.0.0.1:$port"
s3_region = "$BENCH_REGION"
TOML
    serve "$1" env GARAGE_DEFAULT_BUCKET=bench GARAGE_DEFAULT_ACCESS_KEY=$BENCH_KEY GARAGE_DEFAULT_SECRET_KEY=$BENCH_SECRET \
        RUST_LOG=warn "$2" -c "$dir/$1.toml" server --single-node --default-bucket
    await_http "$1"
}

# Garage, as BENCH_GARAGE says; else what tests/install left; else the one on the PATH; else nothing.
find_garage() {
    local found=${BENCH_GARAGE:-target/test-tools/garage}
    [ -x "$found" ] || found=$(type -P garage || true)
    echo "$found"
}
