//! `kill -9`, of larder and of the store, while things wait to be uploaded: all that was acknowledged arrives.

use std::sync::Arc;
use std::time::Duration;

use crate::behind::{Behind, Engine, Settings, noise};
use crate::common::wait_for;
use crate::garage::Garage;
use crate::wire::Fault;

#[test]
fn a_kill_with_a_full_queue_loses_nothing() {
    let mut larder = Behind::s3(Settings::default());
    larder.put("/key-0", b"to be replaced");
    larder.wait_until_drained();
    larder.wire.go_down();
    let objects = queue(&larder);
    larder.larder.kill9();
    larder.larder.restart();
    wait_for("the queue to be there again", || {
        let waiting = larder.larder.metric("larder_bucket_queue_objects");
        (waiting >= objects.len() as f64).then_some(())
    });
    larder.wire.come_back();
    larder.wait_until_stored(&objects);
    larder.forget_disk();
    for (name, body) in &objects {
        larder.assert_hit(name.strip_prefix("default").unwrap(), body);
    }
}

#[test]
fn kills_in_the_middle_of_the_uploads_lose_nothing() {
    let mut larder = Behind::s3(Settings { bucket: "uploads = 2", ..Settings::default() });
    larder.wire.go_down();
    let objects = queue(&larder);
    larder.wire.come_back();
    // So slow that there is a middle.
    larder
        .wire
        .fault(Fault::Latency { request: Duration::from_millis(15), answer: Duration::from_millis(15) });
    for _ in 0..3 {
        let there = larder.names().len();
        wait_for("some more to arrive", || (larder.names().len() > there + 5).then_some(()));
        larder.larder.kill9();
        larder.larder.restart();
    }
    larder.wire.pass();
    larder.wait_until_stored(&objects);
    // What had arrived before a kill was not sent again and again.
    let sent = larder.wire.seen(|seen| seen.method == "PUT" && seen.query.is_empty()).len();
    assert!(sent < 2 * objects.len(), "{sent} uploads of {} objects", objects.len());
}

#[test]
fn a_store_that_is_killed_and_comes_back_gets_everything() {
    let larder = Behind::start(Engine::S3(Arc::new(Garage::start())), Settings::default());
    larder.put("/before", b"before");
    larder.wait_until_drained();
    larder.garage().kill();
    let mut objects = queue(&larder);
    objects.push(("default/before".to_owned(), b"before".to_vec()));
    for (name, body) in &objects {
        larder.assert_hit(name.strip_prefix("default").unwrap(), body);
    }
    larder.garage().restart();
    larder.wait_until_stored(&objects);
}

#[test]
fn a_shutdown_with_a_full_queue_ends_in_time_and_loses_nothing() {
    let mut larder = Behind::s3(Settings { top: "drain_timeout = \"1s\"", ..Settings::default() });
    larder.wire.fault(Fault::Hang);
    let objects = queue(&larder);
    assert_eq!(larder.larder.terminate().code(), Some(0), "{}", larder.larder.log());
    larder.wire.pass();
    larder.larder.restart();
    larder.wait_until_stored(&objects);
}

/// Stores objects of all sizes that are now to be uploaded.
fn queue(larder: &Behind) -> Vec<(String, Vec<u8>)> {
    let lengths = [0, 1, 1_000, 4_096, 30_000, 100_000];
    let mut objects: Vec<_> = (0..60_usize)
        .map(|number| {
            (format!("default/key-{number}"), noise(number as u64, lengths[number % lengths.len()]))
        })
        .collect();
    objects.push(("default/large".to_owned(), noise(1000, 17 << 20)));
    objects.push(("default/medium".to_owned(), noise(1001, 9 << 20)));
    for (name, body) in &objects {
        larder.put(name.strip_prefix("default").unwrap(), body);
    }
    objects
}
