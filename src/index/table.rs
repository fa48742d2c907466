//! The table in memory: from an object's hash to its record, in exact LRU order. About 80 bytes an object.
//!
//! Owns recency, what each group of namespaces takes, what no eviction may take, and the rule which of two records of a name counts. Requests only ever touch this half of the
//! index. Sharded, so that growing a shard never holds up the whole server; the order of use is exact across shards,
//! because the shard with the oldest tail is asked for the next victim.

mod node;
mod shard;
mod walk;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use siphasher::sip128::{Hasher128, SipHasher13};

use self::shard::Shard;
use super::Clock;
pub use super::clock::now_us;
use crate::blobs::Location;
use crate::key::ObjectName;
use crate::object::Precondition;

/// Identifies an object: 80 bits of a keyed hash of its name. The key is new in every process, so that nobody can
/// prepare two names that meet; that any two of a thousand million do has a chance of one in two million. The record's own
/// header is compared besides.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NameHash {
    /// Places it in its shard.
    high: u64,
    /// Chooses the shard.
    low: u16,
}

impl NameHash {
    /// The hash as one number.
    #[must_use]
    pub fn number(self) -> u128 {
        u128::from(self.high) << 16 | u128::from(self.low)
    }
}

/// Whose an object is, as far as limits go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Space {
    /// Number of the namespaces that have their limits together, below what the table was made for.
    pub group: u16,
    /// Tells the namespaces of one group apart, where that is of interest.
    pub instance: u32,
}

/// What the table knows of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// The object's hash.
    pub hash: NameHash,
    /// The record's sequence number.
    pub sequence: u64,
    /// Where it lies.
    pub location: Location,
    /// Whose it is.
    pub space: Space,
    /// When it was stored, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it was last used, microseconds since the Unix epoch.
    pub used_us: u64,
    /// How often it was read.
    pub hits: u32,
    /// True once its body was checked, or written, by this process.
    pub verified: bool,
    /// True while this is the only place where it is, and it is to be in another one: no eviction takes it.
    pub unsaved: bool,
}

/// A record that is to become the current one of its object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewRecord {
    /// The object's hash.
    pub hash: NameHash,
    /// The record's sequence number.
    pub sequence: u64,
    /// Where it lies.
    pub location: Location,
    /// Whose it is.
    pub space: Space,
    /// When it was stored, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// As in [`Slot::unsaved`].
    pub unsaved: bool,
}

/// What an insert did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inserted {
    /// There was no object of this name.
    Created,
    /// The record takes the place of this one.
    Replaced(Slot),
    /// A later write of the same object came first; the record is dead already.
    Superseded,
}

/// What taking in a record found at the start did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loaded {
    /// It is the current record of its object now; what it replaced is dead.
    Added(Option<Slot>),
    /// It was known already.
    Known,
    /// A newer record is known, or the object was deleted meanwhile: it is dead.
    Dead,
}

/// The table.
pub struct Table {
    shards: Box<[Mutex<Shard>]>,
    /// Per shard, when its least recently used object was used; `u64::MAX` when it is empty.
    oldest: Box<[AtomicU64]>,
    objects: AtomicU64,
    bytes: AtomicU64,
    groups: Box<[Usage]>,
    clock: Clock,
    keys: (u64, u64),
}

/// What one group has.
#[derive(Default)]
struct Usage {
    objects: AtomicU64,
    disk_bytes: AtomicU64,
}

impl Table {
    /// Number of parts, each behind a lock of its own.
    pub const SHARDS: usize = 64;

    /// An empty table for objects of this many groups, in the state of loading: see [`Table::finish_loading`].
    #[must_use]
    pub fn new(groups: u16, clock: Clock) -> Self {
        let seed = RandomState::new();
        let groups = usize::from(groups);
        Self {
            shards: (0..Self::SHARDS).map(|_| Mutex::new(Shard::new(groups))).collect(),
            oldest: (0..Self::SHARDS).map(|_| AtomicU64::new(u64::MAX)).collect(),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            groups: (0..groups).map(|_| Usage::default()).collect(),
            clock,
            keys: (seed.hash_one(0), seed.hash_one(1)),
        }
    }

    /// The hash of a name.
    #[must_use]
    pub fn hash(&self, name: &ObjectName) -> NameHash {
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        hasher.write(name.namespace.as_str().as_bytes());
        hasher.write_u8(0);
        hasher.write(name.key.as_str().as_bytes());
        let hash = hasher.finish128();
        let [first, second, ..] = hash.h2.to_le_bytes();
        NameHash { high: hash.h1, low: u16::from_le_bytes([first, second]) }
    }

    /// Number of objects.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    /// Bytes of all bodies.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Number of objects in a group.
    #[must_use]
    pub fn objects_of(&self, group: u16) -> u64 {
        self.groups[usize::from(group)].objects.load(Ordering::Relaxed)
    }

    /// Bytes of disk blocks that the records of a group take.
    #[must_use]
    pub fn disk_bytes_of(&self, group: u16) -> u64 {
        self.groups[usize::from(group)].disk_bytes.load(Ordering::Relaxed)
    }

    /// Finds an object, counts the use, and runs `pin` before anybody can remove it.
    pub fn get<P>(&self, hash: NameHash, pin: impl FnOnce(&Slot) -> P) -> Option<(Slot, P)> {
        let now = self.clock.now_us();
        self.with_shard(hash, |shard| {
            let slot = shard.touch(hash, now)?;
            Some((slot, pin(&slot)))
        })
    }

    /// Finds an object without counting a use; runs `pin` before anybody can remove it.
    pub fn peek<P>(&self, hash: NameHash, pin: impl FnOnce(&Slot) -> P) -> Option<(Slot, P)> {
        self.with_shard(hash, |shard| {
            let slot = shard.find(hash)?;
            Some((slot, pin(&slot)))
        })
    }

    /// Makes a new record the current one of its object, where the precondition holds at that moment.
    /// A record that was stored later than this one stays. `let_go` gets what is replaced before anybody can remove the new
    /// record: whoever does then finds the old one among the dead.
    ///
    /// # Errors
    /// The precondition, when it does not hold; nothing changed then.
    pub fn insert(
        &self,
        record: NewRecord,
        precondition: Precondition,
        let_go: impl FnOnce(&Slot),
    ) -> Result<Inserted, Precondition> {
        let NewRecord { hash, sequence, location, space, created_ms, unsaved } = record;
        let used_us = self.clock.now_us();
        let slot =
            Slot { hash, sequence, location, space, created_ms, used_us, hits: 0, verified: true, unsaved };
        let inserted = self.with_shard(hash, |shard| {
            let present = shard.find(hash);
            check(precondition, present.as_ref())?;
            if present.is_some_and(|present| present.sequence > sequence) {
                return Ok(Inserted::Superseded);
            }
            shard.remove(hash);
            shard.insert_newest(slot);
            // Under the lock, before anybody can count it as removed.
            self.count_added(&slot);
            if let Some(old) = &present {
                let_go(old);
            }
            Ok(present.map_or(Inserted::Created, Inserted::Replaced))
        })?;
        if let Inserted::Replaced(old) = &inserted {
            self.count_removed(old);
        }
        Ok(inserted)
    }

    /// Takes in a record found at the start.
    pub fn insert_loaded(&self, slot: Slot) -> Loaded {
        let loaded = self.with_shard(slot.hash, |shard| {
            if shard.was_deleted(slot.hash) {
                return Loaded::Dead;
            }
            match shard.find(slot.hash) {
                Some(known) if known.location == slot.location => Loaded::Known,
                Some(known) if known.sequence >= slot.sequence => Loaded::Dead,
                known => {
                    shard.remove(slot.hash);
                    shard.insert_newest(slot);
                    self.count_added(&slot);
                    Loaded::Added(known)
                }
            }
        });
        if let Loaded::Added(Some(old)) = &loaded {
            self.count_removed(old);
        }
        loaded
    }

    /// Puts the objects that were loaded into the order of their use, and forgets what was removed meanwhile.
    pub fn finish_loading(&self) {
        for (shard, oldest) in self.shards.iter().zip(&self.oldest) {
            let mut shard = shard.lock();
            shard.finish_loading();
            oldest.store(shard.oldest_us(), Ordering::Release);
        }
    }

    /// Removes an object where the precondition holds.
    ///
    /// # Errors
    /// The precondition, when it does not hold.
    pub fn remove(&self, hash: NameHash, precondition: Precondition) -> Result<Option<Slot>, Precondition> {
        let removed = self.with_shard(hash, |shard| {
            check(precondition, shard.find(hash).as_ref())?;
            Ok(shard.delete(hash))
        })?;
        if let Some(slot) = &removed {
            self.count_removed(slot);
        }
        Ok(removed)
    }

    /// Removes exactly this record. False when the object has changed, or its record has moved, meanwhile.
    #[must_use]
    pub fn remove_record(&self, record: &Slot) -> bool {
        self.remove_if(record, |_| true)
    }

    /// Removes exactly this record, unless it was used since `record` was looked at.
    #[must_use]
    pub fn remove_unused(&self, record: &Slot) -> bool {
        self.remove_if(record, |now| now.used_us == record.used_us)
    }

    fn remove_if(&self, record: &Slot, condition: impl FnOnce(&Slot) -> bool) -> bool {
        self.with_shard(record.hash, |shard| {
            let same = shard.find(record.hash).is_some_and(|slot| {
                slot.sequence == record.sequence && slot.location == record.location && condition(&slot)
            });
            if same && let Some(slot) = shard.delete(record.hash) {
                self.count_removed(&slot);
            }
            same
        })
    }

    /// Points an object at a copy of its record. False when the object has changed meanwhile.
    #[must_use]
    pub fn relocate(&self, hash: NameHash, sequence: u64, from: Location, to: Location) -> bool {
        self.with_shard(hash, |shard| {
            shard.update(hash, |slot| {
                let same = slot.sequence == sequence && slot.location == from;
                if same {
                    slot.location = to;
                }
                same
            })
        })
    }

    /// Notes that the body of this record was found whole.
    pub fn set_verified(&self, hash: NameHash, sequence: u64) {
        self.with_shard(hash, |shard| {
            shard.update(hash, |slot| {
                slot.verified |= slot.sequence == sequence;
                true
            })
        });
    }

    /// Notes that the record of this sequence number is safe elsewhere, and lets eviction have it. False when it is not the
    /// current one.
    pub fn set_saved(&self, hash: NameHash, sequence: u64) -> bool {
        self.with_shard(hash, |shard| shard.set_saved(hash, sequence))
    }

    fn with_shard<R>(&self, hash: NameHash, work: impl FnOnce(&mut Shard) -> R) -> R {
        // By other bits than those that place an object inside its shard.
        let at = usize::from(hash.low) % Self::SHARDS;
        let mut shard = self.shards[at].lock();
        let result = work(&mut shard);
        self.oldest[at].store(shard.oldest_us(), Ordering::Release);
        result
    }

    fn count_added(&self, slot: &Slot) {
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(slot.location.body_len, Ordering::Relaxed);
        let usage = &self.groups[usize::from(slot.space.group)];
        usage.objects.fetch_add(1, Ordering::Relaxed);
        usage.disk_bytes.fetch_add(slot.location.disk_len(), Ordering::Relaxed);
    }

    fn count_removed(&self, slot: &Slot) {
        self.objects.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(slot.location.body_len, Ordering::Relaxed);
        let usage = &self.groups[usize::from(slot.space.group)];
        usage.objects.fetch_sub(1, Ordering::Relaxed);
        usage.disk_bytes.fetch_sub(slot.location.disk_len(), Ordering::Relaxed);
    }
}

fn check(precondition: Precondition, present: Option<&Slot>) -> Result<(), Precondition> {
    let holds = precondition.holds(present.map(|slot| slot.sequence));
    if holds { Ok(()) } else { Err(precondition) }
}
