"""The tables of benches/http, from its results. Rows are "OPERATION SIZE CONNECTIONS".

Beside which nginx: for rate and times the one with more requests/s; for processor time the one that used less. So each
ratio is to the best that nginx did.
"""

import sys

from tables import CPU, P50, P99, RATE, Goals, Results, number, size_name, table

NAMES = {"GET": "GET hit", "MISS": "GET miss", "PUT": "PUT", "STORE": "PROPFIND + PUT", "MIX": "4 GET, 1 PUT"}
NGINX = ["nginx-1", "nginx-2"]


def name(row):
    operation, size, connections = row.split()
    of = "" if operation == "MISS" else f" {size_name(size)}"
    return f"{NAMES[operation]}{of}, {connections}"


def main():
    results = Results(sys.argv[1])

    def faster(row):
        return max(NGINX, key=lambda peer: results.median(row, peer, RATE))

    def frugal(row):
        return min(NGINX, key=lambda peer: results.median(row, peer, CPU))

    def beside(row, contender="larder"):
        return results.ratio(row, contender, faster(row), RATE)[0]

    lines, times = [], []
    for row in results.rows:
        nginx = faster(row)
        rate, least, most = results.ratio(row, "larder", nginx, RATE)
        cpu = results.ratio(row, "larder", frugal(row), CPU)[0]
        dufs = number(results.median(row, "dufs", RATE)) if results.has(row, "dufs") else "–"
        lines.append([
            name(row),
            results.ranged(row, "larder", RATE),
            f"{results.ranged(row, nginx, RATE)}, {nginx[-1]}",
            dufs,
            f"**{rate:.2f}** ({least:.2f}–{most:.2f})",
            number(results.median(row, "larder", CPU)),
            number(results.median(row, frugal(row), CPU)),
            f"**{cpu:.2f}**",
        ])
        both = [number(results.median(row, who, column) / 1000) for column in (P50, P99) for who in ("larder", nginx)]
        times.append([name(row), *both])
    print("\nRates are operations/s (range over the rounds); behind nginx stands its number of workers, and a row's name ends")
    print("with the number of connections. Ratios are larder to the better nginx, of each figure (range: of ratios within a round).")
    head = ["", "larder/s", "nginx/s", "dufs/s", "ratio", "CPU, larder", "CPU, nginx", "ratio"]
    table(head, lines)
    print("\nTime to answer a request, in ms.")
    table(["", "p50, larder", "p50, nginx", "p99, larder", "p99, nginx"], times)

    committed = [row for row in results.rows if results.has(row, "larder-commit")]
    if committed:
        print('\nPUT with `durability = "commit"`, beside nginx, which syncs nothing.')
        table(["", "larder/s, commit", "larder/s", "beside nginx", "CPU, commit"], [
            [name(row), results.ranged(row, "larder-commit", RATE), number(results.median(row, "larder", RATE)),
             f"**{beside(row, 'larder-commit'):.2f}**", number(results.median(row, "larder-commit", CPU))]
            for row in committed
        ])

    def rows(operation, least, most):
        return [row for row in results.rows if row.split()[0] == operation and least <= int(row.split()[1]) <= most]

    kb, mb = 1024, 1048576
    goals = Goals()
    for operation, least, most, bound, text in [
        ("GET", 0, 260 * kb, 1.3, "GET hit, 1–260 KB: ≥ 1.3 × nginx"),
        ("GET", mb, 3 * mb, 1.2, "GET hit, 1–3 MB: ≥ 1.2 × nginx"),
        ("GET", 10 * mb, 10 * mb, 1.0, "GET hit, 10 MB: ≥ 1.0 × nginx"),
        ("PUT", 0, 20 * kb, 2.5, "PUT, to 20 KB: ≥ 2.5 × nginx"),
        ("PUT", 260 * kb, 260 * kb, 1.5, "PUT, 260 KB: ≥ 1.5 × nginx"),
        ("PUT", mb, 3 * mb, 1.1, "PUT, 1–3 MB: ≥ 1.1 × nginx"),
    ]:
        goals.at_least(text, bound, [(name(row), beside(row)) for row in rows(operation, least, most)])
    goals.at_most("GET hit, CPU a request: ≤ 0.75 × nginx", 0.75, [
        (name(row), results.ratio(row, "larder", frugal(row), CPU)[0]) for row in rows("GET", 0, 10 * mb)
    ])
    goals.at_least("PUT with commit: ≥ 1.0 × nginx without any sync", 1.0,
                   [(name(row), beside(row, "larder-commit")) for row in committed])
    goals.print()


main()
