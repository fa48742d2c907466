//! The page at `/-/`, looked at with a real Chromium: it says what the server says, to those who may see it, can be read on
//! desktops and phones, in light and dark, and runs nothing that clients smuggle into names.
//!
//! Knows larder from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/chromium.rs"]
mod chromium;
mod common;
#[path = "support/shown.rs"]
mod shown;

use chromium::{Chromium, SCREENS};
use common::http::{self, Connection};
use common::project::Project;
use common::sccache::Sccache;
use common::{Larder, Options, tools, wait_for};
use serde_json::json;
use shown::{api, browser, every_screen_can_be_read, open};

const CI: &str = "the-secret-of-ci-0123456789";
const BOSS: &str = "the-secret-of-boss-0123456789";
const CONFIG: &str = "[namespaces.ci]\nquota = \"64MiB\"\n[namespaces.\"pr-*\"]\nquota = \"32MiB\"\n\
                      [tokens.ci]\nsecret_env = \"CI\"\n\
                      [tokens.boss]\nsecret_env = \"BOSS\"\nallow = [\"admin\"]\n";
/// A name that is a script wherever it is taken for HTML.
const HOSTILE: &str = "<script>window.owned=1<img src=x onerror=window.owned=1>";

/// Basic credentials as a header's value.
fn basic(user: &str, secret: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}")))
}

/// Misses, stores and finds `objects` objects below `space`, as one build.
fn load(larder: &Larder, space: &str, label: &str, objects: usize) {
    let credentials = basic(&format!("ci+{label}"), CI);
    let headers = [("Authorization", credentials.as_str()), ("User-Agent", "curl/8.0")];
    let mut connection = Connection::open(larder.address()).unwrap();
    let mut ask = |method: &str, path: &str, body: &[u8]| {
        connection.request(method, path, &headers, body).unwrap().status
    };
    for i in 0..objects {
        let path = format!("{space}/{i}");
        assert_eq!(ask("GET", &path, b""), 404, "{path}");
        assert_eq!(ask("PUT", &path, &vec![7; 1000 + i * 300]) / 100, 2, "{path}");
        for _ in 0..8 {
            assert_eq!(ask("GET", &path, b""), 200, "{path}");
        }
    }
}

/// A server with tokens that a real sccache has built through twice, and others have used too.
fn busy() -> Larder {
    let options = Options::default().config(CONFIG).env("CI", CI).env("BOSS", BOSS);
    let larder = Larder::start(options);
    let project = Project::new("c-project");
    for build in ["first", "second"] {
        let storage = [
            ("SCCACHE_WEBDAV_ENDPOINT", larder.url("/ci")),
            ("SCCACHE_WEBDAV_USERNAME", format!("ci+c-project/{build}")),
            ("SCCACHE_WEBDAV_PASSWORD", CI.to_owned()),
        ];
        let storage = storage.each_ref().map(|(name, value)| (*name, value.as_str()));
        let sccache = Sccache::start_with(project.scratch.path(), &storage);
        project.compile_c(&sccache);
        sccache.settled_stats();
    }
    load(&larder, "/pr-7/objects", "pr-7", 60);
    load(&larder, "/plain", "nightly@main#12", 25);
    let hostile: String = HOSTILE.bytes().map(|byte| format!("%{byte:02X}")).collect();
    load(&larder, &format!("/ci/{hostile}"), "hostile", 2);
    larder
}

#[test]
fn the_page_says_what_the_server_says() {
    let larder = busy();
    let credentials = basic("me", BOSS);
    let headers = [("Authorization", credentials.as_str())];
    let ask = |path: &str| api(&larder, path, &headers);
    // The history is read each few seconds.
    let totals = wait_for("the history to have everything", || {
        let (summary, history) = (ask("summary"), ask("history?range=hour"));
        let all = ["hits", "misses", "hit_bytes", "sent_bytes", "received_bytes"];
        all.iter().all(|name| summary[name] == history["totals"][name]).then_some(history["totals"].clone())
    });
    let summary = ask("summary");
    assert!(summary["hits"].as_u64() > Some(600) && summary["misses"].as_u64() > Some(80), "{summary}");

    let mut browser = browser();
    browser.log_in_as("me", BOSS);
    browser.screen(SCREENS[0]);
    open(&mut browser, &larder);

    let number = |name: &str| totals[name].as_f64().unwrap();
    for (id, expected) in [
        ("hit-ratio", number("hits") / (number("hits") + number("misses"))),
        ("time-saved", number("time_saved_ms") / 1e3),
        ("hit-bytes", number("hit_bytes")),
        ("fill", summary["disk_bytes"].as_f64().unwrap()),
        ("latency", number("get_micros") / number("gets") / 1e6),
        ("evicted", number("evictions")),
    ] {
        let shown = browser.value(&format!("Number(document.getElementById('{id}').value)"));
        assert!(
            (shown.as_f64().unwrap() - expected).abs() < 1e-9 * expected.max(1.0),
            "{id}: {shown} {expected}"
        );
    }
    let ratio = summary["hit_ratio"].as_f64().unwrap() * 100.0;
    let text = |browser: &mut Chromium, selector: &str| {
        let value = browser.value(&format!("document.querySelector('{selector}').innerText"));
        value.as_str().unwrap().replace('\u{a0}', " ")
    };
    assert_eq!(text(&mut browser, "#hit-ratio"), format!("{ratio:.1} %"));
    assert_eq!(text(&mut browser, "#hit-ratio-sub"), format!("{ratio:.1} % since the start"));

    let rows = |browser: &mut Chromium, table: &str| {
        let cells = format!(
            "[...document.querySelectorAll('#{table} tbody tr')].map(row => [...row.cells].map(cell => \
             cell.innerText.trim().replaceAll('\\u00a0', ' ')))"
        );
        browser.value(&cells)
    };
    let shown = rows(&mut browser, "namespaces-table");
    for (row, space) in shown.as_array().unwrap().iter().zip(summary["namespaces"].as_array().unwrap()) {
        assert_eq!((&row[0], &row[1]), (&space["name"], &json!(space["objects"].to_string())), "{shown}");
    }
    let clients = rows(&mut browser, "clients-table");
    let expected = summary["clients"].as_array().unwrap().iter();
    for (row, client) in clients.as_array().unwrap().iter().zip(expected) {
        assert_eq!(row[0], client["client"], "{clients}");
    }
    assert!(clients.to_string().contains("sccache"), "{clients}");

    let sessions = ask("sessions?limit=12");
    let shown = rows(&mut browser, "sessions-table");
    assert_eq!(shown.as_array().unwrap().len(), 5, "{shown}");
    for (row, session) in shown.as_array().unwrap().iter().zip(sessions["sessions"].as_array().unwrap()) {
        let label = session["label"].as_str().unwrap();
        assert_eq!(row[0].as_str().unwrap().lines().next(), Some(label), "{shown}");
        assert_eq!(row[2], session["requests"].to_string(), "{shown}");
    }
    assert!(shown.to_string().contains("c-project/second"), "{shown}");
    assert_eq!(browser.complaints(), [""; 0]);
    names_are_only_text(&mut browser);
    every_screen_can_be_read(&mut browser, "busy");
}

/// The details of builds show a key that is a script, as the text that it is.
fn names_are_only_text(browser: &mut Chromium) {
    browser.value(
        "document.querySelectorAll('.open').forEach((_, i) => document.querySelectorAll('.open')[i].click())",
    );
    let shown = browser.value("document.querySelector('#sessions-table').innerText");
    assert!(shown.as_str().unwrap().contains(HOSTILE), "{shown}");
    assert_eq!(browser.value("document.querySelectorAll('main script, main img').length"), 0);
    assert_eq!(browser.value("typeof window.owned"), "undefined");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn an_empty_cache_has_a_page_and_nothing_jumps() {
    let mut larder = Larder::start(Options::default());
    let mut browser = browser();
    browser.screen(SCREENS[0]);
    open(&mut browser, &larder);
    let shifts = "new Promise(done => new PerformanceObserver(list => done(list.getEntries().reduce((all, entry) => \
                  all + entry.value, 0))).observe({ type: 'layout-shift', buffered: true }))";
    let shifted =
        browser.value(&format!("Promise.race([{shifts}, new Promise(done => setTimeout(done, 300, 0))])"));
    assert!(shifted.as_f64().unwrap() < 0.02, "the page moves while it fills: {shifted}");
    let text = browser.value("document.body.innerText");
    for expected in ["No requests in this time", "No build has named itself yet.", "No requests yet."] {
        assert!(text.as_str().unwrap().contains(expected), "no {expected:?} in {text}");
    }
    every_screen_can_be_read(&mut browser, "empty");

    // What to paste is what `larder env` prints.
    for (client, flag) in [("webdav", "--webdav"), ("s3", "--s3"), ("ccache", "--ccache")] {
        browser.value(&format!("document.querySelector('input[value={client}]').click()"));
        let shown = browser.value("document.getElementById('lines').textContent");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_larder"));
        tools::isolate(&mut command);
        let printed = tools::run(command.args(["env", flag, "--url", larder.url("").trim_end_matches('/')]));
        assert_eq!(shown, String::from_utf8(printed.stdout).unwrap(), "{client}");
    }
    for range in ["day", "week", "hour"] {
        browser.value(&format!("document.querySelector('input[value={range}]').click()"));
        let title = if range == "hour" { "Last hour" } else { "Last 7 days" };
        if range != "day" {
            browser.until(&format!("document.getElementById('range-title').textContent === '{title}'"));
        }
    }

    // Nobody looks: nobody is asked.
    browser.value(
        "window.asked = 0; const real = window.fetch; window.fetch = (...what) => { window.asked += 1; return real(...what); };\
         window.hide = (is) => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => is });\
         document.dispatchEvent(new Event('visibilitychange')); }",
    );
    browser.until("window.asked >= 2");
    browser.value("window.hide(true)");
    browser.value("new Promise(done => setTimeout(done, 500)).then(() => { window.asked = 0; })");
    browser.value("new Promise(done => setTimeout(done, 6000))");
    assert_eq!(browser.value("window.asked"), 0);
    browser.value("window.hide(false)");
    browser.until("window.asked >= 2");

    assert_eq!(browser.complaints(), [""; 0]);
    assert_eq!(larder.terminate().code(), Some(0));
    browser.until("!document.getElementById('offline').hidden");
    let said = browser.value("document.getElementById('offline').textContent");
    assert!(said.as_str().unwrap().starts_with("The server does not answer"), "{said}");
}

/// What a server without trouble does not say, put into its summary on the way to the page.
const MORE: &str = r#"
    const real = window.fetch;
    window.fetch = async (path, ...more) => {
        const answer = await real(path, ...more);
        if (!path.includes("summary")) return answer;
        const curve = [[0.25, 0.5], [0.5, 0.75], [1, 0.875], [2, 0.9], [4, 0.95], [8, 1]];
        return Response.json({
            ...(await answer.json()),
            curve: curve.map(([factor, predicted_hit_ratio]) => ({ factor, capacity_bytes: factor * 2 ** 30, predicted_hit_ratio })),
            last_evicted_age_seconds: 7200,
            never_read_share: 0.25,
            bucket: { url: "s3://cache/<b>", is_up: false, failing_for_seconds: 90, last_error: "<i>no route", queue_objects: 3, queue_bytes: 3145728 },
            health: [{ level: "warn", text: "the disk is <nearly> full" }, { level: "bad", text: "the bucket fails" }],
        });
    };
"#;

#[test]
fn the_curve_the_bucket_and_what_is_wrong_are_shown() {
    let larder = Larder::start(Options::default());
    let mut browser = browser();
    browser.screen(SCREENS[0]);
    open(&mut browser, &larder);
    browser.value(MORE);
    browser.until("!document.getElementById('bucket').hidden");
    let mut shown = |selector: &str| {
        let text = browser.value(&format!("document.querySelector('{selector}').innerText"));
        text.as_str().unwrap().replace('\u{a0}', " ")
    };
    let curve = shown("#curve-table tbody");
    let rows: Vec<_> = curve.lines().collect();
    assert_eq!(rows[0], "256 MiB ¼×\t50.0 %\t−37.5 points", "{curve}");
    assert_eq!((rows[2], rows[5]), ("1 GiB 1×\t87.5 %\ttoday", "8 GiB 8×\t100 %\t+12.5 points"));
    let size = shown("#size-text");
    assert!(size.contains("had not been used for 2 h.") && size.contains("25.0 % of the bytes"), "{size}");
    let bucket = shown("#bucket-facts");
    for fact in ["s3://cache/<b>", "failing for 1 min 30 s", "3 objects, 3 MiB", "<i>no route"] {
        assert!(bucket.contains(fact), "no {fact} in {bucket}");
    }
    assert_eq!(shown("#health"), "Problem\nThe bucket fails\nWarning\nThe disk is <nearly> full");
    assert_eq!(shown("#state-text"), "Has a problem");
    every_screen_can_be_read(&mut browser, "trouble");
}

#[test]
fn where_there_are_tokens_only_an_admin_sees_it() {
    let larder = Larder::start(Options::default().config(CONFIG).env("CI", CI).env("BOSS", BOSS));
    for path in ["/-/", "/-/assets/page.js", "/-/api/summary", "/-/api/history?range=day"] {
        let asked = http::get(larder.address(), path);
        assert_eq!(asked.status, 401, "{path}");
        assert_eq!(asked.header("www-authenticate"), Some("Basic realm=\"larder\""), "{path}");
        for (secret, status) in [(CI, 403), (BOSS, 200), ("wrong", 401)] {
            let mut connection = Connection::open(larder.address()).unwrap();
            let headers = [("Authorization", basic("me", secret))];
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            assert_eq!(
                connection.request("GET", path, &headers, b"").unwrap().status,
                status,
                "{path} {secret}"
            );
        }
    }
}
