//! The notations of calendar data: iCalendar (RFC 5545), jCal (RFC 7265) and xCal (RFC 6321), which one a client wants, and
//! which one it sent.

use http::header::CONTENT_TYPE;
use serde_json::json;

use super::accept::Accept;
use super::call::Call;
use crate::dav::error::{Condition, DavError};
use crate::dav::xml::DataRequest;
use crate::ical::{CalendarObject, Component, Limits, ObjectError, ParseError, ParseErrorKind, jcal, xcal};

/// Whether the client wants definitions of well-known time zones (RFC 7809 §7.1).
const CALDAV_TIMEZONES: http::HeaderName = http::HeaderName::from_static("caldav-timezones");

/// How calendar data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    ICalendar,
    JCal,
    XCal,
}

impl Format {
    const ALL: [Self; 3] = [Self::ICalendar, Self::JCal, Self::XCal];

    /// Its media type, without parameters.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::ICalendar => "text/calendar",
            Self::JCal => "application/calendar+json",
            Self::XCal => "application/calendar+xml",
        }
    }

    /// Its media type as answers name it.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::ICalendar => "text/calendar; charset=utf-8",
            Self::JCal => "application/calendar+json",
            Self::XCal => "application/calendar+xml; charset=utf-8",
        }
    }

    /// The one with this media type, whatever its parameters.
    pub(super) fn named(media_type: &str) -> Option<Self> {
        let bare = media_type.split(';').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|f| f.media_type().eq_ignore_ascii_case(bare))
    }

    /// The calendar in this notation.
    pub(super) fn write(self, calendar: &Component) -> String {
        match self {
            Self::ICalendar => calendar.to_wire(),
            Self::JCal => jcal::to_jcal(calendar).to_string(),
            Self::XCal => xcal::to_xcal(calendar),
        }
    }

    /// What stands before the components of a calendar with these properties, and what stands behind them.
    pub(super) fn around(self, calendar: &Component) -> (String, &'static str) {
        match self {
            Self::ICalendar => {
                let mut text = calendar.to_wire();
                text.truncate(text.len() - "END:VCALENDAR\r\n".len());
                (text, "END:VCALENDAR\r\n")
            }
            Self::JCal => {
                let properties = jcal::to_jcal(calendar).get_mut(1).map(serde_json::Value::take).unwrap_or_default();
                let mut text = json!(["vcalendar", properties, []]).to_string();
                text.truncate(text.len() - "]]".len());
                (text, "]]")
            }
            Self::XCal => {
                let mut text = String::from(xcal::HEAD);
                xcal::write_component(calendar, &mut text);
                text.truncate(text.len() - "</vcalendar>".len());
                text.push_str("<components>");
                (text, "</components></vcalendar></icalendar>")
            }
        }
    }

    /// Appends a component within [`Format::around`].
    pub(super) fn write_part(self, component: &Component, is_first: bool, out: &mut String) {
        match self {
            Self::ICalendar => out.push_str(&component.to_wire()),
            Self::JCal => {
                if !is_first {
                    out.push(',');
                }
                out.push_str(&jcal::to_jcal(component).to_string());
            }
            Self::XCal => xcal::write_component(component, out),
        }
    }
}

impl Call {
    /// The notation that `Accept` asks for: of those it names the one it likes best, the first of several; iCalendar
    /// where it names none.
    pub(super) fn accepted_format(&self) -> Format {
        let accept = Accept::read(&self.headers);
        let named = Format::ALL.into_iter().filter(|format| accept.prefers(format.media_type()));
        // Of several that it likes as well, the first here.
        let best = named.rev().max_by_key(|format| accept.quality(format.media_type(), None));
        best.unwrap_or(Format::ICalendar)
    }

    /// What `CalDAV-Timezones` says: whether definitions of well-known zones are wanted (RFC 7809 §7.1).
    ///
    /// # Errors
    /// 400 when it is neither `T` nor `F`.
    pub(super) fn with_zones(&self) -> Result<Option<bool>, DavError> {
        match self.headers.get(CALDAV_TIMEZONES).map(|v| v.as_bytes().trim_ascii().to_ascii_uppercase()) {
            None => Ok(None),
            Some(value) if value == b"T" => Ok(Some(true)),
            Some(value) if value == b"F" => Ok(Some(false)),
            Some(_) => Err(DavError::bad_request("CalDAV-Timezones is either T or F")),
        }
    }

    /// Checks what a request asks of calendar data, and adds what its headers ask.
    ///
    /// # Errors
    /// 403 for a notation that we do not write (RFC 4791 §7.8 `supported-calendar-data`).
    pub(super) fn complete(&self, data: &mut Option<DataRequest>) -> Result<(), DavError> {
        let Some(data) = data.as_mut().filter(|d| !d.is_of_cards) else { return Ok(()) };
        let is_known = data.content_type.as_deref().is_none_or(|t| Format::named(t).is_some());
        if !is_known || data.version.as_deref().is_some_and(|v| v != "2.0") {
            return Err(DavError::forbidden("Calendar data is iCalendar 2.0, as text, JSON or XML")
                .because(Condition::Empty("cal:supported-calendar-data")));
        }
        data.with_zones = self.with_zones()?;
        Ok(())
    }

    /// Reads an uploaded object in whichever notation it is: the text tells, for clients name all sorts of types.
    ///
    /// # Errors
    /// 403 with the precondition that the upload does not meet (RFC 4791 §5.3.2.1).
    pub(super) fn read_object(&self, uploaded: &str, limits: Limits) -> Result<(CalendarObject, Format), DavError> {
        let format = match uploaded.trim_start_matches('\u{feff}').trim_start().as_bytes().first() {
            Some(b'[') => Format::JCal,
            Some(b'<') => Format::XCal,
            _ => Format::ICalendar,
        };
        let invalid = |reason: String| {
            let named = self.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
            // What is said to be something else is something else; what is said to be a calendar is a broken one.
            let condition = match named.is_none_or(|t| Format::named(t).is_some()) {
                true => "cal:valid-calendar-data",
                false => "cal:supported-calendar-data",
            };
            DavError::forbidden(reason).because(Condition::Empty(condition))
        };
        let not_read = |error: ParseError| match error.kind {
            ParseErrorKind::TooLarge { .. } => DavError::forbidden(format!("The object is too large: {error}"))
                .because(Condition::Empty("cal:max-resource-size")),
            _ => invalid(format!("This resource only supports valid iCalendar 2.0 data. Parse error: {error}")),
        };
        if format != Format::ICalendar {
            limits.check_notation(uploaded).map_err(not_read)?;
        }
        let root = match format {
            Format::ICalendar => Component::parse_within(uploaded, limits).map_err(not_read)?,
            Format::JCal => {
                let value = serde_json::from_str(uploaded)
                    .map_err(|error| invalid(format!("The body is not valid jCal: {error}")))?;
                jcal::from_jcal(&value).map_err(|error| invalid(format!("The body is not valid jCal: {error}")))?
            }
            Format::XCal => {
                xcal::from_xcal(uploaded).map_err(|error| invalid(format!("The body is not valid xCal: {error}")))?
            }
        };
        // What came in another notation is held to the same limits as the text that it becomes.
        let root = match format {
            Format::ICalendar => root,
            _ => Component::parse_within(&root.to_wire(), limits).map_err(not_read)?,
        };
        let object = CalendarObject::from_root(root).map_err(|error| match error {
            ObjectError::NotACalendar(_) => invalid(format!("This resource only supports iCalendar data: {error}")),
            ObjectError::NoComponent => {
                let message = "iCalendar objects must at least have a component of type VEVENT, VTODO";
                let exception = "Sabre\\CalDAV\\Exception\\InvalidComponentType";
                DavError::new(http::StatusCode::FORBIDDEN, exception, message)
                    .because(Condition::Empty("cal:supported-calendar-component"))
            }
            other => super::put::invalid_object(&other.to_string()),
        })?;
        Ok((object, format))
    }
}
