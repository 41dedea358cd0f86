//! GET and HEAD.

use http::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, VARY};
use http::{Response, StatusCode};

use super::answer;
use super::call::Call;
use super::cards::{self, Shown};
use super::expander::JCAL;
use super::properties::{http_date, media_type};
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::dav::precondition::{ConditionError, Preconditions, ResourceState, quoted};
use crate::dav::upstream::Body;
use crate::ical::{Component, jcal};
use crate::store::{Collection, CollectionKind, Object};

impl Call {
    /// Answers with an object, or exports a collection.
    pub(super) async fn get(self) -> Result<Response<Body>, DavError> {
        match self.location {
            Location::Member { .. } => {
                let (collection, object) = self.server.object(&self.who, &self.location, "d:read").await?;
                self.get_object(&collection, object)
            }
            Location::Collection { space, home, ref uri } => {
                let plain_text = self.accepts(if space == Space::Calendars { "text/calendar" } else { "text/vcard" });
                self.server.require_owner(&self.who, &self.location, "d:read").await?;
                let collection = self.server.collection(space, home, uri).await?;
                if self.has_parameter("export") || plain_text {
                    self.export(collection).await
                } else {
                    Err(DavError::not_implemented(&self.method))
                }
            }
            _ => self.browse().await,
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
        let shown = if is_card { cards::negotiate(self, &object.data)? } else { self.as_json(&object) };
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

    /// A calendar object as jCal, where the client asks for that.
    fn as_json(&self, object: &Object) -> Option<Shown> {
        let calendar = self.accepts(JCAL).then(|| Component::parse(&object.data).ok()).flatten()?;
        Some(Shown { text: jcal::to_jcal(&calendar).to_string(), media_type: JCAL.to_owned() })
    }

    /// Adds what a client compares later.
    fn validators(&self, mut response: Response<Body>, object: &Object) -> Response<Body> {
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        for (name, value) in [(ETAG, quoted(&object.meta.etag)), (LAST_MODIFIED, http_date(object.meta.modified))] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}
