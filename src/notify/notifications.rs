//! Of what a recipient is told, given an iTIP message (mail-itip-alarms §0.3). Pure.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::events::Notification;
use crate::ical::{CalendarObject, Component, Event, Method, Zones};
use crate::ids::Email;

use super::changes::{Changes, Unlisted};
use super::difference::{differences, excluded, is_recurring};
use super::expiry;
use super::occurrence::{FLOATING, reduced_to};

/// An iTIP message that was delivered, as far as mails depend on it.
#[derive(Debug, Clone)]
pub struct Received {
    /// Who sent it.
    pub sender: Email,
    /// Who got it.
    pub recipient: Email,
    /// Its method.
    pub method: Method,
    /// The message.
    pub message: CalendarObject,
    /// The object as it was stored with the sender before.
    pub old: Option<CalendarObject>,
    /// The object of the sender that was deleted.
    pub deleted: Option<CalendarObject>,
    /// Last segment of the calendar written; `""` when unknown.
    pub calendar_id: String,
    /// Path of the recipient's copy; `""` when unknown.
    pub event_path: String,
}

/// The notifications, in the order in which they are sent. `now` and the recipient's zone decide what is over: nobody is
/// told of the past.
pub fn notifications(received: &Received, now: DateTime<Utc>, zone: Tz) -> Vec<Notification> {
    let mut told = match (&received.method, &received.old) {
        (Method::Counter, _) => vec![Told::whole(&received.message)],
        (Method::Reply, _) | (Method::Cancel, None) => each(&received.message, false),
        (Method::Cancel, Some(old)) => cancellations(received, old),
        (_, None) => each(&received.message, true),
        (_, Some(old)) => updates(received, old),
    };
    told.retain(|told| !was_cancelled(told, received) && !is_over(told, received, now, zone));
    told.into_iter().map(|told| told.into_notification(received)).collect()
}

/// One thing to tell.
struct Told {
    method: Option<Method>,
    calendar: Component,
    is_new: bool,
    changes: Changes,
    unlisted: Unlisted,
}

impl Told {
    fn whole(message: &CalendarObject) -> Self {
        Self {
            method: None,
            calendar: message.root().clone(),
            is_new: false,
            changes: Changes::default(),
            unlisted: Unlisted::default(),
        }
    }

    fn into_notification(self, received: &Received) -> Notification {
        let method = self.method.as_ref().unwrap_or(&received.method);
        let changes = (!self.changes.is_empty()).then(|| serde_json::to_value(&self.changes).unwrap_or_default());
        let counters = received.method == Method::Counter;
        Notification {
            sender_email: received.sender.clone(),
            recipient_email: received.recipient.clone(),
            method: method.as_str().to_ascii_uppercase(),
            event: self.calendar.to_wire(),
            calendar_uri: received.calendar_id.clone(),
            event_path: received.event_path.clone(),
            old_event: received.old.as_ref().filter(|_| counters).map(|old| old.root().to_wire()),
            is_new_event: self.is_new,
            changes,
            repetition_changed: self.unlisted.repetition,
            status_before: self.unlisted.status_before,
        }
    }
}

/// One for each component; the whole message when there is only one.
fn each(message: &CalendarObject, is_new: bool) -> Vec<Told> {
    let several = message.events().nth(1).is_some();
    let one = |event: Event<'_>| Told { is_new, ..part(message, event.component(), None) };
    if several { message.events().map(one).collect() } else { vec![Told { is_new, ..Told::whole(message) }] }
}

fn part(message: &CalendarObject, component: &Component, method: Option<Method>) -> Told {
    let name = method.as_ref().map_or_else(|| message.root().value("METHOD").unwrap_or_default(), |m| m.as_str());
    let calendar = reduced_to(message, component.clone(), name);
    Told { method, calendar, is_new: false, changes: Changes::default(), unlisted: Unlisted::default() }
}

/// A cancellation is always told: its body is minimal, so that comparing it with the object says nothing.
fn cancellations(received: &Received, old: &CalendarObject) -> Vec<Told> {
    let knew = old.events().any(|event| event.attendee(&received.recipient).is_some());
    if knew || old.events().next().is_none() { each(&received.message, false) } else { Vec::new() }
}

fn updates(received: &Received, old: &CalendarObject) -> Vec<Told> {
    let message = &received.message;
    let gone = if is_recurring(message) { excluded(&received.recipient, old, message) } else { Vec::new() };
    let changed = differences(&received.recipient, old, message).into_iter().filter(|difference| {
        let at = Event::new(difference.event, message.zones()).recurrence_id();
        !at.is_some_and(|at| gone.iter().any(|(date, _)| date.same_instant(&at, FLOATING)))
    });
    let single = message.events().nth(1).is_none();
    let changed: Vec<Told> = changed
        .map(|difference| {
            let told = if single { Told::whole(message) } else { part(message, difference.event, None) };
            Told { is_new: difference.is_new, changes: difference.changes, unlisted: difference.unlisted, ..told }
        })
        .collect();
    let cancelled = gone.into_iter().map(|(_, component)| Told {
        method: Some(Method::Cancel),
        calendar: reduced_to(old, component, "CANCEL"),
        is_new: false,
        changes: Changes::default(),
        unlisted: Unlisted::default(),
    });
    cancelled.chain(changed).collect()
}

/// Whether what is told is the cancellation, by deletion, of what had been called off before.
fn was_cancelled(told: &Told, received: &Received) -> bool {
    let Some(deleted) = received.deleted.as_ref().filter(|_| received.method == Method::Cancel) else { return false };
    let zones = Zones::of(&told.calendar);
    let event = told.calendar.components().find(|c| c.is("VEVENT")).map(|component| Event::new(component, &zones));
    let master = deleted.events().find(|event| !event.is_override());
    let at = event.and_then(|event| event.recurrence_id());
    match at.and_then(|at| deleted.override_at(&at, FLOATING)) {
        Some(occurrence) => Event::new(occurrence, deleted.zones()).is_cancelled(),
        None => master.is_some_and(|master| master.is_cancelled()),
    }
}

fn is_over(told: &Told, received: &Received, now: DateTime<Utc>, zone: Tz) -> bool {
    let zones = Zones::of(&told.calendar);
    let Some(component) = told.calendar.components().find(|c| c.is("VEVENT")) else { return false };
    let event = Event::new(component, &zones);
    // An answer to a whole series, or its cancellation, carries no rule: the rule is in the object as it was.
    let minimal = matches!(received.method, Method::Reply | Method::Cancel);
    let bare = minimal && !event.is_override() && !event.is_recurring();
    let series = received.old.as_ref().or(received.deleted.as_ref()).filter(|_| bare).and_then(|old| {
        let master = old.events().find(|event| !event.is_override() && event.is_recurring())?;
        Some((master.component(), old.zones()))
    });
    let (component, zones) = series.unwrap_or((component, &zones));
    expiry::is_over(component, zones, now, zone)
}
