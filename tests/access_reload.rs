//! New access rules for a running program: by a signal, by a changed file, under load; and what is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Larder, Options, http, wait_for};

const STAYING: &str = "secret-of-the-staying-token";
const GOING: &str = "secret-of-the-going-token";

fn bearer(secret: &str) -> (String, String) {
    ("Authorization".to_owned(), format!("Bearer {secret}"))
}

fn status(larder: &Larder, secret: Option<&str>) -> u16 {
    let header = secret.map(bearer);
    let headers: Vec<_> = header.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    http::request(larder.address(), "GET", "/absent", &headers, b"").status
}

/// A server, its configuration file, and a directory for secrets.
struct Setup {
    larder: Larder,
    file: PathBuf,
    secrets: tempfile::TempDir,
}

impl Setup {
    /// With the tokens `staying` and `going`.
    fn start() -> Self {
        let secrets = tempfile::tempdir().unwrap();
        for (name, secret) in [("staying", STAYING), ("going", GOING)] {
            std::fs::write(secrets.path().join(name), secret).unwrap();
        }
        let config = tokens(&secrets, &["staying", "going"]);
        let larder = Larder::start(Options::default().config(&config));
        let file = larder.data_dir().parent().unwrap().join("larder.toml");
        Self { larder, file, secrets }
    }

    fn write(&self, config: &str) {
        // As careful editors do it: the server sees the old file or the new one, never half of it.
        let new = self.file.with_extension("new");
        std::fs::write(&new, config).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    fn hang_up(&self) {
        let pid = i32::try_from(self.larder.pid()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// Waits for one more line of the audit that says `what`.
    fn until_logged(&self, what: &str, before: usize) {
        wait_for(what, || (self.count(what) > before).then_some(()));
    }

    fn count(&self, what: &str) -> usize {
        self.larder.log().lines().filter(|line| line.contains("larder::audit") && line.contains(what)).count()
    }
}

fn tokens(secrets: &tempfile::TempDir, names: &[&str]) -> String {
    let table =
        |name: &&str| format!("[tokens.{name}]\nsecret_file = '{}'\n", secrets.path().join(name).display());
    names.iter().map(table).collect()
}

#[test]
fn a_signal_puts_new_rules_into_force_and_nothing_else() {
    let setup = Setup::start();
    assert_eq!((status(&setup.larder, Some(GOING)), status(&setup.larder, None)), (404, 401));
    let config =
        format!("anonymous = \"read\"\nmax_connections = 5\n{}", tokens(&setup.secrets, &["staying"]));
    setup.write(&config);
    setup.hang_up();
    setup.until_logged("access rules reloaded", 0);
    assert_eq!((status(&setup.larder, Some(STAYING)), status(&setup.larder, None)), (404, 404));
    assert_eq!(status(&setup.larder, Some(GOING)), 401);
    let log = setup.larder.log();
    assert!(log.contains("removed=\"going\"") && log.contains("anonymous=read"), "{log}");
    let said = log.lines().find(|line| line.contains("take effect at the next start"));
    assert!(said.is_some_and(|line| line.contains("settings=\"max_connections\"")), "{log}");
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    let setup = Setup::start();
    setup.write(&tokens(&setup.secrets, &["staying"]));
    wait_for("the token to be revoked", || (status(&setup.larder, Some(GOING)) == 401).then_some(()));
    assert_eq!(status(&setup.larder, Some(STAYING)), 404);
    // A secret that changes is a change, too, in a file that was added meanwhile as in an old one.
    setup.write(&tokens(&setup.secrets, &["staying", "going"]));
    wait_for("the token to be back", || (status(&setup.larder, Some(GOING)) == 404).then_some(()));
    for name in ["going", "staying"] {
        let new = format!("another-secret-of-{name}");
        std::fs::write(setup.secrets.path().join(name), &new).unwrap();
        wait_for("the new secret to count", || (status(&setup.larder, Some(&new)) == 404).then_some(()));
    }
    assert_eq!((status(&setup.larder, Some(STAYING)), status(&setup.larder, Some(GOING))), (401, 401));
}

#[test]
fn a_wrong_file_is_refused_with_its_problems_and_the_old_rules_stay() {
    let setup = Setup::start();
    let broken = format!("capasity = 1\n{}allow = [\"reed\"]\n", tokens(&setup.secrets, &["staying"]));
    setup.write(&broken);
    setup.hang_up();
    setup.until_logged("did you mean capacity?", 0);
    assert!(setup.count("tokens.staying.allow") > 0, "{}", setup.larder.log());
    assert_eq!((status(&setup.larder, Some(STAYING)), status(&setup.larder, Some(GOING))), (404, 404));
    assert_eq!(status(&setup.larder, None), 401);
    // Good again, it counts again.
    setup.write(&tokens(&setup.secrets, &["staying"]));
    wait_for("the token to be revoked", || (status(&setup.larder, Some(GOING)) == 401).then_some(()));
}

#[test]
fn a_missing_secret_or_an_emptied_file_opens_nothing() {
    let setup = Setup::start();
    std::fs::remove_file(setup.secrets.path().join("going")).unwrap();
    setup.until_logged("cannot read", 0);
    std::fs::write(&setup.file, "").unwrap();
    setup.hang_up();
    setup.until_logged("let everyone in", 0);
    assert_eq!(status(&setup.larder, None), 401);
    assert_eq!((status(&setup.larder, Some(STAYING)), status(&setup.larder, Some(GOING))), (404, 404));
}

#[test]
fn a_server_without_a_file_lives_through_the_signal() {
    let larder = Larder::start(Options::default().env("LARDER_TOKEN", STAYING));
    let setup = Setup { file: PathBuf::new(), secrets: tempfile::tempdir().unwrap(), larder };
    setup.hang_up();
    setup.until_logged("access rules reloaded", 0);
    assert_eq!((status(&setup.larder, Some(STAYING)), status(&setup.larder, None)), (404, 401));
}

#[test]
fn a_revoked_token_is_refused_at_once_on_open_connections_and_others_go_on() {
    const WORKERS: usize = 4;
    let setup = Setup::start();
    let address = setup.larder.address();
    let stop = Arc::new(AtomicBool::new(false));
    let worker = |secret: &'static str| {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            let (name, value) = bearer(secret);
            let headers = [(name.as_str(), value.as_str())];
            let mut connection = http::Connection::open(address).unwrap();
            let mut seen = Vec::new();
            for number in 0.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let path = format!("/load/{}", number / 2 % 10);
                let method = if number % 2 == 0 { "PUT" } else { "GET" };
                seen.push(connection.request(method, &path, &headers, b"").unwrap().status);
            }
            // Once more, surely after the reload, on the same connection.
            let last = connection.request("GET", "/load/0", &headers, b"").unwrap().status;
            (seen, last)
        })
    };
    let going: Vec<_> = (0..WORKERS).map(|_| worker(GOING)).collect();
    let staying: Vec<_> = (0..WORKERS).map(|_| worker(STAYING)).collect();
    let refusals = || {
        let name = "larder_auth_refusals_total{reason=\"unknown\"}";
        setup.larder.metrics().get(name).copied().unwrap_or_default()
    };
    wait_for("everyone to be at work", || (setup.larder.total("larder_hits_total") > 100.0).then_some(()));
    assert!(refusals() < 1.0);
    setup.write(&tokens(&setup.secrets, &["staying"]));
    setup.hang_up();
    setup.until_logged("removed", 0);
    wait_for("all of them to be refused", || (refusals() >= 2.0 * WORKERS as f64).then_some(()));
    stop.store(true, Ordering::SeqCst);
    for worker in going {
        let (seen, last) = worker.join().unwrap();
        let revoked = seen.iter().position(|status| *status == 401).unwrap_or(seen.len());
        assert!(revoked > 0 && seen[..revoked].iter().all(|status| status / 100 == 2), "{seen:?}");
        assert!(seen[revoked..].iter().all(|status| *status == 401) && last == 401, "{seen:?} {last}");
    }
    for worker in staying {
        let (seen, last) = worker.join().unwrap();
        assert!(seen.iter().all(|status| status / 100 == 2) && last == 200, "{seen:?} {last}");
    }
}
