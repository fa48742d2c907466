"""The tables of benches/builds, from its results. Rows are cold and warm, contenders the back ends; the numbers are wall
seconds, processor seconds of the server, average ms of a read that hit and of a write, hits, writes."""

import statistics
import sys

from tables import Goals, Results, number, table

WALL, CPU, READ, WRITE, HITS, WRITES = range(6)
NAMES = {
    "disk": "sccache's own disk",
    "nginx": "nginx, WebDAV",
    "redis": "Redis",
    "larder": "larder, WebDAV",
    "larder-s3": "larder, S3",
    "floor": "the least that serving takes, WebDAV",
    "garage": "Garage, S3",
}


def main():
    results = Results(sys.argv[1])
    backends = [backend for backend in NAMES if results.has("warm", backend)]
    peers = [backend for backend in ("nginx", "redis") if backend in backends]

    def beside(row, backend, column):
        """To the better of nginx and Redis."""
        if not peers:
            return None
        return results.median(row, backend, column) / min(results.median(row, peer, column) for peer in peers)

    def ratio(*place):
        value = beside(*place)
        return "–" if value is None else f"**{value:.2f}**"

    def processor(row, backend):
        return "–" if backend == "disk" else f"{results.median(row, backend, CPU):.2f}"

    each = {row: len(results.column(row, backends[0], WALL)) for row in ("cold", "warm")}
    stored = statistics.median(results.column("cold", backends[0], WRITES))
    print(f"\nCold: medians of {each['cold']} builds, which each store {stored:.0f} results. Warm: medians of {each['warm']} builds")
    print("into an empty directory, alternating, with no result compiled again. Ratios are to the better of nginx and Redis.")
    print("CPU is processor seconds of the server for a build.")
    table(
        ["", "warm, s (range)", "read of a hit, ms (range)", "ratio", "hits", "CPU"],
        [[NAMES[name], results.ranged("warm", name, WALL), results.ranged("warm", name, READ), ratio("warm", name, READ),
          number(results.median("warm", name, HITS)), processor("warm", name)] for name in backends],
    )
    table(
        ["", "cold, s (range)", "write, ms (range)", "ratio", "CPU"],
        [[NAMES[name], results.ranged("cold", name, WALL), results.ranged("cold", name, WRITE), ratio("cold", name, WRITE),
          processor("cold", name)] for name in backends],
    )
    goals = Goals()
    for text, row, column in [("Average read of a hit", "warm", READ), ("Average write", "cold", WRITE)]:
        measured = [(NAMES[name], beside(row, name, column)) for name in ("larder", "larder-s3") if name in backends and peers]
        goals.at_most(f"{text}: ≤ 0.9 × the better of nginx and Redis", 0.9, measured)
    goals.print()


main()
