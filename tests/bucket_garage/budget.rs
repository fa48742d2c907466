//! The bucket's own budget: what was not used for longest goes, in few requests, and what is nobody's stays.

use crate::behind::{Behind, Settings, noise};
use crate::common::{http, wait_for};

const BUDGET: Settings =
    Settings { top: "", bucket: "capacity = \"64MiB\"\nscan_interval = \"1s\"", tables: "", secret: None };
const MIB: u64 = 1 << 20;

#[test]
fn two_servers_keep_one_bucket_below_its_capacity() {
    let larder = Behind::s3(BUDGET);
    let other = larder.another();
    let foreign = noise(1000, 100_000);
    larder.put_from_outside("of-nobody-here/a", &foreign);
    let put = |number: u64| {
        let body = noise(number, 1 << 20);
        // Both servers store; what either has stored counts.
        if number.is_multiple_of(2) {
            larder.put(&format!("/key-{number}"), &body);
        } else {
            assert_eq!(http::put(other.address(), &format!("/key-{number}"), &body).status, 201);
        }
    };
    let drained = || {
        larder.wait_until_drained();
        wait_for("the other's queue to drain", || {
            (other.metric("larder_bucket_queue_objects") == 0.0).then_some(())
        });
    };
    (0..56).for_each(put);
    drained();
    assert_eq!(larder.names().len(), 57, "something was removed below the capacity");
    // Used again, so that others go first. A server knows its own clients' uses only, and either may be the one that removes.
    for number in [0, 2, 4, 6] {
        larder.assert_hit(&format!("/key-{number}"), &noise(number, 1 << 20));
        assert_eq!(http::get(other.address(), &format!("/key-{number}")).status, 200);
    }
    larder.wire.forget();
    (56..80).for_each(put);
    drained();
    let held = || larder.outside.list(&larder.path("default")).values().sum::<u64>();
    wait_for("the bucket to be below its capacity", || (held() <= 64 * MIB).then_some(()));
    // A second look by the one that did not remove finds nothing to do.
    let lists = larder.calls("list", "ok");
    wait_for("two more listings", || (larder.calls("list", "ok") >= lists + 4.0).then_some(()));
    assert!((40 * MIB..=64 * MIB).contains(&held()), "{} MiB are left of 64", held() / MIB);

    let names = larder.names();
    let is_there = |number: u64| names.contains(&format!("default/key-{number}"));
    for number in [0, 2, 4, 6, 76, 77, 78, 79] {
        assert!(is_there(number), "key-{number} was used a moment ago");
    }
    assert!((8..24).filter(|number| is_there(*number)).count() <= 4, "the oldest are still there: {names:?}");
    assert_eq!(larder.stored("of-nobody-here/a").unwrap(), foreign);
    assert!(larder.stored(".larder/lease").is_some(), "nobody held the lease");
    let singly = larder.wire.seen(|seen| seen.method == "DELETE" && seen.path.contains("/key-"));
    assert_eq!(singly, [], "deletes are not batched");
    let batches = larder.wire.seen(|seen| seen.method == "POST" && seen.query.contains("delete"));
    assert!(!batches.is_empty());
}
