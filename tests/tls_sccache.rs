//! Real sccache against a server that speaks TLS with a certificate of a CA of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "support/running.rs"]
mod running;
#[path = "support/tls.rs"]
mod tls;

use common::sccache::Sccache;
use common::tools;
use tls::Files;

#[tokio::test(flavor = "multi_thread")]
async fn sccache_stores_and_hits_over_tls() {
    let files = Files::new();
    let server = files.serve(|_| ()).await;
    let scratch = tempfile::tempdir().unwrap();
    let endpoint = format!("https://localhost:{}", server.address.port());
    let ca = files.text("ca.pem");
    let settings = [("SCCACHE_WEBDAV_ENDPOINT", endpoint.as_str()), ("SSL_CERT_FILE", ca.as_str())];
    let sccache = Sccache::start_with(scratch.path(), &settings);
    std::fs::write(scratch.path().join("x.c"), "int f(void) { return 1; }\n").unwrap();
    let run = |arguments: &[&str]| {
        tools::run(sccache.command(&tools::tool("sccache")).args(arguments));
    };
    run(&["gcc", "-c", "x.c", "-o", "first.o"]);
    assert_eq!(sccache.settled_stats().writes, 1);
    run(&["gcc", "-c", "x.c", "-o", "second.o"]);
    let stats = sccache.stats();
    assert_eq!((stats.misses, stats.hits, stats.write_errors, stats.read_errors), (1, 1, 0, 0));
    let read = |name: &str| std::fs::read(scratch.path().join(name)).unwrap();
    assert!(read("first.o") == read("second.o"));
}
