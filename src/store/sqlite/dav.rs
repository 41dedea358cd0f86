//! Calendars and objects: the reading side, and the writes handed to [`apply`].

use async_trait::async_trait;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Rows, params};

use super::apply::apply;
use super::{AsBlob, Sqlite, id, instances, span, unreadable};
use crate::ids::{CollectionId, HomeId, Uid};
use crate::store::page::Weight;
use crate::store::paging::Stand;
use crate::store::{
    Batch, Change, Changes, Collection, CollectionKind, DavStore, Instance, Object, ObjectFilter, ObjectMeta,
    ObjectPage, PublicRight, Shared, StoreError, WriteError, Written,
};

/// The code of a kind in `collections.kind`.
pub(super) const fn kind_code(kind: CollectionKind) -> i64 {
    match kind {
        CollectionKind::Calendar => 0,
        CollectionKind::Inbox => 1,
        CollectionKind::Outbox => 2,
        CollectionKind::AddressBook => 3,
    }
}

/// The code of the name space of a kind in `collections.space`.
pub(super) const fn space_code(kind: CollectionKind) -> i64 {
    match kind {
        CollectionKind::Calendar | CollectionKind::Inbox | CollectionKind::Outbox => 0,
        CollectionKind::AddressBook => 1,
    }
}

#[async_trait]
impl DavStore for Sqlite {
    async fn homes(&self, after: Option<HomeId>, limit: usize) -> Result<Vec<HomeId>, StoreError> {
        self.db()
            .read(move |conn| {
                let after = after.map(|h| h.blob());
                let found = conn
                    .prepare_cached(
                        "SELECT DISTINCT home FROM collections WHERE ?1 IS NULL OR home > ?1 ORDER BY home LIMIT ?2",
                    )?
                    .query_map(params![after, limit as i64], |row| id(row, 0))?
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(found)
            })
            .await
    }

    async fn collections(&self, home: HomeId) -> Result<Vec<Collection>, StoreError> {
        self.db()
            .read(move |conn| {
                let mut found = conn
                    .prepare_cached(
                        "SELECT c.oid, c.home, c.kind, c.uri, c.props, s.token, c.public_right FROM collections c
                         JOIN sync_states s ON s.collection = c.id WHERE c.home = ?1 ORDER BY c.id",
                    )?
                    .query_map([home.blob()], collection)?
                    .collect::<Result<Vec<_>, _>>()?;
                // Stable: those that compare equal stay in the order of creation.
                found.sort_by_key(|c| (!c.is_default(), c.props.order.unwrap_or(i64::MAX)));
                Ok(found)
            })
            .await
    }

    async fn collection(
        &self,
        home: HomeId,
        kind: CollectionKind,
        uri: &str,
    ) -> Result<Option<Collection>, StoreError> {
        let uri = uri.to_owned();
        self.db()
            .read(move |conn| {
                let found = conn
                    .prepare_cached(
                        "SELECT c.oid, c.home, c.kind, c.uri, c.props, s.token, c.public_right FROM collections c
                         JOIN sync_states s ON s.collection = c.id WHERE c.home = ?1 AND c.space = ?2 AND c.uri = ?3",
                    )?
                    .query_row(params![home.blob(), space_code(kind), uri], collection)
                    .optional()?;
                Ok(found.filter(|c| c.kind == kind))
            })
            .await
    }

    async fn home_of(&self, collection: CollectionId) -> Result<Option<HomeId>, StoreError> {
        self.db()
            .read(move |conn| {
                let home = conn
                    .prepare_cached("SELECT home FROM collections WHERE oid = ?1")?
                    .query_row([collection.blob()], |row| id(row, 0))
                    .optional()?;
                Ok(home)
            })
            .await
    }

    async fn object(&self, collection: CollectionId, name: &str) -> Result<Option<Object>, StoreError> {
        let name = name.to_owned();
        self.db()
            .read(move |conn| match row_of(conn, collection)? {
                Some(row) => Fetch::from(conn, row)?.object(&name),
                None => Ok(None),
            })
            .await
    }

    async fn objects(&self, collection: CollectionId, names: &[String]) -> Result<Vec<Option<Object>>, StoreError> {
        let names = names.to_vec();
        self.db()
            .read(move |conn| match row_of(conn, collection)? {
                Some(row) => {
                    let (mut fetch, mut weight) = (Fetch::from(conn, row)?, Weight::default());
                    let mut found = Vec::with_capacity(names.len());
                    for name in &names {
                        match fetch.within(name, &mut weight)? {
                            Fetched::TooMuch => break,
                            Fetched::Object(object) => found.push(Some(object)),
                            Fetched::Nothing => found.push(None),
                        }
                    }
                    Ok(found)
                }
                None => Ok(vec![None; names.len()]),
            })
            .await
    }

    async fn list(
        &self,
        collection: CollectionId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectMeta>, StoreError> {
        let after = after.unwrap_or_default().to_owned();
        self.db()
            .read(move |conn| {
                let Some(row) = row_of(conn, collection)? else { return Ok(Vec::new()) };
                let page = conn
                    .prepare_cached(
                        "SELECT name, etag, size, modified, component, uid, first, last, schedule_tag FROM objects
                         WHERE collection = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
                    )?
                    .query_map(params![row, after, sql_limit(limit)], meta)?
                    .collect::<Result<_, _>>()?;
                Ok(page)
            })
            .await
    }

    async fn query(
        &self,
        collection: CollectionId,
        filter: &ObjectFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ObjectPage, StoreError> {
        let (filter, after) = (filter.clone(), after.unwrap_or_default().to_owned());
        self.db()
            .read(move |conn| {
                let Some(row) = row_of(conn, collection)? else { return Ok(ObjectPage::default()) };
                if let Some(uid) = &filter.uid {
                    return by_uid(conn, row, uid, &filter, &after, limit);
                }
                match names_in_range(conn, row, &filter, limit)? {
                    Some(names) => {
                        let from = names.partition_point(|name| *name <= after);
                        Fetch::from(conn, row)?.page(&names[from..], limit)
                    }
                    None => scan(conn, row, &filter, &after, limit),
                }
            })
            .await
    }

    async fn find_uid(&self, home: HomeId, uid: &Uid) -> Result<Vec<(Collection, Object)>, StoreError> {
        let uid = uid.clone();
        self.db()
            .read(move |conn| {
                let found = conn
                    .prepare_cached(
                        "SELECT c.oid, c.home, c.kind, c.uri, c.props, s.token, c.public_right,
                            o.name, o.etag, o.size, o.modified, o.component, o.uid, o.first, o.last, o.schedule_tag, b.data
                         FROM collections c
                         JOIN sync_states s ON s.collection = c.id
                         CROSS JOIN objects o INDEXED BY objects_by_uid ON o.collection = c.id AND o.uid = ?3
                         JOIN bodies b ON b.id = o.body
                         WHERE c.home = ?1 AND c.space = 0 AND c.kind = ?2 ORDER BY c.id",
                    )?
                    .query_map(params![home.blob(), kind_code(CollectionKind::Calendar), uid.0], |row| {
                        Ok((collection(row)?, object(row, 7)?))
                    })?
                    .collect::<Result<_, _>>()?;
                Ok(found)
            })
            .await
    }

    async fn changes(&self, collection: CollectionId, since: u64, limit: usize) -> Result<Option<Changes>, StoreError> {
        self.db().read(move |conn| changes(conn, collection, since, limit)).await
    }

    async fn shared_in(&self, home: HomeId) -> Result<Vec<Shared>, StoreError> {
        self.db().read(move |conn| instances::shared_in(conn, home)).await
    }

    async fn shared_at(&self, home: HomeId, kind: CollectionKind, uri: &str) -> Result<Option<Shared>, StoreError> {
        let uri = uri.to_owned();
        self.db().read(move |conn| instances::shared_at(conn, home, kind, &uri)).await
    }

    async fn instances(&self, source: &Collection) -> Result<Vec<Instance>, StoreError> {
        let of = source.id;
        self.db().read(move |conn| instances::instances(conn, of, None)).await
    }

    async fn instances_for(&self, source: &Collection, home: HomeId) -> Result<Vec<Instance>, StoreError> {
        let of = source.id;
        self.db().read(move |conn| instances::instances(conn, of, Some(home))).await
    }

    async fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let now = self.env().now();
        self.db().write(move |tx| apply(tx, batch, now)).await
    }
}

/// The short name of a collection in the other tables.
fn row_of(conn: &Connection, collection: CollectionId) -> Result<Option<i64>, StoreError> {
    let row = conn
        .prepare_cached("SELECT id FROM collections WHERE oid = ?1")?
        .query_row([collection.blob()], |row| row.get(0))
        .optional()?;
    Ok(row)
}

/// Reads objects of one collection by name, with one statement.
struct Fetch<'c> {
    row: i64,
    statement: CachedStatement<'c>,
}

impl<'c> Fetch<'c> {
    fn from(conn: &'c Connection, row: i64) -> Result<Self, StoreError> {
        let statement = conn.prepare_cached(
            "SELECT o.name, o.etag, o.size, o.modified, o.component, o.uid, o.first, o.last, o.schedule_tag, b.data
             FROM objects o JOIN bodies b ON b.id = o.body WHERE o.collection = ?1 AND o.name = ?2",
        )?;
        Ok(Self { row, statement })
    }

    fn object(&mut self, name: &str) -> Result<Option<Object>, StoreError> {
        Ok(self.statement.query_row(params![self.row, name], |row| object(row, 0)).optional()?)
    }

    /// An object, if the page takes it. The text of one that it does not take is not read.
    fn within(&mut self, name: &str, weight: &mut Weight) -> Result<Fetched, StoreError> {
        let mut rows = self.statement.query(params![self.row, name])?;
        let Some(row) = rows.next()? else { return Ok(Fetched::Nothing) };
        Ok(if weight.takes(size(row)?) { Fetched::Object(object(row, 0)?) } else { Fetched::TooMuch })
    }

    /// As many of the objects with these names as make a page.
    fn page(mut self, names: &[String], limit: usize) -> Result<ObjectPage, StoreError> {
        let (mut page, mut weight) = (ObjectPage::default(), Weight::default());
        for name in names {
            match if page.objects.len() == limit { Fetched::TooMuch } else { self.within(name, &mut weight)? } {
                Fetched::TooMuch => {
                    page.more = true;
                    break;
                }
                Fetched::Object(object) => page.objects.push(object),
                Fetched::Nothing => {}
            }
        }
        Ok(page)
    }
}

/// What became of reading one object of a page.
enum Fetched {
    Object(Object),
    Nothing,
    /// The page is full without it.
    TooMuch,
}

/// As many of the objects in these rows as make a page; of those that pass a filter, where there is one left to apply.
fn page(mut rows: Rows<'_>, limit: usize, filter: Option<&ObjectFilter>) -> Result<ObjectPage, StoreError> {
    let (mut page, mut weight) = (ObjectPage::default(), Weight::default());
    while let Some(row) = rows.next()? {
        if let Some(filter) = filter
            && !may_match(&meta(row)?, filter)
        {
            continue;
        }
        if page.objects.len() == limit || !weight.takes(size(row)?) {
            page.more = true;
            break;
        }
        page.objects.push(object(row, 0)?);
    }
    Ok(page)
}

/// Octets of the text of an object in a row that begins with its metadata.
fn size(row: &Row<'_>) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(2)? as u64)
}

/// A page of the objects with that UID; more than one in inboxes only.
fn by_uid(
    conn: &Connection,
    row: i64,
    uid: &Uid,
    filter: &ObjectFilter,
    after: &str,
    limit: usize,
) -> Result<ObjectPage, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT o.name, o.etag, o.size, o.modified, o.component, o.uid, o.first, o.last, o.schedule_tag, b.data
         FROM objects o JOIN bodies b ON b.id = o.body
         WHERE o.collection = ?1 AND o.uid = ?2 AND o.name > ?3 ORDER BY o.name",
    )?;
    page(statement.query(params![row, uid.0, after])?, limit, Some(filter))
}

fn may_match(meta: &ObjectMeta, filter: &ObjectFilter) -> bool {
    let component = filter.component.as_ref().is_none_or(|c| *c == meta.component);
    let in_time = meta.first_occurrence.is_none_or(|first| {
        filter.end.is_none_or(|end| first <= end)
            && filter.start.is_none_or(|start| meta.last_occurrence.is_none_or(|last| last >= start))
    });
    component && in_time
}

/// The names of all objects that may match, in order, from the index by time; `None` when there are so many that reading
/// the collection in the order of names is cheaper.
///
/// A page found by the index costs as much as all matches, `m`; one found by reading in order costs the page times the
/// share of what does not match, `limit * objects / m`. The index wins up to the square root of `limit * objects`.
fn names_in_range(
    conn: &Connection,
    row: i64,
    filter: &ObjectFilter,
    limit: usize,
) -> Result<Option<Vec<String>>, StoreError> {
    if filter.start.is_none() && filter.end.is_none() && filter.component.is_none() {
        return Ok(None);
    }
    let objects: i64 = conn
        .prepare_cached("SELECT objects FROM sync_states WHERE collection = ?1")?
        .query_row([row], |row| row.get(0))?;
    let most = limit.saturating_mul(usize::try_from(objects).unwrap_or(0)).isqrt();
    let end = filter.end.unwrap_or(i64::MAX);
    let mut timed = conn.prepare_cached(
        "SELECT name FROM objects WHERE collection = ?1 AND component = ?2 AND span = ?3
         AND first BETWEEN ?4 AND ?5 AND (last IS NULL OR last >= ?6) LIMIT ?7",
    )?;
    let mut untimed = conn
        .prepare_cached("SELECT name FROM objects WHERE collection = ?1 AND component = ?2 AND span = ?3 LIMIT ?4")?;

    let mut names: Vec<String> = Vec::new();
    for component in components(conn, row, filter)? {
        let room = sql_limit(most + 1 - names.len());
        for name in untimed.query_map(params![row, component, span::UNTIMED, room], |row| row.get(0))? {
            names.push(name?);
        }
        for (class, from) in span::windows(filter.start) {
            let room = sql_limit((most + 1).saturating_sub(names.len()));
            let start = filter.start.unwrap_or(i64::MIN);
            for name in timed.query_map(params![row, component, class, from, end, start, room], |row| row.get(0))? {
                names.push(name?);
            }
        }
        if names.len() > most {
            return Ok(None);
        }
    }
    names.sort_unstable();
    Ok(Some(names))
}

/// The component types to look at: the one asked for, or those the collection holds, each found by one step in the index.
fn components(conn: &Connection, row: i64, filter: &ObjectFilter) -> Result<Vec<String>, StoreError> {
    if let Some(component) = &filter.component {
        return Ok(vec![component.clone()]);
    }
    let mut next =
        conn.prepare_cached("SELECT min(component) FROM objects WHERE collection = ?1 AND component > ?2")?;
    let mut found: Vec<String> = Vec::new();
    while let Some(component) =
        next.query_row(params![row, found.last().map_or("", String::as_str)], |row| row.get::<_, Option<String>>(0))?
    {
        found.push(component);
    }
    Ok(found)
}

/// A page of objects that may match, read in the order of names.
fn scan(
    conn: &Connection,
    row: i64,
    filter: &ObjectFilter,
    after: &str,
    limit: usize,
) -> Result<ObjectPage, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT o.name, o.etag, o.size, o.modified, o.component, o.uid, o.first, o.last, o.schedule_tag, b.data
         FROM objects o CROSS JOIN bodies b ON b.id = o.body
         WHERE o.collection = ?1 AND o.name > ?2 AND (?3 IS NULL OR o.component = ?3)
         AND (o.first IS NULL OR (o.first <= ?5 AND (o.last IS NULL OR o.last >= ?4)))
         ORDER BY o.name LIMIT ?6",
    )?;
    let (start, end) = (filter.start.unwrap_or(i64::MIN), filter.end.unwrap_or(i64::MAX));
    // One more tells whether there is one.
    let rows = sql_limit(limit.saturating_add(1));
    page(statement.query(params![row, after, filter.component, start, end, rows])?, limit, None)
}

fn changes(
    conn: &Connection,
    collection: CollectionId,
    since: u64,
    limit: usize,
) -> Result<Option<Changes>, StoreError> {
    let state = conn
        .prepare_cached(
            "SELECT c.id, s.token, s.oldest FROM collections c JOIN sync_states s ON s.collection = c.id
             WHERE c.oid = ?1",
        )?
        .query_row([collection.blob()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)? as u64, row.get::<_, i64>(2)? as u64))
        })
        .optional()?;
    let Some((row, token, oldest)) = state else { return Ok(None) };
    let stand = if since == 0 { Stand::beginning(token) } else { Stand::read(since) };
    if !(oldest..=token).contains(&stand.began) || stand.at > stand.began {
        return Ok(None);
    }
    let room = sql_limit(limit.saturating_add(1));
    let mut found = conn
        .prepare_cached(
            "SELECT name, etag, size, modified, component, uid, first, last, schedule_tag, changed FROM objects
             WHERE collection = ?1 AND changed > ?2 ORDER BY changed LIMIT ?3",
        )?
        .query_map(params![row, stand.at as i64, room], |row| {
            Ok((row.get::<_, i64>(9)? as u64, Change::Written(meta(row)?)))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    // Who knows nothing yet need not hear of what is gone.
    if stand.began < token {
        let gone = conn
            .prepare_cached(
                "SELECT changed, name FROM tombstones WHERE collection = ?1 AND changed > ?2 ORDER BY changed LIMIT ?3",
            )?
            .query_map(params![row, stand.began as i64, room], |row| {
                Ok((row.get::<_, i64>(0)? as u64, Change::Deleted(row.get(1)?)))
            })?
            .collect::<Result<Vec<_>, _>>()?;
        found.extend(gone);
        found.sort_by_key(|(changed, _)| *changed);
    }
    let truncated = found.len() > limit;
    found.truncate(limit);
    let token = match found.last() {
        Some((changed, _)) if truncated => stand.token_at(*changed, oldest),
        _ => token,
    };
    let changes = found.into_iter().map(|(_, change)| change).collect();
    Ok(Some(Changes { changes, token, truncated }))
}

/// The kind with a code of [`kind_code`].
pub(super) fn kind_of(code: i64) -> rusqlite::Result<CollectionKind> {
    match code {
        0 => Ok(CollectionKind::Calendar),
        1 => Ok(CollectionKind::Inbox),
        2 => Ok(CollectionKind::Outbox),
        3 => Ok(CollectionKind::AddressBook),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(2, other)),
    }
}

/// `oid, home, kind, uri, props, token, public_right` from a column on.
pub(super) fn collection_at(row: &Row<'_>, at: usize) -> rusqlite::Result<Collection> {
    Ok(Collection {
        id: id(row, at)?,
        home: id(row, at + 1)?,
        kind: kind_of(row.get(at + 2)?)?,
        uri: row.get(at + 3)?,
        props: serde_json::from_str(row.get_ref(at + 4)?.as_str()?).map_err(|e| unreadable(at + 4, e))?,
        sync_token: row.get::<_, i64>(at + 5)? as u64,
        public_right: row.get::<_, Option<String>>(at + 6)?.as_deref().and_then(PublicRight::of_privilege),
    })
}

fn collection(row: &Row<'_>) -> rusqlite::Result<Collection> {
    collection_at(row, 0)
}

/// `name, etag, size, modified, component, uid, first, last, schedule_tag` from a column on.
fn meta_at(row: &Row<'_>, at: usize) -> rusqlite::Result<ObjectMeta> {
    let modified = row.get::<_, i64>(at + 3)?;
    Ok(ObjectMeta {
        name: row.get(at)?,
        etag: row.get(at + 1)?,
        size: row.get::<_, i64>(at + 2)? as u64,
        modified: chrono::DateTime::from_timestamp(modified, 0)
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(at + 3, modified))?,
        component: row.get(at + 4)?,
        uid: Uid(row.get(at + 5)?),
        first_occurrence: row.get(at + 6)?,
        last_occurrence: row.get(at + 7)?,
        schedule_tag: row.get(at + 8)?,
    })
}

fn meta(row: &Row<'_>) -> rusqlite::Result<ObjectMeta> {
    meta_at(row, 0)
}

fn object(row: &Row<'_>, at: usize) -> rusqlite::Result<Object> {
    Ok(Object { meta: meta_at(row, at)?, data: row.get(at + 9)? })
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
