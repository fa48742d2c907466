"""What has no switch, as instructions of a GET of 1 KB from memory, counted by callgrind.

Called by benches/features: features_shares.py LARDER DIRECTORY. Prints a Markdown table. Counted is what is called from
outside a part into it, with all that it calls; what the compiler has put into its callers is not seen.
"""

import collections
import glob
import re
import sys

import instructions

# What `measure` asks.
REQUESTS = instructions.WARMING + instructions.COUNTED + 1
# Parts by the names of their functions.
PARTS = {
    "metrics and log lines (`http::record`)": r"larder::http::record::|prometheus::",
    "counts, sizes and sessions (`analytics`, without the curve)": r"larder::analytics::(?!curve)|larder::analytics::Analytics",
    "of which the miss-ratio curve (`analytics::curve`)": r"larder::analytics::curve::",
}


def calls(profile):
    """Caller, callee and the callee's instructions, for each place that calls, out of a callgrind profile."""
    names, caller, callee = {}, None, None

    def name(text):
        number, _, full = text.partition(" ")
        return names.setdefault(number, full)

    with open(profile) as file:
        lines = iter(file)
        for line in lines:
            kind, _, rest = line.rstrip("\n").partition("=")
            if kind == "fn":
                caller = name(rest)
            elif kind == "cfn":
                callee = name(rest)
            elif kind == "calls":
                yield caller, callee, int(next(lines).split()[-1])


def main():
    server = instructions.Server(sys.argv[1], sys.argv[2])
    try:
        server.wait_ready()
        connection = instructions.Connection(server.port)
        path = instructions.Get("shares", 1024)
        # Once before, so that nothing of the start is counted.
        instructions.measure(server, connection, path)
        server.ask_valgrind("zero")
        whole = instructions.measure(server, connection, path)
        server.ask_valgrind("dump")
    finally:
        server.stop()
    (profile,) = glob.glob(f"{sys.argv[2]}/callgrind.out.*")
    sums = collections.Counter()
    for caller, callee, cost in calls(profile):
        for part, pattern in PARTS.items():
            if re.search(pattern, callee) and not re.search(pattern, caller):
                sums[part] += cost
    print("| part | instructions a request | of the whole |\n|---|---|---|")
    for part in PARTS:
        each = sums[part] / REQUESTS
        print(f"| {part} | {each:.0f} | {each / whole * 100:.1f} % |")
    print(f"| the whole GET | {whole:.0f} | |")


try:
    main()
except instructions.Wrong as error:
    sys.exit(f"benches/features_shares.py: {error}")
