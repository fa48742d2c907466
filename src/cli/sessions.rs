//! `larder sessions`: recent builds, in a terminal.
//!
//! Owns how a session reads. Where it comes from is `api`'s.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::api::{self, Api};
use super::figures::{COLUMNS, bytes, count, name, percent, time};
use super::{CliError, print};
use crate::analytics::sessions::{Miss, SessionSummary};
use crate::analytics::summary::SessionList;
use crate::config::Input;

/// Misses of each kind that are shown; `--json` has all.
const SHOWN_MISSES: usize = 3;

/// The subcommand's flags.
pub(super) fn command() -> Command {
    let command = Command::new("sessions")
        .about("List recent builds: what each found, cost and saved")
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("NUMBER")
                .value_parser(value_parser!(u8).range(1..=200))
                .default_value("10")
                .help("Most builds to list"),
        )
        .after_help(
            "A build is told apart by a label: behind a '+' in the user's name or the S3 key's id, as in\n  \
             SCCACHE_WEBDAV_USERNAME=ci+build-17, or in the header X-Larder-Session.",
        );
    api::with_server(command)
}

/// Asks and prints.
///
/// # Errors
/// `Argument`, `Config`, and `Run` when the server does not answer.
pub(super) fn run(matches: &ArgMatches, input: &Input) -> Result<(), CliError> {
    let api = Api::of(matches, input)?;
    let limit = matches.get_one::<u8>("limit").copied().unwrap_or(10);
    super::block_on(async {
        let (list, text) = api.get::<SessionList>(&format!("/sessions?limit={limit}")).await?;
        print(&if matches.get_flag("json") { format!("{text}\n") } else { shown(&list) })
    })
}

fn shown(list: &SessionList) -> String {
    if list.sessions.is_empty() {
        return "No build has named itself yet: larder sessions --help says how.\n".to_owned();
    }
    let texts: Vec<_> = list.sessions.iter().map(|session| one(session, list.now_ms)).collect();
    texts.join("\n")
}

fn one(session: &SessionSummary, now_ms: u64) -> String {
    let since = |ms: u64| time(Duration::from_millis(now_ms.saturating_sub(ms)).as_secs_f64());
    let took = Duration::from_millis(session.last_seen_ms.saturating_sub(session.first_seen_ms));
    let when = if session.is_running {
        format!("began {} ago", since(session.first_seen_ms))
    } else {
        format!("ended {} ago, took {}", since(session.last_seen_ms), time(took.as_secs_f64()))
    };
    let mut text = format!("{}  of {}, {when}\n", name(&session.label, 64), name(&session.principal, 40));
    let clients: Vec<_> = session.clients.iter().map(|client| name(&client.client, 24)).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "  {} hits: {} hits, {} misses, {} stored",
        percent(session.hit_ratio),
        count(session.hits),
        count(session.misses),
        count(session.stored)
    );
    let _ = writeln!(
        text,
        "  {} down, {} up, {} in the cache, {} saved",
        bytes(session.sent_bytes),
        bytes(session.stored_bytes),
        time(session.cache_seconds),
        time(session.time_saved_seconds)
    );
    let _ = writeln!(text, "  {} requests of {}", count(session.requests), clients.join(", "));
    misses(&mut text, "slowest", &session.slowest_misses, |miss| time(f64::from(miss.cost_ms) / 1000.0));
    misses(&mut text, "largest", &session.largest_misses, |miss| bytes(miss.bytes));
    text
}

fn misses(text: &mut String, what: &str, misses: &[Miss], value: impl Fn(&Miss) -> String) {
    for (at, miss) in misses.iter().take(SHOWN_MISSES).enumerate() {
        let head = if at == 0 { what } else { "" };
        let start = format!("  {head:<7} {:>11}  ", value(miss));
        let room = COLUMNS.saturating_sub(start.chars().count());
        let _ = writeln!(text, "{start}{}", name(&miss.name, room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::sessions::ClientRequests;

    fn session() -> SessionSummary {
        let miss = |bytes| Miss { name: format!("default/{}", "k".repeat(100)), bytes, cost_ms: 2500 };
        SessionSummary {
            id: 1,
            principal: "ci".to_owned(),
            label: "build-17".to_owned(),
            first_seen_ms: 0,
            last_seen_ms: 120_000,
            is_running: false,
            requests: 1300,
            hits: 900,
            misses: 100,
            hit_ratio: Some(0.9),
            stored: 99,
            stored_bytes: 1 << 20,
            sent_bytes: 5 << 20,
            cache_seconds: 4.25,
            time_saved_seconds: 700.0,
            slowest_misses: vec![miss(1)],
            largest_misses: (1..=9).map(miss).collect(),
            clients: vec![ClientRequests { client: "sccache 0.10.0".to_owned(), requests: 1300 }],
        }
    }

    #[test]
    fn a_build_reads_in_80_columns() {
        let list = SessionList {
            now_ms: 3_720_000,
            sessions: vec![session(), SessionSummary { is_running: true, ..session() }],
        };
        let text = shown(&list);
        for part in [
            "build-17  of ci, ended 1 h 0 min ago, took 2 min\n",
            "build-17  of ci, began 1 h 2 min ago\n",
            "  90.0 % hits: 900 hits, 100 misses, 99 stored\n",
            "  5.00 MiB down, 1.00 MiB up, 4.2 s in the cache, 11 min saved\n",
            "  1,300 requests of sccache 0.10.0\n",
            "  slowest       2.5 s  …kkk",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert_eq!(text.lines().count(), 2 * 8 + 1);
        let none = SessionList { now_ms: 0, sessions: Vec::new() };
        assert!(shown(&none).contains("larder sessions --help"));
    }
}
