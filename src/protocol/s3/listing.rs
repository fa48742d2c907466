//! ListObjects and ListObjectsV2: keys in order, rolled up at a delimiter, in pages.
//!
//! A page's token is the last key or prefix that was listed, so it stays good whatever happens to the objects
//! meanwhile. It must not know how a listing is made.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use s3s::dto::{
    CommonPrefix, ETag, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object, ObjectStorageClass, Timestamp,
};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::service::namespace;
use crate::cache::CacheError;
use crate::key::{MAX_KEY_BYTES, Namespace, ObjectKey};
use crate::object::{self, ObjectSummary};
use crate::protocol::Context;
use crate::protocol::path::encode_segment;

/// Most rows of one page, as with S3.
pub(super) const MAX_PAGE: i32 = 1000;
/// Rows read at once: enough for a page, few enough to stop soon where many keys roll up into one.
pub(super) const BATCH: usize = 1000;

/// What a page is asked for.
struct Wanted<'a> {
    namespace: Namespace,
    prefix: &'a str,
    delimiter: Option<&'a str>,
    /// List what comes behind this key, or behind all keys below this common prefix.
    after: Option<String>,
    rows: usize,
}

/// One page.
#[derive(Default)]
struct Page {
    objects: Vec<(ObjectKey, ObjectSummary)>,
    prefixes: Vec<String>,
    /// Where the next page goes on; `None` behind the last one.
    next: Option<String>,
}

pub(super) async fn list_objects_v2(
    context: &Context,
    input: ListObjectsV2Input,
) -> S3Result<ListObjectsV2Output> {
    let after = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => Some(read_token(token)?),
        (None, start_after) => start_after.clone(),
    };
    let (prefix, delimiter) = (input.prefix.as_deref(), input.delimiter.as_deref());
    let page = page(context, &input.bucket, prefix, delimiter, after, input.max_keys).await?;
    let encode = Encode::read(input.encoding_type.as_ref())?;
    Ok(ListObjectsV2Output {
        key_count: Some(i32::try_from(page.objects.len() + page.prefixes.len()).unwrap_or(MAX_PAGE)),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(|next| BASE64_URL_SAFE_NO_PAD.encode(next)),
        contents: Some(page.objects.iter().map(|row| encode.object(row)).collect()),
        common_prefixes: Some(encode.prefixes(&page.prefixes)),
        max_keys: Some(input.max_keys.unwrap_or(MAX_PAGE).min(MAX_PAGE)),
        prefix: Some(encode.text(input.prefix.as_deref().unwrap_or_default())),
        delimiter: input.delimiter.as_deref().map(|text| encode.text(text)),
        start_after: input.start_after.as_deref().map(|text| encode.text(text)),
        continuation_token: input.continuation_token,
        encoding_type: input.encoding_type,
        name: Some(input.bucket),
        ..ListObjectsV2Output::default()
    })
}

pub(super) async fn list_objects(context: &Context, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
    let (prefix, delimiter) = (input.prefix.as_deref(), input.delimiter.as_deref());
    let after = input.marker.clone().filter(|marker| !marker.is_empty());
    let page = page(context, &input.bucket, prefix, delimiter, after, input.max_keys).await?;
    let encode = Encode::read(input.encoding_type.as_ref())?;
    Ok(ListObjectsOutput {
        is_truncated: Some(page.next.is_some()),
        next_marker: page.next.map(|next| encode.text(&next)),
        contents: Some(page.objects.iter().map(|row| encode.object(row)).collect()),
        common_prefixes: Some(encode.prefixes(&page.prefixes)),
        max_keys: Some(input.max_keys.unwrap_or(MAX_PAGE).min(MAX_PAGE)),
        prefix: Some(encode.text(input.prefix.as_deref().unwrap_or_default())),
        delimiter: input.delimiter.as_deref().map(|text| encode.text(text)),
        marker: Some(encode.text(input.marker.as_deref().unwrap_or_default())),
        encoding_type: input.encoding_type,
        name: Some(input.bucket),
        ..ListObjectsOutput::default()
    })
}

async fn page(
    context: &Context,
    bucket: &str,
    prefix: Option<&str>,
    delimiter: Option<&str>,
    after: Option<String>,
    max_keys: Option<i32>,
) -> S3Result<Page> {
    let rows = usize::try_from(max_keys.unwrap_or(MAX_PAGE).min(MAX_PAGE))
        .map_err(|_| S3Error::with_message(S3ErrorCode::InvalidArgument, "max-keys is a number from 0 on"))?;
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
    let namespace = namespace(context, bucket)?;
    if !context.cache.is_ready() {
        // Half a listing looks like a whole one, and tools that mirror act on it.
        return Err(CacheError::Loading.into());
    }
    collect(context, Wanted { namespace, prefix: prefix.unwrap_or_default(), delimiter, after, rows }).await
}

async fn collect(context: &Context, wanted: Wanted<'_>) -> S3Result<Page> {
    let Wanted { namespace, prefix, delimiter, mut after, rows } = wanted;
    let mut page = Page::default();
    // A prefix that the page before ended with: the keys below it are told of.
    let mut rolled_up =
        after.clone().filter(|after| common_prefix(after, prefix, delimiter).as_ref() == Some(after));
    if rows == 0 {
        return Ok(page);
    }
    loop {
        if let Some(prefix) = &rolled_up {
            after = after.max(Some(behind(prefix)));
        }
        // One more than fits shows whether there is a next page; how many roll up into one prefix nobody knows.
        let missing = rows + 1 - page.objects.len() - page.prefixes.len();
        let wanted = if delimiter.is_some() { BATCH } else { missing };
        let batch = context.cache.list_with_bucket(&namespace, prefix, after.as_deref(), wanted).await?;
        let is_last = batch.len() < wanted;
        for row in batch {
            let key = row.0.as_str();
            if rolled_up.as_ref().is_some_and(|prefix| key.starts_with(&**prefix)) {
                after = Some(key.to_owned());
                continue;
            }
            if page.objects.len() + page.prefixes.len() == rows {
                page.next = rolled_up.or(after);
                return Ok(page);
            }
            after = Some(key.to_owned());
            rolled_up = common_prefix(key, prefix, delimiter);
            match &rolled_up {
                Some(common) => page.prefixes.push(common.clone()),
                None => page.objects.push(row),
            }
        }
        if is_last {
            return Ok(page);
        }
    }
}

/// The part of a key up to the first delimiter behind the prefix.
fn common_prefix(key: &str, prefix: &str, delimiter: Option<&str>) -> Option<String> {
    let delimiter = delimiter?;
    let rest = key.strip_prefix(prefix)?;
    let end = prefix.len() + rest.find(delimiter)? + delimiter.len();
    Some(key[..end].to_owned())
}

/// A text behind all keys that start with `prefix`, as far as keys are made of the usual characters; keys of others
/// are left out when they come.
fn behind(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

fn read_token(token: &str) -> S3Result<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.filter(|text| text.len() <= MAX_KEY_BYTES).ok_or_else(|| {
        let text = "the continuation token is none that this server gave: start the listing anew";
        S3Error::with_message(S3ErrorCode::InvalidArgument, text)
    })
}

/// Whether keys are to be percent-encoded, which they need where XML cannot hold a character.
#[derive(Clone, Copy)]
enum Encode {
    Plain,
    Url,
}

impl Encode {
    fn read(encoding: Option<&EncodingType>) -> S3Result<Self> {
        match encoding.map(EncodingType::as_str) {
            None => Ok(Self::Plain),
            Some(EncodingType::URL) => Ok(Self::Url),
            Some(_) => Err(S3Error::with_message(
                S3ErrorCode::InvalidArgument,
                "encoding-type is 'url' or not there",
            )),
        }
    }

    fn text(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Url => {
                let segments: Vec<_> =
                    text.split('/').map(|segment| encode_segment(segment).to_string()).collect();
                segments.join("/")
            }
        }
    }

    fn object(self, (key, summary): &(ObjectKey, ObjectSummary)) -> Object {
        Object {
            key: Some(self.text(key.as_str())),
            size: i64::try_from(summary.length).ok(),
            e_tag: summary.etag.map(etag),
            last_modified: Some(Timestamp::from(summary.modified())),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            ..Object::default()
        }
    }

    fn prefixes(self, prefixes: &[String]) -> Vec<CommonPrefix> {
        let prefix = |text: &String| CommonPrefix { prefix: Some(self.text(text)) };
        prefixes.iter().map(prefix).collect()
    }
}

/// An object's tag; `s3s` adds the quotes.
pub(super) fn etag(tag: object::ETag) -> ETag {
    ETag::Strong(tag.to_string().trim_matches('"').to_owned())
}
