//! The cache as the protocols see it: get, head, put, delete, copy and list over named objects.
//!
//! Owns the objects' life: found, stored, replaced, evicted, gone. Knows nothing of HTTP, of status codes or of who
//! asks. The files below it, in the order in which a reader meets them: [`opening`], [`read`] and [`upload`] (the two ways a body
//! goes), [`budget`] and [`flight`] (disk and memory limits), [`evict`] and [`compaction`] (making room), [`loader`] (the
//! start) with [`repair`], [`spaces`], [`layers`] and [`expiry`] (the rules of namespaces), [`indexer`] (what the index on disk is told), [`workers`] (the threads).

mod budget;
mod compaction;
mod directory;
mod error;
mod evict;
mod expiry;
mod flight;
mod indexer;
mod layers;
mod listing;
mod loader;
mod opening;
mod publication;
mod read;
mod repair;
mod scrub;
mod signal;
mod spaces;
mod state;
mod throttle;
mod tier;
mod upload;
mod verify;
mod workers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::directory::DIRECTORY_FORMAT;
pub use self::error::{CacheError, OpenError};
pub use self::layers::{Look, Waits};
pub use self::listing::ListedObject;
pub use self::read::{BodyPart, Object, ObjectBody};
pub use self::tier::{BucketFindings, BucketStatus};
pub use self::upload::{PutOptions, Stored, Upload};
pub use self::verify::{
    DiskFindings, IndexFindings, Stage as VerifyStage, VerifyOptions, VerifyReport, Watch,
};

use self::directory::DataDirectory;
use self::state::State;
use self::tier::Tier;

use self::workers::Workers;
use crate::analytics::EvictionCounts;
use crate::blobs::{BLOCK, Location, SegmentStore, StoreOptions, blocks};
use crate::bucket::Bucket;
use crate::config::{BucketConfig, Config, Durability, NamespaceConfig, Verify};
use crate::index::table::Slot;
use crate::index::{Clock, MemoryIndex};
use crate::key::{Namespace, NamespacePattern, ObjectName};
use crate::metrics::Metrics;
use crate::object::{ObjectInfo, Precondition};

/// What a cache needs to be told. The meanings are those of the [`Config`] keys of the same names.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// Directory of the store.
    pub data_dir: PathBuf,
    /// Most bytes of disk blocks.
    pub capacity: u64,
    /// Bytes to leave free on the file system.
    pub min_free_disk: u64,
    /// Largest object in bytes.
    pub max_object_size: u64,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// When a body is checked.
    pub verify: Verify,
    /// Bytes of bodies in flight.
    pub memory_budget: u64,
    /// Bytes of the memory tier.
    pub memory_tier: u64,
    /// False: never punch holes, as on a file system that cannot.
    pub punch_holes: bool,
    /// Rules of namespaces by name; those without any have no limits of their own.
    pub namespaces: BTreeMap<Namespace, NamespaceConfig>,
    /// Rules of namespaces by pattern; the first of the map that matches counts.
    pub namespace_patterns: BTreeMap<NamespacePattern, NamespaceConfig>,
    /// The bucket behind the disk, where there is one.
    pub bucket: BucketConfig,
    /// What objects are dated by.
    pub clock: Clock,
}

impl From<&Config> for CacheOptions {
    fn from(config: &Config) -> Self {
        Self {
            data_dir: config.data_dir.clone(),
            capacity: config.capacity,
            min_free_disk: config.min_free_disk,
            max_object_size: config.max_object_size,
            durability: config.durability,
            verify: config.verify,
            memory_budget: config.memory_budget,
            memory_tier: config.memory_tier,
            punch_holes: true,
            namespaces: config.namespaces.clone(),
            namespace_patterns: config.namespace_patterns.clone(),
            bucket: config.bucket.clone(),
            clock: Clock::default(),
        }
    }
}

impl CacheOptions {
    /// Nominal bytes of a shared segment: small enough that a small cache has many.
    fn segment_size(&self) -> u64 {
        (self.capacity / 64).clamp(1 << 20, 256 << 20)
    }

    /// Bytes of disk that a record takes, its line in the footer included.
    fn disk_cost(&self, location: &Location) -> u64 {
        self.disk_cost_of(location.record_len())
    }

    /// Bytes of disk that `bytes` of header and body take at most, the line in the footer included.
    fn disk_cost_of(&self, bytes: u64) -> u64 {
        (blocks(bytes) + 1) * BLOCK
    }
}

/// A share of the memory for bodies in flight.
#[derive(Debug)]
pub struct MemoryPermit(#[expect(dead_code, reason = "held, not read")] flight::FlightPermit);

/// A handle to the cache; clones share one cache.
#[derive(Clone)]
pub struct Cache {
    state: Arc<State>,
    workers: Arc<Workers>,
}

impl Cache {
    /// Opens the cache in its data directory, which is made where it is missing. Returns at once; what was stored before
    /// is found bit by bit until [`Cache::is_ready`].
    ///
    /// # Errors
    /// [`OpenError`]. Damage is not an error.
    pub fn open(options: CacheOptions, metrics: Metrics) -> Result<Self, OpenError> {
        Self::open_for(tier::Purpose::Serving, options, metrics)
    }

    /// Compares everything on disk and in the bucket with its checksums and with what is known of it, and mends what is wrong;
    /// or only looks. `watch` hears how far it is.
    ///
    /// # Errors
    /// [`OpenError`]: nothing was looked at. What failed later is in the report.
    pub async fn verify(
        options: CacheOptions,
        metrics: Metrics,
        how: VerifyOptions,
        watch: Arc<dyn Watch>,
    ) -> Result<VerifyReport, OpenError> {
        verify::run(options, metrics, how, watch).await
    }

    fn open_for(purpose: tier::Purpose, options: CacheOptions, metrics: Metrics) -> Result<Self, OpenError> {
        let directory = DataDirectory::open(&options.data_dir)?;
        let path = options.data_dir.display().to_string();
        let io_error = |error| OpenError::Io { path: path.clone(), error };
        let store_options = StoreOptions {
            segment_size: options.segment_size(),
            lanes: std::thread::available_parallelism().map_or(2, usize::from).min(4),
            in_turn: options.durability == Durability::Commit,
            punch_holes: options.punch_holes,
        };
        let store = SegmentStore::open(&directory.segments(), store_options).map_err(io_error)?;
        let tier = Bucket::open(&options.bucket)?.map(|bucket| Tier::new(bucket, &options, metrics.clone()));
        let index = Arc::new(MemoryIndex::default());
        let state = State::new(options, directory, store, index, tier.map(Arc::new), metrics);
        let index_bytes =
            crate::index::sled::care::directory_bytes(&state.directory.index()).map_err(io_error)?;
        state.budget.set_index_bytes(index_bytes);
        let state = Arc::new(state);
        let workers = Workers::start(&state).map_err(io_error)?;
        tier::start(&state, workers.indexer(), purpose);
        Ok(Self { state, workers: Arc::new(workers) })
    }

    /// A share of the memory for bodies in flight, for a body that a protocol has to gather. Given back when dropped.
    ///
    /// # Errors
    /// `Overloaded` when there are not `bytes` left.
    pub fn reserve_memory(&self, bytes: u64) -> Result<MemoryPermit, CacheError> {
        self.state.flight.take(bytes).map(MemoryPermit).ok_or(CacheError::Overloaded)
    }

    /// True once everything that was stored before the start is found.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state.is_ready()
    }

    /// False while the index is loaded, and where it can only be kept in memory.
    #[must_use]
    pub fn is_index_on_disk(&self) -> bool {
        self.state.index_on_disk.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Brings the gauges of what is stored up to date.
    pub fn update_gauges(&self) {
        self.state.update_gauges();
        if let Some(tier) = &self.state.tier {
            tier.update_gauges();
        }
    }

    /// What evictions for lack of room cost so far.
    #[must_use]
    pub fn evictions(&self) -> EvictionCounts {
        self.state.evictions.counts()
    }

    /// How the bucket behind the disk is; `None`: there is none.
    #[must_use]
    pub fn bucket_status(&self) -> Option<BucketStatus> {
        self.state.tier.as_ref().map(|tier| tier.status())
    }

    /// Finds an object, in the namespace itself or in one of its bases, and marks it as used. `None` is a miss.
    ///
    /// # Errors
    /// `Overloaded` when the budget of bodies in flight is used up, `Io`. Damage is a miss.
    pub async fn get(&self, name: &ObjectName) -> Result<Option<Object>, CacheError> {
        match self.look(name)? {
            Look::Done(found) => Ok(found),
            Look::Waits(waits) => self.wait(name, waits).await,
        }
    }

    /// [`Cache::get`] as far as it goes without waiting, which mostly is to its end.
    ///
    /// # Errors
    /// Those of [`Cache::get`].
    pub fn look(&self, name: &ObjectName) -> Result<Look, CacheError> {
        layers::look(&self.state, name)
    }

    /// Finishes a look at `name` that has to wait.
    ///
    /// # Errors
    /// Those of [`Cache::get`].
    pub async fn wait(&self, name: &ObjectName, waits: Waits) -> Result<Option<Object>, CacheError> {
        layers::wait(&self.state, name, waits).await
    }

    /// The properties of the object that [`Cache::get`] finds, without marking it as used.
    ///
    /// # Errors
    /// `Io`. Damage is a miss.
    pub async fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>, CacheError> {
        layers::head(&self.state, name).await
    }

    /// Starts an upload into the namespace itself. Nothing is visible before [`Upload::commit`]; dropping the upload undoes
    /// it. The precondition is one on what [`Cache::head`] finds.
    ///
    /// # Errors
    /// `TooLarge`, `NoSpace`, `Overloaded`, `Loading`, `PreconditionFailed`, `Exists`, `Io`.
    pub async fn begin_put(&self, name: ObjectName, options: PutOptions) -> Result<Upload, CacheError> {
        Upload::begin(Arc::clone(&self.state), name, options).await
    }

    /// Removes the namespace's own object; a base's stays, and is seen again. True when there was one. The precondition is
    /// one on what [`Cache::head`] finds.
    ///
    /// # Errors
    /// `PreconditionFailed`, `Loading`, `Io`.
    pub async fn delete(&self, name: &ObjectName, precondition: Precondition) -> Result<bool, CacheError> {
        let state = &self.state;
        let hash = state.table.hash(name);
        if precondition != Precondition::None {
            layers::bring(state, name).await?;
        }
        let precondition = layers::own_precondition(state, name, precondition)?;
        // Where its time is over, it is gone already. While the index is loaded the table has to hear of the name all the same.
        let _ = layers::current(state, name);
        // Before it goes from the disk: in between nobody may be given what the bucket still has.
        let in_bucket = tier::begin_delete(state, name);
        let Ok(removed) = state.table.remove(hash, precondition) else {
            in_bucket.into_iter().for_each(tier::Deletion::undo);
            return Err(CacheError::PreconditionFailed);
        };
        if let Some(slot) = &removed {
            self.let_go_of_deleted(slot).await?;
        }
        match in_bucket {
            Some(deletion) => deletion.finish(state, removed.is_some()).await,
            None => Ok(removed.is_some()),
        }
    }

    async fn let_go_of_deleted(&self, slot: &Slot) -> Result<(), CacheError> {
        let state = &self.state;
        let killed = state.store.kill(&slot.location);
        state.forget(slot);
        killed?;
        // Free before the answer where nobody reads it: should the process be killed before the index hears of this, the
        // hole is what tells the next start. A failure is told by the round that tries it again.
        let store = state.store.clone();
        let _ = tokio::task::spawn_blocking(move || store.reclaim()).await;
        state.committed(None).await?;
        Ok(())
    }

    /// Copies an object to another name, replacing what was there where `precondition` allows.
    /// `None` when there is no object `from`.
    ///
    /// # Errors
    /// Those of [`Cache::begin_put`] and of reading.
    pub async fn copy(
        &self,
        from: &ObjectName,
        to: ObjectName,
        precondition: Precondition,
    ) -> Result<Option<Stored>, CacheError> {
        let Some(object) = self.get(from).await? else { return Ok(None) };
        let length = object.info().length;
        let cost_ms = object.info().cost_ms;
        let options =
            PutOptions { declared_length: Some(length), precondition, cost_ms, ..PutOptions::default() };
        let mut upload = self.begin_put(to, options).await?;
        let mut body = object.into_body(0..length);
        while let Some(chunk) = body.next_chunk().await? {
            upload.write(chunk).await?;
        }
        upload.commit().await.map(Some)
    }

    /// Stops the background work and makes everything durable. To be called once no request is under way.
    ///
    /// # Errors
    /// The disk's: the last writes may be lost.
    pub async fn close(&self) -> std::io::Result<()> {
        tier::finish(&self.state).await;
        let workers = Arc::clone(&self.workers);
        tokio::task::spawn_blocking(move || workers.stop()).await.map_err(std::io::Error::other)?
    }
}
