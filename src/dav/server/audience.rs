//! Who is told of what happens to the objects of a calendar or the cards of an address book (messaging §1.3, §1.10): whoever
//! has it in their home is, by the path that it has there.

use super::call::Call;
use super::publish_books::Book;
use super::rights::Sight;
use super::{Server, private};
use crate::dav::announce::path_of;
use crate::dav::error::DavError;
use crate::dav::path::Space;
use crate::ical::Component;
use crate::ids::{CalendarPath, HomeId};
use crate::store::{Access, Collection, CollectionKind, Instance, InviteStatus, PublicRight};

/// Those who are told.
#[derive(Debug, Clone)]
pub(super) struct Audience {
    /// Where it was written.
    pub(super) written: CalendarPath,
    /// Where its owner has it.
    pub(super) source: CalendarPath,
    /// Where others have it: subscribers first.
    pub(super) others: Vec<Listener>,
}

/// Somebody who has it and does not own it.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    pub(super) path: CalendarPath,
    /// What the owner gave them; subscribers were given nothing.
    pub(super) access: Option<Access>,
    /// They are of the team whose calendar it is.
    is_member: bool,
}

impl Listener {
    fn of(instance: &Instance, source: &Collection, of_team: bool) -> Option<Self> {
        let is_told = match instance.delegation() {
            Some(given) => !given.hidden && given.status != InviteStatus::Invalid,
            // A subscription shows what everybody may read.
            None => source.public_right.as_ref().is_some_and(PublicRight::reads),
        };
        if !is_told {
            return None;
        }
        let path = CalendarPath { home: instance.home, calendar: instance.uri.clone() };
        let access = instance.delegation().map(|given| given.access);
        Some(Self { path, access, is_member: of_team && access.is_some() })
    }

    /// What they may see of an object; `None` for all of it.
    pub(super) fn sees(&self, calendar: &Component) -> Option<Component> {
        match self.access {
            // They may know when its owner is busy, and nothing else.
            Some(Access::FreeBusy) => Some(private::as_busy(calendar)),
            _ if self.is_member => None,
            _ => private::reduced(calendar),
        }
    }
}

impl Audience {
    /// Of a calendar that is nobody else's yet.
    pub(super) fn alone(collection: &Collection) -> Self {
        Self { written: path_of(collection), source: path_of(collection), others: Vec::new() }
    }

    /// Whose home it was written in.
    pub(super) fn written_in(&self) -> HomeId {
        self.written.home
    }

    /// What one of them has.
    pub(super) fn at(instance: &Instance, source: &Collection) -> Self {
        let written = CalendarPath { home: instance.home, calendar: instance.uri.clone() };
        Self { written, source: path_of(source), others: Vec::new() }
    }

    fn of(written: &Collection, source: &Collection, instances: &[Instance], of_team: bool) -> Self {
        let mut others: Vec<Listener> = instances.iter().filter_map(|i| Listener::of(i, source, of_team)).collect();
        others.sort_by_key(|listener| listener.access.is_some());
        Self { written: path_of(written), source: path_of(source), others }
    }
}

impl Server {
    /// Whoever is told of what is written at this place.
    pub(super) async fn audience(&self, sight: &Sight) -> Result<Audience, DavError> {
        let instances = self.instances(sight.source()).await?;
        let of_team = self.0.tenants.is_team(sight.source().home);
        Ok(Audience::of(sight.shown(), sight.source(), &instances, of_team))
    }

    /// Whoever is told of what is written where its owner has it.
    pub(super) async fn audience_at_home(&self, source: &Collection) -> Result<Audience, DavError> {
        let of_team = self.0.tenants.is_team(source.home);
        Ok(Audience::of(source, source, &self.instances(source).await?, of_team))
    }

    /// What others have of a collection; nobody has anything of scheduling collections.
    pub(super) async fn instances(&self, source: &Collection) -> Result<Vec<Instance>, DavError> {
        match source.kind {
            CollectionKind::Calendar | CollectionKind::AddressBook => Ok(self.0.store.instances(source).await?),
            CollectionKind::Inbox | CollectionKind::Outbox => Ok(Vec::new()),
        }
    }
}

impl Call {
    /// An address book at a place, with everybody who is told of it.
    pub(super) async fn book_at(&self, sight: &Sight) -> Result<Book, DavError> {
        Ok(self.book_told_to(self.server.audience(sight).await?))
    }
}

/// Path of a card, without a leading slash.
pub(super) fn card_path(place: &CalendarPath, name: &str) -> String {
    format!("{}/{name}", book_path(place))
}

/// Path of an address book, without a leading slash.
pub(super) fn book_path(place: &CalendarPath) -> String {
    format!("{}/{}/{}", Space::AddressBooks.segment(), place.home, place.calendar)
}
