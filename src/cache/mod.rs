//! What is remembered for a while, and what is told to whoever listens: who a token belongs to, and the bus between the
//! nodes of one installation. Two ports; their engines are in `memory` (embedded) and `redis`. Nothing here is durable: what
//! must not be lost goes through `queue` or `store`.

mod bus;
pub mod memory;
pub mod redis;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use bus::{Bus, BusError, Heard, SharedBus, Subscription};

use crate::ids::Email;

/// Key of a token: its SHA-512, so that neither memory dumps nor the engine show tokens (auth §4.2, storage §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenKey(pub [u8; 64]);

/// Who a bearer token belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedToken {
    /// User name.
    pub user: Email,
    /// Session at the provider, for back-channel logout.
    pub sid: Option<String>,
    /// The token ends then.
    pub expires: DateTime<Utc>,
    /// Audiences of the token.
    pub audience: Vec<String>,
}

/// Remembers tokens that a provider vouched for.
#[async_trait]
pub trait TokenCache: Send + Sync + 'static {
    /// What is remembered of the token. An engine that is away remembers nothing.
    async fn get(&self, key: &TokenKey) -> Option<CachedToken>;

    /// Remembers a token for the engine's time to live.
    async fn put(&self, key: TokenKey, token: CachedToken);

    /// Forgets all tokens of a session; how many.
    async fn forget_session(&self, sid: &str) -> usize;
}

/// The token cache that the program was started with.
pub type SharedTokenCache = Arc<dyn TokenCache>;
