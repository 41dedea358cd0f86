//! What has a home besides people: rooms and other resources that can be booked, and calendars of teams (storage §2.7,
//! §2.8, §12.4, §12.5). And [`Holder`], which is whoever has a home.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{StoreError, User};
use crate::ids::{DomainId, DomainName, Email, HomeId, ResourceId, TeamCalendarId, UserId};

/// A room, or a thing that is booked like one (storage §2.7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Id; also the id of the home, and the local part of the address.
    pub id: ResourceId,
    /// Tenant.
    pub domain: DomainId,
    /// What it is called.
    pub name: String,
    /// What there is to say about it; may be empty.
    pub description: String,
    /// Name of the picture that clients show, e.g. `laptop`; may be empty.
    pub icon: String,
    /// A place and not a thing (`CUTYPE=ROOM`, RFC 5545 §3.2.3). The reference knows no rooms.
    pub is_room: bool,
    /// Who made it.
    pub creator: Option<UserId>,
    /// Who decides about bookings. Without any the resource decides itself.
    pub administrators: Vec<UserId>,
    /// It cannot be booked any more; its calendar stays.
    pub deleted: bool,
    /// When it was made, to the millisecond.
    pub created: DateTime<Utc>,
    /// When it was last changed, to the millisecond.
    pub updated: DateTime<Utc>,
}

impl Resource {
    /// The address by which it is invited, in its domain: `{id}@{domain}` (dav §2).
    pub fn email(&self, domain: &DomainName) -> Option<Email> {
        address_of(self.id.to_string(), domain)
    }
}

/// A calendar that belongs to a team and not to one of its members (storage §2.8).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeamCalendar {
    /// Id; also the id of the home, and the local part of the address.
    pub id: TeamCalendarId,
    /// Tenant.
    pub domain: DomainId,
    /// Short name. Two teams may have the same.
    pub name: String,
    /// What it is called.
    pub display_name: String,
    /// An address of its own, beside the one that its id makes.
    pub email: Option<Email>,
    /// When it was made, to the millisecond.
    pub created: DateTime<Utc>,
    /// When it was last changed, to the millisecond.
    pub updated: DateTime<Utc>,
}

impl TeamCalendar {
    /// What people see: the display name, or the name where it has none.
    pub fn shown_name(&self) -> &str {
        if self.display_name.trim().is_empty() { &self.name } else { &self.display_name }
    }

    /// Its addresses in its domain, the main one first: its own where it has one, and `{id}@{domain}` (dav §2, §4).
    pub fn emails(&self, domain: &DomainName) -> Vec<Email> {
        self.email.clone().into_iter().chain(address_of(self.id.to_string(), domain)).collect()
    }
}

fn address_of(id: String, domain: &DomainName) -> Option<Email> {
    format!("{id}@{domain}").parse().ok()
}

/// Resources and team calendars.
#[async_trait]
pub trait ResourceStore: Send + Sync + 'static {
    /// The resource with this id, deleted or not.
    async fn resource(&self, id: ResourceId) -> Result<Option<Resource>, StoreError>;

    /// A page of resources by id, after `after`, the deleted ones among them; of one domain where given.
    async fn resources(
        &self,
        domain: Option<DomainId>,
        after: Option<ResourceId>,
        limit: usize,
    ) -> Result<Vec<Resource>, StoreError>;

    /// Adds a resource as it is. [`StoreError::Exists`] when the id is taken, [`StoreError::Missing`] when the domain is
    /// unknown.
    async fn add_resource(&self, resource: &Resource) -> Result<(), StoreError>;

    /// Replaces what is known of a resource, but not whether it is deleted; fields this program does not know stay.
    /// [`StoreError::Missing`] when it is unknown or deleted.
    async fn update_resource(&self, resource: &Resource) -> Result<(), StoreError>;

    /// Marks a resource as deleted; false when it is unknown or was deleted before.
    async fn delete_resource(&self, id: ResourceId) -> Result<bool, StoreError>;

    /// The team calendar with this id.
    async fn team_calendar(&self, id: TeamCalendarId) -> Result<Option<TeamCalendar>, StoreError>;

    /// A page of team calendars by id, after `after`; of one domain where given.
    async fn team_calendars(
        &self,
        domain: Option<DomainId>,
        after: Option<TeamCalendarId>,
        limit: usize,
    ) -> Result<Vec<TeamCalendar>, StoreError>;

    /// Adds a team calendar. [`StoreError::Exists`] when the id is taken, [`StoreError::Missing`] when the domain is
    /// unknown.
    async fn add_team_calendar(&self, team: &TeamCalendar) -> Result<(), StoreError>;

    /// Replaces what is known of a team calendar; fields this program does not know stay. [`StoreError::Missing`] when it
    /// is unknown.
    async fn update_team_calendar(&self, team: &TeamCalendar) -> Result<(), StoreError>;

    /// Removes a team calendar; false when there was none.
    async fn remove_team_calendar(&self, id: TeamCalendarId) -> Result<bool, StoreError>;
}

/// Whoever has a home.
#[derive(Debug, Clone, PartialEq)]
pub struct Holder {
    /// The home.
    pub home: HomeId,
    /// Tenant.
    pub domain: DomainId,
    /// Addresses by which it is invited, the main one first. Never empty.
    pub emails: Vec<Email>,
    /// What it is.
    pub kind: HolderKind,
}

/// What has a home.
#[derive(Debug, Clone, PartialEq)]
pub enum HolderKind {
    /// A person.
    User(Arc<User>),
    /// A room or another resource.
    Resource(Resource),
    /// The calendar of a team.
    TeamCalendar(TeamCalendar),
}

impl Holder {
    /// The holder of a resource's home; `None` for one that is deleted.
    pub fn of_resource(resource: Resource, domain: &DomainName) -> Option<Self> {
        let emails = vec![resource.email(domain).filter(|_| !resource.deleted)?];
        Some(Self { home: resource.id.into(), domain: resource.domain, emails, kind: HolderKind::Resource(resource) })
    }

    /// The holder of a team's home.
    pub fn of_team(team: TeamCalendar, domain: &DomainName) -> Option<Self> {
        let emails = team.emails(domain);
        let kind = HolderKind::TeamCalendar(team.clone());
        (!emails.is_empty()).then(|| Self { home: team.id.into(), domain: team.domain, emails, kind })
    }

    /// The person, if it is one.
    pub fn user(&self) -> Option<&Arc<User>> {
        match &self.kind {
            HolderKind::User(user) => Some(user),
            _ => None,
        }
    }

    /// The resource, if it is one.
    pub fn resource(&self) -> Option<&Resource> {
        match &self.kind {
            HolderKind::Resource(resource) => Some(resource),
            _ => None,
        }
    }

    /// The team calendar, if it is one.
    pub fn team(&self) -> Option<&TeamCalendar> {
        match &self.kind {
            HolderKind::TeamCalendar(team) => Some(team),
            _ => None,
        }
    }

    /// The name that people see.
    pub fn display_name(&self) -> String {
        match &self.kind {
            HolderKind::User(user) => user.display_name(),
            HolderKind::Resource(resource) => resource.name.clone(),
            HolderKind::TeamCalendar(team) => team.shown_name().to_owned(),
        }
    }
}

impl From<Arc<User>> for Holder {
    fn from(user: Arc<User>) -> Self {
        let (home, domain, emails) = (user.id.into(), user.domain, user.emails.clone());
        Self { home, domain, emails, kind: HolderKind::User(user) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6650c0ffee01234567890002";

    fn team() -> TeamCalendar {
        TeamCalendar {
            id: ID.parse().unwrap(),
            domain: ID.parse().unwrap(),
            name: "support".to_owned(),
            display_name: " ".to_owned(),
            email: None,
            created: DateTime::UNIX_EPOCH,
            updated: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_team_is_addressed_by_its_id_after_the_address_that_it_was_given() {
        let domain = "example.org".parse().unwrap();
        let by_id: Email = format!("{ID}@example.org").parse().unwrap();
        assert_eq!(team().emails(&domain), std::slice::from_ref(&by_id));
        let own: Email = "support@example.org".parse().unwrap();
        assert_eq!(TeamCalendar { email: Some(own.clone()), ..team() }.emails(&domain), [own, by_id]);
        assert_eq!(team().shown_name(), "support");
    }
}
