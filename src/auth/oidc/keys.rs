//! An issuer's public keys, as its JSON Web Key Set (RFC 7517) has them.
//!
//! Owns which keys can be used, and for which algorithm each is: a key knows how it verifies, so a token cannot have an RSA
//! key's text taken for a shared secret. Where the set comes from is not known here.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;

/// Most keys of a set that are taken: GitHub has about four.
const MOST_KEYS: usize = 100;

/// How a token may be signed (RFC 7518, 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Algorithm {
    Rs256,
    Es256,
}

/// A public key.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Key {
    /// RSA: modulus and exponent, big endian.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// A point on P-256, uncompressed.
    P256(Vec<u8>),
}

/// Keys by their names.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct KeySet(HashMap<String, Arc<Key>>);

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Rs256, Self::Es256].into_iter().find(|algorithm| algorithm.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

impl Key {
    /// The one algorithm that it is for.
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
        }
    }

    /// True when `signature` is its signature of `text`. Keys below 2048 bits have signed nothing.
    pub(super) fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, text, signature).is_ok()
            }
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(text, signature).is_ok()
            }
        }
    }

    fn from_raw(raw: &RawKey) -> Option<Self> {
        if raw.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let key = match (raw.kty.as_str(), raw.crv.as_deref()) {
            ("RSA", _) => Self::Rsa { n: bytes(&raw.n)?, e: bytes(&raw.e)? },
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&raw.x)?, bytes(&raw.y)?);
                // SEC 1, 2.3.3: uncompressed, both coordinates whole.
                (x.len() == 32 && y.len() == 32).then(|| Self::P256([vec![4], x, y].concat()))?
            }
            // Shared secrets (oct) above all.
            _ => return None,
        };
        let is_for_it = raw.alg.as_deref().is_none_or(|alg| alg == key.algorithm().name());
        is_for_it.then_some(key)
    }
}

impl KeySet {
    /// Reads a key set, leaving out what cannot be used here; `None` when it is none, or nothing in it can be used.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        let raw: RawSet = serde_json::from_slice(json).ok()?;
        let mut keys = HashMap::new();
        for value in raw.keys.into_iter().take(MOST_KEYS) {
            let Ok(raw) = serde_json::from_value::<RawKey>(value) else { continue };
            if let Some(key) = Key::from_raw(&raw) {
                keys.entry(raw.kid).or_insert(Arc::new(key));
            }
        }
        (!keys.is_empty()).then_some(Self(keys))
    }

    pub(super) fn get(&self, kid: &str) -> Option<Arc<Key>> {
        self.0.get(kid).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(keys: &str) -> Option<KeySet> {
        KeySet::read(format!("{{\"keys\":[{keys}]}}").as_bytes())
    }

    #[test]
    fn a_key_is_for_one_algorithm_and_secrets_are_no_keys() {
        // RFC 7515, A.2.1 and A.3.1: the keys' first coordinates are enough to be told apart.
        let rsa = r#"{"kty":"RSA","kid":"r","n":"ofgWCuLjybRlzo0t","e":"AQAB","use":"sig","alg":"RS256"}"#;
        let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
        let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
        let ec = format!(r#"{{"kty":"EC","crv":"P-256","kid":"e","x":"{x}","y":"{y}"}}"#);
        let keys = set(&format!("{rsa},{ec}")).unwrap();
        assert_eq!(keys.get("r").map(|key| key.algorithm()), Some(Algorithm::Rs256));
        assert_eq!(keys.get("e").map(|key| key.algorithm()), Some(Algorithm::Es256));
        assert_eq!(keys.get(""), None);
        for useless in [
            "",
            "1",
            r#"{"kty":"oct","kid":"r","k":"AAAA"}"#,
            &rsa.replace("RS256", "HS256"),
            &rsa.replace("RS256", "ES256"),
            &rsa.replace("sig", "enc"),
            &rsa.replace("AQAB", "A/AB"),
            &rsa.replace("\"kid\"", "\"name\""),
            &ec.replace("P-256", "P-384"),
            &ec.replace(x, "f83O"),
        ] {
            assert_eq!(set(useless), None, "{useless}");
        }
        assert_eq!(KeySet::read(b"[]"), None);
        // One that cannot be used does not spoil the others.
        assert!(set(&format!("{{}},{ec}")).is_some_and(|keys| keys.get("e").is_some()));
    }

    #[test]
    fn the_signature_of_the_standards_example_is_good_and_another_is_not() {
        // RFC 7515, A.3.
        let key = r#"{"kty":"EC","crv":"P-256","kid":"e","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
        let text = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature =
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let key = set(key).unwrap().get("e").unwrap();
        assert!(key.has_signed(text.as_bytes(), &signature));
        assert!(!key.has_signed(&text.as_bytes()[1..], &signature));
        signature[0] ^= 1;
        assert!(!key.has_signed(text.as_bytes(), &signature));
    }
}
