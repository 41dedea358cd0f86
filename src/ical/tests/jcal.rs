use proptest::prelude::*;
use serde_json::{Value, json};

use super::{data, event};
use crate::ical::jcal::{from_jcal, to_jcal};
use crate::ical::{Component, Property};

/// The properties of the VEVENT in a calendar made of these lines.
fn properties(lines: &str) -> Vec<Value> {
    let jcal = to_jcal(&event(lines));
    jcal[2][0][1].as_array().unwrap()[2..].to_vec()
}

#[test]
fn what_esn_sabre_published_is_what_we_write() {
    let cases: Vec<Value> = serde_json::from_str(&data("esn-sabre-jcal.json")).unwrap();
    assert!(cases.len() > 50);
    for case in &cases {
        let tree = Component::parse(case["ics"].as_str().unwrap()).unwrap();
        assert_eq!(to_jcal(&tree), case["jcal"], "{}", case["name"]);
        let back = from_jcal(&case["jcal"]).unwrap();
        assert_eq!(to_jcal(&back), case["jcal"], "{}", case["name"]);
    }
}

#[test]
fn values_by_type() {
    assert_eq!(
        properties(
            "DTSTART;TZID=Europe/Paris:20260302T090000\nDTEND;TZID=Europe/Paris;VALUE=DATE:20260303\nEXDATE:20260302T090000Z,20260303T090000Z\n\
             RDATE;VALUE=PERIOD:20260304T090000Z/PT1H,20260304T090000Z/20260304T100000Z\nGEO:37.386013;-122.082932\n\
             REQUEST-STATUS:2.0;Success\nCATEGORIES:a\\,b,c\nPRIORITY:5\nDURATION:-PT15M\nX-ANY:raw\\, kept\n\
             X-BOOL;VALUE=BOOLEAN:TRUE\nX-TIME;VALUE=TIME:090000Z\nX-OFF;VALUE=UTC-OFFSET:-0500\n\
             RRULE:FREQ=WEEKLY;COUNT=3;BYDAY=MO,TU;INTERVAL=2\nATTENDEE;CN=Bob;MEMBER=\"mailto:a@x\",\"mailto:b@x\":mailto:bob@example.org\n\
             SUMMARY:a\\nb\\;c"
        ),
        [
            json!(["dtstart", {"tzid": "Europe/Paris"}, "date-time", "2026-03-02T09:00:00"]),
            json!(["dtend", {}, "date", "2026-03-03"]),
            json!(["exdate", {}, "date-time", "2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z"]),
            json!([
                "rdate",
                {},
                "period",
                ["2026-03-04T09:00:00Z", "PT1H"],
                ["2026-03-04T09:00:00Z", "2026-03-04T10:00:00Z"]
            ]),
            json!(["geo", {}, "float", [37.386013, -122.082932]]),
            json!(["request-status", {}, "text", ["2.0", "Success"]]),
            json!(["categories", {}, "text", "a,b", "c"]),
            json!(["priority", {}, "integer", 5]),
            json!(["duration", {}, "duration", "-PT15M"]),
            json!(["x-any", {}, "unknown", "raw\\, kept"]),
            json!(["x-bool", {}, "boolean", true]),
            json!(["x-time", {}, "time", "09:00:00Z"]),
            json!(["x-off", {}, "utc-offset", "-05:00"]),
            json!(["rrule", {}, "recur", {"freq": "WEEKLY", "count": 3, "byday": ["MO", "TU"], "interval": "2"}]),
            json!(["attendee", {"cn": "Bob", "member": ["mailto:a@x", "mailto:b@x"]}, "cal-address", "mailto:bob@example.org"]),
            json!(["summary", {}, "text", "a\nb;c"]),
        ]
    );
}

#[test]
fn garbage_values_survive() {
    let lines = "DTSTART:someday\nPRIORITY:high\nRRULE:FREQ=DAILY;UNTIL=INVALID DATE\nGEO:here";
    assert_eq!(
        properties(lines),
        [
            json!(["dtstart", {}, "date-time", "someday"]),
            json!(["priority", {}, "integer", "high"]),
            json!(["rrule", {}, "recur", {"freq": "DAILY", "until": "INVALID DATE"}]),
            json!(["geo", {}, "float", "here"]),
        ]
    );
    let there = event(lines);
    assert_eq!(from_jcal(&to_jcal(&there)).unwrap(), there);
}

/// Example of RFC 7265, appendix B.1 and §3.2–3.6.
#[test]
fn the_examples_of_rfc_7265() {
    let jcal = json!([
        "vcalendar",
        [
            ["calscale", {}, "text", "GREGORIAN"],
            ["prodid", {}, "text", "-//Example Inc.//Example Calendar//EN"],
            ["version", {}, "text", "2.0"]
        ],
        [[
            "vevent",
            [
                ["dtstamp", {}, "date-time", "2008-02-05T19:12:24Z"],
                ["dtstart", {}, "date", "2008-10-06"],
                ["summary", {}, "text", "Planning meeting"],
                ["uid", {}, "text", "4088E990AD89CB3DBB484909"]
            ],
            []
        ]]
    ]);
    let text = "BEGIN:VCALENDAR\r\nCALSCALE:GREGORIAN\r\nPRODID:-//Example Inc.//Example Calendar//EN\r\nVERSION:2.0\r\n\
                BEGIN:VEVENT\r\nDTSTAMP:20080205T191224Z\r\nDTSTART;VALUE=DATE:20081006\r\nSUMMARY:Planning meeting\r\n\
                UID:4088E990AD89CB3DBB484909\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    assert_eq!(from_jcal(&jcal).unwrap().to_wire(), text);
    assert_eq!(to_jcal(&Component::parse(text).unwrap()), jcal);
    for (jcal, line) in [
        (json!(["x-prop", {}, "text", "value"]), "X-PROP;VALUE=TEXT:value"),
        (json!(["attach", {}, "binary", "SGVsbG8="]), "ATTACH;VALUE=BINARY:SGVsbG8="),
        (
            json!(["freebusy", {"fbtype": "BUSY"}, "period", ["1997-03-08T16:00:00Z", "P1D"]]),
            "FREEBUSY;FBTYPE=BUSY:19970308T160000Z/P1D",
        ),
        (json!(["request-status", {}, "text", ["2.0", "Success"]]), "REQUEST-STATUS:2.0;Success"),
        (json!(["trigger", {}, "date-time", "2008-10-06T10:00:00Z"]), "TRIGGER;VALUE=DATE-TIME:20081006T100000Z"),
        (json!(["tzoffsetfrom", {}, "utc-offset", "-05:00"]), "TZOFFSETFROM:-0500"),
        (
            json!(["rrule", {}, "recur", {"byday": ["MO", "-1SU"], "freq": "YEARLY", "count": 5, "until": "2009-01-01"}]),
            "RRULE:FREQ=YEARLY;BYDAY=MO,-1SU;COUNT=5;UNTIL=20090101",
        ),
        (json!(["x-openpaas-videoconference", {}, "unknown", null]), "X-OPENPAAS-VIDEOCONFERENCE;VALUE=UNKNOWN:"),
        (json!(["sequence", [], "integer", 2]), "SEQUENCE:2"),
        (json!(["x-flag", {}, "boolean", false]), "X-FLAG;VALUE=BOOLEAN:FALSE"),
    ] {
        let calendar = from_jcal(&json!(["vcalendar", [jcal], []])).unwrap();
        assert_eq!(calendar.to_wire(), format!("BEGIN:VCALENDAR\r\n{line}\r\nEND:VCALENDAR\r\n"));
    }
}

#[test]
fn json_that_is_no_jcal_is_refused_with_its_place() {
    let fault = |value: Value| from_jcal(&value).unwrap_err().to_string();
    assert_eq!(fault(json!({})), "jCal: expected an array of name, properties and components");
    assert_eq!(fault(json!(["a\r\nb", [], []])), "jCal: expected an array of name, properties and components");
    assert_eq!(
        fault(json!(["vcalendar", [["x"]], []])),
        "vcalendar: expected properties of name, parameters, type and values"
    );
    assert_eq!(
        fault(json!(["vcalendar", [], [["vevent", [["summary", {}, "text", {"a": 1}]], []]]])),
        "vcalendar/vevent/summary: expected a plain value"
    );
    let mut deep = json!(["x", [], []]);
    for _ in 0..20 {
        deep = json!(["x", [], [deep]]);
    }
    assert!(fault(deep).ends_with("expected fewer nested components"));
}

#[test]
fn json_cannot_inject_lines() {
    let jcal = json!(["vcalendar", [
        ["x-a", {"cn": "a\r\nX-EVIL:1"}, "unknown", "b\r\nX-EVIL:2"],
        ["url", {}, "uri", "c\nX-EVIL:3"],
        ["rrule", {}, "recur", {"freq": "DAILY\r\nX-EVIL:4;COUNT=1"}],
        ["dtstart", {}, "date-time", "2026\r\nX-EVIL:5"],
    ], []]);
    let text = from_jcal(&jcal).unwrap().to_wire();
    assert!(Component::parse(&text).unwrap().get("X-EVIL").is_none(), "{text}");
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("vevent")),
        Just(json!("text")),
        Just(json!({})),
        Just(json!([]))
    ];
    leaf.prop_recursive(4, 40, 5, |inner| prop::collection::vec(inner, 0..5).prop_map(Value::Array))
}

proptest! {
    #[test]
    fn no_json_makes_the_reader_panic(value in json_values()) {
        let _ = from_jcal(&value);
        let _ = from_jcal(&json!(["vcalendar", [value.clone()], [value]]));
    }

    #[test]
    fn text_goes_there_and_back(text in "(\\PC|\n){0,80}", cn in "(\\PC|\n){0,40}") {
        let mut calendar = Component::new("VCALENDAR");
        calendar.push(Property::with_text("DESCRIPTION", &text).param("ALTREP", &cn));
        calendar.push(Property::new("X-RAW", text.replace('\n', "")));
        let there = to_jcal(&calendar);
        prop_assert_eq!(&there[1][0][3], &json!(text));
        prop_assert_eq!(from_jcal(&there).unwrap(), calendar);
    }
}
