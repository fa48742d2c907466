"""Makes presigned URLs and prints them as JSON, for curl to use."""

import datetime
import json
from urllib.parse import urlparse

import botocore.auth
from larder_s3 import DOMAIN, ENDPOINT, client, main

WHERE = {"Bucket": "team", "Key": "dir/a b+c&ü"}


def urls():
    def sign(s3, call, lifetime=300, **more):
        return s3.generate_presigned_url(call, Params={**WHERE, **more}, ExpiresIn=lifetime)

    s3 = client()
    domain = f"http://{DOMAIN}:{urlparse(ENDPOINT).port}"
    made = {
        "get": sign(s3, "get_object"),
        "head": sign(s3, "head_object"),
        "put": sign(s3, "put_object"),
        "delete": sign(s3, "delete_object"),
        "typed put": sign(s3, "put_object", ContentType="text/x-larder"),
        "a week": sign(s3, "get_object", 7 * 24 * 3600),
        "too long": sign(s3, "get_object", 7 * 24 * 3600 + 1),
        "reader's put": sign(client("reader"), "put_object"),
        "wrong secret": sign(client(secret="this is not the secret of ci"), "get_object"),
        "nobody's": sign(client("nobody", "a secret of nobody"), "get_object"),
        "host": sign(client(endpoint=domain, s3={"addressing_style": "virtual"}), "get_object"),
        "list": s3.generate_presigned_url("list_objects_v2", Params={"Bucket": "team", "Prefix": "dir/"}),
    }
    now = botocore.auth.get_current_datetime
    for name, minutes in [("expired", -10), ("not yet", 60)]:
        botocore.auth.get_current_datetime = lambda *_, by=minutes: now() + datetime.timedelta(minutes=by)
        made[name] = sign(s3, "get_object")
    print(json.dumps(made))


main(globals())
