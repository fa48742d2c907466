//! The tables `[tokens.NAME]` of the configuration file.
//!
//! Owns their shape. Secrets are named here and not read: whoever only wants to know where the server listens
//! needs no right to see them.

use std::path::PathBuf;
use std::time::SystemTime;

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};
use toml::value::{Datetime, Offset};

use super::{Reader, in_file_order};
use crate::config::certificates::CertificateName;
use crate::config::load::Draft;
use crate::config::problem::{Source, did_you_mean};
use crate::config::secret::SecretDigest;
use crate::config::tokens::{
    NamespaceScope, Right, Rights, SecretSource, TOKEN_KEYS, TokenConfig, TokenName,
};
use crate::config::value::{Form, OneOf};

const EXPIRES_HINT: &str = "write 2027-01-31, or 2027-01-31T18:00:00Z";

impl Reader<'_> {
    pub(super) fn tokens(&self, draft: &mut Draft, value: &Spanned<DeValue<'_>>, source: Source) {
        let Some(tables) = value.get_ref().as_table() else {
            let message = "tokens is a table: write [tokens.NAME] on a line of its own";
            return draft.problem("tokens", source, message.to_owned());
        };
        for (name, value) in in_file_order(tables) {
            let source = self.source(name.span().start);
            let label = format!("tokens.{}", name.get_ref());
            match (TokenName::new(name.get_ref()), value.get_ref().as_table()) {
                (Err(error), _) => draft.problem(&label, source, format!("{error}: choose another name")),
                (Ok(_), None) => {
                    let message = format!("a token is a table: write [{label}] on a line of its own");
                    draft.problem(&label, source, message);
                }
                (Ok(name), Some(table)) => {
                    draft.origin(&label, source);
                    if let Some(token) = self.token(draft, &label, table) {
                        draft.token(name, token);
                    }
                }
            }
        }
    }

    /// `None` when the table says nothing of a secret, or too much: a problem that is noted.
    fn token(&self, draft: &mut Draft, label: &str, table: &DeTable<'_>) -> Option<TokenConfig> {
        let mut secrets = Vec::new();
        let (mut certificates, mut namespaces, mut allow, mut expires) = (Vec::new(), None, None, None);
        for (name, value) in in_file_order(table) {
            let source = self.source(name.span().start);
            let full = format!("{label}.{}", name.get_ref());
            let value = value.get_ref();
            let outcome = match name.get_ref().as_ref() {
                "secret_file" => secret_file(value).map(|secret| secrets.push(secret)),
                "secret_env" => secret_env(value).map(|secret| secrets.push(secret)),
                "secret_sha256" => secret_sha256(value).map(|secret| secrets.push(secret)),
                "certificate" => certificate(value).map(|found| certificates = found),
                "namespaces" => list(value, "namespaces = [\"team-a\", \"pr-*\"]", &|text| {
                    NamespaceScope::parse(text).map_err(|error| format!("\"{text}\": {error}"))
                })
                .map(|found| namespaces = Some(found)),
                "allow" => list(value, "allow = [\"read\", \"write\"]", &OneOf::<Right>::parse)
                    .map(|found| allow = Some(Rights::of(&found))),
                "expires" => expiry(value).map(|found| expires = Some(found)),
                unknown => {
                    let hint = did_you_mean(unknown, TOKEN_KEYS.iter().map(|key| key.name));
                    let message = format!("a token has no such key{hint}: correct or remove it");
                    draft.problem(&full, source, message);
                    continue;
                }
            };
            match outcome {
                Ok(()) => draft.origin(&full, source),
                Err(message) => draft.broken(&full, source, message),
            }
        }
        let named = table.keys().filter(|key| key.get_ref().starts_with("secret_")).count();
        let source = match (secrets.pop(), named) {
            (Some(source), 1) => source,
            // Told already: the one there is was broken.
            (None, 1) => return None,
            (None, 0) if !certificates.is_empty() => SecretSource::Absent,
            (None, 0) if table.contains_key("certificate") => return None,
            (_, named) => {
                let (found, or) = match named {
                    0 => ("no secret", ", or a certificate"),
                    _ => ("more than one secret", ""),
                };
                draft.problem_with(
                    label,
                    format!(
                        "the token has {found}: give it one of secret_sha256, secret_file and secret_env (larder \
                         token new makes one){or}"
                    ),
                );
                return None;
            }
        };
        let defaults = TokenConfig::new(source, None);
        Some(TokenConfig {
            namespaces: namespaces.unwrap_or(defaults.namespaces),
            allow: allow.unwrap_or(defaults.allow),
            certificates,
            expires,
            ..defaults
        })
    }
}

pub(super) fn text<'a>(value: &'a DeValue<'_>, example: &str) -> Result<&'a str, String> {
    match value.as_str() {
        Some("") => Err(format!("the text is empty: write {example}")),
        Some(text) => Ok(text),
        None => Err(format!("a text in quotes belongs here: write {example}")),
    }
}

fn secret_file(value: &DeValue<'_>) -> Result<SecretSource, String> {
    let path = text(value, "secret_file = \"/etc/larder/ci.secret\"")?;
    Ok(SecretSource::File(PathBuf::from(path)))
}

fn secret_env(value: &DeValue<'_>) -> Result<SecretSource, String> {
    let name = text(value, "secret_env = \"LARDER_CI_SECRET\"")?;
    // Not shown: it may be the secret itself, written where its variable's name belongs.
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name || name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err("this is no name of a variable: write secret_env = \"LARDER_CI_SECRET\"".to_owned());
    }
    Ok(SecretSource::Env(name.to_owned()))
}

fn secret_sha256(value: &DeValue<'_>) -> Result<SecretSource, String> {
    let example = "secret_sha256 = \"…\" with the 64 hexadecimal digits that larder token new prints";
    let digest = SecretDigest::from_hex(text(value, example)?);
    // What stands there is not shown: it may be the secret itself.
    digest.map(SecretSource::Digest).ok_or_else(|| format!("this is no SHA-256: write {example}"))
}

fn certificate(value: &DeValue<'_>) -> Result<Vec<CertificateName>, String> {
    let example = "certificate = \"runner-7.lan\"";
    match value {
        DeValue::Array(_) => list(value, example, &CertificateName::new),
        one => text(one, example).and_then(CertificateName::new).map(|name| vec![name]),
    }
}

/// A list of texts, not empty, each read by `parse`; all that is wrong with it in one text.
pub(super) fn list<T>(
    value: &DeValue<'_>,
    example: &str,
    parse: &dyn Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let Some(items) = value.as_array().filter(|items: &&DeArray<'_>| !items.is_empty()) else {
        return Err(format!("a list belongs here, and not an empty one: write {example}"));
    };
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for item in items.iter() {
        match text(item.get_ref(), example).and_then(parse) {
            Ok(item) => found.push(item),
            Err(message) => wrong.push(message),
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong.join("; ")) }
}

fn expiry(value: &DeValue<'_>) -> Result<SystemTime, String> {
    let parsed = match value {
        DeValue::Datetime(datetime) => Some(*datetime),
        DeValue::String(text) => text.parse().ok(),
        _ => None,
    };
    let datetime = parsed.ok_or_else(|| format!("this is no date: {EXPIRES_HINT}"))?;
    if datetime.time.is_some() && datetime.offset.is_none() {
        return Err(format!("this time names no offset from UTC: {EXPIRES_HINT}"));
    }
    instant(&datetime).ok_or_else(|| format!("\"{datetime}\" is no date: {EXPIRES_HINT}"))
}

fn instant(datetime: &Datetime) -> Option<SystemTime> {
    let date = datetime.date?;
    let month = Month::try_from(date.month).ok()?;
    let date = Date::from_calendar_date(i32::from(date.year), month, date.day).ok()?;
    let time = match datetime.time {
        // TOML knows leap seconds; the second before ends the token as well.
        Some(time) => Time::from_hms(time.hour, time.minute, time.second.unwrap_or(0).min(59)).ok()?,
        None => Time::MIDNIGHT,
    };
    let offset = match datetime.offset {
        None | Some(Offset::Z) => UtcOffset::UTC,
        Some(Offset::Custom { minutes }) => UtcOffset::from_whole_seconds(i32::from(minutes) * 60).ok()?,
    };
    Some(PrimitiveDateTime::new(date, time).assume_offset(offset).into())
}

/// `expires` as the file would have it, in UTC; what is below a second is lost.
#[must_use]
pub fn print_expiry(expires: SystemTime) -> String {
    let at = OffsetDateTime::from(expires).to_offset(UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}
