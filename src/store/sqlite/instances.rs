//! Collections in the homes of people who do not own them: the table `instances`.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::apply::{Target, advance, json, target};
use super::dav::{collection_at, kind_code, kind_of, space_code};
use super::{AsBlob, id, unreadable};
use crate::ids::{CollectionId, HomeId};
use crate::sqlite::Tx;
use crate::store::{
    Access, CollectionKind, Delegation, Instance, InviteStatus, PublicRight, Shared, StoreError, Tie, WriteError,
};

/// What [`instance`] reads, the column [`SINCE`], then what `collection_at` reads from the column [`SOURCE`] on.
macro_rules! shared {
    ($rest:literal) => {
        concat!(
            "SELECT i.oid, c.oid, c.kind, i.home, i.uri, i.props, i.access, i.status, i.href, i.name, i.hidden, i.writes,
                i.since, c.oid, c.home, c.kind, c.uri, c.props, s.token, c.public_right
             FROM instances i
             JOIN collections c ON c.id = i.collection
             JOIN sync_states s ON s.collection = c.id ",
            $rest
        )
    };
}
/// Where the source begins in the columns of `shared!`.
const SOURCE: usize = SINCE + 1;
const SINCE: usize = 12;

/// `access, status, href, name, hidden, writes` from a column on.
fn tie_at(row: &Row<'_>, at: usize) -> rusqlite::Result<Tie> {
    let odd = |at: usize, number: i64| rusqlite::Error::IntegralValueOutOfRange(at, number);
    let Some(access) = row.get::<_, Option<i64>>(at)? else {
        return Ok(Tie::Subscription { writes: row.get(at + 5)? });
    };
    let status: i64 = row.get(at + 1)?;
    Ok(Tie::Delegation(Delegation {
        access: Access::of_number(access).ok_or_else(|| odd(at, access))?,
        status: InviteStatus::of_number(status).ok_or_else(|| odd(at + 1, status))?,
        href: row.get(at + 2)?,
        name: row.get(at + 3)?,
        hidden: row.get(at + 4)?,
    }))
}

fn instance(row: &Row<'_>) -> rusqlite::Result<Instance> {
    Ok(Instance {
        id: id(row, 0)?,
        of: id(row, 1)?,
        kind: kind_of(row.get(2)?)?,
        home: id(row, 3)?,
        uri: row.get(4)?,
        props: serde_json::from_str(row.get_ref(5)?.as_str()?).map_err(|e| unreadable(5, e))?,
        tie: tie_at(row, 6)?,
    })
}

fn shared(row: &Row<'_>) -> rusqlite::Result<Shared> {
    let since = row.get::<_, Option<i64>>(SINCE)?.map(|since| since as u64);
    Ok(Shared { instance: instance(row)?, source: collection_at(row, SOURCE)?, since })
}

pub(super) fn shared_in(conn: &Connection, home: HomeId) -> Result<Vec<Shared>, StoreError> {
    let mut found = conn
        .prepare_cached(shared!("WHERE i.home = ?1 ORDER BY i.id"))?
        .query_map([home.blob()], shared)?
        .collect::<Result<Vec<_>, _>>()?;
    // Stable: those that compare equal stay in the order of creation.
    found.sort_by_key(|s| s.instance.props.order.unwrap_or(i64::MAX));
    Ok(found)
}

pub(super) fn shared_at(
    conn: &Connection,
    home: HomeId,
    kind: CollectionKind,
    uri: &str,
) -> Result<Option<Shared>, StoreError> {
    let found = conn
        .prepare_cached(shared!("WHERE i.home = ?1 AND i.space = ?2 AND i.uri = ?3"))?
        .query_row(params![home.blob(), space_code(kind), uri], shared)
        .optional()?;
    Ok(found.filter(|s| s.instance.kind == kind))
}

/// The instances of a collection: all, or those in one home.
pub(super) fn instances(
    conn: &Connection,
    of: CollectionId,
    home: Option<HomeId>,
) -> Result<Vec<Instance>, StoreError> {
    let found = conn
        .prepare_cached(
            "SELECT i.oid, c.oid, c.kind, i.home, i.uri, i.props, i.access, i.status, i.href, i.name, i.hidden, i.writes
             FROM collections c JOIN instances i ON i.collection = c.id
             WHERE c.oid = ?1 AND (?2 IS NULL OR i.home = ?2) ORDER BY i.access IS NULL, i.id",
        )?
        .query_map(params![of.blob(), home.map(|home| home.blob())], instance)?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

/// Whether an instance is at a path.
pub(super) fn is_at(tx: &Tx<'_>, home: HomeId, kind: CollectionKind, uri: &str) -> Result<bool, WriteError> {
    let taken = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM instances WHERE home = ?1 AND space = ?2 AND uri = ?3)")?
        .query_row(params![home.blob(), space_code(kind), uri], |row| row.get(0))?;
    Ok(taken)
}

/// The token of the collection, and whether the instance was there.
pub(super) fn put(tx: &Tx<'_>, index: usize, new: &Instance) -> Result<(u64, bool), WriteError> {
    let target = target(tx, index, new.of)?;
    if target.kind != kind_code(new.kind) {
        return Err(WriteError::NoCollection(index));
    }
    let before: Option<(i64, String, bool)> = tx
        .prepare_cached("SELECT collection, props, since IS NULL FROM instances WHERE oid = ?1")?
        .query_row([new.id.blob()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    match before {
        None => {
            insert(tx, index, &target, new)?;
            Ok((settle(tx, &target, new, target.token)?, false))
        }
        Some((of, ..)) if of != target.row => Err(WriteError::CollectionExists(index)),
        Some((_, props, is_unsettled)) => {
            let is_changed = update(tx, new)? != props;
            let token = match new.delegation() {
                Some(_) if is_changed => advance(tx, &target, 0, 0)?,
                // Nobody knows what was told there before.
                None if is_unsettled => settle(tx, &target, new, target.token + 1)?,
                _ => target.token,
            };
            Ok((token, true))
        }
    }
}

/// Writes down the first token that is told where an instance stands, at least this one; the token of the collection, which
/// is that one or later.
fn settle(tx: &Tx<'_>, target: &Target, new: &Instance, least: u64) -> Result<u64, WriteError> {
    let retired = tx
        .prepare_cached("SELECT token FROM retired_tokens WHERE home = ?1 AND space = ?2 AND uri = ?3")?
        .query_row(params![new.home.blob(), space_code(new.kind), new.uri], |row| row.get::<_, i64>(0))
        .optional()?;
    let since = least.max(retired.map_or(0, |token| token as u64 + 1));
    tx.prepare_cached("UPDATE instances SET since = ?2 WHERE oid = ?1")?
        .execute(params![new.id.blob(), since as i64])?;
    tx.prepare_cached("UPDATE sync_states SET token = max(token, ?2) WHERE collection = ?1")?
        .execute(params![target.row, since as i64])?;
    Ok(target.token.max(since))
}

/// Retires the tokens that were told where instances stood of which this is true: `?1` is the token, `?2` what it is about.
fn retire(tx: &Tx<'_>, of: &str, about: impl rusqlite::ToSql, token: u64) -> Result<(), WriteError> {
    tx.prepare_cached(&format!(
        "INSERT INTO retired_tokens (home, space, uri, token)
         SELECT home, space, uri, ?1 FROM instances WHERE {of} = ?2
         ON CONFLICT DO UPDATE SET token = max(token, excluded.token)"
    ))?
    .execute(params![token as i64, about])?;
    Ok(())
}

/// Retires the tokens that were told where others had a collection that goes.
pub(super) fn retire_all(tx: &Tx<'_>, target: &Target) -> Result<(), WriteError> {
    retire(tx, "collection", target.row, target.token)
}

fn insert(tx: &Tx<'_>, index: usize, target: &Target, new: &Instance) -> Result<(), WriteError> {
    let (home, space) = (new.home.blob(), space_code(new.kind));
    let is_collection: bool = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM collections WHERE home = ?1 AND space = ?2 AND uri = ?3)")?
        .query_row(params![home, space, new.uri], |row| row.get(0))?;
    if is_collection || is_at(tx, new.home, new.kind, &new.uri)? {
        return Err(WriteError::CollectionExists(index));
    }
    let tie = Columns::of(&new.tie);
    tx.prepare_cached(
        "INSERT INTO instances (oid, collection, home, space, uri, props, access, status, href, name, hidden, writes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        new.id.blob(),
        target.row,
        home,
        space,
        new.uri,
        json(&new.props)?,
        tie.access,
        tie.status,
        tie.href,
        tie.name,
        tie.hidden,
        tie.writes,
    ])?;
    Ok(())
}

/// The properties as they are stored now.
fn update(tx: &Tx<'_>, new: &Instance) -> Result<String, WriteError> {
    let (props, tie) = (json(&new.props)?, Columns::of(&new.tie));
    tx.prepare_cached(
        "UPDATE instances SET props = ?2, access = ?3, status = ?4, href = ?5, name = ?6, hidden = ?7, writes = ?8
         WHERE oid = ?1",
    )?
    .execute(params![new.id.blob(), props, tie.access, tie.status, tie.href, tie.name, tie.hidden, tie.writes])?;
    Ok(props)
}

/// The token of the collection, where the instance is there with this tie.
pub(super) fn expect(tx: &Tx<'_>, index: usize, seen: &Instance) -> Result<u64, WriteError> {
    let target = target(tx, index, seen.of)?;
    let tie = tx
        .prepare_cached(
            "SELECT access, status, href, name, hidden, writes FROM instances WHERE oid = ?1 AND collection = ?2",
        )?
        .query_row(params![seen.id.blob(), target.row], |row| tie_at(row, 0))
        .optional()?;
    if tie.as_ref() == Some(&seen.tie) { Ok(target.token) } else { Err(WriteError::Precondition(index)) }
}

/// The token of the collection, where a home has no delegation of it.
pub(super) fn expect_not_given(tx: &Tx<'_>, index: usize, of: CollectionId, home: HomeId) -> Result<u64, WriteError> {
    let target = target(tx, index, of)?;
    let given: bool = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM instances WHERE collection = ?1 AND home = ?2 AND access IS NOT NULL)",
        )?
        .query_row(params![target.row, home.blob()], |row| row.get(0))?;
    if given { Err(WriteError::Precondition(index)) } else { Ok(target.token) }
}

/// The token of the collection, and whether the instance was there.
pub(super) fn remove(tx: &Tx<'_>, index: usize, gone: &Instance) -> Result<(u64, bool), WriteError> {
    let target = target(tx, index, gone.of)?;
    retire(tx, "oid", gone.id.blob(), target.token)?;
    let removed = tx
        .prepare_cached("DELETE FROM instances WHERE oid = ?1 AND collection = ?2")?
        .execute(params![gone.id.blob(), target.row])?;
    Ok((target.token, removed > 0))
}

pub(super) fn set_public_right(
    tx: &Tx<'_>,
    index: usize,
    of: CollectionId,
    right: Option<&PublicRight>,
) -> Result<u64, WriteError> {
    let target = target(tx, index, of)?;
    tx.prepare_cached("UPDATE collections SET public_right = ?2 WHERE id = ?1")?
        .execute(params![target.row, right.map(PublicRight::privilege)])?;
    Ok(target.token)
}

/// The token of the collection, where this is its public right.
pub(super) fn expect_public_right(
    tx: &Tx<'_>,
    index: usize,
    of: CollectionId,
    seen: Option<&PublicRight>,
) -> Result<u64, WriteError> {
    let target = target(tx, index, of)?;
    let right = tx
        .prepare_cached("SELECT public_right FROM collections WHERE id = ?1")?
        .query_row([target.row], |row| row.get::<_, Option<String>>(0))?;
    let right = right.as_deref().and_then(PublicRight::of_privilege);
    if right.as_ref() == seen { Ok(target.token) } else { Err(WriteError::Precondition(index)) }
}

/// A [`Tie`] in columns.
struct Columns<'a> {
    access: Option<i32>,
    status: i32,
    href: &'a str,
    name: Option<&'a str>,
    hidden: bool,
    writes: bool,
}

impl<'a> Columns<'a> {
    fn of(tie: &'a Tie) -> Self {
        match tie {
            Tie::Delegation(given) => Self {
                access: Some(given.access.number()),
                status: given.status.number(),
                href: &given.href,
                name: given.name.as_deref(),
                hidden: given.hidden,
                writes: given.access.writes(),
            },
            Tie::Subscription { writes } => Self {
                access: None,
                status: InviteStatus::Accepted.number(),
                href: "",
                name: None,
                hidden: false,
                writes: *writes,
            },
        }
    }
}
