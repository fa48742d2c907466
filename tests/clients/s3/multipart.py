"""Multipart uploads as boto3 does them."""

import base64
import json
import os
import zlib

from boto3.s3.transfer import TransferConfig
from larder_s3 import MIB, client, keys, main, noise, refused

WHERE = {"Bucket": "default", "Key": "dir/large one"}


def part(number, size=5 * MIB):
    return noise(size, f"part {number}".encode())


def begin(s3, **where):
    return s3.create_multipart_upload(**where)["UploadId"]


def send(s3, upload, number, body, **where):
    etag = s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)["ETag"]
    return {"PartNumber": number, "ETag": etag}


def complete(s3, upload, parts, **where):
    return s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})


def parts_become_one_object():
    s3 = client()
    upload = begin(s3, **WHERE)
    # In any order, one of them twice; numbers may have gaps.
    send(s3, upload, 2, b"an older body" * 10, **WHERE)
    third = send(s3, upload, 7, part(7, 100), **WHERE)
    second = send(s3, upload, 2, part(2), **WHERE)
    first = send(s3, upload, 1, part(1), **WHERE)
    refused(s3.get_object, "NoSuchKey", 404, **WHERE)
    assert keys(s3.list_objects_v2(Bucket="default")) == [], "an unfinished upload is listed"

    listed = s3.list_parts(**WHERE, UploadId=upload)
    assert [(p["PartNumber"], p["Size"], p["ETag"]) for p in listed["Parts"]] == [
        (1, 5 * MIB, first["ETag"]),
        (2, 5 * MIB, second["ETag"]),
        (7, 100, third["ETag"]),
    ], listed
    page = s3.list_parts(**WHERE, UploadId=upload, MaxParts=2)
    assert page["IsTruncated"] and len(page["Parts"]) == 2, page
    page = s3.list_parts(**WHERE, UploadId=upload, MaxParts=2, PartNumberMarker=page["NextPartNumberMarker"])
    assert [p["PartNumber"] for p in page["Parts"]] == [7] and not page["IsTruncated"], page

    done = complete(s3, upload, [first, second, third], **WHERE)
    assert done["Bucket"] == "default" and done["Key"] == WHERE["Key"], done
    found = s3.get_object(**WHERE)
    assert found["Body"].read() == part(1) + part(2) + part(7, 100)
    assert found["ETag"] == done["ETag"]
    refused(s3.list_parts, "NoSuchUpload", 404, **WHERE, UploadId=upload)
    assert s3.list_multipart_uploads(Bucket="default").get("Uploads", []) == []


def parts_are_copied():
    s3 = client()
    s3.put_object(Bucket="default", Key="a b+&ü", Body=part(1))
    source = {"Bucket": "default", "Key": "a b+&ü"}
    where = {"Bucket": "team", "Key": "made"}
    upload = begin(s3, **where)
    ask = {**where, "UploadId": upload, "CopySource": source}
    first = s3.upload_part_copy(**ask, PartNumber=1)["CopyPartResult"]["ETag"]
    second = s3.upload_part_copy(**ask, PartNumber=2, CopySourceRange="bytes=100-299")["CopyPartResult"]["ETag"]
    parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
    complete(s3, upload, parts, **where)
    assert s3.get_object(**where)["Body"].read() == part(1) + part(1)[100:300]

    upload = begin(s3, **where)
    ask = {**where, "UploadId": upload, "PartNumber": 1}
    missing = {"Bucket": "default", "Key": "none"}
    refused(s3.upload_part_copy, "NoSuchKey", 404, **ask, CopySource=missing)
    refused(s3.upload_part_copy, "InvalidRange", 416, **ask, CopySource=source, CopySourceRange="bytes=0-9999999")
    # Whoever may not read the source gets nothing of it by copying.
    refused(client("team-only").upload_part_copy, "AccessDenied", 403, **ask, CopySource=source)


def parts_with_checksums_of_their_own():
    # As `upload_file` does it for a large file.
    s3 = client()
    body = part(1) + part(2) + b"the end"
    with open("up", "wb") as file:
        file.write(body)
    for algorithm in ["CRC32", "SHA1", "SHA256"]:
        s3.upload_file(
            "up",
            "default",
            algorithm,
            ExtraArgs={"ChecksumAlgorithm": algorithm},
            Config=TransferConfig(multipart_chunksize=5 * MIB, multipart_threshold=5 * MIB),
        )
        assert s3.get_object(Bucket="default", Key=algorithm)["Body"].read() == body
    upload = begin(s3, **WHERE, ChecksumAlgorithm="CRC32")
    where = {**WHERE, "UploadId": upload, "PartNumber": 1}
    refused(s3.upload_part, "BadDigest", 400, **where, Body=b"x", ChecksumCRC32="AAAAAA==")
    refused(s3.upload_part, "BadDigest", 400, **where, Body=b"x", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
    assert "Parts" not in s3.list_parts(**WHERE, UploadId=upload)


def uploads_are_listed_and_aborted():
    s3 = client()
    uploads = {key: begin(s3, Bucket="team", Key=key) for key in ["a", "b/1", "b/2"]}
    listed = s3.list_multipart_uploads(Bucket="team")["Uploads"]
    assert [(entry["Key"], entry["UploadId"]) for entry in listed] == list(uploads.items()), listed
    listed = s3.list_multipart_uploads(Bucket="team", Prefix="b/")["Uploads"]
    assert [entry["Key"] for entry in listed] == ["b/1", "b/2"], listed
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="default")
    for key, upload in uploads.items():
        send(s3, upload, 1, b"x", Bucket="team", Key=key)
        s3.abort_multipart_upload(Bucket="team", Key=key, UploadId=upload)
        refused(s3.upload_part, "NoSuchUpload", 404, Bucket="team", Key=key, UploadId=upload, PartNumber=1, Body=b"x")
        refused(s3.get_object, "NoSuchKey", 404, Bucket="team", Key=key)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="team")


def what_does_not_fit_is_refused():
    s3 = client()
    upload = begin(s3, **WHERE)
    first, second = send(s3, upload, 1, part(1), **WHERE), send(s3, upload, 2, part(2), **WHERE)
    wrong = {"PartNumber": 2, "ETag": '"00000000000000000000000000000000"'}

    def completed(code, parts, **where):
        where = {**WHERE, "UploadId": upload, **where}
        refused(s3.complete_multipart_upload, code, 400, **where, MultipartUpload={"Parts": parts})

    completed("InvalidPart", [first, wrong])
    completed("InvalidPart", [first, {"PartNumber": 3, "ETag": second["ETag"]}])
    completed("InvalidPartOrder", [second, first])
    completed("MalformedXML", [])
    nobodys = {**WHERE, "UploadId": "no-upload-of-ours"}
    refused(s3.list_parts, "NoSuchUpload", 404, **nobodys)
    refused(s3.abort_multipart_upload, "NoSuchUpload", 404, **nobodys)
    # The upload belongs to its key and its bucket.
    refused(s3.list_parts, "NoSuchUpload", 404, Bucket="default", Key="other", UploadId=upload)
    refused(s3.list_parts, "NoSuchUpload", 404, Bucket="team", Key=WHERE["Key"], UploadId=upload)
    refused(s3.upload_part, "InvalidArgument", 400, **WHERE, UploadId=upload, PartNumber=10_001, Body=b"x")
    # None of that ended it. S3 wants 5 MiB in every part but the last; larder takes parts of any size.
    third, fourth = send(s3, upload, 3, b"small", **WHERE), send(s3, upload, 4, b"last", **WHERE)
    complete(s3, upload, [first, third, fourth], **WHERE)
    assert s3.get_object(**WHERE)["Body"].read() == part(1) + b"smalllast"

    upload = begin(s3, Bucket="small", Key="a")
    body = bytes(MIB + 1)
    refused(s3.upload_part, "EntityTooLarge", 400, Bucket="small", Key="a", UploadId=upload, PartNumber=1, Body=body)


def a_checksum_of_the_whole_is_verified():
    s3 = client()
    bodies = [part(1), part(2, 1000)]
    crc = base64.b64encode(zlib.crc32(b"".join(bodies)).to_bytes(4, "big")).decode()
    for given, code in [("AAAAAA==", "BadDigest"), (crc, None)]:
        upload = s3.create_multipart_upload(**WHERE, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")["UploadId"]
        sent = [send(s3, upload, number, body, **WHERE) for number, body in enumerate(bodies, 1)]
        ask = {**WHERE, "UploadId": upload, "MultipartUpload": {"Parts": sent}}
        ask |= {"ChecksumCRC32": given, "ChecksumType": "FULL_OBJECT"}
        if code:
            refused(s3.complete_multipart_upload, code, 400, **ask)
            refused(s3.get_object, "NoSuchKey", 404, **WHERE)
        else:
            s3.complete_multipart_upload(**ask)
    assert s3.get_object(**WHERE)["Body"].read() == b"".join(bodies)


def begun_before_the_server_was_killed():
    s3 = client()
    upload = begin(s3, **WHERE)
    parts = [send(s3, upload, number, part(number), **WHERE) for number in [1, 2]]
    doomed = begin(s3, Bucket="team", Key="doomed")
    send(s3, doomed, 1, part(1), Bucket="team", Key="doomed")
    with open("upload.json", "w") as file:
        json.dump({"upload": upload, "parts": parts, "doomed": doomed}, file)


def completed_after_it():
    s3 = client()
    with open("upload.json") as file:
        state = json.load(file)
    upload, parts = state["upload"], state["parts"]
    listed = s3.list_parts(**WHERE, UploadId=upload)["Parts"]
    assert [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in listed] == parts, listed
    parts.append(send(s3, upload, 3, part(3, 12_345), **WHERE))
    complete(s3, upload, parts, **WHERE)
    assert s3.get_object(**WHERE)["Body"].read() == part(1) + part(2) + part(3, 12_345)
    s3.abort_multipart_upload(Bucket="team", Key="doomed", UploadId=state["doomed"])
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="team")
    os.remove("upload.json")


main(globals())
