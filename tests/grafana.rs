//! What is shipped for Grafana has the shape that Grafana wants, needs no plugin beside its own, and shows every metric there is.
//! That its expressions have data is shown with a real Prometheus, in `tests/prometheus.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/dashboards.rs"]
mod dashboards;

use std::collections::BTreeSet;

use larder::metrics::DESCRIPTIONS;
use serde_json::Value;

/// What the variable `datasource` chose.
const CHOSEN: &str = "${datasource}";
/// Panels that every Grafana has.
const CORE: [&str; 5] = ["bargauge", "row", "stat", "state-timeline", "timeseries"];
/// Units that are used, as Grafana names them.
const UNITS: [&str; 8] = ["Bps", "bytes", "dateTimeFromNow", "ops", "percentunit", "reqps", "s", "short"];

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Left, right, top and bottom of a panel.
fn place(panel: &Value) -> [u64; 4] {
    let at = |name: &str| number(&panel["gridPos"][name]);
    [at("x"), at("x") + at("w"), at("y"), at("y") + at("h")]
}

#[test]
fn no_panel_covers_another_and_each_says_what_it_shows() {
    let mut uids = BTreeSet::new();
    for board in dashboards::all() {
        let file = &board.file;
        assert!(uids.insert(board.json["uid"].to_string()), "{file}: another dashboard has its uid");
        assert_eq!(board.json["schemaVersion"], 42, "{file}");
        let mut ids = BTreeSet::new();
        for (number_of, panel) in board.panels().iter().enumerate() {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(number(&panel["id"])), "{file}: {title}: another panel has its id");
            assert!(CORE.contains(&panel["type"].as_str().unwrap()), "{file}: {title}: {}", panel["type"]);
            let [left, right, top, bottom] = place(panel);
            assert!(left < right && right <= 24 && top < bottom, "{file}: {title}: {}", panel["gridPos"]);
            for other in &board.panels()[..number_of] {
                let [its_left, its_right, its_top, its_bottom] = place(other);
                let apart = right <= its_left || its_right <= left || bottom <= its_top || its_bottom <= top;
                assert!(apart, "{file}: {title} covers {}", other["title"]);
            }
            if panel["type"] != "row" {
                assert!(panel["description"].as_str().unwrap().ends_with('.'), "{file}: {title}");
                let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
                assert!(UNITS.contains(&unit), "{file}: {title}: unit {unit}");
            }
        }
    }
}

#[test]
fn everything_is_asked_of_the_chosen_source_and_of_the_chosen_servers() {
    for board in dashboards::all() {
        let file = &board.file;
        let names: Vec<_> =
            board.variables().iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["datasource", "job", "instance", "namespace"], "{file}");
        assert_eq!(board.variables()[0]["type"], "datasource");
        for asks in board.variables()[1..].iter().chain(board.panels()).filter(|asks| asks["type"] != "row") {
            assert_eq!(asks["datasource"]["uid"], CHOSEN, "{file}: {asks}");
            for target in asks["targets"].as_array().into_iter().flatten() {
                assert_eq!(target["datasource"]["uid"], CHOSEN, "{file}: {target}");
                let expression = target["expr"].as_str().unwrap();
                let asked = expression.matches('{').count();
                let chosen = expression.matches("job=~\"$job\", instance=~\"$instance\"").count();
                assert!(asked > 0 && asked == chosen, "{file}: {expression}");
            }
        }
    }
}

#[test]
fn every_metric_is_shown_and_none_that_is_not_there() {
    let expressions: Vec<_> = dashboards::all().iter().flat_map(|board| board.expressions("1m")).collect();
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut shown = BTreeSet::new();
    for (title, expression) in &expressions {
        for word in expression.split(|c: char| !is_of_a_name(c)).filter(|word| word.starts_with("larder_")) {
            let name = word.trim_end_matches("_bucket");
            let known = DESCRIPTIONS.iter().any(|metric| metric.name == name);
            assert!(known, "{title}: there is no metric {word}");
            shown.insert(name.to_owned());
        }
    }
    let hidden: Vec<_> =
        DESCRIPTIONS.iter().map(|metric| metric.name).filter(|name| !shown.contains(*name)).collect();
    assert_eq!(hidden, [""; 0], "no dashboard shows these");
}

#[test]
fn labels_that_are_asked_for_are_those_of_the_metric() {
    for board in dashboards::all() {
        for (title, expression) in board.expressions("1m") {
            // Every selector: a name, and its labels in braces.
            for (name, rest) in expression.match_indices('{').map(|(at, _)| expression.split_at(at)) {
                let name = name.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
                let Some(metric) = DESCRIPTIONS.iter().find(|m| m.name == name.trim_end_matches("_bucket"))
                else {
                    continue;
                };
                let labels = &rest[1..rest.find('}').unwrap()];
                for label in labels.split("\", ").filter_map(|pair| pair.split(['=', '!']).next()) {
                    let known = metric.labels.contains(&label) || ["job", "instance"].contains(&label);
                    assert!(known, "{title}: {name} has no label {label}");
                }
            }
        }
    }
}
