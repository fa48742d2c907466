//! An identity token, read: a JSON Web Token (RFC 7519) in the compact form of a JSON Web Signature (RFC 7515).
//!
//! Owns its form, and that it is verified with the algorithm of its issuer's key and no other. What the claims mean is
//! not known here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::super::refused::shown;
use super::ExchangeError;
use super::keys::{Algorithm, Key};

/// Longest identity token, in bytes. GitHub's have about 1500, GitLab's 2500.
pub(super) const MOST_BYTES: usize = 16 << 10;

/// A token whose form is right. Nothing it says is to be believed before [`Jwt::verify`].
pub(super) struct Jwt<'a> {
    /// The name of the key that it says it is signed with.
    pub(super) kid: String,
    /// What it says.
    pub(super) claims: Map<String, Value>,
    algorithm: Algorithm,
    signed: &'a str,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Jwt<'a> {
    /// Reads `text`.
    ///
    /// # Errors
    /// [`ExchangeError::Malformed`]; [`ExchangeError::Algorithm`] for what no key of an issuer could be for, `none` and
    /// all that is signed with a shared secret among it.
    pub(super) fn read(text: &'a str) -> Result<Self, ExchangeError> {
        let malformed = ExchangeError::Malformed;
        if text.len() > MOST_BYTES {
            return Err(malformed("it is longer than 16 KiB"));
        }
        let three_parts =
            malformed("it has not three parts with a '.' between them; send it whole, without quotes");
        let (signed, signature) = text.rsplit_once('.').ok_or(three_parts.clone())?;
        let (header, claims) = signed.split_once('.').ok_or(three_parts.clone())?;
        if claims.contains('.') {
            return Err(three_parts);
        }
        let decode = |part: &str, what| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed(what));
        let header = decode(header, "its header is not base64url")?;
        let header: Header =
            serde_json::from_slice(&header).map_err(|_| malformed("its header is no JSON with an alg"))?;
        let algorithm = Algorithm::named(&header.alg).ok_or(ExchangeError::Algorithm(shown(&header.alg)))?;
        if header.crit.is_some() {
            // RFC 7515, 4.1.11: whoever does not understand them must refuse.
            return Err(malformed("its header asks for extensions (crit), and none are known here"));
        }
        let kid = header.kid.ok_or(malformed("its header does not name its key (kid)"))?;
        let claims = decode(claims, "its claims are not base64url")?;
        let claims =
            serde_json::from_slice(&claims).map_err(|_| malformed("its claims are no JSON object"))?;
        let signature = decode(signature, "its signature is not base64url")?;
        Ok(Self { kid, claims, algorithm, signed, signature })
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`ExchangeError::Algorithm`] when the token claims another algorithm than `key` is for;
    /// [`ExchangeError::Signature`].
    pub(super) fn verify(&self, key: &Key) -> Result<(), ExchangeError> {
        if self.algorithm != key.algorithm() {
            return Err(ExchangeError::Algorithm(self.algorithm.name().to_owned()));
        }
        if key.has_signed(self.signed.as_bytes(), &self.signature) {
            Ok(())
        } else {
            Err(ExchangeError::Signature)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    fn refusal(text: &str) -> ExchangeError {
        Jwt::read(text).err().unwrap_or_else(|| panic!("{text} was read"))
    }

    const HEADER: &str = r#"{"alg":"RS256","kid":"k","typ":"JWT"}"#;

    #[test]
    fn only_the_algorithms_of_public_keys_are_read() {
        let jwt = token(HEADER, r#"{"iss":"x"}"#);
        assert_eq!(Jwt::read(&jwt).map(|jwt| jwt.kid), Ok("k".to_owned()));
        for alg in ["none", "None", "HS256", "HS512", "RS512", "PS256", "EdDSA", "rs256", ""] {
            let text = token(&HEADER.replace("RS256", alg), "{}");
            assert_eq!(refusal(&text), ExchangeError::Algorithm(alg.to_owned()));
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = token(HEADER, "{}");
        for bad in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            format!("{good}.AAAA"),
            format!("\"{good}\""),
            format!("{good}="),
            good.replace('.', ""),
            token("{}", "{}"),
            token(r#"{"alg":"RS256"}"#, "{}"),
            token(r#"{"alg":"RS256","alg":"none","kid":"k"}"#, "{}"),
            token(r#"{"alg":"RS256","kid":"k","crit":["b64"]}"#, "{}"),
            token(r#"{"alg":["RS256"],"kid":"k"}"#, "{}"),
            token(HEADER, "[]"),
            token(HEADER, "{"),
            format!("{good}{}", "A".repeat(MOST_BYTES)),
        ] {
            assert!(matches!(refusal(&bad), ExchangeError::Malformed(_)), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_without_a_panic(text in "\\PC{0,200}", header in "\\PC{0,60}", claims in "\\PC{0,60}") {
            prop_assert!(Jwt::read(&text).is_err());
            let _ = Jwt::read(&token(&header, &claims));
            let _ = Jwt::read(&token(HEADER, &claims));
        }
    }
}
