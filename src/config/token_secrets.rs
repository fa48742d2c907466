//! Reads the secrets that tokens name, and finds those that cannot be used.
//!
//! Owns what is asked of a secret's place and of all secrets together. The one part of the configuration that
//! sees secrets; no problem's text may hold any of one.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use super::load::Draft;
use super::problem::Source;
use super::secret::{MAX_SECRET_CHARS, MIN_SECRET_CHARS, Secret, SecretDigest, SecretError};
use super::tokens::{SecretSource, TokenConfig, TokenName};

/// The variable that makes a token of its own, for containers without a file.
pub const TOKEN_VARIABLE: &str = "LARDER_TOKEN";
/// The name of that token.
pub const TOKEN_VARIABLE_NAME: &str = "default";

const MAKE_ONE: &str = "make one with larder token new --s3";

/// Adds the token of [`TOKEN_VARIABLE`] where that is set and no table names it.
pub(super) fn apply_variable(draft: &mut Draft, env: &BTreeMap<String, OsString>) {
    if env.get(TOKEN_VARIABLE).is_none_or(|text| text.is_empty()) || names_variable(draft, TOKEN_VARIABLE) {
        return;
    }
    let source = Source::Env(TOKEN_VARIABLE.to_owned());
    match TokenName::new(TOKEN_VARIABLE_NAME) {
        Ok(name) if !draft.config.tokens.contains_key(&name) => {
            draft.origin(&format!("tokens.{name}"), source.clone());
            draft.origin(&format!("tokens.{name}.secret_env"), source);
            let secret = SecretSource::Env(TOKEN_VARIABLE.to_owned());
            draft.token(name, TokenConfig::new(secret, None));
        }
        _ => draft.problem(
            TOKEN_VARIABLE,
            source,
            format!(
                "it makes a token called {TOKEN_VARIABLE_NAME}, and the file has one of that name: unset it, or \
                 rename the other"
            ),
        ),
    }
}

/// True when a token keeps its secret in this variable, which then is no unknown setting.
pub(super) fn names_variable(draft: &Draft, variable: &str) -> bool {
    draft
        .config
        .tokens
        .values()
        .any(|token| matches!(&token.source, SecretSource::Env(name) if name == variable))
}

/// Reads every secret that is kept in plain, and notes those that are missing, bad, or there twice.
pub(super) fn read(draft: &mut Draft, env: &BTreeMap<String, OsString>) {
    let mut tokens = std::mem::take(&mut draft.config.tokens);
    let mut seen: HashMap<SecretDigest, TokenName> = HashMap::new();
    for (name, token) in &mut tokens {
        let (key, found) = match &token.source {
            SecretSource::Absent => continue,
            SecretSource::Digest(_) => ("secret_sha256", Ok(None)),
            SecretSource::File(path) => ("secret_file", from_file(path).map(Some)),
            SecretSource::Env(variable) => ("secret_env", from_env(variable, env).map(Some)),
        };
        let key = format!("tokens.{name}.{key}");
        match found {
            Ok(secret) => token.secret = secret.map(Arc::new),
            Err(message) => draft.problem_with(&key, message),
        }
        let Some(digest) = token.digest() else { continue };
        if let Some(other) = seen.get(&digest) {
            draft.problem_with(
                &key,
                format!(
                    "the token {other} has the same secret, so nobody could tell them apart: give each its own \
                     ({MAKE_ONE})"
                ),
            );
        }
        seen.insert(digest, name.clone());
    }
    draft.config.tokens = tokens;
}

pub(super) fn from_file(path: &Path) -> Result<Secret, String> {
    let mut text = Vec::new();
    // A little more than any secret, so that a file named by mistake is not read to its end.
    let most = MAX_SECRET_CHARS as u64 + 3;
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut text)).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => format!("write the secret there, or {MAKE_ONE}"),
            _ => "let the user that larder runs as read it".to_owned(),
        };
        format!("cannot read {} ({error}): {advice}", path.display())
    })?;
    let place = format!("in {}", path.display());
    let text = String::from_utf8(text).map_err(|_| unusable(SecretError::Characters, &place))?;
    Secret::new(&text).map_err(|error| unusable(error, &place))
}

fn from_env(variable: &str, env: &BTreeMap<String, OsString>) -> Result<Secret, String> {
    let place = format!("in the variable {variable}");
    let text = env
        .get(variable)
        .ok_or_else(|| format!("the variable {variable} is not set: set it, or {MAKE_ONE}"))?;
    let text = text.to_str().ok_or_else(|| unusable(SecretError::Characters, &place))?;
    Secret::new(text).map_err(|error| unusable(error, &place))
}

fn unusable(error: SecretError, place: &str) -> String {
    format!(
        "{place}: {error}: use {MIN_SECRET_CHARS} to {MAX_SECRET_CHARS} characters of printable ASCII, or {MAKE_ONE}"
    )
}
