//! ADD reaches an attendee (RFC 5546 §3.2.4): the series gets occurrences it did not have.

use std::collections::HashSet;

use super::super::error::ItipError;
use super::super::is_schedulable;
use super::super::moment::{InstanceId, Moment, include, occurrence, read};
use super::super::object::{is_cancelled, sequence_of};
use super::fresh::Stamp;
use super::{Applied, Delivery, Reason, events};
use crate::ical::{Component, Property, Zones};

/// Each component of the message becomes a date of the series (RDATE) and an override that says what it is like. A message
/// with a rule adds more than one knows how to name, and is left to the next REQUEST.
pub(super) fn add(copy: &Component, delivery: &Delivery) -> Result<Applied, ItipError> {
    if let Some(reason) = delivery.refused_by(copy) {
        return Ok(Applied::ignored(reason));
    }
    let zones = Zones::of(copy);
    let mut result = copy.clone();
    let mut reason = Reason::NoCopy;
    let mut done = false;
    for news in delivery.events().filter(|e| e.get("RECURRENCE-ID").is_none()) {
        let has_rule = news.get("RRULE").is_some() || news.get("RDATE").is_some();
        let Some(start) = news.get("DTSTART").filter(|_| !has_rule) else {
            reason = Reason::UnknownOccurrence;
            continue;
        };
        let start = read(start, &delivery.zones)?;
        let is_master = |c: &Component| is_schedulable(c) && c.get("RECURRENCE-ID").is_none();
        let Some(master) = result.components_mut().find(|c| is_master(c) && !is_cancelled(c)) else { continue };
        if Stamp::of(news).is_older_than(Stamp::of(master), delivery.now) {
            reason = Reason::Stale;
            continue;
        }
        let form = match master.get("DTSTART") {
            Some(own) => start.in_form_of(&read(own, &zones)?, chrono_tz::Tz::UTC),
            None => start,
        };
        let moment = Moment::from(&form);
        include(master, &zones, &HashSet::from([moment]));
        let is_date_of_start = master.get("DTSTART").is_some_and(|own| read(own, &zones).is_ok_and(|w| w == form));
        if !is_date_of_start && occurrence(master, &zones, &form).is_none() {
            master.push(form.to_property("RDATE"));
        }
        let sequence = sequence_of(news).unwrap_or(0).max(sequence_of(master).unwrap_or(0));
        let mut event = news.clone();
        event.set(form.to_property("RECURRENCE-ID"));
        event.set(Property::new("SEQUENCE", sequence.to_string()));
        let id = InstanceId::At(moment);
        let held = events(&result).position(|e| InstanceId::of(e, &zones).is_ok_and(|i| i == id));
        match held.and_then(|at| result.components_mut().filter(|c| is_schedulable(c)).nth(at)) {
            // Delivered before, or answered by something newer.
            Some(held) if !Stamp::of(held).is_older_than(Stamp::of(&event), delivery.now) => {
                reason = Reason::Stale;
                continue;
            }
            Some(held) => *held = event,
            None => result.push_component(event),
        }
        done = true;
    }
    Ok(if done { Applied::replaced(copy, result) } else { Applied::ignored(reason) })
}
