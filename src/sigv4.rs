//! AWS Signature Version 4: what is signed, and with which key.
//!
//! A leaf of pure functions over a request's method, address and headers. It knows no clock, no secrets' whereabouts
//! and nothing of what a request asks for: callers bring the secret and judge the time.
//!
//! The rules are those that S3 publishes ("Authenticating Requests: AWS Signature Version 4"): the path is encoded
//! once and never normalised, any region is as good as another, and a body may be signed chunk by chunk.

mod canonical;
mod chunk;
mod claim;
mod key;
mod query;
mod timestamp;

pub use canonical::{PathForm, canonical_request};
pub use chunk::ChunkSignatures;
pub use claim::{Claim, ClaimError, Form, MAX_EXPIRY};
pub use key::{Scope, Signature, SigningKey, string_to_sign};
pub use query::Query;
pub use timestamp::Timestamp;

/// The name of the algorithm, at the start of the header and of every text that is signed.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What stands for the body's hash when the body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
