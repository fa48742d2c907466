//! Multipart uploads: parts are objects of a namespace that no path can name, put together when the upload is
//! completed.
//!
//! As objects they survive a restart, count into the capacity, and can be evicted, upon which completing fails and
//! the client starts anew. An upload and its parts are gone a day after it was begun. Must not know how a part's
//! bytes are verified.

mod copied;
mod expiry;
mod listings;
mod stored;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue};
use s3s::dto::{
    AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart,
    CreateMultipartUploadOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Result};

pub(super) use copied::copy_part;
pub(in crate::protocol) use expiry::expire;
pub(super) use listings::{list, list_parts};

use super::checksums::{Checksums, Subject};
use super::listing::etag;
use super::payload::Payload;
use super::request::COPY_SOURCE;
use super::verified::Verified;
use crate::cache::PutOptions;
use crate::key::ObjectName;
use crate::object::{ObjectInfo, Precondition};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::incoming::Incoming;
use crate::protocol::operation::MethodLabel;
use crate::protocol::{Context, validators, write};
use crate::sigv4::Query;
use stored::StoredUpload;

/// True for UploadPart.
pub(super) fn is_part(method: MethodLabel, query: &Query, headers: &HeaderMap) -> bool {
    method == MethodLabel::Put
        && query.has("uploadId")
        && query.has("partNumber")
        && !headers.contains_key(COPY_SOURCE)
}

pub(super) async fn create(context: &Context, name: ObjectName) -> S3Result<CreateMultipartUploadOutput> {
    let upload = StoredUpload::begin(context, &name).await?;
    Ok(CreateMultipartUploadOutput {
        bucket: Some(name.namespace.to_string()),
        key: Some(name.key.to_string()),
        upload_id: Some(upload.id().to_owned()),
        ..CreateMultipartUploadOutput::default()
    })
}

pub(super) async fn put_part(
    context: &Context,
    name: ObjectName,
    query: &Query,
    headers: &HeaderMap,
    payload: Payload,
    incoming: &mut Incoming,
) -> S3Result<Response> {
    let number = query.get("partNumber").and_then(|text| text.parse().ok());
    let number = number.ok_or_else(bad_part_number)?;
    let mut body = Verified::new(incoming, headers, payload, Subject::Body)?;
    let upload = StoredUpload::find(context, &name, query.get("uploadId").unwrap_or_default()).await?;
    let limit = context.namespaces.max_object_size(&name.namespace);
    let part = upload.part(number)?;
    let stored = write::store(context, part.clone(), Precondition::None, limit, &mut body).await?;
    upload.keep_or_remove(context, &name, &part).await?;
    let mut response = Response::new(Body::empty());
    validators::set(response.headers_mut(), &stored.info);
    Ok(response)
}

pub(super) async fn complete(
    context: &Context,
    name: ObjectName,
    input: CompleteMultipartUploadInput,
    headers: &HeaderMap,
) -> S3Result<CompleteMultipartUploadOutput> {
    let upload = StoredUpload::find(context, &name, &input.upload_id).await?;
    let parts = input.multipart_upload.and_then(|list| list.parts).unwrap_or_default();
    let parts = wanted_parts(context, &upload, &parts).await?;
    let length: u64 = parts.iter().map(|part| part.info.length).sum();
    if length > context.max_in_parts {
        let text = format!(
            "the parts have {length} bytes together: of an upload in parts the server takes {} at most, because it has to \
             hold parts and object at once (half of its capacity)",
            context.max_in_parts
        );
        return Err(S3Error::with_message(S3ErrorCode::EntityTooLarge, text));
    }
    if input.mpu_object_size.is_some_and(|claimed| u64::try_from(claimed) != Ok(length)) {
        let text =
            format!("the parts have {length} bytes together, which is not the x-amz-mp-object-size sent");
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, text));
    }
    let checksums = Checksums::promised(headers, Subject::Object)?;
    let precondition = write::precondition(context, &name, headers).await?;
    let bucket = name.namespace.to_string();
    let key = name.key.to_string();
    let info = put_together(context, name, parts, precondition, checksums).await?;
    // The object is there, whatever becomes of its parts.
    upload.close(context).await;
    Ok(CompleteMultipartUploadOutput {
        location: Some(format!("/{bucket}/{key}")),
        bucket: Some(bucket),
        key: Some(key),
        e_tag: Some(info),
        ..CompleteMultipartUploadOutput::default()
    })
}

pub(super) async fn abort(
    context: &Context,
    name: &ObjectName,
    id: &str,
) -> S3Result<AbortMultipartUploadOutput> {
    StoredUpload::find(context, name, id).await?.remove(context).await?;
    Ok(AbortMultipartUploadOutput::default())
}

/// A part as it was when the client named it.
struct NamedPart {
    number: i32,
    name: ObjectName,
    info: ObjectInfo,
    checksums: Checksums,
}

/// The parts that a completion names, in order.
async fn wanted_parts(
    context: &Context,
    upload: &StoredUpload,
    named: &[CompletedPart],
) -> S3Result<Vec<NamedPart>> {
    if named.is_empty() {
        let text = "the list of parts is empty: an upload has at least one";
        return Err(S3Error::with_message(S3ErrorCode::MalformedXML, text));
    }
    let mut last = 0;
    let mut parts = Vec::with_capacity(named.len());
    for part in named {
        let number = part.part_number.unwrap_or_default();
        if number <= last {
            return Err(S3Error::new(S3ErrorCode::InvalidPartOrder));
        }
        last = number;
        let name = upload.part(u32::try_from(number).map_err(|_| invalid_part(number))?)?;
        // Not a look alone: the room for the whole must not be made by evicting its parts.
        let object = context.cache.get(&name).await?;
        let info = *object.ok_or_else(|| invalid_part(number))?.info();
        if part.e_tag.as_ref().is_some_and(|claimed| *claimed != etag(info.etag)) {
            return Err(invalid_part(number));
        }
        parts.push(NamedPart { number, name, info, checksums: part_checksums(part)? });
    }
    Ok(parts)
}

/// The checksums that a completion names for a part, as if they had come with it.
fn part_checksums(part: &CompletedPart) -> S3Result<Checksums> {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-amz-checksum-crc32", &part.checksum_crc32),
        ("x-amz-checksum-crc32c", &part.checksum_crc32c),
        ("x-amz-checksum-crc64nvme", &part.checksum_crc64nvme),
        ("x-amz-checksum-sha1", &part.checksum_sha1),
        ("x-amz-checksum-sha256", &part.checksum_sha256),
    ] {
        if let Some(text) = value {
            let value = HeaderValue::try_from(text).map_err(|_| S3ErrorCode::MalformedXML)?;
            headers.insert(name, value);
        }
    }
    Ok(Checksums::promised(&headers, Subject::Object)?)
}

async fn put_together(
    context: &Context,
    name: ObjectName,
    parts: Vec<NamedPart>,
    precondition: Precondition,
    mut checksums: Checksums,
) -> S3Result<s3s::dto::ETag> {
    let options = PutOptions {
        declared_length: Some(parts.iter().map(|part| part.info.length).sum()),
        precondition,
        max_length: Some(context.namespaces.max_object_size(&name.namespace)),
        ..PutOptions::default()
    };
    let mut whole = context.cache.begin_put(name, options).await?;
    for NamedPart { number, name, info, checksums: mut of_part } in parts {
        let object = context.cache.get(&name).await?;
        // One that was uploaded anew meanwhile is not the one that the client named.
        let same = object.filter(|object| object.info().sequence == info.sequence);
        let mut body = same.ok_or_else(|| invalid_part(number))?.into_body(0..info.length);
        while let Some(chunk) = body.next_chunk().await? {
            checksums.update(&chunk);
            of_part.update(&chunk);
            whole.write(chunk).await?;
        }
        of_part.finish(&[])?;
    }
    checksums.finish(&[])?;
    Ok(etag(whole.commit().await?.info.etag))
}

fn invalid_part(number: i32) -> S3Error {
    S3Error::with_message(
        S3ErrorCode::InvalidPart,
        format!("part {number} is not there, or it is another one than its ETag says: upload it again"),
    )
}

fn bad_part_number() -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, "a part number is one from 1 to 10000")
}

/// A refusal for what an upload's own objects cannot be named by.
fn bad_upload_id() -> Refusal {
    Refusal::new(ErrorCode::BadHeader, "the uploadId is none that this server gave")
}
