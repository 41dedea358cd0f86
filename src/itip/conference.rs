//! The video conference of an event, which two properties name: `CONFERENCE` (RFC 7986 §5.11), which calendar programs show,
//! and `X-OPENPAAS-VIDEOCONFERENCE`, which the web client and the mails know (dav §10.4).

use crate::ical::{Component, Item, Param, Property};

const CONFERENCE: &str = "CONFERENCE";
const VIDEO: &str = "X-OPENPAAS-VIDEOCONFERENCE";

/// Gives every event both properties where it has one of them. `X-OPENPAAS-VIDEOCONFERENCE` decides where they differ;
/// conferences without pictures stay as they are.
pub fn pair_conferences(calendar: &mut Component) {
    calendar.components_mut().filter(|c| c.is("VEVENT")).for_each(pair);
}

fn pair(event: &mut Component) {
    let named = event.get(VIDEO).map(|p| p.text().trim().to_owned()).filter(|url| !url.is_empty());
    let Some(url) = named else {
        let held = event.all(CONFERENCE).find(|p| has_pictures(p)).map(|p| p.value().trim().to_owned());
        if let Some(url) = held.filter(|url| !url.is_empty()) {
            event.set(Property::new(VIDEO, url));
        }
        return;
    };
    let is_outdated = |p: &Property| p.is(CONFERENCE) && has_pictures(p) && p.value().trim() != url;
    event.items.retain(|item| !matches!(item, Item::Property(p) if is_outdated(p)));
    if !event.all(CONFERENCE).any(has_pictures) {
        let mut conference = Property::new(CONFERENCE, url).param("VALUE", "URI");
        let features = ["AUDIO", "VIDEO"].map(str::to_owned).to_vec();
        conference.push_param(Param { name: "FEATURE".to_owned(), values: features });
        event.push(conference.param("LABEL", "Join video call"));
    }
}

fn has_pictures(conference: &Property) -> bool {
    let mut features = conference.params().iter().filter(|p| p.is("FEATURE")).flat_map(|p| &p.values);
    features.any(|feature| feature.split(',').any(|one| one.trim().eq_ignore_ascii_case("VIDEO")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(lines: &[&str]) -> Vec<String> {
        let text =
            format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", lines.join("\r\n"));
        let mut calendar = Component::parse(&text).unwrap();
        pair_conferences(&mut calendar);
        let once = calendar.clone();
        pair_conferences(&mut calendar);
        assert_eq!(calendar, once);
        let text = calendar.to_wire().replace("\r\n ", "");
        text.lines()
            .filter(|line| !line.starts_with("BEGIN:") && !line.starts_with("END:"))
            .map(str::to_owned)
            .collect()
    }

    const OPENPAAS: &str = "X-OPENPAAS-VIDEOCONFERENCE:https://meet.example.org/abc";
    const RFC: &str = "CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO;LABEL=Join video call:https://meet.example.org/abc";

    #[test]
    fn each_of_the_two_brings_the_other() {
        assert_eq!(paired(&["SUMMARY:Call", OPENPAAS]), ["SUMMARY:Call", OPENPAAS, RFC]);
        let other = "CONFERENCE;VALUE=URI;FEATURE=video;LABEL=Here:https://meet.example.org/abc";
        assert_eq!(paired(&[other]), [other, OPENPAAS]);
        let list = "CONFERENCE;VALUE=URI;FEATURE=\"AUDIO,VIDEO\":https://meet.example.org/abc";
        assert_eq!(paired(&[list, "X-OPENPAAS-VIDEOCONFERENCE:"]), [list, OPENPAAS]);
    }

    #[test]
    fn a_changed_address_replaces_the_old_one() {
        let old = RFC.replace("abc", "old");
        let phone = "CONFERENCE;VALUE=URI;FEATURE=PHONE,MODERATOR:tel:+49-30-0";
        assert_eq!(paired(&[&old, phone, OPENPAAS]), [phone, OPENPAAS, RFC]);
    }

    #[test]
    fn what_has_no_pictures_stays_alone() {
        for line in [
            "CONFERENCE;VALUE=URI;FEATURE=PHONE:tel:+49-30-0",
            "CONFERENCE;VALUE=URI:https://example.org/",
            "SUMMARY:x",
        ] {
            assert_eq!(paired(&[line]), [line]);
        }
    }
}
