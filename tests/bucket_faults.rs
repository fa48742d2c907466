//! A bucket that is slow, broken, overloaded, lying or gone never breaks a build and never costs what was acknowledged: real
//! Garage, with the faults on the wire in front of it.
//!
//! Knows larder, and the bucket, from outside only. What a fault does to a client is asserted, not how long it took.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/azurite.rs"]
mod azurite;
#[path = "support/behind.rs"]
mod behind;
mod common;
#[path = "support/garage.rs"]
mod garage;
#[path = "support/outside.rs"]
mod outside;
#[path = "support/wire.rs"]
mod wire;

#[path = "bucket_faults/down.rs"]
mod down;
#[path = "bucket_faults/killed.rs"]
mod killed;
#[path = "bucket_faults/reads.rs"]
mod reads;
#[path = "bucket_faults/writes.rs"]
mod writes;
