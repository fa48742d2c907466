"""Signs S3 requests with the standard library alone, so that nothing of larder's vouches for itself.

As a program: sigv4.py METHOD PREFIX COUNT SIZE HOST prints a line for each key PREFIX0, PREFIX1, …: path and headers, with
tabs between, as requests.lua reads them; bodies are unsigned, and a PUT's length is signed, as sccache does it. The key pair and the region are
in BENCH_KEY, BENCH_SECRET and BENCH_REGION. Signatures are good for fifteen minutes.
"""

import hashlib
import hmac
import os
import sys
import time

UNSIGNED = "UNSIGNED-PAYLOAD"


def sign(method, path, host, digest=UNSIGNED, length=None):
    """The moment of the signature and the Authorization header."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{moment[:8]}/{os.environ['BENCH_REGION']}/s3/aws4_request"
    key = b"AWS4" + os.environ["BENCH_SECRET"].encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers = {} if length is None else {"content-length": length}
    headers |= {"host": host, "x-amz-content-sha256": digest, "x-amz-date": moment}
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    names = ";".join(headers)
    canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    who = f"Credential={os.environ['BENCH_KEY']}/{scope}, SignedHeaders={names}, Signature={signature}"
    return moment, f"AWS4-HMAC-SHA256 {who}"


def main():
    method, prefix, count, size, host = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    for number in range(count):
        path = f"{prefix}{number}"
        moment, authorization = sign(method, path, host, length=size if method == "PUT" else None)
        headers = [f"x-amz-content-sha256: {UNSIGNED}", f"x-amz-date: {moment}", f"Authorization: {authorization}"]
        print(path, *headers, sep="\t")


if __name__ == "__main__":
    main()
