//! A whole collection as one file (dav §6.6): every component of a calendar in one VCALENDAR, or all cards one after the
//! other. Streamed.

use std::collections::HashSet;
use std::ops::Range;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::Response;
use http::header::{CONTENT_DISPOSITION, HeaderValue};

use super::Server;
use super::call::Call;
use super::chunked::{self, Pages, Progress};
use super::expander::{instant, zone_of};
use crate::dav::announce::shown_name;
use crate::dav::error::DavError;
use crate::dav::upstream::Body;
use crate::dav::xml::Writer;
use crate::ical::{Component, Property, recur};
use crate::store::{Collection, CollectionKind, Object, ObjectFilter};

/// Objects that are read at once.
const PAGE: usize = 64;

impl Call {
    /// Answers with the collection as one file. `start` and `end` are unix timestamps; `expand` with both gives
    /// occurrences; `componentType` one type of component.
    pub(super) async fn export(self, collection: Collection) -> Result<Response<Body>, DavError> {
        let is_book = collection.kind == CollectionKind::AddressBook;
        let side = |name: &'static str| {
            let number = self.parameter(name).map(|text| text.parse::<i64>());
            number
                .transpose()
                .map_err(|_| DavError::bad_request(format!("The {name} of an export is a unix timestamp")))
        };
        let (start, end) = (side("start")?, side("end")?);
        let expand = match (self.parameter("expand"), start, end) {
            (Some("1"), Some(start), Some(end)) if start < end => Some(instant(start)..instant(end)),
            (Some("1"), ..) => {
                return Err(DavError::bad_request("To expand an export takes a start and an end after it"));
            }
            _ => None,
        };
        let component = self.parameter("componentType").map(str::to_ascii_uppercase);
        let filter = ObjectFilter { component, start, end, ..ObjectFilter::default() };
        let head = if is_book { String::new() } else { calendar_head(&collection) };
        let tail = if is_book { "" } else { "END:VCALENDAR\r\n" };
        let file =
            if is_book { "attachment; filename=\"contacts.vcf\"" } else { "attachment; filename=\"calendar.ics\"" };
        let content_type = if is_book { "text/vcard; charset=utf-8" } else { "text/calendar; charset=utf-8" };
        let pages = Export {
            server: self.server,
            collection,
            filter,
            expand,
            after: None,
            read: Vec::new().into_iter(),
            is_last: false,
            zones: HashSet::new(),
        };
        let mut response = chunked::body(&head, pages, tail, HeaderValue::from_static(content_type)).await?;
        response.headers_mut().insert(CONTENT_DISPOSITION, HeaderValue::from_static(file));
        Ok(response)
    }
}

/// The VCALENDAR up to its first component.
fn calendar_head(collection: &Collection) -> String {
    let name = shown_name(collection);
    let mut calendar = Component::new("VCALENDAR");
    calendar.push(Property::new("VERSION", "2.0"));
    calendar.push(Property::new("PRODID", super::put::PRODID));
    calendar.push(Property::new("CALSCALE", "GREGORIAN"));
    calendar.push(Property::with_text("X-WR-CALNAME", name));
    if let Some(color) = &collection.props.color {
        calendar.push(Property::with_text("X-APPLE-CALENDAR-COLOR", color));
    }
    let mut text = calendar.to_wire();
    text.truncate(text.len() - "END:VCALENDAR\r\n".len());
    text
}

struct Export {
    server: Server,
    collection: Collection,
    filter: ObjectFilter,
    expand: Option<Range<DateTime<Utc>>>,
    after: Option<String>,
    /// Objects that were read but not yet written.
    read: std::vec::IntoIter<Object>,
    is_last: bool,
    /// Zones that are written already.
    zones: HashSet<String>,
}

#[async_trait]
impl Pages for Export {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        if self.read.len() == 0 {
            let store = &self.server.0.store;
            let objects = store.query(self.collection.id, &self.filter, self.after.as_deref(), PAGE).await?;
            self.is_last = objects.len() < PAGE;
            self.after = objects.last().map(|o| o.meta.name.clone());
            self.read = objects.into_iter();
        }
        while let Some(object) = self.read.next() {
            if self.collection.kind == CollectionKind::AddressBook {
                out.raw(&object.data);
                if !object.data.ends_with('\n') {
                    out.raw("\r\n");
                }
            } else {
                self.write_components(&object.data, out);
            }
            if out.len() > chunked::FULL && self.read.len() > 0 {
                return Ok(Progress::More);
            }
        }
        Ok(if self.is_last { Progress::Done } else { Progress::More })
    }
}

impl Export {
    fn write_components(&mut self, data: &str, out: &mut Writer) {
        let Ok(mut calendar) = Component::parse(data) else { return };
        if let Some(range) = &self.expand {
            let zone = zone_of(&self.collection);
            match recur::expand(&calendar, range.clone(), zone, self.server.0.bounds()) {
                Ok(expanded) => calendar = expanded,
                Err(error) => tracing::debug!(%error, "an object is left out of an expanded export"),
            }
        }
        for component in calendar.components() {
            let zone = component.is("VTIMEZONE").then(|| component.value("TZID").unwrap_or_default().to_owned());
            if zone.is_none_or(|id| self.zones.insert(id)) {
                out.raw(&component.to_wire());
            }
        }
    }
}
