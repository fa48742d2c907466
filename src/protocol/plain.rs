//! Plain HTTP: GET, HEAD, PUT and DELETE of objects, as sccache, ccache, Bazel and Gradle send them.
//!
//! Must not know collections or WebDAV.

mod read;
mod write;

pub(super) use read::{get, head};
pub(super) use write::{delete, put};
