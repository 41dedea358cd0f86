//! The embedded database: one file, one thread that writes it and a few that read it.
//!
//! In come closures over a connection; out come their results, once they are durable. [`Sqlite`] is the handle of
//! `convoke.db`, which holds the documents and the queue together, so that a change and the messages that tell of it are
//! one transaction; the port engines in `store` and `queue` implement their traits on it. The search index keeps a
//! [`Db`] of its own. This room knows files, transactions and the tables of the outgoing messages; it knows nothing of
//! calendars, and no SQL type leaves the engines.

mod bells;
mod db;
mod examine;
mod migrate;
pub mod outgoing;
mod readers;
mod writer;

use std::path::Path;
use std::time::Duration;

pub use bells::Bells;
pub use db::{Db, Profile};
pub use examine::DatabaseFile;
pub use writer::Tx;

use crate::clock::Env;
use crate::config::Durability;

/// The database failed while it was in use. Whether trying again can help is in the variant.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// Locked, out of space, an I/O error, or closed.
    #[error("{0}")]
    Unavailable(String),
    /// Damaged, or the statement was refused.
    #[error("{0}")]
    Broken(String),
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(
                Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::DiskFull
                | Code::SystemIoFailure
                | Code::OutOfMemory
                | Code::CannotOpen
                | Code::ReadOnly
                | Code::OperationInterrupted
                | Code::FileLockingProtocolFailed,
            ) => Self::Unavailable(text),
            _ => Self::Broken(text),
        }
    }
}

/// A database file cannot be used. The message names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer version of the program has been here.
    #[error(
        "{path} was written by a newer version of convoke (its schema is {found}, this program knows {known}): \
         run that version, or restore a backup"
    )]
    Newer {
        /// The file.
        path: String,
        /// Version of its schema.
        found: u32,
        /// Newest version this program knows.
        known: u32,
    },
    /// Some other program's file, or no database at all.
    #[error("{path} is not a database of convoke: {detail}")]
    Foreign {
        /// The file.
        path: String,
        /// What was found.
        detail: String,
    },
    /// The engine could not open, read or migrate the file.
    #[error("{path} cannot be opened: {source}")]
    Engine {
        /// The file.
        path: String,
        /// What the engine said.
        source: DbError,
    },
}

impl OpenError {
    fn of(path: &str, error: rusqlite::Error) -> Self {
        let foreign = |detail: &str| Self::Foreign { path: path.to_owned(), detail: detail.to_owned() };
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => foreign("it holds something else"),
            Some(rusqlite::ErrorCode::DatabaseCorrupt) => foreign("it is damaged; restore a backup"),
            _ => Self::Engine { path: path.to_owned(), source: error.into() },
        }
    }
}

/// What `convoke.db` is: its mark in the file's header (`CNVK`) and its schema, step by step.
const CONVOKE: Profile = Profile {
    application_id: 0x434e_564b,
    migrations: &[
        include_str!("schema/0001_documents_and_queue.sql"),
        include_str!("schema/0002_nodes.sql"),
        include_str!("schema/0003_tickets.sql"),
        include_str!("schema/0004_files.sql"),
        include_str!("schema/0005_scheduling.sql"),
        include_str!("schema/0006_trash.sql"),
        include_str!("schema/0007_resources.sql"),
        include_str!("schema/0008_sharing.sql"),
        include_str!("schema/0010_octets_of_properties.sql"),
        include_str!("schema/0011_trash.sql"),
        include_str!("schema/0013_shared_texts.sql"),
    ],
    writer_cache_kib: 3072,
    reader_cache_kib: 3072,
    readers: 2,
};

/// Time after which a delivery that was not settled comes back, unless configured otherwise.
const VISIBILITY: Duration = Duration::from_secs(60);

/// The handle of `convoke.db`: documents and queue in one file. Cheap to clone; all clones share the connections.
#[derive(Debug, Clone)]
pub struct Sqlite {
    db: Db,
    env: Env,
    visibility: Duration,
}

impl Sqlite {
    /// Opens or creates the database and brings its schema up to date. Blocks for a few milliseconds, whatever the
    /// size of the file.
    ///
    /// # Errors
    /// [`OpenError`] when the file cannot be used; it is left as it was.
    pub fn open(path: &Path, durability: Durability, env: Env) -> Result<Self, OpenError> {
        Ok(Self { db: Db::open(path, &CONVOKE, durability)?, env, visibility: VISIBILITY })
    }

    /// The same database with another time after which a delivery that was not settled comes back.
    #[must_use]
    pub fn with_visibility(mut self, visibility: Duration) -> Self {
        self.visibility = visibility;
        self
    }

    /// Finishes what was accepted, moves everything into the main file and closes it. Calls that come later fail as
    /// unavailable.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// The connections.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The clock and generator it was opened with.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Time after which a delivery that was not settled comes back.
    pub fn visibility(&self) -> Duration {
        self.visibility
    }
}

#[cfg(test)]
mod tests;
