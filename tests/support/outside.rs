//! What lies in a bucket, as somebody sees it who knows nothing of larder, and what such a somebody puts there.
//!
//! Knows object stores; nothing of larder.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::TryStreamExt;
use http::Method;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;

use crate::azurite;
use crate::garage;

/// A look into a bucket, past every proxy.
pub struct Outside {
    store: Arc<dyn ObjectStore>,
    runtime: Runtime,
}

impl Outside {
    /// Into Garage's.
    pub fn garage(address: SocketAddr) -> Self {
        install_ciphers();
        Self::of(Arc::new(s3(address).build().unwrap()))
    }

    /// The head of a GET that Garage at `address` answers, whoever brings it there.
    pub fn presigned_get(address: SocketAddr, path: &str) -> String {
        install_ciphers();
        let store = s3(address).build().unwrap();
        let hour = std::time::Duration::from_secs(3600);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = runtime.block_on(store.signed_url(Method::GET, &Path::parse(path).unwrap(), hour)).unwrap();
        let target = url.as_str().split_once(&address.to_string()).unwrap().1.to_owned();
        format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n")
    }

    /// Into Azurite's.
    pub fn azurite(address: SocketAddr) -> Self {
        install_ciphers();
        let endpoint = format!("http://{address}/{}", azurite::ACCOUNT);
        let builder = MicrosoftAzureBuilder::new().with_endpoint(endpoint).with_allow_http(true);
        let builder = builder.with_container_name(azurite::CONTAINER);
        let builder = builder.with_account(azurite::ACCOUNT).with_access_key(azurite::KEY);
        Self::of(Arc::new(builder.build().unwrap()))
    }

    fn of(store: Arc<dyn ObjectStore>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self { store, runtime: runtime.unwrap() }
    }

    /// The object at `path`, if there is one.
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        let path = Path::parse(path).unwrap();
        let read = async { self.store.get(&path).await?.bytes().await };
        match self.runtime.block_on(read) {
            Ok(bytes) => Some(bytes.to_vec()),
            Err(Error::NotFound { .. }) => None,
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// Puts an object there.
    pub fn put(&self, path: &str, body: &[u8]) {
        let path = Path::parse(path).unwrap();
        self.runtime.block_on(self.store.put(&path, body.to_vec().into())).unwrap();
    }

    /// Removes an object.
    pub fn delete(&self, path: &str) {
        self.runtime.block_on(self.store.delete(&Path::parse(path).unwrap())).unwrap();
    }

    /// Every object below `prefix`, and its length.
    pub fn list(&self, prefix: &str) -> BTreeMap<String, u64> {
        let prefix = Path::parse(prefix).unwrap();
        let rows = self.store.list(Some(&prefix)).map_ok(|meta| (meta.location.to_string(), meta.size));
        self.runtime.block_on(rows.try_collect()).unwrap()
    }
}

fn s3(address: SocketAddr) -> AmazonS3Builder {
    let builder = AmazonS3Builder::new().with_endpoint(format!("http://{address}")).with_allow_http(true);
    let builder = builder.with_bucket_name(garage::BUCKET).with_region(garage::REGION);
    builder.with_access_key_id(garage::KEY_ID).with_secret_access_key(garage::SECRET)
}

/// The client asks for ciphers also where it speaks none.
fn install_ciphers() {
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
}
