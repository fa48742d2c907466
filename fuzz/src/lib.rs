//! What is fuzzed: a function a target, each taking bytes as they come and panicking where something is wrong.
//!
//! The binaries in `fuzz_targets/` hand them to libFuzzer; `tests/fuzz_targets.rs` calls the same functions with the
//! corpus and with bytes made of it. Must not know who calls.

mod chunks;
mod credentials;
mod request;
mod server;

pub use chunks::chunked_body;
pub use credentials::{authorization, identity_token};
pub use request::{presigned_query, signature_header};
pub use server::xml_bodies;

/// A target: its name, which is that of its binary and its corpus, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("authorization", authorization),
    ("chunked_body", chunked_body),
    ("identity_token", identity_token),
    ("presigned_query", presigned_query),
    ("signature_header", signature_header),
    ("xml_bodies", xml_bodies),
];

/// A secret that no input knows: whatever is signed with it was forged.
const SECRET: &[u8] = b"nobody signs with this one";
