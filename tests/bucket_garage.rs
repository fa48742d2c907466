//! A real S3 server behind the disk: what is stored comes to the bucket as it is, what only the bucket has is a hit, and
//! neither costs more requests than it has to.
//!
//! Knows larder, and the bucket, from outside only.

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

#[path = "bucket_garage/conditions.rs"]
mod conditions;
#[path = "bucket_garage/namespaces.rs"]
mod namespaces;
#[path = "bucket_garage/others.rs"]
mod others;
#[path = "bucket_garage/reads.rs"]
mod reads;
#[path = "bucket_garage/writes.rs"]
mod writes;
