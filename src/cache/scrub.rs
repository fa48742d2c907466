//! Checking in the background the bodies that nobody has read since the start, slowly.

use std::time::Duration;

use super::signal::WakeUp;
use super::state::State;
use crate::blobs::{RecordView, replay};
use crate::index::Table;
use crate::index::table::Slot;

/// Bytes a second that the scrub reads.
const BYTES_PER_SECOND: u64 = 16 << 20;
/// Objects taken from the table at a time.
const BATCH: usize = 64;

/// Checks bodies until all are checked or `wake` says stop. True when all are checked.
pub(super) fn scrub(state: &State, wake: &WakeUp) -> bool {
    for shard in 0..Table::SHARDS {
        loop {
            let slots = state.table.unverified(shard, BATCH);
            if slots.is_empty() {
                break;
            }
            for slot in slots {
                check(state, &slot);
                let micros = (slot.location.record_len() + 4096) * 1_000_000 / BYTES_PER_SECOND;
                if !wake.sleep(Duration::from_micros(micros)) {
                    return false;
                }
            }
        }
    }
    true
}

fn check(state: &State, slot: &Slot) {
    let location = slot.location;
    // The batch may be minutes old: only a record that is still current, and still there, can be judged.
    let pin = state.table.peek(slot.hash, |now| {
        (now.sequence == slot.sequence && now.location == location).then(|| state.store.pin(&location))
    });
    let Some((_, Some(pin))) = pin else { return };
    let Some(pin) = pin else { return state.drop_damaged(slot, "segment missing") };
    let whole = pin.file().and_then(|file| {
        let mut header = vec![0; usize::from(location.header_len)];
        std::os::unix::fs::FileExt::read_exact_at(file, &mut header, location.offset())?;
        let Some(view) = RecordView::parse(&header, pin.segment().salt(), Some(location.block)) else {
            state.drop_unreadable(slot, &pin, &header);
            return Ok(None);
        };
        let found = replay::body_checksum(file, location.body_offset(), location.body_len)?;
        Ok(Some(found == Some(view.body_checksum())))
    });
    match whole {
        Ok(Some(true)) => state.table.set_verified(slot.hash, slot.sequence),
        Ok(Some(false)) => state.drop_damaged(slot, "found by the scrub"),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(segment = location.segment, %error, "record could not be read");
            state.drop_damaged(slot, "unreadable");
        }
    }
}
