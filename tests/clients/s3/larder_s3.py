"""A boto3 client for the server that the environment names, and what the scripts check with.

Each script is called with the name of one of its functions. Plain asserts: a failure ends it with a traceback.
"""

import hashlib
import os
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["LARDER_ENDPOINT"]
DOMAIN = os.environ["LARDER_DOMAIN"]
MIB = 1 << 20


def client(key="ci", secret=None, endpoint=ENDPOINT, region="eu-somewhere-7", **options):
    """A client with one of the server's keys; no retries, so that each error is seen as it came."""
    if secret is None:
        secret = os.environ["LARDER_SECRET_" + key.upper().replace("-", "_")]
    settings = {"addressing_style": "path", **options.pop("s3", {})}
    config = Config(s3=settings, retries={"total_max_attempts": 1}, **options)
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=config,
    )


def refused(call, code, status, **arguments):
    """Calls, and checks that the answer is an error with this code, status, a text and a request id."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        found = error.response["Error"]
        metadata = error.response["ResponseMetadata"]
        assert found["Code"] == code, f"{error}: expected {code}"
        assert metadata["HTTPStatusCode"] == status, f"{error}: expected {status}, got {metadata}"
        assert metadata["RequestId"], f"{error}: no request id"
        # An answer to HEAD has no body to say anything in; boto3 then puts the reason phrase there.
        assert found["Message"], f"{error}: no message"
        return error.response
    asked = f"{call.__name__} with {str(arguments)[:300]}"
    raise AssertionError(f"{asked} was to be refused with {code}: {str(answer)[:300]}")


def noise(length, seed=b"larder"):
    """Bytes that no compression helps with, the same on every run."""
    return hashlib.shake_128(seed).digest(length)


def keys(answer):
    """The keys of a page of a listing."""
    return [entry["Key"] for entry in answer.get("Contents", [])]


def prefixes(answer):
    """The common prefixes of a page of a listing."""
    return [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])]


def main(functions):
    """Calls the function that the command line names."""
    functions[sys.argv[1]]()
