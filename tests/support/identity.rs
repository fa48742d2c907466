//! Identity tokens of CI jobs, made as issuers make them and as forgers would: RSA and EC keys of their own, any header and
//! any claims.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

/// For whom the tokens of these tests are.
pub const AUDIENCE: &str = "https://cache.example.org";

/// A key pair and its name.
pub struct Signer {
    pub kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
}

impl Signer {
    /// A new RSA key.
    pub fn rsa(kid: &str) -> Self {
        // ring makes none.
        let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
        let made =
            Command::new("openssl").args(arguments).output().expect("openssl, which tests/install installs");
        let key = PrivateKeyDer::from_pem_slice(&made.stdout).expect("a key in PEM");
        let pair = RsaKeyPair::from_pkcs8(key.secret_der()).expect("a key");
        Self { kid: kid.to_owned(), pair: Pair::Rsa(Box::new(pair)) }
    }

    /// A new key on P-256.
    pub fn ec(kid: &str) -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).unwrap();
        Self { kid: kid.to_owned(), pair: Pair::Ec(Box::new(pair)) }
    }

    /// What it is good for.
    pub fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
        }
    }

    /// The public half, as a key set has it.
    pub fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                let (n, e) = (encode(&public.n), encode(&public.e));
                json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.kid, "n": n, "e": e })
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid, "x": x, "y": y })
            }
        }
    }

    /// The public half as one might take it for a shared secret: the modulus, or the point.
    pub fn public_bytes(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => RsaPublicKeyComponents::<Vec<u8>>::from(pair.public()).n,
            Pair::Ec(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// A good token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "alg": self.algorithm(), "kid": self.kid, "typ": "JWT" }), claims)
    }

    /// A token with any header, signed with this key.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        assemble(header, claims, |text| {
            let random = SystemRandom::new();
            match &self.pair {
                Pair::Rsa(pair) => {
                    let mut signature = vec![0; pair.public().modulus_len()];
                    pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).unwrap();
                    signature
                }
                Pair::Ec(pair) => pair.sign(&random, text).unwrap().as_ref().to_vec(),
            }
        })
    }
}

/// A token whose signature `sign` makes.
pub fn assemble(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let text = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = sign(text.as_bytes());
    format!("{text}.{}", encode(&signature))
}

/// A token that is signed with a shared secret.
pub fn hs256(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    assemble(header, claims, |text| ring::hmac::sign(&key, text).as_ref().to_vec())
}

/// `claims` of a job that asks now, with `more` over them; a null takes one out.
pub fn claims(issuer: &str, more: &Value) -> Value {
    let mut claims = json!({
        "iss": issuer, "aud": AUDIENCE, "nbf": now() - 5, "iat": now() - 5, "exp": now() + 300, "sub": "a job",
    });
    let all = claims.as_object_mut().unwrap();
    for (name, value) in more.as_object().unwrap() {
        all.insert(name.clone(), value.clone());
    }
    all.retain(|_, value| !value.is_null());
    claims
}

/// What GitHub says of a push to this branch of `org/app`.
pub fn push(issuer: &str, branch: &str) -> Value {
    let more = json!({
        "sub": format!("repo:org/app:ref:refs/heads/{branch}"), "repository": "org/app", "run_id": "4711",
        "ref": format!("refs/heads/{branch}"), "event_name": "push",
    });
    claims(issuer, &more)
}

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
