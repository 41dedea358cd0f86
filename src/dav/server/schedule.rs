//! The scheduling steps of a write (dav §10.2, §10.7, mail-itip-alarms §5): what attendees may change, and whom to tell.
//! The rules are those of [`crate::itip`]; here they meet the calendar's owner and the request.

use std::collections::HashSet;
use std::sync::Arc;

use http::HeaderName;

use super::call::Call;
use super::publish::{self, Before};
use super::tenant::Tenant;
use crate::dav::error::{Condition, DavError};
use crate::events::Message;
use crate::ical::{Component, Property};
use crate::ids::UserId;
use crate::itip::{self, Address, Diff, ItipError, Role};
use crate::store::{Collection, User};

const SCHEDULE_REPLY: HeaderName = HeaderName::from_static("schedule-reply");
/// `SCHEDULE-STATUS` of a message that is on its way (RFC 6638 §3.2.9).
const PENDING: &str = "1.0";
/// `SCHEDULE-STATUS` of a calendar user address that leads to nobody (RFC 5546 §3.6).
const UNUSABLE: &str = "3.7";

impl Call {
    /// The person whose calendar it is: scheduling happens in their name, whoever writes (mail-itip-alarms §5.3).
    pub(super) async fn owner_of(&self, collection: &Collection) -> Result<Arc<User>, DavError> {
        match &self.who {
            Tenant::User(user) if collection.home == user.id.into() => Ok(user.clone()),
            _ => {
                let owner = self.inner().directory.user(UserId(collection.home.0)).await?;
                owner.map(Arc::new).ok_or_else(|| DavError::no_node(&self.path))
            }
        }
    }
}

/// Whether the request asks for scheduling: `Schedule-Reply: F` and imports do not (mail-itip-alarms §5.2).
pub(super) fn wanted(call: &Call) -> bool {
    let declined = call.headers.get(SCHEDULE_REPLY).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"F"));
    !declined && !call.has_parameter("import")
}

/// Step: every alarm gets a UID, by which later messages tell it from others (dav §11.4).
pub(super) fn name_alarms(call: &Call, calendar: &mut Component) {
    itip::name_alarms(calendar, || call.inner().env.uuid());
}

/// Step: an answer to the series is one to its overrides too (mail-itip-alarms §5.7).
pub(super) fn follow_participation(call: &Call, old: &Component, calendar: &mut Component) {
    itip::sync_participation(old, calendar, call.who.emails());
}

/// Step: attendees change only what is theirs (mail-itip-alarms §5.6).
pub(super) fn guard_attendee_changes(
    call: &Call,
    old: &Component,
    calendar: &Component,
    owner: &User,
) -> Result<(), DavError> {
    if !call.inner().settings.guard_attendee_changes {
        return Ok(());
    }
    let changed = itip::forbidden_attendee_changes(old, calendar, &owner.emails);
    if changed.is_empty() {
        return Ok(());
    }
    let message = format!("Attendees are not allowed to change {} on scheduling objects", changed.join(", "));
    let exception = "ESN\\CalDAV\\Schedule\\Exception\\ForbiddenAttendeeSchedulingObjectChange";
    Err(DavError::new(http::StatusCode::FORBIDDEN, exception, message)
        .because(Condition::Empty("cal:allowed-attendee-scheduling-object-change")))
}

/// Step: the messages that follow from a write, and in the object what was done about them. `before` is the object as it
/// was, as text and as a tree.
pub(super) fn of_write(
    call: &Call,
    collection: &Collection,
    owner: &User,
    before: Option<(&str, &Component)>,
    calendar: &mut Component,
) -> Result<Vec<Message>, DavError> {
    let old = before.map(|(_, tree)| tree);
    let now = call.inner().env.now();
    let Diff { messages, stored, role } = itip::diff(old, Some(calendar), &owner.emails, now).map_err(unschedulable)?;
    if let Some(stored) = stored {
        *calendar = stored;
    }
    note(calendar, &messages, PENDING);
    if role == Role::Organizer {
        itip::set_schedule_status(calendar, |address| (!address.is_deliverable()).then_some(UNUSABLE));
    }
    let before = Before::from(before.map(|(text, _)| text));
    let by = call.who.principal();
    Ok(messages.iter().map(|m| publish::local_delivery(m, before, Some(&collection.uri), &by)).collect())
}

/// Notes a status on the lines of those who are told: the ORGANIZER of a REPLY, else an ATTENDEE (RFC 6638 §3.2.9).
fn note(calendar: &mut Component, messages: &[itip::ItipMessage], status: &str) {
    let told: HashSet<(&str, &str)> = messages
        .iter()
        .map(|m| (if m.method == itip::Method::Reply { "ORGANIZER" } else { "ATTENDEE" }, m.recipient.as_str()))
        .collect();
    let is_told = |line: &str, p: &Property| p.is(line) && told.contains(&(line, Address::read(p.value()).as_str()));
    for property in calendar.components_mut().filter(|c| c.is("VEVENT")).flat_map(Component::properties_mut) {
        if is_told("ORGANIZER", property) || is_told("ATTENDEE", property) {
            property.set_param("SCHEDULE-STATUS", status);
        }
    }
}

/// The messages that follow from a deletion.
pub(super) async fn of_deletion(
    call: &Call,
    collection: &Collection,
    calendar: &Component,
) -> Result<Vec<Message>, DavError> {
    let owner = call.owner_of(collection).await?;
    let now = call.inner().env.now();
    // What cannot be scheduled could not be when it was stored either; it can be deleted all the same.
    let messages = match itip::diff(Some(calendar), None, &owner.emails, now) {
        Ok(diff) => diff.messages,
        Err(error) => {
            tracing::debug!(%error, "nobody is told of a deleted object");
            Vec::new()
        }
    };
    let (text, by) = (calendar.to_text(), call.who.principal());
    let before = Before::Deleted(&text);
    Ok(messages.iter().map(|m| publish::local_delivery(m, before, Some(&collection.uri), &by)).collect())
}

fn unschedulable(error: ItipError) -> DavError {
    match error {
        ItipError::DifferentOrganizers(..) => {
            DavError::forbidden("All VEVENT components must share the same ORGANIZER property.")
                .because(Condition::Empty("cal:same-organizer-in-all-components"))
        }
        other => DavError::bad_request(format!("Validation error in iCalendar: {other}"))
            .because(Condition::Empty("cal:valid-calendar-object-resource")),
    }
}
