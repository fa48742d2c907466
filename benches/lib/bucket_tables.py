"""The tables of benches/bucket: from its results (rows are sizes, contenders the buckets), and from what bucket.py printed
for each bucket: its name, a size or "absent", the medians of both ways in ms, and how many requests each is of."""

import sys

from tables import CPU, RATE, Goals, Results, number, size_name, table


def main():
    results = Results(sys.argv[1])
    buckets = list(dict.fromkeys(contender for _, contender in results.values))
    lines, beside = [], []
    for row in results.rows:
        for bucket in sorted(buckets, key=lambda bucket: bucket != "none"):
            rate, least, most = results.ratio(row, bucket, "none", RATE)
            cpu = results.ratio(row, bucket, "none", CPU)[0]
            lines.append([size_name(row), bucket, results.ranged(row, bucket, RATE),
                          f"**{rate:.3f}** ({least:.2f}–{most:.2f})", number(results.median(row, bucket, CPU)), f"**{cpu:.2f}**"])
            if bucket != "none":
                beside.append((f"{size_name(row)}, {bucket}", cpu))
    table(["", "bucket", "GET/s", "beside none", "CPU", "beside none"], lines)

    print("\nGET of what is not on the disk, medians in ms; absent: nor in the bucket.")
    lines = []
    with open(sys.argv[2], encoding="utf-8") as file:
        for bucket, what, alone, through, count in map(str.split, file):
            what = what if what == "absent" else size_name(what)
            added = float(through) - float(alone)
            lines.append([what, bucket, alone, through, f"{added:.3f}", count])
    table(["", "bucket", "by itself", "through larder", "larder adds", "of each"], lines)
    goals = Goals()
    goals.at_most("A hit with a bucket behind it, CPU a request: ≤ 1.05 × without", 1.05, beside)
    goals.print()


main()
