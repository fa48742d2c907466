//! A running server's API, asked by `larder stats` and `larder sessions`: which server, with which token, and what to do when it does
//! not answer.
//!
//! Owns the flags and variables that say so. Knows nothing of what is shown.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::{StatusCode, Uri};
use reqwest::{Client, redirect};
use serde::de::DeserializeOwned;

use super::{CliError, config_arg, hints, innermost};
use crate::config::{CONFIG_VARIABLE, Input, Secret, TOKEN_VARIABLE, URL_VARIABLE, is_loopback};
use crate::tls;

/// Where a server is that nobody said anything about.
const USUAL_URL: &str = "http://127.0.0.1:4227";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);

/// A server that can be asked.
pub(super) struct Api {
    client: Client,
    url: String,
}

/// The arguments by which commands take a server.
pub(super) fn with_server(command: Command) -> Command {
    command
        .arg(Arg::new("url").value_name("URL").help(format!(
            "The server, as in http://cache.lan:4227 [env: {URL_VARIABLE}] [default: from listen, else {USUAL_URL}]"
        )))
        .arg(Arg::new("token-file").long("token-file").value_name("FILE").help(format!(
            "File with a token that has the right admin [env: {TOKEN_VARIABLE}, the token itself]"
        )))
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print the server's own JSON, for programs"),
        )
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("ADDR:PORT")
                .help("Where the server listens, instead of a URL"),
        )
        .arg(config_arg())
}

impl Api {
    /// The server that `matches` and the environment name. Nothing is asked yet.
    ///
    /// # Errors
    /// `Argument` for a URL or a token that cannot be used, `Config` where the address is to come from a wrong configuration.
    pub(super) fn of(matches: &ArgMatches, input: &Input) -> Result<Self, CliError> {
        let url = url(matches, input)?;
        let mut headers = HeaderMap::new();
        if let Some(token) = token(matches.get_one::<String>("token-file").map(Path::new), &input.env)? {
            let value = HeaderValue::try_from(format!("Bearer {}", token.reveal()));
            let mut value = value.map_err(|_| CliError::Argument {
                flag: TOKEN_VARIABLE,
                message: "the token has characters that a header cannot carry".to_owned(),
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        tls::use_ring();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // With the token, nowhere else.
            .redirect(redirect::Policy::none())
            .default_headers(headers)
            .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")));
        let is_local = url.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(is_loopback));
        // A proxy has no way to this machine.
        let client = if is_local { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| CliError::run("cannot make an HTTP client", &error))?;
        Ok(Self { client, url })
    }

    /// The server's URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What it answers to a GET of `path`, below `/-/api`, and the same as text.
    ///
    /// # Errors
    /// `Run`, with what to do.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<(T, String), CliError> {
        let failed = |cause: String| CliError::Run { context: format!("cannot ask {}", self.url), cause };
        let no_answer = |error: reqwest::Error| failed(self.no_answer(&error));
        let answer = self.client.get(format!("{}/-/api{path}", self.url)).send().await.map_err(no_answer)?;
        let status = answer.status();
        let text = answer.text().await.map_err(no_answer)?;
        match status {
            StatusCode::OK => match serde_json::from_str(&text) {
                Ok(answer) => Ok((answer, text)),
                Err(_) => Err(failed(NO_LARDER.to_owned())),
            },
            StatusCode::UNAUTHORIZED => Err(failed(format!(
                "it wants a token with the right admin, in {TOKEN_VARIABLE} or --token-file: {}",
                said(&text)
            ))),
            StatusCode::NOT_FOUND => Err(failed(NO_LARDER.to_owned())),
            _ => Err(failed(format!("it answered {}: {}", status.as_u16(), said(&text)))),
        }
    }

    fn no_answer(&self, error: &reqwest::Error) -> String {
        let what = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) };
        let hint = if self.url.starts_with("https://") {
            "with a certificate that this machine trusts"
        } else {
            "and does it speak plain HTTP"
        };
        format!("{what}; does larder run there, {hint}? Another server: give its URL, or set {URL_VARIABLE}")
    }
}

const NO_LARDER: &str = "what answers there is no larder, or an older one without /-/api: correct the URL";

/// A refusal's text, without what only programs read, in one line that does nothing to a terminal.
fn said(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text).trim();
    text.chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn url(matches: &ArgMatches, input: &Input) -> Result<String, CliError> {
    let text = |name: &str| {
        input
            .env
            .get(name)
            .filter(|value| !value.is_empty())
            .map(|value| value.to_string_lossy().into_owned())
    };
    if let Some(url) = matches.get_one::<String>("url") {
        return checked("URL", url);
    }
    let flag = matches.get_one::<String>("listen").cloned();
    if let Some(url) = text(URL_VARIABLE).filter(|_| flag.is_none()) {
        return checked(URL_VARIABLE, &url);
    }
    if matches.contains_id("config") || text(CONFIG_VARIABLE).is_some() {
        let config = input.load()?.config;
        return Ok(hints::local_url(hints::Scheme::of(&config), config.listen));
    }
    // Without a file nothing is known of the server's other settings, and whether they go with this one is not the question.
    let (flag, listen) = match (flag, text("LARDER_LISTEN")) {
        (Some(listen), _) => ("--listen", listen),
        (None, Some(listen)) => ("LARDER_LISTEN", listen),
        (None, None) => return Ok(USUAL_URL.to_owned()),
    };
    let listen = listen.parse().map_err(|_| CliError::Argument {
        flag,
        message: format!("\"{listen}\" is no address with a port: write 127.0.0.1:4227"),
    })?;
    Ok(hints::local_url(hints::Scheme::Http, listen))
}

fn checked(flag: &'static str, url: &str) -> Result<String, CliError> {
    let refused = |what: &str| CliError::Argument {
        flag,
        message: format!("\"{url}\" {what}: write it as http://cache.lan:4227"),
    };
    let uri: Uri = url.parse().map_err(|_| refused("is no URL"))?;
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(refused("does not start with http:// or https://"));
    };
    if authority.as_str().contains('@') {
        let message = format!("the URL has a user: give the token with {TOKEN_VARIABLE} or --token-file");
        return Err(CliError::Argument { flag, message });
    }
    if uri.query().is_some() || url.contains('#') {
        return Err(refused("has a query or a fragment"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn token(file: Option<&Path>, env: &BTreeMap<String, OsString>) -> Result<Option<Secret>, CliError> {
    let refused = |flag, message| CliError::Argument { flag, message };
    if let Some(file) = file {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| refused("--token-file", format!("cannot read {shown}: {error}")))?;
        let secret =
            Secret::new(&text).map_err(|error| refused("--token-file", format!("{shown}: {error}")))?;
        return Ok(Some(secret));
    }
    let variable = env.get(TOKEN_VARIABLE).filter(|value| !value.is_empty());
    let secret = variable.map(|value| Secret::new(&value.to_string_lossy())).transpose();
    secret.map_err(|error| refused(TOKEN_VARIABLE, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url_of(arguments: &[&str], env: &[(&str, &str)]) -> Result<String, String> {
        let command = with_server(Command::new("stats"));
        let matches = command.try_get_matches_from([&["stats"], arguments].concat()).unwrap();
        let vars = env.iter().map(|(name, value)| (OsString::from(*name), OsString::from(*value)));
        let input = crate::cli::input(&matches, vars);
        url(&matches, &input).map_err(|error| error.to_string())
    }

    #[test]
    fn the_nearest_word_says_which_server() {
        let by_url = [("LARDER_URL", "https://cache.lan/"), ("LARDER_LISTEN", "127.0.0.1:1")];
        for (arguments, env, expected) in [
            (&["http://a:1/"][..], &by_url[..], "http://a:1"),
            (&[], &by_url, "https://cache.lan"),
            (&["--listen", "0.0.0.0:7"], &by_url[..1], "http://127.0.0.1:7"),
            (&[], &by_url[1..], "http://127.0.0.1:1"),
            (&[], &[("LARDER_URL", "")], USUAL_URL),
            (&[], &[], USUAL_URL),
        ] {
            assert_eq!(url_of(arguments, env).as_deref(), Ok(expected), "{arguments:?} {env:?}");
        }
    }

    #[test]
    fn what_is_no_servers_url_is_told() {
        for (url, says) in [
            ("cache.lan:4227", "does not start with"),
            ("ftp://x", "does not start with"),
            ("http://u:p@x", TOKEN_VARIABLE),
            ("http://x/?a", "has a query"),
            ("", "is no URL"),
        ] {
            let said = url_of(&[url], &[]).unwrap_err();
            assert!(said.contains(says) && !said.contains("u:p"), "{url}: {said}");
        }
        assert!(url_of(&[], &[("LARDER_URL", "x y")]).unwrap_err().starts_with("LARDER_URL: "));
    }

    #[test]
    fn a_refusal_does_nothing_to_a_terminal() {
        assert_eq!(said("error: forbidden: no\u{1b}[31m\u{9b}x\n"), "forbidden: no [31m x");
    }
}
