//! The history that the server keeps of itself: it goes on after a restart, and the page shows it over days and weeks.
//!
//! Knows larder from outside only, and the form of the history's file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/chromium.rs"]
mod chromium;
mod common;
#[path = "support/shown.rs"]
mod shown;

use chromium::SCREENS;
use common::{Larder, Options, http, wait_for};
use serde_json::{Value, json};
use shown::{api, browser, every_screen_can_be_read, open};

/// A history of two weeks that ends at `now`, as the server writes it, and the hits of its last seven days: working days of
/// builds, nights of a few, and an hour in which the server did not run. Nothing happened half an hour around the oldest
/// moments of a day and of a week, so that the sums stay what they are while samples leave these ranges during a test.
fn past(now: u64) -> (Value, u64) {
    let mut rings = Vec::new();
    let mut hits_of_week = 0;
    for (step, most) in [(5, 720), (60, 1440), (900, 1344)] {
        let newest = now / step * step - step;
        let times: Vec<u64> =
            (0..most).map(|i| newest - (most - 1 - i) * step).filter(|at| at % 86_400 >= 3600).collect();
        let column = |value: &dyn Fn(u64) -> u64| -> Value { times.iter().map(|at| value(*at)).collect() };
        let hits = |at: u64| {
            if [86_400, 7 * 86_400].iter().any(|range| (now - at).abs_diff(*range) <= 1800) {
                return 0;
            }
            let hour = at % 86_400 / 3600;
            let busy = if (7..19).contains(&hour) { 20 - hour.abs_diff(13) * 3 } else { 1 };
            // Builds come and go; a multiplicative hash is as good as chance.
            busy * step * ((at / 400).wrapping_mul(2_654_435_761) % 1000) / 300
        };
        let misses = |at: u64| hits(at) * (5 + at / 7200 % 13) / 100;
        if step == 900 {
            hits_of_week = times.iter().filter(|at| **at >= now - 7 * 86_400).map(|at| hits(*at)).sum();
        }
        rings.push(json!({ "step_seconds": step, "samples": {
            "at": times,
            "seconds": vec![step as f64; times.len()],
            "hits": column(&hits),
            "misses": column(&misses),
            "hit_bytes": column(&|at| hits(at) * 21_000),
            "sent_bytes": column(&|at| hits(at) * 21_000),
            "received_bytes": column(&|at| misses(at) * 64_000),
            "time_saved_ms": column(&|at| hits(at) * 640),
            "gets": column(&|at| hits(at) + misses(at)),
            "get_micros": column(&|at| (hits(at) + misses(at)) * 420),
            "evictions": column(&|at| misses(at)),
            "in_flight": column(&|at| hits(at) * 2 / step),
            "disk_bytes": column(&|at| (10 << 30) - (now - at) * 4000),
        }}));
    }
    (json!({ "version": 1, "rings": rings }), hits_of_week)
}

#[test]
fn the_history_goes_on_after_a_restart() {
    let mut larder = Larder::start(Options::default());
    assert_eq!(larder.terminate().code(), Some(0));
    let file = larder.data_dir().join("analytics/history.json");
    assert!(file.is_file(), "nothing was saved at the end");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (past, hits) = past(now);
    std::fs::write(&file, past.to_string()).unwrap();
    larder.restart();

    let totals = |range: &str| api(&larder, &format!("history?range={range}"), &[])["totals"].clone();
    let week = totals("week")["hits"].as_u64().unwrap();
    assert_eq!(week, hits);
    let before = totals("day");
    assert_eq!(http::put(larder.address(), "/new", &[7; 5000]).status / 100, 2);
    assert_eq!(http::get(larder.address(), "/new").status, 200);
    wait_for("the new hit", || (totals("week")["hits"].as_u64() > Some(week)).then_some(()));
    assert!(totals("day")["received_bytes"].as_u64() > before["received_bytes"].as_u64());

    let mut browser = browser();
    browser.screen(SCREENS[0]);
    open(&mut browser, &larder);
    for (range, title) in [("week", "Last 7 days"), ("day", "Last 24 hours")] {
        browser.value(&format!("document.querySelector('input[value={range}]').click()"));
        browser.until(&format!("document.getElementById('range-title').textContent === '{title}'"));
        // The page asks again every few seconds.
        wait_for("the page to show the range", || {
            let shown = browser.value("Number(document.getElementById('hit-bytes').value)");
            (totals(range)["hit_bytes"].as_f64() == shown.as_f64()).then_some(())
        });
        every_screen_can_be_read(&mut browser, range);
    }
    larder.terminate();
    larder.restart();
    let again = api(&larder, "history?range=week", &[])["totals"]["hits"].as_u64().unwrap();
    assert_eq!(again, week + 1);
}
