# A larder outside of the containers, for what is built in them: sourced by tests/docker, tests/deploy and deploy/measure.
# Owns which program is started and when it is ready.
# shellcheck shell=bash

# The program: LARDER_BIN, else the newest that cargo has built.
larder_program() {
    if [ -n "${LARDER_BIN:-}" ]; then
        echo "$LARDER_BIN"
        return
    fi
    # shellcheck disable=SC2012 # The names are ours.
    { ls -t target/{debug,release}/larder 2>/dev/null || true; } | head -n 1 | grep . ||
        { echo "there is no larder in target/: cargo build, or name one in LARDER_BIN" >&2; return 1; }
}

# Runs it without what this environment says to it: names that it does not know are mistakes to it.
larder() { env -i PATH="$PATH" "$(larder_program)" "$@"; }

# A port that nobody listens on now.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

until_answers() { # until_answers URL: waits until somebody answers 200 there
    local tries=0
    until curl -fsS -m 2 -o /dev/null "$1" 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" = 300 ]; then
            echo "nobody answers at $1" >&2
            return 1
        fi
        sleep 0.1
    done
}

metric() { # metric URL NAME: the metric's value, of all labels together; 0 where none is counted yet
    curl -fsS "$1/metrics" | awk -v name="$2" '{ split($1, part, "{") } part[1] == name { sum += $2 } END { print sum + 0 }'
}

# What with-cache said in a build's log, of all of its steps together.
compiled_here() { awk '/^Cache misses  / { sum += $NF } END { print sum + 0 }' "$1"; }
from_cache() { awk '/^Cache hits  / { sum += $NF } END { print sum + 0 }' "$1"; }
