//! What a person pastes to point a client at a server: URLs and export lines.
//!
//! Owns the names of the clients' variables. Knows nothing of the server but its address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::config::Config;
use crate::key::{DEFAULT_NAMESPACE, Namespace};

/// What a server speaks on its port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) fn of(config: &Config) -> Self {
        if config.tls_cert.is_some() { Self::Https } else { Self::Http }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// The variables for sccache over WebDAV. `CARGO_INCREMENTAL=0` because sccache cannot cache incremental
/// compilations.
pub(super) fn sccache(url: &str, namespace: Option<&Namespace>) -> Vec<(&'static str, String)> {
    vec![
        ("SCCACHE_WEBDAV_ENDPOINT", endpoint(url, namespace)),
        ("RUSTC_WRAPPER", "sccache".to_owned()),
        ("CARGO_INCREMENTAL", "0".to_owned()),
    ]
}

/// The variables for sccache over S3, but for the key pair. Any region will do.
pub(super) fn sccache_by_s3(url: &str, namespace: Option<&Namespace>) -> Vec<(&'static str, String)> {
    let bucket = namespace.map_or(DEFAULT_NAMESPACE, Namespace::as_str).to_owned();
    let is_tls = url.starts_with("https://");
    vec![
        ("SCCACHE_BUCKET", bucket),
        ("SCCACHE_ENDPOINT", url.trim_end_matches('/').to_owned()),
        ("SCCACHE_REGION", "auto".to_owned()),
        ("SCCACHE_S3_USE_SSL", is_tls.to_string()),
        ("RUSTC_WRAPPER", "sccache".to_owned()),
        ("CARGO_INCREMENTAL", "0".to_owned()),
    ]
}

/// The variables for ccache, under its name since 4.7 and the one before. Its keys go below `ccache/`, apart
/// from those of other tools.
pub(super) fn ccache(url: &str, namespace: Option<&Namespace>) -> Vec<(&'static str, String)> {
    let storage = format!("{}/ccache", endpoint(url, namespace));
    vec![("CCACHE_REMOTE_STORAGE", storage.clone()), ("CCACHE_SECONDARY_STORAGE", storage)]
}

/// Lines that any POSIX shell evaluates.
pub(super) fn exports(variables: &[(&str, String)]) -> String {
    variables
        .iter()
        .map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")))
        .collect()
}

/// URLs that reach a server bound to `bound`: itself, or for "every interface" this machine's own addresses
/// that others can use, the local one last.
pub(super) fn urls(scheme: Scheme, bound: SocketAddr) -> Vec<String> {
    if !bound.ip().is_unspecified() {
        return vec![format!("{scheme}://{bound}")];
    }
    let port = bound.port();
    let mut hosts: Vec<String> = Vec::new();
    if let Some(name) = host_name() {
        hosts.push(format!("{scheme}://{name}:{port}"));
    }
    if let Some(address) = outward_address() {
        hosts.push(format!("{scheme}://{}", SocketAddr::new(address, port)));
    }
    hosts.push(local_url(scheme, bound));
    hosts
}

/// A URL that reaches a server bound to `bound` from this machine.
pub(super) fn local_url(scheme: Scheme, bound: SocketAddr) -> String {
    format!("{scheme}://{}", local(bound))
}

/// The address at which a server bound to `bound` is reached from this machine.
pub(super) fn local(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

fn endpoint(url: &str, namespace: Option<&Namespace>) -> String {
    let url = url.trim_end_matches('/');
    namespace.map_or_else(|| url.to_owned(), |namespace| format!("{url}/{namespace}"))
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty() && name != "localhost" && name != "(none)").then(|| name.to_owned())
}

/// The address this machine would use to talk to others. Connecting a UDP socket only asks the routing table:
/// nothing is sent, and the address (of the range for documentation, RFC 5737) need not exist.
fn outward_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_address_is_its_own_url() {
        let local = SocketAddr::from(([127, 0, 0, 1], 4227));
        assert_eq!(urls(Scheme::Http, local), ["http://127.0.0.1:4227"]);
        assert_eq!(urls(Scheme::Https, local), ["https://127.0.0.1:4227"]);
        assert_eq!(urls(Scheme::Http, "[::1]:80".parse().unwrap()), ["http://[::1]:80"]);
    }

    #[test]
    fn every_interface_is_told_as_hosts_that_can_be_used() {
        for (bound, last) in [("0.0.0.0:4227", "http://127.0.0.1:4227"), ("[::]:4227", "http://[::1]:4227")] {
            let urls = urls(Scheme::Http, bound.parse().unwrap());
            assert_eq!(urls.last().map(String::as_str), Some(last));
            assert!(urls.iter().all(|url| !url.contains("//0.0.0.0") && !url.contains("//[::]")), "{urls:?}");
        }
    }

    #[test]
    fn export_lines_survive_quotes() {
        assert_eq!(exports(&[("A", "it's".to_owned())]), "export A='it'\\''s'\n");
    }
}
