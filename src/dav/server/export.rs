//! A whole collection as one file (dav §6.6): every component of a calendar in one VCALENDAR, each time zone once, or all
//! cards one after the other. Streamed.

use std::collections::HashSet;
use std::ops::Range;

use async_trait::async_trait;
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, Utc};
use http::header::{CONTENT_DISPOSITION, ETAG, HeaderValue};
use http::{Response, StatusCode};

use super::Server;
use super::call::Call;
use super::chunked::{self, Pages, Progress};
use super::expander::{instant, zone_of};
use super::media::Format;
use super::rights::Sight;
use super::{answer, timezones};
use crate::dav::announce::shown_name;
use crate::dav::error::DavError;
use crate::dav::precondition::{ConditionError, Preconditions, ResourceState, etag_of, quoted};
use crate::dav::upstream::Body;
use crate::dav::xml::Writer;
use crate::ical::{Component, Property, recur};
use crate::store::{Collection, CollectionKind, Object, ObjectFilter};

/// Objects that are read at once.
const PAGE: usize = 64;

impl Call {
    /// Answers with the collection as one file. `start` and `end` are unix timestamps or dates; `expand` with both gives
    /// occurrences; `componentType` one type of component; `accept=jcal` or `Accept` another notation.
    pub(super) async fn export(self, collection: Sight) -> Result<Response<Body>, DavError> {
        let is_book = collection.kind == CollectionKind::AddressBook;
        let side = |name: &'static str| self.parameter(name).map(|text| read_moment(name, text)).transpose();
        let (start, end) = (side("start")?, side("end")?);
        let expand = match (self.parameter("expand"), start, end) {
            (Some("1"), Some(start), Some(end)) if start < end => Some(instant(start)..instant(end)),
            (Some("1"), ..) => {
                return Err(DavError::bad_request("To expand an export takes a start and an end after it"));
            }
            _ => None,
        };
        let format = match self.parameter("accept") {
            Some("jcal") => Format::JCal,
            Some("xcal") => Format::XCal,
            _ => self.accepted_format(),
        };
        let with_zones = self.with_zones()?;
        // Read before the objects are: what changes meanwhile is in another state, with another tag. So is what another reader
        // sees of the same state, or the same one under another name.
        let looks = (shown_name(&collection), &collection.props.color, collection.sees_private());
        let form = etag_of(&format!("{:?} {format:?} {with_zones:?} {looks:?}", self.query));
        let etag = quoted(&format!("{}-{}", collection.sync_token, &form[..8]));
        let state = ResourceState { location: &self.location, etag: Some(etag.trim_matches('"')), token: None };
        match Preconditions::read(&self.headers)?.check(&[state], &self.inner().settings.base) {
            Err(ConditionError::IfNoneMatch) => {
                return Ok(with_etag(answer::empty(StatusCode::NOT_MODIFIED), &etag));
            }
            other => other?,
        }
        let component = self.parameter("componentType").map(str::to_ascii_uppercase);
        let filter = ObjectFilter { component, start, end, ..ObjectFilter::default() };
        let (head, tail) = if is_book { (String::new(), "") } else { format.around(&empty(&collection)) };
        let content_type = if is_book { "text/vcard; charset=utf-8" } else { format.content_type() };
        let file = match (is_book, self.has_parameter("export")) {
            (true, _) => Some("attachment; filename=\"contacts.vcf\""),
            (false, true) => Some("attachment; filename=\"calendar.ics\""),
            // Somebody who looks at the calendar itself does not want to save it.
            (false, false) => None,
        };
        let pages = Export {
            server: self.server,
            collection,
            format,
            with_zones,
            filter,
            expand,
            after: None,
            read: Vec::new().into_iter(),
            is_last: false,
            has_written: false,
            zones: HashSet::new(),
        };
        let mut response = chunked::body(&head, pages, tail, HeaderValue::from_static(content_type)).await?;
        if let Some(file) = file {
            response.headers_mut().insert(CONTENT_DISPOSITION, HeaderValue::from_static(file));
        }
        Ok(with_etag(response, &etag))
    }
}

fn with_etag(mut response: Response<Body>, etag: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}

/// A unix timestamp, or a date (`2030-01-07`, `20300107`), which is its first moment.
fn read_moment(name: &'static str, text: &str) -> Result<i64, DavError> {
    let date = ["%Y-%m-%d", "%Y%m%d"].iter().find_map(|form| match text.len() {
        8 | 10 => NaiveDate::parse_from_str(text, form).ok(),
        _ => None,
    });
    let is_plausible = |date: &NaiveDate| (1900..=2200).contains(&date.year());
    match (date.filter(is_plausible), text.parse::<i64>()) {
        (Some(date), Err(_)) => Ok(date.and_time(NaiveTime::MIN).and_utc().timestamp()),
        (Some(date), Ok(_)) if text.len() == 8 => Ok(date.and_time(NaiveTime::MIN).and_utc().timestamp()),
        (_, Ok(seconds)) => Ok(seconds),
        (None, Err(_)) => Err(DavError::bad_request(format!("The {name} of an export is a unix timestamp or a date"))),
    }
}

/// The VCALENDAR without its components.
fn empty(collection: &Collection) -> Component {
    let mut calendar = Component::new("VCALENDAR");
    calendar.push(Property::new("VERSION", "2.0"));
    calendar.push(Property::new("PRODID", super::put::PRODID));
    calendar.push(Property::new("CALSCALE", "GREGORIAN"));
    calendar.push(Property::with_text("X-WR-CALNAME", shown_name(collection)));
    if let Some(color) = &collection.props.color {
        calendar.push(Property::with_text("X-APPLE-CALENDAR-COLOR", color));
    }
    calendar
}

struct Export {
    server: Server,
    collection: Sight,
    format: Format,
    /// Whether definitions of well-known zones are wanted (RFC 7809 §7.1).
    with_zones: Option<bool>,
    filter: ObjectFilter,
    expand: Option<Range<DateTime<Utc>>>,
    after: Option<String>,
    /// Objects that were read but not yet written.
    read: std::vec::IntoIter<Object>,
    is_last: bool,
    has_written: bool,
    /// Zones that are written already.
    zones: HashSet<String>,
}

#[async_trait]
impl Pages for Export {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        if self.read.len() == 0 {
            let store = &self.server.0.store;
            let page = store.query(self.collection.id, &self.filter, self.after.as_deref(), PAGE).await?;
            self.after = page.next();
            self.is_last = self.after.is_none();
            self.read = page.objects.into_iter();
        }
        while let Some(object) = self.read.next() {
            let Some(object) = self.collection.show(object) else { continue };
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
                Err(error) => tracing::debug!(%error, "an object is exported as it is stored"),
            }
        }
        match self.with_zones {
            Some(true) => timezones::define(&mut calendar),
            Some(false) => timezones::strip(&mut calendar),
            None => {}
        }
        let mut text = String::new();
        for component in calendar.components() {
            let zone = component.is("VTIMEZONE").then(|| component.value("TZID").unwrap_or_default().to_owned());
            if zone.is_none_or(|id| self.zones.insert(id)) {
                self.format.write_part(component, !self.has_written, &mut text);
                self.has_written = true;
            }
        }
        out.raw(&text);
    }
}
