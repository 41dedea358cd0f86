//! Turns within this process. The database would keep its writers apart, too, but by making all but one begin anew.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::load::named_by;
use crate::ids::CollectionId;
use crate::store::Batch;

/// Collections share this many locks.
const SHARDS: usize = 256;

/// One lock for each collection, or nearly so.
#[derive(Debug, Clone)]
pub(super) struct Locks(Arc<[Arc<Mutex<()>>]>);

impl Default for Locks {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Arc::default()).collect())
    }
}

impl Locks {
    /// Waits for the turn of a batch at all its collections. In the order of the locks, so that nobody waits for ever.
    pub(super) async fn turn(&self, batch: &Batch) -> Vec<OwnedMutexGuard<()>> {
        let mut shards: Vec<usize> = batch.ops.iter().filter_map(named_by).map(|c| self.shard(c)).collect();
        shards.sort_unstable();
        shards.dedup();
        let mut held = Vec::with_capacity(shards.len());
        for shard in shards {
            held.push(Arc::clone(&self.0[shard]).lock_owned().await);
        }
        held
    }

    /// The one lock for writers that take turns as a whole.
    pub(super) fn everything(&self) -> &Mutex<()> {
        &self.0[0]
    }

    fn shard(&self, collection: CollectionId) -> usize {
        let mut hasher = DefaultHasher::new();
        collection.hash(&mut hasher);
        #[expect(clippy::cast_possible_truncation, reason = "any bits do")]
        let bits = hasher.finish() as usize;
        bits % self.0.len()
    }
}
