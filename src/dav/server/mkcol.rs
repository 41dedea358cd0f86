//! MKCALENDAR (RFC 4791 §5.3.1) and extended MKCOL (RFC 5689): new calendars and address books.

use http::{Response, StatusCode};

use super::access::write_failed;
use super::call::Call;
use super::publish_books::Book;
use super::store_props::{Moment, apply};
use super::{answer, publish};
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, Space};
use crate::dav::upstream::Body;
use crate::dav::xml::{CALDAV, CARDDAV, DAV, PropChange, PropUpdate, read_creation};
use crate::store::home::new_collection;
use crate::store::{Batch, CollectionKind, Op};

const EXISTS: &str = "The resource you tried to create already exists";

impl Call {
    /// Makes a collection in the actor's home.
    pub(super) async fn make_collection(mut self) -> Result<Response<Body>, DavError> {
        let root = self.xml().await?;
        let update = read_creation(root.as_ref())?;
        let Location::Collection { space, home, ref uri } = self.location else {
            return Err(self.no_place_for_a_collection().await);
        };
        let parent = Location::Home(space, home);
        self.server.require_owner(&self.who, &parent, "d:bind").await?;
        if self.server.collection(space, home, uri).await.is_ok() {
            return Err(DavError::method_not_allowed(EXISTS).because(Condition::Empty("d:resource-must-be-null")));
        }
        let kind = self.kind_of_new(space, &update)?;
        let mut collection = new_collection(home, kind, uri, &self.inner().env);
        let room = self.inner().settings.limits.xml_bytes;
        for change in &update {
            apply(&mut collection.props, kind, change, Moment::Creation, room).map_err(|refused| {
                let message = format!("{} cannot be set to this value", change.name());
                let error = DavError::new(refused.status, "Sabre\\DAV\\Exception\\Forbidden", message);
                refused.condition.into_iter().fold(error, DavError::because)
            })?;
        }
        let mut batch = Batch::default();
        batch.publish.push(match kind {
            CollectionKind::AddressBook => Book::of(&collection, &self.who).created(),
            CollectionKind::Calendar | CollectionKind::Inbox | CollectionKind::Outbox => {
                publish::calendar_created(&collection, &self.who.principal())
            }
        });
        batch.ops.push(Op::CreateCollection(collection));
        self.inner().store.write(batch).await.map_err(write_failed)?;
        Ok(answer::empty(StatusCode::CREATED))
    }

    /// What the method and the resource type ask for.
    fn kind_of_new(&self, space: Space, update: &PropUpdate) -> Result<CollectionKind, DavError> {
        let named = |ns, local| {
            let is_type = |change: &&PropChange| change.name().is(DAV, "resourcetype");
            let types = update.iter().filter(is_type);
            let mut types = types.filter_map(|change| match change {
                PropChange::Set(element) => Some(element),
                PropChange::Remove(_) => None,
            });
            types.any(|element| element.child(ns, local).is_some())
        };
        let is_calendar = self.method.as_str() == "MKCALENDAR" || named(CALDAV, "calendar");
        match space {
            Space::Calendars if is_calendar => Ok(CollectionKind::Calendar),
            Space::AddressBooks if !is_calendar && named(CARDDAV, "addressbook") => Ok(CollectionKind::AddressBook),
            Space::AddressBooks if is_calendar => Err(DavError::forbidden("Calendars live below /calendars")
                .because(Condition::Empty("cal:calendar-collection-location-ok"))),
            _ => Err(DavError::forbidden("Only calendars and address books can be made here")
                .because(Condition::Empty("d:valid-resourcetype"))),
        }
    }

    /// Why there can be no collection at this place.
    async fn no_place_for_a_collection(&self) -> DavError {
        if let Location::Member { space, .. } = self.location {
            let condition = match space {
                Space::Calendars => "cal:calendar-collection-location-ok",
                Space::AddressBooks => "card:addressbook-collection-location-ok",
            };
            return match self.server.require_owner(&self.who, &self.location, "d:bind").await {
                Err(error) => error,
                Ok(()) => {
                    DavError::forbidden("Collections cannot hold collections").because(Condition::Empty(condition))
                }
            };
        }
        match self.target().await {
            Ok(_) => DavError::method_not_allowed(EXISTS),
            Err(error) => error,
        }
    }
}
