//! Rooms and other resources, and the calendars of teams: made, changed and taken away (storage §12.4, §12.5).
//!
//! Their calendars come to be with the first request or invitation that needs them.

use super::{Accounts, AccountsError};
use crate::dav::announce::calendar_updated;
use crate::ids::{DomainId, DomainName, Email, HomeId, ResourceId, TeamCalendarId, UserId};
use crate::store::{Batch, CollectionKind, Domain, Op, Resource, StoreError, TeamCalendar};

/// Rows read at once when all are listed.
const PAGE: usize = 500;

/// A resource to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewResource {
    /// What it is called.
    pub name: String,
    /// What there is to say about it.
    pub description: String,
    /// Name of the picture that clients show.
    pub icon: String,
    /// A place and not a thing.
    pub is_room: bool,
    /// Who makes it.
    pub creator: Option<Email>,
    /// Who decides about bookings; nobody lets it decide itself.
    pub administrators: Vec<Email>,
}

/// What changes about a resource; `None` leaves something as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceChange {
    /// What it is called.
    pub name: Option<String>,
    /// What there is to say about it.
    pub description: Option<String>,
    /// Name of the picture that clients show.
    pub icon: Option<String>,
    /// A place and not a thing.
    pub is_room: Option<bool>,
    /// Who decides about bookings, all of them.
    pub administrators: Option<Vec<Email>>,
}

impl Accounts {
    /// Makes a resource of a domain.
    ///
    /// # Errors
    /// [`AccountsError::NoDomain`]; [`AccountsError::Unknown`] for a creator or an administrator without account in the
    /// domain; [`AccountsError::Nameless`].
    pub async fn add_resource(&self, domain: &DomainName, new: &NewResource) -> Result<Resource, AccountsError> {
        let domain = self.domain_named(domain).await?.id;
        named(&new.name)?;
        let creator = match &new.creator {
            Some(creator) => Some(self.member(domain, creator).await?),
            None => None,
        };
        let administrators = self.members(domain, &new.administrators).await?;
        let now = self.env.now();
        let resource = Resource {
            id: ResourceId(self.env.object_id()),
            domain,
            name: new.name.trim().to_owned(),
            description: new.description.clone(),
            icon: new.icon.clone(),
            is_room: new.is_room,
            creator,
            administrators,
            deleted: false,
            created: now,
            updated: now,
        };
        self.directory.add_resource(&resource).await?;
        Ok(resource)
    }

    /// Changes a resource; its calendar takes a new name along where it has the old one.
    ///
    /// # Errors
    /// [`AccountsError::NoResource`] when it is unknown or deleted, and those of [`Accounts::add_resource`].
    pub async fn change_resource(&self, id: ResourceId, change: &ResourceChange) -> Result<Resource, AccountsError> {
        let before = self.directory.resource(id).await?.filter(|resource| !resource.deleted);
        let before = before.ok_or(AccountsError::NoResource(id))?;
        let mut after = before.clone();
        if let Some(name) = &change.name {
            named(name)?;
            after.name = name.trim().to_owned();
        }
        after.description = change.description.clone().unwrap_or(after.description);
        after.icon = change.icon.clone().unwrap_or(after.icon);
        after.is_room = change.is_room.unwrap_or(after.is_room);
        if let Some(administrators) = &change.administrators {
            after.administrators = self.members(before.domain, administrators).await?;
        }
        if after == before {
            return Ok(before);
        }
        after.updated = self.env.now();
        self.directory.update_resource(&after).await.map_err(|error| match error {
            StoreError::Missing(_) => AccountsError::NoResource(id),
            other => other.into(),
        })?;
        self.rename_calendar(id.into(), &before.name, &after.name).await?;
        Ok(after)
    }

    /// Takes a resource out of service: it cannot be booked any more, its calendar stays.
    ///
    /// # Errors
    /// [`AccountsError::NoResource`] when it is unknown or deleted.
    pub async fn delete_resource(&self, id: ResourceId) -> Result<(), AccountsError> {
        if self.directory.delete_resource(id).await? { Ok(()) } else { Err(AccountsError::NoResource(id)) }
    }

    /// The resources of a domain, or all, the deleted ones among them.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn resources(&self, domain: Option<DomainId>) -> Result<Vec<Resource>, AccountsError> {
        let mut all: Vec<Resource> = Vec::new();
        loop {
            let page = self.directory.resources(domain, all.last().map(|r| r.id), PAGE).await?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Makes a team calendar of a domain.
    ///
    /// # Errors
    /// [`AccountsError::NoDomain`]; [`AccountsError::Nameless`].
    pub async fn add_team(
        &self,
        domain: &DomainName,
        name: &str,
        display_name: &str,
    ) -> Result<TeamCalendar, AccountsError> {
        let domain = self.domain_named(domain).await?.id;
        named(name)?;
        named(display_name)?;
        let now = self.env.now();
        let team = TeamCalendar {
            id: TeamCalendarId(self.env.object_id()),
            domain,
            name: name.trim().to_owned(),
            display_name: display_name.trim().to_owned(),
            email: None,
            created: now,
            updated: now,
        };
        self.directory.add_team_calendar(&team).await?;
        Ok(team)
    }

    /// Gives a team calendar another display name; the calendar takes it along where it has the old one.
    ///
    /// # Errors
    /// [`AccountsError::NoTeam`]; [`AccountsError::Nameless`].
    pub async fn rename_team(&self, id: TeamCalendarId, display_name: &str) -> Result<TeamCalendar, AccountsError> {
        named(display_name)?;
        let before = self.directory.team_calendar(id).await?.ok_or(AccountsError::NoTeam(id))?;
        let mut after = before.clone();
        after.display_name = display_name.trim().to_owned();
        after.updated = self.env.now();
        self.rename_calendar(id.into(), before.shown_name(), after.shown_name()).await?;
        self.directory.update_team_calendar(&after).await.map_err(|error| match error {
            StoreError::Missing(_) => AccountsError::NoTeam(id),
            other => other.into(),
        })?;
        Ok(after)
    }

    /// Removes a team calendar with everything in it.
    ///
    /// # Errors
    /// [`AccountsError::NoTeam`].
    pub async fn remove_team(&self, id: TeamCalendarId) -> Result<(), AccountsError> {
        self.directory.team_calendar(id).await?.ok_or(AccountsError::NoTeam(id))?;
        self.remove_home(id.into()).await?;
        if self.directory.remove_team_calendar(id).await? { Ok(()) } else { Err(AccountsError::NoTeam(id)) }
    }

    /// The team calendars of a domain, or all.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn teams(&self, domain: Option<DomainId>) -> Result<Vec<TeamCalendar>, AccountsError> {
        let mut all: Vec<TeamCalendar> = Vec::new();
        loop {
            let page = self.directory.team_calendars(domain, all.last().map(|t| t.id), PAGE).await?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// The domain of that name.
    ///
    /// # Errors
    /// [`AccountsError::NoDomain`].
    pub async fn domain_named(&self, name: &DomainName) -> Result<Domain, AccountsError> {
        self.directory.domain_by_name(name).await?.ok_or_else(|| AccountsError::NoDomain(name.clone()))
    }

    async fn member(&self, domain: DomainId, mail: &Email) -> Result<UserId, AccountsError> {
        let user = self.directory.user_by_email(mail).await?.filter(|user| user.domain == domain);
        user.map(|user| user.id).ok_or_else(|| AccountsError::Unknown(mail.clone()))
    }

    /// The ids of these people, each once.
    async fn members(&self, domain: DomainId, mails: &[Email]) -> Result<Vec<UserId>, AccountsError> {
        let mut found = Vec::with_capacity(mails.len());
        for mail in mails {
            let id = self.member(domain, mail).await?;
            if !found.contains(&id) {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// Gives the default calendar of a home another name, unless somebody called it something else.
    async fn rename_calendar(&self, home: HomeId, from: &str, to: &str) -> Result<(), AccountsError> {
        let Some(homes) = self.homes.as_ref().filter(|_| from != to) else { return Ok(()) };
        let calendar = homes.collection(home, CollectionKind::Calendar, &home.to_string()).await?;
        let Some(calendar) = calendar.filter(|c| c.props.displayname.as_deref() == Some(from)) else { return Ok(()) };
        let mut props = calendar.props.clone();
        props.displayname = Some(to.to_owned());
        let publish = vec![calendar_updated(&calendar, None)];
        homes.write(Batch { ops: vec![Op::SetProps { collection: calendar.id, props }], publish }).await?;
        Ok(())
    }
}

fn named(name: &str) -> Result<(), AccountsError> {
    if name.trim().is_empty() { Err(AccountsError::Nameless) } else { Ok(()) }
}
