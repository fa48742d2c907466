//! Bodies that the kernel sends from their file, past hyper and without a copy.
//!
//! hyper only knows bytes. So a body hands it a stand-in: a slice of [`STAND_IN`], as long as the part of the file that is
//! meant, and puts the part into the connection's queue. The connection's stream (`server::stream`) knows a stand-in by its
//! address and sends the next part of the queue in its place. Both are in the order of the answers, and what was put in the
//! queue is always written: a part goes in only when hyper takes the stand-in.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::blobs::FilePart;

/// Longest stand-in, and so the longest part of a file, in bytes.
pub const MAX_STAND_IN: usize = 1 << 20;

/// Never read, never written, and never sent: a page of it would come up as zeros.
static STAND_IN: [u8; MAX_STAND_IN] = [0; MAX_STAND_IN];

/// Parts of files that a connection is about to send. It is known with where a request came from; a request without one came
/// over a transport that cannot send files.
#[derive(Clone, Default)]
pub struct FileQueue {
    parts: Arc<Mutex<VecDeque<FilePart>>>,
}

impl fmt::Debug for FileQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileQueue").finish_non_exhaustive()
    }
}

impl FileQueue {
    /// Puts a part at the end of the queue and returns its stand-in. `part` has at most [`MAX_STAND_IN`] bytes.
    #[must_use]
    pub fn push(&self, part: FilePart) -> Bytes {
        let stand_in = Bytes::from_static(&STAND_IN[..part.len()]);
        self.parts.lock().push_back(part);
        stand_in
    }

    /// Runs `send` with the part that is next, and drops the part once it is sent. `None` when there is none.
    pub fn send_next<R>(&self, send: impl FnOnce(&mut FilePart) -> R) -> Option<R> {
        let mut parts = self.parts.lock();
        let sent = parts.front_mut().map(send);
        if parts.front().is_some_and(FilePart::is_empty) {
            parts.pop_front();
        }
        sent
    }
}

/// True when `bytes` is a stand-in.
#[must_use]
pub fn is_stand_in(bytes: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&bytes.as_ptr())
}
