//! However a body is cut into pieces, it is stored as the same object, with the checksum of its bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;

use bytes::Bytes;
use larder::cache::PutOptions;
use opened::{Opened, body, name};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_of_any_length_make_the_same_object() {
    let mut opened = Opened::new(64 << 20, |_| {}).await;
    let whole = body(1, 300_000);
    let cuts: [&[usize]; 7] =
        [&[], &[0], &[300_000], &[0, 0, 300_000, 300_000], &[1], &[299_999], &[0, 100_000, 100_000, 100_001]];
    let expected = opened.put("whole", whole.clone()).await.unwrap().info.etag;
    for (at, cuts) in cuts.iter().enumerate() {
        for (kind, declared_length) in [("declared", Some(300_000)), ("not", None)] {
            let options = PutOptions { declared_length, ..PutOptions::default() };
            let mut upload = opened.cache.begin_put(name(&format!("{kind}/{at}")), options).await.unwrap();
            let mut from = 0;
            for to in cuts.iter().chain(&[300_000]) {
                upload.write(whole.slice(from..*to)).await.unwrap();
                from = *to;
            }
            upload.write(Bytes::new()).await.unwrap();
            let stored = upload.commit().await.unwrap();
            assert_eq!(stored.info.etag, expected, "{kind}, {at}");
        }
    }
    // The first read after a start checks what it reads.
    opened = opened.after_crash().await;
    for at in 0..cuts.len() {
        for kind in ["declared", "not"] {
            assert_eq!(
                opened.get(&format!("{kind}/{at}")).await.as_deref(),
                Some(&whole[..]),
                "{kind}, {at}"
            );
        }
    }
    assert_eq!(opened.metrics.damaged.get(), 0);
    opened.cache.close().await.unwrap();
}
