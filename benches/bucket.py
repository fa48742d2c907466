"""The time a miss takes through larder, beside what the bucket behind it takes for the same by itself.

Called by benches/bucket: bucket.py LARDER_URL BUCKET COUNT SIZE...; BUCKET is a directory, or the URL of a bucket in an S3
server that speaks HTTP, with its key in BENCH_KEY, BENCH_SECRET and BENCH_REGION. Prints a line for each size, and one for objects that the
bucket does not have ("absent"): what, the medians of both in milliseconds, and how many requests each is of.

Each object is asked for once, on one connection to either side, in turns, so that both do the same work at the same time.
Only the standard library, so that nothing of larder's vouches for itself.
"""

import hashlib
import http.client
import os
import statistics
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "lib"))
import sigv4

# Requests to either side that do not count: they open connections and warm what is warm in every build.
WARMING = 10


class Answer(Exception):
    """An answer that makes the numbers worthless."""


class Web:
    """One connection, kept."""

    def __init__(self, origin):
        self.connection = http.client.HTTPConnection(origin, timeout=60)

    def ask(self, method, path, headers, body=None):
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


class S3:
    """A bucket in an S3 server; signatures are made before the clock runs."""

    def __init__(self, url):
        parsed = urllib.parse.urlsplit(url)
        self.host, self.bucket = parsed.netloc, parsed.path
        self.web = Web(self.host)

    def signed(self, method, key, body=b""):
        path, digest = f"{self.bucket}/{key}", hashlib.sha256(body).hexdigest()
        moment, authorization = sigv4.sign(method, path, self.host, digest)
        return path, {"x-amz-content-sha256": digest, "x-amz-date": moment, "Authorization": authorization}

    def put(self, key, body):
        path, headers = self.signed("PUT", key, body)
        status, text = self.web.ask("PUT", path, headers, body)
        if status != 200:
            raise Answer(f"the bucket answered {status} to a PUT: {text[:200]}")

    def reader(self, key):
        path, headers = self.signed("GET", key)
        return lambda: self.web.ask("GET", path, headers)


class Directory:
    """A bucket of files."""

    def __init__(self, path):
        self.path = path

    def put(self, key, body):
        path = os.path.join(self.path, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(body)

    def reader(self, key):
        path = os.path.join(self.path, key)

        def read():
            try:
                with open(path, "rb") as file:
                    return 200, file.read()
            except FileNotFoundError:
                return 404, b""

        return read


def timed(read, status, body):
    began = time.perf_counter()
    answered, found = read()
    took = time.perf_counter() - began
    if answered != status or (status == 200 and found != body):
        raise Answer(f"{answered} and {len(found)} bytes where {status} and {len(body)} were due")
    return took


def main():
    larder, place, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    bucket = S3(place) if place.startswith("http://") else Directory(place)
    web = Web(urllib.parse.urlsplit(larder).netloc)
    for what in [*sys.argv[4:], "absent"]:
        status, body = (404, b"") if what == "absent" else (200, os.urandom(int(what)))
        if status == 200:
            for number in range(2 * (WARMING + count)):
                bucket.put(f"default/miss/{what}/{number}", body)
        direct, through = [], []
        for number in range(WARMING + count):
            own = bucket.reader(f"default/miss/{what}/{2 * number}")
            path = f"/default/miss/{what}/{2 * number + 1}"
            both = [(direct, own), (through, lambda path=path: web.ask("GET", path, {}))]
            for times, read in both if number % 2 else reversed(both):
                times.append(timed(read, status, body))
        medians = [1000 * statistics.median(times[WARMING:]) for times in (direct, through)]
        print(what, f"{medians[0]:.3f} {medians[1]:.3f}", count)


try:
    main()
except Answer as error:
    sys.exit(f"benches/bucket.py: {error}")
