//! Which calendars somebody sees, and where each of them really is.

use async_trait::async_trait;

use crate::ids::{CalendarPath, HomeId};
use crate::store::{CollectionKind, PublicRight, Shared, SharedDavStore, StoreError, User};

/// A calendar in somebody's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarSource {
    /// Where the list shows it: in the home of whoever sees it.
    pub listed: CalendarPath,
    /// Where it is: the same for an own calendar, its owner's for a delegated or subscribed one.
    pub source: CalendarPath,
}

/// Knows the calendars of people (rest-api §8.2).
#[async_trait]
pub trait CalendarSources: Send + Sync + 'static {
    /// All calendars that the user may read.
    async fn of(&self, user: &User) -> Result<Vec<CalendarSource>, StoreError>;
}

/// The calendars in the user's home, from the store of the built-in DAV server: their own, and those of others that they may
/// read.
pub struct OwnCalendars(pub SharedDavStore);

#[async_trait]
impl CalendarSources for OwnCalendars {
    async fn of(&self, user: &User) -> Result<Vec<CalendarSource>, StoreError> {
        let home = HomeId::from(user.id);
        let collections = self.0.collections(home).await?;
        let calendars = collections.into_iter().filter(|c| c.kind == CollectionKind::Calendar);
        let mut found: Vec<CalendarSource> = calendars
            .map(|calendar| CalendarPath { home, calendar: calendar.uri })
            .map(|path| CalendarSource { listed: path.clone(), source: path })
            .collect();
        for Shared { instance, source, .. } in self.0.shared_in(home).await? {
            let may_read = source.public_right.as_ref().is_some_and(PublicRight::reads)
                || instance.delegation().is_some_and(|given| given.access.reads());
            if may_read && instance.is_shown() && source.kind == CollectionKind::Calendar {
                found.push(CalendarSource {
                    listed: CalendarPath { home, calendar: instance.uri },
                    source: CalendarPath { home: source.home, calendar: source.uri },
                });
            }
        }
        Ok(found)
    }
}
