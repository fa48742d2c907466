//! What was asked of each key and when, and which values that leaves possible.
//!
//! An operation may be the last word on its key unless another one that was answered began after this one had ended.
//! An operation that was never answered has no end: it may have happened or not.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::bodies::body;

/// What a key holds: a version of its body, or nothing.
pub type Value = Option<u64>;

struct Operation {
    value: Value,
    began: u64,
    ended: Option<u64>,
}

/// The operations on all keys.
#[derive(Default)]
pub struct History {
    clock: AtomicU64,
    evicts: AtomicBool,
    keys: Mutex<BTreeMap<String, Vec<Operation>>>,
}

impl History {
    /// From now on any key may be found empty.
    pub fn allow_evictions(&self) {
        self.evicts.store(true, Ordering::SeqCst);
    }

    /// Notes that an operation is about to be sent; the number is for [`History::end`].
    pub fn begin(&self, key: &str, value: Value) -> u64 {
        let mut keys = self.keys.lock().unwrap();
        let began = self.tick();
        keys.entry(key.to_owned()).or_default().push(Operation { value, began, ended: None });
        began
    }

    /// Notes that the operation was answered with success.
    pub fn end(&self, key: &str, began: u64) {
        let mut keys = self.keys.lock().unwrap();
        let ended = self.tick();
        let operations = keys.get_mut(key).unwrap();
        operations.iter_mut().find(|operation| operation.began == began).unwrap().ended = Some(ended);
    }

    /// All keys that anything was asked of.
    pub fn keys(&self) -> Vec<String> {
        self.keys.lock().unwrap().keys().cloned().collect()
    }

    /// Every version ever sent for `key`.
    pub fn versions(&self, key: &str) -> Vec<u64> {
        let keys = self.keys.lock().unwrap();
        keys.get(key).into_iter().flatten().filter_map(|operation| operation.value).collect()
    }

    /// True when the last thing found of `key` was a body.
    pub fn is_there(&self, key: &str) -> bool {
        self.keys.lock().unwrap()[key].iter().any(|operation| operation.value.is_some())
    }

    /// Compares what `key` holds (`None`: it is not there) with what it may hold. What was found is what must be found
    /// from then on.
    pub fn settle(&self, key: &str, found: Option<&[u8]>) -> Result<(), String> {
        let mut keys = self.keys.lock().unwrap();
        let operations = keys.get_mut(key).unwrap();
        let last_begun = operations.iter().filter(|o| o.ended.is_some()).map(|o| o.began).max().unwrap_or(0);
        let answered = operations.iter().any(|operation| operation.ended.is_some());
        let mut possible: Vec<Value> = operations
            .iter()
            .filter(|operation| operation.ended.is_none_or(|ended| ended > last_begun))
            .map(|operation| operation.value)
            .collect();
        if !answered || self.evicts.load(Ordering::SeqCst) {
            possible.push(None);
        }
        let holds = |value: &&Value| match (value, found) {
            (None, None) => true,
            (Some(version), Some(bytes)) => body(key, *version) == bytes,
            _ => false,
        };
        let Some(value) = possible.iter().find(holds).copied() else {
            let all: Vec<String> = operations
                .iter()
                .map(|o| {
                    let matches = if holds(&&o.value) { " <- this was found" } else { "" };
                    format!("  {:?} from {} to {:?}{matches}", o.value, o.began, o.ended)
                })
                .collect();
            let found = found.map_or("nothing".to_owned(), |bytes| format!("{} bytes", bytes.len()));
            return Err(format!("{key}: found {found}, possible are {possible:?} of\n{}", all.join("\n")));
        };
        let now = self.tick();
        *operations = vec![Operation { value, began: now, ended: Some(now + 1) }];
        self.tick();
        Ok(())
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }
}
