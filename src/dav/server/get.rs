//! GET and HEAD.

use http::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, VARY};
use http::{Response, StatusCode};

use super::accept::Accept;
use super::call::Call;
use super::cards::{self, Shown};
use super::media::Format;
use super::properties::{http_date, media_type};
use super::rights::Need;
use super::{agenda, answer, schedule_tag, timezones};
use crate::dav::error::DavError;
use crate::dav::path::Location;
use crate::dav::precondition::{ConditionError, Preconditions, ResourceState, quoted};
use crate::dav::upstream::Body;
use crate::ical::Component;
use crate::store::{Collection, CollectionKind, Object};

impl Call {
    /// Answers with an object, or exports a collection.
    pub(super) async fn get(self) -> Result<Response<Body>, DavError> {
        match self.location {
            Location::Member { .. } => {
                let (collection, object) = self.server.object(&self.who, &self.location, Need::Read).await?;
                self.get_object(&collection, object)
            }
            Location::Collection { .. } => {
                let collection = self.server.see(&self.who, &self.location, Need::Read).await?;
                // A calendar is the file with all that is in it; a book only for those who ask for cards.
                let is_file = match collection.kind {
                    CollectionKind::Calendar => true,
                    CollectionKind::AddressBook => Accept::read(&self.headers).prefers("text/vcard"),
                    CollectionKind::Inbox | CollectionKind::Outbox => {
                        Accept::read(&self.headers).prefers("text/calendar")
                    }
                };
                if collection.kind == CollectionKind::Calendar && self.wants_page() {
                    self.agenda_of_calendar(collection).await
                } else if collection.kind == CollectionKind::AddressBook && self.wants_page() {
                    self.page_of_book(collection.shown().clone()).await
                } else if self.has_parameter("export") || is_file {
                    self.export(collection).await.map(agenda::vary_by_accept)
                } else {
                    Err(DavError::not_implemented(&self.method))
                }
            }
            _ => match self.home_of_page().filter(|_| self.wants_page()) {
                Some(home) => self.agenda_of_home(home).await,
                None => self.browse().await.map(agenda::vary_by_accept),
            },
        }
    }

    fn get_object(&self, collection: &Collection, object: Object) -> Result<Response<Body>, DavError> {
        let meta = &object.meta;
        let conditions = Preconditions::read(&self.headers)?;
        let state = ResourceState { location: &self.location, etag: Some(&meta.etag), token: None };
        match conditions.check(&[state], &self.server.0.settings.base) {
            Err(ConditionError::IfNoneMatch) => {
                return Ok(self.validators(answer::empty(StatusCode::NOT_MODIFIED), &object));
            }
            Err(error) => return Err(error.into()),
            Ok(()) => {}
        }
        if !self.headers.contains_key(IF_NONE_MATCH)
            && self.headers.get(IF_MODIFIED_SINCE).is_some_and(|v| v.as_bytes() == http_date(meta.modified).as_bytes())
        {
            return Ok(self.validators(answer::empty(StatusCode::NOT_MODIFIED), &object));
        }
        let is_card = collection.kind == CollectionKind::AddressBook;
        let shown = if is_card { cards::negotiate(self, &object.data)? } else { self.as_asked(&object)? };
        let (text, media_type) = match shown {
            Some(shown) => (shown.text, shown.media_type),
            None => (object.data.clone(), media_type(collection, meta)),
        };
        let media_type =
            HeaderValue::from_str(&media_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let body = Body::from(text);
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        Ok(self.validators(response, &object))
    }

    /// A calendar object in the notation and with the time zones that the client asks for; `None` for the text as stored.
    fn as_asked(&self, object: &Object) -> Result<Option<Shown>, DavError> {
        let (format, with_zones) = (self.accepted_format(), self.with_zones()?);
        if format == Format::ICalendar && with_zones.is_none() {
            return Ok(None);
        }
        // What cannot be parsed is sent as it is.
        let Ok(mut calendar) = Component::parse(&object.data) else { return Ok(None) };
        match with_zones {
            Some(true) => timezones::define(&mut calendar),
            Some(false) => timezones::strip(&mut calendar),
            None => {}
        }
        Ok(Some(Shown { text: format.write(&calendar), media_type: format.content_type().to_owned() }))
    }

    /// Adds what a client compares later.
    fn validators(&self, mut response: Response<Body>, object: &Object) -> Response<Body> {
        let headers = response.headers_mut();
        let is_card = object.meta.component == "VCARD";
        let reads = if is_card { "Accept" } else { "Accept, CalDAV-Timezones" };
        headers.insert(VARY, HeaderValue::from_static(reads));
        for (name, value) in [(ETAG, quoted(&object.meta.etag)), (LAST_MODIFIED, http_date(object.meta.modified))] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        schedule_tag::tell(&mut response, object.meta.schedule_tag.as_deref());
        response
    }
}
