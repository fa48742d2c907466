//! Looking objects up: in their namespace, and where it has none, in its bases one after the other.
//!
//! Reads see through a layer; writes and deletes never leave it. Owns that difference, and what a precondition, which
//! speaks of what a reader sees, means for the layer's own object. An object whose time is over is not there.
//!
//! [`look`] goes as far as it can without waiting, which for most reads is to the end: a small object in the page cache, and a
//! miss where there is nothing else to ask, cost no future.

use std::sync::Arc;

use super::error::CacheError;
use super::opening::{self, Opened, Opening};
use super::read::Object;
use super::state::State;
use super::tier;
use crate::index::table::Slot;
use crate::key::ObjectName;
use crate::object::{ObjectInfo, Precondition};

/// Where else to look for an object that its own namespace does not have on disk.
enum Place {
    Disk(ObjectName),
    Bucket(ObjectName),
}

/// What a look at a name came to.
pub enum Look {
    /// What a reader of the name sees.
    Done(Option<Object>),
    /// Something has to be waited for.
    Waits(Waits),
}

/// A look that has to wait for the disk or the bucket: see [`Cache::wait`](super::Cache::wait).
pub struct Waits {
    /// The namespace's own object, where it is what is waited for. Absent: it has none, and other places are to be asked.
    own: Option<Box<Opening>>,
}

/// Finds what a reader of `name` sees, as far as that goes without waiting, and marks it as used.
pub(super) fn look(state: &Arc<State>, name: &ObjectName) -> Result<Look, CacheError> {
    Ok(match look_own(state, name)? {
        Opened::Found(object) => Look::Done(Some(object)),
        Opened::Waits(opening) => Look::Waits(Waits { own: Some(opening) }),
        Opened::Gone if is_only_place(state, name) => Look::Done(None),
        Opened::Gone => Look::Waits(Waits { own: None }),
    })
}

/// Finishes a look at `name`.
pub(super) async fn wait(
    state: &Arc<State>,
    name: &ObjectName,
    waits: Waits,
) -> Result<Option<Object>, CacheError> {
    if let Some(opening) = waits.own {
        // A record that turns out damaged may have been replaced or moved meanwhile: the other one is the answer then.
        let found = match opening.later(state, name).await? {
            Some(object) => Some(object),
            None => get_own(state, name).await?,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    for place in further_places(state, name) {
        let found = match &place {
            Place::Disk(name) => get_own(state, name).await?,
            Place::Bucket(name) => match Box::pin(tier::fetch(state, name)).await? {
                // A read from the bucket that ended between the look at the disk and the one for such a read has stored it.
                None => get_own(state, name).await?,
                found => found,
            },
        };
        let Some(object) = found else { continue };
        if place.name().namespace != name.namespace && !name.key.is_probe() {
            state.metrics.base_hits.inc();
        }
        return Ok(Some(object));
    }
    Ok(None)
}

/// The properties of what a reader of `name` sees; not a use.
pub(super) async fn head(state: &Arc<State>, name: &ObjectName) -> Result<Option<ObjectInfo>, CacheError> {
    if let Some(info) = head_own(state, name).await? {
        return Ok(Some(info));
    }
    for place in further_places(state, name) {
        let found = match &place {
            Place::Disk(name) => head_own(state, name).await?,
            // Brought here: who asks may go on to speak of this very version.
            Place::Bucket(name) => {
                tier::bring(state, name).await?;
                head_own(state, name).await?
            }
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Brings what a reader of `name` sees to the disk, where it is only in the bucket: a condition is decided there.
pub(super) async fn bring(state: &Arc<State>, name: &ObjectName) -> Result<(), CacheError> {
    if state.tier.is_none() || current(state, name).is_some() {
        return Ok(());
    }
    for place in further_places(state, name) {
        if let Place::Bucket(name) = &place {
            tier::bring(state, name).await?;
        }
        if current(state, place.name()).is_some() {
            break;
        }
    }
    Ok(())
}

impl Place {
    fn name(&self) -> &ObjectName {
        match self {
            Self::Disk(name) | Self::Bucket(name) => name,
        }
    }
}

/// The other places in their order. The bucket is slow beside a disk: it is asked before a base's disk only where it is
/// known to have the layer's own object.
fn further_places(state: &State, name: &ObjectName) -> Vec<Place> {
    let mut places: Vec<Place> = names_below(state, name).map(Place::Disk).collect();
    if state.tier.is_some() {
        let is_first = places.is_empty() || tier::is_known(state, name);
        let first = if is_first { 0 } else { places.len() };
        places.insert(first, Place::Bucket(name.clone()));
        places.extend(names_below(state, name).map(Place::Bucket));
    }
    places
}

/// As [`head`], of the namespace's own object.
pub(super) async fn head_own(
    state: &Arc<State>,
    name: &ObjectName,
) -> Result<Option<ObjectInfo>, CacheError> {
    loop {
        let found = state.table.peek(state.table.hash(name), |slot| state.store.pin(&slot.location));
        let Some((slot, pin)) = found else { return Ok(None) };
        if state.drop_if_expired(&slot) {
            continue;
        }
        if let Some(info) = opening::open_header(state, name, slot, pin).await? {
            return Ok(Some(info));
        }
    }
}

async fn get_own(state: &Arc<State>, name: &ObjectName) -> Result<Option<Object>, CacheError> {
    loop {
        match look_own(state, name)? {
            Opened::Found(object) => return Ok(Some(object)),
            Opened::Gone => return Ok(None),
            Opened::Waits(opening) => {
                if let Some(object) = opening.later(state, name).await? {
                    return Ok(Some(object));
                }
            }
        }
    }
}

/// `Gone`: the namespace has no such object.
fn look_own(state: &Arc<State>, name: &ObjectName) -> Result<Opened, CacheError> {
    let has_memory_tier = state.options.memory_tier > 0;
    loop {
        let found = state.table.get(state.table.hash(name), |slot| {
            let hot = has_memory_tier.then(|| state.memory_tier.get(&slot.sequence)).flatten();
            // What is in memory needs no file.
            hot.ok_or_else(|| state.store.pin(&slot.location))
        });
        let Some((slot, place)) = found else { return Ok(Opened::Gone) };
        if state.drop_if_expired(&slot) {
            continue;
        }
        let pin = match place {
            Ok(hot) => {
                state.metrics.memory_hits.inc();
                return Ok(Opened::Found(Object::in_memory(hot)));
            }
            Err(pin) => pin,
        };
        // A record that is not to be had is out of the table, unless it was replaced or moved meanwhile: then the other
        // one is the answer.
        match Opening::begin(state, name, slot, pin)?.map(|opening| opening.now(state, name)) {
            None | Some(Ok(Opened::Gone)) => {}
            Some(opened) => return opened,
        }
    }
}

/// What `precondition` asks of the namespace's own object, where it holds now for what a reader sees. A base's object
/// may change before the write takes effect; the own one is looked at again then.
///
/// # Errors
/// `PreconditionFailed`; `Loading` when that cannot be known yet.
pub(super) fn own_precondition(
    state: &State,
    name: &ObjectName,
    precondition: Precondition,
) -> Result<Precondition, CacheError> {
    if precondition == Precondition::None {
        return Ok(precondition);
    }
    if !state.is_ready() {
        return Err(CacheError::Loading);
    }
    let own = current(state, name);
    let seen = own.or_else(|| names_below(state, name).find_map(|below| current(state, &below)));
    if !precondition.holds(seen.map(|slot| slot.sequence)) {
        return Err(CacheError::PreconditionFailed);
    }
    Ok(if own.is_some() { precondition } else { Precondition::Absent })
}

/// The object of this very name, where its time is not over.
pub(super) fn current(state: &State, name: &ObjectName) -> Option<Slot> {
    let (slot, ()) = state.table.peek(state.table.hash(name), |_| ())?;
    (!state.drop_if_expired(&slot)).then_some(slot)
}

/// True when nobody but the namespace's own disk can have an object for a reader of `name`.
fn is_only_place(state: &State, name: &ObjectName) -> bool {
    state.tier.is_none() && state.spaces.bases(&name.namespace).is_empty()
}

fn names_below<'a>(state: &'a State, name: &'a ObjectName) -> impl Iterator<Item = ObjectName> + 'a {
    let bases = state.spaces.bases(&name.namespace).iter();
    bases.map(|base| ObjectName { namespace: base.clone(), key: name.key.clone() })
}
