//! The organizer moved something: everybody is asked anew (RFC 6638 §3.2.8).

use super::address::Address;
use super::is_schedulable;
use super::moment::{InstanceId, Moment};
use super::object::{Object, is_scheduled_by_server, partstat_of};
use super::view::rule;
use crate::ical::{Component, Event, When, Zones};
use crate::ids::Email;

/// Answers that stay. Whoever declined may have deleted their copy, and an event that was deleted must not come back with
/// the next update (mail-itip-alarms §5.8); whoever delegated is asked through the delegate.
const FINAL: [&str; 2] = ["DECLINED", "DELEGATED"];

/// The components of the new object that take place at another time than before, as indices into [`Object::instances`].
///
/// What a series gains or loses at its ends, by EXDATE or by RDATE, is no other time for what is left of it.
pub(super) fn rescheduled(before: &Object, after: &Object) -> Vec<usize> {
    let moved = |was: &Component, at: usize| {
        times(was, &before.zones) != times(after.instances[at].component, &after.zones)
            || has_another_rule(was, after.instances[at].component)
    };
    let series = after.index(InstanceId::Master).zip(before.master());
    let is_series_moved = series.is_some_and(|(at, was)| moved(was.component, at));
    let is_moved = |at: &usize| {
        let id = after.instances[*at].id;
        match (before.instance(id), after.recurrence_id(*at)) {
            (Some(was), _) => moved(was.component, *at),
            // An override that is new was part of the series until now.
            (None, Some(id)) => match before.occurrence(&id) {
                Some(was) => moved(&was, *at),
                None => is_series_moved,
            },
            (None, None) => false,
        }
    };
    (0..after.instances.len()).filter(is_moved).collect()
}

fn times(component: &Component, zones: &Zones) -> [Option<Moment>; 2] {
    let event = Event::new(component, zones);
    [event.start(), event.end()].map(|when: Option<When>| when.map(|w| Moment::from(&w)))
}

/// Whether a series goes on in another rhythm.
fn has_another_rule(was: &Component, is: &Component) -> bool {
    let rhythm = |component: &Component| {
        let mut rules: Vec<Vec<String>> = component.all("RRULE").map(|p| rule(p.value())).collect();
        for rule in &mut rules {
            rule.retain(|part| !part.starts_with("UNTIL=") && !part.starts_with("COUNT="));
        }
        rules.sort();
        rules
    };
    let (was, is) = (rhythm(was), rhythm(is));
    !was.is_empty() && !is.is_empty() && was != is
}

/// Takes back the answers to these components; true when there were some.
pub(super) fn ask_anew(object: &mut Component, instances: &[usize], owner: &[Email]) -> bool {
    let mut any = false;
    let organizer = object.components().filter(|c| is_schedulable(c)).find_map(|c| c.value("ORGANIZER"));
    let organizer = organizer.map(Address::read);
    let events = object.components_mut().filter(|c| is_schedulable(c)).enumerate();
    for (_, event) in events.filter(|(at, _)| instances.binary_search(at).is_ok()) {
        for line in event.all_mut("ATTENDEE").filter(|a| is_scheduled_by_server(a)) {
            let (who, partstat) = (Address::read(line.value()), partstat_of(line));
            let is_own = Some(&who) == organizer.as_ref() || who.is_one_of(owner);
            if is_own || partstat == "NEEDS-ACTION" || FINAL.contains(&partstat.as_str()) {
                continue;
            }
            line.set_param("PARTSTAT", "NEEDS-ACTION");
            line.set_param("RSVP", "TRUE");
            any = true;
        }
    }
    any
}
