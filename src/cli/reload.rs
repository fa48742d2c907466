//! New access rules for a running server: at SIGHUP at once, and by itself when the configuration file or a file with
//! a secret has changed.
//!
//! Owns when to read again. Only tokens, issuers and `anonymous` are taken over; what is wrong is refused as a whole, told, and
//! the old rules stay.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::Signal;
use tokio::time::MissedTickBehavior;

use crate::auth::{Policy, audit};
use crate::config::{Config, Input, KEYS, SecretSource};

/// Between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(1);

/// Reads the configuration again and puts its access rules into force.
pub(super) struct Reload {
    input: Input,
    policy: Policy,
    /// What the server was started with.
    started_with: Config,
    watched: BTreeMap<PathBuf, Option<Stamp>>,
    /// Something has changed at the last look, and may go on changing: an editor writes in steps.
    unsettled: bool,
}

/// What tells a file from the same file later.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Reload {
    /// For a server that was started with `config`, as `input` had it, and is governed by `policy`.
    pub(super) fn new(input: Input, config: Config, policy: Policy) -> Self {
        let mut reload =
            Self { input, policy, started_with: config, watched: BTreeMap::new(), unsettled: false };
        reload.watch_files_of(&reload.started_with.clone());
        reload
    }

    /// Reloads at each `hangup` and after each change of a file, until the runtime ends.
    pub(super) async fn run(mut self, mut hangup: Signal) {
        let mut looks = tokio::time::interval(INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let told = tokio::select! {
                told = hangup.recv() => told.is_some(),
                _ = looks.tick() => false,
            };
            // Files may lie on a disk that hangs.
            let work = tokio::task::spawn_blocking(move || {
                if told || self.is_due() {
                    self.reload();
                }
                self
            });
            match work.await {
                Ok(reload) => self = reload,
                Err(error) => {
                    tracing::error!(%error, "access rules cannot be reloaded any more, restart the server");
                    return;
                }
            }
        }
    }

    /// True once after each change: at the first look that finds the files as the look before did.
    fn is_due(&mut self) -> bool {
        let changed = self.look();
        let due = self.unsettled && !changed;
        self.unsettled = changed;
        due
    }

    /// True when a file is not what it was at the last look.
    fn look(&mut self) -> bool {
        let mut changed = false;
        for (path, seen) in &mut self.watched {
            let stamp = Stamp::of(path);
            changed |= *seen != stamp;
            *seen = stamp;
        }
        changed
    }

    fn reload(&mut self) {
        // Before anything is read: what changes meanwhile is then found at the next look.
        self.look();
        self.unsettled = false;
        let input = Input::gather(self.input.flags.clone(), self.input.env.clone());
        if let Ok(loaded) = input.load() {
            self.watch_files_of(&loaded.config);
        }
        let config = match input.load_for_reload() {
            Ok(loaded) => loaded.config,
            Err(problems) => return audit::not_reloaded(&problems),
        };
        match self.policy.replace(&config) {
            Ok(change) => audit::reloaded(&change),
            Err(error) => return audit::not_replaced(&error),
        }
        let others = changed_settings(&self.started_with, &config);
        if !others.is_empty() {
            tracing::warn!(
                settings = others.join(" "),
                "changed settings that take effect at the next start"
            );
        }
    }

    fn watch_files_of(&mut self, config: &Config) {
        let secrets = config.tokens.values().filter_map(|token| match &token.source {
            SecretSource::File(path) => Some(path.clone()),
            SecretSource::Env(_) | SecretSource::Digest(_) | SecretSource::Absent => None,
        });
        let file = self.input.config_path().map(|(path, _)| path.to_owned());
        let seen = |path: PathBuf| {
            let stamp = self.watched.get(&path).copied().unwrap_or_else(|| Stamp::of(&path));
            (path, stamp)
        };
        let token_key = config.token_key_file.clone();
        self.watched = secrets.chain(file).chain(token_key).map(seen).collect();
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

/// Settings that a running server does not take over.
fn changed_settings(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut changed: Vec<_> = KEYS
        .iter()
        .filter(|key| !["anonymous", "token_key_file"].contains(&key.name) && key.get(old) != key.get(new))
        .map(|key| key.name)
        .collect();
    if old.namespaces != new.namespaces {
        changed.push("namespaces");
    }
    changed
}
