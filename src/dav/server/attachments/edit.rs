//! What becomes of an object when an attachment is added to it, replaced or removed (RFC 8607 §3.4 to §3.6). Pure.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::ical::{CalendarObject, Component, Event, Item, Property, When, recur};
use crate::store::attachments::MANAGED_ID;

/// Which instances of an object it is about.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Instances {
    /// The series with all its overrides.
    All,
    /// These.
    These(Vec<Instance>),
}

/// One of them (RFC 8607 §3.3.2).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Instance {
    /// The series.
    Master,
    /// The occurrence with this RECURRENCE-ID.
    At(When),
}

/// Why the object cannot be changed so.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It has no such instance.
    Rid(String),
    /// None of the instances has that attachment.
    ManagedId,
}

/// Adds an ATTACH to instances.
pub(super) fn add(
    object: &mut CalendarObject,
    instances: &Instances,
    attach: &Property,
    now: DateTime<Utc>,
) -> Result<(), Misfit> {
    let targets = targets(object, instances)?;
    for component in chosen(object, &targets) {
        component.push(attach.clone());
        touch(component, now);
    }
    Ok(())
}

/// Puts an ATTACH in the place of those of an attachment, wherever they are.
pub(super) fn replace(
    object: &mut CalendarObject,
    id: &str,
    attach: &Property,
    now: DateTime<Utc>,
) -> Result<(), Misfit> {
    let mut found = false;
    for component in object.components_mut() {
        let mut changed = false;
        for old in component.properties_mut().filter(|p| is_of(p, id)) {
            *old = attach.clone();
            changed = true;
        }
        if changed {
            touch(component, now);
        }
        found |= changed;
    }
    if found { Ok(()) } else { Err(Misfit::ManagedId) }
}

/// Takes the ATTACH of an attachment away from instances.
pub(super) fn remove(
    object: &mut CalendarObject,
    instances: &Instances,
    id: &str,
    now: DateTime<Utc>,
) -> Result<(), Misfit> {
    let targets = targets(object, instances)?;
    let mut found = false;
    for component in chosen(object, &targets) {
        let before = component.items.len();
        component.items.retain(|item| !matches!(item, Item::Property(p) if is_of(p, id)));
        if component.items.len() != before {
            touch(component, now);
            found = true;
        }
    }
    if found { Ok(()) } else { Err(Misfit::ManagedId) }
}

fn is_of(property: &Property, id: &str) -> bool {
    property.is("ATTACH") && property.get_param(MANAGED_ID) == Some(id)
}

/// A revision of what is stored (RFC 5545 §3.8.7.2, §3.8.7.3).
fn touch(component: &mut Component, now: DateTime<Utc>) {
    let now = now.format("%Y%m%dT%H%M%SZ").to_string();
    component.set(Property::new("DTSTAMP", now.clone()));
    component.set(Property::new("LAST-MODIFIED", now));
}

fn chosen<'o>(object: &'o mut CalendarObject, targets: &'o [usize]) -> impl Iterator<Item = &'o mut Component> {
    object.components_mut().enumerate().filter(|(at, _)| targets.contains(at)).map(|(_, component)| component)
}

/// The places of the components of instances. An occurrence that the series describes gets an override of its own.
fn targets(object: &mut CalendarObject, instances: &Instances) -> Result<Vec<usize>, Misfit> {
    let Instances::These(instances) = instances else {
        return Ok((0..object.components().count()).collect());
    };
    let mut targets = Vec::with_capacity(instances.len());
    for instance in instances {
        let at = match instance {
            Instance::Master => object.components().position(|c| c.get("RECURRENCE-ID").is_none()),
            Instance::At(when) => occurrence(object, when),
        };
        targets.push(at.ok_or_else(|| match instance {
            Instance::Master => Misfit::Rid("M".to_owned()),
            Instance::At(when) => Misfit::Rid(when.value()),
        })?);
    }
    Ok(targets)
}

fn occurrence(object: &mut CalendarObject, when: &When) -> Option<usize> {
    let zones = object.zones();
    // Of a floating series the client writes floating times; of the others, instants.
    let is_it = |c: &Component| {
        let own = Event::new(c, zones).recurrence_id();
        own.is_some_and(|own| own.same_instant(when, Tz::UTC))
    };
    if let Some(at) = object.components().position(is_it) {
        return Some(at);
    }
    object.master().filter(|master| Event::new(master, zones).is_recurring())?;
    let made = recur::instance(object.root(), when)?;
    object.root_mut().push_component(made);
    Some(object.components().count() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ical::Zones;

    const HEAD: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\n";

    fn object(events: &[&str]) -> CalendarObject {
        let mut text = HEAD.to_owned();
        for lines in events {
            text += &format!("BEGIN:VEVENT\r\nUID:a\r\nDTSTAMP:20300101T000000Z\r\n{lines}END:VEVENT\r\n");
        }
        CalendarObject::parse(&format!("{text}END:VCALENDAR\r\n")).unwrap()
    }

    fn attach(id: &str) -> Property {
        Property::new("ATTACH", format!("https://example.org/{id}")).param(MANAGED_ID, id)
    }

    fn at(value: &str) -> Instances {
        Instances::These(vec![Instance::At(When::parse(value, None, &Zones::default()).unwrap())])
    }

    /// RECURRENCE-ID and attachments of each component.
    fn attached(object: &CalendarObject) -> Vec<(String, Vec<String>)> {
        let ids = |c: &Component| c.all("ATTACH").map(|p| p.get_param(MANAGED_ID).unwrap().to_owned()).collect();
        object.components().map(|c| (c.value("RECURRENCE-ID").unwrap_or("M").to_owned(), ids(c))).collect()
    }

    fn expected(all: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        all.iter().map(|(at, ids)| ((*at).to_owned(), ids.iter().map(|id| (*id).to_owned()).collect())).collect()
    }

    const DAILY: &str = "DTSTART:20300101T090000Z\r\nRRULE:FREQ=DAILY;COUNT=5\r\n";
    const THIRD: &str = "RECURRENCE-ID:20300103T090000Z\r\nDTSTART:20300103T100000Z\r\n";

    fn now() -> DateTime<Utc> {
        "2030-01-02T03:04:05Z".parse().unwrap()
    }

    #[test]
    fn without_instances_it_is_added_everywhere() {
        let mut object = object(&[DAILY, THIRD]);
        add(&mut object, &Instances::All, &attach("1"), now()).unwrap();
        assert_eq!(attached(&object), expected(&[("M", &["1"]), ("20300103T090000Z", &["1"])]));
        let text = object.root().to_text();
        assert_eq!(text.matches("DTSTAMP:20300102T030405Z").count(), 2, "{text}");
        assert_eq!(text.matches("LAST-MODIFIED:20300102T030405Z").count(), 2, "{text}");
    }

    #[test]
    fn an_occurrence_gets_an_override_with_what_the_series_has() {
        let mut object = object(&[DAILY, THIRD]);
        add(&mut object, &Instances::These(vec![Instance::Master]), &attach("1"), now()).unwrap();
        add(&mut object, &at("20300102T090000Z"), &attach("2"), now()).unwrap();
        add(&mut object, &at("20300103T090000Z"), &attach("3"), now()).unwrap();
        let all = expected(&[("M", &["1"]), ("20300103T090000Z", &["3"]), ("20300102T090000Z", &["1", "2"])]);
        assert_eq!(attached(&object), all);
        remove(&mut object, &at("20300104T090000Z"), "1", now()).unwrap();
        assert_eq!(attached(&object).last(), expected(&[("20300104T090000Z", &[])]).last());
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let mut object = object(&[DAILY]);
        for wrong in ["20300102T100000Z", "20300106T090000Z"] {
            let refused = add(&mut object, &at(wrong), &attach("1"), now());
            assert_eq!(refused, Err(Misfit::Rid(wrong.to_owned())));
        }
        assert_eq!(replace(&mut object, "1", &attach("2"), now()), Err(Misfit::ManagedId));
        assert_eq!(remove(&mut object, &Instances::All, "1", now()), Err(Misfit::ManagedId));
        let mut single = self::object(&["DTSTART:20300101T090000Z\r\n"]);
        assert!(add(&mut single, &at("20300101T090000Z"), &attach("1"), now()).is_err(), "no series");
        assert!(add(&mut single, &Instances::These(vec![Instance::Master]), &attach("1"), now()).is_ok());
    }

    #[test]
    fn one_is_replaced_wherever_it_is() {
        let mut object = object(&[DAILY, THIRD]);
        add(&mut object, &Instances::All, &attach("1"), now()).unwrap();
        add(&mut object, &Instances::These(vec![Instance::Master]), &attach("2"), now()).unwrap();
        replace(&mut object, "1", &attach("3"), now()).unwrap();
        assert_eq!(attached(&object), expected(&[("M", &["3", "2"]), ("20300103T090000Z", &["3"])]));
    }

    #[test]
    fn an_occurrence_is_found_by_its_instant_in_a_zone() {
        let mut object = object(&["DTSTART;TZID=Europe/Paris:20300101T090000\r\nRRULE:FREQ=DAILY;COUNT=5\r\n"]);
        add(&mut object, &at("20300102T080000Z"), &attach("1"), now()).unwrap();
        assert_eq!(attached(&object), expected(&[("M", &[]), ("20300102T090000", &["1"])]));
    }
}
