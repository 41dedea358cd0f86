//! `[opensearch]`.

use serde::{Deserialize, Serialize};

/// Full-text search of events, and the contacts of Twake Mail (storage §4, §5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenSearch {
    /// Root URLs of the nodes.
    pub urls: Vec<String>,
    /// User name, where the server asks for one.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
}

impl Default for OpenSearch {
    fn default() -> Self {
        Self { urls: vec!["http://127.0.0.1:9200".to_owned()], username: None, password: None }
    }
}
