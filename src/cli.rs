//! The command line: which commands there are and what their exit codes mean.
//!
//! Owns flags and texts for people. Flags of settings come from the table of keys; what the commands do is in
//! the modules below and in `app`.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{CONFIG_VARIABLE, Config, Input, KEYS, Problems};

mod api;
mod env;
mod figures;
mod health;
mod hints;
mod import;
mod reload;
mod serve;
mod sessions;
mod stats;
mod token;
mod verify;

/// Why a command ended without doing what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration is wrong: exit code 2.
    #[error(transparent)]
    Config(#[from] Problems),
    /// An argument is wrong in a way that `clap` cannot see: exit code 2.
    #[error("{flag}: {message}")]
    Argument {
        /// The flag, with its dashes.
        flag: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
    /// Anything that failed while running: exit code 1.
    #[error("{context}: {cause}")]
    Run {
        /// What was being done.
        context: String,
        /// Why it failed.
        cause: String,
    },
}

impl CliError {
    /// Tells the whole chain of causes in one line. An error that has its cause in its own text is not repeated.
    fn run(context: impl Into<String>, error: &dyn Error) -> Self {
        let mut cause = error.to_string();
        let mut next = error.source();
        while let Some(source) = next {
            let text = source.to_string();
            if !cause.contains(&text) {
                cause = format!("{cause}: {text}");
            }
            next = source.source();
        }
        Self::Run { context: context.into(), cause }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Argument { .. } => ExitCode::from(2),
            Self::Run { .. } => ExitCode::from(1),
        }
    }
}

/// The innermost cause of an error: what is around it says which URL, which whoever reads this knows.
fn innermost(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = source.to_string();
        next = source.source();
    }
    text
}

/// Runs the program: `args` with its name first, `vars` as its environment.
/// 0 is success, 1 a failure at run time, 2 a wrong command line or configuration.
pub fn run(
    args: impl Iterator<Item = OsString>,
    vars: impl Iterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version come this way too. A closed pipe is no reason to fail over them.
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    let outcome = match matches.subcommand() {
        Some(("serve", matches)) => serve::run(input(matches, vars)),
        Some(("check", matches)) => check(&input(matches, vars)),
        Some(("env", matches)) => env::run(matches, &input(matches, vars)),
        Some(("health", matches)) => health::run(matches, &input(matches, vars)),
        Some(("import", matches)) => import::run(matches, vars),
        Some(("stats", matches)) => stats::run(matches, &input(matches, vars)),
        Some(("sessions", matches)) => sessions::run(matches, &input(matches, vars)),
        Some(("verify", matches)) => verify::run(matches, &input(matches, vars)),
        Some(("token", matches)) => match matches.subcommand() {
            Some(("new", matches)) => token::run(matches, &input(matches, vars)),
            _ => Ok(()),
        },
        _ => Ok(()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "larder: {error}");
            error.exit_code()
        }
    }
}

fn command() -> Command {
    Command::new("larder")
        .about("A build cache server for sccache, ccache and every tool that speaks the same plain HTTP")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(100)
        .after_help(
            "Start here:\n  larder serve                 serve on 127.0.0.1:4227\n  \
             eval \"$(larder env)\"         point sccache in this shell at it",
        )
        .subcommand(with_settings(
            Command::new("serve").about("Serve the cache until SIGTERM or Ctrl-C").after_help(LAYERS),
        ))
        .subcommand(with_settings(
            Command::new("check")
                .about(
                    "Check the configuration as serve would, change nothing, and print it with its sources",
                )
                .after_help(LAYERS),
        ))
        .subcommand(env::command().arg(config_arg()))
        .subcommand(stats::command())
        .subcommand(sessions::command())
        .subcommand(health::command().arg(config_arg()))
        .subcommand(import::command())
        .subcommand(with_settings(verify::command().after_help(LAYERS)))
        .subcommand(token::command())
}

const LAYERS: &str = "Every setting is also a key of the configuration file (data_dir) and an environment \
                      variable (LARDER_DATA_DIR).\nFlags beat the environment, which beats the file, which \
                      beats the defaults.";

fn config_arg() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help(format!("Configuration file in TOML [env: {CONFIG_VARIABLE}]"))
}

/// Adds `--config` and one flag for every key. Values are taken as text: the configuration reads them, so that
/// all mistakes are told at once, whatever they were written in.
fn with_settings(command: Command) -> Command {
    let defaults = Config::default();
    let flags = KEYS.iter().map(|key| {
        let default = key.get(&defaults).map(|value| format!(" [default: {value}]")).unwrap_or_default();
        Arg::new(key.name)
            .long(key.flag())
            .value_name(key.placeholder())
            .action(ArgAction::Set)
            .allow_hyphen_values(true)
            .help(format!("{}{default}", key.help))
    });
    command.next_line_help(true).arg(config_arg()).args(flags)
}

/// The flags that were given and the environment, with the file they name.
fn input(matches: &ArgMatches, vars: impl Iterator<Item = (OsString, OsString)>) -> Input {
    let names = KEYS.iter().map(|key| key.name).chain(["config"]);
    let flags: BTreeMap<_, _> = names
        .filter_map(|name| {
            let value = matches.try_get_one::<String>(name).ok().flatten()?;
            Some((name.to_owned(), value.clone()))
        })
        .collect();
    // A name that is not UTF-8 is none of ours.
    let env = vars.filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
    Input::gather(flags, env)
}

fn check(input: &Input) -> Result<(), CliError> {
    let loaded = input.load_for_serving()?;
    for warning in loaded.config.tls_warnings() {
        let _ = writeln!(io::stderr(), "larder: warning: {warning}");
    }
    print(&format!("# The configuration is good. It is:\n{}", loaded.to_toml()))
}

/// Runs what a command has to wait for.
fn block_on(work: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| CliError::run("cannot start the runtime", &error))?.block_on(work)
}

fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| CliError::run("cannot write to stdout", &error))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::CliError;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("closing failed")]
        Close(#[source] io::Error),
        #[error("reading failed ({0})")]
        Read(#[source] io::Error),
    }

    #[test]
    fn every_cause_is_told_once() {
        let text = |error: Outer| CliError::run("cannot go on", &error).to_string();
        let closing = text(Outer::Close(io::Error::other("disk gone")));
        assert_eq!(closing, "cannot go on: closing failed: disk gone");
        let reading = text(Outer::Read(io::Error::other("disk gone")));
        assert_eq!(reading, "cannot go on: reading failed (disk gone)");
    }

    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
