//! The tables `[[oidc]]` and `[[oidc.rules]]` of the configuration file.
//!
//! Owns their shape, and which of their keys must be there. What they mean together is `config::oidc`'s.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::tokens::{list, text};
use super::{Reader, in_file_order, scalar};
use crate::config::load::Draft;
use crate::config::oidc::{
    ClaimPattern, DEFAULT_MAX_TTL, LONGEST_MAX_TTL, OIDC_KEYS, OIDC_RULE_KEYS, OidcConfig, OidcRule,
    trusted_url,
};
use crate::config::problem::{Source, did_you_mean};
use crate::config::quantity::Time;
use crate::config::tokens::{NamespaceScope, Right, Rights, TokenKey};
use crate::config::value::{Form, OneOf};

const CLAIMS_HINT: &str = "write claims = { repository = \"our-org/app\", ref = \"refs/heads/main\" }";

impl Reader<'_> {
    pub(super) fn oidc(&self, draft: &mut Draft, value: &Spanned<DeValue<'_>>, source: Source) {
        draft.origin("oidc", source);
        self.each_table(draft, "oidc", value, "[[oidc]]", &mut |draft, label, table| {
            let oidc = self.issuer(draft, label, table);
            draft.config.oidc.push(oidc);
        });
    }

    /// Takes what is broken in as well, so that the tables keep their numbers: the problems that are noted keep it from
    /// being used.
    fn issuer(&self, draft: &mut Draft, label: &str, table: &DeTable<'_>) -> OidcConfig {
        let mut oidc = OidcConfig {
            issuer: String::new(),
            audience: String::new(),
            jwks_url: None,
            max_ttl: DEFAULT_MAX_TTL,
            rules: Vec::new(),
        };
        for (name, value) in in_file_order(table) {
            let source = self.source(name.span().start);
            let full = format!("{label}.{}", name.get_ref());
            let raw = value.get_ref();
            let outcome = match name.get_ref().as_ref() {
                "issuer" => url(raw).map(|url| oidc.issuer = url),
                "audience" => text(raw, "audience = \"https://cache.example.org\"")
                    .map(|audience| oidc.audience = audience.to_owned()),
                "jwks_url" => url(raw).map(|url| oidc.jwks_url = Some(url)),
                "max_ttl" => time_to_live(raw).map(|ttl| oidc.max_ttl = ttl),
                "rules" => {
                    draft.origin(&full, source);
                    self.each_table(draft, &full, value, "[[oidc.rules]]", &mut |draft, label, table| {
                        let rule = self.rule(draft, label, table);
                        oidc.rules.push(rule);
                    });
                    continue;
                }
                unknown => {
                    no_such_key(draft, &full, source, unknown, OIDC_KEYS);
                    continue;
                }
            };
            note(draft, &full, source, outcome);
        }
        for (key, what) in [
            (
                "issuer",
                "whose tokens it means: write issuer = \"https://token.actions.githubusercontent.com\"",
            ),
            ("audience", "for whom the tokens are made: write audience = \"https://cache.example.org\""),
            ("rules", "who may do what: write a table [[oidc.rules]] below it"),
        ] {
            if !table.contains_key(key) {
                draft.problem_with(label, format!("it does not say {what}"));
            }
        }
        oidc
    }

    fn rule(&self, draft: &mut Draft, label: &str, table: &DeTable<'_>) -> OidcRule {
        let mut rule = OidcRule { claims: BTreeMap::new(), namespaces: Vec::new(), allow: Rights::of(&[]) };
        for (name, value) in in_file_order(table) {
            let source = self.source(name.span().start);
            let full = format!("{label}.{}", name.get_ref());
            let raw = value.get_ref();
            let outcome = match name.get_ref().as_ref() {
                "claims" => claims(raw).map(|claims| rule.claims = claims),
                "namespaces" => list(raw, "namespaces = [\"main\"]", &|text| {
                    NamespaceScope::parse(text).map_err(|error| format!("\"{text}\": {error}"))
                })
                .map(|found| rule.namespaces = found),
                "allow" => list(raw, "allow = [\"read\", \"write\"]", &OneOf::<Right>::parse)
                    .map(|found| rule.allow = Rights::of(&found)),
                unknown => {
                    no_such_key(draft, &full, source, unknown, OIDC_RULE_KEYS);
                    continue;
                }
            };
            note(draft, &full, source, outcome);
        }
        for (key, hint) in [
            ("claims", CLAIMS_HINT),
            ("namespaces", "write namespaces = [\"main\"]"),
            ("allow", "write allow = [\"read\", \"write\"]"),
        ] {
            if !table.contains_key(key) {
                draft.problem_with(label, format!("the rule has no {key}: {hint}"));
            }
        }
        rule
    }

    /// Has `each` read every table of an array, called `label[1]`, `label[2]` and so on.
    fn each_table(
        &self,
        draft: &mut Draft,
        label: &str,
        value: &Spanned<DeValue<'_>>,
        written: &str,
        each: &mut dyn FnMut(&mut Draft, &str, &DeTable<'_>),
    ) {
        let tables = value.get_ref().as_array().map(|items| items.iter().collect::<Vec<_>>());
        for (number, item) in (1..).zip(tables.as_deref().unwrap_or(&[value])) {
            let label = format!("{label}[{number}]");
            let source = self.source(item.span().start);
            match item.get_ref().as_table().filter(|_| tables.is_some()) {
                Some(table) => {
                    draft.origin(&label, source);
                    each(draft, &label, table);
                }
                None => {
                    let message =
                        format!("a table of a list belongs here: write {written} on a line of its own");
                    draft.problem(&label, source, message);
                }
            }
        }
    }
}

fn note(draft: &mut Draft, key: &str, source: Source, outcome: Result<(), String>) {
    match outcome {
        Ok(()) => draft.origin(key, source),
        Err(message) => draft.broken(key, source, message),
    }
}

fn no_such_key(draft: &mut Draft, key: &str, source: Source, unknown: &str, known: &[TokenKey]) {
    let hint = did_you_mean(unknown, known.iter().map(|key| key.name));
    draft.problem(key, source, format!("there is no such key here{hint}: correct or remove it"));
}

fn url(value: &DeValue<'_>) -> Result<String, String> {
    text(value, "a URL, as in \"https://token.actions.githubusercontent.com\"").and_then(trusted_url)
}

fn time_to_live(value: &DeValue<'_>) -> Result<std::time::Duration, String> {
    let ttl = text(value, "max_ttl = \"6h\"").and_then(|text| Time::parse(text.trim()))?;
    if ttl.as_secs() == 0 || ttl > LONGEST_MAX_TTL {
        return Err("cache tokens last from 1s to 7d: write as long as the longest job, as in 6h".to_owned());
    }
    Ok(ttl)
}

fn claims(value: &DeValue<'_>) -> Result<BTreeMap<String, ClaimPattern>, String> {
    let table = value.as_table().ok_or_else(|| format!("a table belongs here: {CLAIMS_HINT}"))?;
    if table.is_empty() {
        return Err(format!("without a claim every job of the issuer would fit: {CLAIMS_HINT}"));
    }
    let (mut found, mut wrong) = (BTreeMap::new(), Vec::new());
    for (name, value) in in_file_order(table) {
        let name = name.get_ref();
        // GitLab's ref_protected is the text "true"; whoever writes it without quotes means the same.
        let text = match value.get_ref() {
            DeValue::Boolean(value) => Ok(value.to_string()),
            other => scalar(other).map_err(|kind| format!("{kind} stands where the claim's value belongs")),
        };
        match text.and_then(|text| ClaimPattern::new(&text)) {
            Ok(pattern) => {
                found.insert(name.clone().into_owned(), pattern);
            }
            Err(message) => wrong.push(format!("{name}: {message}")),
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong.join("; ")) }
}
