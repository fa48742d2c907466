//! `larder verify` over a directory that serves as a bucket: damage of every kind, on both sides, is found and repaired; a
//! dry run finds the same and changes nothing; a second run finds nothing.
//!
//! Knows larder from outside only, and finds its way in the files with larder's own reader of segments.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "modules shared by test programs, not a library")]

mod common;
#[path = "verify/damaged.rs"]
mod damaged;
#[path = "damage/files.rs"]
mod files;
#[path = "verify/refused.rs"]
mod refused;
#[path = "verify/scene.rs"]
mod scene;
#[path = "support/verifying.rs"]
mod verifying;
