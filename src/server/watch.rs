//! What a connection's parts note for its watchdog: where in its life it is and how many bytes have moved.
//!
//! Over HTTP/2 each request has one of its own beside the connection's.
//!
//! Only flags and counters, no clock: the hot path pays a few relaxed stores, and `pace` reads the time when the
//! connection next has to wait. All parts are polled by the connection's own task, or wake it; so relaxed
//! ordering is enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Shared by the stream, the bodies and the watchdog of one connection.
#[derive(Default)]
pub(super) struct Watch {
    open_parts: AtomicU32,
    requests: AtomicU64,
    in_head: AtomicBool,
    answered: AtomicBool,
    upload_waits: AtomicBool,
    unsent_pieces: AtomicU32,
    given_up: AtomicBool,
    write_blocked: AtomicBool,
    received: AtomicU64,
    sent: AtomicU64,
}

/// All of it at one moment.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Reading {
    /// A request is under way: its body or its answer's is not at its end.
    pub(super) busy: bool,
    /// Requests begun so far.
    pub(super) requests: u64,
    /// Some of a head has arrived, not all.
    pub(super) in_head: bool,
    /// The head of the answer to the last request is out, or may be.
    pub(super) answered: bool,
    /// Someone waits for the rest of a request's body.
    pub(super) upload_waits: bool,
    /// The client does not take what is to be sent.
    pub(super) write_blocked: bool,
    /// Bytes read from the socket so far.
    pub(super) received: u64,
    /// Bytes written to the socket so far.
    pub(super) sent: u64,
}

/// A part of a request, its body or its answer, that keeps the connection busy until it is dropped.
pub(super) struct Part(Arc<Watch>);

impl Watch {
    /// The watch of a connection whose client has to speak first: it is in a head from the beginning on.
    pub(super) fn greeting() -> Self {
        Self { in_head: AtomicBool::new(true), ..Self::default() }
    }

    /// A head is complete: a request begins, with its answer as the first part.
    pub(super) fn begin_request(self: &Arc<Self>) -> Part {
        self.in_head.store(false, Relaxed);
        self.answered.store(false, Relaxed);
        add(&self.requests, 1);
        self.part()
    }

    pub(super) fn part(self: &Arc<Self>) -> Part {
        self.open_parts.fetch_add(1, Relaxed);
        Part(Arc::clone(self))
    }

    pub(super) fn note_answered(&self) {
        self.answered.store(true, Relaxed);
    }

    /// Gives up waiting for the request's body. True the first time, and if there is still something to answer.
    pub(super) fn give_up(&self) -> bool {
        !self.answered.load(Relaxed) && !self.given_up.swap(true, Relaxed)
    }

    /// Whether [`Watch::give_up`] was called.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Relaxed)
    }

    pub(super) fn note_upload_waits(&self, waits: bool) {
        self.upload_waits.store(waits, Relaxed);
    }

    /// One more request on a connection that has several at once; the part is the whole of it.
    pub(super) fn join_request(self: &Arc<Self>) -> Part {
        add(&self.requests, 1);
        self.part()
    }

    /// `bytes` were received, of whatever kind.
    pub(super) fn note_received(&self, bytes: usize) {
        add(&self.received, bytes as u64);
    }

    /// Something of HTTP/1.1 was received. Between requests it belongs to a head.
    pub(super) fn note_text(&self) {
        if self.open_parts.load(Relaxed) == 0 {
            self.in_head.store(true, Relaxed);
        }
    }

    /// For transports that know where heads begin and end.
    pub(super) fn note_in_head(&self, in_head: bool) {
        self.in_head.store(in_head, Relaxed);
    }

    /// A piece of an answer was handed over, and waits for the client to make room for it.
    pub(super) fn note_piece(&self) {
        self.unsent_pieces.fetch_add(1, Relaxed);
    }

    /// `bytes` of a piece were taken.
    pub(super) fn note_sent(&self, bytes: usize) {
        add(&self.sent, bytes as u64);
    }

    /// A piece is gone, sent or given up.
    pub(super) fn note_piece_done(&self) {
        self.unsent_pieces.fetch_sub(1, Relaxed);
    }

    /// `written` of `offered` bytes were taken.
    pub(super) fn note_write(&self, written: usize, offered: usize) {
        add(&self.sent, written as u64);
        // Part of it taken is not a free way: a client may take a byte a minute.
        if written == offered {
            self.write_blocked.store(false, Relaxed);
        }
    }

    pub(super) fn note_write_blocked(&self) {
        self.write_blocked.store(true, Relaxed);
    }

    pub(super) fn read(&self) -> Reading {
        Reading {
            busy: self.open_parts.load(Relaxed) > 0,
            requests: self.requests.load(Relaxed),
            in_head: self.in_head.load(Relaxed),
            answered: self.answered.load(Relaxed),
            upload_waits: self.upload_waits.load(Relaxed),
            write_blocked: self.write_blocked.load(Relaxed) || self.unsent_pieces.load(Relaxed) > 0,
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
        }
    }
}

/// Adds to a count that only one task at a time adds to: a store does, and takes a third of what an atomic addition does.
fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Relaxed).wrapping_add(more), Relaxed);
}

impl Part {
    pub(super) fn watch(&self) -> &Watch {
        &self.0
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.0.open_parts.fetch_sub(1, Relaxed);
    }
}
