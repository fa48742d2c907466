"""Refusals as boto3 sees them: S3's codes, and a request id on every answer."""

import datetime
import urllib.error
import urllib.request

import botocore.auth
from botocore import UNSIGNED
from larder_s3 import ENDPOINT, MIB, client, main, refused

WHERE = {"Bucket": "default", "Key": "a"}


def keys_and_signatures():
    client().put_object(**WHERE, Body=b"x")
    wrong = client(secret="this is not the secret of ci")
    refused(wrong.get_object, "SignatureDoesNotMatch", 403, **WHERE)
    refused(wrong.put_object, "SignatureDoesNotMatch", 403, **WHERE, Body=b"y")
    refused(wrong.list_buckets, "SignatureDoesNotMatch", 403)
    refused(client("nobody", "a secret of nobody").get_object, "InvalidAccessKeyId", 403, **WHERE)
    refused(client(signature_version=UNSIGNED).get_object, "AccessDenied", 403, **WHERE)
    # Signature V2 is not spoken; what matters is that it never passes for anonymous.
    old = client(signature_version="s3")
    refused(old.get_object, "AuthorizationHeaderMalformed", 400, **WHERE)
    assert client().get_object(**WHERE)["Body"].read() == b"x"


def whoever_shows_something_wrong():
    # The server lets everybody read and write.
    nobody = client(signature_version=UNSIGNED)
    nobody.put_object(**WHERE, Body=b"x")
    assert nobody.get_object(**WHERE)["Body"].read() == b"x"
    assert nobody.list_objects_v2(Bucket="default")["KeyCount"] == 1
    wrong, unknown = client(secret="this is not the secret of ci"), client("nobody", "a secret of nobody")
    for s3, code in [(wrong, "SignatureDoesNotMatch"), (unknown, "InvalidAccessKeyId")]:
        refused(s3.get_object, code, 403, **WHERE)
        refused(s3.put_object, code, 403, **WHERE, Body=b"y")
        refused(s3.list_objects_v2, code, 403, Bucket="default")
        refused(s3.delete_object, code, 403, **WHERE)
        status, text = fetch(s3.generate_presigned_url("get_object", Params=WHERE))
        assert status == 403 and code in text, (status, text)
    for query in ["AWSAccessKeyId=ci&Expires=9999999999&Signature=AAAA", "X-Amz-Signature=00", "X-Amz-Algorithm=x"]:
        status, text = fetch(f"{ENDPOINT}/default/a?{query}")
        assert status in (400, 403), (query, status, text)
    for value in ["AWS ci:AAAA", "AWS4-HMAC-SHA256 x", "AWS4-ECDSA-P256-SHA256 Credential=ci", "Bearer x", "Basic eDp5"]:
        status, text = fetch(f"{ENDPOINT}/default/a", {"Authorization": value, "x-amz-date": "20260101T000000Z"})
        assert status in (400, 401, 403), (value, status, text)
    assert nobody.get_object(**WHERE)["Body"].read() == b"x"


def fetch(url, headers=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {})) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def clocks():
    s3 = client()
    s3.put_object(**WHERE, Body=b"x")
    now = botocore.auth.get_current_datetime

    def off_by(minutes):
        botocore.auth.get_current_datetime = lambda *_: now() + datetime.timedelta(minutes=minutes)

    for minutes in [-14, 14]:
        off_by(minutes)
        s3.get_object(**WHERE)
    for minutes in [-16, 16, -60 * 24 * 365]:
        off_by(minutes)
        refused(s3.get_object, "RequestTimeTooSkewed", 403, **WHERE)


def rights():
    writer, reader, team = client(), client("reader"), client("team-only")
    writer.put_object(**WHERE, Body=b"x")
    assert reader.get_object(**WHERE)["Body"].read() == b"x"
    refused(reader.put_object, "AccessDenied", 403, **WHERE, Body=b"y")
    refused(reader.delete_object, "AccessDenied", 403, **WHERE)
    refused(reader.create_multipart_upload, "AccessDenied", 403, **WHERE)
    refused(
        reader.copy_object, "AccessDenied", 403, Bucket="default", Key="b", CopySource={"Bucket": "default", "Key": "a"}
    )
    team.put_object(Bucket="team", Key="a", Body=b"x")
    for call in [team.get_object, team.delete_object]:
        refused(call, "AccessDenied", 403, **WHERE)
    refused(team.list_objects_v2, "AccessDenied", 403, Bucket="default")
    assert writer.get_object(**WHERE)["Body"].read() == b"x"


def objects():
    s3 = client()
    refused(s3.get_object, "NoSuchKey", 404, **WHERE)
    refused(s3.get_object, "NoSuchBucket", 404, Bucket="none", Key="a")
    refused(s3.put_object, "NoSuchBucket", 404, Bucket="none", Key="a", Body=b"x")
    refused(s3.put_object, "EntityTooLarge", 400, Bucket="small", Key="a", Body=bytes(MIB + 1))
    refused(s3.get_object, "NoSuchKey", 404, Bucket="small", Key="a")
    s3.put_object(Bucket="small", Key="a", Body=bytes(MIB))
    # A namespace's keys are paths: what is too long, or would climb out of them, is no key.
    for key in ["k" * 1025, "a/../b", "a//b", "a/"]:
        refused(s3.put_object, "InvalidURI", 400, Bucket="default", Key=key, Body=b"x")


def what_is_not_there_says_so():
    s3 = client()
    s3.put_object(**WHERE, Body=b"x")
    bucket = {"Bucket": "default"}
    policy = {"Policy": "{}"}
    tags = {"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}}
    rules = [{"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]
    for call, arguments in [
        (s3.get_bucket_acl, bucket),
        (s3.put_bucket_acl, {**bucket, "ACL": "public-read"}),
        (s3.get_bucket_policy, bucket),
        (s3.put_bucket_policy, {**bucket, **policy}),
        (s3.delete_bucket_policy, bucket),
        (s3.get_bucket_versioning, bucket),
        (s3.put_bucket_versioning, {**bucket, "VersioningConfiguration": {"Status": "Enabled"}}),
        (s3.get_bucket_lifecycle_configuration, bucket),
        (s3.put_bucket_lifecycle_configuration, {**bucket, "LifecycleConfiguration": {"Rules": rules}}),
        (s3.get_bucket_cors, bucket),
        (s3.get_bucket_encryption, bucket),
        (s3.get_bucket_tagging, bucket),
        (s3.list_object_versions, bucket),
        (s3.delete_bucket, bucket),
        (s3.get_object_acl, WHERE),
        (s3.put_object_acl, {**WHERE, "ACL": "public-read"}),
        (s3.get_object_tagging, WHERE),
        (s3.put_object_tagging, {**WHERE, **tags}),
        (s3.delete_object_tagging, WHERE),
        (s3.get_object_attributes, {**WHERE, "ObjectAttributes": ["ETag"]}),
        (s3.get_object_retention, WHERE),
        (s3.get_object_torrent, WHERE),
        (s3.restore_object, {**WHERE, "RestoreRequest": {"Days": 1}}),
    ]:
        refused(call, "NotImplemented", 501, **arguments)
    # Nothing of that was taken for a request without its query.
    assert s3.get_object(**WHERE)["Body"].read() == b"x"
    assert s3.list_objects_v2(**bucket)["KeyCount"] == 1


def every_answer_has_a_request_id():
    s3 = client()
    ids = [s3.put_object(**WHERE, Body=b"x"), s3.get_object(**WHERE), s3.head_object(**WHERE)]
    ids += [s3.list_buckets(), s3.list_objects_v2(Bucket="default"), s3.delete_object(**WHERE)]
    ids += [refused(s3.get_object, "NoSuchKey", 404, **WHERE), refused(s3.head_object, "404", 404, **WHERE)]
    ids = [answer["ResponseMetadata"]["RequestId"] for answer in ids]
    assert all(ids) and len(set(ids)) == len(ids), ids


main(globals())
