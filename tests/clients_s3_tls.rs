//! S3 over TLS: real clients, whose requests differ there (checksums behind the body), and sccache, which offers HTTP/2.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "support/running.rs"]
mod running;
#[path = "support/tls.rs"]
mod tls;

use common::project::Project;
use common::s3::{self, WRITER};
use common::sccache::Sccache;
use common::tools;
use larder::config::{Config, NamespaceConfig, Right, Rights, Secret, SecretSource, TokenConfig, TokenName};
use larder::key::Namespace;
use running::Running;
use tls::Files;

async fn server(files: &Files) -> Running {
    files.serve(with_the_writers_key).await
}

fn with_the_writers_key(config: &mut Config) {
    let secret = Secret::new(WRITER.secret).unwrap();
    let source = SecretSource::Env("NOT_READ".to_owned());
    let mut token = TokenConfig::new(source, Some(secret));
    token.allow = Rights::of(&[Right::Read, Right::Write, Right::Delete]);
    config.tokens.insert(TokenName::new(WRITER.id).unwrap(), token);
    config.namespaces.insert(Namespace::new("team").unwrap(), NamespaceConfig::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_and_the_aws_cli_work_over_tls() {
    let files = Files::new();
    let server = server(&files).await;
    let endpoint = format!("https://localhost:{}", server.address.port());
    let scratch = tempfile::tempdir().unwrap();
    for (script, function) in [
        // First, because it wants its bucket empty.
        ("multipart.py", "parts_become_one_object"),
        ("checksums.py", "behind_the_body"),
        ("checksums.py", "of_a_signed_body"),
        ("objects.py", "files_without_a_length_and_large_ones_are_stored"),
    ] {
        let mut command = s3::python_at(&endpoint, scratch.path(), script, function);
        tools::run(command.env("AWS_CA_BUNDLE", files.text("ca.pem")));
    }
    let body: Vec<u8> = (0..20_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    std::fs::write(scratch.path().join("up"), &body).unwrap();
    for arguments in [["up", "s3://team/a"], ["s3://team/a", "s3://team/b"], ["s3://team/b", "down"]] {
        let mut command = s3::client_at(&endpoint, scratch.path(), "aws", WRITER);
        command.args(["s3", "cp", "--quiet"]).args(arguments);
        tools::run(command.env("AWS_CA_BUNDLE", files.text("ca.pem")));
    }
    assert!(std::fs::read(scratch.path().join("down")).unwrap() == body);
}

#[tokio::test(flavor = "multi_thread")]
async fn sccache_stores_and_hits_through_s3_over_tls() {
    let files = Files::new();
    let server = server(&files).await;
    let endpoint = format!("https://localhost:{}", server.address.port());
    let ca = files.text("ca.pem");
    let mut variables = s3::environment(WRITER);
    variables.extend([
        ("SCCACHE_BUCKET", "team"),
        ("SCCACHE_ENDPOINT", endpoint.as_str()),
        ("SCCACHE_REGION", "auto"),
        ("SCCACHE_S3_USE_SSL", "true"),
        ("SSL_CERT_FILE", ca.as_str()),
    ]);
    let project = Project::new("c-project");
    let mut builds = Vec::new();
    for (hits, misses) in [(0, 4), (4, 0)] {
        let sccache = Sccache::start_with(project.scratch.path(), &variables);
        builds.push(project.compile_c(&sccache));
        let stats = sccache.settled_stats();
        assert_eq!((stats.hits, stats.misses, stats.write_errors), (hits, misses, 0), "{}", sccache.log());
    }
    tools::assert_same_files(&builds[0], &builds[1]);
}
