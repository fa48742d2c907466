//! A bucket that others write to, too: other servers of ours, sccache itself, people.

use crate::behind::{Behind, Settings, noise};
use crate::common::{http, tools, wait_for};
use crate::garage;

/// The namespace `default` without a prefix of its own: objects lie where sccache puts them.
const TAKEN_OVER: Settings =
    Settings { top: "", bucket: "", secret: None, tables: "[namespaces.default]\nbucket_prefix = \"\"\n" };

#[test]
fn what_another_tool_put_into_the_bucket_is_adopted() {
    let larder = Behind::s3(TAKEN_OVER);
    let scratch = tempfile::tempdir().unwrap();
    let (small, large) = (noise(1, 40_000), noise(2, 18 << 20));
    for (key, body) in [("0/1/2/0123abcd", &small), ("f/e/d/fedc4321", &large)] {
        let file = scratch.path().join("body");
        std::fs::write(&file, body).unwrap();
        let mut aws = std::process::Command::new(tools::tool("aws"));
        tools::isolate(&mut aws);
        aws.env("AWS_ACCESS_KEY_ID", garage::KEY_ID).env("AWS_SECRET_ACCESS_KEY", garage::SECRET);
        aws.env("AWS_ENDPOINT_URL", format!("http://{}", larder.garage().address()))
            .env("HOME", scratch.path());
        aws.env("AWS_DEFAULT_REGION", garage::REGION).env("AWS_EC2_METADATA_DISABLED", "true");
        let target = format!("s3://{}/{}", garage::BUCKET, larder.path(key));
        tools::run(aws.args(["s3", "cp", "--only-show-errors"]).arg(&file).arg(target));
    }
    larder.assert_hit("/0/1/2/0123abcd", &small);
    larder.assert_hit("/f/e/d/fedc4321", &large);
    assert_eq!(larder.larder.metric("larder_bucket_hits_total"), 2.0);
    // Adopted means: on disk from now on.
    larder.wire.go_down();
    larder.assert_hit("/0/1/2/0123abcd", &small);
    larder.assert_hit("/f/e/d/fedc4321", &large);
}

#[test]
fn what_is_stored_with_an_empty_prefix_lies_where_others_look_for_it() {
    let mut larder = Behind::s3(TAKEN_OVER);
    larder.put("/0/1/2/0123abcd", b"body");
    larder.wait_until_drained();
    assert_eq!(larder.stored("0/1/2/0123abcd").unwrap(), b"body");
    larder.forget_disk();
    larder.assert_hit("/0/1/2/0123abcd", b"body");
}

#[test]
fn two_servers_share_what_either_has_stored() {
    let larder = Behind::s3(Settings::default());
    let other = larder.another();
    larder.put("/mine", b"mine");
    assert_eq!(http::put(other.address(), "/yours", b"yours").status, 201);
    for (address, path, body) in
        [(other.address(), "/mine", "mine"), (larder.larder.address(), "/yours", "yours")]
    {
        let answer = wait_for("the other's object", || {
            let answer = http::get(address, path);
            (answer.status == 200).then_some(answer)
        });
        assert_eq!(answer.text(), body);
    }
}

#[test]
fn what_somebody_removed_from_the_bucket_is_served_while_the_disk_has_it() {
    let mut larder = Behind::s3(Settings::default());
    larder.put("/key", b"body");
    larder.wait_until_drained();
    larder.outside.delete(&larder.path("default/key"));
    larder.assert_hit("/key", b"body");
    larder.forget_disk();
    assert_eq!(larder.get("/key").status, 404);
}
