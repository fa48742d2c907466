"""Single objects as boto3 sees them: stored, read in part and on conditions, copied, deleted."""

import hashlib
import io
import re
from datetime import datetime, timedelta, timezone

from larder_s3 import MIB, client, keys, main, noise, refused

# Names that have to be escaped somewhere on their way: in the path, in XML, in a copy's source.
NAMES = ["plain", "deep/er/and/deeper", "a b+c&d=e?f#g", "ü/日本語", "quote'\"<>%41", "~-_.!*()", "a=b/c;d,e@f:g$h"]


def stored_read_and_deleted():
    s3 = client()
    for bucket in ["default", "team"]:
        for number, key in enumerate(NAMES):
            body = noise(1000 * number * number)
            refused(s3.get_object, "NoSuchKey", 404, Bucket=bucket, Key=key)
            refused(s3.head_object, "404", 404, Bucket=bucket, Key=key)
            stored = s3.put_object(Bucket=bucket, Key=key, Body=body)
            # Shaped so that no tool takes it for an MD5.
            assert re.fullmatch(r'"xxh3-[0-9a-f]{32}"', stored["ETag"]), stored
            found = s3.get_object(Bucket=bucket, Key=key)
            assert found["Body"].read() == body
            assert found["ETag"] == stored["ETag"]
            assert found["AcceptRanges"] == "bytes"
            head = s3.head_object(Bucket=bucket, Key=key)
            assert head["ContentLength"] == len(body)
            assert head["ETag"] == stored["ETag"]
            age = datetime.now(timezone.utc) - head["LastModified"]
            assert timedelta(seconds=-2) < age < timedelta(minutes=5), head
            assert key in keys(s3.list_objects_v2(Bucket=bucket)), key
        for key in NAMES:
            s3.delete_object(Bucket=bucket, Key=key)
            refused(s3.get_object, "NoSuchKey", 404, Bucket=bucket, Key=key)
            # S3 says 204 to whoever deletes what is not there.
            s3.delete_object(Bucket=bucket, Key=key)
        assert keys(s3.list_objects_v2(Bucket=bucket)) == []


def the_same_body_has_the_same_etag():
    s3 = client()
    first = s3.put_object(Bucket="default", Key="a", Body=b"one")["ETag"]
    other = s3.put_object(Bucket="team", Key="b", Body=b"other")["ETag"]
    again = s3.put_object(Bucket="team", Key="c", Body=b"one")["ETag"]
    assert first == again != other


def files_without_a_length_and_large_ones_are_stored():
    s3 = client()
    body = noise(9 * MIB)
    s3.upload_fileobj(io.BytesIO(body), "default", "large")
    down = io.BytesIO()
    s3.download_fileobj("default", "large", down)
    assert down.getvalue() == body
    s3.put_object(Bucket="default", Key="single", Body=io.BytesIO(body))
    assert hashlib.sha256(s3.get_object(Bucket="default", Key="single")["Body"].read()).digest() == (
        hashlib.sha256(body).digest()
    )


def ranges_are_served():
    s3 = client()
    body = noise(300_000)
    s3.put_object(Bucket="default", Key="a", Body=body)
    for text, expected in [
        ("bytes=0-0", body[:1]),
        ("bytes=100-65635", body[100:65636]),
        ("bytes=-7", body[-7:]),
        ("bytes=299000-", body[299_000:]),
        ("bytes=299990-999999", body[299_990:]),
    ]:
        part = s3.get_object(Bucket="default", Key="a", Range=text)
        assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert part["Body"].read() == expected, text
        assert part["ContentRange"].endswith("/300000"), part["ContentRange"]
        head = s3.head_object(Bucket="default", Key="a", Range=text)
        assert head["ContentLength"] in (len(expected), len(body)), head
    refused(s3.get_object, "InvalidRange", 416, Bucket="default", Key="a", Range="bytes=300000-")


def conditions_hold():
    s3 = client()
    where = {"Bucket": "default", "Key": "a"}
    etag = s3.put_object(**where, Body=b"one")["ETag"]
    changed = s3.head_object(**where)["LastModified"]
    s3.get_object(**where, IfMatch=etag)
    s3.get_object(**where, IfNoneMatch='"other"')
    s3.get_object(**where, IfUnmodifiedSince=changed)
    s3.get_object(**where, IfModifiedSince=changed - timedelta(hours=1))
    refused(s3.get_object, "PreconditionFailed", 412, **where, IfMatch='"other"')
    refused(s3.get_object, "PreconditionFailed", 412, **where, IfUnmodifiedSince=changed - timedelta(hours=1))
    refused(s3.get_object, "304", 304, **where, IfNoneMatch=etag)
    refused(s3.get_object, "304", 304, **where, IfModifiedSince=changed)

    # Create only, and replace only what was seen.
    refused(s3.put_object, "PreconditionFailed", 412, **where, Body=b"two", IfNoneMatch="*")
    refused(s3.put_object, "PreconditionFailed", 412, **where, Body=b"two", IfMatch='"other"')
    assert s3.get_object(**where)["Body"].read() == b"one"
    s3.put_object(**where, Body=b"two", IfMatch=etag)
    assert s3.get_object(**where)["Body"].read() == b"two"
    s3.put_object(Bucket="default", Key="new", Body=b"new", IfNoneMatch="*")
    refused(s3.delete_object, "PreconditionFailed", 412, **where, IfMatch=etag)
    s3.delete_object(**where, IfMatch=s3.head_object(**where)["ETag"])
    refused(s3.head_object, "404", 404, **where)


def copies():
    s3 = client()
    body = noise(200_000)
    for key in NAMES:
        etag = s3.put_object(Bucket="default", Key=key, Body=body)["ETag"]
        copied = s3.copy_object(Bucket="team", Key="copy/" + key, CopySource={"Bucket": "default", "Key": key})
        assert copied["CopyObjectResult"]["ETag"] == etag, copied
        assert copied["CopyObjectResult"]["LastModified"], copied
        assert s3.get_object(Bucket="team", Key="copy/" + key)["Body"].read() == body
    source = {"Bucket": "default", "Key": "plain"}
    refused(s3.copy_object, "NoSuchKey", 404, Bucket="team", Key="x", CopySource={"Bucket": "default", "Key": "none"})
    refused(s3.copy_object, "NoSuchBucket", 404, Bucket="team", Key="x", CopySource={"Bucket": "none", "Key": "a"})
    refused(s3.copy_object, "NoSuchBucket", 404, Bucket="none", Key="x", CopySource=source)
    refused(
        s3.copy_object, "PreconditionFailed", 412, Bucket="team", Key="x", CopySource=source, CopySourceIfMatch='"other"'
    )
    # Tools touch an object by copying it onto itself.
    s3.copy_object(**{"Bucket": "default", "Key": "plain"}, CopySource=source, MetadataDirective="REPLACE")
    assert s3.get_object(Bucket="default", Key="plain")["Body"].read() == body
    # Only the team's key: it may not read where the source is.
    refused(client("team-only").copy_object, "AccessDenied", 403, Bucket="team", Key="x", CopySource=source)


def many_are_deleted_at_once():
    s3 = client()
    names = NAMES + [f"many/{number:04}" for number in range(200)]
    for key in names:
        s3.put_object(Bucket="default", Key=key, Body=b"x")
    listed = [{"Key": key} for key in names + ["never there"]]
    gone = s3.delete_objects(Bucket="default", Delete={"Objects": listed})
    assert sorted(entry["Key"] for entry in gone["Deleted"]) == sorted(names + ["never there"]), gone
    assert "Errors" not in gone, gone
    assert keys(s3.list_objects_v2(Bucket="default")) == []
    s3.put_object(Bucket="default", Key="last", Body=b"x")
    quiet = s3.delete_objects(Bucket="default", Delete={"Objects": [{"Key": "last"}], "Quiet": True})
    assert "Deleted" not in quiet and "Errors" not in quiet, quiet
    refused(s3.get_object, "NoSuchKey", 404, Bucket="default", Key="last")
    # Who may not delete is told so for each object, or for all of them, and nothing is gone.
    s3.put_object(Bucket="default", Key="kept", Body=b"x")
    refused(
        client("reader").delete_objects, "AccessDenied", 403, Bucket="default", Delete={"Objects": [{"Key": "kept"}]}
    )
    assert s3.get_object(Bucket="default", Key="kept")["Body"].read() == b"x"


main(globals())
