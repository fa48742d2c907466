//! ListParts and ListMultipartUploads.
//!
//! Must not know how uploads are stored beyond their names.

use std::time::SystemTime;

use s3s::dto::{
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload,
    Part, Timestamp,
};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::stored::{RECORD, StoredUpload, is_over, read_record};
use crate::key::{Namespace, ObjectName};
use crate::protocol::Context;
use crate::protocol::s3::listing::{BATCH, MAX_PAGE, etag};

pub(in crate::protocol::s3) async fn list_parts(
    context: &Context,
    name: &ObjectName,
    input: ListPartsInput,
) -> S3Result<ListPartsOutput> {
    let upload = StoredUpload::find(context, name, &input.upload_id).await?;
    let marker = input.part_number_marker.unwrap_or_default();
    let after = u32::try_from(marker).map_err(|_| invalid("part-number-marker is a number from 0 on"))?;
    let limit = page_size(input.max_parts)?;
    // One more shows whether there is a next page.
    let mut rows = upload.parts(context, after, limit + 1).await?;
    let is_truncated = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().and_then(|(number, _)| i32::try_from(*number).ok());
    let part = |(number, row): (u32, crate::cache::ListedObject)| Part {
        part_number: i32::try_from(number).ok(),
        size: i64::try_from(row.info.length).ok(),
        e_tag: Some(etag(row.info.etag)),
        last_modified: Some(Timestamp::from(row.info.modified())),
        ..Part::default()
    };
    Ok(ListPartsOutput {
        parts: Some(rows.into_iter().map(part).collect()),
        is_truncated: Some(is_truncated),
        next_part_number_marker: last.filter(|_| is_truncated),
        part_number_marker: Some(marker),
        max_parts: i32::try_from(limit).ok(),
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        ..ListPartsOutput::default()
    })
}

pub(in crate::protocol::s3) async fn list(
    context: &Context,
    namespace: &Namespace,
    input: ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    if input.delimiter.is_some() {
        let text = "ListMultipartUploads by delimiter is not implemented: leave the delimiter out";
        return Err(S3Error::with_message(S3ErrorCode::NotImplemented, text));
    }
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let mut uploads = all(context, namespace).await?;
    uploads.retain(|(key, _, _)| key.starts_with(prefix));
    uploads.sort();
    let key_marker = input.key_marker.clone().unwrap_or_default();
    let id_marker = input.upload_id_marker.clone();
    let behind = |key: &str, id: &str| match &id_marker {
        Some(marker) if key == key_marker => id > &**marker,
        _ => *key > *key_marker,
    };
    if !key_marker.is_empty() {
        uploads.retain(|(key, id, _)| behind(key, id));
    }
    let limit = page_size(input.max_uploads)?;
    let is_truncated = uploads.len() > limit;
    uploads.truncate(limit);
    let last = uploads.last().filter(|_| is_truncated).cloned();
    let upload = |(key, id, begun): (String, String, SystemTime)| MultipartUpload {
        key: Some(key),
        upload_id: Some(id),
        initiated: Some(Timestamp::from(begun)),
        ..MultipartUpload::default()
    };
    Ok(ListMultipartUploadsOutput {
        uploads: Some(uploads.into_iter().map(upload).collect()),
        is_truncated: Some(is_truncated),
        next_key_marker: last.as_ref().map(|(key, _, _)| key.clone()),
        next_upload_id_marker: last.map(|(_, id, _)| id),
        bucket: Some(input.bucket),
        prefix: input.prefix,
        key_marker: input.key_marker,
        upload_id_marker: input.upload_id_marker,
        max_uploads: i32::try_from(limit).ok(),
        ..ListMultipartUploadsOutput::default()
    })
}

/// Every upload of a namespace: key, id, when it was begun.
async fn all(context: &Context, namespace: &Namespace) -> S3Result<Vec<(String, String, SystemTime)>> {
    let prefix = format!("{namespace}/");
    let (mut after, mut uploads) = (None::<String>, Vec::new());
    loop {
        let rows = context.cache.list(&Namespace::uploads(), &prefix, after.as_deref(), BATCH).await?;
        let is_last = rows.len() < BATCH;
        for row in rows {
            after = Some(row.key.as_str().to_owned());
            let id = row.key.as_str().strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(RECORD));
            let Some(id) = id.and_then(|id| id.strip_suffix('/')).map(str::to_owned) else { continue };
            let record = ObjectName { namespace: Namespace::uploads(), key: row.key };
            match read_record(context, &record).await? {
                Some((key, begun)) if !is_over(begun, SystemTime::now()) => uploads.push((key, id, begun)),
                Some(_) | None => {}
            }
        }
        if is_last {
            return Ok(uploads);
        }
    }
}

fn page_size(wanted: Option<i32>) -> S3Result<usize> {
    let size = usize::try_from(wanted.unwrap_or(MAX_PAGE).min(MAX_PAGE));
    size.ok().filter(|size| *size > 0).ok_or_else(|| invalid("a page has 1 to 1000 rows"))
}

fn invalid(text: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, text)
}
