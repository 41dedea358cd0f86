//! Which calendars somebody sees, and where each of them really is.

use async_trait::async_trait;

use crate::ids::{CalendarPath, HomeId};
use crate::store::{CollectionKind, SharedDavStore, StoreError, User};

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

/// The calendars of the user's own home, from the store of the built-in DAV server.
pub struct OwnCalendars(pub SharedDavStore);

#[async_trait]
impl CalendarSources for OwnCalendars {
    async fn of(&self, user: &User) -> Result<Vec<CalendarSource>, StoreError> {
        let home = HomeId::from(user.id);
        let collections = self.0.collections(home).await?;
        let calendars = collections.into_iter().filter(|c| c.kind == CollectionKind::Calendar);
        Ok(calendars
            .map(|calendar| CalendarPath { home, calendar: calendar.uri })
            .map(|path| CalendarSource { listed: path.clone(), source: path })
            .collect())
    }
}
