//! Why a call to the bucket failed, by what one does about it.

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// There is no such object.
    #[error("no such object")]
    NotFound,
    /// Another write came first.
    #[error("the object exists")]
    Exists,
    /// No answer, a broken one, or one that says "later" (429, 500, 502, 503, 504).
    #[error("the bucket is not to be had: {0}")]
    Unavailable(String),
    /// No answer in the time that the call had.
    #[error("the bucket did not answer within {0:?}")]
    TooSlow(std::time::Duration),
    /// Wrong credentials, no right, no such bucket, or a call that the store does not know: trying again does not help.
    #[error("the bucket refuses: {0}")]
    Refused(String),
}

/// Why a bucket cannot be used at all, found before anything is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum OpenBucketError {
    /// The URL or a setting is wrong.
    #[error("bucket.url: {0}")]
    Url(String),
    /// The client could not be made.
    #[error("the client of the bucket: {0}")]
    Client(String),
}

impl From<object_store::Error> for BucketError {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error;
        match error {
            Error::NotFound { .. } => Self::NotFound,
            Error::AlreadyExists { .. } | Error::Precondition { .. } => Self::Exists,
            Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. } => Self::Refused(error.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
