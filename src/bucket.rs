//! The bucket: an object store behind the disk, spoken to through the `object_store` crate, one code path for all kinds.
//!
//! Owns the client: where the bucket is, how one logs in, what the calls are and what their failures mean. Bodies lie in
//! it as they are. Knows nothing of namespaces, of which object should lie there, of waiting or of trying again.

mod answer;
mod error;
mod large;
mod listing;
mod names;
mod odd_keys;
mod open;
mod s3;
mod shared_credentials;
mod store;
mod transport;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::ObjectStore;
pub use object_store::path::Path as BucketPath;

pub use self::error::{BucketError, OpenBucketError};
pub use self::large::LargeUpload;
use crate::config::BucketScheme;

/// A bucket, or the part of one below a prefix; clones share one client.
#[derive(Clone, Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// The part of the URL behind the bucket's name: every path begins with it.
    prefix: BucketPath,
    /// What kind of store it is: each has rules of its own about paths and metadata.
    scheme: BucketScheme,
}

/// What tells whether a body is whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyChecksum {
    /// XXH3-128, in the metadata of what larder wrote.
    Xxh3(u128),
    /// MD5: the ETag of what others wrote to S3 in one piece.
    Md5([u8; 16]),
}

/// What the bucket says of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BucketObject {
    /// Body length in bytes.
    pub length: u64,
    /// When it was written, milliseconds since the Unix epoch, by the bucket's clock.
    pub modified_ms: u64,
    /// Tells this version from others of the object, where the bucket does; else 0.
    pub version: u64,
    /// Where the bucket knows one.
    pub checksum: Option<BodyChecksum>,
    /// What the object cost to make, in milliseconds, as whoever wrote it knew; 0: unknown.
    pub cost_ms: u32,
}

/// An object being read.
pub struct BucketRead {
    /// The whole object, also where only a part of its body was asked for.
    pub object: BucketObject,
    /// The body, from where it was asked for to its end.
    pub body: BoxStream<'static, Result<Bytes, BucketError>>,
}

/// One row of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketRow {
    /// Where it lies, the bucket's prefix included.
    pub path: BucketPath,
    /// Body length in bytes.
    pub length: u64,
    /// When it was written, milliseconds since the Unix epoch, by the bucket's clock.
    pub modified_ms: u64,
}

/// What an object carries with its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marked {
    /// XXH3-128 of the body.
    pub checksum: u128,
    /// What it cost to make, in milliseconds; 0: unknown.
    pub cost_ms: u32,
}

impl Marked {
    /// A body of which nothing but its XXH3-128 is known.
    #[must_use]
    pub fn by(checksum: u128) -> Self {
        Self { checksum, cost_ms: 0 }
    }
}

/// Whether a write may replace what is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteMode {
    /// It may.
    Replace,
    /// It fails with [`BucketError::Exists`], where the bucket can tell; one that cannot replaces.
    Create,
}
