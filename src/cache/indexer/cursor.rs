//! How far the index has come in a segment, and what comes next there.
//!
//! Reads headers only. Knows neither the index nor which records still count.

use std::io;

use crate::blobs::segment::Kind;
use crate::blobs::{RecordHeader, Segment, SegmentStore, blocks, footer, replay};

/// How far a segment is taken in.
#[derive(Clone, Copy, Default)]
pub(super) struct Cursor {
    /// Bytes of its headers.
    pub(super) header_bytes: usize,
    /// Records below this block are in the index; `u32::MAX`: all, for good.
    pub(super) block: u32,
}

impl Cursor {
    /// The records of `segment` behind this cursor, each with its block, and where the cursor is after them.
    ///
    /// # Errors
    /// The disk's; not found when the segment was freed meanwhile.
    pub(super) fn records(
        self,
        store: &SegmentStore,
        segment: &Segment,
    ) -> io::Result<(Vec<(RecordHeader, u32)>, Self)> {
        let headers = match segment.kind() {
            Kind::Solo => None,
            Kind::Shared => store.headers_from(segment, self.header_bytes)?,
        };
        let Some((salt, bytes)) = headers else {
            let records = replay::replay(segment, u32::MAX)?.records;
            return Ok((records, self));
        };
        let mut next = self;
        let mut records = Vec::new();
        for view in footer::Entries::new(&bytes, salt) {
            next.header_bytes += view.header_len();
            let end = blocks(view.header_len() as u64 + view.body_len());
            let end = view.block().saturating_add(u32::try_from(end).unwrap_or(u32::MAX));
            if view.block() >= self.block
                && let Some(header) = view.to_header()
            {
                records.push((header, view.block()));
            }
            next.block = next.block.max(end);
        }
        Ok((records, next))
    }
}
