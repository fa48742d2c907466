"""The table of benches/s3, from its results. Rows are "METHOD SIZE"; contenders are plain and s3."""

import sys

from tables import CPU, RATE, Results, number, size_name, table


def main():
    results = Results(sys.argv[1])
    lines = []
    for row in sorted(results.rows, key=lambda row: (row.split()[0], int(row.split()[1]))):
        method, size = row.split()
        rate, least, most = results.ratio(row, "s3", "plain", RATE)
        lines.append([
            f"{method} {size_name(size)}",
            results.ranged(row, "plain", RATE),
            results.ranged(row, "s3", RATE),
            f"**{rate:.2f}** ({least:.2f}–{most:.2f})",
            number(results.median(row, "plain", CPU)),
            number(results.median(row, "s3", CPU)),
            f"**{results.ratio(row, 's3', 'plain', CPU)[0]:.2f}**",
        ])
    table(["", "plain/s", "S3/s", "ratio", "CPU, plain", "CPU, S3", "ratio"], lines)
    print("\nNo goal: signatures are checked, and that is not free.")


main()
