//! Looking objects up: in their namespace, and where it has none, in its bases one after the other.
//!
//! Reads see through a layer; writes and deletes never leave it. Owns that difference, and what a precondition, which
//! speaks of what a reader sees, means for the layer's own object. An object whose time is over is not there.

use std::sync::Arc;

use super::error::CacheError;
use super::read::{self, Object};
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

/// Finds what a reader of `name` sees, and marks it as used.
pub(super) async fn get(state: &Arc<State>, name: &ObjectName) -> Result<Option<Object>, CacheError> {
    if let Some(object) = get_own(state, name).await? {
        return Ok(Some(object));
    }
    for place in further_places(state, name) {
        let found = match &place {
            Place::Disk(name) => get_own(state, name).await?,
            Place::Bucket(name) => Box::pin(tier::fetch(state, name)).await?,
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
        if let Some(info) = read::open_header(state, name, slot, pin).await? {
            return Ok(Some(info));
        }
    }
}

async fn get_own(state: &Arc<State>, name: &ObjectName) -> Result<Option<Object>, CacheError> {
    loop {
        let found = state.table.get(state.table.hash(name), |slot| state.store.pin(&slot.location));
        let Some((slot, pin)) = found else { return Ok(None) };
        if state.drop_if_expired(&slot) {
            continue;
        }
        if state.options.memory_tier > 0
            && let Some(hot) = state.memory_tier.get(&slot.sequence)
        {
            state.metrics.memory_hits.inc();
            return Ok(Some(Object::in_memory(hot)));
        }
        // A record that is not to be had is out of the table, unless it was replaced or moved meanwhile: then the other
        // one is the answer.
        if let Some(object) = read::open(state, name, slot, pin).await? {
            return Ok(Some(object));
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

fn names_below<'a>(state: &'a State, name: &'a ObjectName) -> impl Iterator<Item = ObjectName> + 'a {
    let bases = state.spaces.bases(&name.namespace).iter();
    bases.map(|base| ObjectName { namespace: base.clone(), key: name.key.clone() })
}
