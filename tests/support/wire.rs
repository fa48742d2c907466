//! A proxy on the wire in front of an object store: counts what is asked, and does to connections and answers what networks
//! and overloaded stores do. What it does is changed while it runs.
//!
//! Knows HTTP/1.1; nothing of larder, of S3 no more than how it says "slow down".
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "wire/message.rs"]
mod message;
#[path = "wire/relay.rs"]
mod relay;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is done to a request, and to its answer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fault {
    /// The request waits so long on its way to the store, the answer on its way back.
    Latency { request: Duration, answer: Duration },
    /// The request is taken and never answered.
    Hang,
    /// The connection is reset once so many bytes of the answer's body were sent; at 0 nothing of the answer comes.
    Reset { after: u64 },
    /// The answer ends half-way through its body, as if the store had gone.
    Half,
    /// The answer stops half-way through its body and the connection stays.
    Stall,
    /// A bit in the middle of the answer's body is another.
    Corrupt,
    /// Every so-manieth request (1: every one) is answered 503 SlowDown, and the store never hears of it.
    SlowDown { every: usize },
}

/// A request that came by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
}

/// The proxy. Dropping it closes its port; connections under way end with it.
pub struct Wire {
    address: SocketAddr,
    line: Arc<Line>,
    listening: Mutex<Option<(Arc<AtomicBool>, JoinHandle<()>)>>,
}

/// What all connections share.
struct Line {
    upstream: SocketAddr,
    /// What happens, and to which method; `None`: to every one.
    fault: Mutex<(Option<Fault>, Option<&'static str>)>,
    /// Changes whenever connections have to end: those of an older number do.
    generation: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    slowed: AtomicUsize,
}

impl Wire {
    /// A proxy in front of the store at `upstream` that does nothing but count.
    pub fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let line = Line {
            upstream,
            fault: Mutex::default(),
            generation: AtomicUsize::new(0),
            seen: Mutex::default(),
            slowed: AtomicUsize::new(0),
        };
        let wire = Self { address, line: Arc::new(line), listening: Mutex::new(None) };
        wire.listen(listener);
        wire
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does this to every request from now on.
    pub fn fault(&self, fault: Fault) {
        *self.line.fault.lock().unwrap() = (Some(fault), None);
    }

    /// Does this to requests of one method from now on; others pass.
    pub fn fault_on(&self, method: &'static str, fault: Fault) {
        *self.line.fault.lock().unwrap() = (Some(fault), Some(method));
    }

    /// Lets everything pass again. What hangs ends.
    pub fn pass(&self) {
        *self.line.fault.lock().unwrap() = (None, None);
    }

    /// Refuses connections, and resets those that there are: nobody is at home.
    pub fn go_down(&self) {
        if let Some((stop, thread)) = self.listening.lock().unwrap().take() {
            stop.store(true, Ordering::SeqCst);
            thread.join().unwrap();
        }
        self.line.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Is there again, at the same address.
    pub fn come_back(&self) {
        self.go_down();
        let began = Instant::now();
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(error) if began.elapsed() > Duration::from_secs(20) => {
                    panic!("{} is taken: {error}", self.address)
                }
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        self.listen(listener);
    }

    /// Every request so far that `wanted` accepts, in order; also those that never reached the store.
    pub fn seen(&self, wanted: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        self.line.seen.lock().unwrap().iter().filter(|seen| wanted(seen)).cloned().collect()
    }

    /// How many requests of a method had a path that ends like this.
    pub fn count(&self, method: &str, path_end: &str) -> usize {
        self.seen(|seen| seen.method == method && seen.path.ends_with(path_end)).len()
    }

    /// Forgets what it has seen.
    pub fn forget(&self) {
        self.line.seen.lock().unwrap().clear();
    }

    fn listen(&self, listener: TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let (stop, line) = (Arc::new(AtomicBool::new(false)), Arc::clone(&self.line));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let line = Arc::clone(&line);
                        let generation = line.generation.load(Ordering::SeqCst);
                        std::thread::spawn(move || line.serve(stream, generation));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        *self.listening.lock().unwrap() = Some((stop, thread));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.go_down();
    }
}

impl Line {
    /// What is to be done to a request of this method, which is counted.
    fn meet(&self, seen: Seen) -> Option<Fault> {
        let (fault, method) = *self.fault.lock().unwrap();
        let applies = method.is_none_or(|method| method == seen.method);
        self.seen.lock().unwrap().push(seen);
        match fault.filter(|_| applies)? {
            Fault::SlowDown { every } => {
                let number = self.slowed.fetch_add(1, Ordering::SeqCst) + 1;
                number.is_multiple_of(every).then_some(Fault::SlowDown { every })
            }
            fault => Some(fault),
        }
    }

    /// True while `fault` is still the one, and connections of this generation live.
    fn still(&self, fault: Fault, generation: usize) -> bool {
        self.lives(generation) && self.fault.lock().unwrap().0 == Some(fault)
    }

    fn lives(&self, generation: usize) -> bool {
        self.generation.load(Ordering::SeqCst) == generation
    }

    fn serve(&self, client: TcpStream, generation: usize) {
        // A connection that breaks is what this is for.
        let _ = relay::Relay::new(self, client, generation).and_then(|mut relay| relay.run());
    }
}
