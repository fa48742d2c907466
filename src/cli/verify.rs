//! `larder verify`: compares disk, index and bucket with what they should be, and mends what is wrong.
//!
//! Owns the flags, Ctrl-C, and what is said at the end: a table or JSON. What is looked at and done is the cache's.

use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::signal::unix::{SignalKind, signal};

use self::progress::Progress;
use super::{CliError, print};
use crate::cache::{Cache, CacheOptions, OpenError, VerifyOptions, VerifyReport};
use crate::config::{BucketUrl, Config, Input};
use crate::logging;
use crate::metrics::Metrics;

mod progress;
mod report;

/// What the log says where nothing else is asked for: the report says the rest.
const LOG_LEVEL: &str = "warn";

/// The subcommand and its own flags.
pub(super) fn command() -> Command {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    Command::new("verify")
        .about("Check disk, index and bucket against each other while no server runs, and repair them")
        .arg(switch("dry-run", "Only look: nothing changes, neither on disk nor in the bucket"))
        .arg(switch("deep", "Read every body in the bucket, too, and compare it with its checksum"))
        .arg(switch("json", "Print the report as JSON"))
}

/// Verifies, and prints the report.
///
/// # Errors
/// `Config` before anything is touched; `Run` when something could not be checked, or is left as it should not be.
pub(super) fn run(matches: &ArgMatches, input: &Input) -> Result<(), CliError> {
    let loaded = input.load_for_serving()?;
    let config = loaded.config;
    // The default is for a server, which has no report.
    let level = if config.log_level == Config::default().log_level { LOG_LEVEL } else { &config.log_level };
    logging::init(config.log_format, level)
        .map_err(|error| CliError::run("cannot set up logging", &error))?;
    let how = VerifyOptions { dry_run: matches.get_flag("dry-run"), deep: matches.get_flag("deep") };
    check_places(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::run("cannot start the runtime", &error))?;
    let report = runtime.block_on(verify(&config, how));
    // A read of a disk that hangs must not keep who pressed Ctrl-C.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let report = report?;
    print(&if matches.get_flag("json") { report::json(&report) } else { report::table(&report) })?;
    match report::left(&report) {
        None => Ok(()),
        Some(cause) => Err(failed(cause)),
    }
}

fn failed(cause: String) -> CliError {
    CliError::Run { context: "not all is well".to_owned(), cause }
}

/// A name that was mistyped, or a disk that is not mounted, is nothing to begin with an empty cache or bucket in.
fn check_places(config: &Config) -> Result<(), CliError> {
    let cannot = |cause: String| CliError::Run { context: "cannot verify".to_owned(), cause };
    let data_dir = &config.data_dir;
    if !data_dir.join("segments").is_dir() {
        return Err(cannot(format!(
            "there are no data of larder's in {}: name the server's data_dir",
            data_dir.display()
        )));
    }
    match config.bucket.parsed_url() {
        Ok(Some(BucketUrl::Directory(path))) if !path.is_dir() => Err(cannot(format!(
            "bucket.url: there is no directory {}: make it, or mount what belongs there",
            path.display()
        ))),
        _ => Ok(()),
    }
}

async fn verify(config: &Config, how: VerifyOptions) -> Result<VerifyReport, CliError> {
    let cannot = |error: &dyn std::error::Error| CliError::run("cannot verify", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| cannot(&error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| cannot(&error))?;
    let metrics = Metrics::new().map_err(|error| cannot(&error))?;
    let progress = Arc::new(Progress::new());
    let told = Arc::clone(&progress);
    let listener = tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // The second one ends it at once; the store stands that.
            if told.stop() {
                std::process::exit(1);
            }
        }
    });
    let report = Cache::verify(CacheOptions::from(config), metrics, how, Arc::clone(&progress) as _).await;
    listener.abort();
    progress.end();
    report.map_err(|error| match error {
        OpenError::Locked { path, holder } => CliError::Run {
            context: "cannot verify".to_owned(),
            cause: format!(
                "data_dir {path}: a larder runs there (process {holder}). Stop it first; or let it run: it checks its disk \
                 each week and its bucket each bucket.scan_interval by itself, and counts what it finds in \
                 larder_damaged_records_total and larder_bucket_damaged_total"
            ),
        },
        other => cannot(&other),
    })
}
