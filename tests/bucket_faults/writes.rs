//! Uploads to a bucket that fails: tried again until they are there, each as it was stored.

use std::time::Duration;

use crate::behind::{Behind, Settings, noise};
use crate::common::wait_for;
use crate::wire::Fault;

#[test]
fn uploads_that_fail_now_and_then_all_arrive() {
    let faults = [
        Fault::SlowDown { every: 3 },
        Fault::Latency { request: Duration::from_millis(20), answer: Duration::ZERO },
    ];
    for fault in faults {
        let larder = Behind::s3(Settings::default());
        larder.wire.fault(fault);
        let objects: Vec<_> =
            (0..30).map(|number| (format!("default/key-{number}"), noise(number, 20_000))).collect();
        for (name, body) in &objects {
            larder.put(name.strip_prefix("default").unwrap(), body);
        }
        larder.wait_until_stored(&objects);
    }
}

#[test]
fn a_large_upload_whose_parts_fail_arrives_whole() {
    let larder = Behind::s3(Settings::default());
    let body = noise(1, (20 << 20) + 1);
    // Its parts, its beginning and its end: every third of these requests.
    larder.wire.fault(Fault::SlowDown { every: 3 });
    larder.put("/large", &body);
    wait_for("a call to fail", || (larder.calls("put", "unavailable") >= 1.0).then_some(()));
    larder.wire.pass();
    larder.wait_until_stored(&[("default/large".to_owned(), body)]);
}

#[test]
fn an_upload_whose_answer_is_lost_is_made_again_and_harms_nothing() {
    let larder = Behind::s3(Settings::default());
    let body = noise(1, 50_000);
    larder.wire.fault_on("PUT", Fault::Reset { after: 0 });
    larder.put("/key", &body);
    wait_for("the upload to fail", || (larder.calls("put", "unavailable") >= 1.0).then_some(()));
    larder.put("/key", b"newer");
    larder.wire.pass();
    larder.wait_until_stored(&[("default/key".to_owned(), b"newer".to_vec())]);
    larder.assert_hit("/key", b"newer");
}

#[test]
fn an_upload_that_hangs_is_given_up_and_made_again() {
    let larder = Behind::s3(Settings { bucket: "write_timeout = \"1s\"", ..Settings::default() });
    larder.wire.fault_on("PUT", Fault::Hang);
    larder.put("/key", b"body");
    wait_for("the upload to be given up", || (larder.calls("put", "too_slow") >= 1.0).then_some(()));
    larder.wire.pass();
    larder.wait_until_stored(&[("default/key".to_owned(), b"body".to_vec())]);
}
