//! POST to homes and calendars: what is made, subscribed to and shared (dav §8.2).

use http::{Response, StatusCode};
use serde_json::Value;

use super::body::Object as Json;
use super::entries::all_well;
use crate::dav::announce::calendar_created;
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::dav::server::access::write_failed;
use crate::dav::server::answer;
use crate::dav::server::call::Call;
use crate::dav::server::sharing::{Sharee, Wish};
use crate::dav::upstream::Body;
use crate::store::home::new_collection;
use crate::store::{Access, Batch, CollectionKind, CollectionProps, InviteStatus, Op};

/// Component types of a calendar that is made by JSON (dav §2).
const COMPONENTS: [&str; 2] = ["VEVENT", "VTODO"];
/// What no segment holds, in any spelling.
const FORBIDDEN: [&str; 5] = ["/", "\\", "..", "%2f", "%5c"];
/// What names the calendar that is subscribed to.
const SOURCE: &str = "calendarserver:source";
/// Octets of a segment at most, as in addresses.
const MOST: usize = 1024;

impl Json {
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
    /// Makes a calendar in a home, or subscribes to one of somebody else.
    pub(super) async fn create_calendar(&self, body: Json) -> Result<Response<Body>, DavError> {
        let Location::Home(space, home) = self.location else { return Err(DavError::no_node(&self.path)) };
        let id = body.id()?;
        let mut props = CollectionProps::default();
        for (key, value) in &body.0 {
            super::properties::set(&mut props, key, value)?;
        }
        if let Some(source) = body.get(SOURCE) {
            let source = source_of(source.get("href").unwrap_or(&Value::Null), &self.inner().settings.base, space);
            let source = source.ok_or_else(|| DavError::bad_request("The source needs the href of a calendar"))?;
            self.subscribe(Wish { home, uri: id.to_owned(), source, props }).await?;
            return Ok(answer::empty(StatusCode::CREATED));
        }
        self.server.require_home(&self.who, space, home).await?;
        if self.server.sight(&self.who, space, home, id).await.is_ok() {
            return Err(exists());
        }
        let mut calendar = new_collection(home, CollectionKind::Calendar, id, &self.inner().env);
        calendar.props = CollectionProps { components: COMPONENTS.map(str::to_owned).to_vec(), ..props };
        let publish = vec![calendar_created(&calendar, Some(&self.who.principal()))];
        let batch = Batch { ops: vec![Op::CreateCollection(calendar)], publish };
        self.inner().store.write(batch).await.map_err(write_failed)?;
        Ok(answer::empty(StatusCode::CREATED))
    }

    /// Shares a calendar, or answers an invitation to one.
    pub(super) async fn post_to_calendar(&self, body: Json) -> Result<Response<Body>, DavError> {
        let Location::Collection { space, home, uri } = &self.location else {
            return Err(DavError::no_node(&self.path));
        };
        let sight = self.server.sight(&self.who, *space, *home, uri).await?;
        if let Some(share) = body.get("share") {
            self.share(&sight, &sharees(share)?).await?;
        } else if let Some(reply) = body.get("invite-reply") {
            let status = match reply.get("invitestatus").and_then(Value::as_str) {
                Some("accepted") => InviteStatus::Accepted,
                Some("noresponse") => InviteStatus::NoResponse,
                _ => return Err(DavError::bad_request("The invitestatus is accepted or noresponse")),
            };
            self.invite_reply(&sight, status, None).await?;
        } else {
            return Err(DavError::bad_request("The body asks for nothing that is known here"));
        }
        Ok(all_well())
    }
}

/// Reads whom a calendar is to be shared with, and who is to have it no longer.
fn sharees(share: &Value) -> Result<Vec<Sharee>, DavError> {
    let list = |key: &str| match share.get(key) {
        None | Some(Value::Null) => Ok(&[][..]),
        Some(Value::Array(list)) => Ok(list.as_slice()),
        Some(_) => Err(DavError::bad_request(format!("{key} must be a list"))),
    };
    let mut sharees = Vec::new();
    for item in list("set")? {
        // The widest right that is named; who is given none is not meant.
        let access = [Access::Administration, Access::ReadWrite, Access::Read, Access::FreeBusy];
        let access = access.into_iter().find(|access| item.get(format!("dav:{}", access.word())).is_some());
        if access.is_some() {
            let name = item.get("common-name").and_then(Value::as_str).filter(|name| !name.is_empty());
            sharees.push(Sharee { href: href_of(item)?, access, name: name.map(str::to_owned) });
        }
    }
    for item in list("remove")? {
        sharees.push(Sharee { href: href_of(item)?, access: None, name: None });
    }
    Ok(sharees)
}

/// The address of a sharee.
pub(super) fn href_of(sharee: &Value) -> Result<String, DavError> {
    let href = sharee.get("dav:href").and_then(Value::as_str).map(str::trim).filter(|href| !href.is_empty());
    href.map(str::to_owned).ok_or_else(|| DavError::bad_request("A sharee needs a dav:href"))
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
