//! What the nodes of one installation agree upon: who does what only one may do, and what was done already. Two ports;
//! their engines are in `sqlite` (one node, but a lease also survives its restart) and `mongo`. [`alone`] is how a room uses a
//! lease.
//!
//! In come names, holders and times to live; out comes who may. No engine trusts the clock of a node where there is more than
//! one node, and none forgets before its time, though it may remember for longer.

mod alone;
pub mod mongo;
pub mod sqlite;

pub use alone::{Stop, alone};

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

/// The engine failed; the same call may succeed later.
#[derive(Debug, thiserror::Error)]
#[error("the nodes cannot agree: {0}")]
pub struct NodesError(pub String);

/// Names a node for as long as its process lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeId(pub String);

/// The right to do what one node at a time may do, e.g. `alarms`.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Takes the lease, or renews it where `holder` has it: nobody else gets it within `ttl`. False when somebody else has it.
    async fn take(&self, name: &str, holder: &NodeId, ttl: Duration) -> Result<bool, NodesError>;

    /// Gives it back before its time. Does nothing when `holder` does not have it.
    async fn give_back(&self, name: &str, holder: &NodeId) -> Result<(), NodesError>;
}

/// Whether a piece of work is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Nobody did it: do it, then say [`Ledger::finish`] or [`Ledger::abandon`].
    Yours,
    /// Somebody is at it, or died at it less than the time to live ago: ask again later.
    Busy,
    /// It was done.
    Done,
}

/// What must happen once although it is asked for more than once, by name, e.g. a consumer and the `once` of a message.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Begins a piece of work. Whoever begins and is not heard of within `ttl` has died: the work is free again. Beginning
    /// again what is one's own renews it.
    async fn begin(&self, work: &str, holder: &NodeId, ttl: Duration) -> Result<Begin, NodesError>;

    /// It was done; remembered for `keep`.
    async fn finish(&self, work: &str, keep: Duration) -> Result<(), NodesError>;

    /// It was not done: free again. Does nothing when it was finished or is somebody else's by now.
    async fn abandon(&self, work: &str, holder: &NodeId) -> Result<(), NodesError>;
}

/// The leases that the program was started with.
pub type SharedLeases = Arc<dyn Leases>;
/// The ledger that the program was started with.
pub type SharedLedger = Arc<dyn Ledger>;
