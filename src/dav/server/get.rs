//! GET and HEAD.

use http::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{Response, StatusCode};

use super::answer;
use super::call::Call;
use super::expander::JCAL;
use super::properties::{http_date, media_type};
use super::schedule_tag;
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::dav::precondition::{ConditionError, Preconditions, ResourceState, quoted};
use crate::dav::upstream::Body;
use crate::ical::{Component, jcal};
use crate::store::{Collection, Object};

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
            _ => {
                // 404 or 403 where nothing is, 501 where something is that has no content.
                self.target().await?;
                Err(DavError::not_implemented(&self.method))
            }
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
        let wants_json = collection.kind != crate::store::CollectionKind::AddressBook && self.accepts(JCAL);
        let json = wants_json.then(|| Component::parse(&object.data).ok()).flatten();
        let content_type = match json {
            Some(_) => HeaderValue::from_static(JCAL),
            None => HeaderValue::from_str(&media_type(collection, meta))
                .unwrap_or(HeaderValue::from_static("application/octet-stream")),
        };
        let body = match json {
            Some(calendar) => Body::from(jcal::to_jcal(&calendar).to_string()),
            None => Body::from(object.data.clone()),
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        Ok(self.validators(response, &object))
    }

    /// Adds what a client compares later.
    fn validators(&self, mut response: Response<Body>, object: &Object) -> Response<Body> {
        let headers = response.headers_mut();
        for (name, value) in [(ETAG, quoted(&object.meta.etag)), (LAST_MODIFIED, http_date(object.meta.modified))] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        schedule_tag::tell(&mut response, object.meta.schedule_tag.as_deref());
        response
    }
}
