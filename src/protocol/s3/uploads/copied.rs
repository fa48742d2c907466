//! UploadPartCopy: a part made of an object that is already there, as tools copy large ones.
//!
//! Must not know where parts are stored.

use http::HeaderMap;
use s3s::dto::{CopyPartResult, Timestamp, UploadPartCopyInput, UploadPartCopyOutput};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::stored::StoredUpload;
use crate::cache::Object;
use crate::key::ObjectName;
use crate::protocol::range::{self, Wanted};
use crate::protocol::s3::copying::{Copied, check_source};
use crate::protocol::s3::listing::etag;
use crate::protocol::{Context, write};

pub(in crate::protocol::s3) async fn copy_part(
    context: &Context,
    from: ObjectName,
    name: ObjectName,
    input: UploadPartCopyInput,
    headers: &HeaderMap,
) -> S3Result<UploadPartCopyOutput> {
    let upload = StoredUpload::find(context, &name, &input.upload_id).await?;
    let number = u32::try_from(input.part_number).map_err(|_| super::bad_part_number())?;
    let part = upload.part(number)?;
    let object: Object = context.cache.get(&from).await?.ok_or(S3ErrorCode::NoSuchKey)?;
    check_source(headers, object.info())?;
    let length = object.info().length;
    // Unlike a GET's range this one is never cut to what is there: the part would be another than was asked for.
    let range = match input.copy_source_range.as_deref().map(|text| range::wanted(text, u64::MAX)) {
        None => 0..length,
        Some(Wanted::Part(range)) if range.end <= length => range,
        Some(Wanted::Part(_) | Wanted::Whole | Wanted::Unsatisfiable) => {
            let text = format!(
                "x-amz-copy-source-range is no range of the source, which has {length} bytes: write bytes=first-last"
            );
            return Err(S3Error::with_message(S3ErrorCode::InvalidRange, text));
        }
    };
    let limit = context.namespaces.max_object_size(&name.namespace);
    let mut source = Copied::new(object, range);
    let stored = write::store(context, part.clone(), write::Wanted::part(limit), &mut source).await?;
    upload.keep_or_remove(context, &name, &part).await?;
    let result = CopyPartResult {
        e_tag: Some(etag(stored.info.etag)),
        last_modified: Some(Timestamp::from(stored.info.modified())),
        ..CopyPartResult::default()
    };
    Ok(UploadPartCopyOutput { copy_part_result: Some(result), ..UploadPartCopyOutput::default() })
}
