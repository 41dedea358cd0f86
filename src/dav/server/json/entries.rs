//! A calendar as lists and single answers tell it (dav §8.1).

use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

use super::rights::{self, Ace, Invite};
use super::text::{Links, to_text};
use crate::dav::announce::{SYNC_PREFIX, shown_name};
use crate::dav::error::DavError;
use crate::dav::server::access::location_of;
use crate::dav::server::answer;
use crate::dav::server::call::Call;
use crate::dav::server::rights::Sight;
use crate::dav::upstream::Body;
use crate::store::{Collection, Instance, Tie};

const X_SABRE_STATUS: HeaderName = HeaderName::from_static("x-sabre-status");
const ALL_WELL: HeaderValue = HeaderValue::from_static("everything-went-well");
/// Name of a default calendar that nobody named, wherever it is shown.
const DEFAULT_NAME: &str = "#default";

/// A calendar; its keys come in this order.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(rename = "_links")]
    links: Links<'a>,
    #[serde(rename = "calendarserver:delegatedsource", skip_serializing_if = "Option::is_none")]
    delegated_source: Option<String>,
    #[serde(rename = "dav:name")]
    name: &'a str,
    #[serde(rename = "caldav:description", skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(rename = "calendarserver:ctag")]
    ctag: String,
    #[serde(rename = "apple:color", skip_serializing_if = "Option::is_none")]
    color: Option<&'a str>,
    #[serde(rename = "apple:order", skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invite: Option<Vec<Invite>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acl: Option<Vec<Ace>>,
}

/// A subscription; its keys come in this order.
#[derive(Serialize)]
struct SubscriptionEntry<'a> {
    #[serde(rename = "_links")]
    links: Links<'a>,
    #[serde(rename = "dav:name")]
    name: &'a str,
    #[serde(rename = "calendarserver:source")]
    source: Entry<'a>,
    #[serde(rename = "apple:color", skip_serializing_if = "Option::is_none")]
    color: Option<&'a str>,
    #[serde(rename = "apple:order", skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acl: Option<Vec<Ace>>,
}

/// 200, and the header by which clients see that it was the sharing that answered.
pub(super) fn all_well() -> Response<Body> {
    let mut response = answer::empty(StatusCode::OK);
    response.headers_mut().insert(X_SABRE_STATUS, ALL_WELL);
    response
}

/// Whether it is there because somebody subscribed to it.
pub(super) fn is_subscription(sight: &Sight) -> bool {
    matches!(sight.instance().map(|instance| &instance.tie), Some(Tie::Subscription { .. }))
}

impl Call {
    /// The address of a collection without the slash at its end.
    pub(super) fn json_path(&self, collection: &Collection) -> String {
        let href = location_of(collection).href();
        format!("{}{}", self.inner().settings.base, href.trim_end_matches('/'))
    }

    /// The address of a collection as JSON tells it.
    pub(super) fn json_href(&self, collection: &Collection) -> String {
        format!("{}.json", self.json_path(collection))
    }

    /// The collection whose address is told with what is in it: a subscriber is led to the source (dav §8.5).
    pub(super) fn told_at<'s>(&self, sight: &'s Sight) -> &'s Collection {
        if is_subscription(sight) { sight.source() } else { sight.shown() }
    }

    /// Who has a collection, the owner first.
    pub(super) fn invites(&self, sight: &Sight, instances: &[Instance]) -> Vec<Invite> {
        let owner = self.owner_name(sight.source().home);
        Invite::all(&owner, instances, |instance| self.owner_name(instance.home))
    }

    /// What others have of a collection, where it is told.
    async fn instances_told(&self, sight: &Sight, with_rights: bool) -> Result<Vec<Instance>, DavError> {
        if with_rights { self.server.instances(sight.source()).await } else { Ok(Vec::new()) }
    }

    /// The object of a calendar, with who has it where that is asked for.
    pub(super) async fn calendar_entry(&self, sight: &Sight, with_rights: bool) -> Result<String, DavError> {
        let href = self.json_href(sight.shown());
        if !is_subscription(sight) {
            let instances = self.instances_told(sight, with_rights).await?;
            return Ok(to_text(&self.entry(sight, &href, with_rights.then_some(&instances))));
        }
        // The source is told as its owner has it, always with its rights.
        let source = Sight::direct(sight.source().clone(), sight.standing);
        let source_href = self.json_href(sight.source());
        let instances = self.instances_told(sight, true).await?;
        let holder = self.owner_name(sight.home);
        Ok(to_text(&SubscriptionEntry {
            links: Links(&href),
            name: shown_name(sight.shown()),
            source: self.entry(&source, &source_href, Some(&instances)),
            color: sight.props.color.as_deref(),
            order: sight.props.order.map(|order| order.to_string()),
            acl: with_rights.then(|| rights::of_calendar(sight, &holder)),
        }))
    }

    fn entry<'a>(&self, sight: &'a Sight, href: &'a str, instances: Option<&Vec<Instance>>) -> Entry<'a> {
        let is_unnamed = sight.props.displayname.is_none() && sight.source().is_default();
        Entry {
            links: Links(href),
            delegated_source: sight.instance().map(|_| self.json_href(sight.source())),
            name: if is_unnamed { DEFAULT_NAME } else { shown_name(sight.shown()) },
            description: sight.props.description.as_deref(),
            ctag: format!("{SYNC_PREFIX}{}", sight.sync_token),
            color: sight.props.color.as_deref(),
            order: sight.props.order.map(|order| order.to_string()),
            invite: instances.map(|instances| self.invites(sight, instances)),
            acl: instances.map(|_| rights::of_calendar(sight, &self.owner_name(sight.home))),
        }
    }
}
