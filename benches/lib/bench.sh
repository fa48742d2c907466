# shellcheck shell=bash
# What every benchmark needs: where its data goes, starting and ending servers, processor time, slices of load by wrk.
# Sourced by the scripts in benches/, from the root of the repository.
#
# BENCH_DIR      where the data goes (default target/bench-NAME, so: the disk of the repository)
# BENCH_LARDER   the program to measure (default: built in release here)
# BENCH_ROUNDS   rounds; medians are taken over them
# BENCH_EMPTIED  where files stay, with nothing in them, that were made for the benchmark (default: deleted at its end)
#
# Results are lines of tabs: row, contender, round, requests/s, µs of CPU a request, p50 and p99 in µs.

export LC_ALL=C PYTHONDONTWRITEBYTECODE=1
bench=${0##*/}
declare -A pid_of url_of
failed=0
# Where Debian keeps nginx.
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'benches/%s: %s\n' "$bench" "$*" >&2; }
fail() { say "$*"; exit 1; }
wrong() { say "$*"; failed=1; } # goes on, but the benchmark will fail

end_bench() {
    local name
    for name in "${!pid_of[@]}"; do kill "${pid_of[$name]}" 2>/dev/null || true; done
    wait 2>/dev/null || true
    if [ -n "${BENCH_EMPTIED:-}" ]; then
        emptied=$BENCH_EMPTIED
        empty "$dir"
    else
        rm -rf "$dir"
    fi
}

# empty DIRECTORY: gives back its bytes and keeps its files, elsewhere, until the end. For minutes after files were deleted, ext4
# looks at their inodes one by one before it takes any other: with some ten thousand deleted a server that makes a file for each
# object makes a tenth as many, and would be slowed by the slice before. Requests that the load left behind may still make some.
empty() {
    local to
    [ -d "$1" ] || return 0
    mkdir -p "$emptied"
    to=$(mktemp -d "$emptied/XXXXXXXX")
    mv "$1" "$to"
    find "$to" -type f -size +0 -print0 | xargs -0r truncate -s 0
}

# Empties the benchmark's directory, and sees to it that nothing is left of it or of its servers at the end.
begin_bench() {
    dir=${BENCH_DIR:-$PWD/target/bench-$bench}
    trap end_bench EXIT
    rm -rf "$dir"
    mkdir -p "$dir"
    results=$dir/results
    : >"$results"
    emptied=$dir/emptied
}

# To be called last.
judge_bench() { [ "$failed" = 0 ] || fail "there were wrong answers, see above: the numbers mean nothing"; }

# Builds larder unless one is given; sets BENCH_LARDER.
need_larder() {
    if [ -z "${BENCH_LARDER:-}" ]; then
        cargo build --release --locked >&2
        BENCH_LARDER=target/release/larder
    fi
}

# A port that nobody has at this moment, in `port`. Below those that the kernel gives to clients.
free_port() {
    port=$((20000 + RANDOM % 10000))
    while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((20000 + RANDOM % 10000)); done
}

# serve NAME COMMAND...: starts a server, its output in NAME.log.
serve() {
    "${@:2}" >>"$dir/$1.log" 2>&1 &
    pid_of[$1]=$!
}

stop() { # stop NAME [SIGNAL]: ends a server and waits for it
    kill "-${2:-TERM}" "${pid_of[$1]}" 2>/dev/null || true
    wait "${pid_of[$1]}" 2>/dev/null || true
    unset "pid_of[$1]"
}

# await NAME COMMAND...: until the command succeeds; fails when the server ends or takes over 20 s.
await() {
    local tries=0
    until "${@:2}" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ $tries -ge 400 ] || ! kill -0 "${pid_of[$1]}" 2>/dev/null; then
            fail "$1 does not answer: $(tail -5 "$dir/$1.log")"
        fi
        sleep 0.05
    done
}

await_http() { await "$1" curl -s -o /dev/null "${url_of[$1]}/"; } # await_http NAME: until it answers, whatever it says

# larder NAME [SETTINGS]: starts one in the directory NAME; SETTINGS are lines of its configuration. Everyone may read
# and write, unless they say otherwise. One that was started before gets its port again. SCHEME=https for one with a
# certificate.
larder() {
    if [ -n "${url_of[$1]:-}" ]; then port=${url_of[$1]##*:}; else free_port; fi
    url_of[$1]=${SCHEME:-http}://127.0.0.1:$port
    if [ $# -gt 1 ] || [ ! -e "$dir/$1.toml" ]; then
        printf 'listen = "127.0.0.1:%s"\ndata_dir = "%s"\ncapacity = "%s"\n%s\n' \
            "$port" "$dir/$1" "${BENCH_CAPACITY:-30GiB}" "${2:-}" >"$dir/$1.toml"
    fi
    serve "$1" "$BENCH_LARDER" serve --config "$dir/$1.toml"
    await "$1" curl -kfs "${url_of[$1]}/-/ready"
}

upload() { # upload SERVER: what standard input lists, each line a path and a file
    awk -v url="${url_of[$1]}" '{ printf "url = \"%s%s\"\nupload-file = \"%s\"\n", url, $1, $2 }' >"$dir/uploads"
    curl -sS -f -K "$dir/uploads" -o /dev/null || fail "$1 did not take the objects"
}

# Ticks of processor time that a server and its children used so far.
cpu_ticks() { # cpu_ticks NAME
    local total=0 process stat main=${pid_of[$1]}
    for process in "$main" $(cat "/proc/$main/task/$main/children" 2>/dev/null); do
        stat=$(cat "/proc/$process/stat" 2>/dev/null) || continue
        read -r -a stat <<<"${stat##*) }"
        total=$((total + stat[11] + stat[12]))
    done
    echo "$total"
}

# slice_of SECONDS CELLS: whole seconds for each measurement of a run, at least one.
slice_of() { awk -v s="$1" -v n="$2" 'BEGIN { t = int(s / n + 0.5); print t < 1 ? 1 : t }'; }

# load SERVER CONTENDER ROW ROUND CONNECTIONS SCRIPT ARGUMENT...: a slice of load, as long as `slice` says, on a server; a
# line of results, under the contender's name. PER=2 says that an operation is two requests.
load() {
    local server=$1 name=$2 row=$3 round=$4 connections=$5 script=$6 before after requests duration errors p50 p99
    shift 6
    before=$(cpu_ticks "$server")
    wrk -t1 -c"$connections" -d"${slice}s" --timeout 30s -s "$script" "${url_of[$server]}" -- "$@" >"$dir/wrk.out" 2>&1 ||
        fail "wrk failed: $(tail -3 "$dir/wrk.out")"
    after=$(cpu_ticks "$server")
    read_result "$name, $row" "$dir/wrk.out"
    awk -v row="$row" -v name="$name" -v round="$round" -v n="$requests" -v us="$duration" -v ticks=$((after - before)) \
        -v p50="$p50" -v p99="$p99" -v per="${PER:-1}" -v hz="$(getconf CLK_TCK)" 'BEGIN { OFS = "\t"; n /= per
            print row, name, round, n * 1e6 / us, n ? ticks * 1e6 / hz / n : 0, p50, p99 }' >>"$results"
}

# read_result WHAT OUTPUT: requests, duration, errors, p50 and p99 as wrk told them; the caller has them as its own.
read_result() {
    read -r requests duration errors p50 p99 < <(sed -n 's/^RESULT //p' "$2")
    if [ "$errors" != 0 ] || [ "$requests" = 0 ]; then
        wrong "$1: $requests requests, $errors wrong: $(tail -5 "$2" | tr '\n' ' ')"
    fi
}

# settle LARDER [CURL_OPTION...]: until its index has everything, nothing waits to be uploaded to its bucket, and it works at
# nothing: whoever is measured next would share the processor with it. The options are for callers who have to log in.
settle() {
    local waiting before after
    # A listing is answered once the index has everything. Between two rounds of the index it works at nothing, too.
    curl -kfsS -o /dev/null -X PROPFIND -H 'Depth: 1' "${@:2}" "${url_of[$1]}/default/there-is-nothing-below-this/" ||
        fail "$1 lists nothing"
    for _ in $(seq 400); do
        waiting=$(curl -kfs "${url_of[$1]}/metrics" | awk '$1 == "larder_bucket_queue_objects" { print $2 }')
        before=$(cpu_ticks "$1")
        sleep 0.3
        after=$(cpu_ticks "$1")
        if [ "$waiting" = 0 ] && [ $((after - before)) -le 1 ]; then return; fi
    done
    fail "$1 is not at rest after two minutes: $(tail -5 "$dir/$1.log")"
}
