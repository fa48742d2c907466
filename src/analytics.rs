//! What the server learns of its use.
//!
//! Owns what is kept of the past in bounded memory. It knows no requests and no clients; `metrics` is where it reads.

mod history;

pub use self::history::{History, Range, View};
