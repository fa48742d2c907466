//! The copying: many objects at once, each tried a few times, none that the server has sent again.
//!
//! Owns retries and counts, and when it makes no sense to go on. What an answer means is `server`'s.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::progress::Progress;
use super::server::{Server, ServerError, Stored};
use super::source::{Entry, Source, SourceError};
use crate::key::ObjectName;

/// Times that one object is tried.
const ATTEMPTS: u32 = 4;
/// Wait before the second; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Objects in a row for which the server did not answer at all, after which it counts as gone.
const SILENCE: u64 = 32;
/// Failed objects that are told one by one.
const MOST_TOLD: u64 = 100;

/// A number that many tasks count.
#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, number: u64) -> u64 {
        self.0.fetch_add(number, Ordering::Relaxed) + number
    }
}

/// What became of the objects so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) copied: Count,
    /// Bytes of what was copied.
    pub(super) bytes: Count,
    /// The server had them.
    pub(super) skipped: Count,
    /// The source has them no more.
    pub(super) gone: Count,
    pub(super) failed: Count,
}

/// Why the rest was not tried: every object would end as the last one.
pub(super) struct Stop(pub(super) String);

/// What it takes to copy.
pub(super) struct Copying<'a> {
    pub(super) source: &'a Source,
    pub(super) server: &'a Server,
    pub(super) tally: &'a Tally,
    pub(super) progress: &'a Progress,
}

enum Outcome {
    Copied,
    Skipped,
    Gone,
}

enum Failure {
    /// Trying again may help.
    Passing { cause: String, wait: Duration, is_silence: bool },
    /// The server has no room.
    Full(String),
    /// This object cannot be copied.
    Lasting(String),
    /// No object can be copied.
    All(String),
}

impl Copying<'_> {
    /// Copies `entries`, `jobs` at once, or only looks whether the server has them.
    ///
    /// # Errors
    /// [`Stop`] when it makes no sense to go on. What failed alone is told and counted.
    pub(super) async fn run(&self, entries: Vec<Entry>, jobs: usize, dry_run: bool) -> Result<(), Stop> {
        let silent = Count::default();
        let mut running =
            stream::iter(entries).map(|entry| self.one(entry, dry_run, &silent)).buffer_unordered(jobs);
        while let Some(outcome) = running.next().await {
            outcome?;
        }
        Ok(())
    }

    async fn one(&self, entry: Entry, dry_run: bool, silent: &Count) -> Result<(), Stop> {
        let Some(key) = self.source.key(&entry) else { return Ok(()) };
        let outcome = self.retried(&entry, &key, dry_run).await;
        let tally = self.tally;
        if !matches!(outcome, Err(Failure::Passing { is_silence: true, .. })) {
            silent.0.store(0, Ordering::Relaxed);
        }
        match outcome {
            Ok(Outcome::Copied) => {
                tally.copied.add(1);
                tally.bytes.add(entry.length);
            }
            Ok(Outcome::Skipped) => drop(tally.skipped.add(1)),
            Ok(Outcome::Gone) => drop(tally.gone.add(1)),
            Err(Failure::All(cause) | Failure::Full(cause)) => {
                tally.failed.add(1);
                return Err(Stop(cause));
            }
            Err(Failure::Lasting(cause)) => self.failed(&key, &cause),
            Err(Failure::Passing { cause, is_silence, .. }) => {
                self.failed(&key, &cause);
                if is_silence && silent.add(1) >= SILENCE {
                    return Err(Stop(format!(
                        "the server does not answer any more ({cause}); start it again and it goes on from here"
                    )));
                }
            }
        }
        self.progress.advance(tally, entry.length);
        Ok(())
    }

    fn failed(&self, key: &str, cause: &str) {
        let failed = self.tally.failed.add(1);
        if failed <= MOST_TOLD {
            self.progress.tell(&format!("not copied: {key}: {cause}"));
        }
        if failed == MOST_TOLD {
            self.progress.tell("further failures are counted and not told");
        }
    }

    async fn retried(&self, entry: &Entry, key: &str, dry_run: bool) -> Result<Outcome, Failure> {
        let name = self.server.name(key).map_err(Failure::from)?;
        let (mut attempt, mut pause) = (1, FIRST_WAIT);
        loop {
            match self.attempt(entry, &name, dry_run).await {
                Err(Failure::Passing { wait, .. }) if attempt < ATTEMPTS => {
                    tokio::time::sleep(wait.max(pause)).await;
                }
                Err(Failure::Full(_)) if attempt < ATTEMPTS => tokio::time::sleep(pause).await,
                outcome => return outcome,
            }
            attempt += 1;
            pause *= 2;
        }
    }

    async fn attempt(&self, entry: &Entry, name: &ObjectName, dry_run: bool) -> Result<Outcome, Failure> {
        if self.server.has(name).await? {
            return Ok(Outcome::Skipped);
        }
        if dry_run {
            return Ok(Outcome::Copied);
        }
        let body = match self.source.read(entry).await {
            Ok(body) => body,
            Err(SourceError::Gone) => return Ok(Outcome::Gone),
            Err(error) => return Err(error.into()),
        };
        match self.server.store(name, body).await? {
            Stored::New => Ok(Outcome::Copied),
            Stored::Already => Ok(Outcome::Skipped),
        }
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Everything(cause) => Self::All(cause),
            ServerError::Object(cause) => Self::Lasting(cause),
            ServerError::Full(cause) => Self::Full(cause),
            ServerError::Later { cause, wait, answered } => {
                Self::Passing { cause, wait, is_silence: !answered }
            }
        }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let cause = error.to_string();
        match error {
            SourceError::Failed(_) => Self::Passing { cause, wait: Duration::ZERO, is_silence: false },
            SourceError::Gone | SourceError::Refused(_) => Self::Lasting(cause),
        }
    }
}
