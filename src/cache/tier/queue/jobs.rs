//! The jobs of the queue and their order, behind its lock.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;

use tokio::sync::oneshot;

use super::{Job, Length};
use crate::cache::tier::catalogue::Saved;
use crate::index::table::NameHash;
use crate::key::ObjectName;

/// All jobs.
pub(super) struct Jobs {
    /// By sequence number. Those of an unfinished write have no name yet.
    by_sequence: BTreeMap<u64, Waiting>,
    /// Those that may be taken.
    ready: BTreeSet<u64>,
    /// Those that are tried again later.
    later: BTreeSet<(Instant, u64)>,
    /// The newest published one of each object.
    newest: HashMap<NameHash, u64>,
    /// Objects that somebody touches in the bucket.
    busy: HashSet<NameHash>,
    /// Who waits for the first try of a job.
    told: HashMap<u64, oneshot::Sender<()>>,
    bytes: u64,
    /// The first record that has no job and may not be in the bucket.
    not_queued_from: Option<u64>,
    /// Where the walk is that looks for such records.
    walk_at: Option<u64>,
    floor: Saved,
}

struct Waiting {
    name: Option<(ObjectName, NameHash)>,
    length: u64,
    since: Instant,
    /// When it is tried again, where it is among the later ones.
    due: Option<Instant>,
    tries: u32,
    was_found: bool,
    is_unsaved: bool,
}

/// Nothing is held back.
const NO_FLOOR: Saved = Saved { below: u64::MAX, complete_below: u64::MAX };

impl Jobs {
    pub(super) fn new(floor: Saved) -> Self {
        Self {
            by_sequence: BTreeMap::new(),
            ready: BTreeSet::new(),
            later: BTreeSet::new(),
            newest: HashMap::new(),
            busy: HashSet::new(),
            told: HashMap::new(),
            bytes: 0,
            not_queued_from: (floor != NO_FLOOR).then_some(floor.complete_below),
            walk_at: None,
            floor,
        }
    }

    /// What is alone has room, whatever its length: it would never be written otherwise.
    pub(super) fn has_room(&self, length: u64, most_bytes: u64, most_objects: usize) -> bool {
        self.by_sequence.is_empty()
            || self.bytes.saturating_add(length) <= most_bytes && self.by_sequence.len() < most_objects
    }

    pub(super) fn has(&self, sequence: u64) -> bool {
        self.by_sequence.contains_key(&sequence)
    }

    pub(super) fn reserve(&mut self, sequence: u64, length: u64) {
        self.add(sequence, length, false, true);
    }

    pub(super) fn publish(&mut self, sequence: u64, name: ObjectName, hash: NameHash) {
        let Some(job) = self.by_sequence.get_mut(&sequence) else { return };
        job.name = Some((name, hash));
        match self.newest.get(&hash).copied() {
            Some(newer) if newer > sequence => return self.remove(sequence),
            // One that is being written is done with when its writer says so.
            Some(older) if self.is_waiting(older) => self.remove(older),
            _ => {}
        }
        self.newest.insert(hash, sequence);
        self.ready.insert(sequence);
    }

    pub(super) fn found(&mut self, job: Job, length: u64, is_unsaved: bool) {
        self.add(job.sequence, length, true, is_unsaved);
        self.publish(job.sequence, job.name, job.hash);
    }

    fn add(&mut self, sequence: u64, length: u64, was_found: bool, is_unsaved: bool) {
        let since = Instant::now();
        let waiting = Waiting { name: None, length, since, due: None, tries: 0, was_found, is_unsaved };
        self.by_sequence.insert(sequence, waiting);
        self.bytes += length;
    }

    fn is_waiting(&self, sequence: u64) -> bool {
        let due = self.by_sequence.get(&sequence).and_then(|job| job.due);
        self.ready.contains(&sequence) || due.is_some()
    }

    pub(super) fn remove(&mut self, sequence: u64) {
        self.told.remove(&sequence);
        self.ready.remove(&sequence);
        let Some(job) = self.by_sequence.remove(&sequence) else { return };
        self.bytes -= job.length;
        if let Some(due) = job.due {
            self.later.remove(&(due, sequence));
        }
        if let Some((_, hash)) = job.name
            && self.newest.get(&hash) == Some(&sequence)
        {
            self.newest.remove(&hash);
        }
    }

    /// Takes the oldest job whose object nobody touches; else says when to look again.
    pub(super) fn take(&mut self, now: Instant) -> (Option<Job>, Option<Instant>) {
        while let Some((due, sequence)) = self.later.first().copied().filter(|(due, _)| *due <= now) {
            self.later.remove(&(due, sequence));
            self.ready.insert(sequence);
            if let Some(job) = self.by_sequence.get_mut(&sequence) {
                job.due = None;
            }
        }
        let job = |sequence: &u64| {
            let waiting = self.by_sequence.get(sequence)?;
            let (name, hash) = waiting.name.clone()?;
            let (was_found, tries) = (waiting.was_found, waiting.tries);
            (!self.busy.contains(&hash)).then_some(Job { name, hash, sequence: *sequence, was_found, tries })
        };
        let taken = self.ready.iter().find_map(job);
        if let Some(job) = &taken {
            self.ready.remove(&job.sequence);
            self.busy.insert(job.hash);
        }
        (taken, self.later.first().map(|(due, _)| *due))
    }

    /// Puts a job that was taken back, to be taken again from `due` on.
    pub(super) fn delay(&mut self, sequence: u64, due: Instant) {
        self.told.remove(&sequence);
        let Some(job) = self.by_sequence.get_mut(&sequence) else { return };
        job.tries += 1;
        let is_newest = job.name.as_ref().is_some_and(|(_, hash)| self.newest.get(hash) == Some(&sequence));
        if is_newest {
            job.due = Some(due);
            self.later.insert((due, sequence));
        } else {
            self.remove(sequence);
        }
    }

    pub(super) fn occupy(&mut self, hash: NameHash) -> bool {
        self.busy.insert(hash)
    }

    pub(super) fn free(&mut self, hash: NameHash) {
        self.busy.remove(&hash);
    }

    pub(super) fn tell(&mut self, sequence: u64, told: oneshot::Sender<()>) -> bool {
        let waits = self.has(sequence);
        if waits {
            self.told.insert(sequence, told);
        }
        waits
    }

    pub(super) fn tell_all(&mut self) {
        self.told.clear();
    }

    pub(super) fn length(&self) -> Length {
        let since = self.by_sequence.values().map(|job| job.since).min();
        Length {
            objects: self.by_sequence.len() as u64,
            bytes: self.bytes,
            age: since.map(|since| since.elapsed()).unwrap_or_default(),
        }
    }

    pub(super) fn saved(&self, next: u64) -> Saved {
        let first = self.by_sequence.keys().next().copied();
        let mut unsaved = self.by_sequence.iter().filter(|(_, job)| job.is_unsaved);
        let first_unsaved = unsaved.next().map(|(sequence, _)| *sequence);
        let below = first_unsaved.unwrap_or(next).min(self.floor.below);
        let open = [first, self.not_queued_from, self.walk_at, Some(self.floor.complete_below)];
        let complete_below = open.into_iter().flatten().min().unwrap_or(next).min(next).min(below);
        Saved { below: below.min(next), complete_below }
    }

    pub(super) fn note_not_queued(&mut self, sequence: u64) {
        let from = self.not_queued_from.unwrap_or(sequence).min(sequence);
        self.not_queued_from = Some(from);
    }

    pub(super) fn begin_walk(&mut self) -> Option<u64> {
        if self.walk_at.is_some() {
            return None;
        }
        self.walk_at = self.not_queued_from.take();
        self.walk_at
    }

    pub(super) fn walk_is_at(&mut self, sequence: u64) {
        self.walk_at = Some(sequence);
    }

    pub(super) fn end_walk(&mut self, is_complete: bool) {
        let at = self.walk_at.take();
        if is_complete {
            self.floor = NO_FLOOR;
        } else if let Some(at) = at {
            self.note_not_queued(at);
        }
    }
}
