//! Files taken apart into objects: a file holds as many events or cards as somebody liked to put into it, a server wants one
//! object for each UID (RFC 4791 §4.1).

use std::collections::{BTreeSet, HashMap};

use crate::dav::precondition::etag_of;
use crate::ical::{Component, Limits, ParseError};

use super::{Item, Kind};

/// A name longer than this is not made of a UID.
const LONGEST_NAME: usize = 120;

/// The objects in a text. One that is an object already is not touched.
///
/// # Errors
/// [`ParseError`] when the text is neither.
pub(super) fn objects(kind: Kind, text: &str, limits: Limits) -> Result<Vec<Item>, ParseError> {
    let mut items = Vec::new();
    match kind {
        Kind::Calendar => {
            for stream in streams(text, "VCALENDAR") {
                let calendar = Component::parse_within(stream, limits)?;
                items.extend(of_calendar(stream, &calendar));
            }
        }
        Kind::AddressBook => {
            for card in streams(text, "VCARD") {
                let uid = Component::parse_within(card, limits)?.value("UID").map(|uid| uid.trim().to_owned());
                items.push(Item { name: name_of(uid.as_deref(), card, kind), data: card.to_owned() });
            }
        }
    }
    Ok(items)
}

/// What stands between the BEGIN and the END of each outermost component of that name, both included.
fn streams<'t>(text: &'t str, component: &str) -> Vec<&'t str> {
    let is = |line: &str, word: &str| {
        let (name, value) = line.split_once(':').unwrap_or_default();
        name.trim().eq_ignore_ascii_case(word) && value.trim().eq_ignore_ascii_case(component)
    };
    let (mut found, mut depth, mut begin, mut at) = (Vec::new(), 0_usize, 0, 0);
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        let line = line.trim_start_matches('\u{feff}');
        if is(line, "BEGIN") {
            if depth == 0 {
                begin = end - line.len();
            }
            depth += 1;
        } else if is(line, "END") {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                found.push(&text[begin..end]);
            }
        }
        at = end;
    }
    found
}

/// One object for each UID and type, with the time zones that it names. METHOD goes, for it makes a message of it.
fn of_calendar(stream: &str, calendar: &Component) -> Vec<Item> {
    let mut groups: Vec<(Option<&str>, Vec<&Component>)> = Vec::new();
    let mut places: HashMap<(String, &str), usize> = HashMap::new();
    for component in calendar.components().filter(|c| !c.is("VTIMEZONE")) {
        // Without a UID nothing says that components belong together.
        let uid = component.value("UID").map(str::trim).filter(|uid| !uid.is_empty());
        let key = uid.map(|uid| (component.name().to_ascii_uppercase(), uid));
        match key.as_ref().and_then(|key| places.get(key)) {
            Some(at) => groups[*at].1.push(component),
            None => {
                places.extend(key.map(|key| (key, groups.len())));
                groups.push((uid, vec![component]));
            }
        }
    }
    let is_object = groups.len() == 1 && calendar.get("METHOD").is_none();
    let item = |(uid, components): &(Option<&str>, Vec<&Component>)| {
        let data = if is_object { stream.to_owned() } else { object_of(calendar, components) };
        Item { name: name_of(*uid, &data, Kind::Calendar), data }
    };
    groups.iter().map(item).collect()
}

fn object_of(calendar: &Component, components: &[&Component]) -> String {
    let mut object = Component::new("VCALENDAR");
    // What the file says of the calendar as a whole is not about this object.
    let about_all = |name: &str| name.eq_ignore_ascii_case("METHOD") || name.to_ascii_uppercase().starts_with("X-WR-");
    calendar.properties().filter(|p| !about_all(p.name())).for_each(|p| object.push(p.clone()));
    let mut zones = BTreeSet::new();
    components.iter().for_each(|c| zones_of(c, &mut zones));
    for zone in calendar.components().filter(|c| c.is("VTIMEZONE")) {
        if zone.value("TZID").is_some_and(|id| zones.contains(id)) {
            object.push_component(zone.clone());
        }
    }
    components.iter().for_each(|c| object.push_component((*c).clone()));
    object.to_text()
}

fn zones_of(component: &Component, zones: &mut BTreeSet<String>) {
    zones.extend(component.properties().filter_map(|p| p.get_param("TZID")).map(str::to_owned));
    component.components().for_each(|c| zones_of(c, zones));
}

/// What an object is: the type of its components and their UID. `None` for what cannot be read or has none.
pub(super) fn identity(kind: Kind, text: &str) -> Option<(String, String)> {
    let root = Component::parse(text).ok()?;
    let component = match kind {
        Kind::Calendar => root.components().find(|c| !c.is("VTIMEZONE"))?,
        Kind::AddressBook => &root,
    };
    let uid = component.value("UID")?.trim();
    (!uid.is_empty()).then(|| (component.name().to_ascii_uppercase(), uid.to_owned()))
}

/// A name that no other object has.
pub(super) fn name_by_content(kind: Kind, text: &str) -> String {
    let what = identity(kind, text).map(|(component, uid)| format!("{component} {uid}"));
    format!("{}{}", etag_of(what.as_deref().unwrap_or(text)), kind.ending())
}

/// A name for an object: its UID where that can stand in a path.
fn name_of(uid: Option<&str>, data: &str, kind: Kind) -> String {
    let fits = |uid: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@+=".contains(c);
        uid.len() <= LONGEST_NAME && uid.chars().all(plain) && !uid.starts_with('.') && !uid.is_empty()
    };
    match uid.filter(fits) {
        Some(uid) => format!("{uid}{}", kind.ending()),
        None => format!("{}{}", etag_of(uid.unwrap_or(data)), kind.ending()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example.org//export\r\n";

    fn calendar(text: &str) -> Vec<Item> {
        objects(Kind::Calendar, text, Limits::default()).unwrap()
    }

    #[test]
    fn an_object_is_not_touched() {
        let one = format!("{HEAD}begin:vevent\r\nUID:a\r\nX-ODD: 1\r\nend:vevent\r\nEND:VCALENDAR\r\n");
        assert_eq!(calendar(&one), [Item { name: "a.ics".to_owned(), data: one }]);
    }

    #[test]
    fn a_file_of_many_becomes_objects_with_their_zones() {
        let zone = |id: &str| {
            format!(
                "BEGIN:VTIMEZONE\r\nTZID:{id}\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
            )
        };
        let text = format!(
            "{HEAD}METHOD:PUBLISH\r\nX-WR-CALNAME:All\r\n{}{}\
             BEGIN:VEVENT\r\nUID:a\r\nDTSTART;TZID=Europe/Paris:20260601T100000\r\nEND:VEVENT\r\n\
             BEGIN:VTODO\r\nUID:b/c\r\nEND:VTODO\r\n\
             BEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID;TZID=Europe/Paris:20260602T100000\r\nEND:VEVENT\r\n\
             BEGIN:VEVENT\r\nSUMMARY:first without\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nSUMMARY:second\r\nEND:VEVENT\r\n\
             END:VCALENDAR\r\nBEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:d\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
            zone("Europe/Paris"),
            zone("Asia/Tokyo")
        );
        let items = calendar(&text);
        assert_eq!(items.len(), 5);
        assert_eq!((items[0].name.as_str(), items[4].name.as_str()), ("a.ics", "d.ics"));
        assert_eq!(items[0].data.matches("BEGIN:VEVENT").count(), 2);
        assert_eq!(items[0].data.matches("BEGIN:VTIMEZONE").count(), 1);
        assert!(items[0].data.contains("TZID:Europe/Paris"));
        assert!(!items[1].data.contains("VTIMEZONE") && items[1].name.len() == 36);
        for item in &items {
            assert!(!item.data.contains("METHOD") && !item.data.contains("X-WR-"), "{}", item.data);
            assert!(item.data.contains("VERSION:2.0"));
        }
        assert_ne!(items[2].name, items[3].name);
    }

    #[test]
    fn cards_stay_as_they_are() {
        let text = "\u{feff}BEGIN:VCARD\r\nVERSION:3.0\r\nUID:x\r\nFN:Alice\r\nEND:VCARD\r\n\r\nbegin:vcard\nVERSION:4.0\nFN:Bob\nend:vcard";
        let items = objects(Kind::AddressBook, text, Limits::default()).unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].name, "x.vcf");
        assert!(items[0].data.starts_with("BEGIN:VCARD") && items[0].data.ends_with("END:VCARD\r\n"));
        assert_eq!(items[1].data, "begin:vcard\nVERSION:4.0\nFN:Bob\nend:vcard");
    }

    #[test]
    fn what_is_neither_holds_nothing() {
        assert_eq!(calendar("hello"), []);
        assert!(
            objects(Kind::Calendar, "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR\r\n", Limits::default()).is_err()
        );
    }
}
