//! jCal, xCal and jCard: what comes in another notation is as harmless as text, and settles after one round.

use convoke::ical::{Component, jcal, xcal};
use convoke::vcard::{Card, Version, jcard};

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.trim_start().as_bytes().first() {
        Some(b'[') => json(text),
        Some(b'<') => {
            if let Ok(calendar) = xcal::from_xcal(text) {
                calendar_settles(&calendar);
            }
        }
        _ => {
            if let Ok(calendar) = Component::parse_within(text, super::LIMITS) {
                calendar_settles(&calendar);
            }
        }
    }
}

fn json(text: &str) {
    let Ok(value) = serde_json::from_str(text) else { return };
    if let Ok(calendar) = jcal::from_jcal(&value) {
        is_one_object(&calendar);
        calendar_settles(&calendar);
    }
    if let Ok(card) = jcard::from_jcard(&value) {
        is_one_object(card.root());
        card_settles(&card);
    }
}

/// No value breaks out of its line.
fn is_one_object(root: &Component) {
    let wire = root.to_wire();
    let read = Component::parse(&wire).unwrap_or_else(|error| panic!("{error} in\n{wire}"));
    assert_eq!(shape(&read), shape(root), "another object:\n{wire}");
}

/// Names, in order.
fn shape(component: &Component) -> Vec<String> {
    let mut names = vec![format!("BEGIN:{}", component.name())];
    for item in &component.items {
        match item {
            convoke::ical::Item::Property(property) => names.push(property.name().to_owned()),
            convoke::ical::Item::Component(inner) => names.extend(shape(inner)),
            convoke::ical::Item::Blank(_) => {}
        }
    }
    names
}

fn calendar_settles(calendar: &Component) {
    let json = jcal::to_jcal(calendar);
    if let Ok(read) = jcal::from_jcal(&json) {
        is_one_object(&read);
        let once = jcal::to_jcal(&read);
        if let Ok(again) = jcal::from_jcal(&once) {
            assert_eq!(jcal::to_jcal(&again), once, "jCal does not settle");
        } else {
            panic!("our own jCal cannot be read:\n{once}");
        }
    }
    let document = xcal::to_xcal(calendar);
    match xcal::from_xcal(&document) {
        Ok(read) => is_one_object(&read),
        Err(xcal::XcalError::Xml(error)) => panic!("{error} in our own xCal:\n{document}"),
        Err(_) => {}
    }
}

fn card_settles(card: &Card) {
    let card = card.to_version(Version::V4);
    let once = jcard::to_jcard(&card);
    let read = jcard::from_jcard(&once).unwrap_or_else(|error| panic!("{error} in our own jCard:\n{once}"));
    is_one_object(read.root());
    let twice = jcard::to_jcard(&read);
    let again = jcard::from_jcard(&twice).unwrap_or_else(|error| panic!("{error} in our own jCard:\n{twice}"));
    assert_eq!(jcard::to_jcard(&again), twice, "jCard does not settle");
}
