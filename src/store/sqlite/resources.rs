//! Resources and team calendars.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::directory::known_domain;
use super::{AsBlob, Sqlite, id, unreadable};
use crate::ids::{DomainId, ObjectId, ResourceId, TeamCalendarId, UserId};
use crate::store::{Resource, ResourceStore, StoreError, TeamCalendar};

const RESOURCE: &str = "SELECT id, domain, name, description, icon, room, creator, administrators, deleted, created, updated FROM resources";
const TEAM: &str = "SELECT id, domain, name, display_name, email, created, updated FROM team_calendars";

#[async_trait]
impl ResourceStore for Sqlite {
    async fn resource(&self, id: ResourceId) -> Result<Option<Resource>, StoreError> {
        self.db()
            .read(move |conn| {
                let sql = format!("{RESOURCE} WHERE id = ?1");
                Ok(conn.prepare_cached(&sql)?.query_row([id.blob()], resource).optional()?)
            })
            .await
    }

    async fn resources(
        &self,
        domain: Option<DomainId>,
        after: Option<ResourceId>,
        limit: usize,
    ) -> Result<Vec<Resource>, StoreError> {
        let after = after.map(|id| id.blob());
        self.db().read(move |conn| page(conn, RESOURCE, domain, after, limit, resource)).await
    }

    async fn add_resource(&self, resource: &Resource) -> Result<(), StoreError> {
        let new = resource.clone();
        self.db()
            .write(move |tx| {
                known_domain(tx, new.domain)?;
                let added = tx
                    .prepare_cached(
                        "INSERT OR IGNORE INTO resources (id, domain, name, description, icon, room, creator, \
                         administrators, deleted, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                    )?
                    .execute(params![
                        new.id.blob(),
                        new.domain.blob(),
                        new.name,
                        new.description,
                        new.icon,
                        new.is_room,
                        new.creator.map(|id| id.blob()),
                        ids_as_json(&new.administrators)?,
                        new.deleted,
                        new.created.timestamp_millis(),
                        new.updated.timestamp_millis(),
                    ])?;
                if added == 1 { Ok(()) } else { Err(StoreError::Exists(format!("resource {}", new.id))) }
            })
            .await
    }

    async fn update_resource(&self, resource: &Resource) -> Result<(), StoreError> {
        let new = resource.clone();
        self.db()
            .write(move |tx| {
                known_domain(tx, new.domain)?;
                let updated = tx
                    .prepare_cached(
                        "UPDATE resources SET domain = ?2, name = ?3, description = ?4, icon = ?5, room = ?6, \
                         creator = ?7, administrators = ?8, created = ?9, updated = ?10 WHERE id = ?1 AND NOT deleted",
                    )?
                    .execute(params![
                        new.id.blob(),
                        new.domain.blob(),
                        new.name,
                        new.description,
                        new.icon,
                        new.is_room,
                        new.creator.map(|id| id.blob()),
                        ids_as_json(&new.administrators)?,
                        new.created.timestamp_millis(),
                        new.updated.timestamp_millis(),
                    ])?;
                if updated == 1 { Ok(()) } else { Err(StoreError::Missing(format!("resource {}", new.id))) }
            })
            .await
    }

    async fn delete_resource(&self, id: ResourceId) -> Result<bool, StoreError> {
        self.db()
            .write(move |tx| {
                let sql = "UPDATE resources SET deleted = 1 WHERE id = ?1 AND NOT deleted";
                Ok(tx.prepare_cached(sql)?.execute([id.blob()])? == 1)
            })
            .await
    }

    async fn team_calendar(&self, id: TeamCalendarId) -> Result<Option<TeamCalendar>, StoreError> {
        self.db()
            .read(move |conn| {
                let sql = format!("{TEAM} WHERE id = ?1");
                Ok(conn.prepare_cached(&sql)?.query_row([id.blob()], team).optional()?)
            })
            .await
    }

    async fn team_calendars(
        &self,
        domain: Option<DomainId>,
        after: Option<TeamCalendarId>,
        limit: usize,
    ) -> Result<Vec<TeamCalendar>, StoreError> {
        let after = after.map(|id| id.blob());
        self.db().read(move |conn| page(conn, TEAM, domain, after, limit, team)).await
    }

    async fn add_team_calendar(&self, team: &TeamCalendar) -> Result<(), StoreError> {
        let new = team.clone();
        self.db()
            .write(move |tx| {
                known_domain(tx, new.domain)?;
                let added = tx
                    .prepare_cached(
                        "INSERT OR IGNORE INTO team_calendars (id, domain, name, display_name, email, created, updated) \
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    )?
                    .execute(values(&new))?;
                if added == 1 { Ok(()) } else { Err(StoreError::Exists(format!("team calendar {}", new.id))) }
            })
            .await
    }

    async fn update_team_calendar(&self, team: &TeamCalendar) -> Result<(), StoreError> {
        let new = team.clone();
        self.db()
            .write(move |tx| {
                known_domain(tx, new.domain)?;
                let updated = tx
                    .prepare_cached(
                        "UPDATE team_calendars SET domain = ?2, name = ?3, display_name = ?4, email = ?5, created = ?6, \
                         updated = ?7 WHERE id = ?1",
                    )?
                    .execute(values(&new))?;
                if updated == 1 { Ok(()) } else { Err(StoreError::Missing(format!("team calendar {}", new.id))) }
            })
            .await
    }

    async fn remove_team_calendar(&self, id: TeamCalendarId) -> Result<bool, StoreError> {
        self.db()
            .write(move |tx| {
                Ok(tx.prepare_cached("DELETE FROM team_calendars WHERE id = ?1")?.execute([id.blob()])? == 1)
            })
            .await
    }
}

/// A page of rows by id; of one domain where given.
fn page<T>(
    conn: &Connection,
    select: &str,
    domain: Option<DomainId>,
    after: Option<[u8; 12]>,
    limit: usize,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    // Ids have twelve bytes, so every id comes after the empty blob.
    let after = after.map_or_else(Vec::new, |id| id.to_vec());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = match domain {
        Some(domain) => conn
            .prepare_cached(&format!("{select} WHERE domain = ?1 AND id > ?2 ORDER BY id LIMIT ?3"))?
            .query_map(params![domain.blob(), after, limit], read)?
            .collect::<Result<_, _>>()?,
        None => conn
            .prepare_cached(&format!("{select} WHERE id > ?1 ORDER BY id LIMIT ?2"))?
            .query_map(params![after, limit], read)?
            .collect::<Result<_, _>>()?,
    };
    Ok(found)
}

fn resource(row: &Row<'_>) -> rusqlite::Result<Resource> {
    let administrators = serde_json::from_str(row.get_ref(7)?.as_str()?).map_err(|e| unreadable(7, e))?;
    let creator = row.get::<_, Option<[u8; 12]>>(6)?.map(|bytes| UserId(ObjectId::from_bytes(bytes)));
    Ok(Resource {
        id: id(row, 0)?,
        domain: id(row, 1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        icon: row.get(4)?,
        is_room: row.get(5)?,
        creator,
        administrators,
        deleted: row.get(8)?,
        created: instant(row, 9)?,
        updated: instant(row, 10)?,
    })
}

fn team(row: &Row<'_>) -> rusqlite::Result<TeamCalendar> {
    let email = row.get::<_, Option<String>>(4)?.map(|text| text.parse()).transpose();
    Ok(TeamCalendar {
        id: id(row, 0)?,
        domain: id(row, 1)?,
        name: row.get(2)?,
        display_name: row.get(3)?,
        email: email.map_err(|e| unreadable(4, e))?,
        created: instant(row, 5)?,
        updated: instant(row, 6)?,
    })
}

fn values(team: &TeamCalendar) -> impl rusqlite::Params {
    (
        team.id.blob(),
        team.domain.blob(),
        team.name.clone(),
        team.display_name.clone(),
        team.email.as_ref().map(ToString::to_string),
        team.created.timestamp_millis(),
        team.updated.timestamp_millis(),
    )
}

fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<DateTime<Utc>> {
    Ok(DateTime::from_timestamp_millis(row.get(column)?).unwrap_or_default())
}

fn ids_as_json(ids: &[UserId]) -> Result<String, StoreError> {
    serde_json::to_string(ids).map_err(|e| StoreError::Broken(e.to_string()))
}
