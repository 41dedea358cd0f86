//! `[push]`: live updates over WebSocket.

use serde::{Deserialize, Serialize};

/// Live updates over WebSocket (messaging §5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Push {
    /// Time between two pings of a connection, in seconds.
    pub ping_interval_s: u64,
    /// A client from which nothing came for this long, not even the answer to a ping, is gone; in seconds.
    pub silence_s: u64,
    /// A connection ends after this long, and its client comes back with a new ticket: so a session does not outlive for
    /// good what it was opened with. In seconds.
    pub lifetime_s: u64,
    /// Octets of one message of a client; a longer one closes its connection.
    pub frame_bytes: usize,
    /// Connections at once, per node.
    pub connections: usize,
    /// Connections of one user at once, per node.
    pub connections_per_user: usize,
    /// Tickets that one user gets in a minute, per node.
    pub tickets_per_minute: u32,
    /// Calendars and address books that one connection may be told of.
    pub subscriptions: usize,
    /// Frames that wait for a client; one that is further behind is disconnected.
    pub queue: usize,
    /// Shortest time between two frames about the same calendar on one connection, in milliseconds.
    pub pause_ms: u64,
    /// Sync tokens that are looked up on the DAV server at once for what changed, and as many for what is registered, per
    /// node.
    pub lookups: usize,
}

impl Default for Push {
    fn default() -> Self {
        Self {
            ping_interval_s: 5,
            silence_s: 60,
            lifetime_s: 86_400,
            frame_bytes: 64 << 10,
            connections: 10_000,
            connections_per_user: 100,
            tickets_per_minute: 120,
            subscriptions: 500,
            queue: 256,
            pause_ms: 300,
            lookups: 32,
        }
    }
}
