"""Buckets as host names: `team.s3.example.test` instead of a path. No name server and no file of the machine's
knows that domain; this script's own look-ups go to the server."""

import socket
from urllib.parse import urlparse

from larder_s3 import DOMAIN, ENDPOINT, client, keys, main, noise, refused

PORT = urlparse(ENDPOINT).port


def below_our_domain():
    lookup, asked = socket.getaddrinfo, set()

    def ours(host, *rest, **named):
        asked.add(host)
        return lookup("127.0.0.1" if host.endswith(DOMAIN) else host, *rest, **named)

    socket.getaddrinfo = ours
    return client(endpoint=f"http://{DOMAIN}:{PORT}", s3={"addressing_style": "virtual"}), asked


def a_bucket_is_a_host():
    s3, asked = below_our_domain()
    path = client()
    for key in ["a", "default/b", "deep/ü &"]:
        s3.put_object(Bucket="team", Key=key, Body=key.encode())
        assert s3.get_object(Bucket="team", Key=key)["Body"].read() == key.encode()
        assert path.get_object(Bucket="team", Key=key)["Body"].read() == key.encode()
        refused(path.get_object, "NoSuchKey", 404, Bucket="default", Key=key)
    assert keys(s3.list_objects_v2(Bucket="team")) == ["a", "deep/ü &", "default/b"]
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["default", "small", "team"]
    s3.copy_object(Bucket="default", Key="copy", CopySource={"Bucket": "team", "Key": "a"})
    assert path.get_object(Bucket="default", Key="copy")["Body"].read() == b"a"
    s3.delete_objects(Bucket="team", Delete={"Objects": [{"Key": "a"}, {"Key": "default/b"}]})
    assert keys(path.list_objects_v2(Bucket="team")) == ["deep/ü &"]
    upload = s3.create_multipart_upload(Bucket="team", Key="parts")["UploadId"]
    part = s3.upload_part(Bucket="team", Key="parts", UploadId=upload, PartNumber=1, Body=noise(1000))
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket="team", Key="parts", UploadId=upload, MultipartUpload=parts)
    assert path.get_object(Bucket="team", Key="parts")["Body"].read() == noise(1000)
    refused(s3.get_object, "NoSuchBucket", 404, Bucket="none", Key="a")
    assert {f"team.{DOMAIN}", f"default.{DOMAIN}", DOMAIN} <= asked, asked


main(globals())
