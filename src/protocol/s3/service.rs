//! The bridge to `s3s`: which of S3's operations there are, and where each is carried out.
//!
//! `s3s` reads parameters and XML, finds the operation, and writes its answer; what is not implemented below it
//! answers NotImplemented. It is given requests that are already authenticated, with their bodies verified, and so
//! without any trace of a signature. It must not carry out anything itself.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectsInput, DeleteObjectsOutput,
    GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput,
    ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsInput,
    ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput,
    PostObjectInput, PostObjectOutput, Timestamp, UploadPartCopyInput, UploadPartCopyOutput,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::checksums::Subject;
use super::payload::Payload;
use super::request::COPY_SOURCE;
use super::verified::Verified;
use super::{copying, error, listing, uploads};
use crate::cache::Cache;
use crate::key::{Namespace, ObjectKey, ObjectName};
use crate::protocol::Context;
use crate::protocol::incoming::Incoming;
use crate::protocol::operation::Access;
use crate::protocol::path::{PathError, Target};
use crate::protocol::visible::Visible;
use crate::sigv4::Query;

/// What `s3s` is told is copied.
const STAND_IN: &str = "the-source/of-the-copy";
/// Most bytes of a list that are read: a thousand keys of the greatest length, each byte escaped, or ten thousand parts.
const MAX_LIST: u64 = 8 << 20;
/// Most bytes of any other body, such as a bucket's settings.
const MAX_SETTINGS: u64 = 64 << 10;

/// What the caller was found to have the right to, by the look of the request. `s3s` reads the request on its own: were it
/// to find another operation in it, that operation finds here that it may not be carried out.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    /// The right on the request's bucket.
    pub(super) access: Access,
    /// The object that may be copied from.
    pub(super) source: Option<ObjectName>,
}

impl Granted {
    /// What was granted for `request`, if it is the right that its operation `needs`.
    fn check<T>(request: &S3Request<T>, needs: Access) -> S3Result<&Self> {
        request.extensions.get::<Self>().filter(|granted| granted.access == needs).ok_or_else(|| {
            let text = "the request can be read as more than one operation: send the parameters of one";
            S3Error::with_message(S3ErrorCode::AccessDenied, text)
        })
    }

    /// The object to copy from, which is the one whose reading was allowed.
    fn source<T>(request: &S3Request<T>) -> S3Result<ObjectName> {
        let source = Self::check(request, Access::Write)?.source.clone();
        source.ok_or_else(|| S3Error::new(S3ErrorCode::InvalidRequest))
    }
}

/// The operations that `s3s` knows how to read.
#[derive(Clone)]
pub(in crate::protocol) struct Service {
    operations: S3Service,
    cache: Cache,
}

impl Service {
    pub(in crate::protocol) fn new(context: Arc<Context>) -> Self {
        let cache = context.cache.clone();
        let mut builder = S3ServiceBuilder::new(Operations(context));
        builder.set_validation(AnyName);
        Self { operations: builder.build(), cache }
    }

    /// Carries out the request, path style and without its signature.
    pub(super) async fn call(
        &self,
        target: &Target,
        query: &Query,
        parts: &Parts,
        granted: Granted,
        payload: Payload,
        incoming: &mut Incoming,
    ) -> Result<Response, S3Error> {
        let headers = unsigned(&parts.headers);
        // What CompleteMultipartUpload sends along are the checksums of the object that it puts together.
        let subject = if query.has("uploadId") { Subject::Xml } else { Subject::Body };
        let has_list = parts.method == Method::POST && (query.has("delete") || query.has("uploadId"));
        let limit = if has_list { MAX_LIST } else { MAX_SETTINGS };
        let body = Verified::new(incoming, &parts.headers, payload, subject)?;
        let (body, _permit) = body.read_all(limit, &self.cache).await?;
        if has_list && [&b"<![CDATA["[..], b"<!DOCTYPE"].iter().any(|bad| contains(&body, bad)) {
            // `s3s` would leave out what stands there, and so read another key.
            let text = "the list has a CDATA section or a document type: write its texts plainly";
            return Err(S3Error::with_message(S3ErrorCode::MalformedXML, text));
        }
        let path = match target {
            Target::Collection(collection) if collection.prefix.is_empty() => {
                format!("/{}", collection.namespace)
            }
            other => other.to_string(),
        };
        let query = query.without(|name| name.starts_with("X-Amz-"));
        let uri = if query.is_empty() { path } else { format!("{path}?{query}") };
        let uri = Uri::try_from(uri).map_err(|_| S3ErrorCode::InvalidURI)?;
        let mut request = Request::new(s3s::Body::from(body.clone()));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        request.extensions_mut().insert(granted);
        if let Some(visible) = parts.extensions.get::<Visible>() {
            request.extensions_mut().insert(visible.clone());
        }
        match self.operations.call(request).await {
            Ok(response) if response.status().is_client_error() || response.status().is_server_error() => {
                Err(error::reread(response).await)
            }
            Ok(response) => Ok(response.map(Body::new)),
            Err(error) => Err(S3Error::internal_error(std::io::Error::other(format!("{error:?}")))),
        }
    }
}

/// The headers without those that concern the signature and the body's framing, both of which are done with.
fn unsigned(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [AUTHORIZATION, CONTENT_ENCODING, TRANSFER_ENCODING, HOST] {
        headers.remove(name);
    }
    for name in ["x-amz-content-sha256", "x-amz-date", "x-amz-decoded-content-length", "x-amz-trailer"] {
        headers.remove(name);
    }
    // Which object that is was read before, by rules that know how namespaces may be called.
    if headers.contains_key(COPY_SOURCE) {
        headers.insert(COPY_SOURCE, HeaderValue::from_static(STAND_IN));
    }
    headers
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// Namespaces have rules of their own, and were found before.
struct AnyName;

impl NameValidation for AnyName {
    fn validate_bucket_name(&self, _name: &str) -> bool {
        true
    }
}

struct Operations(Arc<Context>);

impl Operations {
    fn namespace(&self, bucket: &str) -> S3Result<Namespace> {
        namespace(&self.0, bucket)
    }

    fn name(&self, bucket: &str, key: &str) -> S3Result<ObjectName> {
        let key = ObjectKey::new(key).map_err(PathError::from)?;
        Ok(ObjectName { namespace: self.namespace(bucket)?, key })
    }
}

/// The namespace that a bucket is.
pub(super) fn namespace(context: &Context, bucket: &str) -> S3Result<Namespace> {
    Ok(context.namespaces.find(bucket).ok_or(PathError::NoSuchNamespace)?)
}

fn answer<T>(output: T) -> S3Result<S3Response<T>> {
    Ok(S3Response::new(output))
}

#[async_trait::async_trait]
impl S3 for Operations {
    async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        Granted::check(&request, Access::Read)?;
        let shown = |namespace: &&Namespace| Visible::shows(&request.extensions, namespace);
        let created = Some(Timestamp::from(self.0.started));
        let bucket = |namespace: &Namespace| Bucket {
            name: Some(namespace.as_str().to_owned()),
            creation_date: created.clone(),
            ..Bucket::default()
        };
        let buckets = Some(self.0.namespaces.iter().filter(shown).map(bucket).collect());
        answer(ListBucketsOutput { buckets, ..ListBucketsOutput::default() })
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        Granted::check(&request, Access::Read)?;
        self.namespace(&request.input.bucket)?;
        answer(HeadBucketOutput::default())
    }

    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        Granted::check(&request, Access::Write)?;
        let namespace = self.namespace(&request.input.bucket)?;
        answer(CreateBucketOutput { location: Some(format!("/{namespace}")) })
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        Granted::check(&request, Access::Read)?;
        self.namespace(&request.input.bucket)?;
        answer(GetBucketLocationOutput::default())
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        Granted::check(&request, Access::Read)?;
        answer(listing::list_objects(&self.0, request.input).await?)
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        Granted::check(&request, Access::Read)?;
        answer(listing::list_objects_v2(&self.0, request.input).await?)
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        Granted::check(&request, Access::Delete)?;
        answer(copying::delete_objects(&self.0, request.input).await?)
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let from = Granted::source(&request)?;
        let to = self.name(&request.input.bucket, &request.input.key)?;
        answer(copying::copy_object(&self.0, from, to, &request.headers).await?)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        Granted::check(&request, Access::Write)?;
        let name = self.name(&request.input.bucket, &request.input.key)?;
        answer(uploads::create(&self.0, name).await?)
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let name = self.name(&request.input.bucket, &request.input.key)?;
        let from = Granted::source(&request)?;
        answer(uploads::copy_part(&self.0, from, name, request.input, &request.headers).await?)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        Granted::check(&request, Access::Write)?;
        let name = self.name(&request.input.bucket, &request.input.key)?;
        answer(uploads::complete(&self.0, name, request.input, &request.headers).await?)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        Granted::check(&request, Access::Write)?;
        let name = self.name(&request.input.bucket, &request.input.key)?;
        answer(uploads::abort(&self.0, &name, &request.input.upload_id).await?)
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        Granted::check(&request, Access::Read)?;
        let name = self.name(&request.input.bucket, &request.input.key)?;
        answer(uploads::list_parts(&self.0, &name, request.input).await?)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        Granted::check(&request, Access::Read)?;
        let namespace = self.namespace(&request.input.bucket)?;
        answer(uploads::list(&self.0, &namespace, request.input).await?)
    }

    async fn post_object(&self, _: S3Request<PostObjectInput>) -> S3Result<S3Response<PostObjectOutput>> {
        Err(S3Error::with_message(
            S3ErrorCode::NotImplemented,
            "uploads by HTML form are not implemented: use PutObject",
        ))
    }
}
