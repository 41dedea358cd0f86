//! Which calendars somebody sees, and where each of them really is.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::ids::{CalendarPath, DomainId, HomeId, ResourceId, TeamCalendarId, UserId};
use crate::store::{CollectionKind, PublicRight, Shared, SharedDavStore, SharedDirectory, StoreError, User};

/// A calendar in somebody's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarSource {
    /// Where the list shows it: in the home of whoever sees it.
    pub listed: CalendarPath,
    /// Where it is: the same for an own calendar, its owner's for a delegated or subscribed one.
    pub source: CalendarPath,
    /// Whether private events in it are shown to them as they are (dav §12): it is their own, or that of a team of theirs.
    pub sees_private: bool,
}

/// Knows the calendars of people (rest-api §8.2).
#[async_trait]
pub trait CalendarSources: Send + Sync + 'static {
    /// All calendars that the user may read.
    async fn of(&self, user: &User) -> Result<Vec<CalendarSource>, StoreError>;
}

/// The calendars in the user's home, from the store of the built-in DAV server: their own, and those of others that they may
/// read.
pub struct OwnCalendars {
    /// Where the calendars are.
    pub dav: SharedDavStore,
    /// Whose homes they are in.
    pub directory: SharedDirectory,
}

/// Whose calendar it is.
#[derive(Clone, Copy)]
struct Owner {
    domain: DomainId,
    is_team: bool,
}

#[async_trait]
impl CalendarSources for OwnCalendars {
    async fn of(&self, user: &User) -> Result<Vec<CalendarSource>, StoreError> {
        let home = HomeId::from(user.id);
        let collections = self.dav.collections(home).await?;
        let calendars = collections.into_iter().filter(|c| c.kind == CollectionKind::Calendar);
        let mut found: Vec<CalendarSource> = calendars
            .map(|calendar| CalendarPath { home, calendar: calendar.uri })
            .map(|path| CalendarSource { listed: path.clone(), source: path, sees_private: true })
            .collect();
        let mut owners: HashMap<HomeId, Option<Owner>> = HashMap::new();
        for Shared { instance, source, .. } in self.dav.shared_in(home).await? {
            let is_given = instance.delegation().is_some_and(|given| given.access.reads());
            let may_read = is_given || source.public_right.as_ref().is_some_and(PublicRight::reads);
            if !may_read || !instance.is_shown() || source.kind != CollectionKind::Calendar {
                continue;
            }
            let owner = match owners.get(&source.home) {
                Some(known) => *known,
                None => *owners.entry(source.home).or_insert(self.owner(source.home).await?),
            };
            // Nothing of another domain is shown, whatever the documents say (dav §3).
            let Some(owner) = owner.filter(|owner| owner.domain == user.domain) else { continue };
            found.push(CalendarSource {
                listed: CalendarPath { home, calendar: instance.uri },
                source: CalendarPath { home: source.home, calendar: source.uri },
                sees_private: is_given && owner.is_team,
            });
        }
        Ok(found)
    }
}

impl OwnCalendars {
    /// Whose home it is; `None` where nobody has it any more.
    async fn owner(&self, home: HomeId) -> Result<Option<Owner>, StoreError> {
        if let Some(user) = self.directory.user(UserId(home.0)).await? {
            return Ok(Some(Owner { domain: user.domain, is_team: false }));
        }
        if let Some(resource) = self.directory.resource(ResourceId(home.0)).await? {
            return Ok((!resource.deleted).then_some(Owner { domain: resource.domain, is_team: false }));
        }
        let team = self.directory.team_calendar(TeamCalendarId(home.0)).await?;
        Ok(team.map(|team| Owner { domain: team.domain, is_team: true }))
    }
}
