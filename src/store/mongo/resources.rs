//! Resources and team calendars (storage §2.7, §2.8, dav §14). Rows come from OpenPaaS, which may leave `timestamps.updatedAt`
//! out, and from the side service, which knows no `administrators` and drops what it does not know when it changes a row.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::{Bson, DateTime as BsonTime, Document, doc};

use super::directory::known_domain;
use super::{Mongo, StoreError};
use crate::ids::{DomainId, DomainName, ObjectId, ResourceId, TeamCalendarId, UserId};
use crate::mongo::{id, oid};
use crate::store::{DirectoryStore as _, Resource, ResourceStore, TeamCalendar};

const RESOURCES: &str = "resources";
const TEAM_CALENDARS: &str = "team_calendars";
/// Ours alone: says that the resource is a room.
const ROOM: &str = "convoke_room";

#[async_trait]
impl ResourceStore for Mongo {
    async fn resource(&self, id: ResourceId) -> Result<Option<Resource>, StoreError> {
        let found = self.timed(resources(self).find_one(doc! { "_id": oid(id.0) })).await?;
        Ok(found.as_ref().and_then(read_resource))
    }

    async fn resources(
        &self,
        domain: Option<DomainId>,
        after: Option<ResourceId>,
        limit: usize,
    ) -> Result<Vec<Resource>, StoreError> {
        let domain = domain.map(|domain| ("domain", domain));
        page(self, &resources(self), domain, after.map(|id| id.0), limit, read_resource).await
    }

    async fn add_resource(&self, resource: &Resource) -> Result<(), StoreError> {
        known_domain(self, resource.domain).await?;
        let mut row = doc! { "_id": oid(resource.id.0), "deleted": resource.deleted, "type": "resource" };
        row.extend(fields_of_resource(resource));
        row.insert("timestamps", doc! { "creation": time(resource.created), "updatedAt": time(resource.updated) });
        let added = self.timed(resources(self).insert_one(row)).await;
        added.map(drop).map_err(|e| taken(e.into(), || format!("resource {}", resource.id)))
    }

    async fn update_resource(&self, resource: &Resource) -> Result<(), StoreError> {
        known_domain(self, resource.domain).await?;
        let mut set = fields_of_resource(resource);
        set.insert("timestamps.creation", time(resource.created));
        set.insert("timestamps.updatedAt", time(resource.updated));
        let own = doc! { "_id": oid(resource.id.0), "deleted": { "$ne": true } };
        let updated = async { resources(self).update_one(own, doc! { "$set": set }).await };
        match self.timed(updated).await?.matched_count {
            0 => Err(StoreError::Missing(format!("resource {}", resource.id))),
            _ => Ok(()),
        }
    }

    async fn delete_resource(&self, id: ResourceId) -> Result<bool, StoreError> {
        let own = doc! { "_id": oid(id.0), "deleted": { "$ne": true } };
        let deleted = async { resources(self).update_one(own, doc! { "$set": { "deleted": true } }).await };
        Ok(self.timed(deleted).await?.matched_count == 1)
    }

    async fn team_calendar(&self, id: TeamCalendarId) -> Result<Option<TeamCalendar>, StoreError> {
        let found = self.timed(teams(self).find_one(doc! { "_id": oid(id.0) })).await?;
        Ok(found.as_ref().and_then(read_team))
    }

    async fn team_calendars(
        &self,
        domain: Option<DomainId>,
        after: Option<TeamCalendarId>,
        limit: usize,
    ) -> Result<Vec<TeamCalendar>, StoreError> {
        let domain = domain.map(|domain| ("domainId", domain));
        page(self, &teams(self), domain, after.map(|id| id.0), limit, read_team).await
    }

    async fn add_team_calendar(&self, team: &TeamCalendar) -> Result<(), StoreError> {
        let mut row = doc! { "_id": oid(team.id.0) };
        row.extend(fields_of_team(team, &domain_name(self, team.domain).await?));
        let added = self.timed(teams(self).insert_one(row)).await;
        added.map(drop).map_err(|e| taken(e.into(), || format!("team calendar {}", team.id)))
    }

    async fn update_team_calendar(&self, team: &TeamCalendar) -> Result<(), StoreError> {
        let set = fields_of_team(team, &domain_name(self, team.domain).await?);
        let mut change = doc! { "$set": set };
        if team.email.is_none() {
            change.insert("$unset", doc! { "emailAddress": "" });
        }
        let updated = async { teams(self).update_one(doc! { "_id": oid(team.id.0) }, change).await };
        match self.timed(updated).await?.matched_count {
            0 => Err(StoreError::Missing(format!("team calendar {}", team.id))),
            _ => Ok(()),
        }
    }

    async fn remove_team_calendar(&self, id: TeamCalendarId) -> Result<bool, StoreError> {
        Ok(self.timed(teams(self).delete_one(doc! { "_id": oid(id.0) })).await?.deleted_count == 1)
    }
}

fn resources(mongo: &Mongo) -> Collection<Document> {
    mongo.platform().collection(RESOURCES)
}

fn teams(mongo: &Mongo) -> Collection<Document> {
    mongo.platform().collection(TEAM_CALENDARS)
}

fn time(instant: DateTime<Utc>) -> BsonTime {
    BsonTime::from_millis(instant.timestamp_millis())
}

fn taken(error: StoreError, what: impl Fn() -> String) -> StoreError {
    match error {
        StoreError::Exists(_) => StoreError::Exists(what()),
        other => other,
    }
}

async fn domain_name(mongo: &Mongo, domain: DomainId) -> Result<DomainName, StoreError> {
    let found = mongo.domain(domain).await?;
    found.map(|domain| domain.name).ok_or_else(|| StoreError::Missing(format!("domain {domain}")))
}

/// A page of rows by id; rows that cannot be read are passed over.
async fn page<T>(
    mongo: &Mongo,
    collection: &Collection<Document>,
    domain: Option<(&str, DomainId)>,
    after: Option<ObjectId>,
    limit: usize,
    read: fn(&Document) -> Option<T>,
) -> Result<Vec<T>, StoreError> {
    let (mut page, mut after) = (Vec::new(), after.map(oid));
    while page.len() < limit {
        let wanted = limit - page.len();
        // Ids of another type, which nobody here gives, are passed over by both conditions.
        let mut filter = match after {
            Some(after) => doc! { "_id": { "$gt": after } },
            None => doc! { "_id": { "$type": "objectId" } },
        };
        if let Some((field, domain)) = domain {
            filter.insert(field, oid(domain.0));
        }
        let most = i64::try_from(wanted).unwrap_or(i64::MAX);
        let rows = async {
            collection.find(filter).sort(doc! { "_id": 1 }).limit(most).await?.try_collect::<Vec<Document>>().await
        };
        let rows = mongo.timed(rows).await?;
        page.extend(rows.iter().filter_map(read));
        after = rows.last().and_then(|row| row.get_object_id("_id").ok());
        if rows.len() < wanted {
            break;
        }
    }
    Ok(page)
}

/// What a row says of a resource beside its id, its times and whether it is deleted.
fn fields_of_resource(resource: &Resource) -> Document {
    let administrators = resource.administrators.iter().map(|user| doc! { "id": oid(user.0), "objectType": "user" });
    let mut fields = doc! {
        "creator": resource.creator.map(|user| oid(user.0)),
        "description": &resource.description,
        "domain": oid(resource.domain.0),
        "icon": &resource.icon,
        "name": &resource.name,
        "administrators": administrators.map(Bson::from).collect::<Vec<_>>(),
    };
    fields.insert(ROOM, resource.is_room);
    fields
}

fn fields_of_team(team: &TeamCalendar, domain: &DomainName) -> Document {
    let mut fields = doc! {
        "domainId": oid(team.domain.0),
        "domainName": domain.as_str(),
        "name": &team.name,
        "displayName": &team.display_name,
        "creation": time(team.created),
        "updated": time(team.updated),
    };
    if let Some(email) = &team.email {
        fields.insert("emailAddress", email.as_str());
    }
    fields
}

/// `None` for a row without an id of ours or without a domain.
fn read_resource(row: &Document) -> Option<Resource> {
    let times = row.get_document("timestamps").ok();
    let created = times.and_then(|times| instant(times, "creation"));
    Some(Resource {
        id: ResourceId(id(row.get_object_id("_id").ok()?)),
        domain: DomainId(id(row.get_object_id("domain").ok()?)),
        name: text(row, "name"),
        description: text(row, "description"),
        icon: text(row, "icon"),
        is_room: row.get_bool(ROOM).unwrap_or(false),
        creator: row.get("creator").and_then(user_id),
        administrators: administrators(row),
        deleted: row.get_bool("deleted").unwrap_or(false),
        created: created.unwrap_or_default(),
        updated: times.and_then(|times| instant(times, "updatedAt")).or(created).unwrap_or_default(),
    })
}

/// The people among the administrators, each once; OpenPaaS knows groups, too.
fn administrators(row: &Document) -> Vec<UserId> {
    let listed = row.get_array("administrators").map_or(&[][..], Vec::as_slice);
    let mut found = Vec::new();
    for entry in listed.iter().filter_map(Bson::as_document) {
        let is_person = entry.get_str("objectType").map_or(true, |kind| kind == "user");
        if let Some(user) = entry.get("id").and_then(user_id).filter(|user| is_person && !found.contains(user)) {
            found.push(user);
        }
    }
    found
}

fn user_id(value: &Bson) -> Option<UserId> {
    match value {
        Bson::ObjectId(found) => Some(UserId(id(*found))),
        Bson::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// `None` for a row without an id of ours, a domain or any name.
fn read_team(row: &Document) -> Option<TeamCalendar> {
    let (name, display_name) = (text(row, "name"), text(row, "displayName"));
    if name.is_empty() && display_name.is_empty() {
        return None;
    }
    let created = instant(row, "creation");
    Some(TeamCalendar {
        id: TeamCalendarId(id(row.get_object_id("_id").ok()?)),
        domain: DomainId(id(row.get_object_id("domainId").ok()?)),
        name,
        display_name,
        email: row.get_str("emailAddress").ok().and_then(|text| text.parse().ok()),
        created: created.unwrap_or_default(),
        updated: instant(row, "updated").or(created).unwrap_or_default(),
    })
}

fn text(row: &Document, field: &str) -> String {
    row.get_str(field).unwrap_or_default().to_owned()
}

fn instant(document: &Document, field: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(document.get_datetime(field).ok()?.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "6650c0ffee01234567890001";
    const DOMAIN: &str = "6650c0ffee0123456789aaaa";
    const ALICE: &str = "6650c0ffee0123456789abcd";

    fn object_id(text: &str) -> mongodb::bson::oid::ObjectId {
        text.parse().unwrap()
    }

    #[test]
    fn a_row_of_openpaas_is_read_with_its_administrators() {
        let row = doc! {
            "_id": object_id(ROW), "name": "Blue room", "domain": object_id(DOMAIN), "type": "resource", "icon": "laptop",
            "administrators": [
                { "id": ALICE, "objectType": "user" }, { "id": object_id(ALICE), "objectType": "user" },
                { "id": object_id(ROW), "objectType": "group" },
            ],
            "timestamps": { "creation": BsonTime::from_millis(5_000) }, "creator": object_id(ALICE), "__v": 3,
        };
        let read = read_resource(&row).unwrap();
        assert_eq!(read.administrators, [ALICE.parse().unwrap()]);
        assert_eq!((read.deleted, read.is_room, read.description.as_str()), (false, false, ""));
        assert_eq!(read.updated, read.created);
        assert_eq!(read_resource(&doc! { "_id": object_id(ROW), "name": "x" }), None, "it belongs to no domain");
    }

    #[test]
    fn a_team_needs_a_name_and_may_have_an_address() {
        let mut row = doc! { "_id": object_id(ROW), "domainId": object_id(DOMAIN), "displayName": "Support" };
        row.insert("emailAddress", "Support@example.org");
        let read = read_team(&row).unwrap();
        assert_eq!((read.shown_name(), read.email.as_ref().unwrap().as_str()), ("Support", "support@example.org"));
        row.remove("displayName");
        assert_eq!(read_team(&row), None);
    }
}
