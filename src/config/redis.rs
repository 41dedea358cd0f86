//! `[redis]`.

use serde::{Deserialize, Serialize};

/// Remembered tokens and the bus between nodes (storage §6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// `redis://host:6379/0`, or `rediss://` for TLS; several for a cluster or sentinels.
    pub urls: Vec<String>,
    /// Password, where it is not in the URL.
    pub password: Option<String>,
}

impl Default for Redis {
    fn default() -> Self {
        Self { urls: vec!["redis://127.0.0.1:6379".to_owned()], password: None }
    }
}
