//! A kernel that lacks `preadv2`, as an emulator or a sandbox may: strace refuses the call, and reads are as good as ever.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "modules shared by test programs, not a library")]

mod common;
#[path = "support/strace.rs"]
mod strace;

use common::{Larder, Options, http};
use strace::Tracer;

#[test]
fn objects_of_every_size_are_read_and_none_is_taken_for_damaged() {
    let larder = Larder::start(Options::default().flag("--memory-tier", "0"));
    let refusing = Tracer::of(larder.pid(), &["-e", "trace=preadv2", "-e", "inject=preadv2:error=ENOSYS"]);
    for length in [1, 20_000, 300_000, 3_000_000, 12_000_000] {
        let path = format!("/of/{length}");
        let body: Vec<u8> = (0..length).map(|at: u32| u8::try_from(at % 251).unwrap()).collect();
        assert_eq!(http::put(larder.address(), &path, &body).status, 201, "{length}");
        for _ in 0..2 {
            let answer = http::get(larder.address(), &path);
            assert_eq!(answer.status, 200, "{length}");
            assert!(answer.body == body, "{length}: other bytes");
        }
    }
    let refused = |line: &str| line.contains("ENOSYS") && line.contains("INJECTED");
    assert!(refusing.log().lines().any(refused), "nobody called preadv2: this tests nothing");
    assert_eq!(larder.metric("larder_damaged_records_total"), 0.0);
}
