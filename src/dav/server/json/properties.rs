//! PROPPATCH, PROPFIND and ACL of a calendar by JSON (dav §8.3, §8.4).

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::body::Object;
use super::rights;
use super::text::{nothing, respond};
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, PrincipalKind, Space};
use crate::dav::server::answer;
use crate::dav::server::call::Call;
use crate::dav::server::rights::{Need, Sight};
use crate::dav::upstream::Body;
use crate::store::{CollectionKind, CollectionProps, PublicRight};

const NAME: &str = "dav:name";
const DESCRIPTION: &str = "caldav:description";
const COLOR: &str = "apple:color";
const ORDER: &str = "apple:order";
/// What tells of a state, and is nobody's to set.
const PROTECTED: [&str; 3] = ["dav:getetag", "dav:getctag", "calendarserver:ctag"];

/// Sets the property that a key stands for; keys that are not known do nothing.
///
/// # Errors
/// 400 for a value that the property cannot have, 409 for an order that is no number, as of PROPPATCH.
pub(super) fn set(props: &mut CollectionProps, key: &str, value: &Value) -> Result<(), DavError> {
    match key {
        NAME => props.displayname = text(key, value)?.filter(|name| !name.is_empty()),
        DESCRIPTION => props.description = text(key, value)?,
        COLOR => props.color = text(key, value)?,
        ORDER => props.order = order(value)?,
        _ => {}
    }
    Ok(())
}

/// A text, or null to take a property away.
pub(super) fn text(key: &str, value: &Value) -> Result<Option<String>, DavError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(DavError::bad_request(format!("{key} must be a text"))),
    }
}

fn order(value: &Value) -> Result<Option<i64>, DavError> {
    let not_a_number = || DavError::conflict("apple:order must be a whole number");
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => number.as_i64().map(Some).ok_or_else(not_a_number),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => text.trim().parse().map(Some).map_err(|_| not_a_number()),
        _ => Err(DavError::bad_request("apple:order must be a number")),
    }
}

/// What is set on a collection where it is: what somebody has of others looks as they like.
pub(super) fn looks(sight: &Sight) -> &CollectionProps {
    sight.instance().map_or(&sight.source().props, |instance| &instance.props)
}

impl Call {
    /// Changes the properties of a calendar or an address book.
    pub(super) async fn proppatch_json(&self, body: Object) -> Result<Response<Body>, DavError> {
        match &self.location {
            Location::Collection { space: Space::Calendars, .. } => {}
            Location::Collection { space: Space::AddressBooks, .. } => return self.proppatch_book(body).await,
            _ => {
                self.target().await?;
                return Err(DavError::forbidden("Nothing can be changed here"));
            }
        }
        let calendar = self.server.see(&self.who, &self.location, Need::WriteProperties).await?;
        if body.0.keys().any(|key| PROTECTED.contains(&key.as_str())) {
            return Ok(answer::empty(StatusCode::FORBIDDEN));
        }
        let mut props = looks(&calendar).clone();
        for (key, value) in &body.0 {
            set(&mut props, key, value)?;
        }
        if body.0.keys().any(|key| [NAME, DESCRIPTION, COLOR, ORDER].contains(&key.as_str())) {
            self.write_props(&calendar, props).await?;
        }
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }

    /// Answers with properties of a principal, a calendar or an address book; `None` where the request is one in XML
    /// without a body.
    pub(super) async fn propfind_json(&self, body: Option<Object>) -> Result<Option<Response<Body>>, DavError> {
        match (&self.location, body) {
            (Location::Principal(PrincipalKind::User, _), _) if self.wants_json() => {
                self.principal_json().await.map(Some)
            }
            (Location::Collection { space: Space::Calendars, .. }, Some(body)) => {
                self.propfind_calendar(&body).await.map(Some)
            }
            (Location::Collection { space: Space::AddressBooks, .. }, Some(body)) => {
                self.propfind_book(&body).await.map(Some)
            }
            (_, Some(_)) => Err(DavError::bad_request("There are no properties in JSON here")),
            (_, None) => Ok(None),
        }
    }

    async fn propfind_calendar(&self, body: &Object) -> Result<Response<Body>, DavError> {
        let calendar = self.readable_collection().await?;
        let asked = body.get("prop").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let asks_for = |name: &str| asked.iter().any(|wanted| wanted.as_str() == Some(name));
        let mut out = serde_json::Map::new();
        if asks_for("cs:invite") {
            let instances = self.server.instances(calendar.source()).await?;
            out.insert("invite".to_owned(), json!(self.invites(&calendar, &instances)));
        }
        if asks_for("acl") {
            out.insert("acl".to_owned(), json!(rights::of_calendar(&calendar, &self.owner_name(calendar.home))));
        }
        Ok(if out.is_empty() { nothing() } else { respond(StatusCode::OK, &out) })
    }

    /// Sets what everybody may do with a calendar, and answers with who may do what from now on.
    pub(super) async fn acl_json(&self, body: Object) -> Result<Response<Body>, DavError> {
        let Location::Collection { space, home, uri } = &self.location else {
            self.target().await?;
            return Err(DavError::forbidden("Nobody can be given rights here"));
        };
        let Some(Value::String(privilege)) = body.0.get("public_right") else {
            return Err(DavError::bad_request("Missing public_right property in JSON request"));
        };
        let sight = self.server.sight(&self.who, *space, *home, uri).await?;
        if matches!(sight.kind, CollectionKind::Inbox | CollectionKind::Outbox) {
            return Err(self.server.needs(&self.location, "d:write-acl"));
        }
        if !privilege.is_empty() && !rights::is_privilege(privilege) {
            // Whether it is known is told only to those who may set it.
            self.server.require(&sight, &self.location, Need::Share)?;
            let message = format!("The privilege you specified ({privilege}) is not recognized by this server");
            let exception = "Sabre\\DAVACL\\Exception\\NotSupportedPrivilege";
            return Err(DavError::new(StatusCode::PRECONDITION_FAILED, exception, message)
                .because(Condition::Empty("d:not-supported-privilege")));
        }
        self.set_public_right(&sight, PublicRight::of_privilege(privilege)).await?;
        let sight = self.server.sight(&self.who, *space, *home, uri).await?;
        Ok(respond(StatusCode::OK, &rights::of_calendar(&sight, &self.owner_name(sight.home))))
    }
}
