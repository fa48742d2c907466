//! `larder serve`: configuration, logging, runtime, the lines at start, signals, and then the server.
//!
//! Owns what a person sees at start and at a failure. The server itself is `app`'s.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::reload::Reload;
use super::{CliError, hints, print};
use crate::app::App;
use crate::config::{Config, Input};
use crate::{logging, server};

/// Threads that wait for the disk at most: more would not make it faster, and each keeps memory of its own.
const BLOCKING_THREADS: usize = 64;

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// `Config` before anything is touched; `Run` when the server cannot start or fails.
pub(super) fn run(input: Input) -> Result<(), CliError> {
    let config = input.load_for_serving()?.config;
    logging::init(config.log_format, &config.log_level)
        .map_err(|error| CliError::run("cannot set up logging", &error))?;
    // The allocator asks for huge pages, and a store of many small objects touches a little of each: a million objects took
    // 850 MiB of memory with them. Where the kernel has no such switch, nothing is lost but that.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|error| CliError::run("cannot start the runtime", &error))?;
    runtime.block_on(serve(config, input))
}

async fn serve(config: Config, input: Input) -> Result<(), CliError> {
    for warning in config.tls_warnings() {
        tracing::warn!("{warning}");
    }
    let signals = Signals::new().map_err(|error| CliError::run("cannot listen to signals", &error))?;
    // Without somebody who listens to it, it would end the process.
    let hangup =
        signal(SignalKind::hangup()).map_err(|error| CliError::run("cannot listen to signals", &error))?;
    let cannot_start = |error: &dyn std::error::Error| CliError::run("cannot start", error);
    let listener = server::bind(config.listen).map_err(|error| cannot_start(&error))?;
    let bound = listener.local_addr().map_err(|error| cannot_start(&error))?;
    let app = App::build(&config).map_err(|error| cannot_start(&error))?;
    // Who starts it without a stdout wants a server all the same.
    if let Err(error) = print(&start_lines(bound, &config)) {
        tracing::warn!(%error, %bound, "listening, but could not say so");
    }
    let reload = Reload::new(input, config, app.policy().clone());
    tokio::spawn(reload.run(hangup));
    app.serve(listener, signals.stop()).await.map_err(|error| CliError::run("the server failed", &error))
}

/// The two signals that stop a server: from a supervisor and from a terminal.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Ends at the first signal. A second one ends the process at once: whoever sends it does not want to wait
    /// for requests under way, and the store stands being killed.
    async fn stop(mut self) {
        self.next().await;
        tracing::info!("told to stop: requests under way may finish, a second signal ends them");
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("stopped by a second signal");
            std::process::exit(1);
        });
    }
}

/// What to know and what to paste, once the server can be reached. Line one has the address, for scripts.
fn start_lines(bound: SocketAddr, config: &Config) -> String {
    let data_dir = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    let scheme = hints::Scheme::of(config);
    let urls = hints::urls(scheme, bound);
    let mut text = format!("larder listens on {scheme}://{bound}, data in {}\n", data_dir.display());
    if let Some((first, others)) = urls.split_first() {
        text.push_str("Point sccache at it:\n");
        for line in hints::exports(&hints::sccache(first, None)).lines() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {line}");
        }
        if !config.tokens.is_empty() {
            text.push_str("  export SCCACHE_WEBDAV_TOKEN='…'    # the secret of one of the tokens\n");
        }
        if !others.is_empty() {
            let _ = writeln!(text, "Other addresses: {}", others.join(" "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_lines_name_the_bound_address_and_what_to_paste() {
        let config = Config { data_dir: "/srv/larder".into(), ..Config::default() };
        let bound = "127.0.0.1:4227".parse().unwrap();
        let text = start_lines(bound, &config);
        assert_eq!(text.lines().next(), Some("larder listens on http://127.0.0.1:4227, data in /srv/larder"));
        assert!(text.contains("export SCCACHE_WEBDAV_ENDPOINT='http://127.0.0.1:4227'"), "{text}");
        assert!(!text.contains("Other addresses") && !text.contains("TOKEN"), "{text}");
        let config = Config { tls_cert: Some("/srv/cert.pem".into()), ..config };
        let text = start_lines(bound, &config);
        assert!(text.starts_with("larder listens on https://127.0.0.1:4227,"), "{text}");
        assert!(text.contains("ENDPOINT='https://127.0.0.1:4227'"), "{text}");
    }
}
