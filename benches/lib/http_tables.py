"""The tables of benches/http, from its results. Rows are "OPERATION SIZE CONNECTIONS".

Which larder beside which nginx, where there are some with other numbers of threads or workers: for rate and times the one with more
requests/s; for processor time the one that used less. So each ratio is of the best that either did.
"""

import sys

from tables import CPU, P50, P99, RATE, Goals, Results, number, size_name, table

NAMES = {"GET": "GET hit", "MISS": "GET miss", "PUT": "PUT", "STORE": "PROPFIND + PUT", "MIX": "4 GET, 1 PUT"}
LARDER = ["larder", "larder-1"]
NGINX = ["nginx-1", "nginx-2"]
FLOOR = ["floor-1", "floor-2"]


def name(row):
    operation, size, connections = row.split()
    of = "" if operation == "MISS" else f" {size_name(size)}"
    return f"{NAMES[operation]}{of}, {connections}"


def main():
    results = Results(sys.argv[1])

    def there(row, names):
        return [contender for contender in names if results.has(row, contender)]

    def faster(row, names):
        return max(there(row, names), key=lambda contender: results.median(row, contender, RATE))

    def frugal(row, names):
        return min(there(row, names), key=lambda contender: results.median(row, contender, CPU))

    def beside(row, contender=None):
        return results.ratio(row, contender or faster(row, LARDER), faster(row, NGINX), RATE)

    def frugality(row):
        return results.ratio(row, frugal(row, LARDER), frugal(row, NGINX), CPU)[0]

    lines, times = [], []
    for row in results.rows:
        larder, nginx = faster(row, LARDER), faster(row, NGINX)
        rate, least, most = beside(row)
        threads = ", 1" if larder == "larder-1" else ""
        dufs = number(results.median(row, "dufs", RATE)) if results.has(row, "dufs") else "–"
        lines.append([
            name(row),
            f"{results.ranged(row, larder, RATE)}{threads}",
            f"{results.ranged(row, nginx, RATE)}, {nginx[-1]}",
            dufs,
            f"**{rate:.2f}** ({least:.2f}–{most:.2f})",
            number(results.median(row, frugal(row, LARDER), CPU)),
            number(results.median(row, frugal(row, NGINX), CPU)),
            f"**{frugality(row):.2f}**",
        ])
        both = [number(results.median(row, who, column) / 1000) for column in (P50, P99) for who in (larder, nginx)]
        times.append([name(row), *both])
    print("\nRates are operations/s (range over the rounds); behind nginx stands its number of workers, behind larder a 1 where it did better with")
    print("one thread (reads only) than with one for each core; a row's name ends with the number of connections. Ratios are the better larder to the")
    print("better nginx, of each figure (range: of ratios within a round).")
    head = ["", "larder/s", "nginx/s", "dufs/s", "ratio", "CPU, larder", "CPU, nginx", "ratio"]
    table(head, lines)
    print("\nTime to answer a request, in ms.")
    table(["", "p50, larder", "p50, nginx", "p99, larder", "p99, nginx"], times)

    committed = [row for row in results.rows if results.has(row, "larder-commit")]
    if committed:
        print('\nPUT with `durability = "commit"`, beside nginx, which syncs nothing and leaves to the kernel when it writes. The least that')
        print("serving takes (benches/lib/floor.rs) syncs here, too: what of it the disk allows.")
        table(["", "larder/s, commit", "larder/s", "beside nginx", "CPU, commit", "floor/s, commit", "floor beside nginx"], [
            [name(row), results.ranged(row, "larder-commit", RATE), number(results.median(row, "larder", RATE)),
             f"**{beside(row, 'larder-commit')[0]:.2f}**", number(results.median(row, "larder-commit", CPU)),
             results.ranged(row, "floor-commit", RATE), f"**{beside(row, 'floor-commit')[0]:.2f}**"]
            for row in committed
        ])

    least = [row for row in results.rows if there(row, FLOOR)]
    if least:
        print("\nWhat the least that serving takes would reach (benches/lib/floor.rs; no checksum, no rights, no capacity, nothing kept over a")
        print("restart), behind it its number of threads. Where it is below a goal beside nginx, no server reaches that goal here.")
        table(["", "floor/s", "floor beside nginx", "larder beside floor", "CPU, floor", "CPU, floor beside nginx"], [
            [name(row), f"{results.ranged(row, faster(row, FLOOR), RATE)}, {faster(row, FLOOR)[-1]}",
             f"**{beside(row, faster(row, FLOOR))[0]:.2f}**",
             f"{results.ratio(row, faster(row, LARDER), faster(row, FLOOR), RATE)[0]:.2f}",
             number(results.median(row, frugal(row, FLOOR), CPU)),
             f"**{results.ratio(row, frugal(row, FLOOR), frugal(row, NGINX), CPU)[0]:.2f}**"]
            for row in least
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
        goals.at_least(text, bound, [(name(row), beside(row)[0]) for row in rows(operation, least, most)])
    goals.at_most("GET hit, CPU a request: ≤ 0.75 × nginx", 0.75, [
        (name(row), frugality(row)) for row in rows("GET", 0, 10 * mb)
    ])
    goals.at_least("PUT with commit: ≥ 1.0 × nginx without any sync", 1.0,
                   [(name(row), beside(row, "larder-commit")[0]) for row in committed])
    goals.print()


main()
