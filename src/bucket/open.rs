//! From the settings to a client: what the URL names, and the addresses and switches of each kind of store.
//!
//! Owns which settings and which variables of the environment count. Nothing is asked of the store yet.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::azure::{AzureAccessKey, AzureConfigKey, AzureCredential, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::{ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider};

use super::transport::Connector;
use super::{Bucket, BucketPath, OpenBucketError, s3};
use crate::config::{BucketConfig, BucketScheme, BucketUrl, is_loopback};

/// Least time to a connection. Reads have a shorter limit of their own; a slow line must be able to write all the same.
const LEAST_CONNECT_TIME: Duration = Duration::from_secs(2);

/// The variables of the environment; empty ones count as not set.
pub(super) type Environment = BTreeMap<String, String>;

impl Bucket {
    /// The bucket that the settings name; `None` where they name none. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`OpenBucketError`].
    pub fn open(config: &BucketConfig) -> Result<Option<Self>, OpenBucketError> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let value = value.into_string().ok().filter(|value| !value.is_empty())?;
            Some((name.into_string().ok()?, value))
        });
        Self::open_in(config, &variables.collect())
    }

    pub(super) fn open_in(
        config: &BucketConfig,
        environment: &Environment,
    ) -> Result<Option<Self>, OpenBucketError> {
        let Some(url) = config.parsed_url().map_err(OpenBucketError::Url)? else { return Ok(None) };
        let (scheme, container, prefix) = match &url {
            BucketUrl::Directory(path) => return directory(path).map(Some),
            BucketUrl::Store { scheme, container, prefix } => (*scheme, container, prefix),
        };
        let prefix = BucketPath::parse(prefix).map_err(|error| OpenBucketError::Url(error.to_string()))?;
        let secret = config.secret_access_key().map_err(OpenBucketError::Credentials)?;
        let settings = Settings { config, environment, container, secret };
        let store = match scheme {
            BucketScheme::S3 => s3::open(&settings)?,
            BucketScheme::Gs => google(&settings)?,
            BucketScheme::Az | BucketScheme::File => azure(&settings)?,
        };
        Ok(Some(Self { store, prefix, scheme }))
    }
}

/// What a store is opened with.
pub(super) struct Settings<'a> {
    pub(super) config: &'a BucketConfig,
    pub(super) environment: &'a Environment,
    pub(super) container: &'a str,
    pub(super) secret: Option<String>,
}

impl Settings<'_> {
    /// The variables of one provider, whose names begin in this way, as `object_store` names its settings.
    pub(super) fn variables(&self, prefix: &str) -> impl Iterator<Item = (String, &String)> {
        let own = self.environment.iter().filter(move |(name, _)| name.starts_with(prefix));
        own.map(|(name, value)| (name.to_ascii_lowercase(), value))
    }

    /// The client for a store at this address; `None`: the provider's own, which speaks TLS.
    pub(super) fn connector(&self, endpoint: Option<&str>) -> Connector {
        let uri = endpoint.and_then(|endpoint| endpoint.parse::<http::Uri>().ok());
        Connector {
            connect_timeout: self.config.read_timeout.max(LEAST_CONNECT_TIME),
            is_local: uri.as_ref().and_then(http::Uri::host).is_some_and(is_loopback),
        }
    }
}

/// Only what was configured as http is spoken to without TLS. What else `object_store` keeps here is of no effect: the
/// connector makes the client.
pub(super) fn client_options(endpoint: Option<&str>) -> ClientOptions {
    ClientOptions::new().with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")))
}

/// Nothing is tried again inside a call. `object_store` counts its attempts at the request *and* those at a body that broke
/// off (which it asks for again by range, where there is an ETag) against one number, with pauses from 100 ms that grow to
/// 15 s; with any attempts a 503 or a refused connection would not be seen within the limit of a read, the circuit breaker
/// would count one failure for many, and a stalled body would be asked for twice, here and by whoever reads. What was
/// sent on a connection that the server had just closed is sent anew below this, by hyper.
pub(super) fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

pub(super) fn client_error(error: &object_store::Error) -> OpenBucketError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        if !text.contains(&next.to_string()) {
            text = format!("{text}: {next}");
        }
        cause = next.source();
    }
    OpenBucketError::Client(text)
}

fn directory(path: &Path) -> Result<Bucket, OpenBucketError> {
    let failed = |error: &dyn std::error::Error| {
        OpenBucketError::Url(format!("{}: {error}: let larder's user write there", path.display()))
    };
    std::fs::create_dir_all(path).map_err(|error| failed(&error))?;
    let store = LocalFileSystem::new_with_prefix(path).map_err(|error| failed(&error))?;
    // What is in the bucket may go from the disk, so it has to be there after a power cut. Directories of the depth that
    // sccache makes would stay behind by the thousands.
    let store = store.with_fsync(true).with_automatic_cleanup(true);
    Ok(Bucket { store: Arc::new(store), prefix: BucketPath::default(), scheme: BucketScheme::File })
}

/// The usual places (`GoogleCloudStorageBuilder`): a service account's file that the environment names, what gcloud leaves
/// behind, the metadata server.
fn google(settings: &Settings<'_>) -> Result<Arc<dyn ObjectStore>, OpenBucketError> {
    let mut builder = GoogleCloudStorageBuilder::new();
    if let Some(path) = settings.environment.get("SERVICE_ACCOUNT") {
        builder = builder.with_service_account_path(path);
    }
    for (name, value) in settings.variables("GOOGLE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    let store = builder
        .with_bucket_name(settings.container)
        .with_client_options(client_options(None))
        .with_http_connector(settings.connector(None))
        .with_retry(no_retries())
        .build()
        .map_err(|error| client_error(&error))?;
    Ok(Arc::new(store))
}

/// The account and its key, or the usual places (`MicrosoftAzureBuilder`): a key, a client's secret, a workload's or a
/// machine's identity, a shared access signature.
fn azure(settings: &Settings<'_>) -> Result<Arc<dyn ObjectStore>, OpenBucketError> {
    let mut builder = MicrosoftAzureBuilder::new();
    for (name, value) in settings.variables("AZURE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(account) = &settings.config.access_key_id {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = &settings.config.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if let Some(secret) = &settings.secret {
        let key = AzureAccessKey::try_new(secret).map_err(|_| {
            OpenBucketError::Credentials("the account's key is not in base64: copy it whole".to_owned())
        })?;
        let credential = AzureCredential::AccessKey(key);
        builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential)));
    }
    if builder.get_config_value(&AzureConfigKey::AccountName).is_none() {
        let text = "the storage account is missing: set bucket.access_key_id or AZURE_STORAGE_ACCOUNT_NAME";
        return Err(OpenBucketError::Credentials(text.to_owned()));
    }
    let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
    let store = builder
        .with_container_name(settings.container)
        .with_client_options(client_options(endpoint.as_deref()))
        .with_http_connector(settings.connector(endpoint.as_deref()))
        .with_retry(no_retries())
        .build()
        .map_err(|error| client_error(&error))?;
    Ok(Arc::new(store))
}
