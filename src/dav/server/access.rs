//! From a place to what is there: what an actor is to a home, and what a home holds of its own. What may be done with it is
//! decided in `rights`.

use super::call::Call;
use super::tenant::Tenant;
use super::{Inner, Server};
use crate::dav::announce::calendar_created;
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::ids::HomeId;
use crate::store::home::{DOMAIN_MEMBERS, INBOX, OUTBOX, home_collections, is_furnished};
use crate::store::{Batch, Collection, CollectionKind, Op, PublicRight, WriteError};

/// What an actor is to a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// It is the actor's own, or the actor is the program on behalf of the home's domain.
    Owner,
    /// It is that of the actor's domain: all may read it.
    Member,
    /// It belongs to somebody else of the same domain.
    Colleague,
}

impl Server {
    /// What the tenant is to a home.
    ///
    /// # Errors
    /// 404 when nobody has the home; 403 when it belongs to another domain (dav §3).
    pub(super) async fn relation(&self, who: &Tenant, space: Space, home: HomeId) -> Result<Relation, DavError> {
        if who.home() == Some(home) {
            return Ok(Relation::Owner);
        }
        if space == Space::AddressBooks && who.domain_home() == home && self.0.settings.members_book {
            return Ok(Relation::Member);
        }
        let holder = self.0.tenants.holder(home).await?;
        let owner = holder.ok_or_else(|| DavError::not_found(format!("Principal with name {home} not found")))?;
        if owner.domain != who.domain() {
            let what = if space == Space::Calendars { "calendar" } else { "address book" };
            return Err(DavError::forbidden(format!("Cross-domain {what} access is not allowed")));
        }
        Ok(if matches!(who, Tenant::Technical(_)) { Relation::Owner } else { Relation::Colleague })
    }

    /// 403 for want of a privilege.
    pub(super) fn needs(&self, location: &Location, privilege: &'static str) -> DavError {
        DavError::need_privileges(&format!("{}{}", self.0.settings.base, location.href()), privilege)
    }

    /// A collection of a home, made on first access where every home has it (dav §1.2, §2).
    ///
    /// # Errors
    /// 404 when there is none.
    pub(super) async fn collection(&self, space: Space, home: HomeId, uri: &str) -> Result<Collection, DavError> {
        if space == Space::AddressBooks && uri == DOMAIN_MEMBERS {
            self.keep_members_in_step(home).await?;
        }
        if let Some(found) = self.find_collection(space, home, uri).await? {
            return Ok(found);
        }
        if home_collections(home, &self.0.env).iter().any(|c| space_of(c.kind) == space && c.uri == uri) {
            self.furnish(home).await?;
            if let Some(found) = self.find_collection(space, home, uri).await? {
                return Ok(found);
            }
        }
        Err(DavError::not_found(format!("Node with name '{uri}' could not be found")))
    }

    /// A collection of a home, if it is there.
    pub(super) async fn find_collection(
        &self,
        space: Space,
        home: HomeId,
        uri: &str,
    ) -> Result<Option<Collection>, DavError> {
        // Calendars and scheduling collections share a name space in which the names of the latter are fixed.
        let kind = match (space, uri) {
            (Space::AddressBooks, _) => CollectionKind::AddressBook,
            (Space::Calendars, INBOX) => CollectionKind::Inbox,
            (Space::Calendars, OUTBOX) => CollectionKind::Outbox,
            (Space::Calendars, _) => CollectionKind::Calendar,
        };
        Ok(self.0.store.collection(home, kind, uri).await?)
    }

    /// The collections of a home in one tree: calendars in the order of the store, then the scheduling collections.
    pub(super) async fn collections(&self, space: Space, home: HomeId) -> Result<Vec<Collection>, DavError> {
        let mut all = self.0.store.collections(home).await?;
        if !is_furnished(home, &all) {
            self.furnish(home).await?;
            all = self.0.store.collections(home).await?;
        }
        all.retain(|c| space_of(c.kind) == space);
        all.sort_by_key(|c| match c.kind {
            CollectionKind::Calendar | CollectionKind::AddressBook => 0,
            CollectionKind::Inbox => 1,
            CollectionKind::Outbox => 2,
        });
        Ok(all)
    }

    /// Makes what is missing of what every home has. Doing it twice, or at the same time, does no harm.
    async fn furnish(&self, home: HomeId) -> Result<(), DavError> {
        let holder = self.0.tenants.holder(home).await?.filter(|holder| holder.user().is_none());
        for mut wanted in home_collections(home, &self.0.env) {
            if let (Some(holder), true) = (&holder, wanted.is_default()) {
                // People know theirs by being theirs; these need a name (dav §2).
                wanted.props.displayname = Some(holder.display_name());
                // Everybody sees when a room is taken, and by what.
                wanted.public_right = holder.resource().map(|_| PublicRight::Read);
            }
            let is_calendar = wanted.kind == CollectionKind::Calendar;
            let publish = is_calendar.then(|| calendar_created(&wanted, None)).into_iter().collect();
            let made = self.0.store.write(Batch { ops: vec![Op::CreateCollection(wanted)], publish }).await;
            match made {
                Ok(_) | Err(WriteError::CollectionExists(_)) => {}
                Err(error) => return Err(write_failed(error)),
            }
        }
        Ok(())
    }
}

/// 404 for an object.
pub(super) fn no_object(space: Space) -> DavError {
    DavError::not_found(if space == Space::Calendars { "Calendar object not found" } else { "Card not found" })
}

/// The tree a kind of collection is in.
pub(super) fn space_of(kind: CollectionKind) -> Space {
    match kind {
        CollectionKind::AddressBook => Space::AddressBooks,
        CollectionKind::Calendar | CollectionKind::Inbox | CollectionKind::Outbox => Space::Calendars,
    }
}

/// Where a collection is.
pub(super) fn location_of(collection: &Collection) -> Location {
    Location::Collection { space: space_of(collection.kind), home: collection.home, uri: collection.uri.clone() }
}

/// The answer to a write that failed for a reason that no client can do anything about.
pub(super) fn write_failed(error: WriteError) -> DavError {
    match error {
        WriteError::Store(error) => error.into(),
        WriteError::NoCollection(_) => DavError::not_found("The collection is gone"),
        WriteError::CollectionExists(_) => {
            DavError::method_not_allowed("The resource you tried to create already exists")
        }
        WriteError::NoRoom(_) => super::quota::no_room(),
        WriteError::Precondition(_) | WriteError::UidConflict { .. } => {
            DavError::conflict("The resource was changed by somebody else at the same time")
        }
    }
}

impl Call {
    /// The `Inner` of the server.
    pub(super) fn inner(&self) -> &Inner {
        &self.server.0
    }
}
