//! Why the cache could not do what was asked, in the cache's own terms. The text is fit for the client.

use std::io;

use crate::bucket::OpenBucketError;
use crate::key::Namespace;

/// Why a request to the cache failed.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The body is larger than the configured limit.
    #[error("the object is larger than max_object_size ({limit} bytes)")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Neither capacity nor disk had room, even after eviction.
    #[error("no room to store {wanted} bytes: capacity or disk is full and nothing more can be evicted")]
    NoSpace {
        /// Bytes that were asked for.
        wanted: u64,
    },
    /// A budget for work in flight is used up; the same request may succeed in a moment.
    #[error("the server is at its limit of bodies in flight, try again shortly")]
    Overloaded,
    /// The index is still being loaded, and a condition cannot be decided before it is.
    #[error("the server is still loading its index and cannot decide a precondition yet, try again shortly")]
    Loading,
    /// The precondition did not hold when the write was to take effect.
    #[error("the precondition does not hold for the stored object")]
    PreconditionFailed,
    /// The namespace takes no other body for a key that it has.
    #[error(
        "this key has another body already, and namespace {namespace} is write-once (overwrite = \"never\"): build what \
         differs under another key, or delete the object first"
    )]
    Exists {
        /// The namespace.
        namespace: Namespace,
    },
    /// The body ended early or ran past its declared length.
    #[error("the body has {received} bytes where {declared} were declared")]
    LengthMismatch {
        /// Bytes that were declared.
        declared: u64,
        /// Bytes that arrived.
        received: u64,
    },
    /// The body's file ended before the body did.
    #[error("the stored body ended early")]
    Vanished,
    /// The bucket failed where nothing else could answer.
    #[error("the bucket behind this server cannot be asked now, try again shortly")]
    BucketUnavailable,
    /// The disk failed.
    #[error("the store failed: {0}")]
    Io(#[from] io::Error),
}

/// Why a cache could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the directory.
    #[error(
        "data_dir {path}: another larder (process {holder}) is using this directory; stop it or choose another data_dir"
    )]
    Locked {
        /// The data directory.
        path: String,
        /// Number of the process that holds the lock, as it wrote it.
        holder: String,
    },
    /// A newer larder wrote the directory.
    #[error(
        "data_dir {path}: written in format {found}, this larder knows formats up to {known}; \
         use a newer larder or another data_dir"
    )]
    NewerFormat {
        /// The data directory.
        path: String,
        /// Format of the directory.
        found: u32,
        /// Newest format that this build knows.
        known: u32,
    },
    /// The bucket cannot be used.
    #[error(transparent)]
    Bucket(#[from] OpenBucketError),
    /// The file system failed.
    #[error("data_dir {path}: {error}")]
    Io {
        /// The data directory.
        path: String,
        /// What the file system said.
        error: io::Error,
    },
}
