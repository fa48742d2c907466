//! The calls for single objects, and what a path may be. Time limits and retries are the caller's.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::Hasher as _;
use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt, TryStreamExt};
use http::StatusCode;
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, PutMode, PutOptions,
    PutPayload,
};
use twox_hash::XxHash3_64;

use super::answer::Answer;
use super::transport::EncryptedETag;
use super::{BodyChecksum, Bucket, BucketError, BucketObject, BucketPath, BucketRead, Marked, WriteMode};
use crate::config::BucketScheme;

/// The metadata that holds a body's XXH3-128, in hex digits.
const CHECKSUM_METADATA: &str = "larder_xxh3";
/// The metadata that holds what an object cost to make, in milliseconds.
const COST_METADATA: &str = "larder_cost_ms";
/// Longest path in bytes, the prefix included: the limit of S3 and Google; Azure counts characters.
const MOST_PATH_BYTES: usize = 1024;
/// Longest name of a file in bytes, with some left for the number that is behind it while it is written.
const MOST_NAME_BYTES: usize = 240;

impl Bucket {
    /// The path `below` the bucket's prefix, as it is. `None` where no object can have that path.
    #[must_use]
    pub fn path(&self, below: &str) -> Option<BucketPath> {
        let path = self.place(below)?;
        let fits = match self.scheme {
            BucketScheme::File => fits_a_directory(path.as_ref()),
            BucketScheme::S3 | BucketScheme::Gs | BucketScheme::Az => fits_a_store(path.as_ref()),
        };
        fits.then_some(path)
    }

    /// As [`Bucket::path`], for what need not be an object's: a directory, or where a listing starts.
    pub(super) fn place(&self, below: &str) -> Option<BucketPath> {
        let whole = match self.prefix.as_ref() {
            "" => below.to_owned(),
            prefix => format!("{prefix}/{below}"),
        };
        BucketPath::parse(&whole).ok().filter(|path| path.as_ref() == whole)
    }

    /// The part of `path` behind the bucket's prefix; `None` where it lies elsewhere.
    #[must_use]
    pub fn below<'a>(&self, path: &'a BucketPath) -> Option<&'a str> {
        let prefix = self.prefix.as_ref();
        if prefix.is_empty() {
            return Some(path.as_ref());
        }
        path.as_ref().strip_prefix(prefix)?.strip_prefix('/')
    }

    /// Reads an object from the byte `from` on.
    ///
    /// # Errors
    /// [`BucketError`]; the stream's items too.
    pub async fn get(&self, path: &BucketPath, from: u64) -> Result<BucketRead, BucketError> {
        let range = (from > 0).then_some(GetRange::Offset(from));
        let options = GetOptions { range, ..GetOptions::default() };
        let found = self.store.get_opts(path, options).await.map_err(reading)?;
        let object = self.described(&found);
        let body = found.into_stream().map_err(BucketError::from).boxed();
        Ok(BucketRead { object, body })
    }

    /// What the bucket says of an object.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn head(&self, path: &BucketPath) -> Result<BucketObject, BucketError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let found = self.store.get_opts(path, options).await.map_err(reading)?;
        Ok(self.described(&found))
    }

    /// Writes an object in one call. Where the store does not know conditions, [`WriteMode::Create`] replaces.
    ///
    /// # Errors
    /// [`BucketError`]; `Exists` only with [`WriteMode::Create`], also where somebody else is just writing the object.
    pub async fn put(
        &self,
        path: &BucketPath,
        body: Vec<Bytes>,
        marked: Marked,
        mode: WriteMode,
    ) -> Result<(), BucketError> {
        let payload: PutPayload = body.into_iter().collect();
        if mode == WriteMode::Create {
            match self.put_as(path, payload.clone(), marked, PutMode::Create).await {
                Err(error) if is_not_known(&error) => {}
                other => return other.map_err(BucketError::from),
            }
        }
        let put = self.put_as(path, payload, marked, PutMode::Overwrite).await;
        put.map_err(|error| BucketError::from(error).when_replacing())
    }

    async fn put_as(
        &self,
        path: &BucketPath,
        payload: PutPayload,
        marked: Marked,
        mode: PutMode,
    ) -> object_store::Result<()> {
        let options = PutOptions { mode, attributes: self.attributes(marked), ..PutOptions::default() };
        self.store.put_opts(path, payload, options).await.map(|_| ())
    }

    /// Removes an object. One that is not there is as good as removed.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn delete(&self, path: &BucketPath) -> Result<(), BucketError> {
        let gone = self.delete_all(vec![path.clone()]).await?;
        let failed = || BucketError::Unavailable("the answer does not say that it is deleted".to_owned());
        gone.contains(path).then_some(()).ok_or_else(failed)
    }

    /// Removes many objects, in as few calls as the store allows (DeleteObjects). Returns the paths that are gone.
    ///
    /// # Errors
    /// [`BucketError`] where none could be removed.
    pub async fn delete_all(&self, paths: Vec<BucketPath>) -> Result<HashSet<BucketPath>, BucketError> {
        // One by one, in the order they were asked for; only so it is known which one a directory does not have.
        let asked = paths.clone();
        let wanted = futures_util::stream::iter(paths.into_iter().map(Ok)).boxed();
        let results = self.store.delete_stream(wanted).collect::<Vec<_>>();
        // `object_store` 0.14 panics where an answer to DeleteObjects names what was not asked for.
        let results = AssertUnwindSafe(results).catch_unwind().await.map_err(|_| {
            BucketError::Unavailable(
                "the answer to DeleteObjects names other objects than were asked for".to_owned(),
            )
        })?;
        let (mut gone, mut failed) = (HashSet::new(), None);
        let is_in_step = results.len() == asked.len();
        for (place, result) in results.into_iter().enumerate() {
            match result.map_err(|error| BucketError::from(error).when_reading()) {
                Ok(path) => {
                    gone.insert(path);
                }
                Err(BucketError::NotFound) if is_in_step => gone.extend(asked.get(place).cloned()),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if gone.is_empty() => Err(error.when_replacing()),
            _ => Ok(gone),
        }
    }

    pub(super) fn attributes(&self, marked: Marked) -> Attributes {
        let mut attributes = Attributes::new();
        // Directories refuse to keep any.
        if self.scheme != BucketScheme::File {
            let name = Attribute::Metadata(Cow::Borrowed(CHECKSUM_METADATA));
            attributes.insert(name, format!("{:032x}", marked.checksum).into());
            if marked.cost_ms > 0 {
                let name = Attribute::Metadata(Cow::Borrowed(COST_METADATA));
                attributes.insert(name, marked.cost_ms.to_string().into());
            }
        }
        attributes
    }

    fn described(&self, found: &GetResult) -> BucketObject {
        let meta = &found.meta;
        let named = |name| found.attributes.get(&Attribute::Metadata(Cow::Borrowed(name)));
        let cost_ms = named(COST_METADATA).and_then(|value| value.parse().ok()).unwrap_or(0);
        let own = named(CHECKSUM_METADATA)
            .and_then(|value| u128::from_str_radix(value, 16).ok())
            .map(BodyChecksum::Xxh3);
        // Azure's ETags are numbers, a directory's are made of a file's properties.
        let is_md5 = matches!(self.scheme, BucketScheme::S3 | BucketScheme::Gs)
            && found.extensions.get::<EncryptedETag>().is_none();
        let md5 = || md5(meta.e_tag.as_deref().filter(|_| is_md5)?).map(BodyChecksum::Md5);
        let version = meta.e_tag.as_deref().map_or(0, |etag| {
            let mut hash = XxHash3_64::default();
            hash.write(etag.as_bytes());
            hash.finish()
        });
        BucketObject {
            length: meta.size,
            modified_ms: modified_ms(meta),
            version,
            checksum: own.or_else(md5),
            cost_ms,
        }
    }
}

/// A read that failed before its body.
fn reading(error: object_store::Error) -> BucketError {
    BucketError::from(error).when_reading()
}

/// True where the store says that it does not know what was asked for.
pub(super) fn is_not_known(error: &object_store::Error) -> bool {
    let answered = Answer::within(error).is_some_and(|answer| answer.status == StatusCode::NOT_IMPLEMENTED);
    answered || matches!(error, object_store::Error::NotImplemented { .. })
}

/// What a key of S3, Google and Azure may be, and what their listings in XML can say: U+FFFE and U+FFFF they cannot, and one
/// such key would spoil a DeleteObjects of a thousand.
fn fits_a_store(path: &str) -> bool {
    path.len() <= MOST_PATH_BYTES && !path.contains(['\u{fffe}', '\u{ffff}'])
}

/// What a file's path may be. A number behind a `#` is what `object_store` calls a file that is not yet whole.
fn fits_a_directory(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_unfinished = name
        .split_once('#')
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    !is_unfinished && path.split('/').all(|name| name.len() <= MOST_NAME_BYTES)
}

pub(super) fn modified_ms(meta: &ObjectMeta) -> u64 {
    u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0)
}

/// An ETag of 32 hex digits is an MD5; those of uploads in parts have a dash.
fn md5(etag: &str) -> Option<[u8; 16]> {
    let digits = etag.trim_matches('"');
    let is_hex = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)).flatten()
}
