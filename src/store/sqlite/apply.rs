//! The writing side: one [`Batch`] in one transaction, operation by operation.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use super::dav::{kind_code, space_code};
use super::upkeep::{self, Grown};
use super::{AsBlob, instances, span};
use crate::ids::CollectionId;
use crate::sqlite::{Tx, outgoing};
use crate::store::{
    Batch, Collection, CollectionKind, CollectionProps, Expect, Object, Op, PublicRight, StoreError, WriteError,
    Written,
};

/// A collection as writes see it.
pub(super) struct Target {
    pub(super) row: i64,
    pub(super) kind: i64,
    pub(super) token: u64,
}

/// An object as writes see it.
struct Stored {
    body: i64,
    etag: String,
    size: i64,
}

/// Applies all operations and publishes all messages; the caller takes everything back when this fails.
pub(super) fn apply(tx: &mut Tx<'_>, batch: Batch, now: DateTime<Utc>) -> Result<Written, WriteError> {
    let mut written = Written::default();
    let mut grown = Grown::default();
    for (index, op) in batch.ops.into_iter().enumerate() {
        let (token, existed) = match op {
            Op::CreateCollection(collection) => {
                grown.made(collection.home);
                (create(tx, index, &collection)?, false)
            }
            Op::SetProps { collection, props } => (set_props(tx, index, collection, &props)?, true),
            Op::ExpectToken { collection, token } => match target(tx, index, collection)?.token {
                found if found == token => (token, true),
                _ => return Err(WriteError::Precondition(index)),
            },
            Op::SetPublicRight { collection, right } => {
                (instances::set_public_right(tx, index, collection, right.as_ref())?, true)
            }
            Op::ExpectPublicRight { collection, right } => {
                (instances::expect_public_right(tx, index, collection, right.as_ref())?, true)
            }
            Op::PutInstance(instance) => instances::put(tx, index, &instance)?,
            Op::ExpectInstance(instance) => (instances::expect(tx, index, &instance)?, true),
            Op::ExpectNotGiven { collection, home } => {
                (instances::expect_not_given(tx, index, collection, home)?, true)
            }
            Op::RemoveInstance(instance) => instances::remove(tx, index, &instance)?,
            Op::DeleteCollection(collection) => (delete_collection(tx, index, collection)?, true),
            Op::PutObject { collection, object, expect } => put(tx, (index, collection), &object, &expect, &mut grown)?,
            Op::DeleteObject { collection, name, expect } => {
                delete(tx, (index, collection), &name, (&expect, now), &mut grown)?
            }
            Op::Trash { entry, data } => (upkeep::keep(tx, &entry, &data)?, false),
            Op::Untrash { home, id } => match upkeep::take(tx, home, id)? {
                true => (0, true),
                false => return Err(WriteError::Precondition(index)),
            },
            Op::ExpectRoom { collection, room } => {
                let token = target(tx, index, collection)?.token;
                match grown.fits(tx, collection, &room)? {
                    true => (token, true),
                    false => return Err(WriteError::NoRoom(index)),
                }
            }
        };
        written.sync_tokens.push(token);
        written.existed.push(existed);
    }
    outgoing::publish(tx, &batch.publish, now)?;
    Ok(written)
}

fn create(tx: &Tx<'_>, index: usize, new: &Collection) -> Result<u64, WriteError> {
    let (home, space) = (new.home.blob(), space_code(new.kind));
    let taken = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM collections WHERE oid = ?1 OR (home = ?2 AND space = ?3 AND uri = ?4))",
        )?
        .query_row(params![new.id.blob(), home, space, new.uri], |row| row.get::<_, bool>(0))?;
    if taken || instances::is_at(tx, new.home, new.kind, &new.uri)? {
        return Err(WriteError::CollectionExists(index));
    }
    // Tokens of a deleted collection of this name must mean nothing here: count on from the last of them.
    let retired = tx
        .prepare_cached("SELECT token FROM retired_tokens WHERE home = ?1 AND space = ?2 AND uri = ?3")?
        .query_row(params![home, space, new.uri], |row| row.get::<_, i64>(0))
        .optional()?;
    let token = new.sync_token.max(1).max(retired.map_or(1, |t| t as u64 + 1));
    tx.prepare_cached(
        "INSERT INTO collections (oid, home, space, kind, uri, props, public_right)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        new.id.blob(),
        home,
        space,
        kind_code(new.kind),
        new.uri,
        json(&new.props)?,
        new.public_right.as_ref().map(PublicRight::privilege),
    ])?;
    tx.prepare_cached(
        "INSERT INTO sync_states (collection, token, oldest, objects, octets) VALUES (?1, ?2, ?2, 0, 0)",
    )?
    .execute(params![tx.last_insert_rowid(), token as i64])?;
    Ok(token)
}

fn set_props(tx: &Tx<'_>, index: usize, id: CollectionId, props: &CollectionProps) -> Result<u64, WriteError> {
    let target = target(tx, index, id)?;
    tx.prepare_cached("UPDATE collections SET props = ?2 WHERE id = ?1")?.execute(params![target.row, json(props)?])?;
    advance(tx, &target, 0, 0)
}

fn delete_collection(tx: &Tx<'_>, index: usize, id: CollectionId) -> Result<u64, WriteError> {
    let target = target(tx, index, id)?;
    let row = target.row;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO retired_tokens (home, space, uri, token)
         SELECT home, space, uri, ?2 FROM collections WHERE id = ?1",
    )?
    .execute(params![row, target.token as i64])?;
    instances::retire_all(tx, &target)?;
    for sql in [
        "DELETE FROM bodies WHERE id IN (SELECT body FROM objects WHERE collection = ?1)",
        "DELETE FROM objects WHERE collection = ?1",
        "DELETE FROM tombstones WHERE collection = ?1",
        "DELETE FROM instances WHERE collection = ?1",
        "DELETE FROM sync_states WHERE collection = ?1",
        "DELETE FROM collections WHERE id = ?1",
    ] {
        tx.prepare_cached(sql)?.execute([row])?;
    }
    Ok(target.token)
}

fn put(
    tx: &Tx<'_>,
    (index, collection): (usize, CollectionId),
    object: &Object,
    expect: &Expect,
    grown: &mut Grown,
) -> Result<(u64, bool), WriteError> {
    let target = target(tx, index, collection)?;
    let meta = &object.meta;
    let stored = stored(tx, &target, &meta.name)?;
    check(index, stored.as_ref(), expect)?;
    if target.kind == kind_code(CollectionKind::Calendar)
        && let Some(name) = other_with_uid(tx, &target, &meta.uid.0, &meta.name)?
    {
        return Err(WriteError::UidConflict { op: index, name });
    }
    let body = match &stored {
        Some(stored) => {
            tx.prepare_cached("UPDATE bodies SET data = ?2 WHERE id = ?1")?
                .execute(params![stored.body, object.data])?;
            stored.body
        }
        None => {
            tx.prepare_cached("DELETE FROM tombstones WHERE collection = ?1 AND name = ?2")?
                .execute(params![target.row, meta.name])?;
            tx.prepare_cached("INSERT INTO bodies (data) VALUES (?1)")?.execute([&object.data])?;
            tx.last_insert_rowid()
        }
    };
    let (objects, octets) =
        (i64::from(stored.is_none()), meta.size as i64 - stored.as_ref().map_or(0, |stored| stored.size));
    grown.by(target.row, objects, octets);
    let token = advance(tx, &target, objects, octets)?;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO objects
            (collection, name, body, etag, size, modified, component, uid, first, last, span, changed, schedule_tag)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        target.row,
        meta.name,
        body,
        meta.etag,
        meta.size as i64,
        meta.modified.timestamp(),
        meta.component,
        meta.uid.0,
        meta.first_occurrence,
        meta.last_occurrence,
        span::class(meta.first_occurrence, meta.last_occurrence),
        token as i64,
        meta.schedule_tag,
    ])?;
    Ok((token, stored.is_some()))
}

fn delete(
    tx: &Tx<'_>,
    (index, collection): (usize, CollectionId),
    name: &str,
    (expect, now): (&Expect, DateTime<Utc>),
    grown: &mut Grown,
) -> Result<(u64, bool), WriteError> {
    let target = target(tx, index, collection)?;
    let stored = stored(tx, &target, name)?;
    // Without an object only `Any` holds: there is nothing that `Absent` would delete.
    let Some(stored) = stored else {
        return if *expect == Expect::Any { Ok((target.token, false)) } else { Err(WriteError::Precondition(index)) };
    };
    check(index, Some(&stored), expect)?;
    tx.prepare_cached("DELETE FROM objects WHERE collection = ?1 AND name = ?2")?.execute(params![target.row, name])?;
    tx.prepare_cached("DELETE FROM bodies WHERE id = ?1")?.execute([stored.body])?;
    grown.by(target.row, -1, -stored.size);
    let token = advance(tx, &target, -1, -stored.size)?;
    tx.prepare_cached("INSERT OR REPLACE INTO tombstones (collection, name, changed, gone) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![target.row, name, token as i64, now.timestamp()])?;
    Ok((token, true))
}

pub(super) fn target(tx: &Tx<'_>, index: usize, id: CollectionId) -> Result<Target, WriteError> {
    tx.prepare_cached(
        "SELECT c.id, c.kind, s.token FROM collections c JOIN sync_states s ON s.collection = c.id WHERE c.oid = ?1",
    )?
    .query_row([id.blob()], |row| {
        Ok(Target { row: row.get(0)?, kind: row.get(1)?, token: row.get::<_, i64>(2)? as u64 })
    })
    .optional()?
    .ok_or(WriteError::NoCollection(index))
}

fn stored(tx: &Tx<'_>, target: &Target, name: &str) -> Result<Option<Stored>, WriteError> {
    let stored = tx
        .prepare_cached("SELECT body, etag, size FROM objects WHERE collection = ?1 AND name = ?2")?
        .query_row(params![target.row, name], |row| {
            Ok(Stored { body: row.get(0)?, etag: row.get(1)?, size: row.get(2)? })
        })
        .optional()?;
    Ok(stored)
}

fn check(index: usize, stored: Option<&Stored>, expect: &Expect) -> Result<(), WriteError> {
    let holds = match expect {
        Expect::Any => true,
        Expect::Absent => stored.is_none(),
        Expect::Present => stored.is_some(),
        Expect::Etag(etag) => stored.is_some_and(|s| s.etag == *etag),
    };
    if holds { Ok(()) } else { Err(WriteError::Precondition(index)) }
}

fn other_with_uid(tx: &Tx<'_>, target: &Target, uid: &str, name: &str) -> Result<Option<String>, WriteError> {
    let other = tx
        .prepare_cached("SELECT name FROM objects WHERE collection = ?1 AND uid = ?2 AND name <> ?3 LIMIT 1")?
        .query_row(params![target.row, uid, name], |row| row.get(0))
        .optional()?;
    Ok(other)
}

/// Counts a change of the collection; its number.
pub(super) fn advance(tx: &Tx<'_>, target: &Target, objects: i64, octets: i64) -> Result<u64, WriteError> {
    tx.prepare_cached(
        "UPDATE sync_states SET token = token + 1, objects = objects + ?2, octets = octets + ?3 WHERE collection = ?1",
    )?
    .execute(params![target.row, objects, octets])?;
    Ok(target.token + 1)
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Broken(e.to_string()))
}
