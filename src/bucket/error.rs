//! Why a call to the bucket failed, by what one does about it.

use std::error::Error as _;
use std::io::{self, ErrorKind};

use object_store::client::{HttpError, HttpErrorKind};

use super::answer::{Answer, causes};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// There is no such object.
    #[error("no such object")]
    NotFound,
    /// Another write came first.
    #[error("the object exists")]
    Exists,
    /// No answer, a broken one, or one that says "later" (408, 429, 500, 502, 503, 504).
    #[error("the bucket is not to be had: {0}")]
    Unavailable(String),
    /// No answer in the time that the call had.
    #[error("the bucket did not answer within {0:?}")]
    TooSlow(std::time::Duration),
    /// Wrong credentials, no right, no such bucket, or a call that the store does not know: trying again does not help.
    #[error("the bucket refuses: {0}")]
    Refused(String),
    /// This one object cannot lie in this bucket, as one below a key that is an object in a directory; others can.
    #[error("the bucket cannot hold this object: {0}")]
    Impossible(String),
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
    /// There are no credentials, or none that can be read.
    #[error("the credentials of the bucket: {0}")]
    Credentials(String),
}

impl From<object_store::Error> for BucketError {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error;
        if let Some(answer) = Answer::within(&error) {
            return answer.meaning();
        }
        match &error {
            Error::NotFound { .. } => Self::NotFound,
            Error::AlreadyExists { .. } | Error::Precondition { .. } => Self::Exists,
            Error::InvalidPath { .. } => Self::Impossible(error.to_string()),
            Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::UnknownConfigurationKey { .. } => Self::Refused(error.to_string()),
            // DeleteObjects tells each object's failure in an answer that is a success.
            Error::Generic { .. } if error.to_string().contains("(code: AccessDenied)") => {
                Self::Refused(error.to_string())
            }
            Error::Generic { store: "LocalFileSystem", .. } => of_directory(&error),
            _ => Self::Unavailable(text(&error)),
        }
    }
}

impl BucketError {
    /// What it means where the object was only looked for: what cannot be there is not there.
    pub(super) fn when_reading(self) -> Self {
        match self {
            Self::Impossible(_) => Self::NotFound,
            other => other,
        }
    }

    /// What it means where nothing was asked of what was there before.
    pub(super) fn when_replacing(self) -> Self {
        match self {
            Self::Exists => {
                Self::Unavailable("409 or 412: something else is being done to the object".to_owned())
            }
            Self::NotFound => Self::Unavailable("404 to a write".to_owned()),
            other => other,
        }
    }
}

/// A file cannot lie below a file, nor where a directory is, nor have a name that is too long.
fn of_directory(error: &object_store::Error) -> BucketError {
    let cause = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    match cause.map(io::Error::kind) {
        Some(
            ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::AlreadyExists
            | ErrorKind::DirectoryNotEmpty
            | ErrorKind::InvalidFilename,
        ) => BucketError::Impossible(error.to_string()),
        Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            BucketError::Refused(error.to_string())
        }
        _ => BucketError::Unavailable(error.to_string()),
    }
}

/// An error of the network by what happened last, since whatever wraps it says little more than "an error".
fn text(error: &object_store::Error) -> String {
    let Some(http) = causes(error).find_map(|cause| cause.downcast_ref::<HttpError>()) else {
        return error.to_string();
    };
    let last = causes(http).last().map(ToString::to_string).unwrap_or_default();
    match http.kind() {
        HttpErrorKind::Connect => format!("no connection: {last}"),
        HttpErrorKind::Timeout => format!("no answer in time: {last}"),
        HttpErrorKind::Request | HttpErrorKind::Interrupted => format!("the connection broke: {last}"),
        _ if http.source().is_some() => last,
        _ => error.to_string(),
    }
}
