//! The header `Authorization`, read: which secret a caller presents.
//!
//! Owns the two schemes that carry the secret itself, Basic and Bearer. It must not know which secrets are
//! good. What it reads is shown to nobody: not in errors, not by `Debug`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::Rejected;
use super::cache_token::CacheToken;
use crate::analytics::sessions::Label;
use crate::config::SecretDigest;

/// A secret that a caller presents, as its digest.
pub(super) struct Credentials {
    pub(super) digest: SecretDigest,
    /// All of it, where it has the form of a cache token: nothing is kept of those to compare a digest with.
    pub(super) cache_token: Option<Box<[u8]>>,
    /// The label behind the last `+` of Basic's user name, which else says nothing.
    pub(super) label: Option<Label>,
}

impl Credentials {
    /// What the header presents; `None` without one.
    ///
    /// # Errors
    /// [`Rejected`] for a header that is there and is none of Basic and Bearer, or cannot be read.
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>, Rejected> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(Rejected::Repeated);
        }
        let value = value.as_bytes().trim_ascii();
        let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
        let (scheme, rest) = value.split_at(end);
        let rest = rest.trim_ascii();
        // RFC 9110, 11.1: schemes are case-insensitive.
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return Self::of(rest).map(Some);
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return Err(Rejected::Scheme);
        }
        let decoded =
            STANDARD.decode(rest).map_err(|_| Rejected::Malformed("what follows Basic is not base64"))?;
        let colon = decoded.iter().position(|byte| *byte == b':');
        let colon = colon.ok_or(Rejected::Malformed("Basic has no ':' between user name and password"))?;
        let label = Label::behind_plus(&decoded[..colon]);
        Self::of(&decoded[colon + 1..]).map(|credentials| Some(Self { label, ..credentials }))
    }

    fn of(secret: &[u8]) -> Result<Self, Rejected> {
        if secret.is_empty() {
            return Err(Rejected::Malformed(
                "the token is empty; with Basic it is the password, not the user name",
            ));
        }
        let cache_token = CacheToken::is_one(secret).then(|| secret.into());
        Ok(Self { digest: SecretDigest::of(secret), cache_token, label: None })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<SecretDigest>, Rejected> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, http::HeaderValue::from_bytes(value).unwrap());
        }
        Credentials::read(&headers).map(|found| found.map(|credentials| credentials.digest))
    }

    #[test]
    fn both_schemes_carry_the_secret() {
        assert_eq!(read(&[]), Ok(None));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for header in [
            "Bearer s:ecret".to_owned(),
            "bEARER  s:ecret ".to_owned(),
            basic("any:s:ecret"),
            basic(":s:ecret"),
            basic("any:s:ecret").replace("Basic", "BASIC"),
        ] {
            assert_eq!(read(&[header.as_bytes()]), Ok(Some(SecretDigest::of(b"s:ecret"))), "{header}");
        }
    }

    #[test]
    fn what_has_the_form_of_a_cache_token_is_kept_whole_and_nothing_else_is() {
        for (header, kept) in [
            ("Bearer larder_job_1.x.y".to_owned(), Some(&b"larder_job_1.x.y"[..])),
            (format!("Basic {}", STANDARD.encode("larder_job_1.:larder_job_1.x")), Some(b"larder_job_1.x")),
            (format!("Basic {}", STANDARD.encode("larder_job_1.x:secret")), None),
            ("Bearer larder_x".to_owned(), None),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, header.parse().unwrap())]);
            let read = Credentials::read(&headers).ok().flatten().unwrap();
            assert_eq!(read.cache_token.as_deref(), kept, "{header}");
        }
    }

    #[test]
    fn the_users_name_may_carry_a_sessions_label() {
        let label = |header: String| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, header.parse().unwrap())]);
            Credentials::read(&headers).ok().flatten().unwrap().label.map(|label| label.to_string())
        };
        let basic = |text: &str| label(format!("Basic {}", STANDARD.encode(text)));
        assert_eq!(basic("ci+build-17:secret").as_deref(), Some("build-17"));
        for without in ["ci:secret", "ci:sec+ret", "ci+a b:secret", "ci+:secret", ":secret"] {
            assert_eq!(basic(without), None, "{without}");
        }
        assert_eq!(label("Bearer ci+x:y".to_owned()), None);
    }

    proptest! {
        #[test]
        fn any_secret_of_any_user_is_read_and_any_header_is_something(
            user in "[^:]{0,20}",
            secret in "[!-~]{1,40}",
            header in proptest::collection::vec(0x20_u8..0x7f, 0..60),
        ) {
            let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")));
            for header in [basic, format!("Bearer {secret}")] {
                prop_assert_eq!(read(&[header.as_bytes()]), Ok(Some(SecretDigest::of(secret.as_bytes()))));
            }
            prop_assert_ne!(read(&[&header]), Ok(None));
        }
    }

    #[test]
    fn whatever_else_stands_there_is_refused() {
        for header in ["", " ", "Digest x", "s3cret", "Basicx", "AWS4-HMAC-SHA256 Credential=a", "Bearerx y"]
        {
            assert_eq!(read(&[header.as_bytes()]), Err(Rejected::Scheme), "{header:?}");
        }
        for header in ["Bearer", "Bearer ", "Basic", "Basic !", "Basic YQ", "Basic YQ==", "Basic YTo="] {
            assert!(matches!(read(&[header.as_bytes()]), Err(Rejected::Malformed(_))), "{header:?}");
        }
        assert_eq!(read(&[b"Bearer \xff"]), Ok(Some(SecretDigest::of(b"\xff"))));
        assert_eq!(read(&[b"Bearer a", b"Bearer a"]), Err(Rejected::Repeated));
    }
}
