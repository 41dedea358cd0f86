//! What others see of private events (dav §12): the one place where it is decided. Pure: text in, text out.
//!
//! `CLASS:PRIVATE` and `CLASS:CONFIDENTIAL` are private, and so is every class that nobody knows (RFC 5545 §3.8.1.3). Whoever
//! does not own the calendar is told when such a thing takes place and whose it is, and nothing else.

use std::borrow::Cow;

use crate::ical::{Component, Property, mentions};

/// What stays of a component. Of a time only the parameters stay that say which time it is.
const KEPT: [&str; 11] =
    ["UID", "DTSTAMP", "ORGANIZER", "DTSTART", "DTEND", "DUE", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID"];
/// Parameters that stay.
const KEPT_PARAMS: [&str; 4] = ["TZID", "VALUE", "RANGE", "CN"];
/// What stays of the calendar around it.
const FRAME: [&str; 4] = ["VERSION", "PRODID", "CALSCALE", "METHOD"];
/// What others read in place of what it is about.
const BUSY: &str = "Busy";

/// What somebody who does not own the calendar may see of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// All of it: nothing in it is private.
    Whole,
    /// This much.
    Reduced(Cow<'a, str>),
    /// Nothing: it says that it is private, and nothing more of it can be understood.
    Nothing,
}

/// What others may see of an object with this text.
pub(super) fn seen_by_others(text: &str) -> Seen<'_> {
    if !mentions(text, "CLASS") {
        return Seen::Whole;
    }
    match Component::parse(text) {
        Ok(calendar) => match reduced(&calendar) {
            Some(less) => Seen::Reduced(Cow::Owned(less.to_text())),
            None => Seen::Whole,
        },
        Err(_) => Seen::Nothing,
    }
}

/// Whether others see less of an object than there is.
pub(super) fn is_private(text: &str) -> bool {
    seen_by_others(text) != Seen::Whole
}

/// The calendar as others see it; `None` where they see all of it.
pub(super) fn reduced(calendar: &Component) -> Option<Component> {
    let objects = || calendar.components().filter(|c| !c.is("VTIMEZONE"));
    if !objects().any(has_private_class) {
        return None;
    }
    // An override without a class of its own has that of its series, and one that says otherwise must not tell of it.
    let is_whole = objects().any(|c| c.get("RECURRENCE-ID").is_none() && has_private_class(c));
    Some(rebuilt(calendar, |component| is_whole || has_private_class(component)))
}

/// The calendar as those see it who may only know when its owner is busy.
pub(super) fn as_busy(calendar: &Component) -> Component {
    rebuilt(calendar, |_| true)
}

/// The calendar with those components reduced that are to be.
fn rebuilt(calendar: &Component, hides: impl Fn(&Component) -> bool) -> Component {
    let mut less = Component::new(calendar.name());
    for property in calendar.properties().filter(|p| FRAME.iter().any(|name| p.is(name))) {
        less.push(property.clone());
    }
    for component in calendar.components() {
        let hidden = !component.is("VTIMEZONE") && hides(component);
        less.push_component(if hidden { busy(component) } else { component.clone() });
    }
    less
}

fn busy(component: &Component) -> Component {
    let mut less = Component::new(component.name());
    for property in component.properties().filter(|p| KEPT.iter().any(|name| p.is(name))) {
        let mut bare = Property::new(property.name(), property.value());
        for param in property.params().iter().filter(|p| KEPT_PARAMS.iter().any(|name| p.is(name))) {
            bare.push_param(param.clone());
        }
        less.push(bare);
    }
    less.push(Property::new("SUMMARY", BUSY));
    less.push(Property::new("CLASS", "PRIVATE"));
    less
}

fn has_private_class(component: &Component) -> bool {
    component.all("CLASS").any(|class| !class.value().trim().eq_ignore_ascii_case("PUBLIC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(lines: &str) -> String {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\nX-WR-CALNAME:Mine\r\nBEGIN:VEVENT\r\nUID:a\r\n{lines}\
             END:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    }

    fn less(text: &str) -> String {
        match seen_by_others(text) {
            Seen::Reduced(less) => less.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_public_is_seen_as_it_is() {
        for lines in
            ["SUMMARY:Open\r\n", "CLASS:PUBLIC\r\nSUMMARY:Open\r\n", "class:public\r\n", "SUMMARY:First class\r\n"]
        {
            assert_eq!(seen_by_others(&event(lines)), Seen::Whole, "{lines}");
        }
    }

    #[test]
    fn of_what_is_private_others_see_the_time() {
        let lines = "DTSTAMP:20300101T080000Z\r\nDTSTART;TZID=Europe/Paris;X-WHY=secret:20300102T130000\r\nDURATION:PT1H\r\n\
             RRULE:FREQ=DAILY\r\nEXDATE;TZID=Europe/Paris:20300103T130000\r\nSUMMARY:Secret\r\nLOCATION:Secret\r\n\
             DESCRIPTION:Secret\r\nCATEGORIES:Secret\r\nX-NOTE:Secret\r\nATTACH:https://example.org/secret\r\n\
             ORGANIZER;CN=Alice;X-WHY=secret:mailto:alice@example.org\r\nATTENDEE:mailto:secret@example.org\r\n\
             CLASS:Confidential\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:Secret\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\n";
        let less = less(&event(lines));
        let expected = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\nBEGIN:VEVENT\r\nUID:a\r\n\
             DTSTAMP:20300101T080000Z\r\nDTSTART;TZID=Europe/Paris:20300102T130000\r\nDURATION:PT1H\r\n\
             RRULE:FREQ=DAILY\r\nEXDATE;TZID=Europe/Paris:20300103T130000\r\n\
             ORGANIZER;CN=Alice:mailto:alice@example.org\r\nSUMMARY:Busy\r\nCLASS:PRIVATE\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        assert_eq!(less, expected);
    }

    #[test]
    fn a_class_is_found_however_it_is_written() {
        for class in
            ["CLASS:private", "class:PRIVATE", "CLASS:X-SECRET", "CLASS;X-A=b:PRIVATE", "CL\r\n ASS:PRI\r\n VATE"]
        {
            assert!(is_private(&event(&format!("SUMMARY:Secret\r\n{class}\r\n"))), "{class}");
        }
        assert!(is_private(&event("CLASS:PRIVATE\r\n").replace("\r\n", "\n")));
    }

    #[test]
    fn overrides_of_a_private_series_are_private_and_a_private_override_hides_itself() {
        let second = |first: &str, second: &str| {
            event(first).replace(
                "END:VEVENT\r\n",
                &format!(
                    "END:VEVENT\r\nBEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID:20300103T130000Z\r\n{second}END:VEVENT\r\n"
                ),
            )
        };
        let series = less(&second("CLASS:PRIVATE\r\nSUMMARY:One\r\n", "CLASS:PUBLIC\r\nSUMMARY:Two\r\n"));
        assert!(!series.contains("One") && !series.contains("Two"), "{series}");
        let single = less(&second("SUMMARY:One\r\n", "CLASS:PRIVATE\r\nSUMMARY:Two\r\n"));
        assert!(single.contains("One") && !single.contains("Two"), "{single}");
    }

    #[test]
    fn what_cannot_be_understood_and_may_be_private_is_not_seen() {
        assert_eq!(seen_by_others("CLASS:PRIVATE\r\nSUMMARY:Secret\r\n"), Seen::Nothing);
    }
}
