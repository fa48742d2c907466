//! Build sessions over real HTTP: every way to carry a label, what is counted, who may see it, and what the API answers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "support/running.rs"]
mod running;
#[path = "support/signer.rs"]
#[allow(unreachable_pub, reason = "a module of test programs")]
mod signer;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder::config::{Anonymous, Config, Right, Rights, Secret, SecretSource, TokenConfig, TokenName};
use running::{Answer, Running, until};
use serde_json::Value;

const SECRET: &str = "the-secret-of-those-who-build";
const ADMIN: &str = "the-secret-of-whoever-looks-after-it";

type Headers<'a> = &'a [(&'a str, &'a str)];

fn tokens(config: &mut Config) {
    for (name, secret, rights) in
        [("ci", SECRET, &[Right::Read, Right::Write][..]), ("boss", ADMIN, &[Right::Admin])]
    {
        let mut token =
            TokenConfig::new(SecretSource::Env("S".to_owned()), Some(Secret::new(secret).unwrap()));
        token.allow = Rights::of(rights);
        config.tokens.insert(TokenName::new(name).unwrap(), token);
    }
}

async fn ask(server: &Running, method: &str, path: &str, headers: Headers<'_>, body: &str) -> Answer {
    let mut client = server.client().await;
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    client
        .send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
        ))
        .await;
    client.answer().await
}

fn basic(user: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))
}

/// What the API answers to whoever looks after the server.
async fn api(server: &Running, path: &str) -> Value {
    let bearer = format!("Bearer {ADMIN}");
    let answer = ask(server, "GET", path, &[("Authorization", &bearer)], "").await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    assert_eq!(
        (answer.header("content-type"), answer.header("cache-control")),
        (Some("application/json"), Some("no-store"))
    );
    serde_json::from_str(&answer.body).unwrap()
}

async fn over(server: &Running) {
    until("the answers are over", async || server.metrics.in_flight.get() == 0).await;
}

#[tokio::test]
async fn every_way_to_carry_a_label_leads_to_the_same_session() {
    let server = Running::start(tokens).await;
    let named = basic("anything+build-17", SECRET);
    let unnamed = basic("ci", SECRET);
    let agent = ("User-Agent", "sccache/0.10.0");
    let by_name = [("Authorization", named.as_str()), agent];
    let by_header = [("Authorization", unnamed.as_str()), ("X-Larder-Session", "build-17"), agent];
    assert_eq!(ask(&server, "GET", "/a/b", &by_name, "").await.status, 404);
    // What the object costs to make.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert_eq!(ask(&server, "PUT", "/a/b", &by_name, "12345").await.status, 201);
    assert_eq!(ask(&server, "GET", "/a/b", &by_header, "").await.status, 200);
    let signed = signer::sign("GET", "/default/a/b", "ci+build-17", SECRET, &[]);
    let signed: Vec<_> = signed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = ask(&server, "GET", "/default/a/b", &signed, "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "12345"));
    // Without a label, and with the probe, nothing more is counted in it than a request.
    assert_eq!(ask(&server, "GET", "/a/b", &[("Authorization", &unnamed)], "").await.status, 200);
    assert_eq!(ask(&server, "GET", "/.sccache_check", &by_name, "").await.status, 404);
    over(&server).await;

    let list = api(&server, "/-/api/sessions").await;
    let sessions = list["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 1, "{list}");
    let session = &sessions[0];
    for (field, value) in [("requests", 5), ("hits", 2), ("misses", 1), ("stored", 1), ("stored_bytes", 5)] {
        assert_eq!(session[field], value, "{field}: {session}");
    }
    // Two bodies, and the texts of two misses.
    assert!(session["sent_bytes"].as_u64().unwrap() > 10, "{session}");
    assert_eq!((&session["principal"], &session["label"]), (&"ci".into(), &"build-17".into()));
    assert_eq!(session["is_running"], true);
    assert!(session["cache_seconds"].as_f64().unwrap() > 0.0);
    assert!((session["hit_ratio"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9);
    assert_eq!(session["largest_misses"][0]["name"], "default/a/b");
    assert_eq!(session["slowest_misses"][0]["name"], "default/a/b");
    assert!(session["slowest_misses"][0]["cost_ms"].as_u64().unwrap() >= 20, "{session}");
    assert_eq!(session["clients"][0]["client"], "sccache 0.10.0");
    let now = list["now_ms"].as_u64().unwrap();
    let seen = session["last_seen_ms"].as_u64().unwrap();
    assert!(seen >= session["first_seen_ms"].as_u64().unwrap() && seen <= now);
}

#[tokio::test]
async fn what_is_no_label_is_ignored_and_no_build_breaks() {
    let server = Running::start(tokens).await;
    let long = "x".repeat(65);
    for bad in ["", " ", "a b", "<script>", "a%20b", long.as_str()] {
        let named = basic(&format!("ci+{bad}"), SECRET);
        let headers = [("Authorization", named.as_str()), ("X-Larder-Session", bad)];
        assert_eq!(ask(&server, "PUT", "/k", &headers, "x").await.status / 100, 2, "{bad:?}");
        assert_eq!(ask(&server, "GET", "/k", &headers, "").await.status, 200, "{bad:?}");
    }
    for id in ["ci+", "ci+<b>", "ci+a+<b>"] {
        let signed = signer::sign("GET", "/default/k", id, SECRET, &[]);
        let signed: Vec<_> = signed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(ask(&server, "GET", "/default/k", &signed, "").await.status, 200, "{id}");
    }
    // What is signed is the whole id: a label that somebody put there on the way is a wrong signature.
    let signed = signer::sign("GET", "/default/k", "ci+a", SECRET, &[]);
    let forged: Vec<_> =
        signed.iter().map(|(name, value)| (name.clone(), value.replace("ci+a/", "nobody+a/"))).collect();
    let forged: Vec<_> = forged.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(ask(&server, "GET", "/default/k", &forged, "").await.status, 403);
    assert_eq!(api(&server, "/-/api/sessions").await["sessions"], serde_json::json!([]));
    // A good one in the header does where the name has a bad one.
    let named = basic("ci+a b", SECRET);
    ask(&server, "GET", "/k", &[("Authorization", &named), ("X-Larder-Session", "good")], "").await;
    assert_eq!(api(&server, "/-/api/sessions").await["sessions"][0]["label"], "good");
}

#[tokio::test]
async fn the_api_is_for_those_with_the_right_admin() {
    let closed = Running::start(tokens).await;
    let ajar = Running::start(|config| {
        tokens(config);
        config.anonymous = Some(Anonymous::ReadWrite);
    })
    .await;
    let (ci, boss, wrong) = (basic("x", SECRET), basic("x", ADMIN), basic("x", "a-wrong-secret-of-nobody"));
    for server in [&closed, &ajar] {
        for path in ["/-/api/summary", "/-/api/sessions", "/-/api/nothing"] {
            let anonymous = ask(server, "GET", path, &[], "").await;
            assert_eq!(anonymous.status, 401, "{path}");
            assert_eq!(
                anonymous.header("www-authenticate"),
                Some("Basic realm=\"larder\""),
                "a browser has to ask"
            );
            assert!(anonymous.body.contains("--allow read,admin"), "{}", anonymous.body);
            assert_eq!(ask(server, "GET", path, &[("Authorization", &wrong)], "").await.status, 401);
            let refused = ask(server, "GET", path, &[("Authorization", &ci)], "").await;
            assert_eq!(refused.status, 403, "{path}");
            assert!(
                refused.body.contains("[tokens.ci]") && refused.body.contains("admin"),
                "{}",
                refused.body
            );
            let allowed = ask(server, "GET", path, &[("Authorization", &boss)], "").await;
            assert_eq!(allowed.status, if path.ends_with("nothing") { 404 } else { 200 }, "{path}");
        }
        // It is a right of its own.
        assert_eq!(ask(server, "GET", "/k", &[("Authorization", &boss)], "").await.status, 403);
        let refused = &server.metrics.auth_refusals;
        assert!(
            refused.with_label_values(&["right"]).get() >= 4
                && refused.with_label_values(&["missing"]).get() == 3
        );
    }
    // Nobody could be given the right where there are no tokens.
    for anonymous in [None, Some(Anonymous::Read), Some(Anonymous::ReadWrite)] {
        let open = Running::start(|config| config.anonymous = anonymous).await;
        assert_eq!(open.ask("GET", "/-/api/summary").await.status, 200, "{anonymous:?}");
    }
}

#[tokio::test]
async fn what_is_asked_wrongly_is_told() {
    let server = Running::start(|_| ()).await;
    for (path, status, says) in [
        ("/-/api/summary?x=1", 400, "known: none"),
        ("/-/api/sessions?limitt=5", 400, "known: limit"),
        ("/-/api/sessions?limit=5&limit=6", 400, "twice"),
        ("/-/api/sessions?limit=0", 400, "1 to 200"),
        ("/-/api/sessions?limit=201", 400, "1 to 200"),
        ("/-/api/sessions?limit=5", 200, "sessions"),
        ("/-/api/", 404, "/-/api/summary"),
        ("/-/api", 404, "/-/api/summary"),
    ] {
        let answer = server.ask("GET", path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body.contains(says), "{path}: {}", answer.body);
    }
    let refused = server.ask("DELETE", "/-/api/sessions").await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn the_summary_says_what_the_metrics_say() {
    let server = Running::start(|config| {
        let name = |name: &str| larder::key::Namespace::new(name).unwrap();
        config.namespaces.insert(name("team"), larder::config::NamespaceConfig::default());
    })
    .await;
    let agent = [("User-Agent", "ccache/4.8.2")];
    for (method, path, body) in [
        ("PUT", "/team/a", "12345"),
        ("PUT", "/b", "123"),
        ("GET", "/team/a", ""),
        ("GET", "/b", ""),
        ("GET", "/c", ""),
    ] {
        ask(&server, method, path, &agent, body).await;
    }
    over(&server).await;
    let answer = server.ask("GET", "/-/api/summary").await;
    let summary: larder::analytics::summary::Summary = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((summary.hits, summary.misses, summary.hit_bytes), (2, 1, 8));
    assert_eq!((summary.stored_objects, summary.stored_bytes, summary.received_bytes), (2, 8, 8));
    assert_eq!(summary.sent_bytes, server.metrics.sent_bytes.get());
    assert_eq!((summary.capacity_bytes, summary.ready), (256 << 20, true));
    assert_eq!(summary.url_hints, ["http://test"]);
    assert!(summary.connections >= 1 && summary.requests_in_flight == 1 && summary.disk_bytes > 0);
    let team = summary.namespaces.iter().find(|namespace| namespace.name == "team").unwrap();
    assert_eq!((team.objects, team.hits, team.misses, team.quota_bytes), (1, 1, 0, 256 << 20));
    let default = summary.namespaces.iter().find(|namespace| namespace.name == "default").unwrap();
    assert_eq!((default.objects, default.hits, default.misses), (1, 1, 1));
    assert_eq!(summary.namespaces.len(), 2, "what is not configured has nothing to show");
    assert_eq!((summary.clients[0].client.as_str(), summary.clients[0].requests), ("ccache 4.8.2", 5));
    assert!(!summary.health.is_empty());
    let metrics = server.ask("GET", "/metrics").await.body;
    for row in [
        "larder_hits_total{namespace=\"team\",protocol=\"plain\"} 1",
        "larder_misses_total{namespace=\"default\",protocol=\"plain\"} 1",
        "larder_stored_total{namespace=\"default\",protocol=\"plain\"} 1",
        "larder_hit_bytes_total{namespace=\"team\",protocol=\"plain\"} 5",
        "larder_client_requests_total{client=\"ccache 4.8.2\"} 5",
    ] {
        assert!(metrics.contains(row), "{row} is not in\n{metrics}");
    }
    // A host that is none is not repeated to whoever would click on it.
    let mut client = server.client().await;
    client.send("GET /-/api/summary HTTP/1.1\r\nHost: x'<y>\r\n\r\n").await;
    let answer = client.answer().await;
    assert!(answer.body.contains("\"url_hints\":[\"http://127.0.0.1:"), "{}", answer.body);
}
