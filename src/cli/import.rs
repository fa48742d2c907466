//! `larder import`: copies a bucket that sccache filled, or its local directory, into a running larder.
//!
//! Owns the flags, the order of the steps, Ctrl-C, and what is said at the end. What is read is `source`'s, what is
//! written `server`'s, which of it `copy`'s. Goes over HTTP, because a running server holds its data directory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use indicatif::{BinaryBytes, HumanCount, HumanDuration};
use tokio::signal::unix::{SignalKind, signal};

use self::arguments::Plan;
use self::copy::{Copying, Stop, Tally};
use self::progress::Progress;
use self::server::Server;
use self::source::{Listing, Source};
use super::{CliError, print};
use crate::tls;

mod arguments;
mod copy;
mod progress;
mod server;
mod source;

/// Objects under way at once, where nothing else is said: enough to hide a bucket's answer times.
const JOBS: &str = "16";

/// The subcommand's flags.
pub(super) fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("import")
        .about("Copy sccache's bucket or local directory into a running larder")
        .next_line_help(true)
        .after_help(
            "Examples:\n  larder import                                    what sccache has on this machine's disk\n  \
             larder import s3://ci-cache/sccache --region eu-central-1 --to http://cache.lan:4227/ci\n  \
             larder import s3://ci-cache --endpoint http://minio.lan:9000 --token-file token\n\n\
             What larder has already is left as it is, so a run that was interrupted goes on when it is started again.",
        )
        .arg(Arg::new("source").value_name("SOURCE").help(
            "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, file:///DIRECTORY with objects as a bucket has \
             them, or the path of an sccache directory [default: where sccache keeps it: SCCACHE_DIR, or ~/.cache/sccache]",
        ))
        .arg(
            text("to", "URL", "The server, and behind it the namespace: http://cache.lan:4227/ci")
                .default_value(arguments::LOCAL_SERVER),
        )
        .arg(text(
            "prefix",
            "PREFIX",
            "Put in front of every key: the SCCACHE_WEBDAV_KEY_PREFIX or SCCACHE_S3_KEY_PREFIX of those who will read",
        ))
        .arg(text(
            "token-file",
            "FILE",
            "File with a token of the server that may read and write [env: LARDER_TOKEN, the token itself]",
        ))
        .arg(
            text("jobs", "NUMBER", "Objects under way at once")
                .value_parser(value_parser!(u16).range(1..=256))
                .default_value(JOBS),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Only look what would be copied"),
        )
        .arg(text("endpoint", "URL", "Where the bucket's store is, if it is not the provider's own"))
        .arg(text("region", "REGION", "Region of an S3 bucket"))
        .arg(text(
            "path-style",
            "true or false",
            "Whether an S3 bucket stands in the path [default: with --endpoint]",
        ))
        .arg(text(
            "access-key-id",
            "ID",
            "Key id for the bucket, or Azure's account [default: the provider's usual chain]",
        ))
        .arg(text("secret-access-key-file", "FILE", "File with the secret of --access-key-id"))
}

/// Copies, and says what came of it.
///
/// # Errors
/// `Argument` for what is wrong with the command line; `Run` when something was not copied.
pub(super) fn run(
    matches: &ArgMatches,
    vars: impl Iterator<Item = (OsString, OsString)>,
) -> Result<(), CliError> {
    let vars: BTreeMap<_, _> = vars.collect();
    let plan = Plan::read(matches, &vars)?;
    tls::use_ring();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::run("cannot start the runtime", &error))?;
    let outcome = runtime.block_on(import(&plan));
    // A read of a source's disk that hangs must not keep who pressed Ctrl-C.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn import(plan: &Plan) -> Result<(), CliError> {
    let failed = |cause: String| CliError::Run { context: "cannot import".to_owned(), cause };
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| failed(error.to_string()))?;
    let (began, progress, tally) = (Instant::now(), Progress::new(plan.dry_run), Tally::default());
    let steps = async {
        let source = Source::open(&plan.source).map_err(failed)?;
        let server = Server::connect(&plan.server).map_err(failed)?;
        server.check().await.map_err(failed)?;
        let listing = source.list(&progress).await.map_err(failed)?;
        advise(&listing, plan, &server, &progress).await;
        progress.start(&listing);
        let copying = Copying { source: &source, server: &server, tally: &tally, progress: &progress };
        Ok::<_, CliError>(copying.run(listing.entries, plan.jobs, plan.dry_run).await)
    };
    let stopped = tokio::select! {
        stopped = steps => Some(stopped?),
        _ = tokio::signal::ctrl_c() => None,
        _ = terminate.recv() => None,
    };
    progress.end();
    print(&summary(&tally, plan.dry_run, began.elapsed()))?;
    match stopped {
        None => Err(failed("interrupted; start it again and it goes on from here".to_owned())),
        Some(Err(Stop(cause))) => Err(failed(cause)),
        Some(Ok(())) if tally.failed.get() > 0 => Err(failed(format!(
            "{} failed, see above; start it again and it tries only those",
            objects(tally.failed.get())
        ))),
        Some(Ok(())) => Ok(()),
    }
}

/// What a person should know before the copying, and nothing stops for.
async fn advise(listing: &Listing, plan: &Plan, server: &Server, progress: &Progress) {
    if listing.others > 0 {
        progress.tell(&format!(
            "left out {} that are no entries, such as temporary files",
            objects(listing.others)
        ));
    }
    if let Some(hint) = listing.hint(&plan.source) {
        progress.tell(hint);
    }
    let bytes = listing.bytes();
    if let Some(capacity) = server.capacity().await.filter(|capacity| bytes > *capacity) {
        progress.tell(&format!(
            "the source has {}, the server keeps {}: what was used longest ago will be evicted again (capacity)",
            BinaryBytes(bytes),
            BinaryBytes(capacity)
        ));
    }
}

fn summary(tally: &Tally, dry_run: bool, time: Duration) -> String {
    let verb = if dry_run { "would copy" } else { "copied" };
    let gone = match tally.gone.get() {
        0 => String::new(),
        gone => format!(", {} gone from the source meanwhile", HumanCount(gone)),
    };
    let time = if time < Duration::from_secs(60) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        HumanDuration(time).to_string()
    };
    format!(
        "{verb} {} ({}), skipped {} that the server has, {} failed{gone}, in {time}\n",
        objects(tally.copied.get()),
        BinaryBytes(tally.bytes.get()),
        HumanCount(tally.skipped.get()),
        HumanCount(tally.failed.get()),
    )
}

fn objects(number: u64) -> String {
    format!("{} {}", HumanCount(number), if number == 1 { "object" } else { "objects" })
}

/// Writes one line for the person at the terminal. Nobody there is no reason to end.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "larder: {line}");
}
