//! One connection through the proxy: requests to the store, answers back, with what the fault of the moment does to both.
//!
//! Knows which fault it is told; not why.

use std::io::{BufReader, ErrorKind, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::message::{Body, Framing, Head};
use super::{Fault, Line, Seen};

/// What an overloaded S3 says.
const SLOW_DOWN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code><Message>Please reduce \
                         your request rate.</Message><RequestId>wire</RequestId></Error>";

/// How often something that waits looks whether it may go on.
const LOOK: Duration = Duration::from_millis(5);

/// The connection and its twin to the store.
pub struct Relay<'a> {
    line: &'a Line,
    generation: usize,
    client: BufReader<TcpStream>,
    store: Option<BufReader<TcpStream>>,
}

impl<'a> Relay<'a> {
    pub fn new(line: &'a Line, client: TcpStream, generation: usize) -> Result<Self> {
        client.set_nonblocking(false)?;
        client.set_nodelay(true)?;
        Ok(Self { line, generation, client: BufReader::with_capacity(64 << 10, client), store: None })
    }

    /// Carries requests until one side has had enough.
    pub fn run(&mut self) -> Result<()> {
        loop {
            self.wait_for_request()?;
            let Some(head) = Head::read(&mut self.client)? else { return Ok(()) };
            let (path, query) = head.word(1).split_once('?').unwrap_or((head.word(1), ""));
            let seen =
                Seen { method: head.word(0).to_owned(), path: path.to_owned(), query: query.to_owned() };
            let fault = self.line.meet(seen);
            match fault {
                Some(fault @ Fault::Hang) => return self.hang(fault),
                Some(Fault::SlowDown { .. }) => {
                    let mut body = Body::new(head.framing(Framing::Length(0)));
                    while body.next(&mut self.client)?.is_some() {}
                    let length = SLOW_DOWN.len();
                    let content = if head.word(0) == "HEAD" { "" } else { SLOW_DOWN };
                    write!(
                        self.client.get_mut(),
                        "HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n\r\n{content}"
                    )?;
                    continue;
                }
                _ => (),
            }
            if let Some(fault @ Fault::Latency { request, .. }) = fault {
                self.pause(fault, request)?;
            }
            self.send(&head)?;
            if !self.answer(&head, fault)? {
                return Ok(());
            }
        }
    }

    /// Waits for the first byte of a request; fails when connections of this age have to end.
    fn wait_for_request(&mut self) -> Result<()> {
        use std::io::BufRead;
        self.client.get_ref().set_read_timeout(Some(LOOK * 4))?;
        loop {
            if !self.line.lives(self.generation) {
                return self.reset();
            }
            match self.client.fill_buf() {
                Ok(_) => break,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => (),
                Err(error) => return Err(error),
            }
        }
        self.client.get_ref().set_read_timeout(None)
    }

    fn send(&mut self, head: &Head) -> Result<()> {
        if self.store.is_none() {
            let stream = TcpStream::connect(self.line.upstream)?;
            stream.set_nodelay(true)?;
            self.store = Some(BufReader::with_capacity(64 << 10, stream));
        }
        let store = self.store.as_mut().expect("just made");
        store.get_mut().write_all(&head.raw)?;
        let mut body = Body::new(head.framing(Framing::Length(0)));
        while let Some(piece) = body.next(&mut self.client)? {
            store.get_mut().write_all(&piece.raw)?;
            if !self.line.lives(self.generation) {
                return self.reset();
            }
        }
        Ok(())
    }

    /// Carries the answer back. False: it was the last one.
    fn answer(&mut self, request: &Head, fault: Option<Fault>) -> Result<bool> {
        let store = self.store.as_mut().expect("the request went there");
        let head = loop {
            let head = Head::read(store)?.ok_or(ErrorKind::UnexpectedEof)?;
            if !head.word(1).starts_with('1') {
                break head;
            }
            self.client.get_mut().write_all(&head.raw)?;
        };
        if let Some(fault @ Fault::Latency { answer, .. }) = fault {
            self.pause(fault, answer)?;
        }
        if fault == Some(Fault::Reset { after: 0 }) || !self.line.lives(self.generation) {
            self.reset()?;
        }
        let is_bare = request.word(0) == "HEAD" || ["204", "304"].contains(&head.word(1));
        let framing = if is_bare { Framing::Length(0) } else { head.framing(Framing::ToTheEnd) };
        self.client.get_mut().write_all(&head.raw)?;
        let whole = match framing {
            Framing::Length(length) => self.body(Body::new(framing), length, fault)?,
            // Nobody knows where its middle is: it is within the first piece.
            Framing::Chunked | Framing::ToTheEnd => self.body(Body::new(framing), 2, fault)?,
        };
        Ok(whole && framing != Framing::ToTheEnd && !head.closes() && !request.closes())
    }

    /// Carries a body of `length` bytes back. False: the connection ends.
    fn body(&mut self, mut body: Body, length: u64, fault: Option<Fault>) -> Result<bool> {
        let end = match fault {
            Some(Fault::Half | Fault::Stall) if length > 0 => Some(length / 2),
            Some(Fault::Reset { after }) if length > 0 => Some(after.min(length - 1)),
            _ => None,
        };
        let flipped = (fault == Some(Fault::Corrupt) && length > 0).then_some(length / 2);
        let mut sent = 0_u64;
        let store = self.store.as_mut().expect("the answer comes from there");
        while let Some(mut piece) = body.next(store)? {
            if !self.line.lives(self.generation) {
                return self.reset().map(|()| false);
            }
            let own = piece.own.clone();
            let here = |at: u64| {
                let at = usize::try_from(at.checked_sub(sent)?).ok()?;
                (at < own.len()).then_some(own.start + at)
            };
            if let Some(at) = flipped.and_then(here) {
                piece.raw[at] ^= 1;
            }
            if let Some(at) = end.and_then(here) {
                self.client.get_mut().write_all(&piece.raw[..at])?;
                match fault {
                    Some(fault @ Fault::Stall) => self.hang(fault)?,
                    Some(Fault::Reset { .. }) => self.reset()?,
                    _ => self.client.get_ref().shutdown(Shutdown::Both)?,
                }
                return Ok(false);
            }
            self.client.get_mut().write_all(&piece.raw)?;
            sent += own.len() as u64;
        }
        Ok(true)
    }

    /// Holds the connection as long as the fault lasts, then ends it.
    fn hang(&mut self, fault: Fault) -> Result<()> {
        while self.line.still(fault, self.generation) && !self.client_left() {
            std::thread::sleep(LOOK);
        }
        self.reset()
    }

    /// Waits so long, or until the fault is over.
    fn pause(&mut self, fault: Fault, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until && self.line.still(fault, self.generation) {
            std::thread::sleep(LOOK.min(until - Instant::now()));
        }
        if self.line.lives(self.generation) { Ok(()) } else { self.reset() }
    }

    fn client_left(&self) -> bool {
        let stream = self.client.get_ref();
        let _ = stream.set_nonblocking(true);
        let left = matches!(stream.peek(&mut [0]), Ok(0));
        let _ = stream.set_nonblocking(false);
        left
    }

    /// Ends the connection with a reset instead of an end. Always an error, so that whoever calls it ends, too.
    fn reset(&mut self) -> Result<()> {
        rustix::net::sockopt::set_socket_linger(self.client.get_ref(), Some(Duration::ZERO))?;
        self.client.get_ref().shutdown(Shutdown::Read)?;
        Err(ErrorKind::ConnectionReset.into())
    }
}
