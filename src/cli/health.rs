//! `larder health`: asks a server whether it serves, for a container whose image has no other program to ask with.
//!
//! Owns the question and what its exit code says. Whether a server is well is the server's to say, at `/-/healthy`.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use http::Uri;
use reqwest::{Client, redirect};

use super::{CliError, hints, print};
use crate::config::{Config, Input};
use crate::tls;

/// For the whole question. Docker's own limit is 30 seconds, and that of Kubernetes one.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A healthy server answers `ok`; what anything else says is shown so far. In bytes.
const MOST_BYTES: usize = 1 << 10;

/// The subcommand's flags.
pub(super) fn command() -> Command {
    Command::new("health")
        .about("Ask a server whether it serves: exit code 0 if it does, 1 if not")
        .arg(Arg::new("url").value_name("URL").help(
            "What to ask, as in http://cache.lan:4227, or a page of it [default: /-/healthy of the server \
             that the setting listen describes]",
        ))
        .after_help("For the health check of a container. /-/ready says whether the index is loaded.")
}

/// Asks, and prints the answer.
///
/// # Errors
/// `Run` for a server that does not answer 200 in time; `Argument` for a URL that is none; `Config` when the URL is to
/// come from a wrong configuration.
pub(super) fn run(matches: &ArgMatches, input: &Input) -> Result<(), CliError> {
    let url = match matches.get_one::<String>("url") {
        Some(url) => page(url)?,
        None => {
            let config = input.load()?.config;
            if config.tls_require_client_cert {
                return accepts(&config);
            }
            let server = hints::local_url(hints::Scheme::of(&config), config.listen);
            format!("{server}/-/healthy")
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::run("cannot start the runtime", &error))?;
    let answer = runtime.block_on(ask(&url, matches.contains_id("url")))?;
    print(&format!("{url}: {}\n", answer.trim_end()))
}

/// A server without a path is asked for its page of health.
fn page(url: &str) -> Result<String, CliError> {
    let refused = || CliError::Argument {
        flag: "URL",
        message: format!("\"{url}\" cannot be asked: write it as http://127.0.0.1:4227"),
    };
    let parsed: Uri = url.parse().map_err(|_| refused())?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return Err(refused());
    }
    let is_server = matches!(parsed.path(), "" | "/");
    Ok(if is_server { format!("{}/-/healthy", url.trim_end_matches('/')) } else { url.to_owned() })
}

/// Without a certificate nobody gets an answer of this server; that it takes connections is all there is to see.
fn accepts(config: &Config) -> Result<(), CliError> {
    let address: SocketAddr = hints::local(config.listen);
    TcpStream::connect_timeout(&address, TIMEOUT)
        .map_err(|error| CliError::run(format!("{address} takes no connection"), &error))?;
    print(&format!("{address} takes connections; it asks for a certificate, so no more is known\n"))
}

async fn ask(url: &str, is_named: bool) -> Result<String, CliError> {
    let failed = |error: reqwest::Error| {
        // reqwest repeats the URL, which is said already.
        CliError::run(format!("{url} does not answer"), &error.without_url())
    };
    tls::use_ring();
    let client = Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none());
    let client = if is_named {
        client
    } else {
        // It asks the server beside it, under an address that no certificate names, and tells it no secret. A proxy has no way
        // to this machine.
        client.no_proxy().tls_danger_accept_invalid_certs(true)
    };
    let mut answer = client.build().map_err(failed)?.get(url).send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_BYTES {
            body.truncate(MOST_BYTES);
            break;
        }
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    if answer.status() == reqwest::StatusCode::OK {
        return Ok(text);
    }
    let context = format!("{url} answers {}", answer.status().as_u16());
    Err(CliError::Run { context, cause: text.trim_end().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn a_server_is_asked_for_its_health_and_a_page_for_itself() {
        for (given, asked) in [
            ("http://c.lan:4227", "http://c.lan:4227/-/healthy"),
            ("https://c.lan/", "https://c.lan/-/healthy"),
            ("http://c.lan:4227/-/ready", "http://c.lan:4227/-/ready"),
        ] {
            assert_eq!(page(given).unwrap(), asked);
        }
        for wrong in ["c.lan:4227", "/-/healthy", "ftp://c.lan"] {
            assert!(page(wrong).is_err(), "{wrong}");
        }
    }
}
