//! POST to the scheduling outbox: who of these people is free when (RFC 6638 §5).

use http::Response;
use http::header::CONTENT_TYPE;

use super::access::Relation;
use super::call::Call;
use super::free_busy::{as_calendar, as_component};
use crate::dav::error::{Condition, DavError, XML_TYPE};
use crate::dav::path::{Location, Space};
use crate::dav::upstream::Body;
use crate::dav::xml::Writer;
use crate::ical::{CalendarObject, Component, Property};
use crate::itip::Address;
use crate::store::Holder;
use crate::store::home::OUTBOX;

/// Octets of a request for free and busy times.
const MAX_REQUEST: usize = 256 << 10;

const ROOT: &str = concat!(
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n",
    "<cal:schedule-response xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\" ",
    "xmlns:cal=\"urn:ietf:params:xml:ns:caldav\" xmlns:cs=\"http://calendarserver.org/ns/\" ",
    "xmlns:card=\"urn:ietf:params:xml:ns:carddav\">"
);

impl Call {
    /// Answers a VFREEBUSY request with a response per attendee.
    pub(super) async fn post_to_outbox(mut self) -> Result<Response<Body>, DavError> {
        let Location::Collection { space: Space::Calendars, home, ref uri } = self.location else {
            return Err(DavError::not_implemented(&self.method));
        };
        let is_outbox = uri == OUTBOX;
        if self.server.relation(&self.who, Space::Calendars, home).await? != Relation::Owner {
            return Err(self.server.needs(&self.location, "cal:schedule-send-freebusy"));
        }
        if !is_outbox {
            return Err(DavError::not_implemented(&self.method));
        }
        let body = self.body(MAX_REQUEST, DavError::too_large("The request is too large")).await?;
        let request = FreeBusyRequest::read(&body)?;
        let organizer = self.calendar_user(&request.organizer, self.who.domain()).await?;
        if organizer.is_none_or(|organizer| organizer.home != home) {
            return Err(DavError::forbidden("The organizer must be the owner of the outbox")
                .because(Condition::Empty("cal:organizer-allowed")));
        }
        let most = self.inner().settings.limits.attendees;
        if request.attendees.len() > most {
            return Err(DavError::forbidden(format!("A request asks about at most {most} attendees"))
                .because(Condition::Empty("cal:max-attendees-per-instance")));
        }
        let mut w = Writer::starting(ROOT);
        let mut left = self.inner().settings.limits.busy_times;
        for attendee in &request.attendees {
            w.open("cal:response");
            w.within("cal:recipient", |w| w.href(attendee.value()));
            match self.calendar_user(&Address::read(attendee.value()), self.who.domain()).await? {
                Some(holder) => {
                    let (calendar, times) = self.free_busy_of(&holder, attendee, &request).await?;
                    left = left.checked_sub(times).ok_or_else(|| {
                        DavError::forbidden("There are more busy times in this range than one answer tells")
                            .because(Condition::Empty("d:number-of-matches-within-limits"))
                    })?;
                    w.element("cal:request-status", "2.0;Success");
                    w.within("cal:calendar-data", |w| w.calendar_text(&calendar.to_wire()));
                }
                None => w.element("cal:request-status", "3.7;Could not find principal"),
            }
            w.close("cal:response");
        }
        w.close("cal:schedule-response");
        let mut response = Response::new(Body::from(w.take()));
        response.headers_mut().insert(CONTENT_TYPE, XML_TYPE);
        Ok(response)
    }

    /// The answer for one attendee, and how many times are in it.
    async fn free_busy_of(
        &self,
        holder: &Holder,
        attendee: &Property,
        request: &FreeBusyRequest,
    ) -> Result<(Component, usize), DavError> {
        let busy = self.server.busy_of(holder, &request.range).await?;
        let mut component = as_component(&busy, &request.range, self.inner().env.now());
        component.push(attendee.clone());
        for property in &request.echoed {
            component.push(property.clone());
        }
        Ok((as_calendar(component, Some("REPLY")), busy.len()))
    }
}

/// A VFREEBUSY with METHOD:REQUEST.
struct FreeBusyRequest {
    range: std::ops::Range<chrono::DateTime<chrono::Utc>>,
    organizer: Address,
    attendees: Vec<Property>,
    /// UID and ORGANIZER, which the answers repeat.
    echoed: Vec<Property>,
}

impl FreeBusyRequest {
    fn read(body: &[u8]) -> Result<Self, DavError> {
        let invalid =
            |message: &str| DavError::forbidden(message).because(Condition::Empty("cal:valid-scheduling-message"));
        let text = std::str::from_utf8(body).map_err(|_| invalid("The request is not UTF-8"))?;
        let message = CalendarObject::parse_message(text)
            .map_err(|error| invalid(&format!("The request is not iCalendar: {error}")))?;
        if !message.root().value("METHOD").is_some_and(|m| m.trim().eq_ignore_ascii_case("REQUEST")) {
            return Err(invalid("The request needs METHOD:REQUEST"));
        }
        let events: Vec<_> = message.events().filter(|e| e.component().is("VFREEBUSY")).collect();
        let [event] = events.as_slice() else {
            return Err(invalid("Only requests with one VFREEBUSY can be posted to the outbox"));
        };
        let (Some(start), Some(end)) = (event.start(), event.when("DTEND")) else {
            return Err(invalid("The VFREEBUSY needs DTSTART and DTEND"));
        };
        let range = start.instant(chrono_tz::Tz::UTC)..end.instant(chrono_tz::Tz::UTC);
        if range.is_empty() {
            return Err(invalid("The VFREEBUSY must end after it starts"));
        }
        let component = event.component();
        let organizer = component.get("ORGANIZER").ok_or_else(|| invalid("The VFREEBUSY needs an ORGANIZER"))?;
        // Whoever is named twice is answered once.
        let mut seen = std::collections::HashSet::new();
        Ok(Self {
            range,
            organizer: Address::read(organizer.value()),
            attendees: component.all("ATTENDEE").filter(|a| seen.insert(Address::read(a.value()))).cloned().collect(),
            echoed: component.get("UID").into_iter().chain([organizer]).cloned().collect(),
        })
    }
}
