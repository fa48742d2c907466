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

use super::answer::causes;
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
    let text = causes(error)
        .map(ToString::to_string)
        .reduce(|text, next| if text.contains(&next) { text } else { format!("{text}: {next}") });
    OpenBucketError::Client(text.unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(url: &str, own: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Bucket, String> {
        let setting = |name: &str| own.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
        let config = BucketConfig {
            url: Some(url.to_owned()),
            endpoint: setting("endpoint"),
            access_key_id: setting("access_key_id"),
            secret_access_key_file: setting("secret").map(Into::into),
            ..BucketConfig::default()
        };
        let environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let opened = Bucket::open_in(&config, &environment);
        opened.map(Option::unwrap).map_err(|error| error.to_string())
    }

    #[test]
    fn no_url_is_no_bucket() {
        assert!(Bucket::open_in(&BucketConfig::default(), &Environment::new()).unwrap().is_none());
    }

    #[test]
    fn the_environment_gives_what_the_settings_do_not() {
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        let bucket = opened("s3://ci/x/y/", &[], &keys).unwrap();
        assert_eq!((bucket.prefix.as_ref(), bucket.scheme), ("x/y", BucketScheme::S3));
        assert!(opened("s3://ci", &[], &keys[..1]).is_err_and(|error| error.contains("SecretAccessKey")));
        let file = [("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/keys")];
        assert!(opened("s3://ci", &[], &file).is_err_and(|error| error.contains("/nowhere/keys")));
        // What comes first counts, and what stands behind it is not looked at.
        assert!(opened("s3://ci", &[], &[keys[0], keys[1], file[0]]).is_ok());
        assert!(opened("s3://ci", &[], &[("AWS_SKIP_SIGNATURE", "true"), file[0]]).is_ok());
        let mine = [("access_key_id", "a"), ("secret", "/nowhere/secret")];
        assert!(opened("s3://ci", &mine, &keys).is_err_and(|error| error.contains("/nowhere/secret")));
    }

    #[test]
    fn azure_wants_an_account_and_says_so() {
        let account = ("AZURE_STORAGE_ACCOUNT_NAME", "team");
        assert!(opened("az://c", &[], &[]).is_err_and(|error| error.contains("bucket.access_key_id")));
        assert!(opened("az://c/larder", &[], &[account]).is_ok());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        let own = [("access_key_id", "team"), ("secret", file.to_str().unwrap())];
        std::fs::write(&file, "no-base64-!").unwrap();
        assert!(opened("az://c", &own, &[]).is_err_and(|error| error.contains("base64")));
        std::fs::write(&file, "bm90IGEga2V5\n").unwrap();
        assert!(opened("az://c", &own, &[]).is_ok());
    }

    #[test]
    fn google_takes_what_the_environment_names() {
        let named = [("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/account.json")];
        assert!(
            opened("gs://ci/larder", &[], &named).is_err_and(|error| error.contains("/nowhere/account.json"))
        );
        assert_eq!(opened("gs://ci/larder", &[], &[]).unwrap().scheme, BucketScheme::Gs);
    }

    #[test]
    fn only_http_endpoints_are_spoken_to_without_tls() {
        let allows = |endpoint| {
            let options = client_options(endpoint);
            options.get_config_value(&object_store::ClientConfigKey::AllowHttp)
        };
        assert_eq!(allows(Some("http://minio.lan:9000")).as_deref(), Some("true"));
        for endpoint in [None, Some("https://s3.example.org")] {
            assert_eq!(allows(endpoint).as_deref(), Some("false"));
        }
    }
}
