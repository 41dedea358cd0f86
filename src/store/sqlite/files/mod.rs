//! Plain files: the reading side, contents piece by piece, and the writes handed to [`apply`]. A write is one transaction.

mod apply;

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{AsBlob, Sqlite, id, unreadable};
use crate::ids::{ContentId, FileId, HomeId};
use crate::store::StoreError;
use crate::store::files::{
    FileContent, FileHome, FileNode, FilePath, FileStore, FileView, FileWrite, FileWriteError, Found,
    KEPT_FOR_READERS_S, KEPT_FOR_WRITERS_S,
};

/// Pieces of unused contents that each new piece clears away, so that the database stops growing before it is full.
const CLEARED_EACH: u32 = 2;

impl From<crate::sqlite::DbError> for FileWriteError {
    fn from(error: crate::sqlite::DbError) -> Self {
        Self::Store(error.into())
    }
}

impl From<rusqlite::Error> for FileWriteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

#[async_trait]
impl FileStore for Sqlite {
    async fn homes(&self, after: Option<HomeId>, limit: usize) -> Result<Vec<HomeId>, StoreError> {
        self.db()
            .read(move |conn| {
                let after = after.map(|home| home.blob());
                let found = conn
                    .prepare_cached("SELECT home FROM file_homes WHERE ?1 IS NULL OR home > ?1 ORDER BY home LIMIT ?2")?
                    .query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX)], |row| id(row, 0))?
                    .collect::<Result<_, _>>()?;
                Ok(found)
            })
            .await
    }

    async fn look(&self, home: HomeId, paths: &[FilePath]) -> Result<FileView, StoreError> {
        let paths = paths.to_vec();
        self.db()
            .read(move |conn| {
                let found = paths.iter().map(|path| at(conn, home, path)).collect::<Result<_, _>>()?;
                Ok(FileView { home: state(conn, home)?.unwrap_or_default(), found })
            })
            .await
    }

    async fn list(&self, folder: FileId, after: Option<&str>, limit: usize) -> Result<Vec<FileNode>, StoreError> {
        let after = after.unwrap_or_default().to_owned();
        self.db()
            .read(move |conn| {
                let page = conn
                    .prepare_cached(
                        "SELECT id, name, content, size, etag, media_type, created, modified, dead FROM file_nodes
                         WHERE parent = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
                    )?
                    .query_map(params![folder.blob(), after, i64::try_from(limit).unwrap_or(i64::MAX)], node)?
                    .collect::<Result<_, _>>()?;
                Ok(page)
            })
            .await
    }

    async fn append(&self, content: ContentId, n: u64, piece: Bytes) -> Result<(), StoreError> {
        let now = self.env().now().timestamp();
        // Nobody knows of it before the write that refers to it, and that one waits for the disk.
        self.db()
            .write_lazily(move |tx| {
                clear_away(tx, now)?;
                if n == 0 {
                    begin_anew(tx, content)?;
                }
                let octets = piece.len() as i64;
                tx.prepare_cached(
                    "INSERT INTO file_contents (id, octets, links, until) VALUES (?1, ?2, 0, ?3)
                     ON CONFLICT (id) DO UPDATE SET octets = octets + ?2, until = ?3",
                )?
                .execute(params![content.blob(), octets, now + KEPT_FOR_WRITERS_S])?;
                tx.prepare_cached("INSERT INTO file_pieces (content, n, data) VALUES (?1, ?2, ?3)")?
                    .execute(params![content.blob(), n as i64, &piece[..]])?;
                Ok(())
            })
            .await
    }

    async fn discard(&self, content: ContentId) -> Result<(), StoreError> {
        self.db()
            .write_lazily(move |tx| {
                tx.prepare_cached("UPDATE file_contents SET until = 0 WHERE id = ?1 AND links = 0")?
                    .execute([content.blob()])?;
                Ok(())
            })
            .await
    }

    async fn piece(&self, content: ContentId, n: u64) -> Result<Option<Bytes>, StoreError> {
        self.db()
            .read(move |conn| {
                let piece = conn
                    .prepare_cached("SELECT data FROM file_pieces WHERE content = ?1 AND n = ?2")?
                    .query_row(params![content.blob(), n as i64], |row| row.get::<_, Vec<u8>>(0))
                    .optional()?;
                Ok(piece.map(Bytes::from))
            })
            .await
    }

    async fn write(&self, write: FileWrite) -> Result<(), FileWriteError> {
        let env = self.env().clone();
        self.db().write(move |tx| apply::apply(tx, &write, &env)).await
    }
}

/// Removes a few pieces of what no file refers to any more.
fn clear_away(conn: &Connection, now: i64) -> Result<(), StoreError> {
    let unused = conn
        .prepare_cached("SELECT id FROM file_contents WHERE until IS NOT NULL AND until < ?1 ORDER BY until LIMIT 1")?
        .query_row([now], |row| row.get::<_, [u8; 12]>(0))
        .optional()?;
    let Some(unused) = unused else { return Ok(()) };
    // From here on no file can refer to it: its octets are not those of any upload, also of one that goes on.
    conn.prepare_cached("UPDATE file_contents SET octets = -(1 << 40) WHERE id = ?1")?.execute([unused])?;
    let removed = conn
        .prepare_cached("DELETE FROM file_pieces WHERE id IN (SELECT id FROM file_pieces WHERE content = ?1 LIMIT ?2)")?
        .execute(params![unused, CLEARED_EACH])?;
    if removed < CLEARED_EACH as usize {
        conn.prepare_cached("DELETE FROM file_contents WHERE id = ?1")?.execute([unused])?;
    }
    Ok(())
}

/// Forgets what an upload that broke off has left behind.
fn begin_anew(conn: &Connection, content: ContentId) -> Result<(), StoreError> {
    let left =
        conn.prepare_cached("DELETE FROM file_contents WHERE id = ?1 AND links = 0")?.execute([content.blob()])?;
    if left > 0 {
        conn.prepare_cached("DELETE FROM file_pieces WHERE content = ?1")?.execute([content.blob()])?;
    }
    Ok(())
}

/// A home as a whole; `None` where nobody has written to it.
fn state(conn: &Connection, home: HomeId) -> Result<Option<FileHome>, StoreError> {
    let found = conn
        .prepare_cached("SELECT revision, used, entries, locks FROM file_homes WHERE home = ?1")?
        .query_row([home.blob()], |row| {
            let locks = row.get_ref(3)?.as_str().map_err(|e| unreadable(3, e))?;
            Ok(FileHome {
                revision: row.get::<_, i64>(0)? as u64,
                used: row.get::<_, i64>(1)? as u64,
                entries: row.get::<_, i64>(2)? as u64,
                locks: serde_json::from_str(locks).map_err(|e| unreadable(3, e))?,
            })
        })
        .optional()?;
    Ok(found)
}

fn at(conn: &Connection, home: HomeId, path: &FilePath) -> Result<Found, StoreError> {
    let root = conn
        .prepare_cached(
            "SELECT id, name, content, size, etag, media_type, created, modified, dead FROM file_nodes WHERE id = ?1",
        )?
        .query_row([home.blob()], node)
        .optional()?;
    let mut here = root.unwrap_or_else(|| FileNode::root(home));
    let mut member = conn.prepare_cached(
        "SELECT id, name, content, size, etag, media_type, created, modified, dead FROM file_nodes
         WHERE parent = ?1 AND name = ?2",
    )?;
    for (depth, name) in path.segments().iter().enumerate() {
        let next = member.query_row(params![here.id.blob(), name], node).optional()?;
        here = match next {
            Some(next) => next,
            None if depth + 1 == path.segments().len() && here.is_folder() => return Ok(Found::Vacant(here)),
            None => return Ok(Found::Nowhere),
        };
    }
    Ok(Found::Node(here))
}

fn node(row: &Row<'_>) -> rusqlite::Result<FileNode> {
    let content = match row.get::<_, Option<[u8; 12]>>(2)? {
        None => None,
        Some(_) => Some(FileContent {
            id: id(row, 2)?,
            size: row.get::<_, i64>(3)? as u64,
            etag: row.get(4)?,
            media_type: row.get(5)?,
        }),
    };
    Ok(FileNode {
        id: id(row, 0)?,
        name: row.get(1)?,
        content,
        created: second(row, 6)?,
        modified: second(row, 7)?,
        dead: dead(row)?,
    })
}

fn dead(row: &Row<'_>) -> rusqlite::Result<BTreeMap<String, String>> {
    match row.get_ref(8)?.as_str().map_err(|e| unreadable(8, e))? {
        "{}" => Ok(BTreeMap::new()),
        text => serde_json::from_str(text).map_err(|e| unreadable(8, e)),
    }
}

fn second(row: &Row<'_>, column: usize) -> rusqlite::Result<DateTime<Utc>> {
    let seconds = row.get(column)?;
    DateTime::from_timestamp(seconds, 0).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, seconds))
}

/// When a content may go that nobody refers to since now.
fn readers_end(now: DateTime<Utc>) -> i64 {
    now.timestamp() + KEPT_FOR_READERS_S
}
