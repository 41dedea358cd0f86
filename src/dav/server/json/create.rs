//! POST to homes and calendars: what is made, subscribed to and shared (dav §8.2).

use http::{Response, StatusCode};
use serde_json::Value;

use super::body::Object;
use crate::dav::announce::calendar_created;
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::dav::server::access::write_failed;
use crate::dav::server::answer;
use crate::dav::server::call::Call;
use crate::dav::upstream::Body;
use crate::store::home::new_collection;
use crate::store::{Batch, CollectionKind, Op};

/// Component types of a calendar that is made by JSON (dav §2).
const COMPONENTS: [&str; 2] = ["VEVENT", "VTODO"];
/// What no segment holds, in any spelling.
const FORBIDDEN: [&str; 5] = ["/", "\\", "..", "%2f", "%5c"];
/// Octets of a segment at most, as in addresses.
const MOST: usize = 1024;

impl Object {
    /// The segment of what is to be made.
    ///
    /// # Errors
    /// 400 where there is none, or one that would lead elsewhere.
    pub(super) fn id(&self) -> Result<&str, DavError> {
        let id = self.text("id").ok_or_else(|| DavError::bad_request("The body needs an id"))?;
        let lower = id.to_ascii_lowercase();
        let is_odd = FORBIDDEN.iter().any(|odd| lower.contains(odd)) || id.contains(char::is_control) || id == ".";
        match is_odd || id.len() > MOST {
            true => Err(DavError::bad_request("The id cannot be a segment of a path")),
            false => Ok(id),
        }
    }
}

impl Call {
    /// Makes a calendar in a home.
    pub(super) async fn create_calendar(&self, body: Object) -> Result<Response<Body>, DavError> {
        let Location::Home(space, home) = self.location else { return Err(DavError::no_node(&self.path)) };
        let id = body.id()?;
        self.server.require_owner(&self.who, &self.location, "d:bind").await?;
        if self.server.collection(space, home, id).await.is_ok() {
            return Err(exists());
        }
        let mut calendar = new_collection(home, CollectionKind::Calendar, id, &self.inner().env);
        calendar.props.components = COMPONENTS.map(str::to_owned).to_vec();
        for (key, value) in &body.0 {
            super::properties::set(&mut calendar.props, key, value)?;
        }
        let publish = vec![calendar_created(&calendar, Some(&self.who.principal()))];
        let batch = Batch { ops: vec![Op::CreateCollection(calendar)], publish };
        self.inner().store.write(batch).await.map_err(write_failed)?;
        Ok(answer::empty(StatusCode::CREATED))
    }

    /// Shares a calendar, or answers an invitation to one.
    pub(super) async fn post_to_calendar(&self, body: Object) -> Result<Response<Body>, DavError> {
        let _ = self.readable_collection().await?;
        match body.0.keys().next() {
            None => Err(DavError::bad_request("The body says nothing")),
            Some(_) => Err(DavError::bad_request("The body asks for nothing that is known here")),
        }
    }
}

/// 405: something is there already.
pub(super) fn exists() -> DavError {
    DavError::method_not_allowed("The resource you tried to create already exists")
}

/// The address of a source, as clients write it.
pub(super) fn source_of(value: &Value, base: &str, space: Space) -> Option<Location> {
    let href = value.as_str().filter(|href| !href.is_empty())?.replace(".json", "");
    let location = Location::parse_href(&href, base)?;
    matches!(&location, Location::Collection { space: found, .. } if *found == space).then_some(location)
}
