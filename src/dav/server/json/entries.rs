//! A calendar as lists and single answers tell it (dav §8.1).

use serde::Serialize;

use super::rights::{self, Ace, Invite};
use super::text::Links;
use crate::dav::announce::{SYNC_PREFIX, shown_name};
use crate::dav::server::access::location_of;
use crate::dav::server::call::Call;
use crate::store::Collection;

/// A calendar; its keys come in this order.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    #[serde(rename = "_links")]
    links: Links<'a>,
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

    /// A calendar at this address, with who has it where that is asked for.
    pub(super) fn calendar_entry<'a>(&self, calendar: &'a Collection, href: &'a str, with_rights: bool) -> Entry<'a> {
        let principal = self.who.owner_of(calendar.home);
        Entry {
            links: Links(href),
            name: shown_name(calendar),
            description: calendar.props.description.as_deref(),
            ctag: format!("{SYNC_PREFIX}{}", calendar.sync_token),
            color: calendar.props.color.as_deref(),
            order: calendar.props.order.map(|order| order.to_string()),
            invite: with_rights.then(|| vec![Invite::owner(&principal)]),
            acl: with_rights.then(|| rights::of_owned_calendar(&principal)),
        }
    }
}
