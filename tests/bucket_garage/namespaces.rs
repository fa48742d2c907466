//! Namespaces over one bucket: layers read through, and nobody reaches another's objects.

use crate::behind::{Behind, Settings, noise};
use crate::common::http;

const LAYERS: Settings = Settings {
    top: "",
    bucket: "",
    secret: None,
    tables: "[namespaces.main]\n[namespaces.\"pr-*\"]\nbase = \"main\"\n[namespaces.other]\nbucket_prefix = \"else/where\"\n",
};

#[test]
fn a_layer_reads_through_to_what_only_its_bases_bucket_has() {
    let mut larder = Behind::s3(LAYERS);
    let body = noise(1, 50_000);
    larder.put_into_bucket_only(&[
        ("/main/key", &body),
        ("/main/both", b"of main"),
        ("/pr-1/both", b"of pr-1"),
    ]);
    larder.assert_hit("/pr-1/key", &body);
    larder.assert_hit("/pr-1/both", b"of pr-1");
    larder.assert_hit("/pr-2/both", b"of main");
    assert!(larder.larder.metric("larder_base_hits_total") >= 2.0);
    larder.wait_until_drained();
    assert_eq!(larder.names(), ["main/both", "main/key", "pr-1/both"], "reading wrote to the bucket");

    // A delete in the layer uncovers the base's and leaves it alone.
    assert_eq!(larder.delete("/pr-1/both").status, 204);
    larder.assert_hit("/pr-1/both", b"of main");
    larder.wait_until_drained();
    assert_eq!(larder.names(), ["main/both", "main/key"]);
}

#[test]
fn a_layer_prefers_its_own_object_in_the_bucket_to_its_bases_on_disk() {
    let mut larder = Behind::s3(LAYERS);
    larder.put_into_bucket_only(&[("/pr-1/key", b"of pr-1"), ("/main/key", b"of main")]);
    // Only where this server has seen the layer's own, as it does when it reads the bucket.
    larder.assert_hit("/pr-1/key", b"of pr-1");
    larder.assert_hit("/main/key", b"of main");
    larder.assert_hit("/pr-1/key", b"of pr-1");
}

#[test]
fn each_namespace_has_a_place_of_its_own() {
    let mut larder = Behind::s3(LAYERS);
    larder.put("/main/key", b"main");
    larder.put("/other/key", b"other");
    larder.put("/key", b"default");
    larder.wait_until_drained();
    assert_eq!(larder.names(), ["default/key", "else/where/key", "main/key"]);
    larder.forget_disk();
    larder.assert_hit("/main/key", b"main");
    larder.assert_hit("/other/key", b"other");
    larder.assert_hit("/key", b"default");
}

#[test]
fn no_key_reaches_into_another_namespaces_part_of_the_bucket() {
    const SHARED: Settings = Settings {
        top: "",
        bucket: "",
        secret: None,
        tables: "[namespaces.secret]\n[namespaces.main]\n[namespaces.default]\nbucket_prefix = \"\"\n",
    };
    let mut larder = Behind::s3(SHARED);
    larder.put_into_bucket_only(&[("/secret/key", b"secret")]);
    // By way of `default`, whose keys lie at the top of the bucket.
    let by_default = |method: &str, body: &[u8]| {
        http::request(larder.larder.address(), method, "/default/secret/key", &[], body).status
    };
    assert_eq!(by_default("GET", b""), 404);
    assert_eq!(by_default("DELETE", b""), 404);
    assert_eq!(by_default("PUT", b"forged"), 201);
    for key in ["/main/../secret/key", "/main/%2e%2e/secret/key", "/main/..%2fsecret%2fkey"] {
        let answer = larder.get(key);
        assert!(answer.body != b"secret", "{key}: {}", answer.status);
    }
    larder.wait_until_drained();
    assert_eq!(larder.stored("secret/key").unwrap(), b"secret", "somebody else wrote it");
    larder.assert_hit("/secret/key", b"secret");
    larder.assert_hit("/default/secret/key", b"forged");
}
