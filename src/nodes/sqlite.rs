//! The embedded engine: one node. What it agrees upon with itself is what it did before it was started again, and what
//! commands beside the server do.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, params};

use super::{Begin, Leases, Ledger, NodeId, NodesError};
use crate::sqlite::{DbError, Sqlite, Tx};

/// Expired work that each new piece of work clears away, so that the table keeps its size without a timer.
const PRUNED_EACH: u32 = 4;

impl From<DbError> for NodesError {
    fn from(error: DbError) -> Self {
        Self(error.to_string())
    }
}

impl From<rusqlite::Error> for NodesError {
    fn from(error: rusqlite::Error) -> Self {
        DbError::from(error).into()
    }
}

// A power cut may undo what is written lazily. It ends the process that holds it, too, so nothing is lost by that.

#[async_trait]
impl Leases for Sqlite {
    async fn take(&self, name: &str, holder: &NodeId, ttl: Duration) -> Result<bool, NodesError> {
        let (name, holder) = (name.to_owned(), holder.0.clone());
        let now = self.env().now().timestamp_millis();
        let until = now.saturating_add(millis(ttl));
        self.db()
            .write_lazily(move |tx| {
                let changed = tx
                    .prepare_cached(
                        "INSERT INTO leases (name, holder, expires) VALUES (?1, ?2, ?3)
                         ON CONFLICT (name) DO UPDATE SET holder = ?2, expires = ?3 WHERE holder = ?2 OR expires <= ?4",
                    )?
                    .execute(params![name, holder, until, now])?;
                Ok(changed == 1)
            })
            .await
    }

    async fn give_back(&self, name: &str, holder: &NodeId) -> Result<(), NodesError> {
        let (name, holder) = (name.to_owned(), holder.0.clone());
        self.db()
            .write_lazily(move |tx| {
                tx.prepare_cached("DELETE FROM leases WHERE name = ?1 AND holder = ?2")?.execute([name, holder])?;
                Ok(())
            })
            .await
    }
}

#[async_trait]
impl Ledger for Sqlite {
    async fn begin(&self, work: &str, holder: &NodeId, ttl: Duration) -> Result<Begin, NodesError> {
        let (work, holder) = (work.to_owned(), holder.0.clone());
        let now = self.env().now().timestamp_millis();
        let until = now.saturating_add(millis(ttl));
        self.db()
            .write_lazily(move |tx| {
                clear(tx, now)?;
                let state = tx
                    .prepare_cached("SELECT done, holder FROM ledger WHERE work = ?1 AND until > ?2")?
                    .query_row(params![work, now], |row| Ok((row.get::<_, bool>(0)?, row.get::<_, String>(1)?)))
                    .optional()?;
                match state {
                    Some((true, _)) => return Ok(Begin::Done),
                    Some((false, other)) if other != holder => return Ok(Begin::Busy),
                    _ => {}
                }
                note(tx, &work, &holder, false, until)?;
                Ok(Begin::Yours)
            })
            .await
    }

    async fn finish(&self, work: &str, keep: Duration) -> Result<(), NodesError> {
        let work = work.to_owned();
        let until = self.env().now().timestamp_millis().saturating_add(millis(keep));
        // Durable: what was done must not be done again.
        self.db().write(move |tx| note(tx, &work, "", true, until)).await
    }

    async fn abandon(&self, work: &str, holder: &NodeId) -> Result<(), NodesError> {
        let (work, holder) = (work.to_owned(), holder.0.clone());
        self.db()
            .write_lazily(move |tx| {
                tx.prepare_cached("DELETE FROM ledger WHERE work = ?1 AND holder = ?2 AND done = 0")?
                    .execute([work, holder])?;
                Ok(())
            })
            .await
    }
}

fn note(tx: &Tx<'_>, work: &str, holder: &str, done: bool, until: i64) -> Result<(), NodesError> {
    tx.prepare_cached("INSERT OR REPLACE INTO ledger (work, holder, done, until) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![work, holder, done, until])?;
    Ok(())
}

/// Forgets some of what is past its time.
fn clear(tx: &Tx<'_>, now: i64) -> Result<(), NodesError> {
    tx.prepare_cached(
        "DELETE FROM ledger WHERE work IN (SELECT work FROM ledger WHERE until <= ?1 ORDER BY until LIMIT ?2)",
    )?
    .execute(params![now, PRUNED_EACH])?;
    Ok(())
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Env;
    use crate::config::Durability;

    #[tokio::test]
    async fn work_that_is_past_its_time_is_cleared_away_by_new_work() {
        let dir = tempfile::tempdir().unwrap();
        let db = Sqlite::open(&dir.path().join("convoke.db"), Durability::Normal, Env::system()).unwrap();
        let node = NodeId("a".to_owned());
        for n in 0..10 {
            db.begin(&format!("old {n}"), &node, Duration::ZERO).await.unwrap();
        }
        for n in 0..5 {
            db.begin(&format!("new {n}"), &node, Duration::from_secs(60)).await.unwrap();
        }
        let rows = db.db().read(|conn| {
            let rows =
                conn.query_row("SELECT count(*) FROM ledger WHERE work LIKE 'old%'", [], |r| r.get::<_, i64>(0))?;
            Ok::<_, DbError>(rows)
        });
        assert_eq!(rows.await.unwrap(), 0);
    }
}
