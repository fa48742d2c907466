//! The addresses behind a store's name, asked for in a way that a name server that is down harms nobody.
//!
//! The system's own lookup blocks a thread for seconds then, one for each new connection, and those threads are the ones that
//! wait for the disk. Here a name is looked up once at a time, on a thread of its own, and an old answer does while a new
//! one is waited for. Knows nothing of stores.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

/// An answer is good for so long; stores move slowly, and their names change addresses to spread their clients.
const FRESH: Duration = Duration::from_secs(30);
/// A failure is believed for so long.
const FAILED: Duration = Duration::from_secs(1);
/// An old answer does for so long where there is no new one.
const STALE: Duration = Duration::from_secs(3600);

type Addresses = Arc<[SocketAddr]>;
type Lookup = Shared<BoxFuture<'static, Result<Addresses, Arc<str>>>>;
type System = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The names that were asked for.
#[derive(Clone)]
pub(super) struct Names {
    hosts: Arc<Mutex<HashMap<String, Host>>>,
    system: Arc<System>,
}

struct Host {
    begun: Instant,
    lookup: Lookup,
    last: Option<(Instant, Addresses)>,
}

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
#[error("the name {host} cannot be looked up: {reason}")]
struct NoAddress {
    host: String,
    reason: Arc<str>,
}

impl Names {
    /// Asks the system.
    pub(super) fn new() -> Self {
        Self::asking(|host| Ok((host, 0).to_socket_addrs()?.collect()))
    }

    fn asking(system: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self { hosts: Arc::default(), system: Arc::new(system) }
    }

    /// What is known now, or what is to be waited for.
    fn find(&self, name: &str, now: Instant) -> Lookup {
        let mut hosts = self.hosts.lock();
        let host = hosts.entry(name.to_owned()).or_insert_with(|| self.ask(name, None, now));
        let is_old = match host.lookup.peek() {
            None => false,
            Some(Ok(addresses)) => {
                host.last = Some((host.begun, Arc::clone(addresses)));
                now.duration_since(host.begun) >= FRESH
            }
            Some(Err(_)) => now.duration_since(host.begun) >= FAILED,
        };
        if is_old {
            *host = self.ask(name, host.last.take(), now);
        }
        match (&host.last, host.lookup.peek()) {
            (_, Some(Ok(_))) => host.lookup.clone(),
            (Some((since, old)), _) if now.duration_since(*since) < STALE => {
                std::future::ready(Ok(Arc::clone(old))).boxed().shared()
            }
            _ => host.lookup.clone(),
        }
    }

    fn ask(&self, name: &str, last: Option<(Instant, Addresses)>, now: Instant) -> Host {
        let (answer, answered) = oneshot::channel();
        let (system, own) = (Arc::clone(&self.system), name.to_owned());
        let started = std::thread::Builder::new().name("larder-names".to_owned()).spawn(move || {
            let found = system(&own).map_err(|error| Arc::from(error.to_string()));
            let found = found.and_then(|addresses| match addresses.is_empty() {
                true => Err(Arc::from("it has no address")),
                false => Ok(Addresses::from(addresses)),
            });
            // Nobody may be waiting any more.
            let _ = answer.send(found);
        });
        let failed = started.err().map(|error| Arc::<str>::from(error.to_string()));
        let lookup = async move {
            match (failed, answered.await) {
                (_, Ok(found)) => found,
                (failed, Err(_)) => Err(failed.unwrap_or_else(|| Arc::from("the lookup ended"))),
            }
        };
        Host { begun: now, lookup: lookup.boxed().shared(), last }
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let lookup = self.find(&host, Instant::now());
        Box::pin(async move {
            let found = lookup.await.map_err(|reason| NoAddress { host, reason })?;
            let addresses: Addrs = Box::new((0..found.len()).map(move |place| found[place]));
            Ok(addresses)
        })
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A name server that answers when it is told what.
    fn server() -> (Names, mpsc::Receiver<()>, mpsc::Sender<io::Result<u8>>) {
        let (asked, questions) = mpsc::channel();
        let (answers, told) = mpsc::channel::<io::Result<u8>>();
        let told = Mutex::new(told);
        let names = Names::asking(move |_| {
            let _ = asked.send(());
            let last = told.lock().recv().map_err(io::Error::other)??;
            Ok(vec![SocketAddr::from(([10, 0, 0, last], 0))])
        });
        (names, questions, answers)
    }

    async fn last(lookup: Lookup) -> Result<u8, Arc<str>> {
        lookup.await.map(|found| match found[0].ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        })
    }

    #[tokio::test]
    async fn all_who_ask_at_once_share_one_lookup_and_its_answer_is_kept() {
        let (names, questions, answers) = server();
        let now = Instant::now();
        let first = names.find("s3.lan", now);
        drop(names.find("s3.lan", now));
        let second = names.find("s3.lan", now);
        answers.send(Ok(1)).unwrap();
        assert_eq!((last(first).await, last(second).await), (Ok(1), Ok(1)));
        assert_eq!(last(names.find("s3.lan", now + FRESH / 2)).await, Ok(1));
        assert_eq!(questions.try_iter().count(), 1);
    }

    #[tokio::test]
    async fn an_old_answer_does_until_there_is_a_new_one_and_while_there_is_none() {
        let (names, questions, answers) = server();
        let now = Instant::now();
        let first = names.find("s3.lan", now);
        answers.send(Ok(1)).unwrap();
        assert_eq!(last(first).await, Ok(1));
        let later = now + FRESH;
        assert_eq!(last(names.find("s3.lan", later)).await, Ok(1), "at once");
        let running = names.hosts.lock()["s3.lan"].lookup.clone();
        answers.send(Ok(2)).unwrap();
        assert_eq!(last(running).await, Ok(2));
        assert_eq!(last(names.find("s3.lan", later)).await, Ok(2));
        // The name server is gone now.
        drop(answers);
        let gone = later + FRESH;
        assert_eq!(last(names.find("s3.lan", gone)).await, Ok(2));
        let running = names.hosts.lock()["s3.lan"].lookup.clone();
        assert!(running.await.is_err());
        assert_eq!(last(names.find("s3.lan", gone)).await, Ok(2));
        let long_after = later + STALE;
        assert!(last(names.find("s3.lan", long_after)).await.is_err());
        assert_eq!(questions.iter().take(4).count(), 4);
    }

    #[tokio::test]
    async fn a_failure_is_asked_about_again_in_a_moment() {
        let (names, _questions, answers) = server();
        let now = Instant::now();
        let first = names.find("s3.lan", now);
        answers.send(Err(io::Error::other("no such name"))).unwrap();
        assert_eq!(last(first).await, Err(Arc::from("no such name")));
        assert!(last(names.find("s3.lan", now)).await.is_err());
        let again = names.find("s3.lan", now + FAILED);
        answers.send(Ok(3)).unwrap();
        assert_eq!(last(again).await, Ok(3));
    }
}
