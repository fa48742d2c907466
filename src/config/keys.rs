//! The table of keys. File keys, `LARDER_*` variables, flags, `--help` and the README's table come from it.
//!
//! Owns each key's name, form and help; the default is the field's value in [`Config::default`]. Knows nothing
//! of sources or of rules between keys.

use super::bucket::{BucketUrlText, Endpoint, Prefix, Word};
use super::quantity::{Size, Time};
use super::value::{
    Address, Count, Directory, Domain, Filter, Form, Name, OneOf, Optional, PemFile, SecretFile, Switch,
};
use super::{
    Anonymous, BucketConfig, BucketWrite, Config, Durability, LogFormat, NamespaceConfig, Overwrite, Verify,
};

/// One scalar setting.
pub struct Key {
    /// Name in the file, for example `data_dir`, or `bucket.url` for a key of a table.
    pub name: &'static str,
    /// What it does, one sentence or two, units included.
    pub help: &'static str,
    /// True when TOML writes the value without quotes.
    pub bare: bool,
    placeholder: fn() -> String,
    get: fn(&Config) -> Option<String>,
    set: fn(&mut Config, &str) -> Result<(), String>,
}

/// One setting of a `[namespaces.NAME]` table.
pub struct NamespaceKey {
    /// Name in the table.
    pub name: &'static str,
    /// What it does.
    pub help: &'static str,
    get: fn(&NamespaceConfig) -> Option<String>,
    set: fn(&mut NamespaceConfig, &str) -> Result<(), String>,
}

impl Key {
    /// The key of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// The environment variable, for example `LARDER_DATA_DIR` or `LARDER_BUCKET_URL`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("LARDER_{}", self.name.to_ascii_uppercase().replace('.', "_"))
    }

    /// The flag without its dashes, for example `data-dir`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace(['_', '.'], "-")
    }

    /// Stands for the value in help texts: `SIZE`, `DURATION` or the choices.
    #[must_use]
    pub fn placeholder(&self) -> String {
        (self.placeholder)()
    }

    /// The key's value as text; `None` where it is not set and has no default.
    #[must_use]
    pub fn get(&self, config: &Config) -> Option<String> {
        (self.get)(config)
    }

    /// Reads `text` into `config`.
    ///
    /// # Errors
    /// What is wrong with `text` and what to write instead.
    pub fn set(&self, config: &mut Config, text: &str) -> Result<(), String> {
        (self.set)(config, text.trim())
    }
}

impl NamespaceKey {
    /// The key of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        NAMESPACE_KEYS.iter().find(|key| key.name == name)
    }

    /// The key's value as text; `None` where it is not set.
    #[must_use]
    pub fn get(&self, namespace: &NamespaceConfig) -> Option<String> {
        (self.get)(namespace)
    }

    /// Reads `text` into `namespace`.
    ///
    /// # Errors
    /// What is wrong with `text` and what to write instead.
    pub fn set(&self, namespace: &mut NamespaceConfig, text: &str) -> Result<(), String> {
        (self.set)(namespace, text.trim())
    }
}

macro_rules! keys {
    ($($field:ident: $form:ty = $help:literal;)* [bucket] { $($own:ident: $own_form:ty = $own_help:literal;)* }) => {
        /// Every scalar key, in the order of the documentation.
        pub const KEYS: &[Key] = &[$(Key {
            name: stringify!($field),
            help: $help,
            bare: <$form as Form>::BARE,
            placeholder: <$form as Form>::placeholder,
            get: |config| <$form as Form>::print(&config.$field),
            set: |config, text| {
                config.$field = <$form as Form>::parse(text)?;
                Ok(())
            },
        },)* $(Key {
            name: concat!("bucket.", stringify!($own)),
            help: $own_help,
            bare: <$own_form as Form>::BARE,
            placeholder: <$own_form as Form>::placeholder,
            get: |config| <$own_form as Form>::print(&config.bucket.$own),
            set: |config, text| {
                config.bucket.$own = <$own_form as Form>::parse(text)?;
                Ok(())
            },
        },)*];

        /// Does not compile when a field of [`Config`] is missing in the table.
        const _: fn(Config) = |Config { $($field: _,)* namespaces: _, namespace_patterns: _, bucket: _, tokens: _, oidc: _, token_key: _ }| ();
        const _: fn(BucketConfig) = |BucketConfig { $($own: _,)* }| ();
    };
}

macro_rules! namespace_keys {
    ($($field:ident: $form:ty = $help:literal;)*) => {
        /// Every key of a `[namespaces.NAME]` table.
        pub const NAMESPACE_KEYS: &[NamespaceKey] = &[$(NamespaceKey {
            name: stringify!($field),
            help: $help,
            get: |namespace| <$form as Form>::print(&namespace.$field),
            set: |namespace, text| {
                namespace.$field = <$form as Form>::parse(text)?;
                Ok(())
            },
        },)*];

        const _: fn(NamespaceConfig) = |NamespaceConfig { $($field: _,)* }| ();
    };
}

keys! {
    listen: Address =
        "Address and port to listen on. Any but loopback needs a token, or `anonymous`.";
    data_dir: Directory =
        "Directory of the store, made if missing. One server at a time.";
    capacity: Size =
        "Most that the data directory may take, in disk blocks, index included. At least 16MiB.";
    min_free_disk: Size =
        "Left free on the file system, whatever the capacity.";
    max_object_size: Size =
        "Largest object; a larger one is refused with 413. Not above capacity, which also caps the default.";
    durability: OneOf<Durability> =
        "periodic: synced every second, so a power cut may take the last second. commit: synced before \
         each answer. Both survive kill -9.";
    verify: OneOf<Verify> =
        "When a body is checked against its checksum: first (its first read after a start, and by a \
         background scrub) or always.";
    memory_budget: Size =
        "Memory for bodies in flight, up and down; beyond it requests get 503 at once. At least 16MiB. Not set: at most a \
         quarter of the memory that the container may have.";
    memory_tier: Size =
        "Memory for small and hot objects; 0 turns it off. Not set: at most a sixteenth of the container's memory.";
    max_connections: Count =
        "Connections served at once.";
    header_timeout: Time =
        "Time a client has to send a request's head.";
    body_timeout: Time =
        "Time without progress after which a body, up or down, is given up.";
    idle_timeout: Time =
        "Time an idle connection is kept. Keep it at minutes: clients reuse connections between crates.";
    drain_timeout: Time =
        "Time that requests under way get at shutdown.";
    anonymous: Optional<OneOf<Anonymous>> =
        "What callers without a token may do. Not set: nothing where there are tokens; without any, \
         everything, but only over loopback.";
    s3_domain: Optional<Domain> =
        "Domain whose subdomains are S3 buckets, as in bucket.s3.example.org. Buckets in the path always work.";
    tls_cert: Optional<PemFile> =
        "Certificate of the server, with those that signed it, in PEM. With it `listen` speaks TLS only, and takes a \
         changed file in by itself.";
    tls_key: Optional<PemFile> =
        "Private key of tls_cert, in PEM, without a passphrase.";
    tls_client_ca: Optional<PemFile> =
        "Certificates, in PEM, of those who sign clients' certificates. With it clients are asked for one.";
    tls_require_client_cert: Switch =
        "true: a client without a certificate is turned away. Needs tls_client_ca.";
    token_key_file: Optional<SecretFile> =
        "File with the key that the cache tokens of CI jobs are signed with, 32 characters or more; another one ends all of \
         them. Not set: made at the first start, in the data directory.";
    log_format: OneOf<LogFormat> =
        "How log lines are written to stderr.";
    log_level: Filter =
        "off, error, warn, info, debug, trace, or by module as in info,larder::cache=debug. debug logs each \
         request.";
    [bucket] {
        url: Optional<BucketUrlText> =
            "The bucket behind the disk: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or \
             file:///DIRECTORY, as it is, without percent signs.";
        endpoint: Optional<Endpoint> =
            "Where the store is, where it is not the provider's own, as in http://minio.lan:9000. For s3 and az.";
        region: Optional<Word> =
            "Region of an S3 bucket. Not set: what AWS_REGION says, else us-east-1.";
        path_style: Optional<Switch> =
            "true: the bucket stands in the path, as most servers but AWS want it. Not set: true where there is an \
             endpoint.";
        access_key_id: Optional<Word> =
            "Access key id, or Azure's storage account. Not set: the provider's usual places, see A bucket behind the disk.";
        secret_access_key_file: Optional<SecretFile> =
            "File with the secret of access_key_id, or the account's key. A line end behind it is cut off.";
        write: OneOf<BucketWrite> =
            "back: a PUT is answered when it is on disk, and uploaded by a queue. through: when it is in the bucket.";
        capacity: Optional<Size> =
            "Most that larder leaves in the bucket; beyond it the least recently used go. At least 64MiB. Not set: no limit.";
        ttl: Optional<Time> =
            "Time after its last use from which an object is removed from the bucket. Not set: forever.";
        read_timeout: Time =
            "Time that a read of the bucket has until its first byte; beyond it the answer is a miss.";
        write_timeout: Time =
            "Time that the upload of an object, or of a part of a large one, has before it is tried again.";
        queue_limit: Optional<Size> =
            "Most that waits to be uploaded; beyond it objects stay on the disk alone for a while. Not above capacity. Not \
             set: half of capacity.";
        uploads: Count =
            "Uploads at once.";
        absent_for: Time =
            "Time that \"the bucket does not have it\" is remembered; what another server writes is found after it. 0s: not \
             at all.";
        scan_interval: Time =
            "Time between two listings of the bucket, which find what others wrote and what is to go.";
    }
}

namespace_keys! {
    max_object_size: Optional<Size> =
        "Largest object of this namespace, where it differs from the server's. Not above quota, which also caps the default.";
    quota: Optional<Size> =
        "Most that the namespace may hold, in disk blocks of its objects; beyond it, its own least recently used go. \
         The namespaces of a pattern share one quota. At least 1MiB. Not set: up to capacity.";
    ttl: Optional<Time> =
        "Time after its write from which an object is a miss, and is removed. Reading does not prolong it. A change \
         applies to what is stored already. Not set: forever.";
    base: Optional<Name> =
        "Makes it a layer: what is not found here is read from this namespace, and from that one's base. Writes, \
         deletes and listings stay in the layer.";
    overwrite: OneOf<Overwrite> =
        "allow (the default), or never: a PUT of another body to an existing key is refused with 409; the same body is \
         accepted.";
    idle_expiry: Optional<Time> =
        "For patterns only: a namespace of which nothing was written or read for this time is removed with all its \
         objects. 7d where it is not set.";
    bucket_prefix: Optional<Prefix> =
        "Where its objects lie in the bucket, below the prefix of bucket.url; \"\" for the top. No two namespaces have the \
         same. Not for patterns. Not set: below the namespace's name.";
}
