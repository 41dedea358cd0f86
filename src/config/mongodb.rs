//! `[mongodb]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The database that esn-sabre and OpenPaaS share (storage §2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MongoDb {
    /// Connection string; the database in its path is not used.
    pub url: String,
    /// Database of people, domains and what convoke keeps itself.
    pub database: String,
    /// Database of calendars and address books (dav §14).
    pub dav_database: String,
    /// PEM file of the authority that signed the server's certificate; switches TLS on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Time to find a server that can take an operation, in milliseconds.
    pub server_selection_ms: u64,
    /// Time to open a connection, in milliseconds.
    pub connect_ms: u64,
    /// Time for one operation, in milliseconds.
    pub operation_ms: u64,
    /// Connections to one server at most.
    pub pool: u32,
}

impl Default for MongoDb {
    fn default() -> Self {
        Self {
            url: "mongodb://127.0.0.1:27017".to_owned(),
            database: "esn".to_owned(),
            dav_database: "sabre".to_owned(),
            ca_file: None,
            server_selection_ms: 5_000,
            connect_ms: 5_000,
            operation_ms: 10_000,
            pool: 50,
        }
    }
}
