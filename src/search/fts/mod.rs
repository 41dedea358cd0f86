//! The embedded engine of the event search: SQLite FTS5 in a file of its own, which can be rebuilt at any time.
//!
//! Unlike the reference, an update without a higher SEQUENCE is indexed too: states of an object are ordered by the
//! message that told of them.

mod words;

use std::collections::HashSet;
use std::path::Path;

use async_trait::async_trait;
use chrono::TimeDelta;
use rusqlite::{Connection, OptionalExtension, params};
use words::{Columns, Wanted};

use super::{EventDocument, EventIndex, EventQuery, IndexedObject, Occurrence, SearchError, analysis};
use crate::clock::Env;
use crate::config::Durability;
use crate::ids::{CalendarPath, HomeId, Uid};
use crate::sqlite::{Db, DbError, OpenError, Profile, Tx};

const SEARCH: Profile = Profile {
    // `CNVS`
    application_id: 0x434e_5653,
    migrations: &[include_str!("0001_events.sql"), include_str!("0002_words.sql"), include_str!("0003_public.sql")],
    writer_cache_kib: 1024,
    reader_cache_kib: 1024,
    readers: 1,
};

/// How long a deleted object is remembered, for messages that come late.
const TOMBSTONES_KEPT: TimeDelta = TimeDelta::days(30);
/// Forgotten objects that each deletion clears away.
const PRUNED_EACH: u32 = 4;

const ORGANIZES: i64 = 0;
const ATTENDS: i64 = 1;

impl From<DbError> for SearchError {
    fn from(error: DbError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<rusqlite::Error> for SearchError {
    fn from(error: rusqlite::Error) -> Self {
        DbError::from(error).into()
    }
}

/// The index. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Fts {
    db: Db,
    env: Env,
}

impl Fts {
    /// Opens or creates the index.
    ///
    /// # Errors
    /// [`OpenError`] when the file cannot be used; it may then be deleted and the calendars indexed again.
    pub fn open(path: &Path, env: Env) -> Result<Self, OpenError> {
        let db = Db::open(path, &SEARCH, Durability::Normal)?;
        db.write_behind(|tx| refill(tx).map_err(|e| DbError::Broken(e.to_string())));
        Ok(Self { db, env })
    }

    /// Finishes what was accepted and closes the file.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

#[async_trait]
impl EventIndex for Fts {
    async fn put(&self, object: &IndexedObject) -> Result<(), SearchError> {
        let object = object.clone();
        self.db.write(move |tx| put(tx, &object)).await
    }

    async fn put_many(&self, objects: &[IndexedObject]) -> Vec<Result<(), SearchError>> {
        let (batch, count) = (objects.to_vec(), objects.len());
        let outcome = self.db.write(move |tx| batch.iter().try_for_each(|object| put(tx, object))).await;
        // One transaction: what happened to one, happened to all.
        (0..count).map(|_| outcome.clone()).collect()
    }

    async fn delete(&self, calendar: &CalendarPath, uid: &Uid, version: i64) -> Result<(), SearchError> {
        let (calendar, uid, now) = (calendar.clone(), uid.clone(), self.env.now());
        self.db
            .write(move |tx| {
                if let Some(object) = advance(tx, &calendar, &uid, version, Some(now.timestamp_millis()))? {
                    remove_documents(tx, object)?;
                }
                forget(tx, (now - TOMBSTONES_KEPT).timestamp_millis())
            })
            .await
    }

    async fn delete_home(&self, home: HomeId) -> Result<(), SearchError> {
        self.db.write(move |tx| delete_home(tx, home)).await
    }

    async fn prune(&self, home: HomeId, version: i64) -> Result<u64, SearchError> {
        let now = self.env.now().timestamp_millis();
        self.db.write(move |tx| prune(tx, home, version, now)).await
    }

    async fn search(&self, query: &EventQuery) -> Result<Vec<EventDocument>, SearchError> {
        let query = query.clone();
        self.db.read(move |conn| search(conn, &query)).await
    }
}

fn put(tx: &Tx<'_>, object: &IndexedObject) -> Result<(), SearchError> {
    let Some(id) = advance(tx, &object.calendar, &object.uid, object.version, None)? else { return Ok(()) };
    remove_documents(tx, id)?;
    let mut documents: Vec<&EventDocument> = object.documents.iter().collect();
    // Occurrences of one start are found in this order.
    documents.sort_by_key(|document| match &document.occurrence {
        Occurrence::Override(at) => Some(at),
        _ => None,
    });
    documents.into_iter().try_for_each(|document| insert(tx, id, document))
}

/// Moves an object to a state, whether there or `deleted`; its row, or `None` when it has a newer state.
fn advance(
    tx: &Tx<'_>,
    calendar: &CalendarPath,
    uid: &Uid,
    version: i64,
    deleted: Option<i64>,
) -> Result<Option<i64>, SearchError> {
    tx.prepare_cached("INSERT OR IGNORE INTO calendars (home, calendar) VALUES (?1, ?2)")?
        .execute(params![calendar.home.0.bytes(), calendar.calendar])?;
    let row = tx
        .prepare_cached(
            "INSERT INTO objects (calendar, uid, version, deleted)
             SELECT id, ?3, ?4, ?5 FROM calendars WHERE home = ?1 AND calendar = ?2
             ON CONFLICT (calendar, uid) DO UPDATE SET version = ?4, deleted = ?5 WHERE version <= ?4
             RETURNING id",
        )?
        .query_row(params![calendar.home.0.bytes(), calendar.calendar, uid.0, version, deleted], |row| row.get(0))
        .optional()?;
    Ok(row)
}

fn remove_documents(tx: &Tx<'_>, object: i64) -> Result<(), SearchError> {
    let documents = tx
        .prepare_cached("DELETE FROM documents WHERE object = ?1 RETURNING id")?
        .query_map([object], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    for document in documents {
        for sql in [
            "DELETE FROM words WHERE rowid = ?1",
            "DELETE FROM people WHERE document = ?1",
            "DELETE FROM bodies WHERE document = ?1",
        ] {
            tx.prepare_cached(sql)?.execute([document])?;
        }
    }
    Ok(())
}

fn insert(tx: &Tx<'_>, object: i64, document: &EventDocument) -> Result<(), SearchError> {
    let rank = i64::from(matches!(document.occurrence, Occurrence::Override(_)));
    let calendar: i64 = tx
        .prepare_cached(
            "INSERT INTO documents (object, calendar, uid, rank, start, booking, public)
             SELECT id, calendar, uid, ?2, ?3, ?4, ?5 FROM objects WHERE id = ?1 RETURNING calendar",
        )?
        .query_row(
            params![
                object,
                rank,
                document.start.map_or(i64::MIN, |s| s.timestamp()),
                document.booking_link,
                document.is_public(),
            ],
            |row| row.get(0),
        )?;
    let id = tx.last_insert_rowid();
    let body = serde_json::to_string(document).map_err(|e| SearchError::Refused(e.to_string()))?;
    tx.prepare_cached("INSERT INTO bodies (document, body) VALUES (?1, ?2)")?.execute(params![id, body])?;

    let organizer = document.organizer.iter().map(|p| (ORGANIZES, p));
    for (role, person) in organizer.chain(document.attendees.iter().map(|p| (ATTENDS, p))) {
        tx.prepare_cached("INSERT OR IGNORE INTO people (document, role, email) VALUES (?1, ?2, ?3)")?
            .execute(params![id, role, analysis::normalized(&person.email)])?;
    }
    insert_words(tx, id, calendar, document)
}

fn insert_words(conn: &Connection, id: i64, calendar: i64, document: &EventDocument) -> Result<(), SearchError> {
    let columns = Columns::of(document);
    conn.prepare_cached(
        "INSERT INTO words (rowid, scope, summary, beginnings, description, location, mail, names)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        id,
        scope_word(calendar),
        columns.summary,
        columns.beginnings,
        columns.description,
        columns.location,
        columns.mail,
        columns.names,
    ])?;
    Ok(())
}

/// Fills what a new schema left empty.
fn refill(tx: &Tx<'_>) -> Result<(), SearchError> {
    refill_words(tx)?;
    refill_public(tx)
}

fn refill_public(tx: &Tx<'_>) -> Result<(), SearchError> {
    let mut unread = tx.prepare(
        "SELECT d.id, b.body FROM documents d INDEXED BY documents_unread JOIN bodies b ON b.document = d.id
         WHERE d.public IS NULL",
    )?;
    let read = unread.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let read = read.map(|row| {
        let (id, body): (i64, String) = row?;
        Ok((id, parsed(&body)?.is_public()))
    });
    // Read first: the rows that are still to come must not change under the reader.
    let read = read.collect::<Result<Vec<_>, SearchError>>()?;
    for (id, public) in read {
        tx.prepare_cached("UPDATE documents SET public = ?2 WHERE id = ?1")?.execute(params![id, public])?;
    }
    Ok(())
}

fn refill_words(tx: &Tx<'_>) -> Result<(), SearchError> {
    let empty = "SELECT EXISTS (SELECT 1 FROM documents) AND NOT EXISTS (SELECT 1 FROM words)";
    if !tx.query_row(empty, [], |row| row.get::<_, bool>(0))? {
        return Ok(());
    }
    tracing::info!("the words of the search index are made anew");
    let mut documents =
        tx.prepare("SELECT d.id, d.calendar, b.body FROM documents d JOIN bodies b ON b.document = d.id")?;
    let mut rows = documents.query([])?;
    while let Some(row) = rows.next()? {
        let (id, calendar, body): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        insert_words(tx, id, calendar, &parsed(&body)?)?;
    }
    Ok(())
}

/// The word that stands for a calendar in the index.
fn scope_word(calendar: i64) -> String {
    format!("c{calendar}")
}

/// Clears away a few objects that were deleted long ago.
fn forget(tx: &Tx<'_>, before: i64) -> Result<(), SearchError> {
    tx.prepare_cached(
        "DELETE FROM objects WHERE id IN
            (SELECT id FROM objects WHERE deleted IS NOT NULL AND deleted < ?1 ORDER BY deleted LIMIT ?2)",
    )?
    .execute(params![before, PRUNED_EACH])?;
    Ok(())
}

fn delete_home(tx: &Tx<'_>, home: HomeId) -> Result<(), SearchError> {
    let objects = tx
        .prepare_cached("SELECT o.id FROM calendars c JOIN objects o ON o.calendar = c.id WHERE c.home = ?1")?
        .query_map([home.0.bytes()], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    for object in objects {
        remove_documents(tx, object)?;
        tx.prepare_cached("DELETE FROM objects WHERE id = ?1")?.execute([object])?;
    }
    tx.prepare_cached("DELETE FROM calendars WHERE home = ?1")?.execute([home.0.bytes()])?;
    Ok(())
}

/// Removes what is older, and remembers that it is gone.
fn prune(tx: &Tx<'_>, home: HomeId, version: i64, now: i64) -> Result<u64, SearchError> {
    let old = tx
        .prepare_cached(
            "SELECT o.id FROM calendars c JOIN objects o ON o.calendar = c.id
             WHERE c.home = ?1 AND o.version < ?2 AND o.deleted IS NULL",
        )?
        .query_map(params![home.0.bytes(), version], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    for object in &old {
        remove_documents(tx, *object)?;
        tx.prepare_cached("UPDATE objects SET version = ?2 - 1, deleted = ?3 WHERE id = ?1")?
            .execute(params![object, version, now])?;
    }
    Ok(old.len() as u64)
}

fn search(conn: &Connection, query: &EventQuery) -> Result<Vec<EventDocument>, SearchError> {
    let scope = Scope { whole: known(conn, &query.calendars)?, public: known(conn, &query.of_others)? };
    if scope.is_empty() || query.limit == 0 {
        return Ok(Vec::new());
    }
    let words: Vec<String> = scope.all().map(|id| format!("\"{}\"", scope_word(*id))).collect();
    let within = format!("scope : ({})", words.join(" OR "));
    let matching = match words::read(&query.text, &within) {
        Wanted::Nothing => return Ok(Vec::new()),
        Wanted::Everything => None,
        Wanted::Matching(expression) => Some(expression),
    };
    page(conn, query, &scope, matching)?.into_iter().map(|id| body(conn, id)).collect()
}

/// The calendars of a question as the index numbers them.
struct Scope {
    /// Of which everything is found.
    whole: Vec<i64>,
    /// Of which only what is public is found.
    public: Vec<i64>,
}

impl Scope {
    fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    fn all(&self) -> impl Iterator<Item = &i64> {
        self.whole.iter().chain(&self.public)
    }
}

/// The numbers of the calendars that the index knows.
fn known(conn: &Connection, paths: &[CalendarPath]) -> Result<Vec<i64>, SearchError> {
    let mut find = conn.prepare_cached("SELECT id FROM calendars WHERE home = ?1 AND calendar = ?2")?;
    let mut known = Vec::with_capacity(paths.len());
    for path in paths {
        known.extend(
            find.query_row(params![path.home.0.bytes(), path.calendar], |row| row.get::<_, i64>(0)).optional()?,
        );
    }
    Ok(known)
}

/// The documents of the page asked for: one for each UID, the first in the order of hits.
fn page(
    conn: &Connection,
    query: &EventQuery,
    scope: &Scope,
    matching: Option<String>,
) -> Result<Vec<i64>, SearchError> {
    // With words, the index by word finds the documents; without, that by calendar. The calendars are checked either way.
    let from = match matching {
        Some(_) => "words w CROSS JOIN documents d ON d.id = w.rowid WHERE words MATCH ?1 AND d.calendar IN",
        None => "documents d WHERE ?1 IS NULL AND d.calendar IN",
    };
    let sql = format!(
        "SELECT d.id, d.uid FROM {from} (SELECT value FROM json_each(?2))
         AND (d.public OR d.calendar IN (SELECT value FROM json_each(?6)))
         AND (?3 IS NULL OR EXISTS (SELECT 1 FROM people WHERE document = d.id AND role = {ORGANIZES}
            AND email IN (SELECT value FROM json_each(?3))))
         AND (?4 IS NULL OR EXISTS (SELECT 1 FROM people WHERE document = d.id AND role = {ATTENDS}
            AND email IN (SELECT value FROM json_each(?4))))
         AND (?5 IS NULL OR d.booking = ?5)
         ORDER BY d.rank, d.start DESC, d.uid,
            (SELECT hex(home) || '/' || calendar FROM calendars WHERE id = d.calendar), d.id"
    );
    let json = |values: &[crate::ids::Email]| {
        let values: Vec<String> = values.iter().map(|e| analysis::normalized(e.as_str())).collect();
        (!values.is_empty()).then(|| serde_json::json!(values).to_string())
    };
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![
        matching,
        serde_json::json!(scope.all().collect::<Vec<_>>()).to_string(),
        json(&query.organizers),
        json(&query.attendees),
        query.booking_link,
        serde_json::json!(scope.whole).to_string(),
    ])?;
    let mut seen: HashSet<String> = HashSet::new();
    let mut hits = Vec::new();
    while hits.len() < query.limit
        && let Some(row) = rows.next()?
    {
        if seen.insert(row.get(1)?) && seen.len() > query.offset {
            hits.push(row.get(0)?);
        }
    }
    Ok(hits)
}

fn body(conn: &Connection, document: i64) -> Result<EventDocument, SearchError> {
    let body = conn
        .prepare_cached("SELECT body FROM bodies WHERE document = ?1")?
        .query_row([document], |row| row.get::<_, String>(0))?;
    parsed(&body)
}

fn parsed(body: &str) -> Result<EventDocument, SearchError> {
    serde_json::from_str(body).map_err(|e| SearchError::Unavailable(format!("a stored document cannot be read: {e}")))
}
