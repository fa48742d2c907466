//! The page at `/-/` in a browser: opens it, holds it to what everybody must be able to read, on every screen, and takes
//! pictures, which go to `target/page/`. Asks the API for what the page should say.
//!
//! Knows larder from outside only, and no test.
#![allow(dead_code, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use crate::chromium::{Chromium, SCREENS};
use crate::common::http::Connection;
use crate::common::{Larder, tools};

/// Every complaint about what cannot be read.
const LEGIBLE: &str = include_str!("legible.js");

/// A browser with nothing in it.
pub(crate) fn browser() -> Chromium {
    Chromium::start(&tools::tool("chromium"))
}

/// Goes to the page and waits until it shows something.
pub(crate) fn open(browser: &mut Chromium, larder: &Larder) {
    browser.go(&larder.url("/-/"));
    browser.until("document.body?.dataset.shown > 0");
}

/// What the API says, asked for with these headers.
pub(crate) fn api(larder: &Larder, path: &str, headers: &[(&str, &str)]) -> Value {
    let mut connection = Connection::open(larder.address()).unwrap();
    let answer = connection.request("GET", &format!("/-/api/{path}"), headers, b"").unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// Shows the page on every screen: nothing on it may be hard to read, too wide or in trouble.
pub(crate) fn every_screen_can_be_read(browser: &mut Chromium, what: &str) {
    browser.value("document.querySelector('.numbers').open = true");
    for screen in SCREENS {
        browser.screen(screen);
        // Charts take their new size behind a frame.
        browser.value("new Promise(done => setTimeout(() => requestAnimationFrame(done), 200))");
        let complaints = browser.value(LEGIBLE);
        assert_eq!(complaints, json!([]), "{what} {}", screen.name);
        let file = format!("target/page/{what}-{}.png", screen.name);
        browser.screenshot(&tools::repository().join(file));
    }
    assert_eq!(browser.complaints(), [""; 0]);
}
