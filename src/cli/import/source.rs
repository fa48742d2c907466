//! What is copied: the objects of a bucket, or the entries of an sccache directory, which is read as a bucket of files.
//!
//! Owns which objects count and what a client asks for to find one. Knows nothing of the server.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::arguments::SourcePlace;
use super::progress::Progress;
use super::sccache;
use crate::bucket::{Bucket, BucketError, BucketPath};
use crate::config::{BucketConfig, BucketUrl};
use crate::key::SCCACHE_PROBE;

/// Time without a byte, or without a row of the listing, after which a call is given up.
const STALLED: Duration = Duration::from_secs(60);
/// Times that a listing is begun, where the bucket is not to be had.
const LISTINGS: u32 = 3;

/// An opened source.
pub(super) struct Source {
    bucket: Bucket,
    is_sccache: bool,
    shown: String,
}

/// One object to copy.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) path: BucketPath,
    pub(super) length: u64,
    pub(super) modified_ms: u64,
}

/// What the source has.
#[derive(Default)]
pub(super) struct Listing {
    /// The least recently used, or written, first: where not all have room, the others stay.
    pub(super) entries: Vec<Entry>,
    /// Objects that are none to copy.
    pub(super) others: u64,
    /// Whether an entry of a bucket lies as in a local directory of sccache.
    looks_local: bool,
    /// Whether a local directory has sccache's preprocessor cache.
    has_preprocessor: bool,
}

/// An object's body.
pub(super) struct Body {
    /// In bytes.
    pub(super) length: u64,
    pub(super) pieces: BoxStream<'static, Result<Bytes, SourceError>>,
}

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// It was removed since it was listed.
    #[error("it is gone from the source")]
    Gone,
    /// May be otherwise in a moment.
    #[error("reading the source: {0}")]
    Failed(String),
    /// Will not be otherwise.
    #[error("the source refuses: {0}")]
    Refused(String),
    /// An object has a path that the client of the bucket cannot handle, as one with an empty segment.
    #[error("a path that cannot be read: {0}")]
    Odd(String),
}

impl Source {
    /// Opens what `place` names. A bucket is asked nothing yet.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub(super) fn open(place: &SourcePlace) -> Result<Self, String> {
        let shown = place.shown();
        let config = match place {
            SourcePlace::Bucket(config) => {
                // Opening makes the directory of a server's bucket; a source must be there.
                if let Ok(Some(BucketUrl::Directory(directory))) = config.parsed_url() {
                    check_directory(&directory, "write file:/// and the path of a directory")?;
                }
                config.as_ref().clone()
            }
            SourcePlace::Sccache(path) => {
                check_directory(path, "sccache --show-stats tells where sccache keeps its cache")?;
                let absolute = path.canonicalize().map_err(|error| format!("{shown}: {error}"))?;
                let absolute =
                    absolute.to_str().ok_or_else(|| format!("{shown}: the path is not UTF-8: rename it"))?;
                BucketConfig { url: Some(format!("file://{absolute}")), ..BucketConfig::default() }
            }
        };
        let bucket = Bucket::open(&config).map_err(|error| format!("{shown}: {error}"))?;
        let bucket = bucket.ok_or_else(|| format!("{shown} names no bucket"))?;
        Ok(Self { bucket, is_sccache: matches!(place, SourcePlace::Sccache(_)), shown })
    }

    /// Everything there is. Takes about 150 bytes of memory an object.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub(super) async fn list(&self, progress: &Progress) -> Result<Listing, String> {
        let mut attempt = 1;
        let mut listing = loop {
            match self.list_once(progress).await {
                Ok(listing) => break listing,
                Err(SourceError::Failed(_)) if attempt < LISTINGS => attempt += 1,
                Err(SourceError::Failed(cause) | SourceError::Odd(cause)) => {
                    return Err(format!("cannot list {}: {cause}", self.shown));
                }
                Err(SourceError::Gone) => return Err(format!("there is no {}", self.shown)),
                Err(SourceError::Refused(cause)) => {
                    return Err(format!(
                        "cannot list {}: {cause}. Look at the name, the region, and whether the key may list and read",
                        self.shown
                    ));
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        if listing.entries.is_empty() {
            return Err(self.empty(listing.others));
        }
        listing.entries.sort_by_key(|entry| entry.modified_ms);
        Ok(listing)
    }

    async fn list_once(&self, progress: &Progress) -> Result<Listing, SourceError> {
        let mut listing = Listing::default();
        let mut rows = self.bucket.list();
        while let Some(row) = in_time(rows.next()).await? {
            let row = match row {
                Ok(row) => row,
                Err(BucketError::Impossible(cause)) => {
                    listing.others += 1;
                    progress.tell(&format!("left out: {}", cause.escape_debug()));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let entry = Entry { path: row.path, length: row.length, modified_ms: row.modified_ms };
            // sccache renames whole files into place; an empty one is what a power cut left.
            let is_torn = self.is_sccache && entry.length == 0;
            match self.key(&entry).filter(|_| !is_torn) {
                None => {
                    listing.others += 1;
                    let below = self.bucket.below(&entry.path).unwrap_or_default();
                    listing.has_preprocessor |= self.is_sccache && below.starts_with(sccache::PREPROCESSOR);
                }
                Some(key) => {
                    listing.looks_local |= key.matches('/').count() == 2 && sccache::key(&key).is_some();
                    listing.entries.push(entry);
                    progress.listed(listing.entries.len());
                }
            }
        }
        Ok(listing)
    }

    /// What a client asks for to find this entry; `None` where it is none.
    pub(super) fn key(&self, entry: &Entry) -> Option<String> {
        let below = self.bucket.below(&entry.path)?;
        if self.is_sccache {
            return sccache::key(below);
        }
        // The probe is no result, and below .larder/ a larder keeps its own things.
        let is_ours = below.split('/').any(|segment| segment == ".larder");
        let is_probe = below.rsplit('/').next() == Some(SCCACHE_PROBE);
        (!is_ours && !is_probe).then(|| below.to_owned())
    }

    /// Reads an entry's body, from its start.
    ///
    /// # Errors
    /// [`SourceError`]; the pieces too.
    pub(super) async fn read(&self, entry: &Entry) -> Result<Body, SourceError> {
        let read = in_time(self.bucket.get(&entry.path, 0)).await??;
        let pieces = stream::unfold(Some(read.body), |body| async {
            let mut body = body?;
            match in_time(body.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some(body))),
                Ok(Some(Err(error))) => Some((Err(error.into()), None)),
                Err(stalled) => Some((Err(stalled), None)),
            }
        });
        Ok(Body { length: read.object.length, pieces: pieces.boxed() })
    }

    fn empty(&self, others: u64) -> String {
        let advice = match (self.is_sccache, others) {
            (true, 0) => "sccache --show-stats tells where sccache keeps its cache",
            (true, _) => {
                "this is no directory of sccache's own; if it holds a copy of a bucket, write file:/// in front"
            }
            (false, _) => "is there a prefix, as in s3://BUCKET/PREFIX?",
        };
        format!("there is nothing to import in {}: {advice}", self.shown)
    }
}

impl Listing {
    /// Bytes of all bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.length).sum()
    }

    /// What a person should know about these entries.
    pub(super) fn hint(&self, place: &SourcePlace) -> Option<&'static str> {
        if self.has_preprocessor {
            return Some(
                "sccache made the entries of C and C++ in its preprocessor mode, the default with a disk: they are found \
                 with SCCACHE_MULTILEVEL_CHAIN=disk,webdav (or disk,s3), not by an sccache without a disk. Those of Rust \
                 are found by both",
            );
        }
        let is_files = place.shown().starts_with("file://");
        (self.looks_local && is_files).then_some(
            "this looks like sccache's own directory, whose keys no client asks for: give it as a path, without file://",
        )
    }
}

impl From<BucketError> for SourceError {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::NotFound => Self::Gone,
            BucketError::Refused(cause) => Self::Refused(cause),
            BucketError::Impossible(cause) => Self::Odd(cause),
            BucketError::Exists | BucketError::Unavailable(_) | BucketError::TooSlow(_) => {
                Self::Failed(error.to_string())
            }
        }
    }
}

fn check_directory(path: &Path, advice: &str) -> Result<(), String> {
    match path.metadata() {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("{} is no directory: {advice}", path.display())),
        Err(error) => Err(format!("{}: {error}: {advice}", path.display())),
    }
}

async fn in_time<T>(call: impl Future<Output = T>) -> Result<T, SourceError> {
    let outcome = tokio::time::timeout(STALLED, call).await;
    outcome.map_err(|_| SourceError::Failed(format!("no answer for {} s", STALLED.as_secs())))
}
