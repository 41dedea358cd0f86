//! The home of a user: what is there before the first request (dav §2).

use std::collections::HashSet;

use super::{Accounts, AccountsError};
use crate::dav::announce::calendar_created;
use crate::ids::HomeId;
use crate::store::home::home_collections;
use crate::store::{Batch, Collection, CollectionKind, Op, SharedDavStore, WriteError};

/// Attempts when somebody else furnishes the same home at the same time.
const ATTEMPTS: usize = 3;

impl Accounts {
    /// Makes what is missing in a home: the scheduling inbox and outbox, the two address books, and, in a home without any
    /// calendar, the default calendar. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn provision_home(&self, home: HomeId) -> Result<(), AccountsError> {
        let Some(homes) = &self.homes else { return Ok(()) };
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let missing = self.missing_in(homes, home).await?;
            if missing.is_empty() {
                return Ok(());
            }
            let calendars = missing.iter().filter(|c| c.kind == CollectionKind::Calendar);
            let publish = calendars.map(|calendar| calendar_created(calendar, None)).collect();
            let ops = missing.into_iter().map(Op::CreateCollection).collect();
            match homes.write(Batch { ops, publish }).await {
                Ok(_) => return Ok(()),
                Err(taken @ WriteError::CollectionExists(_)) => last = Some(taken),
                Err(e) => return Err(e.into()),
            }
        }
        Err(last.map_or_else(|| AccountsError::Home("cannot be made".to_owned()), AccountsError::from))
    }

    async fn missing_in(&self, homes: &SharedDavStore, home: HomeId) -> Result<Vec<Collection>, AccountsError> {
        let present = homes.collections(home).await?;
        let has_calendar = present.iter().any(|c| c.kind == CollectionKind::Calendar);
        let names: HashSet<(bool, &str)> = present.iter().map(|c| (is_book(c), c.uri.as_str())).collect();
        let mut wanted = home_collections(home, &self.env);
        wanted.retain(|c| {
            let unneeded = c.kind == CollectionKind::Calendar && has_calendar;
            !unneeded && !names.contains(&(is_book(c), c.uri.as_str()))
        });
        Ok(wanted)
    }
}

/// Address books have a name space of their own.
fn is_book(collection: &Collection) -> bool {
    collection.kind == CollectionKind::AddressBook
}
