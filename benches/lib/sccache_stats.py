"""What a running sccache counted: sccache_stats.py SCCACHE cold|warm.

Waits until all that was compiled is stored. Prints average ms of a read that hit, average ms of a write, hits, writes. Fails
when a cold build hit or did not store what it compiled, when a warm build compiled something, and on any error.
"""

import json
import subprocess
import sys
import time


def total(counts):
    return sum(counts["counts"].values())


def average(duration, count):
    return 1000 * (duration["secs"] + duration["nanos"] / 1e9) / count if count else 0.0


def main():
    sccache, kind = sys.argv[1:]
    until = time.monotonic() + 60
    while True:
        printed = subprocess.run([sccache, "--show-stats", "--stats-format", "json"], check=True, capture_output=True)
        stats = json.loads(printed.stdout)["stats"]
        hits, misses = total(stats["cache_hits"]), total(stats["cache_misses"])
        writes, failed = stats["cache_writes"], stats["cache_write_errors"]
        if writes + failed >= misses or time.monotonic() > until:
            break
        time.sleep(0.05)
    errors = failed + stats["cache_read_errors"] + stats["cache_timeouts"] + total(stats["cache_errors"])
    # A cold build that compiles nothing twice hits nothing.
    right = hits == 0 and misses > 0 and writes == misses if kind == "cold" else hits > 0 and misses == 0
    if errors or not right:
        sys.exit(f"sccache, {kind}: {hits} hits, {misses} misses, {writes} writes, {errors} errors")
    read = average(stats["cache_read_hit_duration"], hits)
    print(f"{read:.4f} {average(stats['cache_write_duration'], writes):.4f} {hits} {writes}")


main()
