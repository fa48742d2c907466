"""Signature V4 with the standard library alone, so that nothing of larder's vouches for itself.

Owns how a request of a benchmark is signed; knows no server. Bodies are unsigned, as sccache sends them.
"""

import hashlib
import hmac
import time


def signed_headers(method, path, host, key_id, secret, body_bytes=None):
    """The headers that sign this request, as pairs. Good for fifteen minutes; `body_bytes` for what has a body."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{moment[:8]}/auto/s3/aws4_request"
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    covered = {"host": host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": moment}
    if body_bytes is not None:
        covered["content-length"] = str(body_bytes)
    lines = "".join(f"{name}:{covered[name]}\n" for name in sorted(covered))
    names = ";".join(sorted(covered))
    canonical = f"{method}\n{path}\n\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    who = f"Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return [
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-date", moment),
        ("Authorization", f"AWS4-HMAC-SHA256 {who}"),
    ]
