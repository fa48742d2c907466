//! The file of credentials that AWS's own tools share: `~/.aws/credentials`, INI with a section for each profile.
//!
//! Owns which file and profile count (AWS SDKs and Tools Reference Guide, Shared config and credentials files) and reads
//! keys only: no roles, no programs, no single sign-on. Knows nothing of the other places that credentials come from.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use parking_lot::Mutex;

/// Credentials for a while are written there anew before they end.
const READ_AGAIN: Duration = Duration::from_secs(60);

/// A profile of the file; it is read again now and then.
#[derive(Debug)]
pub(super) struct SharedCredentials {
    path: PathBuf,
    profile: String,
    current: Mutex<(Instant, Arc<AwsCredential>)>,
}

impl SharedCredentials {
    /// The profile that the environment names, or `default`. `None` where nobody named anything and nothing is there.
    ///
    /// # Errors
    /// What was named and cannot be used, and what to do.
    pub(super) fn find(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<Self>, String> {
        let named_file = variable("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
        let named_profile = variable("AWS_PROFILE").and_then(|name| name.into_string().ok());
        let is_asked_for = named_file.is_some() || named_profile.is_some();
        let usual = || Some(PathBuf::from(variable("HOME")?).join(".aws/credentials"));
        let Some(path) = named_file.or_else(usual) else { return Ok(None) };
        if !is_asked_for && !path.exists() {
            return Ok(None);
        }
        let profile = named_profile.unwrap_or_else(|| "default".to_owned());
        let text = std::fs::read_to_string(&path).map_err(|error| {
            format!(
                "cannot read {} ({error}): let larder's user read it, or set bucket.access_key_id",
                path.display()
            )
        })?;
        match keys(&text, &profile) {
            Some(credential) => {
                let current = Mutex::new((Instant::now(), Arc::new(credential)));
                Ok(Some(Self { path, profile, current }))
            }
            None if is_asked_for => Err(format!(
                "{} has no keys in its profile [{profile}], and nothing but keys is read there: write aws_access_key_id \
                 and aws_secret_access_key, or set bucket.access_key_id",
                path.display()
            )),
            None => Ok(None),
        }
    }
}

#[async_trait]
impl CredentialProvider for SharedCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut current = self.current.lock();
        if current.0.elapsed() >= READ_AGAIN {
            // A small file, once a minute. One that is just being replaced is found the next time.
            let read = std::fs::read_to_string(&self.path).ok().and_then(|text| keys(&text, &self.profile));
            let credential = read.map_or_else(|| Arc::clone(&current.1), Arc::new);
            *current = (Instant::now(), credential);
        }
        Ok(Arc::clone(&current.1))
    }
}

/// The keys of a profile; `None` where it has none.
fn keys(text: &str, profile: &str) -> Option<AwsCredential> {
    let mut is_inside = false;
    let (mut key_id, mut secret_key, mut token) = (None, None, None);
    for line in text.lines() {
        // What is indented belongs to a setting above it, and no key is made of such.
        if line.starts_with(['#', ';', ' ', '\t']) {
            continue;
        }
        if let Some(section) = line.trim_end().strip_prefix('[') {
            let name = section.split(']').next().unwrap_or_default().trim();
            let name = name.strip_prefix("profile ").unwrap_or(name);
            is_inside = name.trim() == profile;
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| is_inside) else { continue };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match name.trim().to_ascii_lowercase().as_str() {
            "aws_access_key_id" => key_id = value,
            "aws_secret_access_key" => secret_key = value,
            "aws_session_token" => token = value,
            _ => {}
        }
    }
    Some(AwsCredential { key_id: key_id?, secret_key: secret_key?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# a comment = with an equals sign\n\
        [default]\naws_access_key_id = AKDEFAULT\naws_secret_access_key=s3cr=t/+\r\nregion = eu-1\n\n\
        ; another\n[ci]\nAWS_ACCESS_KEY_ID=AKCI\naws_secret_access_key = two\n  aws_access_key_id = nested\n\
        aws_session_token = t==\n[role]\nrole_arn = arn:aws:iam::1:role/x\n[half]\naws_access_key_id = AK\n";

    #[test]
    fn a_profile_has_its_own_keys() {
        let read = |profile| keys(FILE, profile).map(|found| (found.key_id, found.secret_key, found.token));
        let text = str::to_owned;
        assert_eq!(read("default"), Some((text("AKDEFAULT"), text("s3cr=t/+"), None)));
        assert_eq!(read("ci"), Some((text("AKCI"), text("two"), Some(text("t==")))));
        for none in ["role", "half", "other", ""] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn what_nobody_named_may_be_missing_and_what_somebody_named_may_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".aws/credentials");
        let found = |variables: &[(&str, &str)]| {
            let found = SharedCredentials::find(|name| {
                let own = [("HOME", dir.path().to_str().unwrap())];
                let value = variables.iter().chain(&own).find(|(known, _)| *known == name);
                value.map(|(_, value)| OsString::from(value))
            });
            found.map(|found| found.map(|found| found.current.lock().1.key_id.clone()))
        };
        assert_eq!(found(&[]), Ok(None));
        assert!(found(&[("AWS_PROFILE", "ci")]).is_err_and(|error| error.contains("cannot read")));
        std::fs::create_dir(dir.path().join(".aws")).unwrap();
        std::fs::write(&file, FILE).unwrap();
        assert_eq!(found(&[]), Ok(Some("AKDEFAULT".to_owned())));
        assert_eq!(found(&[("AWS_PROFILE", "ci")]), Ok(Some("AKCI".to_owned())));
        assert!(found(&[("AWS_PROFILE", "role")]).is_err_and(|error| error.contains("[role]")));
        let elsewhere = ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/credentials");
        assert!(found(&[elsewhere]).is_err_and(|error| error.contains("/nowhere/credentials")));
        std::fs::write(&file, "[other]\n").unwrap();
        assert_eq!(found(&[]), Ok(None));
    }

    #[tokio::test]
    async fn keys_that_were_replaced_are_taken_in() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        std::fs::write(&file, FILE).unwrap();
        let shared = SharedCredentials::find(|name| {
            (name == "AWS_SHARED_CREDENTIALS_FILE").then(|| file.clone().into_os_string())
        });
        let shared = shared.unwrap().unwrap();
        let key_id = async || shared.get_credential().await.unwrap().key_id.clone();
        std::fs::write(&file, FILE.replace("AKDEFAULT", "AKNEW")).unwrap();
        assert_eq!(key_id().await, "AKDEFAULT", "not read at each call");
        let long_ago = || shared.current.lock().0 = Instant::now().checked_sub(READ_AGAIN).unwrap();
        long_ago();
        assert_eq!(key_id().await, "AKNEW");
        std::fs::write(&file, "").unwrap();
        long_ago();
        assert_eq!(key_id().await, "AKNEW", "a file that is being replaced");
    }
}
