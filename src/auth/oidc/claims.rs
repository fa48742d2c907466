//! What an identity token says: for whom it is, from when to when, and of which job.
//!
//! Owns how claims are compared with what the configuration asks for. It must not know whether they are to be believed.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::super::refused::shown;
use super::ExchangeError;
use crate::config::OidcRule;

/// Longest name of a job in logs and tokens, in bytes.
const MOST_SUBJECT_BYTES: usize = 200;

pub(super) struct Claims<'a>(&'a Map<String, Value>);

impl<'a> Claims<'a> {
    pub(super) fn new(claims: &'a Map<String, Value>) -> Self {
        Self(claims)
    }

    /// A claim that is one value, as text. Lists and tables are none.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        match self.0.get(name)? {
            Value::String(text) => Some(Cow::Borrowed(text)),
            Value::Bool(value) => Some(Cow::Owned(value.to_string())),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// `exp` and `nbf` (RFC 7519, 4.1), in seconds since 1970.
    ///
    /// # Errors
    /// [`ExchangeError::Expired`], [`ExchangeError::NotYetValid`]; [`ExchangeError::Malformed`] without an end.
    pub(super) fn check_times(&self, now: f64, leeway: f64) -> Result<(), ExchangeError> {
        let time = |name: &str| match self.0.get(name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(time) if time.is_finite() => Ok(Some(time)),
                _ => Err(ExchangeError::Malformed("its exp or nbf is no number of seconds")),
            },
        };
        let end = time("exp")?.ok_or(ExchangeError::Malformed("it does not say when it ends (exp)"))?;
        if end + leeway <= now {
            return Err(ExchangeError::Expired(whole(now - end)));
        }
        match time("nbf")? {
            Some(start) if start - leeway > now => Err(ExchangeError::NotYetValid(whole(start - now))),
            _ => Ok(()),
        }
    }

    /// `aud`: one text or a list of them, of which one must be `wanted`.
    ///
    /// # Errors
    /// [`ExchangeError::Audience`].
    pub(super) fn check_audience(&self, wanted: &str) -> Result<(), ExchangeError> {
        let found: Vec<_> = match self.0.get("aud") {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if found.contains(&wanted) {
            return Ok(());
        }
        let found = format!("\"{}\"", shown(&found.join(", ")));
        Err(ExchangeError::Audience { found, wanted: wanted.to_owned() })
    }

    /// True when every claim that `rule` asks for is there and fits.
    pub(super) fn fit(&self, rule: &OidcRule) -> bool {
        let fits = |(name, pattern): (&String, &crate::config::ClaimPattern)| {
            self.text(name).is_some_and(|value| pattern.matches(&value))
        };
        // The configuration has no rule without claims; one that had none would be for everybody.
        !rule.claims.is_empty() && rule.claims.iter().all(fits)
    }

    /// The job's name in logs, as in `oidc:github:org/repo@refs/heads/main#1234`.
    pub(super) fn subject(&self, issuer: &str) -> String {
        let text = |name| self.text(name).unwrap_or(Cow::Borrowed("?"));
        let name = if self.0.contains_key("repository") {
            format!("github:{}@{}#{}", text("repository"), text("ref"), text("run_id"))
        } else if self.0.contains_key("project_path") {
            format!("gitlab:{}@{}#{}", text("project_path"), text("ref"), text("job_id"))
        } else {
            let host = issuer.split_once("://").map_or(issuer, |(_, host)| host);
            format!("{host}:{}", text("sub"))
        };
        // A branch may be called anything, and the name goes into lines of the log.
        let printable = name.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' });
        "oidc:".chars().chain(printable).take(MOST_SUBJECT_BYTES).collect()
    }
}

/// Seconds for a person to read.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is only shown")]
fn whole(seconds: f64) -> u64 {
    seconds.ceil() as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{ClaimPattern, Rights};

    fn with<T>(json: &str, check: impl FnOnce(Claims<'_>) -> T) -> T {
        check(Claims::new(&serde_json::from_str(json).unwrap()))
    }

    #[test]
    fn times_have_a_minute_of_leeway_and_an_end() {
        let at = |json, now| with(json, |claims| claims.check_times(now, 60.0));
        let json = r#"{"nbf":1000,"exp":2000.5}"#;
        for (now, outcome) in [
            (939.0, Err(ExchangeError::NotYetValid(61))),
            (940.0, Ok(())),
            (2060.0, Ok(())),
            (2060.5, Err(ExchangeError::Expired(60))),
            (9000.0, Err(ExchangeError::Expired(7000))),
        ] {
            assert_eq!(at(json, now), outcome, "{now}");
        }
        for json in
            ["{}", r#"{"nbf":1}"#, r#"{"exp":"9999"}"#, r#"{"exp":9999,"nbf":"1"}"#, r#"{"exp":null}"#]
        {
            assert!(matches!(at(json, 1000.0), Err(ExchangeError::Malformed(_))), "{json}");
        }
        assert_eq!(at(r#"{"exp":1e308}"#, 1000.0), Ok(()));
        assert_eq!(at(r#"{"exp":-1e308}"#, 1000.0), Err(ExchangeError::Expired(u64::MAX)));
    }

    #[test]
    fn the_audience_is_one_of_those_named_to_the_letter() {
        let is_for = |json| with(json, |claims| claims.check_audience("cache").is_ok());
        assert!(is_for(r#"{"aud":"cache"}"#) && is_for(r#"{"aud":["x","cache"]}"#));
        for json in [
            "{}",
            r#"{"aud":"Cache"}"#,
            r#"{"aud":[]}"#,
            r#"{"aud":["caches",["cache"]]}"#,
            r#"{"aud":{"cache":1}}"#,
        ] {
            assert!(!is_for(json), "{json}");
        }
    }

    #[test]
    fn a_rule_fits_when_all_of_its_claims_do() {
        let rule = |claims: &[(&str, &str)]| OidcRule {
            claims: claims
                .iter()
                .map(|(name, value)| ((*name).to_owned(), ClaimPattern::new(value).unwrap()))
                .collect::<BTreeMap<_, _>>(),
            namespaces: Vec::new(),
            allow: Rights::of(&[]),
        };
        let json = r#"{"ref":"refs/heads/a","protected":true,"id":17,"list":["x"],"nothing":null}"#;
        let fits = |claims: &[(&str, &str)]| with(json, |found| found.fit(&rule(claims)));
        assert!(fits(&[("ref", "refs/heads/*"), ("protected", "true"), ("id", "17")]));
        assert!(!fits(&[("ref", "refs/heads/*"), ("protected", "false")]));
        for missing in ["list", "nothing", "absent"] {
            assert!(!fits(&[(missing, "*")]), "{missing}");
        }
        assert!(!fits(&[]));
    }

    #[test]
    fn a_job_is_named_so_that_people_know_it_and_lines_stay_whole() {
        let name = |json| with(json, |claims| claims.subject("https://ci.example.org/x"));
        for (json, subject) in [
            (
                r#"{"repository":"o/r","ref":"refs/heads/main","run_id":"7"}"#,
                "oidc:github:o/r@refs/heads/main#7",
            ),
            (r#"{"project_path":"g/p","ref":"main","job_id":8}"#, "oidc:gitlab:g/p@main#8"),
            (r#"{"sub":"a\nb ü"}"#, "oidc:ci.example.org/x:a?b??"),
            ("{}", "oidc:ci.example.org/x:?"),
        ] {
            assert_eq!(name(json), subject);
        }
        assert_eq!(name(&format!(r#"{{"sub":"{}"}}"#, "x".repeat(999))).len(), MOST_SUBJECT_BYTES);
    }
}
