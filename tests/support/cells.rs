//! The servers, callers and rights of the tests of access: who holds which token, and what each may do where, written
//! down by hand.
//!
//! Knows how a caller shows who it is; not which operations there are.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "running.rs"]
pub mod running;
#[path = "signer.rs"]
mod signer;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder::config::{
    Anonymous, Config, NamespaceConfig, NamespaceScope, Right, Rights, Secret, SecretSource, TokenConfig,
    TokenName,
};
use larder::key::{Namespace, ObjectName};
pub use running::{Answer, Running};

pub const NAMESPACES: [&str; 4] = ["default", "team-a", "team-b", "pr-1"];

/// A token: its name, where its rights hold, and which they are, by their first letters.
pub const TOKENS: &[(&str, &[&str], &str)] = &[
    ("everywhere", &["*"], "rwd"),
    ("reader", &["*"], "r"),
    ("keeper", &["*"], "rw"),
    ("team", &["team-a"], "rw"),
    ("cleaner", &["team-a", "pr-*"], "rwd"),
    ("blind", &["team-a"], "w"),
    ("deleter", &["pr-*"], "rd"),
    ("admin", &["*"], "a"),
];

/// How a caller shows who it is.
#[derive(Clone, Copy, Debug)]
pub enum Shows {
    Nothing,
    Bearer(&'static str),
    Basic(&'static str),
    /// With a signature of S3, of the token's secret.
    Signed(&'static str),
    /// The same, of another secret.
    WronglySigned(&'static str),
    WrongSecret,
}

pub fn secret(token: &str) -> String {
    format!("the-secret-of-{token}-0123456789")
}

/// What `shows` may do in a namespace; `None`: it is nobody. `anonymous` is the server's word.
pub fn rights(shows: Shows, namespace: &str, anonymous: Option<Anonymous>) -> Option<&'static str> {
    match shows {
        Shows::WrongSecret | Shows::WronglySigned(_) => None,
        Shows::Nothing => match anonymous {
            None => None,
            Some(Anonymous::Read) => Some("r"),
            Some(Anonymous::ReadWrite) => Some("rwd"),
        },
        Shows::Bearer(token) | Shows::Basic(token) | Shows::Signed(token) => {
            let (_, places, rights) = TOKENS.iter().find(|(name, _, _)| *name == token).unwrap();
            let holds = places.iter().any(|place| match place.strip_suffix('*') {
                Some(beginning) => namespace.starts_with(beginning),
                None => namespace == *place,
            });
            Some(if holds { rights } else { "" })
        }
    }
}

/// The namespaces and tokens.
pub fn configure(config: &mut Config, anonymous: Option<Anonymous>) {
    config.anonymous = anonymous;
    for name in NAMESPACES {
        config.namespaces.insert(Namespace::new(name).unwrap(), NamespaceConfig::default());
    }
    for (name, places, rights) in TOKENS {
        let secret = Secret::new(&secret(name)).unwrap();
        let mut token = TokenConfig::new(SecretSource::Env("UNUSED".to_owned()), Some(secret));
        token.namespaces = places.iter().map(|place| NamespaceScope::parse(place).unwrap()).collect();
        let letter = |right: &Right| right.to_string().chars().next().unwrap();
        let rights: Vec<_> = Right::ALL.into_iter().filter(|right| rights.contains(letter(right))).collect();
        token.allow = Rights::of(&rights);
        config.tokens.insert(TokenName::new(name).unwrap(), token);
    }
}

/// A server on which each namespace has the objects `there` and `below/it`.
pub async fn start(anonymous: Option<Anonymous>) -> Running {
    let server = Running::start(|config| configure(config, anonymous)).await;
    for namespace in NAMESPACES {
        restore(&server, namespace).await;
    }
    server
}

pub async fn restore(server: &Running, namespace: &str) {
    for key in ["there", "below/it"] {
        let path = format!("/{namespace}/{key}");
        assert_eq!(ask(server, "PUT", &path, Shows::Bearer("everywhere"), &[]).await.status / 100, 2);
    }
}

pub async fn ask(server: &Running, method: &str, path: &str, shows: Shows, more: &[(&str, &str)]) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    match shows {
        Shows::Nothing => {}
        Shows::Bearer(token) => head += &format!("Authorization: Bearer {}\r\n", secret(token)),
        Shows::Basic(token) => {
            let pair = STANDARD.encode(format!("anyone:{}", secret(token)));
            head += &format!("Authorization: Basic {pair}\r\n");
        }
        Shows::Signed(_) | Shows::WronglySigned(_) => {
            let (token, secret) = match shows {
                Shows::Signed(token) => (token, secret(token)),
                Shows::WronglySigned(token) => (token, secret("nobody")),
                _ => unreachable!(),
            };
            for (name, value) in signer::sign(method, path, token, &secret, more) {
                head += &format!("{name}: {value}\r\n");
            }
        }
        Shows::WrongSecret => head += "Authorization: Bearer the-secret-of-nobody-0123456789\r\n",
    }
    for (name, value) in more {
        head += &format!("{name}: {value}\r\n");
    }
    let body = match method {
        "PUT" if more.iter().all(|(name, _)| *name != "x-amz-copy-source") => "body",
        // What is deleted by DeleteObjects; other POSTs of the tests have no body.
        "POST" if path.ends_with("?delete") => "<Delete><Object><Key>there</Key></Object></Delete>",
        _ => "",
    };
    let mut client = server.client().await;
    client.send(&format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await;
    // A HEAD's answer has the length of a body that does not come.
    if method == "HEAD" { client.head().await } else { client.answer().await }
}

/// The status that must come when the caller has `rights` and needs `needed`; `None`: any but a refusal.
pub fn refusal(rights: Option<&str>, needed: &str) -> Option<u16> {
    match rights {
        None => Some(401),
        Some(rights) if needed.chars().all(|right| rights.contains(right)) => None,
        Some(_) => Some(403),
    }
}

pub async fn objects(server: &Running) -> Vec<String> {
    let mut all = Vec::new();
    for namespace in NAMESPACES {
        let namespace = Namespace::new(namespace).unwrap();
        for listed in server.cache.list(&namespace, "", None, 1000).await.unwrap() {
            let name = ObjectName { namespace: namespace.clone(), key: listed.key };
            let sequence = server.cache.head(&name).await.unwrap().unwrap().sequence;
            all.push(format!("{name} {sequence}"));
        }
    }
    all
}
