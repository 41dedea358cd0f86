//! Typed reading of VEVENT, VTODO and VJOURNAL: views that borrow the tree and read what is asked for.

use chrono::{DateTime, Utc};
use percent_encoding::percent_decode_str;

use super::recur::rule::Rule;
use super::tree::{Component, Property};
use super::when::{Duration, When};
use super::words::{Class, CuType, PartStat, Role, ScheduleAgent, ScheduleForceSend, Status, Transp};
use super::zone::Zones;
use crate::ids::{Email, InvalidId};

/// A component that can be scheduled. Values that cannot be read count as absent; whoever stores the object has checked
/// it ([`CalendarObject`](super::object::CalendarObject)).
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    component: &'a Component,
    zones: &'a Zones,
}

impl<'a> Event<'a> {
    /// A view of a component of a calendar with these zones.
    pub const fn new(component: &'a Component, zones: &'a Zones) -> Self {
        Self { component, zones }
    }

    /// The component itself.
    pub const fn component(&self) -> &'a Component {
        self.component
    }

    /// Reads a property that holds one time.
    pub fn when(&self, name: &str) -> Option<When> {
        When::read(self.component.get(name)?, self.zones).ok()
    }

    /// UID.
    pub fn uid(&self) -> Option<&'a str> {
        self.component.value("UID").map(str::trim).filter(|uid| !uid.is_empty())
    }

    /// SEQUENCE; 0 where there is none.
    pub fn sequence(&self) -> i64 {
        self.component.value("SEQUENCE").and_then(|v| v.trim().parse().ok()).unwrap_or(0)
    }

    /// DTSTAMP.
    pub fn dtstamp(&self) -> Option<DateTime<Utc>> {
        self.when("DTSTAMP").map(|w| w.instant(chrono_tz::Tz::UTC))
    }

    /// LAST-MODIFIED.
    pub fn last_modified(&self) -> Option<DateTime<Utc>> {
        self.when("LAST-MODIFIED").map(|w| w.instant(chrono_tz::Tz::UTC))
    }

    /// DTSTART.
    pub fn start(&self) -> Option<When> {
        self.when("DTSTART")
    }

    /// When it ends: DTEND (DUE of a VTODO), else DTSTART plus DURATION, else what RFC 5545 §3.6.1 says: the end of the
    /// day for a date, the start itself for a time. `None` without DTSTART and end.
    pub fn end(&self) -> Option<When> {
        let written = if self.component.is("VTODO") { self.due() } else { self.when("DTEND") };
        if written.is_some() {
            return written;
        }
        let start = self.start()?;
        Some(match self.duration() {
            Some(duration) => start.plus(duration),
            None if start.is_date() && !self.component.is("VTODO") => start.plus(Duration::days(1)),
            None => start,
        })
    }

    /// DUE of a VTODO.
    pub fn due(&self) -> Option<When> {
        self.when("DUE")
    }

    /// DURATION as written. The time it takes is [`Event::end`] minus [`Event::start`].
    pub fn duration(&self) -> Option<Duration> {
        self.component.value("DURATION")?.parse().ok()
    }

    /// RECURRENCE-ID: which occurrence of the series it stands for.
    pub fn recurrence_id(&self) -> Option<When> {
        self.when("RECURRENCE-ID")
    }

    /// Whether it stands for one occurrence of a series.
    pub fn is_override(&self) -> bool {
        self.component.get("RECURRENCE-ID").is_some()
    }

    /// Whether an override counts for all later occurrences too (RFC 5545 §3.2.13).
    pub fn is_this_and_future(&self) -> bool {
        let range = self.component.get("RECURRENCE-ID").and_then(|p| p.get_param("RANGE"));
        range.is_some_and(|r| r.eq_ignore_ascii_case("THISANDFUTURE"))
    }

    /// Whether it recurs: has an RRULE or an RDATE.
    pub fn is_recurring(&self) -> bool {
        self.component.properties().any(|p| p.is("RRULE") || p.is("RDATE"))
    }

    /// The RRULEs, as far as they can be read.
    pub fn rules(&self) -> impl Iterator<Item = Rule> + use<'a> {
        self.component.all("RRULE").filter_map(|p| Rule::read_leniently(p.value()))
    }

    /// The first RRULE as written.
    pub fn rrule(&self) -> Option<&'a str> {
        self.component.value("RRULE")
    }

    /// Whether it starts on a whole day.
    pub fn is_all_day(&self) -> bool {
        self.start().is_some_and(|s| s.is_date())
    }

    /// STATUS.
    pub fn status(&self) -> Option<Status> {
        self.component.value("STATUS").map(Status::read)
    }

    /// Whether STATUS is CANCELLED.
    pub fn is_cancelled(&self) -> bool {
        self.status() == Some(Status::Cancelled)
    }

    /// CLASS; PUBLIC where there is none. A word we don't know must be treated as private (RFC 5545 §3.8.1.3).
    pub fn class(&self) -> Class {
        self.component.value("CLASS").map_or(Class::Public, Class::read)
    }

    /// TRANSP; OPAQUE where there is none.
    pub fn transp(&self) -> Transp {
        self.component.value("TRANSP").map_or(Transp::Opaque, Transp::read)
    }

    /// SUMMARY, decoded.
    pub fn summary(&self) -> Option<String> {
        self.component.text("SUMMARY")
    }

    /// LOCATION, decoded.
    pub fn location(&self) -> Option<String> {
        self.component.text("LOCATION")
    }

    /// DESCRIPTION, decoded.
    pub fn description(&self) -> Option<String> {
        self.component.text("DESCRIPTION")
    }

    /// ORGANIZER.
    pub fn organizer(&self) -> Option<CalendarUser<'a>> {
        self.component.get("ORGANIZER").map(CalendarUser::new)
    }

    /// ATTENDEEs, in order.
    pub fn attendees(&self) -> impl Iterator<Item = Attendee<'a>> + use<'a> {
        self.component.properties().filter(|p| p.is("ATTENDEE")).map(Attendee::new)
    }

    /// The attendee with this address.
    pub fn attendee(&self, email: &Email) -> Option<Attendee<'a>> {
        self.attendees().find(|a| a.is(email))
    }
}

/// ORGANIZER, or what an ATTENDEE has in common with it (RFC 5545 §3.8.4.3).
#[derive(Debug, Clone, Copy)]
pub struct CalendarUser<'a> {
    property: &'a Property,
}

impl<'a> CalendarUser<'a> {
    /// A view of a property whose value is a calendar user address.
    pub const fn new(property: &'a Property) -> Self {
        Self { property }
    }

    /// The property itself.
    pub const fn property(&self) -> &'a Property {
        self.property
    }

    /// The calendar user address as written, e.g. `mailto:alice@example.org`.
    pub fn address(&self) -> &'a str {
        self.property.value()
    }

    /// The mail address: of the value, percent-encoded or not, else of the EMAIL parameter (RFC 7986 §6.2).
    ///
    /// # Errors
    /// [`InvalidId`] when neither is a mail address.
    pub fn email(&self) -> Result<Email, InvalidId> {
        calendar_address(self.address()).or_else(|invalid| match self.property.get_param("EMAIL") {
            Some(email) => calendar_address(email),
            None => Err(invalid),
        })
    }

    /// Whether this is the user with that mail address.
    pub fn is(&self, email: &Email) -> bool {
        self.email().is_ok_and(|own| own == *email)
    }

    /// CN: the name to show.
    pub fn cn(&self) -> Option<&'a str> {
        self.property.get_param("CN").filter(|cn| !cn.trim().is_empty())
    }

    /// CUTYPE; INDIVIDUAL where there is none.
    pub fn cutype(&self) -> CuType {
        self.property.get_param("CUTYPE").map_or(CuType::Individual, CuType::read)
    }

    /// SENT-BY: who acts for this user.
    pub fn sent_by(&self) -> Option<Email> {
        calendar_address(self.property.get_param("SENT-BY")?).ok()
    }

    /// SCHEDULE-AGENT; SERVER where there is none.
    pub fn schedule_agent(&self) -> ScheduleAgent {
        self.property.get_param("SCHEDULE-AGENT").map_or(ScheduleAgent::Server, ScheduleAgent::read)
    }

    /// SCHEDULE-STATUS as written: delivery codes such as `1.1` or `5.1`.
    pub fn schedule_status(&self) -> Option<&'a str> {
        self.property.get_param("SCHEDULE-STATUS")
    }

    /// SCHEDULE-FORCE-SEND.
    pub fn schedule_force_send(&self) -> Option<ScheduleForceSend> {
        self.property.get_param("SCHEDULE-FORCE-SEND").map(ScheduleForceSend::read)
    }
}

/// One ATTENDEE (RFC 5545 §3.8.4.1).
#[derive(Debug, Clone, Copy)]
pub struct Attendee<'a> {
    user: CalendarUser<'a>,
}

impl<'a> Attendee<'a> {
    /// A view of an ATTENDEE.
    pub const fn new(property: &'a Property) -> Self {
        Self { user: CalendarUser::new(property) }
    }

    /// PARTSTAT; NEEDS-ACTION where there is none.
    pub fn partstat(&self) -> PartStat {
        self.property.get_param("PARTSTAT").map_or(PartStat::NeedsAction, PartStat::read)
    }

    /// ROLE; REQ-PARTICIPANT where there is none.
    pub fn role(&self) -> Role {
        self.property.get_param("ROLE").map_or(Role::Required, Role::read)
    }

    /// RSVP: whether an answer is asked for.
    pub fn rsvp(&self) -> bool {
        self.property.get_param("RSVP").is_some_and(|v| v.eq_ignore_ascii_case("TRUE"))
    }
}

impl<'a> std::ops::Deref for Attendee<'a> {
    type Target = CalendarUser<'a>;

    fn deref(&self) -> &CalendarUser<'a> {
        &self.user
    }
}

/// Reads a calendar user address, also one that is percent-encoded (`mailto:al%69ce@example.org`).
///
/// # Errors
/// [`InvalidId`] when it is no mail address.
pub fn calendar_address(address: &str) -> Result<Email, InvalidId> {
    if address.contains('%')
        && let Ok(decoded) = percent_decode_str(address).decode_utf8()
        && let Ok(email) = Email::from_calendar_address(&decoded)
    {
        return Ok(email);
    }
    Email::from_calendar_address(address)
}
