//! The TLS handshake of one connection, under its watchdog, and what it found out about the client.
//!
//! It also tells a client that speaks plain HTTP what to do instead: all that one sees otherwise is a broken connection.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use super::decrypted::Version;
use super::refuse;
use super::stream::WatchedStream;
use super::watch::Watch;
use super::watchdog::{Cut, Watchdog};
use crate::tls::{ALPN_HTTP2, ClientCertificate, UnusableCertificate};

/// First byte of a TLS connection: a record with a handshake message. RFC 8446, 5.1.
const HANDSHAKE_RECORD: u8 = 22;

/// What a client of plain HTTP is told.
const RAW_SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 54\r\n\
    Connection: close\r\n\
    \r\n\
    error: plain_http: this port speaks TLS: use https://\n";

/// A connection after its handshake.
pub(super) struct Greeted {
    pub(super) stream: TlsStream<WatchedStream>,
    pub(super) version: Version,
    /// What the client showed, verified.
    pub(super) certificate: Option<ClientCertificate>,
}

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// It took too long, or the server is stopping.
    #[error("the handshake was cut off")]
    Cut(Cut),
    /// The client speaks something else, or was told what to do.
    #[error("the client does not speak TLS")]
    NotTls,
    /// The connection broke.
    #[error("the connection broke before the TLS handshake: {0}")]
    Broken(#[source] io::Error),
    /// The two found no common ground, or the client's certificate is not good.
    #[error("the TLS handshake failed: {0}")]
    Failed(#[source] io::Error),
    /// The certificate passed and yet says nothing.
    #[error(transparent)]
    Certificate(#[from] UnusableCertificate),
}

/// Performs it. Cut by `watchdog` when the client takes longer than for a head.
pub(super) async fn perform(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    watch: &Arc<Watch>,
    watchdog: &mut Watchdog,
) -> Result<Greeted, HandshakeError> {
    let watch = Arc::clone(watch);
    let work = pin!(greet(stream, config, Arc::clone(&watch)));
    // At shutdown it may go on: a request may already be on its way behind it.
    let greeted = watchdog.over(work, |_| {}).await.map_err(HandshakeError::Cut)??;
    watchdog.say_finish_again();
    // HTTP/2 begins with a preface of the client's.
    watch.note_in_head(greeted.version == Version::Http2);
    Ok(greeted)
}

async fn greet(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    watch: Arc<Watch>,
) -> Result<Greeted, HandshakeError> {
    let mut first = [0];
    let peeked = stream.peek(&mut first).await.map_err(HandshakeError::Broken)?;
    if peeked == 1 && first[0] != HANDSHAKE_RECORD {
        // Methods are upper case. Whatever else this is, an answer of HTTP would mean nothing to it.
        if first[0].is_ascii_uppercase() {
            refuse(stream, RAW_SPEAK_TLS).map_err(HandshakeError::Broken)?;
        }
        return Err(HandshakeError::NotTls);
    }
    let stream = TlsAcceptor::from(config)
        .accept(WatchedStream::under_tls(stream, watch))
        .await
        .map_err(HandshakeError::Failed)?;
    let (_, session) = stream.get_ref();
    let version = if session.alpn_protocol() == Some(ALPN_HTTP2) { Version::Http2 } else { Version::Http1 };
    let shown = session.peer_certificates().and_then(|chain| chain.first());
    let certificate = shown.map(|shown| ClientCertificate::from_der(shown)).transpose()?;
    Ok(Greeted { stream, version, certificate })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::{ALL_VERSIONS, ClientConfig, HandshakeKind, RootCertStore};

    use super::super::Limits;
    use super::super::drain::Drain;
    use super::super::pace::Pace;
    use super::*;
    use crate::tls::{Files, Tls};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_hint_is_a_whole_answer() {
        let text = std::str::from_utf8(RAW_SPEAK_TLS).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let declared = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        assert_eq!(declared, Some(body.len().to_string().as_str()));
    }

    /// A resumed session must not turn a client with a certificate into one without.
    #[tokio::test]
    async fn a_certificate_is_known_in_the_first_session_and_in_a_resumed_one() {
        let authority = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&authority).unwrap();
        let issuer = Issuer::new(params, authority);
        let sign = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![format!("{name}.lan")]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            (params.signed_by(&key, &issuer).unwrap(), key)
        };
        let ((server, server_key), (client, client_key)) = (sign("server"), sign("runner-7"));
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            std::fs::write(directory.path().join(name), text).unwrap();
            directory.path().join(name)
        };
        let tls = Tls::open(Files {
            certificate: write("cert.pem", server.pem()),
            key: write("key.pem", server_key.serialize_pem()),
            client_ca: Some(write("ca.pem", root.pem())),
            require_client_certificate: true,
        })
        .unwrap();

        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(ALL_VERSIONS)
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![client.der().clone()], client_key.into())
            .unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gauge = prometheus::IntGauge::new("open", "open").unwrap();
        let limits = Limits {
            max_connections: 1,
            header_timeout: 60 * SECOND,
            body_timeout: 60 * SECOND,
            idle_timeout: 60 * SECOND,
            drain_timeout: SECOND,
        };
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let ask = async {
                let stream = TcpStream::connect(address).await.unwrap();
                let mut stream = connector.connect("server.lan".try_into().unwrap(), stream).await.unwrap();
                // Tickets come behind the handshake, in front of the first bytes.
                stream.read_exact(&mut [0]).await.unwrap();
                stream.get_ref().1.handshake_kind()
            };
            let serve = async {
                let (stream, _) = listener.accept().await.unwrap();
                let (watch, entry) = (Arc::new(Watch::greeting()), Drain::default().join(&gauge));
                let pace = Pace::new(&limits, false, Instant::now());
                let mut watchdog = Watchdog::new(pace, Arc::clone(&watch), Arc::new(entry));
                let mut greeted = perform(stream, tls.current(), &watch, &mut watchdog).await.unwrap();
                greeted.stream.write_all(b"x").await.unwrap();
                greeted.stream.flush().await.unwrap();
                greeted.certificate
            };
            let (kind, certificate) = tokio::join!(ask, serve);
            assert_eq!(kind, Some(expected));
            let certificate = certificate.expect("a certificate");
            assert_eq!(certificate.common_name.as_deref(), Some("runner-7"), "{expected:?}");
            assert_eq!(certificate.dns_names, ["runner-7.lan"], "{expected:?}");
        }
    }
}
