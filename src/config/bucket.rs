//! The settings of the bucket: what makes a set of them wrong, and the secret that belongs to them.
//!
//! Owns the rules between the keys of `[bucket]` and the namespaces' `bucket_prefix`. Knows nothing of how a bucket is
//! spoken to.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::KEYS;
use super::load::Draft;
use super::rules::{size, usable};
use super::{BucketConfig, MAX_SECRET_CHARS};
use crate::key::{DEFAULT_NAMESPACE, Namespace};

mod url;

pub use self::url::{BucketScheme, BucketUrl};
pub(super) use self::url::{BucketUrlText, Endpoint, Prefix, Word};

/// Below this a bucket is emptied faster than it is of use. In bytes.
pub const MIN_BUCKET_CAPACITY: u64 = 64 << 20;

const URL: &str = "bucket.url";

impl BucketConfig {
    /// The URL in parts; `None` where there is no bucket.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn parsed_url(&self) -> Result<Option<BucketUrl>, String> {
        self.url.as_deref().map(BucketUrl::parse).transpose()
    }

    /// The secret that belongs to `access_key_id`, read from its file; `None` where none is named. Never to be logged.
    ///
    /// # Errors
    /// Why the file cannot be used, and what to do.
    pub fn secret_access_key(&self) -> Result<Option<String>, String> {
        self.secret_access_key_file.as_deref().map(read_secret).transpose()
    }
}

/// What others gave out: no rule of ours but that it can be one.
fn read_secret(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SECRET_CHARS as u64 + 3).read_to_string(&mut text))
        .map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::NotFound => "write the secret access key there",
                io::ErrorKind::InvalidData => {
                    "it has more than the secret access key, which is printable ASCII"
                }
                _ => "let the user that larder runs as read it",
            };
            format!("cannot read {} ({error}): {advice}", path.display())
        })?;
    let secret = text.trim_end_matches(['\n', '\r']);
    let is_good = (1..=MAX_SECRET_CHARS).contains(&secret.len());
    if !is_good || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "{} does not hold a secret access key: write it there, alone and on one line",
            path.display()
        ));
    }
    Ok(secret.to_owned())
}

/// Checks the keys against each other and against the server's.
pub(super) fn between_keys(draft: &mut Draft) {
    let mut found = Vec::new();
    prefixes(draft, &mut found);
    if draft.is_sound(URL) && draft.config.bucket.url.is_none() {
        needless(draft, &mut found);
    } else {
        sizes(draft, &mut found);
        times_and_counts(&draft.config.bucket, &mut found);
        credentials(draft, &mut found);
        kind(draft, &mut found);
    }
    for (key, message) in found {
        if draft.is_sound(&key) {
            draft.problem_with(&key, message);
        }
    }
}

type Found = Vec<(String, String)>;

/// Whoever sets one of these thinks that there is a bucket.
fn needless(draft: &Draft, found: &mut Found) {
    const NO_BUCKET: &str = "there is no bucket: say in bucket.url where it is, or leave this out";
    let keys = KEYS.iter().map(|key| key.name).filter(|name| name.starts_with("bucket."));
    found.extend(
        keys.filter(|name| !draft.is_default(name)).map(|name| (name.to_owned(), NO_BUCKET.to_owned())),
    );
    for (name, own) in draft.config.namespace_tables() {
        if own.bucket_prefix.is_some() && !name.contains('*') {
            found.push((format!("namespaces.{name}.bucket_prefix"), NO_BUCKET.to_owned()));
        }
    }
}

/// A path in the bucket must belong to one namespace, or whoever writes the one writes the other.
fn prefixes(draft: &Draft, found: &mut Found) {
    let config = &draft.config;
    for (name, own) in config.namespace_tables() {
        let Some(prefix) = &own.bucket_prefix else { continue };
        let key = format!("namespaces.{name}.bucket_prefix");
        if name.contains('*') {
            let text = "all namespaces of the pattern would lie in one place: leave it out, they lie below their names";
            found.push((key, text.to_owned()));
            continue;
        }
        let has_it = |(other, settings): &(&Namespace, &super::NamespaceConfig)| {
            other.as_str() != name && settings.bucket_prefix.as_ref() == Some(prefix)
        };
        let named = config.namespaces.keys().map(Namespace::as_str).chain([DEFAULT_NAMESPACE]);
        if let Some((other, _)) = config.namespaces.iter().find(has_it) {
            found.push((
                key,
                format!("the namespace {other} lies there, too: give each of them a place of its own"),
            ));
        } else if let Some(other) = named.into_iter().find(|other| *other == prefix && *other != name) {
            found.push((
                key,
                format!("\"{prefix}\" is the place of the namespace {other}: choose another prefix"),
            ));
        } else if let Some(pattern) = config
            .namespace_patterns
            .keys()
            .find(|pattern| pattern.matches(prefix) && prefix != name && !prefix.contains('/'))
        {
            found.push((
                key,
                format!(
                    "\"{prefix}\" is the place of a namespace of the pattern {pattern}: choose another prefix"
                ),
            ));
        }
    }
}

fn sizes(draft: &Draft, found: &mut Found) {
    let bucket = &draft.config.bucket;
    if let Some(capacity) = bucket.capacity.filter(|capacity| *capacity < MIN_BUCKET_CAPACITY) {
        let (capacity, least) = (size(capacity), size(MIN_BUCKET_CAPACITY));
        let text = format!("{capacity} is too small: write at least {least}, or leave it out for no limit");
        found.push(("bucket.capacity".to_owned(), text));
    }
    let Some(limit) = bucket.queue_limit else { return };
    let key = "bucket.queue_limit".to_owned();
    let capacity = draft.config.capacity;
    if limit == 0 {
        found.push((key, "0 would bring nothing to the bucket: write a size, or leave it out".to_owned()));
    } else if draft.is_sound("capacity") && limit > capacity {
        let (limit, capacity) = (size(limit), size(capacity));
        found.push((
            key,
            format!(
                "{limit} is above the capacity of {capacity}, and what waits is on the disk: lower it, or raise capacity"
            ),
        ));
    }
}

fn times_and_counts(bucket: &BucketConfig, found: &mut Found) {
    let mut zero = |key: &str, is_zero: bool, text: &str| {
        if is_zero {
            found.push((format!("bucket.{key}"), text.to_owned()));
        }
    };
    let nothing = Duration::ZERO;
    zero("read_timeout", bucket.read_timeout == nothing, "0 would read nothing: write a time such as 500ms");
    zero("write_timeout", bucket.write_timeout == nothing, "0 would write nothing: write a time such as 30s");
    zero(
        "scan_interval",
        bucket.scan_interval == nothing,
        "0 would list without end: write a time such as 1h",
    );
    zero("uploads", bucket.uploads == 0, "0 would bring nothing to the bucket: write at least 1");
    let text = "0 would keep nothing: write a time such as 30d, or leave it out";
    zero("ttl", bucket.ttl == Some(nothing), text);
}

/// Half of a pair logs nobody in.
fn credentials(draft: &Draft, found: &mut Found) {
    let bucket = &draft.config.bucket;
    let (id, secret) = ("bucket.access_key_id", "bucket.secret_access_key_file");
    let is_azure = matches!(bucket.parsed_url(), Ok(Some(url)) if url.scheme() == BucketScheme::Az);
    let has = (bucket.access_key_id.is_some(), bucket.secret_access_key_file.is_some());
    // Azure's account needs a name also where something else than its key logs in.
    if has == (true, false) && !is_azure && draft.is_sound(secret) {
        let text = "an access key needs its secret: name its file in bucket.secret_access_key_file, or leave both out";
        found.push((id.to_owned(), text.to_owned()));
    }
    if has == (false, true) && draft.is_sound(id) {
        let text = "a secret needs the key that it belongs to: set bucket.access_key_id, or leave both out";
        found.push((secret.to_owned(), text.to_owned()));
    }
}

/// What a kind of store has no use for was meant for another one.
fn kind(draft: &Draft, found: &mut Found) {
    let Ok(Some(url)) = draft.config.bucket.parsed_url() else { return };
    let (s3, az) = (BucketScheme::S3, BucketScheme::Az);
    for (key, kinds, names) in [
        ("bucket.endpoint", &[s3, az][..], "s3:// and az://"),
        ("bucket.region", &[s3][..], "s3://"),
        ("bucket.path_style", &[s3][..], "s3://"),
        ("bucket.access_key_id", &[s3, az][..], "s3:// and az://"),
        ("bucket.secret_access_key_file", &[s3, az][..], "s3:// and az://"),
    ] {
        if !kinds.contains(&url.scheme()) && !draft.is_default(key) {
            let text =
                format!("this is for {names}, and bucket.url starts with {}: leave it out", url.scheme());
            found.push((key.to_owned(), text));
        }
    }
}

/// Checks that the secret's file can be read, and that a directory can be used. Changes nothing.
pub(super) fn files(draft: &mut Draft) {
    let bucket = &draft.config.bucket;
    if let Err(message) = bucket.secret_access_key() {
        draft.problem_with("bucket.secret_access_key_file", message);
    }
    let Ok(Some(BucketUrl::Directory(directory))) = draft.config.bucket.parsed_url() else { return };
    let real = |path: &Path| -> PathBuf {
        path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
    };
    let (bucket, data) = (real(&directory), real(&draft.config.data_dir));
    if draft.is_sound("data_dir") && (bucket.starts_with(&data) || data.starts_with(&bucket)) {
        let text = "the directory of the bucket and data_dir lie in each other: choose another directory";
        draft.problem_with(URL, text.to_owned());
    } else if let Err(reason) = usable(&directory) {
        draft.problem_with(URL, format!("{reason}: make it usable for larder's user, or choose another"));
    }
}
