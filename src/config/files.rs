//! `[files]`: the plain files of the built-in DAV server.

use serde::{Deserialize, Serialize};

/// Plain files below `/files` of the built-in DAV server (RFC 4918).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    /// Octets of one file; a larger one is refused.
    pub file_bytes: u64,
    /// Octets of one managed attachment of a calendar object (RFC 8607); a larger one is refused.
    pub attachment_bytes: u64,
    /// Managed attachments of one calendar object.
    pub attachments_per_object: usize,
    /// Octets of all files of one home, and of the dead properties on them.
    pub quota_bytes: u64,
    /// Files and folders of one home.
    pub entries: u64,
    /// Folders inside one another.
    pub depth: usize,
    /// Octets of the dead properties of one file or folder.
    pub property_bytes: usize,
    /// Locks of one home at once.
    pub locks: usize,
    /// Octets of what is kept of all locks of one home: where they are, and who holds them.
    pub lock_bytes: usize,
    /// How long a lock lasts whose client did not say, in seconds.
    pub lock_s: u32,
    /// How long a lock lasts at most before it is refreshed, in seconds.
    pub lock_most_s: u32,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            file_bytes: 100 << 20,
            attachment_bytes: 25 << 20,
            attachments_per_object: 20,
            quota_bytes: 1 << 30,
            entries: 20_000,
            depth: 32,
            property_bytes: 64 << 10,
            locks: 500,
            lock_bytes: 1 << 20,
            lock_s: 600,
            lock_most_s: 86_400,
        }
    }
}
