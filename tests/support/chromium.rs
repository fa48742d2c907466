//! A real Chromium without a window, told what to do over its debugging pipe (the DevTools protocol, JSON between NULs).
//!
//! Owns the program and one page in it. Knows nothing of larder.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Far more than anything takes.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a page is shown on.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Name for files.
    pub name: &'static str,
    /// Width in CSS pixels.
    pub width: u32,
    /// True for the dark scheme.
    pub dark: bool,
}

/// The screens that everything is looked at on.
pub const SCREENS: [Screen; 4] = [
    Screen { name: "desktop-light", width: 1200, dark: false },
    Screen { name: "desktop-dark", width: 1200, dark: true },
    Screen { name: "phone-light", width: 360, dark: false },
    Screen { name: "phone-dark", width: 360, dark: true },
];

/// A browser with one page.
pub struct Chromium {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    last_id: u64,
    login: Option<(String, String)>,
    complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Chromium {
    /// Starts the program at `path` with a profile of its own and an empty page.
    pub fn start(path: &Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("bash")
            // It reads commands from descriptor 3 and writes answers to 4.
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(path)
            .args(["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", "--no-proxy-server"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("a message is JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let (session, login, complaints) = (None, None, Vec::new());
        let mut browser =
            Self { child, input, messages, session, last_id: 0, login, complaints, _profile: profile };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", &attach);
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Shows the page on this screen from now on.
    pub fn screen(&mut self, screen: Screen) {
        let scale = if screen.width < 600 { 2 } else { 1 };
        let metrics = json!({"width": screen.width, "height": 800, "deviceScaleFactor": scale, "mobile": screen.width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if screen.dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &features);
    }

    /// Logs in with this user and password wherever it is asked to.
    pub fn log_in_as(&mut self, user: &str, password: &str) {
        self.login = Some((user.to_owned(), password.to_owned()));
        self.call("Fetch.enable", &json!({"handleAuthRequests": true}));
    }

    /// Goes to a page; returns before everything on it is there.
    pub fn go(&mut self, url: &str) {
        let answer = self.call("Page.navigate", &json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
    }

    /// The value of an expression in the page; a promise is waited for.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", &parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true, and `null` while the page is not that far.
    pub fn until(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.value(&format!("Boolean({expression})")) != true {
            assert!(Instant::now() < deadline, "in vain: {expression}\n{}", self.complaints.join("\n"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Writes the whole page, as it is shown, to a PNG.
    pub fn screenshot(&mut self, file: &Path) {
        let size =
            self.value("[document.documentElement.clientWidth, document.documentElement.scrollHeight]");
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
        let shot = self.call("Page.captureScreenshot", &json!({"captureBeyondViewport": true, "clip": clip}));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// What the browser had to say so far: exceptions, refusals of the page's own policy, errors of the network.
    pub fn complaints(&mut self) -> Vec<String> {
        self.value("0");
        std::mem::take(&mut self.complaints)
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        let id = self.send(method, parameters);
        loop {
            let message = self.messages.recv_timeout(PATIENCE).unwrap_or_else(|error| {
                panic!("{method}: the browser does not answer ({error}); does it start by hand?")
            });
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.event(&message);
        }
    }

    fn send(&mut self, method: &str, parameters: &Value) -> u64 {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.input.write_all(format!("{message}\0").as_bytes()).unwrap();
        self.last_id
    }

    fn event(&mut self, message: &Value) {
        let parameters = &message["params"];
        match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                self.complaints.push(parameters["exceptionDetails"].to_string());
            }
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => {
                self.complaints.push(parameters["entry"].to_string());
            }
            Some("Fetch.requestPaused") => {
                self.send("Fetch.continueRequest", &json!({"requestId": parameters["requestId"]}));
            }
            Some("Fetch.authRequired") => {
                let (user, password) = self.login.clone().unwrap_or_default();
                let answer =
                    json!({"response": "ProvideCredentials", "username": user, "password": password});
                let id = &parameters["requestId"];
                self.send(
                    "Fetch.continueWithAuth",
                    &json!({"requestId": id, "authChallengeResponse": answer}),
                );
            }
            _ => {}
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
