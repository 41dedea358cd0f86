//! A close look at a database file, for `convoke doctor`: beside whoever has it open, and without changing it.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags};

use crate::health::{Examine, Finding};

/// Faults that are listed at most.
const FAULTS: usize = 3;
/// Time to wait for a lock.
const BUSY: Duration = Duration::from_secs(2);

/// A database file of an embedded engine.
pub struct DatabaseFile {
    /// What it holds, e.g. `Documents and queue`.
    pub what: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// Time to look for damage; a large file takes longer and is looked at in part.
    pub time: Duration,
}

#[async_trait]
impl Examine for DatabaseFile {
    fn engine(&self) -> String {
        format!("{} {}", self.what, self.path.display())
    }

    async fn examine(&self) -> Vec<Finding> {
        if !self.path.exists() {
            return vec![Finding::good("file", "is made at the start")];
        }
        let path = self.path.clone();
        let opened = tokio::task::spawn_blocking(move || open(&path)).await;
        let conn = match opened {
            Ok(Ok(conn)) => conn,
            Ok(Err(error)) => return vec![unusable(&error)],
            Err(_) => return Vec::new(),
        };
        let stop = conn.get_interrupt_handle();
        let mut look = tokio::task::spawn_blocking(move || look(&conn));
        let found = match tokio::time::timeout(self.time, &mut look).await {
            Ok(found) => found,
            Err(_) => {
                stop.interrupt();
                look.await
            }
        };
        found.unwrap_or_default()
    }
}

fn open(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY)?;
    Ok(conn)
}

fn look(conn: &Connection) -> Vec<Finding> {
    let mode = conn.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
    let mut found = vec![match mode {
        Ok(mode) if mode == "wal" => Finding::good("journal", "write-ahead log"),
        Ok(mode) => Finding::doubtful(
            "journal",
            format!("journal_mode is {mode}; readers and the writer wait for each other"),
            "let convoke open it: it sets the write-ahead log. On a network file system that fails; use a local disk",
        ),
        Err(error) => return vec![unusable(&error)],
    }];
    found.push(match damage(conn) {
        Ok(faults) if faults.is_empty() => Finding::good("integrity", "no damage"),
        Ok(faults) => Finding::bad(
            "integrity",
            faults.join("; "),
            "stop convoke, keep a copy of the file, and restore a backup; `sqlite3 FILE .recover` saves what can be saved",
        ),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {
            Finding::good("integrity", "no damage in the part that there was time for")
        }
        Err(error) => unusable(&error),
    });
    found
}

/// What `quick_check` finds: everything but whether indexes agree with their tables.
fn damage(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(&format!("PRAGMA quick_check({FAULTS})"))?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(rows.into_iter().filter(|row| row != "ok").collect())
}

fn unusable(error: &rusqlite::Error) -> Finding {
    let advice = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            "it is damaged or another program's: keep a copy, and restore a backup or take it away"
        }
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            "another program holds it: end that, or try again"
        }
        _ => "give the file and its folder to the user that runs convoke",
    };
    Finding::bad("file", error.to_string(), advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Verdict;

    async fn examined(path: PathBuf) -> Vec<Finding> {
        DatabaseFile { what: "Database", path, time: Duration::from_secs(10) }.examine().await
    }

    fn database(path: &std::path::Path) -> Connection {
        let conn = Connection::open(path).unwrap();
        conn.pragma_update(None, "journal_mode", "wal").unwrap();
        conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)").unwrap();
        for _ in 0..200 {
            conn.execute("INSERT INTO t(b) VALUES (hex(randomblob(200)))", []).unwrap();
        }
        conn
    }

    #[tokio::test]
    async fn a_sound_file_is_sound_while_somebody_writes_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("convoke.db");
        assert_eq!(examined(path.clone()).await, [Finding::good("file", "is made at the start")]);
        let conn = database(&path);
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        let found = examined(path).await;
        assert_eq!(found, [Finding::good("journal", "write-ahead log"), Finding::good("integrity", "no damage")]);
    }

    #[tokio::test]
    async fn damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("convoke.db");
        drop(database(&path));
        let mut bytes = std::fs::read(&path).unwrap();
        // A page of the table, past the header.
        bytes[8_192..8_400].fill(0xff);
        std::fs::write(&path, &bytes).unwrap();
        let found = examined(path.clone()).await;
        let last = &found.last().unwrap().verdict;
        assert!(matches!(last, Verdict::Bad { .. }), "{found:?}");

        std::fs::write(&path, "certainly no database, but long enough to be looked at").unwrap();
        let found = examined(path).await;
        assert!(
            matches!(&found[0].verdict, Verdict::Bad { found, .. } if found.contains("not a database")),
            "{found:?}"
        );
    }

    #[tokio::test]
    async fn another_journal_is_doubtful() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("convoke.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(a)").unwrap();
        assert!(matches!(examined(path).await[0].verdict, Verdict::Doubtful { .. }));
    }
}
