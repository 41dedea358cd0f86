use icalendar::parser::{read_calendar, unfold};
use proptest::prelude::*;

use super::data;
use crate::ical::{Component, Limits, Param, ParseErrorKind, Property};

/// One content line as some producer may write it: odd folds, quotes, case, carets, vendor names.
fn content_line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(
        &[
            "SUMMARY",
            "summary",
            "X-APPLE-TRAVEL-ADVISORY-BEHAVIOR",
            "ATTENDEE",
            "CATEGORIES",
            "X-a.b_c",
            "IMAGE",
            "ACKNOWLEDGED",
        ][..],
    );
    let param = prop::sample::select(
        &[
            ";CN=Alice",
            ";CN=\"Doe, John; x: y\"",
            ";X-Q=\"a\",\"b\",c",
            ";CN=caret^n^^^'x^z",
            ";cn=\"\"",
            ";EMPTY=",
            ";NOVALUE",
            ";;CN=é",
            " ;CN= spaced ",
            ";X=a\"b",
            "",
        ][..],
    );
    let value = "([ -~]|\t|é|日|👩‍👩‍👧|\\\\n){0,120}";
    (name, prop::collection::vec(param, 0..4), value).prop_map(|(n, p, v)| format!("{n}{}:{v}", p.concat()))
}

/// Folds at random places, also within a character's neighbours and with tabs.
fn folded(line: &str, cuts: &[(usize, bool)], newline: &str) -> String {
    let mut out = line.to_owned();
    for (at, tab) in cuts {
        let mut at = at % (out.len() + 1);
        while !out.is_char_boundary(at) {
            at -= 1;
        }
        // A fold at the very start would continue the line before.
        if at > 0 && !out[..at].ends_with(['\r', '\n']) {
            out.insert_str(at, &format!("{newline}{}", if *tab { '\t' } else { ' ' }));
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_comes_back(
        lines in prop::collection::vec((content_line(), prop::collection::vec((0usize..400, any::<bool>()), 0..4)), 0..12),
        newlines in prop::sample::select(&[(0, "\r\n"), (0, "\n"), (3, "\r\n"), (2, "\n")][..]),
        bom in any::<bool>(),
        blank in any::<bool>(),
        ending in prop::sample::select(&["", "\n", "\r\n\r\n", "\n\u{1a}"][..]),
        begin in prop::sample::select(&["BEGIN:VEVENT", "begin:vevent", "BEGIN:VEVENT  "][..]),
    ) {
        let (mix, newline) = newlines;
        let other = if newline == "\n" { "\r\n" } else { "\n" };
        let mut text = String::new();
        if bom { text.push('\u{feff}'); }
        if blank { text.push_str("\r\n \r\n"); }
        let mut all = vec!["BEGIN:VCALENDAR".to_owned(), "VERSION:2.0".to_owned(), begin.to_owned()];
        all.extend(lines.iter().map(|(l, cuts)| folded(l, cuts, newline)));
        all.extend(["END:vevent".to_owned(), String::new(), "END:VCALENDAR".to_owned()]);
        for (i, line) in all.iter().enumerate() {
            if i > 0 { text.push_str(if mix > 0 && i % mix == 0 { other } else { newline }); }
            text.push_str(line);
        }
        text.push_str(ending);
        let tree = Component::parse(&text);
        prop_assert!(tree.is_ok(), "{:?} in {:?}", tree, text);
        let tree = tree.unwrap();
        prop_assert_eq!(tree.to_text(), text);
        // The canonical form says the same, and is itself read back unchanged.
        let wire = tree.to_wire();
        let again = Component::parse(&wire).unwrap();
        let significant = |c: &Component| {
            let mut c = c.clone();
            for e in c.components_mut() { e.items.retain(|i| !matches!(i, crate::ical::Item::Blank(_))); }
            c.items.retain(|i| !matches!(i, crate::ical::Item::Blank(_)));
            c
        };
        prop_assert_eq!(significant(&tree), again.clone());
        prop_assert_eq!(again.to_text(), wire.clone());
        for line in wire.split("\r\n") {
            prop_assert!(line.len() <= 75, "{:?}", line);
        }
    }

    #[test]
    fn what_we_write_the_icalendar_crate_reads(
        summary in "\\PC{0,200}",
        cn in "[^\\x00-\\x1f\\x7f\"^]{0,40}",
    ) {
        let mut event = Component::new("VEVENT");
        event.push(Property::new("UID", "u"));
        event.push(Property::with_text("SUMMARY", &summary));
        event.push(Property::new("ATTENDEE", "mailto:bob@example.org").param("CN", &cn).param("RSVP", "TRUE"));
        let mut calendar = Component::new("VCALENDAR");
        calendar.push(Property::new("VERSION", "2.0"));
        calendar.push_component(event);
        let unfolded = unfold(&calendar.to_wire());
        let theirs = read_calendar(&unfolded).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let their_event = &theirs.components[0];
        let find = |name: &str| their_event.properties.iter().find(|p| p.name == name).unwrap();
        // Their parser unescapes TEXT.
        prop_assert_eq!(find("SUMMARY").val.as_str(), summary.as_str());
        prop_assert_eq!(Property::new("SUMMARY", calendar.components().next().unwrap().value("SUMMARY").unwrap()).text(), summary);
        let attendee = find("ATTENDEE");
        prop_assert_eq!(attendee.val.as_str(), "mailto:bob@example.org");
        let cn_read = attendee.params.iter().find(|p| p.key == "CN").and_then(|p| p.val.as_ref()).map(|v| v.as_str());
        prop_assert_eq!(cn_read.unwrap_or("").trim_matches('"').trim(), cn.trim());
    }

    #[test]
    fn text_escapes_and_parameter_carets_are_undone(text in "\\PC*", value in "(\\PC|\n){0,60}") {
        prop_assert_eq!(Property::with_text("X", &text).text(), text);
        let p = Property::new("X-P", "v").param("CN", &value);
        let mut calendar = Component::new("VCALENDAR");
        calendar.push(p);
        let read = Component::parse(&calendar.to_wire()).unwrap();
        prop_assert_eq!(read.get("X-P").unwrap().get_param("CN"), Some(value.as_str()));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = Component::parse(&text);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = Component::parse(&text);
        let _ = Component::parse(&format!("BEGIN:VCALENDAR\r\n{text}\r\nEND:VCALENDAR"));
    }

    #[test]
    fn a_damaged_calendar_is_refused_or_comes_back(at in 0usize..2000, with in prop::sample::select(&["", "\n", "\"", ":", ";", "\r", "é", "BEGIN:"][..])) {
        let text = data("real-client.ics");
        let mut at = at % text.len();
        while !text.is_char_boundary(at) { at -= 1; }
        let damaged = format!("{}{with}{}", &text[..at], text[at..].chars().skip(1).collect::<String>());
        if let Ok(tree) = Component::parse(&damaged) {
            prop_assert_eq!(tree.to_text(), damaged);
        }
    }
}

#[test]
fn an_edit_changes_its_line_and_no_other() {
    let text = data("real-client.ics");
    let mut tree = Component::parse(&text).unwrap();
    assert_eq!(tree.to_text(), text);
    let event = tree.components_mut().find(|c| c.is("VEVENT")).unwrap();
    event.get_mut("LOCATION").unwrap().set_value("Elsewhere");
    let edited = tree.to_text();
    let changed: Vec<_> = text.lines().filter(|l| !edited.lines().any(|e| e == *l)).collect();
    assert_eq!(changed, ["LOCATION:Room 4\\, second floor"]);
    let new: Vec<_> = edited.lines().filter(|l| !text.lines().any(|e| e == *l)).collect();
    assert_eq!(new, ["LOCATION:Elsewhere"]);
}

#[test]
fn a_megabyte_in_one_line() {
    let value = "0123456789abcdef".repeat(1 << 16);
    let text = format!("BEGIN:VCALENDAR\r\nATTACH;VALUE=BINARY;ENCODING=BASE64:{value}\r\nEND:VCALENDAR\r\n");
    let tree = Component::parse(&text).unwrap();
    assert_eq!(tree.to_text(), text);
    let wire = tree.to_wire();
    assert!(wire.lines().all(|l| l.len() <= 75));
    assert_eq!(Component::parse(&wire).unwrap(), tree);
    let refused = Component::parse_within(&text, Limits { bytes: 1000, ..Limits::default() }).unwrap_err();
    assert_eq!(refused.kind, ParseErrorKind::TooLarge { what: "octets", max: 1000 });
}

#[test]
fn faults_are_named_with_their_line() {
    let fault = |text: &str| {
        let e = Component::parse(text).unwrap_err();
        (e.line, e.kind.to_string())
    };
    assert_eq!(fault(""), (1, "the text is empty".to_owned()));
    assert_eq!(fault("\n\nSUMMARY:x").0, 3);
    assert_eq!(fault("BEGIN:VCALENDAR\nno colon here\nEND:VCALENDAR").0, 2);
    assert_eq!(
        fault("BEGIN:VCALENDAR\nA:b\n c\nX;CN=\"open:1\nEND:VCALENDAR"),
        (4, "a quoted parameter value is not closed".into())
    );
    assert_eq!(fault("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VTODO\nEND:VCALENDAR").1, "END:VTODO closes BEGIN:VEVENT");
    assert_eq!(fault("BEGIN:VCALENDAR\nBEGIN:VEVENT\n"), (2, "BEGIN:VEVENT is never closed".into()));
    assert_eq!(fault("BEGIN:VCALENDAR\nEND:VCALENDAR\nBEGIN:VCALENDAR").0, 3);
    assert_eq!(fault("BEGIN:VCALENDAR\nA:\u{1}\nEND:VCALENDAR").1, "control character U+0001");
    let deep = "BEGIN:X\n".repeat(17);
    assert_eq!(fault(&deep), (17, "more than 16 nested components".into()));
}

#[test]
fn a_line_break_in_a_value_cannot_start_a_line() {
    let mut calendar = Component::new("VCALENDAR");
    calendar.push(Property::new("X-A", "1\r\nX-EVIL:2"));
    let mut with_param = Property::new("X-B", "1");
    with_param.push_param(Param::new("CN", "a\r\nX-EVIL:2"));
    calendar.push(with_param);
    let read = Component::parse(&calendar.to_wire()).unwrap();
    assert!(read.get("X-EVIL").is_none());
    assert_eq!(read.properties().count(), 2);
}
