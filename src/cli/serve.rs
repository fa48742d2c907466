//! `larder serve`: configuration, logging, runtime, the lines at start, and then the server.
//!
//! Owns what a person sees at start and at a failure. The server itself is `app`'s.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::{CliError, hints, print};
use crate::config::{Config, Input};
use crate::logging;

/// Serves until it is told to stop.
///
/// # Errors
/// `Config` before anything is touched; `Run` when the server cannot start or fails.
pub(super) fn run(input: &Input) -> Result<(), CliError> {
    let config = input.load_for_serving()?.config;
    logging::init(config.log_format, &config.log_level)
        .map_err(|error| CliError::run("cannot set up logging", &error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::run("cannot start the runtime", &error))?;
    runtime.block_on(serve(&config))
}

/// Interim: binds and answers nothing but 404, until `app` is there.
async fn serve(config: &Config) -> Result<(), CliError> {
    let listener = tokio::net::TcpListener::bind(config.listen)
        .await
        .map_err(|error| CliError::run(format!("cannot listen on {}", config.listen), &error))?;
    let bound = listener
        .local_addr()
        .map_err(|error| CliError::run(format!("cannot listen on {}", config.listen), &error))?;
    print(&start_lines(bound))?;
    axum::serve(listener, axum::Router::new())
        .await
        .map_err(|error| CliError::run("the server failed", &error))
}

/// What to know and what to paste, once the address is bound. Line one has the address, for scripts.
fn start_lines(bound: SocketAddr) -> String {
    let urls = hints::urls(bound);
    let mut text = format!("larder listens on http://{bound}\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "Point sccache at it:");
    if let Some((first, others)) = urls.split_first() {
        for line in hints::exports(&hints::sccache(first, None)).lines() {
            let _ = writeln!(text, "  {line}");
        }
        if !others.is_empty() {
            let _ = writeln!(text, "Also reachable as {}", others.join(" and "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_lines_name_the_bound_address_and_what_to_paste() {
        let text = start_lines("127.0.0.1:4227".parse().unwrap());
        assert_eq!(text.lines().next(), Some("larder listens on http://127.0.0.1:4227"));
        assert!(text.contains("export SCCACHE_WEBDAV_ENDPOINT='http://127.0.0.1:4227'"), "{text}");
    }
}
