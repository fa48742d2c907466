//! HTTP/2 with a client that can misbehave: slow readers and writers of single requests, floods of resets, heads without end,
//! and the end of the server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/running.rs"]
mod running;
#[path = "support/tls.rs"]
mod tls;

use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{Request, Response};
use larder::config::Config;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use running::{PATIENCE, Running, until};
use tls::Files;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(600);
const HTTP2: &[&[u8]] = &[b"h2"];
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Limits of which none is reached but those a test shortens.
fn patient(config: &mut Config) {
    (config.header_timeout, config.body_timeout, config.idle_timeout) = (LONG, LONG, LONG);
}

/// A connection of HTTP/2, and the task that runs it, whose result says how it ended.
struct Client {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    async fn connect(files: &Files, server: &Running) -> Self {
        Self::with(files, server, &mut h2::client::Builder::new()).await
    }

    async fn with(files: &Files, server: &Running, builder: &mut h2::client::Builder) -> Self {
        Self::over(files.connect(server, HTTP2).await, builder).await
    }

    async fn over(stream: TlsStream<TcpStream>, builder: &mut h2::client::Builder) -> Self {
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    /// Sends a head; what comes back, and where a body could be sent if there is one.
    async fn begin(&mut self, method: &str, path: &str, body: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let uri = format!("https://localhost{path}");
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        self.requests = self.requests.clone().ready().await.unwrap();
        self.requests.send_request(request, !body).unwrap()
    }

    async fn ask(&mut self, method: &str, path: &str) -> u16 {
        let answer = self.begin(method, path, false).await.0.await.unwrap();
        let status = answer.status().as_u16();
        whole(answer).await.unwrap();
        status
    }

    async fn put(&mut self, path: &str, body: Vec<u8>) -> u16 {
        let (answer, mut sender) = self.begin("PUT", path, true).await;
        sender.send_data(body.into(), true).unwrap();
        answer.await.unwrap().status().as_u16()
    }

    /// Waits until the server has closed the connection in due form.
    async fn closed(self) {
        let ended = tokio::time::timeout(PATIENCE, self.connection).await.expect("the connection ends");
        ended.unwrap().expect("a good end");
        // Only now: a client that has nothing left to ask ends the connection itself.
        drop(self.requests);
    }
}

/// The body of an answer, making room for it as it comes.
async fn whole(answer: Response<h2::RecvStream>) -> Result<Vec<u8>, h2::Error> {
    let (mut body, mut bytes) = (answer.into_body(), Vec::new());
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[tokio::test]
async fn requests_at_once_are_answered_each_with_its_own_body() {
    let files = Files::new();
    let server = files.serve(|_| ()).await;
    let mut client = Client::connect(&files, &server).await;
    let lengths = [0, 1, 700, 20_000, (128 << 10) + 1, 1 << 20, 10 << 20];
    let body = |length: usize| {
        let mut bytes = vec![0; length];
        StdRng::seed_from_u64(length as u64).fill_bytes(&mut bytes);
        bytes
    };
    for length in lengths {
        assert_eq!(client.put(&format!("/a/{length}"), body(length)).await, 201);
    }
    let mut answers = Vec::new();
    for length in lengths.into_iter().cycle().take(28) {
        answers.push((length, client.begin("GET", &format!("/a/{length}"), false).await.0));
    }
    let reading = answers.into_iter().map(|(length, answer)| async move {
        let answer = answer.await.unwrap();
        assert_eq!(answer.headers()["content-length"], length.to_string());
        assert!(whole(answer).await.unwrap() == body(length), "other bytes of {length}");
    });
    futures_util::future::join_all(reading).await;
}

#[tokio::test]
async fn a_stalled_upload_is_answered_with_408_and_the_others_go_on() {
    let files = Files::new();
    let server = files
        .serve(|config| {
            patient(config);
            config.body_timeout = SHORT;
        })
        .await;
    let mut client = Client::connect(&files, &server).await;
    let (stalled, mut sender) = client.begin("PUT", "/a/stalled", true).await;
    sender.send_data(Bytes::from_static(b"half"), false).unwrap();
    let answer = tokio::time::timeout(PATIENCE, stalled).await.unwrap().unwrap();
    assert_eq!(answer.status(), 408);
    assert!(whole(answer).await.unwrap().starts_with(b"error: timeout: "));
    assert!(!server.has("a/stalled").await);
    assert_eq!(client.put("/a/next", vec![7; 100_000]).await, 201);
    assert_eq!(client.ask("GET", "/a/next").await, 200);
    until("nothing is in flight", async || server.metrics.in_flight.get() == 0).await;
}

#[tokio::test]
async fn a_reader_that_stops_loses_its_stream_and_the_others_go_on() {
    let files = Files::new();
    let server = files
        .serve(|config| {
            patient(config);
            config.body_timeout = 2 * SHORT;
        })
        .await;
    let mut builder = h2::client::Builder::new();
    // The window of a stream closes, that of the connection does not.
    let mut client = Client::with(&files, &server, builder.initial_connection_window_size(64 << 20)).await;
    assert_eq!(client.put("/a/big", vec![7; 8 << 20]).await, 201);
    let stopped = client.begin("GET", "/a/big", false).await.0.await.unwrap();
    assert_eq!(stopped.status(), 200);
    let mut body = stopped.into_body();
    let mut others = 0;
    // Another request on the connection makes progress all the while.
    until("it is given up", async || {
        others += 1;
        assert_eq!(client.ask("GET", "/a/none").await, 404);
        server.metrics.in_flight.get() == 0
    })
    .await;
    let end = loop {
        match body.data().await.expect("no good end") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(end.reason(), Some(Reason::CANCEL));
    assert_eq!(client.ask("GET", "/a/none").await, 404);
    assert!(others > 0);
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_small_answers_is_closed() {
    let files = Files::new();
    let server = files
        .serve(|config| {
            patient(config);
            config.body_timeout = SHORT;
        })
        .await;
    let mut builder = h2::client::Builder::new();
    let mut client = Client::with(&files, &server, builder.initial_window_size(10)).await;
    assert_eq!(client.put("/a/small", vec![7; 1000]).await, 201);
    // Read whole and handed to h2 as one piece; there is no future left that waits for it.
    let answer = client.begin("GET", "/a/small", false).await.0.await.unwrap();
    assert_eq!(answer.status(), 200);
    until("its place is free", async || server.metrics.connections.get() == 0).await;
    assert_eq!(server.metrics.in_flight.get(), 0);
    drop(answer);
}

#[tokio::test]
async fn a_slow_reader_that_makes_progress_gets_it_all() {
    let files = Files::new();
    let server = files
        .serve(|config| {
            patient(config);
            config.body_timeout = 4 * SHORT;
        })
        .await;
    let mut client = Client::connect(&files, &server).await;
    assert_eq!(client.put("/a/big", vec![7; 300_000]).await, 201);
    let answer = client.begin("GET", "/a/big", false).await.0.await.unwrap();
    let (mut body, mut length) = (answer.into_body(), 0);
    while let Some(chunk) = body.data().await {
        let chunk = chunk.expect("it goes on");
        length += chunk.len();
        tokio::time::sleep(SHORT / 4).await;
        body.flow_control().release_capacity(chunk.len()).unwrap();
    }
    assert_eq!(length, 300_000);
}

#[tokio::test]
async fn half_a_head_is_cut_off_and_an_idle_connection_is_not() {
    let files = Files::new();
    let server = files
        .serve(|config| {
            patient(config);
            config.header_timeout = SHORT;
        })
        .await;
    let mut idle = Client::connect(&files, &server).await;
    assert_eq!(idle.ask("GET", "/a/none").await, 404);
    // No preface, half of one, half a frame, and a head that goes on in a frame that never comes.
    let beginnings: [&[u8]; 4] = [
        b"",
        &PREFACE[..10],
        &[PREFACE, &[0, 0, 5, 1, 4]].concat(),
        &[PREFACE, &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]].concat(),
    ];
    for beginning in beginnings {
        let mut stream = files.connect(&server, HTTP2).await;
        stream.write_all(beginning).await.unwrap();
        stream.flush().await.unwrap();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        let _ = ended.unwrap_or_else(|_| panic!("{beginning:?} is not cut off"));
    }
    until("only the idle one is left", async || server.metrics.connections.get() == 1).await;
    assert_eq!(idle.ask("GET", "/a/none").await, 404);
}

#[tokio::test]
async fn an_idle_connection_is_asked_to_leave() {
    let files = Files::new();
    let server = files
        .serve(|config| {
            patient(config);
            config.idle_timeout = SHORT;
        })
        .await;
    let mut client = Client::connect(&files, &server).await;
    assert_eq!(client.ask("GET", "/a/none").await, 404);
    client.closed().await;
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_asked_to_leave() {
    let files = Files::new();
    let server = files.serve(|config| config.max_connections = 1).await;
    let mut first = Client::connect(&files, &server).await;
    assert_eq!(first.ask("GET", "/a/none").await, 404);
    let mut late = Client::connect(&files, &server).await;
    assert_eq!(late.ask("GET", "/a/none").await, 503);
    late.closed().await;
    assert_eq!(first.ask("GET", "/a/none").await, 404);
}

#[tokio::test]
async fn opening_and_resetting_without_end_costs_the_connection() {
    let files = Files::new();
    let server = files.serve(|_| ()).await;
    let mut flooding = Client::connect(&files, &server).await;
    for _ in 0..20_000 {
        let request = Request::builder().uri("https://localhost/a/none").body(()).unwrap();
        let Ok((_, mut stream)) = flooding.requests.send_request(request, true) else {
            break;
        };
        stream.send_reset(Reason::CANCEL);
        tokio::task::yield_now().await;
    }
    let ended = tokio::time::timeout(PATIENCE, flooding.connection).await.expect("the server ends it");
    let error = ended.unwrap().expect_err("not in due form");
    // Whoever is still writing when the server closes may not get to read why.
    assert!(error.is_io() || error.reason() == Some(Reason::ENHANCE_YOUR_CALM), "{error}");
    until("nothing is left of it", async || {
        server.metrics.connections.get() == 0 && server.metrics.in_flight.get() == 0
    })
    .await;
    assert_eq!(Client::connect(&files, &server).await.ask("GET", "/a/none").await, 404);
}

#[tokio::test]
async fn heads_above_the_limit_are_refused_and_the_connection_goes_on() {
    let files = Files::new();
    let server = files.serve(|_| ()).await;
    let mut client = Client::connect(&files, &server).await;
    // The server's limit has to be known before a client can go above it in earnest.
    assert_eq!(client.ask("GET", "/a/none").await, 404);
    let request = Request::builder().uri("https://localhost/a/none").header("x-long", "y".repeat(40 << 10));
    let (answer, _) = client.requests.send_request(request.body(()).unwrap(), true).unwrap();
    let refused = answer.await;
    assert!(refused.is_ok_and(|answer| answer.status() == 431));
    assert_eq!(client.ask("GET", "/a/none").await, 404);
}

#[tokio::test]
async fn what_is_under_way_finishes_at_shutdown() {
    let files = Files::new();
    let mut server = files.serve(|_| ()).await;
    let mut client = Client::connect(&files, &server).await;
    assert_eq!(client.put("/a/big", vec![7; 4 << 20]).await, 201);
    let download = client.begin("GET", "/a/big", false).await.0.await.unwrap();
    let (upload, mut sender) = client.begin("PUT", "/a/b", true).await;
    sender.send_data(Bytes::from_static(b"half"), false).unwrap();
    until("both are in flight", async || server.metrics.in_flight.get() == 2).await;

    server.tell_to_stop();
    until("nobody listens", async || TcpStream::connect(server.address).await.is_err()).await;
    sender.send_data(Bytes::from_static(b"full"), true).unwrap();
    assert_eq!(upload.await.unwrap().status(), 201);
    assert_eq!(whole(download).await.unwrap().len(), 4 << 20);
    assert!(server.has("a/b").await);
    client.closed().await;
    server.ended().await;
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off_at_shutdown() {
    let files = Files::new();
    let mut server = files.serve(|config| config.drain_timeout = SHORT).await;
    let mut client = Client::connect(&files, &server).await;
    let (_upload, mut sender) = client.begin("PUT", "/a/b", true).await;
    sender.send_data(Bytes::from_static(b"half"), false).unwrap();
    until("it is in flight", async || server.metrics.in_flight.get() == 1).await;
    let metrics = server.metrics.clone();
    server.tell_to_stop();
    server.ended().await;
    assert_eq!((metrics.in_flight.get(), metrics.connections.get()), (0, 0));
}

#[tokio::test]
async fn whoever_ends_a_handshake_after_the_server_began_to_stop_is_sent_away() {
    let files = Files::new();
    let mut server = files
        .serve(|config| {
            patient(config);
            config.drain_timeout = LONG;
        })
        .await;
    let early = TcpStream::connect(server.address).await.unwrap();
    until("it is accepted", async || server.metrics.connections.get() == 1).await;
    server.tell_to_stop();
    until("nobody listens", async || TcpStream::connect(server.address).await.is_err()).await;
    let early = files.greet(early, HTTP2, None).await.unwrap();
    Client::over(early, &mut h2::client::Builder::new()).await.closed().await;
    server.ended().await;
}

#[tokio::test]
async fn whoever_does_not_answer_when_asked_to_leave_is_closed() {
    let files = Files::new();
    let mut server = files
        .serve(|config| {
            patient(config);
            (config.header_timeout, config.drain_timeout) = (2 * SHORT, LONG);
        })
        .await;
    let mut deaf = files.connect(&server, HTTP2).await;
    deaf.write_all(PREFACE).await.unwrap();
    deaf.flush().await.unwrap();
    // Its preface has been read when the settings are acknowledged, by a frame of type 4 with flag 1.
    let mut seen = Vec::new();
    while !seen.windows(9).any(|frame| frame == [0, 0, 0, 4, 1, 0, 0, 0, 0]) {
        assert!(deaf.read_buf(&mut seen).await.unwrap() > 0);
    }
    server.tell_to_stop();
    server.ended().await;
}
