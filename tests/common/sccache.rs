//! A real sccache daemon of its own for each test: its socket, its settings, its statistics.
//!
//! Knows sccache's command line and statistics; nothing of what is compiled.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{tools, wait_for};

/// A running sccache daemon. Dropping it stops the daemon.
pub struct Sccache {
    scratch: PathBuf,
    settings: Vec<(String, String)>,
}

/// What a daemon counted since its start.
#[derive(Clone, PartialEq, Debug)]
pub struct Stats {
    /// Look-ups that were answered from the cache, all languages together.
    pub hits: u64,
    /// Look-ups that were not.
    pub misses: u64,
    /// Look-ups whose compilation then failed, as the probes of build scripts do; sccache counts them as no miss.
    pub failed: u64,
    /// Results stored.
    pub writes: u64,
    /// Failed stores.
    pub write_errors: u64,
    /// Failed look-ups, time-outs included.
    pub read_errors: u64,
    /// Where sccache says its cache is.
    pub location: String,
}

impl Sccache {
    /// Starts a daemon that caches over WebDAV at `endpoint`, with its socket and its settings in `scratch`.
    /// Fails when the daemon refuses to start, as it does when the cache answers its probe with 4xx or 5xx.
    pub fn start(scratch: &Path, endpoint: &str, prefix: Option<&str>) -> Self {
        Self::start_with(scratch, &webdav(endpoint, prefix))
    }

    /// As [`Sccache::start`], with the variables that tell sccache its storage.
    pub fn start_with(scratch: &Path, storage: &[(&str, &str)]) -> Self {
        let sccache = Self::at(scratch, storage);
        tools::run(sccache.command(&tools::tool("sccache")).arg("--start-server"));
        sccache
    }

    /// What sccache says to its user when it refuses to start with this endpoint; fails when it starts.
    pub fn refusal(scratch: &Path, endpoint: &str) -> String {
        Self::refusal_with(scratch, &webdav(endpoint, None))
    }

    /// As [`Sccache::refusal`], with the variables that tell sccache its storage.
    pub fn refusal_with(scratch: &Path, storage: &[(&str, &str)]) -> String {
        let sccache = Self::at(scratch, storage);
        let output = sccache.command(&tools::tool("sccache")).arg("--start-server").output().unwrap();
        assert!(!output.status.success(), "sccache started with {storage:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn at(scratch: &Path, storage: &[(&str, &str)]) -> Self {
        std::fs::write(scratch.join("sccache.toml"), "").unwrap();
        let mut settings = vec![
            ("SCCACHE_SERVER_UDS".to_owned(), text(&scratch.join("sccache.sock"))),
            ("SCCACHE_CONF".to_owned(), text(&scratch.join("sccache.toml"))),
            ("SCCACHE_ERROR_LOG".to_owned(), text(&scratch.join("sccache.log"))),
            ("SCCACHE_LOG".to_owned(), "error".to_owned()),
        ];
        settings.extend(storage.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self { scratch: scratch.to_owned(), settings }
    }

    /// A command in an environment where sccache finds this daemon and no other settings.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        tools::isolate(&mut command);
        command.envs(self.settings.iter().cloned()).env("CARGO_INCREMENTAL", "0");
        command.current_dir(&self.scratch);
        command
    }

    /// `cargo` wrapped in sccache, building `project` into `target` without looking for new versions.
    pub fn cargo_build(&self, project: &Path, target: &Path) -> Command {
        let mut command = self.command(Path::new(env!("CARGO")));
        command.args(["build", "--quiet", "--locked", "-j2"]).current_dir(project);
        command.env("RUSTC_WRAPPER", tools::tool("sccache")).env("CARGO_TARGET_DIR", target);
        command
    }

    /// The statistics so far.
    pub fn stats(&self) -> Stats {
        let mut command = self.command(&tools::tool("sccache"));
        let output = tools::run(command.args(["--show-stats", "--stats-format", "json"]));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let number =
            |name: &str| json["stats"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {json}"));
        let total = |name: &str| {
            let counts =
                json["stats"][name]["counts"].as_object().unwrap_or_else(|| panic!("no {name} in {json}"));
            counts.values().filter_map(serde_json::Value::as_u64).sum::<u64>()
        };
        Stats {
            hits: total("cache_hits"),
            misses: total("cache_misses"),
            failed: number("compile_fails"),
            writes: number("cache_writes"),
            write_errors: number("cache_write_errors"),
            read_errors: number("cache_read_errors") + number("cache_timeouts") + total("cache_errors"),
            location: json["cache_location"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// The statistics once every miss was stored or failed to be: stores go on behind the build.
    pub fn settled_stats(&self) -> Stats {
        wait_for("sccache to store what it compiled", || {
            let stats = self.stats();
            (stats.writes + stats.write_errors >= stats.misses).then_some(stats)
        })
    }

    /// What the daemon logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.join("sccache.log")).unwrap_or_default()
    }
}

impl Drop for Sccache {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of sccache ---\n{}", self.log());
        }
        let _ = self.command(&tools::tool("sccache")).arg("--stop-server").output();
    }
}

fn webdav<'a>(endpoint: &'a str, prefix: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let prefix = prefix.map(|prefix| ("SCCACHE_WEBDAV_KEY_PREFIX", prefix));
    [("SCCACHE_WEBDAV_ENDPOINT", endpoint)].into_iter().chain(prefix).collect()
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
