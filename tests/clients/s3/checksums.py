"""Checksums that boto3 sends, in a header or behind a chunked body: the right ones are taken, wrong ones refused."""

import base64
import hashlib
from urllib.parse import urlparse

import botocore.httpchecksum
from larder_s3 import client, main, noise, refused

ALGORITHMS = ["CRC32", "SHA1", "SHA256"]
WRONG = {
    "ChecksumCRC32": base64.b64encode(bytes(4)).decode(),
    "ChecksumCRC32C": base64.b64encode(bytes(4)).decode(),
    "ChecksumCRC64NVME": base64.b64encode(bytes(8)).decode(),
    "ChecksumSHA1": base64.b64encode(bytes(20)).decode(),
    "ChecksumSHA256": base64.b64encode(bytes(32)).decode(),
}
# Of `123456789`, the text that every catalogue of CRCs is checked with.
RIGHT = {
    "ChecksumCRC32": "cbf43926",
    "ChecksumCRC32C": "e3069283",
    "ChecksumCRC64NVME": "ae8b14860a799888",
    "ChecksumSHA1": hashlib.sha1(b"123456789").hexdigest(),
    "ChecksumSHA256": hashlib.sha256(b"123456789").hexdigest(),
}


def in_headers():
    s3 = client()
    for name, right in RIGHT.items():
        where = {"Bucket": "default", "Key": name}
        s3.put_object(**where, Body=b"123456789", **{name: base64.b64encode(bytes.fromhex(right)).decode()})
        assert s3.get_object(**where)["Body"].read() == b"123456789"
        where["Key"] = "wrong"
        refused(s3.put_object, "BadDigest", 400, **where, Body=b"123456789", **{name: WRONG[name]})
        refused(s3.put_object, "InvalidDigest", 400, **where, Body=b"123456789", **{name: "not base64!"})
        refused(s3.get_object, "NoSuchKey", 404, **where)
    for algorithm in ALGORITHMS:
        s3.put_object(Bucket="default", Key=algorithm, Body=noise(100_000), ChecksumAlgorithm=algorithm)
        assert s3.get_object(Bucket="default", Key=algorithm)["Body"].read() == noise(100_000)


def of_content_md5():
    s3 = client()
    body = noise(50_000)
    right = base64.b64encode(hashlib.md5(body).digest()).decode()
    wrong = base64.b64encode(bytes(16)).decode()
    s3.put_object(Bucket="default", Key="a", Body=body, ContentMD5=right)
    refused(s3.put_object, "BadDigest", 400, Bucket="default", Key="b", Body=body, ContentMD5=wrong)
    refused(s3.put_object, "InvalidDigest", 400, Bucket="default", Key="b", Body=body, ContentMD5="short")
    refused(s3.get_object, "NoSuchKey", 404, Bucket="default", Key="b")


def behind_the_body():
    # Over TLS boto3 sends `STREAMING-UNSIGNED-PAYLOAD-TRAILER`. It asks the URL, and is told that it is TLS.
    botocore.httpchecksum.urlparse = lambda url: urlparse(url.replace("http://", "https://"))
    s3 = client()
    seen = []

    def note(request, **_):
        seen.append(request.headers["X-Amz-Content-SHA256"].decode())

    s3.meta.events.register("before-send.s3.PutObject", note)
    s3.meta.events.register("before-send.s3.UploadPart", note)
    for number, algorithm in enumerate(ALGORITHMS):
        # Around the size of one chunk, which is 1 MiB.
        body = noise((1 << 20) + number - 1)
        s3.put_object(Bucket="default", Key=algorithm, Body=body, ChecksumAlgorithm=algorithm)
        assert s3.get_object(Bucket="default", Key=algorithm)["Body"].read() == body
    s3.put_object(Bucket="default", Key="empty", Body=b"", ChecksumAlgorithm="CRC32")
    assert s3.get_object(Bucket="default", Key="empty")["Body"].read() == b""
    upload = s3.create_multipart_upload(Bucket="default", Key="parts")["UploadId"]
    where = {"Bucket": "default", "Key": "parts", "UploadId": upload}
    part = s3.upload_part(**where, PartNumber=1, Body=noise(3_000_000), ChecksumAlgorithm="CRC32")
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert s3.get_object(Bucket="default", Key="parts")["Body"].read() == noise(3_000_000)
    assert seen == ["STREAMING-UNSIGNED-PAYLOAD-TRAILER"] * 5, seen

    # A body that is not what its trailer says: the digest is exchanged just before it is sent.
    digest = botocore.httpchecksum.Crc32Checksum.digest
    botocore.httpchecksum.Crc32Checksum.digest = lambda self: bytes(4)
    refused(s3.put_object, "BadDigest", 400, Bucket="default", Key="bad", Body=b"x" * 10, ChecksumAlgorithm="CRC32")
    botocore.httpchecksum.Crc32Checksum.digest = digest
    refused(s3.get_object, "NoSuchKey", 404, Bucket="default", Key="bad")


def of_a_signed_body():
    # boto3 signs the body's SHA-256 where it is asked to; a body changed on its way is refused.
    s3 = client(s3={"payload_signing_enabled": True})
    body = noise(50_000)
    s3.put_object(Bucket="default", Key="a", Body=body)
    assert s3.get_object(Bucket="default", Key="a")["Body"].read() == body

    def change(request, **_):
        request.body = b"y" + body[1:]

    s3 = client(s3={"payload_signing_enabled": True}, request_checksum_calculation="when_required")
    s3.meta.events.register("before-send.s3.PutObject", change)
    refused(s3.put_object, "XAmzContentSHA256Mismatch", 400, Bucket="default", Key="b", Body=body)
    refused(s3.get_object, "NoSuchKey", 404, Bucket="default", Key="b")


main(globals())
