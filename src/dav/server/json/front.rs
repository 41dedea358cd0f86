//! What happens to a request before anybody looks where it points (dav §1.2): `.json` is taken out of its address, `events`
//! stands for the default calendar, and it is found out whether the client speaks JSON.

use http::header::ACCEPT;
use http::{HeaderMap, Uri};

use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::dav::server::call::Call;

const SUFFIX: &str = ".json";
/// The name that old clients have for the default calendar.
const EVENTS: &str = "events";
/// Where files are, whose names are nobody's business but their owner's.
const FILES: [&str; 2] = ["/files", "/attachments"];

/// The address of a request as everybody behind this room sees it.
pub(in crate::dav::server) struct Address {
    pub(in crate::dav::server) path: String,
    pub(in crate::dav::server) query: String,
    /// Whether there was a `.json` in the path.
    has_suffix: bool,
}

impl Address {
    /// Reads the address of a request. `.json` goes wherever it stands, as in the reference.
    pub(in crate::dav::server) fn read(uri: &Uri) -> Self {
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        let is_below = |root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let is_file = FILES.into_iter().any(is_below);
        let has_suffix = !is_file && path.contains(SUFFIX);
        let without = |text: &str| match is_file {
            true => text.to_owned(),
            false => text.replace(SUFFIX, ""),
        };
        Self { path: without(path), query: without(query), has_suffix }
    }
}

/// How a client says that it speaks JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dav::server) struct Manner {
    /// By the address, and it says nothing else.
    by_address: bool,
    /// `Accept` names `application/json`,
    json: bool,
    /// or jCal,
    jcal: bool,
    /// or jCard.
    jcard: bool,
    /// The address ended in `.json`.
    has_suffix: bool,
}

impl Manner {
    /// Reads it from address and headers. No preferences are weighed: naming is enough.
    pub(in crate::dav::server) fn read(address: &Address, headers: &HeaderMap) -> Self {
        let values = || headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
        let bare = |range: &str| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let names = |media_type: &str| values().any(|range| bare(range) == media_type);
        let is_indifferent = values().all(|range| matches!(bare(range).as_str(), "*/*" | ""));
        Self {
            by_address: address.has_suffix && is_indifferent,
            json: names("application/json"),
            jcal: names("application/calendar+json"),
            jcard: names("application/vcard+json"),
            has_suffix: address.has_suffix,
        }
    }
}

impl Call {
    /// Whether a GET is one of the JSON API. A whole calendar can be had as jCal, too (RFC 7265): who asks for that at an
    /// address without `.json` gets it.
    pub(super) fn wants_json(&self) -> bool {
        let manner = self.manner;
        let of_listing = manner.by_address || manner.json;
        match &self.location {
            Location::Collection { space: Space::Calendars, .. } => {
                of_listing || ((manner.jcal || manner.jcard) && manner.has_suffix)
            }
            Location::Collection { space: Space::AddressBooks, .. } => of_listing || manner.jcard,
            _ => of_listing || manner.jcal || manner.jcard,
        }
    }

    /// Whether the client says that it speaks JSON at all.
    pub(super) fn speaks_json(&self) -> bool {
        let Manner { by_address, json, jcal, jcard, .. } = self.manner;
        by_address || json || jcal || jcard
    }

    /// Whether a body may be JSON: anywhere but at what has none.
    pub(super) fn is_of_json(&self) -> bool {
        !matches!(self.location, Location::File { .. } | Location::FileHomes | Location::Itip | Location::WellKnown(_))
    }

    /// Lets `events` stand for the default calendar where there is no calendar of that name. Who makes a calendar means
    /// the name.
    pub(super) async fn find_events_alias(&mut self) -> Result<(), DavError> {
        let (Location::Collection { space: Space::Calendars, home, uri }
        | Location::Member { space: Space::Calendars, home, uri, .. }) = &mut self.location
        else {
            return Ok(());
        };
        let makes = matches!(self.method.as_str(), "MKCALENDAR" | "MKCOL");
        if uri != EVENTS || makes || self.server.find_collection(Space::Calendars, *home, EVENTS).await?.is_some() {
            return Ok(());
        }
        *uri = home.to_string();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(uri: &str) -> (String, String, bool) {
        let address = Address::read(&uri.parse().unwrap());
        (address.path, address.query, address.has_suffix)
    }

    #[test]
    fn the_suffix_goes_wherever_it_stands_but_in_names_of_files() {
        for (uri, path, query, has_suffix) in [
            ("/calendars/a/b.json?x=1", "/calendars/a/b", "x=1", true),
            ("/addressbooks/x.json/contacts.json/c.vcf", "/addressbooks/x/contacts/c.vcf", "", true),
            ("/calendars/a/b?target=/c.json", "/calendars/a/b", "target=/c", false),
            ("/calendars/a/b", "/calendars/a/b", "", false),
            ("/files/a/data.json", "/files/a/data.json", "", false),
            ("/attachments/a/b/data.json", "/attachments/a/b/data.json", "", false),
            ("/filesystem/x.json", "/filesystem/x", "", true),
        ] {
            assert_eq!(address(uri), (path.to_owned(), query.to_owned(), has_suffix), "{uri}");
        }
    }

    #[test]
    fn an_address_asks_for_json_unless_accept_says_something_else() {
        let manner = |uri: &str, accept: &str| {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            Manner::read(&Address::read(&uri.parse().unwrap()), &headers)
        };
        assert!(manner("/calendars/a.json", "").by_address);
        assert!(manner("/calendars/a.json", "*/*").by_address);
        assert!(!manner("/calendars/a.json", "text/html, */*").by_address);
        assert!(!manner("/calendars/a", "").by_address);
        assert!(manner("/calendars/a", "application/json, text/plain, */*").json);
        assert!(manner("/calendars/a", "application/calendar+json;charset=utf-8").jcal);
    }
}
