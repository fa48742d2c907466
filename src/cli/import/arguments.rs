//! From the flags of `import` to a checked plan: which source, which server, with which token.
//!
//! Owns what an argument may look like and the texts for those that may not. Opens nothing but the token's file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use http::Uri;

use crate::cli::CliError;
use crate::config::{
    BucketConfig, BucketScheme, BucketUrl, Config, Key, Secret, TOKEN_VARIABLE, is_loopback,
};
use crate::key::{Namespace, ObjectKey};

/// Where a larder listens that nothing was said to.
pub(super) const LOCAL_SERVER: &str = "http://127.0.0.1:4227";

/// For a connection to the bucket.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The flags that only a bucket has, each with the server's key that it is read as.
const BUCKET_FLAGS: &[(&str, &str)] = &[
    ("endpoint", "bucket.endpoint"),
    ("region", "bucket.region"),
    ("path-style", "bucket.path_style"),
    ("access-key-id", "bucket.access_key_id"),
    ("secret-access-key-file", "bucket.secret_access_key_file"),
];

/// What to do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) source: SourcePlace,
    pub(super) server: ServerPlace,
    pub(super) jobs: usize,
    pub(super) dry_run: bool,
}

/// Where to copy from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum SourcePlace {
    /// Objects whose keys are those that clients ask for.
    Bucket(Box<BucketConfig>),
    /// A directory that sccache keeps for itself.
    Sccache(PathBuf),
}

/// Where to copy to.
#[derive(Clone, Debug)]
pub(super) struct ServerPlace {
    /// Scheme, host and port, without a slash behind them.
    pub(super) origin: String,
    /// Whether the server is this machine, to which no proxy has a way.
    pub(super) is_local: bool,
    pub(super) namespace: Namespace,
    /// Put in front of every key, with a slash between.
    pub(super) prefix: Option<ObjectKey>,
    pub(super) token: Option<Arc<Secret>>,
}

impl Plan {
    /// Reads the flags, and `vars` for what they leave open.
    ///
    /// # Errors
    /// `Argument` names the flag, what is wrong and what to write.
    pub(super) fn read(matches: &ArgMatches, vars: &BTreeMap<OsString, OsString>) -> Result<Self, CliError> {
        let mut server = server(text(matches, "to").unwrap_or(LOCAL_SERVER))?;
        server.prefix = text(matches, "prefix").map(prefix).transpose()?;
        server.token = token(text(matches, "token-file"), vars)?.map(Arc::new);
        Ok(Self {
            source: source(matches, vars)?,
            server,
            jobs: matches.get_one::<u16>("jobs").copied().map_or(1, usize::from),
            dry_run: matches.get_flag("dry-run"),
        })
    }
}

impl SourcePlace {
    /// As a person would write it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Bucket(config) => config.url.clone().unwrap_or_default(),
            Self::Sccache(path) => path.display().to_string(),
        }
    }
}

fn text<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.get_one::<String>(name).map(String::as_str)
}

fn refused(flag: &'static str, message: impl Into<String>) -> CliError {
    CliError::Argument { flag, message: message.into() }
}

fn source(matches: &ArgMatches, vars: &BTreeMap<OsString, OsString>) -> Result<SourcePlace, CliError> {
    let path = match text(matches, "source") {
        Some(url) if url.contains("://") => return bucket(url, matches),
        Some("") => return Err(refused("SOURCE", "this is empty: write a URL or a path")),
        Some(path) => PathBuf::from(path),
        None => sccache_directory(vars).ok_or_else(|| {
            refused("SOURCE", "there is no HOME to look for sccache's directory in: name one")
        })?,
    };
    if let Some((flag, _)) = BUCKET_FLAGS.iter().find(|(flag, _)| matches.contains_id(flag)) {
        let message =
            format!("{} is a directory; --{flag} is for a bucket, as in s3://ci-cache", path.display());
        return Err(refused("SOURCE", message));
    }
    Ok(SourcePlace::Sccache(path))
}

/// Where sccache keeps its entries on Linux when nobody says otherwise.
fn sccache_directory(vars: &BTreeMap<OsString, OsString>) -> Option<PathBuf> {
    let var =
        |name: &str| vars.get(&OsString::from(name)).filter(|value| !value.is_empty()).map(PathBuf::from);
    var("SCCACHE_DIR").or_else(|| {
        let caches = var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")))?;
        Some(caches.join("sccache"))
    })
}

fn bucket(url: &str, matches: &ArgMatches) -> Result<SourcePlace, CliError> {
    let parsed = BucketUrl::parse(url).map_err(|message| refused("SOURCE", message))?;
    let mut config = Config::default();
    config.bucket.url = Some(url.to_owned());
    // Here nobody waits for a compilation.
    config.bucket.read_timeout = CONNECT_TIMEOUT;
    for (flag, name) in BUCKET_FLAGS {
        if let (Some(value), Some(key)) = (text(matches, flag), Key::named(name)) {
            key.set(&mut config, value)
                .map_err(|message| refused("SOURCE", format!("--{flag}: {message}")))?;
        }
    }
    let bucket = config.bucket;
    let secret = bucket.secret_access_key();
    secret.map_err(|message| refused("--secret-access-key-file", message))?;
    // Azure's account has a name also where something else than its key logs in.
    let is_alone = match (&bucket.access_key_id, &bucket.secret_access_key_file) {
        (Some(_), None) => parsed.scheme() != BucketScheme::Az,
        (None, Some(_)) => true,
        (Some(_), Some(_)) | (None, None) => false,
    };
    if is_alone {
        let message = "--access-key-id and --secret-access-key-file belong together: give both or none";
        return Err(refused("SOURCE", message));
    }
    Ok(SourcePlace::Bucket(Box::new(bucket)))
}

fn server(url: &str) -> Result<ServerPlace, CliError> {
    let wrong =
        |what: &str| refused("--to", format!("\"{url}\" {what}: write it as {LOCAL_SERVER}/NAMESPACE"));
    let uri: Uri = url.parse().map_err(|_| wrong("is no URL"))?;
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong("does not start with http:// or https://"));
    };
    if uri.query().is_some() || url.contains('#') {
        return Err(wrong("has a query or a fragment"));
    }
    if authority.as_str().contains('@') {
        return Err(refused("--to", "the URL has a user: give the token with --token-file or LARDER_TOKEN"));
    }
    let path = uri.path().trim_matches('/');
    if path.contains('/') {
        return Err(wrong(
            "has more than a namespace behind the host; what belongs in front of the keys is --prefix",
        ));
    }
    let namespace = match path {
        "" => Namespace::default_namespace(),
        name => Namespace::new(name).map_err(|error| wrong(&format!("names no namespace ({error})")))?,
    };
    Ok(ServerPlace {
        origin: format!("{scheme}://{authority}"),
        is_local: is_loopback(authority.host()),
        namespace,
        prefix: None,
        token: None,
    })
}

/// sccache takes its prefix with slashes around or without.
fn prefix(text: &str) -> Result<ObjectKey, CliError> {
    let bare = text.trim_matches('/');
    ObjectKey::new(bare).map_err(|error| refused("--prefix", format!("\"{text}\": {error}")))
}

fn token(file: Option<&str>, vars: &BTreeMap<OsString, OsString>) -> Result<Option<Secret>, CliError> {
    if let Some(file) = file {
        let read = std::fs::read_to_string(file)
            .map_err(|error| refused("--token-file", format!("cannot read {file}: {error}")))?;
        let secret =
            Secret::new(&read).map_err(|error| refused("--token-file", format!("{file}: {error}")))?;
        return Ok(Some(secret));
    }
    let variable = vars.get(&OsString::from(TOKEN_VARIABLE)).filter(|value| !value.is_empty());
    let secret = variable.map(|value| Secret::new(&value.to_string_lossy())).transpose();
    secret.map_err(|error| refused(TOKEN_VARIABLE, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &[&str], vars: &[(&str, &str)]) -> Result<Plan, String> {
        let command = crate::cli::import::command();
        let matches = command.try_get_matches_from([&["import"], arguments].concat()).unwrap();
        let vars = vars.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Plan::read(&matches, &vars).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_source_it_is_sccaches_own_directory() {
        for (vars, path) in [
            (&[("HOME", "/h")][..], "/h/.cache/sccache"),
            (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/sccache"),
            (&[("HOME", "/h"), ("SCCACHE_DIR", "/s")], "/s"),
            (&[("HOME", "/h"), ("SCCACHE_DIR", "")], "/h/.cache/sccache"),
        ] {
            assert_eq!(plan(&[], vars).unwrap().source, SourcePlace::Sccache(path.into()));
        }
        assert!(plan(&[], &[]).unwrap_err().contains("HOME"));
    }

    #[test]
    fn the_server_is_an_origin_a_namespace_and_a_prefix() {
        let plan = plan(&["p", "--to", "https://cache.lan/ci/", "--prefix", "/team/a/"], &[]).unwrap();
        assert_eq!(
            (plan.server.origin.as_str(), plan.server.namespace.as_str()),
            ("https://cache.lan", "ci")
        );
        assert_eq!(plan.server.prefix.map(|prefix| prefix.as_str().to_owned()), Some("team/a".to_owned()));
        assert!(!plan.server.is_local && !plan.dry_run);
        let local = self::plan(&["p"], &[("LARDER_TOKEN", "a-token-of-sixteen")]).unwrap().server;
        assert_eq!((local.origin.as_str(), local.namespace.as_str()), (LOCAL_SERVER, "default"));
        assert!(local.is_local && local.token.is_some());
    }

    #[test]
    fn the_buckets_flags_are_its_configuration() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "a-secret").unwrap();
        let flags =
            ["--endpoint", "http://m/", "--region", "r", "--path-style", "false", "--access-key-id", "k"];
        let secret = ["--secret-access-key-file", file.path().to_str().unwrap()];
        let plan = plan(&[&["s3://b/p"], &flags[..], &secret].concat(), &[]);
        let expected = BucketConfig {
            url: Some("s3://b/p".to_owned()),
            endpoint: Some("http://m".to_owned()),
            region: Some("r".to_owned()),
            path_style: Some(false),
            access_key_id: Some("k".to_owned()),
            secret_access_key_file: Some(file.path().into()),
            read_timeout: CONNECT_TIMEOUT,
            ..BucketConfig::default()
        };
        assert_eq!(plan.unwrap().source, SourcePlace::Bucket(Box::new(expected)));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_write() {
        for (arguments, says) in [
            (&["http://bucket"][..], "s3://BUCKET"),
            (&["s3://b", "--endpoint", "minio"], "--endpoint: \"minio\""),
            (&["s3://b", "--path-style", "maybe"], "--path-style"),
            (&["s3://b", "--access-key-id", "k"], "belong together"),
            (&["s3://b", "--secret-access-key-file", "/nowhere/key"], "cannot read /nowhere/key"),
            (&["file://relative"], "file:///DIRECTORY"),
            (&[""], "empty"),
            (&["dir", "--region", "r"], "--region is for a bucket"),
            (&["dir", "--to", "cache.lan:4227"], "http://"),
            (&["dir", "--to", "http://c/ci/deeper"], "--prefix"),
            (&["dir", "--to", "http://c/?q"], "query"),
            (&["dir", "--to", "http://u:p@c"], "--token-file"),
            (&["dir", "--to", "http://c/-x"], "a-z"),
            (&["dir", "--prefix", "a//b"], "empty segment"),
            (&["dir", "--token-file", "/nowhere/token"], "cannot read /nowhere/token"),
        ] {
            let error = plan(arguments, &[("HOME", "/h")]).unwrap_err();
            assert!(error.contains(says), "{arguments:?}: {error}");
        }
        let error = plan(&["dir"], &[("LARDER_TOKEN", "not a secret at all")]).unwrap_err();
        assert!(error.starts_with("LARDER_TOKEN: ") && !error.contains("at all"), "{error}");
    }
}
