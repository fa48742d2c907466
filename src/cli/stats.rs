//! `larder stats`: what a running server has done, in a terminal.
//!
//! Owns how a summary reads. Where it comes from is `api`'s.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::api::{self, Api};
use super::figures::{COLUMNS, bytes, count, name, percent, table, time};
use super::{CliError, print};
use crate::analytics::counts::ratio;
use crate::analytics::summary::{Level, NamespaceSummary, Summary};
use crate::config::Input;

/// Between two looks of `--watch`.
const INTERVAL: Duration = Duration::from_secs(2);
/// Puts the next text where the last one was, on any terminal of today.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// Clients that are shown.
const MOST_CLIENTS: usize = 8;

/// The subcommand's flags.
pub(super) fn command() -> Command {
    let command = Command::new("stats").about("Show what a running server has done").arg(
        Arg::new("watch")
            .long("watch")
            .action(ArgAction::SetTrue)
            .help("Look again every two seconds, until Ctrl-C"),
    );
    api::with_server(command)
}

/// Asks and prints.
///
/// # Errors
/// `Argument`, `Config`, and `Run` when the server does not answer.
pub(super) fn run(matches: &ArgMatches, input: &Input) -> Result<(), CliError> {
    let api = Api::of(matches, input)?;
    let (json, watch) = (matches.get_flag("json"), matches.get_flag("watch"));
    super::block_on(async {
        loop {
            let (summary, text) = api.get::<Summary>("/summary").await?;
            match (json, watch) {
                (true, _) => print(&format!("{text}\n"))?,
                (false, true) => print(&format!("{CLEAR}{}", shown(&summary, api.url())))?,
                (false, false) => print(&shown(&summary, api.url()))?,
            }
            if !watch {
                return Ok(());
            }
            tokio::time::sleep(INTERVAL).await;
        }
    })
}

fn shown(summary: &Summary, url: &str) -> String {
    let mut text = format!(
        "larder {} at {}, up {}{}\n\n",
        name(&summary.version, 20),
        name(url, 60),
        time(seconds(summary.uptime_seconds)),
        if summary.ready { "" } else { ", loading its index" }
    );
    let mut line = |what: &str, says: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{what:<11} {says}");
    };
    line(
        "Hit ratio",
        format!(
            "{}, {} hits and {} misses since the start",
            percent(summary.hit_ratio),
            count(summary.hits),
            count(summary.misses)
        ),
    );
    line("Time saved", format!("{} of jobs", time(summary.time_saved_seconds)));
    line(
        "Traffic",
        format!(
            "{} sent, {} of it to hits; {} received",
            bytes(summary.sent_bytes),
            bytes(summary.hit_bytes),
            bytes(summary.received_bytes)
        ),
    );
    line(
        "Disk",
        format!(
            "{} of {} ({}); {} objects",
            bytes(summary.disk_bytes),
            bytes(summary.capacity_bytes),
            percent(share(summary.disk_bytes, summary.capacity_bytes)),
            count(summary.stored_objects)
        ),
    );
    line("Evicted", evicted(summary));
    line(
        "Now",
        format!("{} requests, {} connections", count(summary.requests_in_flight), count(summary.connections)),
    );
    if let Some(bucket) = &summary.bucket {
        let state = if bucket.is_up { "up" } else { "failing" };
        let waiting = format!("{} objects of {}", count(bucket.queue_objects), bytes(bucket.queue_bytes));
        line("Bucket", format!("{} {state}; {waiting} wait for it", name(&bucket.url, 40)));
    }
    text.push('\n');
    text += &namespaces(&summary.namespaces);
    if let Some(curve) = &summary.curve {
        let row = |factor: f64, size: u64, ratio: f64| {
            vec![format!("{factor} × capacity"), bytes(size), percent(Some(ratio))]
        };
        let rows: Vec<_> = curve
            .iter()
            .map(|point| row(point.factor, point.capacity_bytes, point.predicted_hit_ratio))
            .collect();
        text += &format!("\n{}", table(&["If it were", "Size", "Hit ratio"], &rows));
    }
    if !summary.clients.is_empty() {
        let clients = summary.clients.iter().take(MOST_CLIENTS);
        let rows: Vec<_> =
            clients.map(|client| vec![client.client.clone(), count(client.requests)]).collect();
        text += &format!("\n{}", table(&["Client", "Requests"], &rows));
    }
    text.push('\n');
    for health in &summary.health {
        let level = match health.level {
            Level::Bad => "BAD",
            Level::Warn => "Warning",
            Level::Ok => "Well",
        };
        let _ = writeln!(text, "{}", wrapped(&format!("{level}: {}", name(&health.text, 500))));
    }
    text
}

/// `text` in lines of at most [`COLUMNS`], all but the first indented. A longer word has a line of its own.
fn wrapped(text: &str) -> String {
    const INDENT: &str = "  ";
    let (mut lines, mut length) = (String::new(), 0);
    for word in text.split(' ') {
        let word_length = word.chars().count();
        if length > 0 && length + 1 + word_length > COLUMNS {
            lines.push('\n');
            lines.push_str(INDENT);
            length = INDENT.len();
        } else if length > 0 {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += word_length;
    }
    lines
}

fn evicted(summary: &Summary) -> String {
    let all: u64 = summary.evictions.values().sum();
    if all == 0 {
        return "nothing".to_owned();
    }
    let reasons: Vec<_> = summary.evictions.iter().filter(|(_, number)| **number > 0).collect();
    let reasons: Vec<_> =
        reasons.iter().map(|(reason, number)| format!("{} {}", name(reason, 20), count(**number))).collect();
    let age =
        summary.last_evicted_age_seconds.map(|age| format!("; the last unused for {}", time(seconds(age))));
    format!("{} objects ({}){}", count(all), reasons.join(", "), age.unwrap_or_default())
}

fn namespaces(namespaces: &[NamespaceSummary]) -> String {
    let row = |namespace: &NamespaceSummary| {
        vec![
            namespace.name.clone(),
            count(namespace.objects),
            bytes(namespace.disk_bytes),
            bytes(namespace.quota_bytes),
            percent(ratio(namespace.hits, namespace.misses)),
            time(namespace.time_saved_seconds),
        ]
    };
    let rows: Vec<_> = namespaces.iter().map(row).collect();
    table(&["Namespace", "Objects", "Disk", "Quota", "Hit ratio", "Saved"], &rows)
}

fn share(part: u64, whole: u64) -> Option<f64> {
    ratio(part, whole.saturating_sub(part))
}

fn seconds(number: u64) -> f64 {
    Duration::from_secs(number).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::summary::{BucketSummary, ClientSummary, CurvePoint, Health};

    fn summary() -> Summary {
        Summary {
            version: "0.1.0".to_owned(),
            uptime_seconds: 3700,
            ready: false,
            url_hints: Vec::new(),
            capacity_bytes: 10 << 30,
            disk_bytes: 5 << 30,
            stored_objects: 1_234_567,
            stored_bytes: 4 << 30,
            hits: 873_412,
            misses: 126_588,
            hit_ratio: Some(0.873_412),
            hit_bytes: 1 << 40,
            time_saved_seconds: 90_000.0,
            requests_in_flight: 3,
            connections: 12,
            received_bytes: 1 << 30,
            sent_bytes: 2 << 40,
            evictions: [("capacity".to_owned(), 1000), ("quota".to_owned(), 0)].into(),
            last_evicted_age_seconds: Some(7200),
            never_read_share: None,
            namespaces: vec![NamespaceSummary {
                name: "n".repeat(63),
                objects: 1_234_567,
                disk_bytes: 5 << 30,
                quota_bytes: 10 << 30,
                hits: 1,
                misses: 3,
                time_saved_seconds: 1.0,
            }],
            curve: Some(vec![CurvePoint { factor: 0.25, capacity_bytes: 5 << 29, predicted_hit_ratio: 0.5 }]),
            bucket: Some(BucketSummary {
                url: "s3://bucket/prefix".to_owned(),
                is_up: false,
                failing_for_seconds: Some(9),
                last_error: None,
                queue_objects: 7,
                queue_bytes: 1 << 20,
            }),
            clients: vec![ClientSummary { client: "sccache 0.10.0".to_owned(), requests: 9 }],
            health: vec![Health {
                level: Level::Warn,
                text: format!("look\u{1b}[31m here: {}", "the disk is short of room ".repeat(4)),
            }],
        }
    }

    #[test]
    fn everything_is_said_in_80_columns() {
        let text = shown(&summary(), "http://127.0.0.1:4227");
        for part in [
            "larder 0.1.0 at http://127.0.0.1:4227, up 1 h 1 min, loading its index",
            "87.3 %, 873,412 hits and 126,588 misses",
            "1 d 1 h of jobs",
            "5.00 GiB of 10.00 GiB (50.0 %); 1,234,567 objects",
            "1,000 objects (capacity 1,000); the last unused for 2 h 0 min",
            "s3://bucket/prefix failing; 7 objects of 1.00 MiB wait",
            "25.0 %",
            "0.25 × capacity",
            "sccache 0.10.0",
            "Warning: look?[31m here",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
    }

    #[test]
    fn a_server_that_has_done_nothing_has_no_ratios() {
        let empty = Summary {
            hits: 0,
            misses: 0,
            hit_ratio: None,
            evictions: [].into(),
            curve: None,
            bucket: None,
            ..summary()
        };
        let text = shown(&empty, "http://x");
        assert!(text.contains("–, 0 hits and 0 misses") && text.contains("Evicted     nothing"), "{text}");
    }
}
