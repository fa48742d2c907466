//! The client of an S3 bucket: its address, and where the credentials come from.
//!
//! Owns the order of the places: the settings, the environment, AWS's shared file, the machine's own identity. Nobody is
//! ever asked without credentials unless the environment says so.

use std::ffi::OsString;
use std::sync::Arc;

use http::Uri;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::{ObjectStore, StaticCredentialProvider};

use super::OpenBucketError;
use super::open::{Settings, client_error, client_options, no_retries};
use super::shared_credentials::SharedCredentials;

/// The region that stores with an endpoint of their own take, as most do not care.
const ANY_REGION: &str = "us-east-1";

/// The client.
pub(super) fn open(settings: &Settings<'_>) -> Result<Arc<dyn ObjectStore>, OpenBucketError> {
    let mut builder = AmazonS3Builder::new();
    for (name, value) in settings.variables("AWS_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(region) = &settings.config.region {
        builder = builder.with_region(region);
    }
    let endpoint = settings.config.endpoint.clone().or_else(|| variable_endpoint(&builder));
    if endpoint.is_some() && builder.get_config_value(&AmazonS3ConfigKey::Region).is_none() {
        builder = builder.with_region(ANY_REGION);
    }
    let path_style = settings
        .config
        .path_style
        .unwrap_or_else(|| is_usually_in_path(endpoint.as_deref(), settings.container));
    builder = builder.with_virtual_hosted_style_request(!path_style);
    if let Some(endpoint) = &endpoint {
        let endpoint = if path_style { endpoint.clone() } else { with_bucket(endpoint, settings.container)? };
        // The variable for S3 alone would win over the other one.
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    let store = with_credentials(builder, settings)?
        .with_bucket_name(settings.container)
        .with_client_options(client_options(endpoint.as_deref()))
        .with_http_connector(settings.connector(endpoint.as_deref()))
        .with_retry(no_retries())
        .build()
        .map_err(|error| client_error(&error))?;
    Ok(Arc::new(store))
}

fn variable_endpoint(builder: &AmazonS3Builder) -> Option<String> {
    let of_s3 = builder.get_config_value(&AmazonS3ConfigKey::S3Endpoint);
    of_s3.or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint))
}

/// AWS wants the bucket in the host, but no certificate is for a name with more dots. Others rarely have names for buckets.
fn is_usually_in_path(endpoint: Option<&str>, bucket: &str) -> bool {
    endpoint.is_some() || bucket.contains('.')
}

/// The endpoint with the bucket as a subdomain.
fn with_bucket(endpoint: &str, bucket: &str) -> Result<String, OpenBucketError> {
    let uri: Option<Uri> = endpoint.parse().ok();
    let parts = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?, uri.path())));
    let (scheme, authority, path) =
        parts.ok_or_else(|| OpenBucketError::Client(format!("the endpoint \"{endpoint}\" is no URL")))?;
    Ok(format!("{scheme}://{bucket}.{authority}{}", path.trim_end_matches('/')))
}

fn with_credentials(
    builder: AmazonS3Builder,
    settings: &Settings<'_>,
) -> Result<AmazonS3Builder, OpenBucketError> {
    use AmazonS3ConfigKey as Key;
    if let (Some(id), Some(secret)) = (&settings.config.access_key_id, &settings.secret) {
        // Not through the builder, which would send a session token of the environment with them.
        let credential = AwsCredential { key_id: id.clone(), secret_key: secret.clone(), token: None };
        return Ok(builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential))));
    }
    let has = |key: Key| builder.get_config_value(&key).is_some();
    let says_nobody =
        builder.get_config_value(&Key::SkipSignature).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let in_environment = has(Key::AccessKeyId)
        || has(Key::SecretAccessKey)
        || has(Key::WebIdentityTokenFile) && has(Key::RoleArn)
        || has(Key::ContainerCredentialsRelativeUri)
        || has(Key::ContainerCredentialsFullUri);
    if says_nobody || in_environment {
        return Ok(builder);
    }
    let variable = |name: &str| settings.environment.get(name).map(OsString::from);
    match SharedCredentials::find(variable).map_err(OpenBucketError::Credentials)? {
        Some(shared) => Ok(builder.with_credentials(Arc::new(shared))),
        None => {
            tracing::info!(
                "no credentials for the bucket in settings, environment or ~/.aws/credentials; the machine's own are used"
            );
            Ok(builder)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_stands_in_the_path_or_before_the_host() {
        for (endpoint, bucket, in_path) in
            [(None, "ci", false), (None, "ci.example.org", true), (Some("http://minio.lan:9000"), "ci", true)]
        {
            assert_eq!(is_usually_in_path(endpoint, bucket), in_path, "{endpoint:?} {bucket}");
        }
        assert_eq!(with_bucket("http://s3.lan:3900/", "ci").unwrap(), "http://ci.s3.lan:3900");
        assert_eq!(with_bucket("https://s3.lan/base", "ci").unwrap(), "https://ci.s3.lan/base");
        assert!(with_bucket("s3.lan", "ci").is_err());
    }
}
