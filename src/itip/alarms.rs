//! Alarms of an event that many people hold a copy of (mail-itip-alarms §4.9, dav §11.4).
//!
//! An e-mail alarm that the organizer wrote reaches each attendee it lists, as an alarm of their own; every other alarm
//! is a private matter of whoever set it.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::address::Address;
use crate::ical::{Component, Item, Property};

/// Gives every VALARM without UID one (`alarm-{uuid}`), so that it can be told from the others in later messages. For
/// objects that are about to be stored.
pub fn name_alarms(object: &mut Component, mut uuid: impl FnMut() -> Uuid) {
    for event in object.components_mut() {
        for alarm in event.components_mut().filter(|c| c.is("VALARM")) {
            if alarm.value("UID").is_none_or(str::is_empty) {
                alarm.set(Property::new("UID", format!("alarm-{}", uuid())));
            }
        }
    }
}

pub(super) fn is_email(component: &Component) -> bool {
    component.is("VALARM") && component.value("ACTION").is_some_and(|a| a.trim().eq_ignore_ascii_case("EMAIL"))
}

fn addressees(alarm: &Component) -> impl Iterator<Item = Address> {
    alarm.all("ATTENDEE").map(|a| Address::read(a.value()))
}

/// The e-mail alarms of one component, by whom they go to. An alarm for many people is read once, not once for each.
pub(super) struct EmailAlarms<'a> {
    /// Each alarm without its addressees, and where among its lines they stand.
    alarms: Vec<(Component, usize)>,
    /// The line that addresses somebody, with the place of its alarm.
    lines: HashMap<Address, Vec<(usize, &'a Property)>>,
}

impl<'a> EmailAlarms<'a> {
    pub fn of(event: &'a Component) -> Self {
        let mut found = Self { alarms: Vec::new(), lines: HashMap::new() };
        for alarm in event.components().filter(|c| is_email(c)) {
            let is_addressee = |i: &&Item| matches!(i, Item::Property(p) if p.is("ATTENDEE"));
            let at = alarm.items.iter().take_while(|i| !is_addressee(i)).count();
            let mut bare = Component::new(alarm.name());
            bare.items = alarm.items.iter().filter(|i| !is_addressee(i)).cloned().collect();
            for line in alarm.all("ATTENDEE") {
                found.lines.entry(Address::read(line.value())).or_default().push((found.alarms.len(), line));
            }
            found.alarms.push((bare, at));
        }
        found
    }

    /// Those that go to this person, with nobody else on them.
    pub fn to(&self, recipient: &Address) -> impl Iterator<Item = Component> + use<'_, 'a> {
        let lines = self.lines.get(recipient).map_or(&[][..], |lines| &lines[..]);
        lines.chunk_by(|(a, _), (b, _)| a == b).map(|lines| {
            let (mut alarm, at) = self.alarms[lines[0].0].clone();
            let own = lines.iter().map(|(_, line)| Item::Property((*line).clone()));
            alarm.items.splice(at..at, own);
            alarm
        })
    }
}

/// Leaves of the e-mail alarms those that go to `recipient`, and none where the message is not personal.
pub(super) fn for_recipient(event: &mut Component, emails: &EmailAlarms<'_>, recipient: Option<&Address>) {
    event.items.retain(|i| !matches!(i, Item::Component(c) if is_email(c)));
    for alarm in recipient.into_iter().flat_map(|r| emails.to(r)) {
        event.push_component(alarm);
    }
}

/// Puts the alarms of an updated copy together: the e-mail alarms of the message, and of the alarms in the copy those
/// that are not the organizer's.
pub(super) fn merge(event: &mut Component, copy: &Component) {
    let named: BTreeSet<String> = alarms(event).filter_map(|a| a.value("UID").map(str::to_owned)).collect();
    let invited: BTreeSet<Address> = event.all("ATTENDEE").map(|a| Address::read(a.value())).collect();
    let is_organizers = |alarm: &Component| {
        let by_uid = alarm.value("UID").is_some_and(|u| named.contains(u));
        by_uid || (alarm.get("ATTENDEE").is_some() && addressees(alarm).all(|a| invited.contains(&a)))
    };
    let own: Vec<Component> = alarms(copy).filter(|a| !(is_email(a) && is_organizers(a))).cloned().collect();
    event.items.retain(|i| !matches!(i, Item::Component(c) if c.is("VALARM") && !is_email(c)));
    for alarm in own {
        event.push_component(alarm);
    }
}

fn alarms(event: &Component) -> impl Iterator<Item = &Component> {
    event.components().filter(|c| c.is("VALARM"))
}
