//! CopyObject and DeleteObjects: operations on objects that are already there.
//!
//! Must not know how they are routed or who may.

use std::ops::Range;

use bytes::Bytes;
use http::HeaderMap;
use s3s::dto::{
    CopyObjectOutput, CopyObjectResult, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, Error,
    ObjectIdentifier, Timestamp,
};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::listing::etag;
use super::service::namespace;
use crate::cache::{Object, ObjectBody};
use crate::key::{Namespace, ObjectKey, ObjectName};
use crate::object::{ObjectInfo, Precondition};
use crate::protocol::conditions::{self, ReadOutcome};
use crate::protocol::error::Refusal;
use crate::protocol::path::PathError;
use crate::protocol::{Context, write};

/// Most keys of one DeleteObjects, as with S3.
const MAX_KEYS: usize = 1000;

/// The conditions on a copy's source, under the names that reads have for them.
const SOURCE_CONDITIONS: &[(&str, &str)] = &[
    ("x-amz-copy-source-if-match", "if-match"),
    ("x-amz-copy-source-if-none-match", "if-none-match"),
    ("x-amz-copy-source-if-modified-since", "if-modified-since"),
    ("x-amz-copy-source-if-unmodified-since", "if-unmodified-since"),
];

pub(super) async fn copy_object(
    context: &Context,
    from: ObjectName,
    to: ObjectName,
    headers: &HeaderMap,
) -> S3Result<CopyObjectOutput> {
    // Read once, so that what is copied is the version that the conditions hold for.
    let source = context.cache.get(&from).await?.ok_or(S3ErrorCode::NoSuchKey)?;
    check_source(headers, source.info())?;
    let length = source.info().length;
    let precondition = write::precondition(context, &to, headers).await?;
    let limit = context.namespaces.max_object_size(&to.namespace);
    let wanted = write::Wanted { precondition, limit, cost_ms: source.info().cost_ms };
    let info = write::store(context, to, wanted, &mut Copied::new(source, 0..length)).await?.info;
    let result = CopyObjectResult {
        e_tag: Some(etag(info.etag)),
        last_modified: Some(Timestamp::from(info.modified())),
        ..CopyObjectResult::default()
    };
    Ok(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() })
}

/// The bytes of a stored object on their way into another.
pub(super) struct Copied {
    length: u64,
    body: ObjectBody,
}

impl Copied {
    /// These bytes of `object`.
    pub(super) fn new(object: Object, range: Range<u64>) -> Self {
        Self { length: range.end - range.start, body: object.into_body(range) }
    }
}

impl write::Source for Copied {
    fn declared_length(&self) -> Option<u64> {
        Some(self.length)
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        Ok(self.body.next_chunk().await?)
    }
}

pub(super) async fn delete_objects(
    context: &Context,
    input: DeleteObjectsInput,
) -> S3Result<DeleteObjectsOutput> {
    let namespace = namespace(context, &input.bucket)?;
    if input.delete.objects.is_empty() || input.delete.objects.len() > MAX_KEYS {
        let text = "DeleteObjects takes 1 to 1000 keys";
        return Err(S3Error::with_message(S3ErrorCode::MalformedXML, text));
    }
    let is_quiet = input.delete.quiet == Some(true);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for object in input.delete.objects {
        let key = object.key.clone();
        match delete(context, &namespace, object).await {
            Ok(()) if is_quiet => {}
            Ok(()) => deleted.push(DeletedObject { key: Some(key), ..DeletedObject::default() }),
            Err(error) => errors.push(Error {
                key: Some(key),
                code: Some(error.code().as_str().to_owned()),
                message: error.message().map(str::to_owned),
                ..Error::default()
            }),
        }
    }
    Ok(DeleteObjectsOutput { deleted: Some(deleted), errors: Some(errors), ..DeleteObjectsOutput::default() })
}

async fn delete(context: &Context, namespace: &Namespace, object: ObjectIdentifier) -> S3Result<()> {
    if object.version_id.is_some_and(|version| version != "null") {
        return Err(not_implemented("objects have no versions here"));
    }
    if object.e_tag.is_some() || object.last_modified_time.is_some() || object.size.is_some() {
        return Err(not_implemented("conditions inside DeleteObjects: use DeleteObject with If-Match"));
    }
    let key = ObjectKey::new(&object.key).map_err(PathError::from)?;
    let name = ObjectName { namespace: namespace.clone(), key };
    context.cache.delete(&name, Precondition::None).await?;
    Ok(())
}

/// The conditions on the source are those of a read, but what a read answers with 304 fails a copy.
pub(super) fn check_source(headers: &HeaderMap, source: &ObjectInfo) -> S3Result<()> {
    let mut asked = HeaderMap::new();
    for (name, condition) in SOURCE_CONDITIONS {
        if let Some(value) = headers.get(*name) {
            asked.insert(*condition, value.clone());
        }
    }
    match conditions::for_read(&asked, source) {
        ReadOutcome::Proceed => Ok(()),
        ReadOutcome::NotModified | ReadOutcome::Failed => {
            let text = "the source is another version than the request asks for";
            Err(S3Error::with_message(S3ErrorCode::PreconditionFailed, text))
        }
    }
}

fn not_implemented(text: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::NotImplemented, text)
}
