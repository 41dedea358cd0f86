//! What a recipient is told when an event changes: the old object against the new (mail-itip-alarms §0.3).

use crate::ical::recur::{Bounds, Series, instance_of};
use crate::ical::{CalendarObject, Component, Event, PartStat, Status, When, edit};
use crate::ids::Email;

use super::changes::{Changes, Unlisted};
use super::occurrence::FLOATING;

/// One component of the new object that is worth a notification.
pub(super) struct Difference<'a> {
    /// The component as it is now.
    pub event: &'a Component,
    /// The recipient did not attend before.
    pub is_new: bool,
    /// What changed.
    pub changes: Changes,
    /// What changed besides.
    pub unlisted: Unlisted,
}

/// Whether the object is a series, or a part of one.
pub(super) fn is_recurring(object: &CalendarObject) -> bool {
    object.events().nth(1).is_some() || object.events().next().is_some_and(|event| event.is_recurring())
}

/// What changed for the recipient.
pub(super) fn differences<'a>(
    recipient: &Email,
    old: &'a CalendarObject,
    new: &'a CalendarObject,
) -> Vec<Difference<'a>> {
    if is_recurring(old) || is_recurring(new) {
        new.events().filter_map(|event| in_series(recipient, old, new, event)).collect()
    } else {
        let pair = old.events().next().zip(new.events().next());
        pair.and_then(|(old, new)| single(recipient, &old, new)).into_iter().collect()
    }
}

fn single<'a>(recipient: &Email, old: &Event<'_>, new: Event<'a>) -> Option<Difference<'a>> {
    let (before, after) = (attends(recipient, old), attends(recipient, &new));
    if !before && !after {
        return None;
    }
    let changes = Changes::between(old, &new);
    let unlisted = Unlisted::between(old, &new, false);
    let nothing_new = before
        && after
        && changes.is_empty()
        && unlisted.is_empty()
        && !organizer_accepts(old, &new)
        && !booking_is_refused(old, &new)
        && answer(recipient, old) == answer(recipient, &new);
    (!nothing_new).then(|| Difference { event: new.component(), is_new: !before, changes, unlisted })
}

fn in_series<'a>(
    recipient: &Email,
    old: &CalendarObject,
    object: &CalendarObject,
    new: Event<'a>,
) -> Option<Difference<'a>> {
    let key = |event: &Event<'_>| event.component().value("RECURRENCE-ID").map(str::to_owned);
    let same = old.events().find(|event| key(event) == key(&new));
    let existed = same.is_some();
    let made = match (&same, old.events().find(|event| !event.is_override()), new.recurrence_id()) {
        (None, Some(master), Some(at)) => Some(instance_of(master.component(), &at, old.zones(), FLOATING)),
        _ => None,
    };
    let made = made.as_ref().map(|component| Event::new(component, old.zones()));
    let before = same.or(made).or_else(|| old.events().find(|event| !event.is_override()));
    let attended = before.as_ref().is_some_and(|before| attends(recipient, before));
    if !attended && !attends(recipient, &new) {
        return None;
    }
    let changes = before.as_ref().map(|before| Changes::between(before, &new)).unwrap_or_default();
    let comes_back = !new.is_override() && an_occurrence_comes_back(recipient, old, object);
    let unlisted = before.as_ref().map(|before| Unlisted::between(before, &new, comes_back)).unwrap_or_default();
    let accepted = before.as_ref().is_some_and(|before| organizer_accepts(before, &new));
    // Someone who joins a series that does not change otherwise is invited; the reference forgets them.
    if existed && attended && changes.is_empty() && unlisted.is_empty() && !accepted {
        return None;
    }
    Some(Difference { event: new.component(), is_new: !attended, changes, unlisted })
}

/// Whether the new series holds an occurrence that the old one did not have for the recipient: its date was excluded, it
/// was called off, or it was for others. An occurrence with an override is told by itself.
fn an_occurrence_comes_back(recipient: &Email, old: &CalendarObject, new: &CalendarObject) -> bool {
    let (Some(old_master), Some(new_master)) = (old.master(), new.master()) else { return false };
    let out_now: Vec<When> = edit::exdates(new_master, new.zones()).collect();
    let is_out = |date: &When| out_now.iter().any(|out| out.same_instant(date, FLOATING));
    let series = Series::of(&[new_master], new.zones(), FLOATING);
    let takes_place = |date: &When| series.has(date, Bounds::default()).unwrap_or(false);
    let not_theirs = old.events().filter(|event| event.is_cancelled() || !attends(recipient, event));
    let mut out_before =
        edit::exdates(old_master, old.zones()).chain(not_theirs.filter_map(|event| event.recurrence_id()));
    out_before.any(|date| !is_out(&date) && new.override_at(&date, FLOATING).is_none() && takes_place(&date))
}

/// The occurrences that the new object takes out of the series and that the recipient would have attended, as cancelled
/// events, with the RECURRENCE-IDs they have (mail-itip-alarms §0.3, "EXDATE cancellations").
///
/// A message also excludes the occurrences its recipient is not invited to and those called off before (§5.4): there is
/// nothing left to be cancelled.
pub(super) fn excluded(recipient: &Email, old: &CalendarObject, new: &CalendarObject) -> Vec<(When, Component)> {
    let master_of = |object: &CalendarObject| object.master().cloned();
    let (Some(old_master), Some(new_master)) = (master_of(old), master_of(new)) else { return Vec::new() };
    let gone_before: Vec<When> = edit::exdates(&old_master, old.zones()).collect();
    let master = Event::new(&old_master, old.zones());
    let series = Series::of(&[&old_master], old.zones(), FLOATING);
    let mut cancelled = Vec::new();
    for date in edit::exdates(&new_master, new.zones()) {
        if gone_before.iter().any(|gone| gone.same_instant(&date, FLOATING)) {
            continue;
        }
        let overridden = old.override_at(&date, FLOATING).cloned();
        // A series that moves takes its exclusions along: at their new times there was nothing to cancel.
        if overridden.is_none() && !series.has(&date, Bounds::default()).unwrap_or(true) {
            continue;
        }
        let mut component = overridden.unwrap_or_else(|| instance_of(&old_master, &date, old.zones(), FLOATING));
        let before = Event::new(&component, old.zones());
        if before.is_cancelled() || !attends(recipient, &before) {
            continue;
        }
        // As new as the change that takes it out and as what they hold, or receivers would ignore it (RFC 5546 §2.1.5).
        let now = Event::new(&new_master, new.zones());
        let sequence = now.sequence().max(master.sequence()).max(before.sequence());
        edit::set_sequence(&mut component, sequence);
        if let Some(stamp) = now.dtstamp() {
            edit::set_dtstamp(&mut component, stamp);
        }
        edit::set_status(&mut component, &Status::Cancelled);
        cancelled.push((date, component));
    }
    cancelled
}

fn attends(recipient: &Email, event: &Event<'_>) -> bool {
    event.attendee(recipient).is_some()
}

fn answer(attendee: &Email, event: &Event<'_>) -> Option<PartStat> {
    event.attendee(attendee).map(|attendee| attendee.partstat())
}

fn organizers_answer(event: &Event<'_>) -> Option<PartStat> {
    answer(&event.organizer()?.email().ok()?, event)
}

/// The organizer turned to attend: a booking is confirmed, or a proposal taken up.
fn organizer_accepts(old: &Event<'_>, new: &Event<'_>) -> bool {
    let from = matches!(organizers_answer(old), Some(PartStat::NeedsAction | PartStat::Declined));
    from && matches!(organizers_answer(new), Some(PartStat::Accepted | PartStat::Tentative))
}

/// The owner of a booking page turned a booking down.
fn booking_is_refused(old: &Event<'_>, new: &Event<'_>) -> bool {
    is_booking(new)
        && organizers_answer(new) == Some(PartStat::Declined)
        && organizers_answer(old) != Some(PartStat::Declined)
}

/// `X-PUBLICLY-CREATED` (mail-itip-alarms §6), read leniently.
pub(super) fn is_booking(event: &Event<'_>) -> bool {
    let value = event.component().value("X-PUBLICLY-CREATED").unwrap_or_default().trim().to_ascii_lowercase();
    matches!(value.as_str(), "true" | "yes" | "on" | "t" | "y")
}
