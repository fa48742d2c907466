"""Buckets and listings as boto3 sees them."""

from larder_s3 import client, keys, main, prefixes, refused

TREE = ["a", "b/1", "b/2", "b/c/3", "b/c/4", "b0", "d e/ü&<>", "e"]


def fill(s3, bucket="default"):
    for key in TREE:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())


def buckets():
    s3 = client()
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["default", "small", "team"]
    # Only those that the key may use.
    assert [bucket["Name"] for bucket in client("team-only").list_buckets()["Buckets"]] == ["team"]
    for name in ["default", "small", "team"]:
        s3.head_bucket(Bucket=name)
        s3.get_bucket_location(Bucket=name)
        # Success for what the configuration names, so that tools which make their bucket first go on.
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-somewhere-7"})
    refused(s3.head_bucket, "404", 404, Bucket="none")
    refused(s3.get_bucket_location, "NoSuchBucket", 404, Bucket="none")
    refused(s3.list_objects_v2, "NoSuchBucket", 404, Bucket="none")
    refused(
        s3.create_bucket, "AccessDenied", 403, Bucket="none", CreateBucketConfiguration={"LocationConstraint": "x"}
    )


def prefixes_and_delimiters():
    s3 = client()
    fill(s3)
    for version in [s3.list_objects, s3.list_objects_v2]:
        assert keys(version(Bucket="default")) == TREE
        assert keys(version(Bucket="team")) == []
        assert keys(version(Bucket="default", Prefix="b")) == ["b/1", "b/2", "b/c/3", "b/c/4", "b0"]
        top = version(Bucket="default", Delimiter="/")
        assert (keys(top), prefixes(top)) == (["a", "b0", "e"], ["b/", "d e/"])
        below = version(Bucket="default", Delimiter="/", Prefix="b/")
        assert (keys(below), prefixes(below)) == (["b/1", "b/2"], ["b/c/"])
        none = version(Bucket="default", Prefix="zzz", Delimiter="/")
        assert (keys(none), prefixes(none)) == ([], [])
        other = version(Bucket="default", Delimiter="c/")
        assert (keys(other), prefixes(other)) == (["a", "b/1", "b/2", "b0", "d e/ü&<>", "e"], ["b/c/"])
    answer = s3.list_objects_v2(Bucket="default")
    assert answer["KeyCount"] == len(TREE) and answer["IsTruncated"] is False, answer
    for entry in answer["Contents"]:
        head = s3.head_object(Bucket="default", Key=entry["Key"])
        assert entry["ETag"] == head["ETag"], entry
        assert entry["Size"] == len(entry["Key"].encode()), entry
        assert entry["LastModified"].replace(microsecond=0) == head["LastModified"], (entry, head)
    assert keys(s3.list_objects_v2(Bucket="default", StartAfter="b/c/3")) == ["b/c/4", "b0", "d e/ü&<>", "e"]


def pages_cover_everything_once():
    s3 = client()
    fill(s3)
    everything = TREE
    for size in [1, 2, 3, 7, 8, 1000]:
        for name in ["list_objects", "list_objects_v2"]:
            pages = list(s3.get_paginator(name).paginate(Bucket="default", PaginationConfig={"PageSize": size}))
            found = [key for page in pages for key in keys(page)]
            assert found == everything, (name, size, found)
            assert all(len(keys(page)) <= size for page in pages)
            pages = list(
                s3.get_paginator(name).paginate(Bucket="default", Delimiter="/", PaginationConfig={"PageSize": size})
            )
            found = [key for page in pages for key in keys(page) + prefixes(page)]
            assert sorted(found) == ["a", "b/", "b0", "d e/", "e"], (name, size, found)
            assert all(len(keys(page)) + len(prefixes(page)) <= size for page in pages)
    none = s3.list_objects_v2(Bucket="default", MaxKeys=0)
    assert keys(none) == [] and none["IsTruncated"] is False, none


def tokens_stay_valid_while_the_cache_changes():
    s3 = client()
    for number in range(20):
        s3.put_object(Bucket="default", Key=f"{number:02}", Body=b"x")
    page = s3.list_objects_v2(Bucket="default", MaxKeys=5)
    found = keys(page)
    # The object where the page ended goes away, one behind it too, and one comes before and one behind it.
    for key in ["04", "07"]:
        s3.delete_object(Bucket="default", Key=key)
    for key in ["03a", "09a"]:
        s3.put_object(Bucket="default", Key=key, Body=b"x")
    while page["IsTruncated"]:
        page = s3.list_objects_v2(Bucket="default", MaxKeys=5, ContinuationToken=page["NextContinuationToken"])
        found += keys(page)
    expected = [f"{number:02}" for number in range(20) if number != 7]
    expected.insert(expected.index("10"), "09a")
    assert found == expected, found
    refused(s3.list_objects_v2, "InvalidArgument", 400, Bucket="default", ContinuationToken="no token of ours")


main(globals())
