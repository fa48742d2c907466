//! From the settings to a client: what the URL names, where the credentials come from.

use std::sync::Arc;

use object_store::local::LocalFileSystem;

use super::{Bucket, BucketPath, OpenBucketError};
use crate::config::BucketConfig;

impl Bucket {
    /// The bucket that the settings name; `None` where they name none. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`OpenBucketError`].
    pub fn open(config: &BucketConfig) -> Result<Option<Self>, OpenBucketError> {
        let Some(url) = &config.url else { return Ok(None) };
        let directory = url.strip_prefix("file://").ok_or_else(|| OpenBucketError::Url(url.clone()))?;
        let store = std::fs::create_dir_all(directory)
            .map_err(|error| OpenBucketError::Client(error.to_string()))
            .and_then(|()| {
                LocalFileSystem::new_with_prefix(directory)
                    .map_err(|error| OpenBucketError::Client(error.to_string()))
            })?;
        Ok(Some(Self { store: Arc::new(store), prefix: BucketPath::default(), keeps_metadata: false }))
    }
}
