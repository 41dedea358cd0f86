//! MKCALENDAR (RFC 4791 §5.3.1) and extended MKCOL (RFC 5689): new calendars and address books.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::access::write_failed;
use super::answer;
use super::call::Call;
use super::proppatch::{write_propstats, write_results};
use super::sharing_xml::wanted_source;
use super::store_props::{Moment, Refused, apply};
use crate::dav::announce::calendar_created;
use crate::dav::error::{Condition, DavError, XML_TYPE};
use crate::dav::path::{Location, Space};
use crate::dav::upstream::Body;
use crate::dav::xml::{CALDAV, CARDDAV, DAV, Element, PROLOG, PropChange, PropUpdate, Writer, read_creation};
use crate::store::home::new_collection;
use crate::store::{Batch, CollectionKind, Op};

const EXISTS: &str = "The resource you tried to create already exists";

/// The start of the answer to a MKCOL that failed for its properties (RFC 5689 §5.2).
const MKCOL_RESPONSE: &str = concat!(
    "<?xml version=\"1.0\"?>\n",
    "<d:mkcol-response xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\" ",
    "xmlns:cal=\"urn:ietf:params:xml:ns:caldav\" xmlns:cs=\"http://calendarserver.org/ns/\" ",
    "xmlns:card=\"urn:ietf:params:xml:ns:carddav\">"
);

fn xml_answer(status: StatusCode, mut w: Writer) -> Response<Body> {
    let mut response = Response::new(Body::from(w.take()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, XML_TYPE);
    response
}

impl Call {
    /// Makes a collection in the actor's home.
    pub(super) async fn make_collection(mut self) -> Result<Response<Body>, DavError> {
        let root = self.xml().await?;
        let update = read_creation(root.as_ref()).map_err(|error| match self.method.as_str() {
            // RFC 4918 §9.3: a body that the method knows nothing of.
            "MKCOL" => DavError::unsupported_media_type(error.to_string()),
            _ => error.into(),
        })?;
        let Location::Collection { space, home, ref uri } = self.location else {
            return Err(self.no_place_for_a_collection().await);
        };
        self.server.require_home(&self.who, space, home).await?;
        if self.server.sight(&self.who, space, home, uri).await.is_ok() {
            return Err(DavError::method_not_allowed(EXISTS).because(Condition::Empty("d:resource-must-be-null")));
        }
        if let Some(source) = wanted_source(&update) {
            return self.make_subscription(&update, &source).await;
        }
        let kind = match self.kind_of_new(space, &update) {
            Ok(kind) => kind,
            Err(error) => return self.wrong_type(&update, error),
        };
        let mut collection = new_collection(home, kind, uri, &self.inner().env);
        let room = self.inner().settings.limits.xml_bytes;
        let set = |change| apply(&mut collection.props, kind, change, Moment::Creation, room);
        let results: Vec<_> = update.iter().map(set).collect();
        if results.iter().any(Result::is_err) {
            return Ok(self.refused(&update, &results));
        }
        let mut batch = Batch::default();
        batch.publish.push(match kind {
            CollectionKind::AddressBook => self.book_of(&collection).created(),
            CollectionKind::Calendar | CollectionKind::Inbox | CollectionKind::Outbox => {
                calendar_created(&collection, Some(&self.who.principal()))
            }
        });
        batch.ops.push(Op::CreateCollection(collection));
        self.server.write(batch, None).await.map_err(write_failed)?;
        let mut response = answer::empty(StatusCode::CREATED);
        // RFC 4791 §5.3.1: nobody shall remember that there was nothing here.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(response)
    }

    /// The answer to properties that cannot be set: which, and why. Nothing was made (RFC 5689 §3). A MKCALENDAR is
    /// answered with 207, as calendarserver does, a MKCOL with the status of the first failure.
    fn refused(&self, update: &PropUpdate, results: &[Result<(), Refused>]) -> Response<Body> {
        if self.method.as_str() == "MKCALENDAR" {
            let mut w = Writer::starting(PROLOG);
            write_results(&self.path_as_asked(), update, results, &mut w);
            w.raw("</d:multistatus>");
            return xml_answer(StatusCode::MULTI_STATUS, w);
        }
        let first = results.iter().find_map(|result| result.as_ref().err());
        let mut w = Writer::starting(MKCOL_RESPONSE);
        write_propstats(update, results, &mut w);
        w.raw("</d:mkcol-response>");
        xml_answer(first.map_or(StatusCode::FORBIDDEN, |refused| refused.status), w)
    }

    /// The answer to a type that cannot be here: in the form of RFC 5689 §3 where a type was asked for.
    fn wrong_type(&self, update: &PropUpdate, error: DavError) -> Result<Response<Body>, DavError> {
        let is_type = |change: &PropChange| change.name().is(DAV, "resourcetype");
        if self.method.as_str() != "MKCOL" || !update.iter().any(is_type) {
            return Err(error);
        }
        let refused = Refused { status: error.status, condition: error.condition };
        let result = |change| if is_type(change) { Err(refused.clone()) } else { Ok(()) };
        Ok(self.refused(update, &update.iter().map(result).collect::<Vec<_>>()))
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
        let types = update.iter().filter_map(|change| match change {
            PropChange::Set(element) if element.name.is(DAV, "resourcetype") => Some(element),
            _ => None,
        });
        let known = |e: &Element| {
            e.name.is(DAV, "collection")
                || e.name.is(CALDAV, "calendar")
                || (!is_calendar && e.name.is(CARDDAV, "addressbook"))
        };
        if types.flat_map(Element::elements).any(|e| !known(e)) {
            return Err(DavError::forbidden("There are no collections of this type")
                .because(Condition::Empty("d:valid-resourcetype")));
        }
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
        if let Location::Member { space, home, ref uri, .. } = self.location {
            let condition = match space {
                Space::Calendars => "cal:calendar-collection-location-ok",
                Space::AddressBooks => "card:addressbook-collection-location-ok",
            };
            if let Err(error) = self.server.require_home(&self.who, space, home).await {
                return error;
            }
            return match self.server.sight(&self.who, space, home, uri).await {
                Ok(_) => {
                    DavError::forbidden("Collections cannot hold collections").because(Condition::Empty(condition))
                }
                Err(error) if error.status == StatusCode::NOT_FOUND => DavError::conflict("Parent node does not exist"),
                Err(error) => error,
            };
        }
        match self.target().await {
            Ok(_) => DavError::method_not_allowed(EXISTS).because(Condition::Empty("d:resource-must-be-null")),
            // Homes come with their owners (dav §6.3).
            Err(error) if error.status == StatusCode::NOT_FOUND => {
                DavError::method_not_allowed("Collections cannot be made here")
            }
            Err(error) => error,
        }
    }
}
