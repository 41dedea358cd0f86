//! How a room or another resource answers when it is invited (RFC 6638 §2, mail-itip-alarms §5.13): by itself where nobody
//! decides about it, and then never for two events at once; by its administrators otherwise.
//!
//! A series and the occurrences that are written out are answered each by itself. A series is refused as a whole where one
//! of the occurrences that its rule makes is taken. What was answered stays answered until the event takes place at another
//! time, or the organizer asks again: whatever else an organizer writes on the line of a resource is not the organizer's to
//! say.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::address::Address;
use super::is_schedulable;
use super::moment::{InstanceId, occurrence, read};
use super::object::{is_cancelled, partstat_of};
use super::view::is_rescheduled;
use crate::ical::recur::{self, Bounds};
use crate::ical::{Component, Property, Zones};
use crate::ids::Email;

const ACCEPTED: &str = "ACCEPTED";
const DECLINED: &str = "DECLINED";
const NEEDS_ACTION: &str = "NEEDS-ACTION";

/// Who decides about the bookings of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decides {
    /// It answers by itself: what finds it free gets it.
    Itself,
    /// People do; until then it answers nothing.
    People,
}

/// When a resource is taken, as far as that matters for one invitation.
#[derive(Debug, Clone)]
pub struct Timetable {
    range: Range<DateTime<Utc>>,
    zone: Tz,
    bounds: Bounds,
    /// In order of start once all are there.
    taken: Vec<Range<DateTime<Utc>>>,
}

impl Timetable {
    /// An empty timetable for the time that an invitation is about: from now, or its beginning, to its end, or so much later
    /// where it never ends (`horizon`). `zone` is for dates and floating times.
    pub fn for_invitation(
        invitation: &Component,
        now: DateTime<Utc>,
        horizon: TimeDelta,
        zone: Tz,
        bounds: Bounds,
    ) -> Self {
        let span = recur::span(invitation, zone);
        let start = span.first.map_or(now, |first| first.max(now));
        let limit = start.checked_add_signed(horizon).unwrap_or(DateTime::<Utc>::MAX_UTC);
        // Occurrences that are written out are looked at wherever they were moved to.
        let written = events(invitation).filter(|e| e.get("RECURRENCE-ID").is_some() || e.get("RRULE").is_none());
        let latest = written.filter_map(|event| alone(event, invitation, zone)).max();
        let end = span.last.map_or(limit, |last| last.min(limit)).max(latest.unwrap_or(start));
        Self { range: start..end.max(start), zone, bounds, taken: Vec::new() }
    }

    /// The time that it is about: what lies outside need not be added.
    pub fn range(&self) -> Range<DateTime<Utc>> {
        self.range.clone()
    }

    /// Adds the times that an object of the resource's calendar takes: of what the resource accepted, also tentatively, and
    /// of what was put there without inviting it.
    pub fn add(&mut self, object: &Component, resource: &[Email]) {
        match recur::occurrences(object, self.range.clone(), self.zone, self.bounds) {
            Ok(found) => {
                let held = found.iter().filter(|o| o.component.is("VEVENT") && holds(o.component, resource));
                self.taken.extend(held.map(|o| o.start..o.end).filter(|time| !time.is_empty()));
            }
            // Whoever cannot be followed may take any time.
            Err(_) if events(object).any(|event| holds(event, resource)) => {
                let span = recur::span(object, self.zone);
                let start = span.first.unwrap_or(self.range.start).max(self.range.start);
                let end = span.last.unwrap_or(self.range.end).min(self.range.end);
                self.taken.extend((start < end).then_some(start..end));
            }
            Err(_) => {}
        }
    }

    fn sort(&mut self) {
        self.taken.sort_by_key(|time| (time.start, time.end));
        let mut merged: Vec<Range<DateTime<Utc>>> = Vec::with_capacity(self.taken.len());
        for time in self.taken.drain(..) {
            match merged.last_mut() {
                Some(last) if time.start <= last.end => last.end = last.end.max(time.end),
                _ => merged.push(time),
            }
        }
        self.taken = merged;
    }

    /// Whether nothing takes any of this time. The times are in order and apart from each other.
    fn is_free(&self, time: &Range<DateTime<Utc>>) -> bool {
        let next = self.taken.partition_point(|taken| taken.end <= time.start);
        self.taken.get(next).is_none_or(|taken| taken.start >= time.end)
    }

    /// Which components of an invitation have an occurrence at a time that is taken; all of them where that cannot be told.
    fn conflicts(&self, invitation: &Component) -> Vec<bool> {
        let components: Vec<&Component> = invitation.components().collect();
        let Ok(found) = recur::occurrences(invitation, self.range.clone(), self.zone, self.bounds) else {
            return vec![true; components.len()];
        };
        let mut conflicts = vec![false; components.len()];
        for occurrence in found.iter().filter(|o| o.start < o.end && !is_cancelled(o.component)) {
            if !self.is_free(&(occurrence.start..occurrence.end))
                && let Some(at) = components.iter().position(|c| std::ptr::eq(*c, occurrence.component))
            {
                conflicts[at] = true;
            }
        }
        conflicts
    }
}

/// Writes into the copy of an event that a resource just got what the resource answers. `before` is the copy as it was;
/// `times` says when the resource is taken, which matters only where it decides itself.
pub fn answer_for_resource(
    before: Option<&Component>,
    copy: &mut Component,
    resource: &[Email],
    mut times: Timetable,
    decides: Decides,
) {
    times.sort();
    let conflicts = (decides == Decides::Itself).then(|| times.conflicts(copy));
    let kept = kept_answers(before, copy, resource, &times);
    for (index, event) in copy.components_mut().enumerate() {
        if !is_schedulable(event) || is_cancelled(event) {
            continue;
        }
        let kept = kept.get(index).and_then(Option::as_ref);
        let verdict = match &conflicts {
            Some(conflicts) if conflicts.get(index) == Some(&true) => DECLINED,
            Some(_) => ACCEPTED,
            None => NEEDS_ACTION,
        };
        for line in event.all_mut("ATTENDEE").filter(|a| Address::read(a.value()).is_one_of(resource)) {
            let asked = partstat_of(line) == NEEDS_ACTION;
            match kept {
                Some(answer) if !asked => line.set_param("PARTSTAT", answer),
                _ => line.set_param("PARTSTAT", verdict),
            }
        }
        // That the organizer is free meanwhile does not make the room free.
        event.remove("TRANSP");
    }
}

/// For each component of a copy, the answer that stays: what the resource said to the event as it was, where it said so to
/// all of the times that the event takes now. What was called off, or moved away, may be somebody else's by now.
fn kept_answers(
    before: Option<&Component>,
    copy: &Component,
    resource: &[Email],
    times: &Timetable,
) -> Vec<Option<String>> {
    let components: Vec<&Component> = copy.components().collect();
    let nothing = || vec![None; components.len()];
    let Some(before) = before else { return nothing() };
    let zones = (Zones::of(before), Zones::of(copy));
    let said = |event: &&Component| {
        let was = state_before(before, event, &zones).filter(|_| is_schedulable(event))?;
        let stays = !is_cancelled(&was) && !is_rescheduled((&was, &zones.0), (event, &zones.1));
        own_line(&was, resource).filter(|_| stays).map(partstat_of)
    };
    let mut kept: Vec<Option<String>> = components.iter().map(said).collect();
    let during = |object| recur::occurrences(object, times.range(), times.zone, times.bounds);
    let (Ok(held), Ok(wanted)) = (during(before), during(copy)) else { return nothing() };
    let held = held.iter().filter(|o| !is_cancelled(o.component));
    let answered = held.filter_map(|o| Some((o.start, o.end, partstat_of(own_line(o.component, resource)?))));
    let answered: HashSet<_> = answered.collect();
    let places: HashMap<*const Component, usize> =
        components.iter().enumerate().map(|(at, event)| (std::ptr::from_ref(*event), at)).collect();
    for occurrence in wanted.iter().filter(|o| !is_cancelled(o.component)) {
        let place = places.get(&std::ptr::from_ref(occurrence.component));
        let Some(answer) = place.and_then(|at| kept.get_mut(*at)) else { continue };
        *answer = answer.take().filter(|said| answered.contains(&(occurrence.start, occurrence.end, said.clone())));
    }
    kept
}

/// The event as the copy had it: written out, or as an occurrence of its series.
fn state_before(before: &Component, event: &Component, zones: &(Zones, Zones)) -> Option<Component> {
    let id = InstanceId::of(event, &zones.1).ok()?;
    let written = events(before).find(|e| InstanceId::of(e, &zones.0).is_ok_and(|i| i == id));
    if let Some(written) = written {
        return Some(written.clone());
    }
    let at = read(event.get("RECURRENCE-ID")?, &zones.1).ok()?;
    let master = events(before).find(|e| e.get("RECURRENCE-ID").is_none())?;
    occurrence(master, &zones.0, &at)
}

/// Whether an event takes the resource's time.
fn holds(event: &Component, resource: &[Email]) -> bool {
    let is_transparent = event.value("TRANSP").is_some_and(|t| t.trim().eq_ignore_ascii_case("TRANSPARENT"));
    let answer = own_line(event, resource).map(partstat_of);
    !is_transparent
        && !is_cancelled(event)
        && answer.is_none_or(|answer| ["ACCEPTED", "TENTATIVE"].contains(&answer.as_str()))
}

fn own_line<'a>(event: &'a Component, resource: &[Email]) -> Option<&'a Property> {
    event.all("ATTENDEE").find(|a| Address::read(a.value()).is_one_of(resource))
}

/// When an event ends that is looked at without its series.
fn alone(event: &Component, calendar: &Component, zone: Tz) -> Option<DateTime<Utc>> {
    let zones = Zones::of(calendar);
    crate::ical::Event::new(event, &zones).end().map(|end| end.instant(zone))
}

fn events(calendar: &Component) -> impl Iterator<Item = &Component> {
    calendar.components().filter(|c| is_schedulable(c))
}
