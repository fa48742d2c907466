//! Checking in the background the bodies that nobody has read since the last check, slowly; and the check itself.

use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::signal::WakeUp;
use super::state::State;
use crate::blobs::{Pin, RecordView, record, replay};
use crate::index::Table;
use crate::index::table::Slot;
use crate::key::ObjectName;

/// Bytes a second that the scrub reads.
const BYTES_PER_SECOND: u64 = 16 << 20;
/// Objects taken from the table at a time.
const BATCH: usize = 64;
/// From the end of a pass to the next one, in milliseconds: disks lose bits in months, and a pass wears nothing out.
const EVERY_MS: u64 = 7 * 24 * 3_600_000;

/// When the next pass is due.
#[derive(Default)]
pub(super) struct Schedule {
    due_ms: u64,
    is_under_way: bool,
}

impl Schedule {
    /// Goes on with a pass that is due, until all bodies are checked or `wake` says stop.
    pub(super) fn work(&mut self, state: &State, wake: &WakeUp) {
        if state.clock.now_ms() < self.due_ms {
            return;
        }
        if self.due_ms > 0 && !std::mem::replace(&mut self.is_under_way, true) {
            // With `verify = "first"` that makes the next read check, too.
            state.table.forget_verified();
        }
        if scrub(state, wake) {
            *self = Self { due_ms: state.clock.now_ms().saturating_add(EVERY_MS), is_under_way: false };
        }
    }
}

/// Checks bodies until all are checked or `wake` says stop. True when all are checked.
fn scrub(state: &State, wake: &WakeUp) -> bool {
    for shard in 0..Table::SHARDS {
        loop {
            let slots = state.table.unverified(shard, BATCH);
            if slots.is_empty() {
                break;
            }
            for slot in slots {
                settle(state, &slot, &examine(state, &slot));
                let micros = (slot.location.record_len() + 4096) * 1_000_000 / BYTES_PER_SECOND;
                if !wake.sleep(Duration::from_micros(micros)) {
                    return false;
                }
            }
        }
    }
    true
}

/// What a look at a record found.
#[derive(Debug)]
pub(super) enum Examined {
    Whole,
    /// Replaced, moved or removed since it was looked up.
    Gone,
    /// Deleted right before a process died.
    Dead,
    Damaged {
        what: &'static str,
        /// Whose it is and what its body was, where the header still says so.
        was: Option<(ObjectName, u128)>,
    },
}

/// Reads a record and compares its checksums. Changes nothing.
pub(super) fn examine(state: &State, slot: &Slot) -> Examined {
    let location = slot.location;
    // The batch may be minutes old: only a record that is still current, and still there, can be judged.
    let pin = state.table.peek(slot.hash, |now| {
        (now.sequence == slot.sequence && now.location == location).then(|| state.store.pin(&location))
    });
    let Some((_, Some(pin))) = pin else { return Examined::Gone };
    let Some(pin) = pin else { return Examined::Damaged { what: "segment missing", was: None } };
    look(slot, &pin).unwrap_or_else(|error| {
        tracing::warn!(segment = location.segment, %error, "record could not be read");
        Examined::Damaged { what: "unreadable", was: None }
    })
}

fn look(slot: &Slot, pin: &Pin) -> io::Result<Examined> {
    let (file, location) = (pin.file()?, slot.location);
    let mut header = vec![0; usize::from(location.header_len)];
    file.read_exact_at(&mut header, location.offset())?;
    let Some(view) = RecordView::parse(&header, pin.segment().salt(), Some(location.block)) else {
        let is_dead = record::is_dead(&header) || replay::is_hole(file, location.offset()).unwrap_or(false);
        return Ok(if is_dead { Examined::Dead } else { Examined::Damaged { what: "header", was: None } });
    };
    let found = replay::body_checksum(file, location.body_offset(), location.body_len)?;
    if found == Some(view.body_checksum()) {
        return Ok(Examined::Whole);
    }
    let was = view.to_header().map(|header| (header.name, header.body_checksum));
    Ok(Examined::Damaged { what: "body", was })
}

/// Does what follows from it.
pub(super) fn settle(state: &State, slot: &Slot, examined: &Examined) {
    match examined {
        Examined::Whole => state.table.set_verified(slot.hash, slot.sequence),
        Examined::Gone => {}
        Examined::Dead => drop(state.drop_dead(slot)),
        Examined::Damaged { what, .. } => state.drop_damaged(slot, what),
    }
}
