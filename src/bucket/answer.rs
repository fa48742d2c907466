//! An answer of a store that is no success: its status, its code, and what follows from them.
//!
//! The codes are S3's (Amazon S3 API, Error responses), which Google's XML API has too, and Azure's (Blob service error
//! codes). Knows nothing of how answers come in.

use std::error::Error;

use http::StatusCode;

use super::BucketError;

/// Longest message that is kept, in characters.
const MOST_MESSAGE: usize = 300;

/// There is no such bucket, or not any more.
const MISSING_PLACES: &[&str] =
    &["NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled", "AccountNotFound"];

/// The object cannot lie there, whatever is tried.
const IMPOSSIBLE: &[&str] = &[
    "EntityTooLarge",
    "InvalidObjectName",
    "InvalidResourceName",
    "InvalidURI",
    "InvalidUri",
    "KeyTooLongError",
    "OutOfRangeInput",
    "RequestBodyTooLarge",
    "XMinioInvalidObjectName",
    "XMinioObjectExistsAsDirectory",
    "XMinioParentIsObject",
];

/// A 400 that the way there is to blame for, and not what was asked.
const UNLUCKY: &[&str] = &[
    "BadDigest",
    "IncompleteBody",
    "Md5Mismatch",
    "RequestTimeout",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
];

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}{}{}{}{}", status.as_str(), gap(code), code, if message.is_empty() { "" } else { ": " }, message)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// As the store names it; empty where it does not.
    pub(super) code: String,
    pub(super) message: String,
}

fn gap(code: &str) -> &'static str {
    if code.is_empty() { "" } else { " " }
}

/// True for the code of a bucket that is not there.
pub(super) fn is_missing_place(code: &str) -> bool {
    MISSING_PLACES.contains(&code)
}

impl Answer {
    /// Reads the body, which is XML where the store says more than the status.
    pub(super) fn new(status: StatusCode, body: &str) -> Self {
        let element = |name: &str| {
            let (_, rest) = body.split_once(&format!("<{name}>"))?;
            let (text, _) = rest.split_once(&format!("</{name}>"))?;
            // It may end in a log: one line, and no end of it.
            Some(
                text.chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .take(MOST_MESSAGE)
                    .collect::<String>(),
            )
        };
        let code = element("Code").unwrap_or_default();
        Self { status, code, message: element("Message").unwrap_or_default() }
    }

    /// The answer that an error goes back to, if one does.
    pub(super) fn within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        causes(error).find_map(|cause| cause.downcast_ref())
    }

    /// What it means.
    pub(super) fn meaning(&self) -> BucketError {
        let code = self.code.as_str();
        let text = self.to_string();
        match self.status.as_u16() {
            413 | 414 => BucketError::Impossible(text),
            400 | 403 | 405 | 409 if IMPOSSIBLE.contains(&code) => BucketError::Impossible(text),
            400 if UNLUCKY.contains(&code) => BucketError::Unavailable(text),
            // Another range than the object has now: it was replaced.
            408 | 409 | 412 | 416 | 425 | 429 => BucketError::Unavailable(text),
            501 | 505 => BucketError::Refused(text),
            300..=499 => BucketError::Refused(text),
            _ => BucketError::Unavailable(text),
        }
    }
}

/// An error and what it goes back to, outermost first.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(status: u16, code: &str) -> BucketError {
        let body = format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>so\nit is</Message></Error>"
        );
        Answer::new(StatusCode::from_u16(status).unwrap(), &body).meaning()
    }

    #[test]
    fn a_status_and_a_code_say_whether_it_helps_to_try_again() {
        for (status, code) in [
            (500, "InternalError"),
            (503, "SlowDown"),
            (429, "TooManyRequests"),
            (408, "RequestTimeout"),
            (400, "RequestTimeout"),
            (502, ""),
            (504, ""),
        ] {
            let error = meaning(status, code);
            assert!(matches!(error, BucketError::Unavailable(_)), "{status} {code}: {error:?}");
        }
        for (status, code) in [
            (403, "InvalidAccessKeyId"),
            (403, "RequestTimeTooSkewed"),
            (401, ""),
            (404, "NoSuchBucket"),
            (404, "ContainerNotFound"),
            (301, "PermanentRedirect"),
            (400, "ExpiredToken"),
            (501, "NotImplemented"),
        ] {
            let error = meaning(status, code);
            assert!(matches!(error, BucketError::Refused(_)), "{status} {code}: {error:?}");
        }
        for (status, code) in
            [(400, "KeyTooLongError"), (400, "XMinioParentIsObject"), (413, ""), (400, "EntityTooLarge")]
        {
            let error = meaning(status, code);
            assert!(matches!(error, BucketError::Impossible(_)), "{status} {code}: {error:?}");
        }
    }

    #[test]
    fn an_answer_is_told_in_one_short_line() {
        let xml = Answer::new(
            StatusCode::FORBIDDEN,
            "<Error><Code>AccessDenied</Code><Message>no\r\nway</Message>",
        );
        assert_eq!(xml.to_string(), "403 AccessDenied: no  way");
        assert_eq!(Answer::new(StatusCode::BAD_GATEWAY, "<html>").to_string(), "502");
        let long = Answer::new(StatusCode::BAD_REQUEST, &format!("<Message>{}</Message>", "x".repeat(9999)));
        assert!(long.to_string().len() < 400);
    }
}
