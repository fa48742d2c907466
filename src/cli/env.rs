//! `larder env`: prints export lines, for `eval "$(larder env)"`.
//!
//! Stdout carries nothing but lines for the shell; advice goes to stderr.

use std::io::{self, Write};

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{CliError, hints, print};
use crate::config::Input;
use crate::key::Namespace;

/// The subcommand's flags.
pub(super) fn command() -> Command {
    Command::new("env")
        .about("Print settings that point a client at the server: eval \"$(larder env)\"")
        .arg(
            Arg::new("webdav")
                .long("webdav")
                .action(ArgAction::SetTrue)
                .help("For sccache over WebDAV (the default)"),
        )
        .arg(Arg::new("s3").long("s3").action(ArgAction::SetTrue).help("For sccache over S3"))
        .arg(Arg::new("ccache").long("ccache").action(ArgAction::SetTrue).help("For ccache"))
        .arg(Arg::new("url").long("url").value_name("URL").help(
            "Where clients reach the server, as in http://cache.lan:4227 [default: from the setting listen]",
        ))
        .arg(
            Arg::new("namespace")
                .long("namespace")
                .value_name("NAME")
                .help("Namespace to use; it should be one of the server's [namespaces.NAME]"),
        )
}

/// Prints the lines.
///
/// # Errors
/// `Argument` for a URL or namespace that cannot be used; `Config` when the URL is to come from a wrong
/// configuration.
pub(super) fn run(matches: &ArgMatches, input: &Input) -> Result<(), CliError> {
    let url = match matches.get_one::<String>("url") {
        Some(url) => checked_url(url)?,
        None => {
            let config = input.load()?.config;
            hints::local_url(hints::Scheme::of(&config), config.listen)
        }
    };
    let namespace = matches.get_one::<String>("namespace").map(|name| checked_namespace(name)).transpose()?;
    let (ccache, s3) = (matches.get_flag("ccache"), matches.get_flag("s3"));
    let webdav = matches.get_flag("webdav") || !(ccache || s3);
    if webdav && s3 {
        return Err(CliError::Argument {
            flag: "--s3",
            message: "together with --webdav: sccache speaks one of them".to_owned(),
        });
    }
    let mut variables = Vec::new();
    if webdav {
        variables.extend(hints::sccache(&url, namespace.as_ref()));
    }
    if s3 {
        variables.extend(hints::sccache_by_s3(&url, namespace.as_ref()));
        let _ = writeln!(
            io::stderr(),
            "# And the key pair: AWS_ACCESS_KEY_ID is a token's name, AWS_SECRET_ACCESS_KEY its secret (larder token \
             new --s3). Where nobody needs one: SCCACHE_S3_NO_CREDENTIALS=true"
        );
    }
    if ccache {
        variables.extend(hints::ccache(&url, namespace.as_ref()));
    }
    print(&hints::exports(&variables))?;
    if webdav || s3 {
        // Its daemon reads the endpoint once, when it starts.
        let _ =
            writeln!(io::stderr(), "# A running sccache keeps its old settings until: sccache --stop-server");
    }
    Ok(())
}

fn checked_url(url: &str) -> Result<String, CliError> {
    let refused = |message: &str| CliError::Argument {
        flag: "--url",
        message: format!("\"{url}\" {message}: write it as http://cache.lan:4227"),
    };
    let parsed: http::Uri = url.parse().map_err(|_| refused("is not a URL"))?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return Err(refused("does not start with http:// or https://"));
    }
    if parsed.query().is_some() || url.contains('#') {
        return Err(refused("has a query or a fragment"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn checked_namespace(name: &str) -> Result<Namespace, CliError> {
    Namespace::new(name).map_err(|error| CliError::Argument {
        flag: "--namespace",
        message: format!("\"{name}\" is not a namespace: {error}"),
    })
}
