"""The tables of benches/busy, from its results. Rows are "METHOD MIX"; contenders are full and roomy."""

import sys

from tables import P50, P99, RATE, Goals, Results, table


def main():
    results = Results(sys.argv[1])
    lines, writes, reads = [], [], []
    for row in sorted(results.rows, key=lambda row: row.split()[::-1]):
        method, mix = row.split()
        rate, least, most = results.ratio(row, "full", "roomy", RATE)
        (writes if method == "PUT" else reads).append((mix, rate))
        lines.append([
            f"{method}, {mix}",
            results.ranged(row, "roomy", RATE),
            results.ranged(row, "full", RATE),
            f"**{rate:.2f}** ({least:.2f}–{most:.2f})",
            *(f"{results.median(row, contender, column) / 1000:.2f}" for column in (P50, P99) for contender in ("roomy", "full")),
        ])
    head = ["", "requests/s, with room", "full", "ratio", "p50 ms, with room", "full", "p99 ms, with room", "full"]
    table(head, lines)
    goals = Goals()
    goals.at_least("PUT into a full cache ≥ 0.85 × with room", 0.85, writes)
    goals.at_least("GET meanwhile as with room, ≥ 0.97 × for the noise", 0.97, reads)
    goals.print()


main()
