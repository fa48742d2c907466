//! The forms that values are written in: addresses, paths, counts, choices. Sizes and durations are beside it
//! in `quantity`.
//!
//! Owns reading and printing one value, with an error that says what to write instead. Knows nothing of
//! keys or of where a text came from. Every printed value reads back as the same value.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Anonymous, BucketWrite, Durability, LogFormat, Overwrite, Verify};
use crate::key::Namespace;

/// One way to write values down.
pub(super) trait Form {
    /// What the text stands for.
    type Value;
    /// True when TOML writes such a value without quotes.
    const BARE: bool = false;

    /// Stands for the value in `--help` and in the README, for example `SIZE`.
    fn placeholder() -> String;
    /// Reads `text`, which is trimmed.
    fn parse(text: &str) -> Result<Self::Value, String>;
    /// Writes `value` so that [`Form::parse`] reads it back; `None` where no value is the value.
    fn print(value: &Self::Value) -> Option<String>;
}

/// An IP address and a port.
pub(super) struct Address;
/// A directory.
pub(super) struct Directory;
/// A file with certificates or keys.
pub(super) struct PemFile;
/// true or false.
pub(super) struct Switch;
/// A file that has a secret.
pub(super) struct SecretFile;
/// A DNS name without a port.
pub(super) struct Domain;
/// A whole number.
pub(super) struct Count;
/// Log filter directives, as `info` or `info,larder::cache=debug`.
pub(super) struct Filter;
/// The name of a namespace.
pub(super) struct Name;
/// One word of a fixed list.
pub(super) struct OneOf<C>(PhantomData<C>);
/// A value that may be missing.
pub(super) struct Optional<F>(PhantomData<F>);

/// An enum with a word for each of its values.
pub(super) trait Choice: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

impl Choice for Durability {
    const WORDS: &'static [(&'static str, Self)] = &[("periodic", Self::Periodic), ("commit", Self::Commit)];
}

impl Choice for Verify {
    const WORDS: &'static [(&'static str, Self)] = &[("first", Self::First), ("always", Self::Always)];
}

impl Choice for Anonymous {
    const WORDS: &'static [(&'static str, Self)] = &[("read", Self::Read), ("read-write", Self::ReadWrite)];
}

impl Choice for BucketWrite {
    const WORDS: &'static [(&'static str, Self)] = &[("back", Self::Back), ("through", Self::Through)];
}

impl Choice for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("human", Self::Human), ("json", Self::Json)];
}

impl Choice for Overwrite {
    const WORDS: &'static [(&'static str, Self)] = &[("allow", Self::Allow), ("never", Self::Never)];
}

impl Form for Address {
    type Value = SocketAddr;

    fn placeholder() -> String {
        "ADDR:PORT".to_owned()
    }

    fn parse(text: &str) -> Result<SocketAddr, String> {
        text.parse().map_err(|_| {
            format!(
                "\"{text}\" is not an IP address and a port: write 127.0.0.1:4227 for this machine only, \
                 0.0.0.0:4227 for every IPv4 interface or [::]:4227 for every interface"
            )
        })
    }

    fn print(value: &SocketAddr) -> Option<String> {
        Some(value.to_string())
    }
}

impl Form for Directory {
    type Value = PathBuf;

    fn placeholder() -> String {
        "DIR".to_owned()
    }

    fn parse(text: &str) -> Result<PathBuf, String> {
        if text.is_empty() {
            return Err("the path is empty: name a directory, as in /var/lib/larder".to_owned());
        }
        Ok(PathBuf::from(text))
    }

    fn print(value: &PathBuf) -> Option<String> {
        Some(value.display().to_string())
    }
}

impl Form for PemFile {
    type Value = PathBuf;

    fn placeholder() -> String {
        "FILE".to_owned()
    }

    fn parse(text: &str) -> Result<PathBuf, String> {
        if text.is_empty() {
            return Err("the path is empty: name a PEM file, as in /etc/larder/tls.pem".to_owned());
        }
        Ok(PathBuf::from(text))
    }

    fn print(value: &PathBuf) -> Option<String> {
        Some(value.display().to_string())
    }
}

impl Form for SecretFile {
    type Value = PathBuf;

    fn placeholder() -> String {
        "FILE".to_owned()
    }

    fn parse(text: &str) -> Result<PathBuf, String> {
        if text.is_empty() {
            return Err("the path is empty: name a file, as in /etc/larder/token.key".to_owned());
        }
        Ok(PathBuf::from(text))
    }

    fn print(value: &PathBuf) -> Option<String> {
        Some(value.display().to_string())
    }
}

impl Form for Switch {
    type Value = bool;
    const BARE: bool = true;

    fn placeholder() -> String {
        "true|false".to_owned()
    }

    fn parse(text: &str) -> Result<bool, String> {
        text.parse().map_err(|_| format!("\"{text}\" is neither true nor false: write one of them"))
    }

    fn print(value: &bool) -> Option<String> {
        Some(value.to_string())
    }
}

impl Form for Domain {
    type Value = String;

    fn placeholder() -> String {
        "DOMAIN".to_owned()
    }

    fn print(value: &String) -> Option<String> {
        Some(value.clone())
    }

    fn parse(text: &str) -> Result<String, String> {
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if text.split('.').all(is_label) {
            return Ok(text.to_ascii_lowercase());
        }
        Err(format!(
            "{text:?} is no domain: write its name alone, such as s3.example.org, without port or scheme"
        ))
    }
}

impl Form for Count {
    type Value = usize;
    const BARE: bool = true;

    fn placeholder() -> String {
        "NUMBER".to_owned()
    }

    fn parse(text: &str) -> Result<usize, String> {
        text.parse().map_err(|_| format!("\"{text}\" is not a whole number: write digits only, as in 4096"))
    }

    fn print(value: &usize) -> Option<String> {
        Some(value.to_string())
    }
}

impl Form for Filter {
    type Value = String;

    fn placeholder() -> String {
        "LEVEL".to_owned()
    }

    fn parse(text: &str) -> Result<String, String> {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        // A bare word that is no level would name a module and silence all others: a typing error, never a wish.
        for word in text.split(',').map(str::trim).filter(|word| !word.contains(['=', '['])) {
            if !LEVELS.contains(&word.to_ascii_lowercase().as_str()) {
                return Err(format!(
                    "\"{word}\" is not a log level: write {}, or a module with its level as in \
                     info,larder::cache=debug",
                    LEVELS.join(", ")
                ));
            }
        }
        match tracing_subscriber::EnvFilter::try_new(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(format!(
                "\"{text}\" is not a log filter ({error}): write a level as in info, or \
                 info,larder::cache=debug"
            )),
        }
    }

    fn print(value: &String) -> Option<String> {
        Some(value.clone())
    }
}

impl Form for Name {
    type Value = Namespace;

    fn placeholder() -> String {
        "NAME".to_owned()
    }

    fn parse(text: &str) -> Result<Namespace, String> {
        Namespace::new(text).map_err(|error| format!("\"{text}\" is not the name of a namespace: {error}"))
    }

    fn print(value: &Namespace) -> Option<String> {
        Some(value.as_str().to_owned())
    }
}

impl<C: Choice> Form for OneOf<C> {
    type Value = C;

    fn placeholder() -> String {
        C::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join("|")
    }

    fn parse(text: &str) -> Result<C, String> {
        C::WORDS.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<_> = C::WORDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            format!("\"{text}\" is none of the choices: write {}", words.join(" or "))
        })
    }

    fn print(value: &C) -> Option<String> {
        C::WORDS.iter().find(|(_, choice)| choice == value).map(|(word, _)| (*word).to_owned())
    }
}

impl<F: Form> Form for Optional<F> {
    type Value = Option<F::Value>;
    const BARE: bool = F::BARE;

    fn placeholder() -> String {
        F::placeholder()
    }

    fn parse(text: &str) -> Result<Option<F::Value>, String> {
        F::parse(text).map(Some)
    }

    fn print(value: &Option<F::Value>) -> Option<String> {
        value.as_ref().and_then(F::print)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_level_is_not_taken_for_a_module() {
        assert!(Filter::parse("inof").is_err_and(|error| error.contains("info")));
        assert!(Filter::parse("info,larder::cache=debug").is_ok());
        assert!(Filter::parse("larder=loud").is_err());
    }
}
