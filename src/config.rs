//! The configuration: every key, its type and its default, declared once.
//!
//! A leaf: it knows nothing of the modules it configures. How the values are gathered (defaults, file,
//! environment, flags) is the work of the modules below it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::key::{Namespace, NamespacePattern};

mod bucket;
mod certificates;
mod container;
mod file;
mod keys;
mod load;
mod namespaces;
mod oidc;
mod problem;
mod quantity;
mod rules;
mod secret;
mod show;
mod tls;
mod token_secrets;
mod tokens;
mod value;

pub use bucket::{BucketScheme, BucketUrl, MIN_BUCKET_CAPACITY};
pub use certificates::{CertificateName, CertificateNameKind};
pub use file::File;
pub use file::tokens::print_expiry;
pub use keys::{KEYS, Key, NAMESPACE_KEYS, NamespaceKey};
pub use load::{CONFIG_VARIABLE, Input, Loaded, URL_VARIABLE};
pub use namespaces::{DEFAULT_IDLE_EXPIRY, MIN_QUOTA, NamespaceConfig, Overwrite};
pub use oidc::{
    ClaimPattern, DEFAULT_MAX_TTL, LONGEST_MAX_TTL, MIN_TOKEN_KEY_CHARS, OIDC_KEYS, OIDC_RULE_KEYS,
    OidcConfig, OidcRule, is_loopback,
};
pub use problem::{Problem, Problems, Source};
pub use rules::{MIN_CAPACITY, MIN_MEMORY_BUDGET};
pub use secret::{MAX_SECRET_CHARS, MIN_SECRET_CHARS, Secret, SecretDigest, SecretError};
pub use token_secrets::{TOKEN_VARIABLE, TOKEN_VARIABLE_NAME};
pub use tokens::{NamespaceScope, Right, Rights, SecretSource, TOKEN_KEYS, TokenConfig, TokenKey, TokenName};

/// When a PUT is answered in relation to the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// Synced every second: survives the death of the process, a power cut may take the last second.
    #[default]
    Periodic,
    /// Answered after `fdatasync`, shared by writes that wait for the same file: survives a power cut.
    Commit,
}

/// When a body is checked against its checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Verify {
    /// At its first read after a start, and by the background scrub.
    #[default]
    First,
    /// At every read.
    Always,
}

/// What callers without credentials may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Anonymous {
    /// Read only.
    Read,
    /// Read, write and delete.
    ReadWrite,
}

/// How log lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// When a PUT is answered in relation to the bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BucketWrite {
    /// When it is on disk; a queue brings it to the bucket.
    #[default]
    Back,
    /// When it is in the bucket, too.
    Through,
}

/// The bucket behind the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketConfig {
    /// `s3://BUCKET/PREFIX`, `gs://`, `az://CONTAINER/PREFIX` or `file:///DIRECTORY`; `None`: there is no bucket.
    pub url: Option<String>,
    /// Where the store is, for S3 and Azure, where it is not the provider's own.
    pub endpoint: Option<String>,
    /// Region of an S3 bucket.
    pub region: Option<String>,
    /// Whether an S3 bucket stands in the path; `None`: it does where there is an endpoint.
    pub path_style: Option<bool>,
    /// Key id, or Azure's account; `None`: the usual chain.
    pub access_key_id: Option<String>,
    /// File with the secret that belongs to `access_key_id`.
    pub secret_access_key_file: Option<PathBuf>,
    /// When a PUT is answered.
    pub write: BucketWrite,
    /// Most bytes that larder leaves in the bucket, below its prefix.
    pub capacity: Option<u64>,
    /// Time after its last use from which an object is removed from the bucket.
    pub ttl: Option<Duration>,
    /// Time that a read has until its first byte, before it is a miss.
    pub read_timeout: Duration,
    /// Time that a write of one object, or of a part of one, has.
    pub write_timeout: Duration,
    /// Most bytes that wait to be uploaded; `None`: half of the server's capacity.
    pub queue_limit: Option<u64>,
    /// Uploads at once.
    pub uploads: usize,
    /// Time that "the bucket does not have it" is remembered.
    pub absent_for: Duration,
    /// Time between two listings of the bucket.
    pub scan_interval: Duration,
}

impl Default for BucketConfig {
    fn default() -> Self {
        Self {
            url: None,
            endpoint: None,
            region: None,
            path_style: None,
            access_key_id: None,
            secret_access_key_file: None,
            write: BucketWrite::default(),
            capacity: None,
            ttl: None,
            read_timeout: Duration::from_millis(500),
            write_timeout: Duration::from_secs(30),
            queue_limit: None,
            uploads: 8,
            absent_for: Duration::from_secs(3),
            scan_interval: Duration::from_secs(3600),
        }
    }
}

/// All settings of a server, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Directory of the store.
    pub data_dir: PathBuf,
    /// Most that the data directory may take, in bytes of disk blocks.
    pub capacity: u64,
    /// Bytes to leave free on the file system.
    pub min_free_disk: u64,
    /// Largest object in bytes.
    pub max_object_size: u64,
    /// When a PUT is answered.
    pub durability: Durability,
    /// When a body is checked.
    pub verify: Verify,
    /// Bytes of bodies in flight, uploads and downloads together.
    pub memory_budget: u64,
    /// Bytes of the memory tier for small and hot objects; 0 turns it off.
    pub memory_tier: u64,
    /// Connections served at once.
    pub max_connections: usize,
    /// Time a client has to send a request's head, once its first byte is there.
    pub header_timeout: Duration,
    /// Time without progress after which a body, up or down, is given up.
    pub body_timeout: Duration,
    /// Time an idle connection is kept.
    pub idle_timeout: Duration,
    /// Time that requests under way get at shutdown.
    pub drain_timeout: Duration,
    /// What callers without credentials may do; `None` means nothing where there are tokens, and everything
    /// where there are none: then the server listens on loopback only.
    pub anonymous: Option<Anonymous>,
    /// PEM file with the server's certificate; with it `listen` speaks TLS only.
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's key.
    pub tls_key: Option<PathBuf>,
    /// PEM file with the CAs of clients' certificates; `None`: clients are not asked for one.
    pub tls_client_ca: Option<PathBuf>,
    /// Whether clients must show a certificate.
    pub tls_require_client_cert: bool,
    /// The domain whose subdomains are S3 buckets; without one buckets stand in the path.
    pub s3_domain: Option<String>,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written, as `tracing`'s filter directives.
    pub log_level: String,
    /// Configured namespaces; `default` is always there.
    pub namespaces: BTreeMap<Namespace, NamespaceConfig>,
    /// Who may come with which secret, and what for.
    pub tokens: BTreeMap<TokenName, TokenConfig>,
    /// Whose identity tokens are exchanged for cache tokens.
    pub oidc: Vec<OidcConfig>,
    /// File with the key that cache tokens are signed with; `None`: one is made in the data directory.
    pub token_key_file: Option<PathBuf>,
    /// That key, where a file is named and was read, which only a configuration for serving does.
    pub token_key: Option<Arc<Secret>>,
    /// Settings of namespaces by pattern. Where several match a name, the first of the map counts.
    pub namespace_patterns: BTreeMap<NamespacePattern, NamespaceConfig>,
    /// The bucket behind the disk.
    pub bucket: BucketConfig,
}

impl Config {
    /// True when nobody gets in from another machine unless somebody wrote so: there are tokens, or issuers of them, or
    /// a word about callers without one, or the server listens on loopback only.
    #[must_use]
    pub fn is_closed_or_local(&self) -> bool {
        let is_closed = self.anonymous.is_some() || !self.tokens.is_empty() || !self.oidc.is_empty();
        is_closed || self.listen.ip().to_canonical().is_loopback()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4227)),
            data_dir: PathBuf::from("larder-data"),
            capacity: 10 << 30,
            min_free_disk: 1 << 30,
            max_object_size: 1 << 30,
            durability: Durability::default(),
            verify: Verify::default(),
            memory_budget: 256 << 20,
            memory_tier: 64 << 20,
            max_connections: 4096,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            drain_timeout: Duration::from_secs(30),
            anonymous: None,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            tls_require_client_cert: false,
            s3_domain: None,
            log_format: LogFormat::default(),
            log_level: "info".to_owned(),
            namespaces: BTreeMap::new(),
            tokens: BTreeMap::new(),
            oidc: Vec::new(),
            token_key_file: None,
            token_key: None,
            namespace_patterns: BTreeMap::new(),
            bucket: BucketConfig::default(),
        }
    }
}
