//! Writing large objects in parts.
//!
//! Owns how long a part is, and that what was begun is either completed or taken back, whatever happens. Time limits are the
//! caller's, for each call of its own.

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStore as _, PutMultipartOptions, PutPayload};

use super::{Bucket, BucketError, BucketPath, Marked, WriteMode};

/// Length of a part, in bytes. S3 takes parts from 5 MiB on.
const PART: u64 = 8 << 20;
/// Most parts of an object, a few fewer than S3 takes (10,000).
const MOST_PARTS: u64 = 9_000;

/// An object being written in parts. Dropped before [`LargeUpload::complete`], it is taken back in the background.
#[derive(Debug)]
pub struct LargeUpload {
    /// `None` once it is completed or taken back.
    upload: Option<Box<dyn MultipartUpload>>,
    part_bytes: usize,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
}

impl Bucket {
    /// Begins to write an object of `length` bytes in parts.
    ///
    /// No store can make completing it depend on there being no object; so [`WriteMode::Create`] looks before it begins, and of
    /// two writers that both saw nothing the later one wins.
    ///
    /// # Errors
    /// [`BucketError`]; `Exists` only with [`WriteMode::Create`].
    pub async fn begin_large(
        &self,
        path: &BucketPath,
        length: u64,
        marked: Marked,
        mode: WriteMode,
    ) -> Result<LargeUpload, BucketError> {
        if mode == WriteMode::Create {
            match self.head(path).await {
                Ok(_) => return Err(BucketError::Exists),
                Err(BucketError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        let options =
            PutMultipartOptions { attributes: self.attributes(marked), ..PutMultipartOptions::default() };
        let upload = self.store.put_multipart_opts(path, options).await.map_err(writing)?;
        let part = PART.max(length.div_ceil(MOST_PARTS));
        let part_bytes = usize::try_from(part)
            .map_err(|_| BucketError::Impossible(format!("its parts would have {part} bytes each")))?;
        Ok(LargeUpload { upload: Some(upload), part_bytes, gathered: Vec::new(), gathered_bytes: 0 })
    }
}

impl LargeUpload {
    /// Takes the next bytes of the body, and sends a part once there are enough of them; most calls send nothing.
    ///
    /// # Errors
    /// [`BucketError`]. The upload is of no use after that: drop it, or [`LargeUpload::abort`].
    pub async fn write(&mut self, mut chunk: Bytes) -> Result<(), BucketError> {
        while !chunk.is_empty() {
            if self.fill(&mut chunk) {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Takes what the part at hand has room for from the front of `chunk`, and sends nothing. True when the part is full:
    /// then it is time for [`LargeUpload::send`].
    pub fn fill(&mut self, chunk: &mut Bytes) -> bool {
        // Some stores want all parts but the last to be of one length.
        let missing = self.part_bytes.saturating_sub(self.gathered_bytes);
        let taken = chunk.split_to(chunk.len().min(missing));
        self.gathered_bytes += taken.len();
        self.gathered.push(taken);
        self.gathered_bytes == self.part_bytes
    }

    /// Sends the part at hand. All but the last have to be full.
    ///
    /// # Errors
    /// As [`LargeUpload::write`].
    pub async fn send(&mut self) -> Result<(), BucketError> {
        let part: PutPayload = std::mem::take(&mut self.gathered).into_iter().collect();
        self.gathered_bytes = 0;
        let Some(upload) = &mut self.upload else { return Ok(()) };
        upload.put_part(part).await.map_err(writing)
    }

    /// Sends what is left and makes the object visible.
    ///
    /// # Errors
    /// [`BucketError`]; what was written is taken back.
    pub async fn complete(mut self) -> Result<(), BucketError> {
        if self.gathered_bytes > 0 {
            self.send().await?;
        }
        let Some(upload) = &mut self.upload else { return Ok(()) };
        upload.complete().await.map_err(writing)?;
        self.upload = None;
        Ok(())
    }

    /// Takes back what was written. Where that fails, the bucket's own rules for abandoned uploads have to see to it.
    pub async fn abort(mut self) {
        if let Some(upload) = self.upload.take() {
            take_back(upload).await;
        }
    }
}

impl Drop for LargeUpload {
    fn drop(&mut self) {
        // A time limit of the caller ends in this way.
        if let Some(upload) = self.upload.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(take_back(upload));
        }
    }
}

async fn take_back(mut upload: Box<dyn MultipartUpload>) {
    if let Err(error) = upload.abort().await {
        tracing::debug!(%error, "an upload in parts could not be taken back");
    }
}

/// A part whose upload is gone, or a bucket that does not want it: nothing of this is about an object that was there.
fn writing(error: object_store::Error) -> BucketError {
    BucketError::from(error).when_replacing()
}
