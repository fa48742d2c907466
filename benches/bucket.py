"""The time a miss takes through larder, beside what the bucket behind it takes for the same by itself.

Called by benches/bucket: bucket.py LARDER_URL BUCKET COUNT SIZE...; BUCKET is a directory, or the URL of a bucket in an S3
server that speaks HTTP, with its key in BENCH_KEY and BENCH_SECRET. Prints a line for each size, and one for objects that the
bucket does not have ("absent"): what, the medians of both in milliseconds, and how many requests each is of.

Each object is asked for once, on one connection to either side, in turns, so that both do the same work at the same time.
Only the standard library, so that nothing of larder's vouches for itself.
"""

import hashlib
import hmac
import http.client
import os
import statistics
import sys
import time
import urllib.parse


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
        self.region = os.environ["BENCH_REGION"]

    def signed(self, method, key, body=b""):
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{moment[:8]}/{self.region}/s3/aws4_request"
        secret = b"AWS4" + os.environ["BENCH_SECRET"].encode()
        for part in scope.split("/"):
            secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
        path, digest = f"{self.bucket}/{key}", hashlib.sha256(body).hexdigest()
        names = "host;x-amz-content-sha256;x-amz-date"
        canonical = f"{method}\n{path}\n\nhost:{self.host}\nx-amz-content-sha256:{digest}\nx-amz-date:{moment}\n\n{names}\n{digest}"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        who = f"Credential={os.environ['BENCH_KEY']}/{scope}, SignedHeaders={names}, Signature={signature}"
        headers = {"x-amz-content-sha256": digest, "x-amz-date": moment, "Authorization": f"AWS4-HMAC-SHA256 {who}"}
        return path, headers

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
