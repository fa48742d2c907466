//! `larder token new`: makes a secret, shows it once, and prints what to add to the configuration.
//!
//! Stdout carries the table and nothing else, so that it can be appended to the file; the secret and what to do with it
//! go to stderr. It keeps nothing.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Arg, ArgAction, ArgMatches, Command};
use rustix::rand::{GetRandomFlags, getrandom};

use super::{CliError, config_arg, print};
use crate::config::{Config, File, Input, NamespaceScope, Secret, TokenName};
use crate::key::Namespace;

/// 256 bits: nobody guesses it, so its plain SHA-256 may be kept.
const SECRET_BYTES: usize = 32;
/// Lets people and scanners of leaked secrets see what it is.
const PREFIX: &str = "larder_";

/// The subcommand and its own subcommands.
pub(super) fn command() -> Command {
    let list = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).action(ArgAction::Append).value_delimiter(',').help(help)
    };
    let new = Command::new("new")
        .about("Make a token: larder token new --name ci >> /etc/larder/larder.toml")
        .after_help("A running server takes the new table in by itself, within seconds.")
        .arg(
            Arg::new("name")
                .long("name")
                .value_name("NAME")
                .required(true)
                .help("Its name in the configuration and in logs, and its access key id for S3"),
        )
        .arg(list(
            "namespace",
            "NAMES",
            "Namespaces where it counts, as in team-a,pr-* [default: all of them]",
        ))
        .arg(list(
            "allow",
            "RIGHTS",
            "Of read, write, delete and admin, which shows the cache's use [default: read,write]",
        ))
        .arg(
            Arg::new("expires")
                .long("expires")
                .value_name("DATE")
                .help("From when on it is refused, as in 2027-01-31 or 2027-01-31T18:00:00Z"),
        )
        .arg(
            Arg::new("s3")
                .long("s3")
                .action(ArgAction::SetTrue)
                .help("For S3 clients too: their signatures need the secret in a file on the server"),
        )
        .arg(config_arg());
    Command::new("token")
        .about("Make tokens")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(new)
}

/// Prints table and secret. Where `input` names a configuration, the table fits into it.
///
/// # Errors
/// `Argument` for what cannot be in the table, `Config` when the configuration is wrong, `Run` without randomness.
pub(super) fn run(matches: &ArgMatches, input: &Input) -> Result<(), CliError> {
    let config = input.config_path().is_some().then(|| input.load()).transpose()?.map(|loaded| loaded.config);
    let name = name(matches, config.as_ref())?;
    let secret = random_secret()?;
    let secret_file = matches.get_flag("s3").then(|| secret_file(input, &name));
    let table = table(matches, &name, &secret, secret_file.as_deref());
    let exact = check(&table)?;
    let missing = exact.iter().filter(|namespace| match &config {
        Some(config) => !config.namespaces.contains_key(*namespace),
        None => true,
    });
    let mut out = table;
    for namespace in missing {
        // Where the file is not known the table may be in it, and would be there twice.
        let comment = if config.is_some() { "" } else { "# if it is not there yet: " };
        let _ = write!(out, "\n{comment}[namespaces.{}]\n", key(namespace.as_str()));
    }
    print(&out)?;
    let told = advice(&name, &secret, secret_file.as_deref());
    io::stderr().write_all(told.as_bytes()).map_err(|error| CliError::run("cannot show the secret", &error))
}

fn name(matches: &ArgMatches, config: Option<&Config>) -> Result<TokenName, CliError> {
    let refused = |message: String| CliError::Argument { flag: "--name", message };
    let text = matches.get_one::<String>("name").map(String::as_str).unwrap_or_default();
    let name = TokenName::new(text).map_err(|error| refused(format!("\"{text}\": {error}")))?;
    if config.is_some_and(|config| config.tokens.contains_key(&name)) {
        return Err(refused(format!("the configuration has a token {name} already: choose another name")));
    }
    Ok(name)
}

fn random_secret() -> Result<Secret, CliError> {
    let failed = |error: &dyn std::error::Error| CliError::run("cannot make a secret", error);
    let mut bytes = [0; SECRET_BYTES];
    // Requests of up to 256 bytes are answered whole.
    let filled = getrandom(&mut bytes, GetRandomFlags::empty()).map_err(|error| failed(&error))?;
    if filled != bytes.len() {
        return Err(failed(&io::Error::from(io::ErrorKind::UnexpectedEof)));
    }
    Secret::new(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))).map_err(|error| failed(&error))
}

/// Beside the configuration file, where there is one.
fn secret_file(input: &Input, name: &TokenName) -> PathBuf {
    let beside = input.config_path().and_then(|(path, _)| std::path::absolute(path).ok());
    let directory = beside.as_deref().and_then(Path::parent).unwrap_or(Path::new("/etc/larder"));
    directory.join(format!("{name}.secret"))
}

fn table(matches: &ArgMatches, name: &TokenName, secret: &Secret, secret_file: Option<&Path>) -> String {
    let list = |key: &str, flag: &str| {
        let items: Vec<_> = matches.get_many::<String>(flag)?.map(|item| quoted(item.trim())).collect();
        Some(format!("{key} = [{}]\n", items.join(", ")))
    };
    let secret = match secret_file {
        Some(path) => format!("secret_file = {}\n", quoted(&path.display().to_string())),
        None => format!("secret_sha256 = {}\n", quoted(&secret.digest().to_hex())),
    };
    let expires = matches.get_one::<String>("expires").map(|date| format!("expires = {}\n", quoted(date)));
    let optional = [list("namespaces", "namespace"), list("allow", "allow"), expires];
    let head = format!("\n[tokens.{}]\n{secret}", key(name.as_str()));
    optional.into_iter().flatten().fold(head, |table, line| table + &line)
}

/// Reads the table as the server will, and says which namespaces it names.
fn check(table: &str) -> Result<Vec<Namespace>, CliError> {
    let file = File { path: PathBuf::from("the new table"), text: Ok(table.to_owned()) };
    let tokens = file.tokens()?;
    let ended = tokens.values().any(|token| token.expires.is_some_and(|end| end <= SystemTime::now()));
    if ended {
        let message = "this is over already: name a day to come".to_owned();
        return Err(CliError::Argument { flag: "--expires", message });
    }
    let patterns = tokens.into_values().flat_map(|token| token.namespaces);
    let exact = patterns.filter_map(|pattern| match pattern {
        NamespaceScope::Exactly(namespace) => Some(namespace),
        NamespaceScope::All | NamespaceScope::Matching(_) => None,
    });
    let default = Namespace::default_namespace();
    Ok(exact.filter(|namespace| *namespace != default).collect())
}

fn advice(name: &TokenName, secret: &Secret, secret_file: Option<&Path>) -> String {
    let secret = secret.reveal();
    let mut text = format!("The secret of {name}, shown only now:\n\n  {secret}\n\n");
    match secret_file {
        None => text.push_str(
            "Add the table above to the server's configuration file. Point sccache at it with:\n\n",
        ),
        Some(path) => {
            let path = path.display().to_string().replace('\'', r"'\''");
            let _ = write!(
                text,
                "Add the table above to the server's configuration file, after you wrote the secret where it says, \
                 readable for larder's user only:\n\n  \
                 install -m 600 /dev/stdin '{path}'     # then paste the secret, Enter, Ctrl-D\n\n\
                 Point sccache over S3 at it with:\n\n  \
                 export AWS_ACCESS_KEY_ID='{name}'\n  export AWS_SECRET_ACCESS_KEY='{secret}'\n\n\
                 or over WebDAV with:\n\n",
            );
        }
    }
    let _ = writeln!(text, "  export SCCACHE_WEBDAV_TOKEN='{secret}'");
    text
}

/// A name as a key of TOML, which takes all its characters but the dot without quotes.
fn key(name: &str) -> String {
    if name.contains('.') { quoted(name) } else { name.to_owned() }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
