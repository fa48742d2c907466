//! The proxy that the other tests of buckets stand on does to real stores what it says, and each store comes up as they
//! need it: otherwise those tests would prove nothing.
//!
//! Drives the stores directly, without larder.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/azurite.rs"]
mod azurite;
mod common;
#[path = "support/garage.rs"]
mod garage;
#[path = "support/outside.rs"]
mod outside;
#[path = "support/wire.rs"]
mod wire;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use azurite::Azurite;
use common::http::{Connection, Response};
use garage::Garage;
use outside::Outside;
use wire::{Fault, Wire};

const LENGTH: usize = 100_000;

#[test]
fn garage_keeps_its_objects_over_a_kill() {
    let garage = Garage::start();
    let outside = Outside::garage(garage.address());
    outside.put("a/b", b"body");
    garage.kill();
    assert!(TcpStream::connect(garage.address()).is_err(), "it is still there");
    garage.restart();
    assert_eq!(outside.get("a/b").unwrap(), b"body");
    assert_eq!(outside.list("a").into_iter().collect::<Vec<_>>(), [("a/b".to_owned(), 4)]);
    outside.delete("a/b");
    assert_eq!(outside.get("a/b"), None);
}

#[test]
fn azurite_stores_through_the_wire() {
    let azurite = Azurite::shared();
    let wire = Wire::start(azurite.address());
    let outside = Outside::azurite(wire.address());
    outside.put("a/b", b"body");
    assert_eq!(outside.get("a/b").unwrap(), b"body");
    assert_eq!(outside.list("a").len(), 1);
    assert_eq!(wire.count("PUT", "/a/b"), 1);
}

#[test]
fn what_passes_is_as_it_was_and_is_counted() {
    let store = Store::new();
    let outside = Outside::garage(store.wire.address());
    let body = vec![7; 3 << 20];
    outside.put("through/it", &body);
    assert!(outside.get("through/it").unwrap() == body);
    assert_eq!(outside.get("through/nothing"), None);
    assert_eq!((store.wire.count("PUT", "/it"), store.wire.count("GET", "/it")), (1, 1));
    store.wire.forget();
    assert_eq!(store.wire.seen(|_| true), []);
}

#[test]
fn a_half_answer_and_a_reset_end_in_the_middle() {
    let store = Store::new();
    for fault in [Fault::Half, Fault::Reset { after: 1000 }, Fault::Reset { after: 0 }] {
        store.wire.fault(fault);
        let failure = store.get().unwrap_err().kind();
        let expected = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
        assert!(expected.contains(&failure), "{fault:?}: {failure}");
    }
    store.wire.pass();
    assert_eq!(store.get().unwrap().body.len(), LENGTH);
}

#[test]
fn one_bit_is_another() {
    let store = Store::new();
    store.wire.fault_on("GET", Fault::Corrupt);
    let body = store.get().unwrap().body;
    assert_eq!(body.len(), LENGTH);
    assert_eq!(body.iter().filter(|byte| **byte != 7).count(), 1);
}

#[test]
fn every_second_request_is_told_to_slow_down() {
    let store = Store::new();
    store.wire.fault(Fault::SlowDown { every: 2 });
    let answers: Vec<_> = (0..4).map(|_| store.get().unwrap()).collect();
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 503, 200, 503]);
    assert!(answers[1].text().contains("<Code>SlowDown</Code>"));
}

#[test]
fn what_hangs_goes_on_when_the_fault_is_over() {
    let store = Store::new();
    for fault in [Fault::Hang, Fault::Stall] {
        store.wire.fault(fault);
        std::thread::scope(|scope| {
            let hanging = scope.spawn(|| store.get());
            let began = Instant::now();
            while !hanging.is_finished() && began.elapsed() < Duration::from_millis(200) {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(!hanging.is_finished(), "{fault:?} did not hold it");
            store.wire.pass();
            assert!(hanging.join().unwrap().is_err(), "{fault:?}");
        });
    }
    let slow = Duration::from_millis(50);
    store.wire.fault(Fault::Latency { request: slow, answer: slow });
    let began = Instant::now();
    assert_eq!(store.get().unwrap().status, 200);
    assert!(began.elapsed() >= 2 * slow);
}

#[test]
fn nobody_is_at_home_and_then_somebody_is() {
    let store = Store::new();
    let mut open = Connection::open(store.wire.address()).unwrap();
    assert_eq!(ask(&mut open, store.garage.address()).unwrap().status, 200);
    store.wire.go_down();
    assert!(ask(&mut open, store.garage.address()).is_err(), "an old connection still works");
    assert_eq!(store.get().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    store.wire.come_back();
    assert_eq!(store.get().unwrap().status, 200);
}

/// Garage with one object of [`LENGTH`] bytes behind a proxy.
struct Store {
    garage: Arc<Garage>,
    wire: Wire,
}

impl Store {
    fn new() -> Self {
        let garage = Garage::shared();
        Outside::garage(garage.address()).put("object", &vec![7; LENGTH]);
        let wire = Wire::start(garage.address());
        Self { garage, wire }
    }

    fn get(&self) -> std::io::Result<Response> {
        ask(&mut Connection::open(self.wire.address())?, self.garage.address())
    }
}

/// A presigned GET over a connection: the store signed for is asked by whatever way the connection takes.
fn ask(connection: &mut Connection, signed_for: SocketAddr) -> std::io::Result<Response> {
    connection.send(Outside::presigned_get(signed_for, "object").as_bytes())?;
    connection.read_response("GET")
}
