"""The table of benches/features, from its results. Rows are "METHOD SIZE", one contender has no feature: plain."""

import sys

from tables import CPU, RATE, Goals, Results, number, size_name, table

FEATURES = ["again", "token", "session", "bucket", "log", "s3", "tls"]
# These encrypt or hash for each request; a log line a request is not what a server does unless it is told to. The second plain one is no feature.
WITHOUT_GOAL = ["s3", "tls", "log", "again"]


def main():
    results = Results(sys.argv[1])
    lines, costs = [], []
    for row in sorted(results.rows, key=lambda row: (row.split()[0], int(row.split()[1]))):
        method, size = row.split()
        name = f"{method} {size_name(size)}"
        for feature in (feature for feature in FEATURES if results.has(row, feature)):
            cpu, least, most = results.paired(row, feature, "plain", CPU)
            rate = results.paired(row, feature, "plain", RATE)[0]
            lines.append([
                name,
                feature,
                number(results.median(row, "plain", CPU)),
                number(results.median(row, feature, CPU)),
                f"**{cpu:.2f}** ({least:.2f}–{most:.2f})",
                number(results.median(row, "plain", RATE)),
                number(results.median(row, feature, RATE)),
                f"{rate:.2f}",
            ])
            if method == "GET" and feature not in WITHOUT_GOAL:
                costs.append((f"{feature}, {size_name(size)}", cpu))
    table(["", "feature", "CPU without", "CPU with", "ratio", "requests/s without", "with", "ratio"], lines)
    goals = Goals()
    goals.at_most("CPU of a GET with a feature ≤ 1.05 × without, but for S3 and TLS", 1.05, costs)
    goals.print()


main()
