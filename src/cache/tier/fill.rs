//! A body on its way from the bucket: what has arrived of it, for all who wait for it.
//!
//! Owns the hand-over between the one task that reads the bucket and any number of readers, each at its own pace. What is
//! not in memory any more is in the file that it is stored in. Knows nothing of the bucket.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::blobs::SoloView;
use crate::cache::error::CacheError;
use crate::cache::flight::{CHUNK_BYTES, FlightPermit};
use crate::object::ObjectInfo;

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cache) enum Stage {
    /// Nothing that can be answered is known yet.
    Asking,
    /// The bucket does not have the object.
    Absent,
    /// The bucket failed, or the body was not whole.
    Failed,
    /// There is no memory for it now.
    Overloaded,
    /// The body is handed out as it arrives.
    Arriving(ObjectInfo),
    /// All of it is there and found right, and it is stored where there was room.
    Whole(ObjectInfo),
}

#[derive(Clone, Copy)]
struct Progress {
    stage: Stage,
    /// Bytes of the body that readers may have.
    released: u64,
}

/// A body on its way.
pub(in crate::cache) struct Fill {
    progress: watch::Sender<Progress>,
    arrived: Mutex<Arrived>,
    view: OnceLock<SoloView>,
    /// For the part of the body that is in memory; it goes with the last reader.
    permit: Mutex<FlightPermit>,
}

/// The part of the body that is in memory, in order.
#[derive(Default)]
struct Arrived {
    chunks: VecDeque<(u64, Bytes)>,
    end: u64,
}

/// One reader of a body on its way.
pub(in crate::cache) struct FillReader {
    fill: Arc<Fill>,
    progress: watch::Receiver<Progress>,
    info: ObjectInfo,
}

impl Fill {
    pub(in crate::cache) fn new() -> Arc<Self> {
        let (progress, _) = watch::channel(Progress { stage: Stage::Asking, released: 0 });
        Arc::new(Self {
            progress,
            arrived: Mutex::default(),
            view: OnceLock::new(),
            permit: Mutex::default(),
        })
    }

    /// Holds memory for what is in memory of the body.
    pub(super) fn hold(&self, permit: FlightPermit) {
        self.permit.lock().join(permit);
    }

    /// Readers find in `view` what is not in memory any more.
    pub(super) fn set_view(&self, view: SoloView) {
        // Set once, by the one task that fills.
        let _ = self.view.set(view);
    }

    /// Takes the next part of the body in; readers have it when it is released.
    pub(super) fn push(&self, chunk: Bytes) {
        let written = self.view.get().map_or(0, SoloView::written);
        let mut arrived = self.arrived.lock();
        let at = arrived.end;
        arrived.end += chunk.len() as u64;
        arrived.chunks.push_back((at, chunk));
        while arrived.chunks.front().is_some_and(|(at, chunk)| at + chunk.len() as u64 <= written) {
            arrived.chunks.pop_front();
        }
    }

    /// Readers may have the first `released` bytes.
    pub(super) fn release(&self, stage: Stage, released: u64) {
        self.progress.send_replace(Progress { stage, released });
    }

    /// It ends without a body, or before the end of one.
    pub(super) fn end(&self, stage: Stage) {
        self.progress.send_modify(|progress| progress.stage = stage);
    }

    /// Nobody goes on with it: where it has not ended, it has failed.
    pub(super) fn give_up(&self) {
        self.progress.send_if_modified(|progress| {
            let is_open = matches!(progress.stage, Stage::Asking | Stage::Arriving(_));
            if is_open {
                progress.stage = Stage::Failed;
            }
            is_open
        });
    }

    /// Waits until it is known what to answer.
    pub(in crate::cache) async fn answer(self: &Arc<Self>) -> Result<FillReader, Stage> {
        let mut progress = self.progress.subscribe();
        // The sender is in `self`: it is not gone.
        let known = progress.wait_for(|now| now.stage != Stage::Asking).await.map(|now| now.stage);
        match known.unwrap_or(Stage::Failed) {
            Stage::Arriving(info) | Stage::Whole(info) => {
                Ok(FillReader { fill: Arc::clone(self), progress, info })
            }
            other => Err(other),
        }
    }
}

impl FillReader {
    /// Properties of the object.
    pub(in crate::cache) fn info(&self) -> ObjectInfo {
        self.info
    }

    /// Waits for the end. True when the body is whole.
    pub(in crate::cache) async fn whole(&mut self) -> bool {
        let ended = self.progress.wait_for(|now| !matches!(now.stage, Stage::Arriving(_))).await;
        ended.is_ok_and(|now| matches!(now.stage, Stage::Whole(_)))
    }

    /// The bytes of the body from `at` on, at least one and at most `most`, once they are there. `at` is before the end.
    ///
    /// # Errors
    /// `Vanished` when they never come, `Io`.
    pub(in crate::cache) async fn read(&mut self, at: u64, most: usize) -> Result<Bytes, CacheError> {
        let is_settled = |now: &Progress| now.released > at || !matches!(now.stage, Stage::Arriving(_));
        let released = match self.progress.wait_for(is_settled).await {
            Ok(now) if now.released > at => now.released,
            _ => return Err(CacheError::Vanished),
        };
        let length = usize::try_from(released - at).unwrap_or(most).min(most).min(CHUNK_BYTES);
        if let Some(bytes) = self.fill.arrived.lock().part(at, length) {
            return Ok(bytes);
        }
        let Some(view) = self.fill.view.get().cloned() else { return Err(CacheError::Vanished) };
        // What is released may reach past what is in the file by now, and the rest is in memory.
        let written = usize::try_from(view.written().saturating_sub(at)).unwrap_or(length);
        let length = length.min(written);
        if length == 0 {
            return Err(CacheError::Vanished);
        }
        let read = move || {
            let mut buffer = vec![0; length];
            view.read(&mut buffer, at).map(|()| Bytes::from(buffer))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)?;
        Ok(read?)
    }
}

impl Arrived {
    /// Up to `length` bytes at `at`, where they are in memory.
    fn part(&self, at: u64, length: usize) -> Option<Bytes> {
        let behind = self.chunks.partition_point(|(start, _)| *start <= at);
        let (start, chunk) = self.chunks.get(behind.checked_sub(1)?)?;
        let from = usize::try_from(at - start).ok()?;
        (from < chunk.len()).then(|| chunk.slice(from..chunk.len().min(from + length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ETag;

    fn info(length: u64) -> ObjectInfo {
        ObjectInfo { length, etag: ETag(1), created_ms: 1, cost_ms: 0, sequence: 0 }
    }

    #[tokio::test]
    async fn every_reader_gets_what_is_released_and_no_more() {
        let fill = Fill::new();
        fill.push(Bytes::from_static(b"abc"));
        fill.push(Bytes::from_static(b"defg"));
        fill.release(Stage::Arriving(info(7)), 5);
        let mut reader = fill.answer().await.unwrap();
        assert_eq!(reader.read(0, 100).await.unwrap(), "abc");
        assert_eq!(reader.read(3, 100).await.unwrap(), "de");
        assert_eq!(reader.read(1, 1).await.unwrap(), "b");
        let mut waiting = fill.answer().await.unwrap();
        let rest = tokio::spawn(async move { waiting.read(5, 100).await });
        fill.release(Stage::Whole(info(7)), 7);
        assert_eq!(rest.await.unwrap().unwrap(), "fg");
        assert!(reader.whole().await);
    }

    #[tokio::test]
    async fn what_ends_early_is_an_error_for_who_reads_and_an_answer_for_who_waits() {
        let fill = Fill::new();
        fill.push(Bytes::from_static(b"abc"));
        fill.release(Stage::Arriving(info(7)), 2);
        let mut reader = fill.answer().await.unwrap();
        fill.end(Stage::Failed);
        assert_eq!(reader.read(0, 100).await.unwrap(), "ab");
        assert!(reader.read(2, 100).await.is_err());
        assert!(!reader.whole().await);
        assert_eq!(fill.answer().await.err(), Some(Stage::Failed));
    }
}
