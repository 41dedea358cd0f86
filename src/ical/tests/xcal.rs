use proptest::prelude::*;
use serde_json::Value;

use super::data;
use crate::ical::jcal::{from_jcal, to_jcal};
use crate::ical::xcal::{from_xcal, to_xcal};
use crate::ical::{Component, Param, Property};

/// What is left of a calendar once it was jCal, which is all that xCal can say too.
fn sayable(calendar: &Component) -> Component {
    from_jcal(&to_jcal(calendar)).unwrap()
}

fn document(inner: &str) -> String {
    format!("<?xml version=\"1.0\"?><icalendar xmlns=\"urn:ietf:params:xml:ns:icalendar-2.0\">{inner}</icalendar>")
}

/// Example of RFC 6321, appendix B.1.
#[test]
fn the_first_example_of_rfc_6321() {
    let xml = document(
        "<vcalendar><properties><calscale><text>GREGORIAN</text></calscale>\
         <prodid><text>-//Example Inc.//Example Calendar//EN</text></prodid><version><text>2.0</text></version></properties>\
         <components><vevent><properties><dtstamp><date-time>2008-02-05T19:12:24Z</date-time></dtstamp>\
         <dtstart><date>2008-10-06</date></dtstart><summary><text>Planning meeting</text></summary>\
         <uid><text>4088E990AD89CB3DBB484909</text></uid></properties></vevent></components></vcalendar>",
    );
    let text = "BEGIN:VCALENDAR\r\nCALSCALE:GREGORIAN\r\nPRODID:-//Example Inc.//Example Calendar//EN\r\nVERSION:2.0\r\n\
                BEGIN:VEVENT\r\nDTSTAMP:20080205T191224Z\r\nDTSTART;VALUE=DATE:20081006\r\nSUMMARY:Planning meeting\r\n\
                UID:4088E990AD89CB3DBB484909\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    assert_eq!(from_xcal(&xml).unwrap().to_wire(), text);
    let written = to_xcal(&Component::parse(text).unwrap());
    assert_eq!(
        written.replace("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n", ""),
        xml.replace("<?xml version=\"1.0\"?>", "")
    );
}

/// Of RFC 6321, appendix B.2, and the structured values of §3.4.1.
#[test]
fn values_with_a_structure() {
    let calendar = super::calendar(
        "BEGIN:VEVENT\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=5;BYDAY=MO,TU\n\
         RDATE;TZID=US/Eastern;VALUE=PERIOD:20060102T150000/PT2H\nGEO:37.386013;-122.082932\n\
         REQUEST-STATUS:2.0;Success\nEXDATE:20060103T120000Z,20060104T120000Z\n\
         ATTENDEE;RSVP=TRUE;CN=A & B:mailto:a@example.org\nX-A/B:<raw>\nEND:VEVENT",
    );
    let xml = to_xcal(&calendar);
    for part in [
        "<duration><duration>PT1H</duration></duration>",
        "<rrule><recur><freq>DAILY</freq><count>5</count><byday>MO</byday><byday>TU</byday></recur></rrule>",
        "<rdate><parameters><tzid><text>US/Eastern</text></tzid></parameters><period><start>2006-01-02T15:00:00</start>\
         <duration>PT2H</duration></period></rdate>",
        "<geo><latitude>37.386013</latitude><longitude>-122.082932</longitude></geo>",
        "<request-status><code>2.0</code><description>Success</description></request-status>",
        "<exdate><date-time>2006-01-03T12:00:00Z</date-time><date-time>2006-01-04T12:00:00Z</date-time></exdate>",
        "<cn><text>A &amp; B</text></cn>",
        "<x-a_x2F_b><unknown>&lt;raw&gt;</unknown></x-a_x2F_b>",
    ] {
        assert!(xml.contains(part), "{part} is not in {xml}");
    }
    assert_eq!(from_xcal(&xml).unwrap(), sayable(&calendar));
}

#[test]
fn what_others_published_comes_back() {
    let cases: Vec<Value> = serde_json::from_str(&data("esn-sabre-jcal.json")).unwrap();
    for case in &cases {
        let tree = Component::parse(case["ics"].as_str().unwrap()).unwrap();
        assert_eq!(from_xcal(&to_xcal(&tree)).unwrap(), sayable(&tree), "{}", case["name"]);
    }
}

#[test]
fn other_namespaces_and_comments_are_passed_over() {
    let xml = document(
        "<!-- x --><vcalendar><properties>\n  <version>\n<text>2.0</text></version><x:y xmlns:x=\"urn:x\"><text>no</text></x:y>\
         </properties><components/></vcalendar>",
    );
    assert_eq!(from_xcal(&xml).unwrap().to_wire(), "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n");
}

#[test]
fn what_is_no_xcal_is_refused() {
    let deep = "<a>".repeat(100) + &"</a>".repeat(100);
    for (xml, expected) in [
        ("<icalendar/>".to_owned(), "expected an icalendar element"),
        ("<a></b>".to_owned(), "not well-formed"),
        (document("<vcalendar>"), "not well-formed"),
        (document(""), "expected one vcalendar"),
        (document(&deep), "inside one another"),
        (String::new(), "expected an icalendar element"),
        (format!("<!DOCTYPE a [<!ENTITY b \"c\">]>{}", document("<vcalendar/>")), "document types"),
        (document("<vcalendar><properties><version><text>&file;</text></version></properties></vcalendar>"), "entity"),
    ] {
        let error = from_xcal(&xml).unwrap_err().to_string();
        assert!(error.contains(expected), "{xml}: {error}");
    }
}

#[test]
fn xml_cannot_inject_lines() {
    let xml = document(
        "<vcalendar><properties><url><uri>a&#13;\nX-EVIL:1</uri></url><x-b><unknown>b\nX-EVIL:2</unknown></x-b>\
         <dtstart><date-time>2026\nX-EVIL:3</date-time></dtstart></properties></vcalendar>",
    );
    let text = from_xcal(&xml).unwrap().to_wire();
    assert!(Component::parse(&text).unwrap().get("X-EVIL").is_none(), "{text}");
}

fn properties() -> impl Strategy<Value = Property> {
    let text = "[ -~äßΩ語\n\t&<>\"']{0,40}";
    let rule = ("DAILY|WEEKLY|MONTHLY", 1..50_u32, proptest::sample::subsequence(vec!["MO", "TU", "SU"], 1..3));
    let plain = prop_oneof![
        ("SUMMARY|DESCRIPTION|COMMENT|X-[A-Z]{1,8}", text).prop_map(|(name, text)| Property::with_text(&name, &text)),
        rule.prop_map(|(freq, count, days)| {
            Property::new("RRULE", format!("FREQ={freq};COUNT={count};BYDAY={}", days.join(",")))
        }),
        (0..24_u32, 1..28_u32).prop_map(|(h, d)| Property::new("DTSTART", format!("203001{d:02}T{h:02}0000Z"))),
        proptest::collection::vec(1..28_u32, 1..4).prop_map(|days| {
            let days: Vec<String> = days.iter().map(|d| format!("203001{d:02}T080000")).collect();
            Property::new("EXDATE", days.join(",")).param("TZID", "Europe/Paris")
        }),
        (-90.0..90.0_f64, -180.0..180.0_f64).prop_map(|(a, b)| Property::new("GEO", format!("{a:.4};{b:.4}"))),
        "[a-z]{1,12}".prop_map(|who| Property::new("ATTENDEE", format!("mailto:{who}@example.org"))),
        (0..10_i64).prop_map(|n| Property::new("PRIORITY", n.to_string())),
        Just(Property::new("FREEBUSY", "20300101T080000Z/PT1H,20300102T080000Z/20300102T090000Z")),
        Just(Property::new("TRIGGER", "-PT15M")),
    ];
    let params = proptest::collection::vec(("CN|LANGUAGE|X-[A-Z]{1,4}", "[ -~äΩ]{0,20}"), 0..2);
    (plain, params).prop_map(|(mut property, params)| {
        for (name, value) in params {
            if property.get_param(&name).is_none() {
                property.push_param(Param::new(&name, &value));
            }
        }
        property
    })
}

fn calendars() -> impl Strategy<Value = Component> {
    let leaf = ("VEVENT|VTODO|VALARM|X-PART", proptest::collection::vec(properties(), 0..6));
    let leaf = leaf.prop_map(|(name, properties)| {
        let mut component = Component::new(&name);
        properties.into_iter().for_each(|p| component.push(p));
        component
    });
    let tree = leaf.prop_recursive(3, 12, 3, |inner| {
        (proptest::collection::vec(properties(), 0..4), proptest::collection::vec(inner, 0..3)).prop_map(
            |(own, parts)| {
                let mut component = Component::new("VCALENDAR");
                own.into_iter().for_each(|p| component.push(p));
                parts.into_iter().for_each(|c| component.push_component(c));
                component
            },
        )
    });
    tree.boxed()
}

proptest! {
    #[test]
    fn there_and_back_nothing_is_lost_that_can_be_said(calendar in calendars()) {
        let xml = to_xcal(&calendar);
        prop_assert_eq!(from_xcal(&xml).unwrap(), sayable(&calendar), "{}", xml);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(<|>|/|icalendar|vcalendar|properties|text|&|;|\\PC){0,60}") {
        let _ = from_xcal(&text);
        let _ = from_xcal(&document(&text));
    }
}
