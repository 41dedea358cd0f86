//! The trash, what homes hold, the cut of the log, and the last tokens of paths.

use std::collections::HashMap;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{AsBlob, Sqlite, id, unreadable};
use crate::ids::{CollectionId, HomeId, TrashId};
use crate::sqlite::Tx;
use crate::store::{
    HomeRoom, LogKept, Purge, RetiredToken, StoreError, TrashView, Trashed, Trimmed, Upkeep, Usage, WriteError,
};

/// Names that are forgotten in one transaction.
const TRIMMED_AT_ONCE: i64 = 1_000;
/// Octets that leave the trash in one transaction, unless one thing has more: everybody's writes wait meanwhile.
const PURGED_OCTETS: i64 = 4 << 20;
/// Kinds whose collections count: calendars and address books.
const COUNTED: &str = "(0, 3)";

/// What a batch has added so far.
#[derive(Default)]
pub(super) struct Grown {
    /// Objects and octets of collections, by row.
    collections: HashMap<i64, (i64, i64)>,
    /// Homes in which a collection was made.
    homes: Vec<HomeId>,
}

impl Grown {
    pub(super) fn by(&mut self, row: i64, objects: i64, octets: i64) {
        let grown = self.collections.entry(row).or_default();
        *grown = (grown.0 + objects, grown.1 + octets);
    }

    pub(super) fn made(&mut self, home: HomeId) {
        self.homes.push(home);
    }

    /// Whether what the batch took of the home of a collection fits into it. What is put into an inbox always does.
    pub(super) fn fits(&self, tx: &Tx<'_>, collection: CollectionId, room: &HomeRoom) -> Result<bool, WriteError> {
        let mut rows = tx.prepare_cached(&format!(
            "SELECT c.id, c.oid, c.home, s.objects, s.octets FROM collections c JOIN sync_states s ON s.collection = c.id
             WHERE c.home = (SELECT home FROM collections WHERE oid = ?1) AND c.kind IN {COUNTED}"
        ))?;
        let mut rows = rows.query([collection.blob()])?;
        let (mut collections, mut octets, mut grown_octets) = (0_i64, 0_i64, 0_i64);
        let (mut has_new, mut is_counted) = (false, false);
        while let Some(row) = rows.next()? {
            let grown = self.collections.get(&row.get(0)?).copied().unwrap_or_default();
            let (at, objects): (CollectionId, i64) = (id(row, 1)?, row.get(3)?);
            is_counted |= at == collection;
            has_new |= self.homes.contains(&id(row, 2)?);
            collections += 1;
            octets += row.get::<_, i64>(4)?;
            grown_octets += grown.1;
            if at == collection && grown.0 > 0 && exceeds(objects, room.objects) {
                return Ok(false);
            }
        }
        let is_full =
            (grown_octets > 0 && exceeds(octets, room.octets)) || (has_new && exceeds(collections, room.collections));
        Ok(!is_counted || !is_full)
    }
}

fn exceeds(found: i64, most: Option<u64>) -> bool {
    most.is_some_and(|most| u64::try_from(found).unwrap_or(0) > most)
}

/// Puts something into the trash; 0, for it has no token.
pub(super) fn keep(tx: &Tx<'_>, entry: &Trashed, data: &str) -> Result<u64, WriteError> {
    let json = serde_json::to_string(entry).map_err(|e| StoreError::Broken(e.to_string()))?;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO trash (id, home, collection, part, until, entry, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        entry.id.blob(),
        entry.home.blob(),
        entry.collection.blob(),
        entry.is_part(),
        entry.until.timestamp_millis(),
        json,
        data,
    ])?;
    Ok(0)
}

/// Takes something out of the trash; false when it is not there.
pub(super) fn take(tx: &Tx<'_>, home: HomeId, id: TrashId) -> Result<bool, WriteError> {
    let taken =
        tx.prepare_cached("DELETE FROM trash WHERE id = ?1 AND home = ?2")?.execute(params![id.blob(), home.blob()])?;
    Ok(taken == 1)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Trashed> {
    serde_json::from_str(row.get_ref(0)?.as_str()?).map_err(|e| unreadable(0, e))
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait]
impl Upkeep for Sqlite {
    async fn trash(
        &self,
        home: HomeId,
        view: TrashView,
        after: Option<TrashId>,
        limit: usize,
    ) -> Result<Vec<Trashed>, StoreError> {
        self.db()
            .read(move |conn| match view {
                TrashView::Deleted => deleted(conn, home, after, limit),
                TrashView::Of(collection) => {
                    let found = conn
                        .prepare_cached(
                            "SELECT entry FROM trash WHERE home = ?1 AND collection = ?2 AND part = 1 AND id < ?3
                             ORDER BY id DESC LIMIT ?4",
                        )?
                        .query_map(
                            params![
                                home.blob(),
                                collection.blob(),
                                after.map_or([u8::MAX; 12], |after| after.blob()),
                                limit_of(limit)
                            ],
                            entry,
                        )?
                        .collect::<Result<_, _>>()?;
                    Ok(found)
                }
            })
            .await
    }

    async fn trashed(&self, home: HomeId, ids: &[TrashId]) -> Result<Vec<(Trashed, String)>, StoreError> {
        let ids = ids.to_vec();
        self.db()
            .read(move |conn| {
                let mut one = conn.prepare_cached("SELECT entry, data FROM trash WHERE id = ?1 AND home = ?2")?;
                let mut found = Vec::with_capacity(ids.len());
                for id in ids {
                    let row = one.query_row(params![id.blob(), home.blob()], |row| Ok((entry(row)?, row.get(1)?)));
                    found.extend(row.optional()?);
                }
                Ok(found)
            })
            .await
    }

    async fn purge(&self, what: &Purge, limit: usize) -> Result<u64, StoreError> {
        let (what, limit) = (what.clone(), limit_of(limit));
        self.db().write(move |tx| purge(tx, &what, limit)).await
    }

    async fn usage(&self, home: HomeId) -> Result<Vec<(CollectionId, Usage)>, StoreError> {
        self.db()
            .read(move |conn| {
                let found = conn
                    .prepare_cached(&format!(
                        "SELECT c.oid, s.octets, s.objects FROM collections c JOIN sync_states s ON s.collection = c.id
                         WHERE c.home = ?1 AND c.kind IN {COUNTED} ORDER BY c.id"
                    ))?
                    .query_map([home.blob()], |row| Ok((id(row, 0)?, usage_at(row, 1)?)))?
                    .collect::<Result<_, _>>()?;
                Ok(found)
            })
            .await
    }

    async fn recount(&self, collection: CollectionId, repair: bool) -> Result<Option<(Usage, Usage)>, StoreError> {
        let found = self.db().read(move |conn| counted(conn, collection)).await?;
        if !repair || found.is_none() {
            return Ok(found);
        }
        self.db()
            .write(move |tx| {
                let found = counted(tx, collection)?;
                if let Some((_, there)) = found {
                    tx.prepare_cached(
                        "UPDATE sync_states SET octets = ?2, objects = ?3
                         WHERE collection = (SELECT id FROM collections WHERE oid = ?1)",
                    )?
                    .execute(params![
                        collection.blob(),
                        there.octets as i64,
                        there.objects as i64
                    ])?;
                }
                Ok(found)
            })
            .await
    }

    async fn trim_log(&self, after: Option<CollectionId>, kept: &LogKept, limit: usize) -> Result<Trimmed, StoreError> {
        let (kept, after) = (*kept, after.map(|after| after.blob()));
        let page: Vec<(CollectionId, i64, Option<i64>)> = self
            .db()
            .read(move |conn| {
                let page = conn
                    .prepare_cached(
                        "SELECT id, oid FROM collections WHERE ?1 IS NULL OR oid > ?1 ORDER BY oid LIMIT ?2",
                    )?
                    .query_map(params![after, limit_of(limit)], |row| Ok((row.get::<_, i64>(0)?, id(row, 1)?)))?
                    .collect::<Result<Vec<_>, _>>()?;
                page.into_iter()
                    .map(|(row, oid)| Ok((oid, row, cut_of(conn, row, &kept)?)))
                    .collect::<Result<_, StoreError>>()
            })
            .await?;
        let mut trimmed = Trimmed { rows: 0, last: page.last().map(|(oid, ..)| *oid).filter(|_| page.len() == limit) };
        for (_, row, cut) in page {
            let Some(cut) = cut else { continue };
            loop {
                let rows = self.db().write(move |tx| forget(tx, row, cut)).await?;
                trimmed.rows += rows;
                if rows < TRIMMED_AT_ONCE as u64 {
                    break;
                }
            }
        }
        Ok(trimmed)
    }

    async fn retired_tokens(
        &self,
        after: Option<&RetiredToken>,
        limit: usize,
    ) -> Result<Vec<RetiredToken>, StoreError> {
        let after = after.cloned();
        self.db()
            .read(move |conn| {
                let (home, space, uri) =
                    after.map_or(([0; 12], 0, String::new()), |t| (t.home.blob(), i64::from(t.is_book), t.uri));
                let found = conn
                    .prepare_cached(
                        "SELECT home, space, uri, token FROM retired_tokens WHERE (home, space, uri) > (?1, ?2, ?3)
                         ORDER BY home, space, uri LIMIT ?4",
                    )?
                    .query_map(params![home, space, uri, limit_of(limit)], |row| {
                        Ok(RetiredToken {
                            home: id(row, 0)?,
                            is_book: row.get::<_, i64>(1)? == 1,
                            uri: row.get(2)?,
                            token: row.get::<_, i64>(3)? as u64,
                        })
                    })?
                    .collect::<Result<_, _>>()?;
                Ok(found)
            })
            .await
    }

    async fn retire_tokens(&self, tokens: &[RetiredToken]) -> Result<(), StoreError> {
        let tokens = tokens.to_vec();
        self.db()
            .write(move |tx| {
                for RetiredToken { home, is_book, uri, token } in tokens {
                    tx.prepare_cached(
                        "INSERT INTO retired_tokens (home, space, uri, token) VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT DO UPDATE SET token = max(token, excluded.token)",
                    )?
                    .execute(params![home.blob(), i64::from(is_book), uri, token as i64])?;
                }
                Ok(())
            })
            .await
    }
}

/// What people deleted: entries that are no part of another, and parts of what has no entry.
fn deleted(conn: &Connection, home: HomeId, after: Option<TrashId>, limit: usize) -> Result<Vec<Trashed>, StoreError> {
    let after = after.map_or([0; 12], |after| after.blob());
    let mut found: Vec<Trashed> = conn
        .prepare_cached("SELECT entry FROM trash WHERE home = ?1 AND part = 0 AND id > ?2 ORDER BY id LIMIT ?3")?
        .query_map(params![home.blob(), after, limit_of(limit)], entry)?
        .collect::<Result<_, _>>()?;
    let mut parts = conn.prepare_cached(
        "SELECT entry FROM trash WHERE home = ?1 AND collection = ?2 AND part = 1 AND id > ?3 ORDER BY id LIMIT ?4",
    )?;
    for collection in left_without_entry(conn, home)? {
        let rows = parts.query_map(params![home.blob(), collection, after, limit_of(limit)], entry)?;
        for row in rows {
            found.push(row?);
        }
    }
    found.sort_by_key(|entry| entry.id);
    found.truncate(limit);
    Ok(found)
}

/// The collections of which there are parts in the trash, and nothing else.
fn left_without_entry(conn: &Connection, home: HomeId) -> Result<Vec<[u8; 12]>, StoreError> {
    let mut next =
        conn.prepare_cached("SELECT min(collection) FROM trash WHERE home = ?1 AND part = 1 AND collection > ?2")?;
    let mut is_there =
        conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM trash WHERE id = ?1 AND home = ?2 AND part = 0)")?;
    let (mut left, mut last) = (Vec::new(), Vec::new());
    while let Some(collection) = next.query_row(params![home.blob(), last], |row| row.get::<_, Option<[u8; 12]>>(0))? {
        if !is_there.query_row(params![collection, home.blob()], |row| row.get::<_, bool>(0))? {
            left.push(collection);
        }
        last = collection.to_vec();
    }
    Ok(left)
}

/// Forgets some things; how many it were.
fn purge(tx: &Tx<'_>, what: &Purge, limit: i64) -> Result<u64, StoreError> {
    let size = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let sized: Vec<(i64, i64)> = match what {
        Purge::Expired(now) => tx
            .prepare_cached("SELECT n, octet_length(data) FROM trash WHERE until <= ?1 ORDER BY until LIMIT ?2")?
            .query_map(params![now.timestamp_millis(), limit], size)?
            .collect::<Result<_, _>>()?,
        Purge::Home(home) => tx
            .prepare_cached("SELECT n, octet_length(data) FROM trash WHERE home = ?1 LIMIT ?2")?
            .query_map(params![home.blob(), limit], size)?
            .collect::<Result<_, _>>()?,
        Purge::Of(home, collection) => tx
            .prepare_cached(
                "SELECT n, octet_length(data) FROM trash WHERE home = ?1 AND collection = ?2 AND part = 1 LIMIT ?3",
            )?
            .query_map(params![home.blob(), collection.blob(), limit], size)?
            .collect::<Result<_, _>>()?,
        Purge::These(home, ids) => {
            let mut one = tx.prepare_cached("SELECT n, octet_length(data) FROM trash WHERE id = ?1 AND home = ?2")?;
            let mut sized = Vec::new();
            for id in ids.iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
                sized.extend(one.query_row(params![id.blob(), home.blob()], size).optional()?);
            }
            sized
        }
    };
    let mut delete = tx.prepare_cached("DELETE FROM trash WHERE n = ?1")?;
    let (mut purged, mut octets) = (0, 0_i64);
    for (n, size) in sized {
        octets = octets.saturating_add(size);
        if purged > 0 && octets > PURGED_OCTETS {
            break;
        }
        purged += delete.execute([n])? as u64;
    }
    Ok(purged)
}

fn usage_at(row: &Row<'_>, at: usize) -> rusqlite::Result<Usage> {
    let number = |at| row.get::<_, i64>(at).map(|n| u64::try_from(n).unwrap_or(0));
    Ok(Usage { octets: number(at)?, objects: number(at + 1)? })
}

/// What is counted, and what there is, where they differ.
fn counted(conn: &Connection, collection: CollectionId) -> Result<Option<(Usage, Usage)>, StoreError> {
    let found = conn
        .prepare_cached(
            "SELECT s.octets, s.objects, (SELECT coalesce(sum(size), 0) FROM objects o WHERE o.collection = c.id),
                 (SELECT count(*) FROM objects o WHERE o.collection = c.id)
             FROM collections c JOIN sync_states s ON s.collection = c.id WHERE c.oid = ?1",
        )?
        .query_row([collection.blob()], |row| Ok((usage_at(row, 0)?, usage_at(row, 2)?)))
        .optional()?;
    Ok(found.filter(|(kept, there)| kept != there))
}

/// The number up to which what is gone may be forgotten; `None` where there is nothing to forget.
fn cut_of(conn: &Connection, row: i64, kept: &LogKept) -> Result<Option<i64>, StoreError> {
    let by_age: Option<i64> = conn
        .prepare_cached("SELECT max(changed) FROM tombstones WHERE collection = ?1 AND gone < ?2")?
        .query_row(params![row, kept.since.timestamp()], |row| row.get(0))?;
    let by_number: Option<i64> = conn
        .prepare_cached("SELECT changed FROM tombstones WHERE collection = ?1 ORDER BY changed DESC LIMIT 1 OFFSET ?2")?
        .query_row(params![row, i64::try_from(kept.names).unwrap_or(i64::MAX)], |row| row.get(0))
        .optional()?;
    Ok(by_age.max(by_number))
}

/// Forgets some of the names up to a number, oldest first, and says from where on the log is complete; how many it were.
fn forget(tx: &Tx<'_>, row: i64, cut: i64) -> Result<u64, StoreError> {
    let last: Option<i64> = tx
        .prepare_cached(
            "SELECT max(changed) FROM (SELECT changed FROM tombstones WHERE collection = ?1 AND changed <= ?2
             ORDER BY changed LIMIT ?3)",
        )?
        .query_row(params![row, cut, TRIMMED_AT_ONCE], |row| row.get(0))?;
    let Some(last) = last else { return Ok(0) };
    let gone = tx
        .prepare_cached("DELETE FROM tombstones WHERE collection = ?1 AND changed <= ?2")?
        .execute(params![row, last])?;
    tx.prepare_cached("UPDATE sync_states SET oldest = max(oldest, ?2) WHERE collection = ?1")?
        .execute(params![row, last])?;
    Ok(gone as u64)
}
