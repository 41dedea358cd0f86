//! A database file: opened once, written by one thread, read by a few.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use super::bells::Bells;
use super::migrate::migrate;
use super::readers::Readers;
use super::writer::{Tx, Writer};
use super::{DbError, OpenError};
use crate::config::Durability;

/// What a file is and how it is used.
#[derive(Debug)]
pub struct Profile {
    /// Mark in the header by which files of other programs are told apart.
    pub application_id: i32,
    /// The schema, step by step; a step that was released never changes.
    pub migrations: &'static [&'static str],
    /// Page cache of the connection that writes, in KiB.
    pub writer_cache_kib: u32,
    /// Page cache of each connection that reads, in KiB.
    pub reader_cache_kib: u32,
    /// Connections that read.
    pub readers: usize,
}

/// Statements that a connection keeps ready.
const STATEMENTS: usize = 96;
/// Time to wait for another process's transaction, e.g. that of a command beside the server, in milliseconds.
const BUSY_MS: u32 = 10_000;
/// Pages of write-ahead log after which a commit moves them into the main file. Idle moments move them sooner.
const CHECKPOINT_PAGES: u32 = 4_000;

/// The connections to one file. Cheap to clone; the threads end with the last clone or with [`Db::close`].
#[derive(Debug, Clone)]
pub struct Db {
    writer: Writer,
    readers: Arc<Readers>,
    bells: Bells,
}

impl Db {
    /// Opens or creates a file and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`] when the file cannot be used; it is left as it was.
    pub fn open(path: &Path, profile: &Profile, durability: Durability) -> Result<Self, OpenError> {
        let name = path.display().to_string();
        let engine = |e| OpenError::of(&name, e);
        let system =
            |e: std::io::Error| OpenError::Engine { path: name.clone(), source: DbError::Unavailable(e.to_string()) };
        create_private(path).map_err(system)?;
        let mut conn = connect(path, profile.writer_cache_kib).map_err(engine)?;
        migrate(&mut conn, &name, profile)?;
        prepare_to_write(&conn).map_err(engine)?;

        let bells = Bells::default();
        let writer = Writer::start(conn, durability, bells.clone()).map_err(system)?;
        let cache = profile.reader_cache_kib;
        let open = {
            let path = path.to_owned();
            move || {
                let conn = connect(&path, cache)?;
                conn.pragma_update(None, "query_only", true)?;
                Ok(conn)
            }
        };
        let readers = Readers::start(profile.readers, Arc::new(open)).map_err(system)?;
        Ok(Self { writer, readers: Arc::new(readers), bells })
    }

    /// Runs a closure over one consistent state of the database.
    ///
    /// # Errors
    /// Those of the closure, and [`DbError`] when the database is closed.
    pub async fn read<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.readers.run(Box::new(move |conn| {
            let outcome = match conn {
                Ok(conn) => snapshot(conn, work),
                Err(e) => Err(e.into()),
            };
            // Nobody waits any more: fine.
            let _ = reply.send(outcome);
        }));
        answer.await.unwrap_or_else(|_| Err(gone().into()))
    }

    /// Runs a closure in a transaction; what it did is durable when this returns, and undone when the closure fails.
    /// Writes that come at the same time share a transaction, and so one wait for the disk.
    ///
    /// # Errors
    /// Those of the closure, and [`DbError`] when the transaction cannot be committed or the database is closed.
    pub async fn write<T, E>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        self.writer.run(true, work).await.unwrap_or_else(|_| Err(gone().into()))
    }

    /// Like [`Db::write`], for changes that a power cut may undo because they are repeated anyway: no wait for the disk.
    /// They survive a crash of the program.
    ///
    /// # Errors
    /// See [`Db::write`].
    pub async fn write_lazily<T, E>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        self.writer.run(false, work).await.unwrap_or_else(|_| Err(gone().into()))
    }

    /// Hands a change over without waiting for it; like [`Db::write_lazily`] otherwise.
    pub fn write_behind(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<(), DbError> + Send + 'static) {
        drop(self.writer.run(false, work));
    }

    /// The bells that writes ring.
    pub fn bells(&self) -> &Bells {
        &self.bells
    }

    /// Finishes what was accepted, moves the write-ahead log into the main file and ends the threads.
    pub async fn close(&self) {
        let readers = self.readers.close();
        // Joining blocks for as long as the last read takes.
        let joined = tokio::task::spawn_blocking(move || readers.into_iter().for_each(|r| drop(r.join()))).await;
        if joined.is_err() {
            tracing::warn!("a reader of the database did not end");
        }
        self.writer.close().await;
    }
}

fn gone() -> DbError {
    DbError::Unavailable("the database is closed".to_owned())
}

/// Creates the file, readable by its owner only, where there is none; the engine gives its side files the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn connect(path: &Path, cache_kib: u32) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(std::time::Duration::from_millis(BUSY_MS.into()))?;
    conn.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    conn.pragma_update(None, "temp_store", "memory")?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Plans do not depend on values, or each statement would be compiled again for each new value.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(conn)
}

fn prepare_to_write(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("PRAGMA journal_mode = wal", [], |row| row.get::<_, String>(0))?;
    conn.query_row(&format!("PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}"), [], |_| Ok(()))?;
    conn.query_row("PRAGMA journal_size_limit = 67108864", [], |_| Ok(()))?;
    Ok(())
}

fn snapshot<T, E: From<DbError>>(conn: &Connection, work: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
    let run = |sql| conn.prepare_cached(sql).and_then(|mut s| s.execute([])).map_err(|e| E::from(e.into()));
    run("BEGIN")?;
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(conn)));
    run("ROLLBACK")?;
    outcome.unwrap_or_else(|_| Err(panicked().into()))
}

pub(super) fn panicked() -> DbError {
    DbError::Broken("the statement panicked".to_owned())
}

/// Names a thread after what it does.
pub(super) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<thread::JoinHandle<()>> {
    // SQLite needs little stack; parsers of what is stored may need more.
    thread::Builder::new().name(name.to_owned()).stack_size(1 << 20).spawn(body)
}
