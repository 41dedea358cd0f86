//! Nothing that people write is ever markup.

use std::sync::LazyLock;

use chrono::NaiveDate;
use chrono_tz::Tz;
use proptest::prelude::*;

use super::details::Details;
use super::gather::Happening;
use super::question::Question;
use super::view::{Page, Place};
use super::{Addresses, SPEAKERS};
use crate::ical::{Component, Event, Property, Zones};
use crate::ids::{CollectionId, HomeId, ObjectId};
use crate::store::{Collection, CollectionKind, CollectionProps};

fn calendar(name: &str, colour: &str) -> Collection {
    let id: ObjectId = "65aa00000000000000000001".parse().unwrap();
    Collection {
        id: CollectionId(id),
        home: HomeId(id),
        kind: CollectionKind::Calendar,
        uri: "work".to_owned(),
        props: CollectionProps {
            displayname: Some(name.to_owned()),
            color: Some(colour.to_owned()),
            ..CollectionProps::default()
        },
        sync_token: 1,
        public_right: None,
    }
}

/// A page with this text wherever people can write one.
fn page(view: &str, text: &str) -> String {
    let mut component = Component::new("VEVENT");
    for name in ["SUMMARY", "LOCATION", "DESCRIPTION", "URL", "CATEGORIES", "CONFERENCE"] {
        component.push(Property::with_text(name, &format!("x{text}")));
    }
    let no_address = format!("x{}", text.replace(['@', '%'], ""));
    for (name, address) in
        [("ORGANIZER", "mailto:bob@example.org"), ("ATTENDEE", &no_address), ("ATTENDEE", "mailto:carol@example.org")]
    {
        component.push(Property::new(name, address).param("CN", &format!("x{text}")));
    }
    let attach = Property::new("ATTACH", "https://example.org/a").param("FILENAME", &format!("x{text}"));
    component.push(attach);
    let zones = Zones::default();
    let day = |d: u32, hour| NaiveDate::from_ymd_opt(2026, 11, d).unwrap().and_hms_opt(hour, 0, 0).unwrap();
    let happening = |start, end, all_day| Happening {
        key: "e1".to_owned(),
        start,
        end,
        all_day,
        title: Some(format!("x{text}")),
        location: Some(format!("x{text}")),
        is_private: true,
        repeats: true,
        details: (view == "list").then(|| Details::of(&Event::new(&component, &zones))),
        ..Happening::default()
    };
    let events = [happening(day(16, 0), day(20, 0), true), happening(day(18, 9), day(18, 10), false)];
    let query = format!("view={view}&date=2026-11-18&open=e1");
    let question = Question::read(&query, Tz::UTC, "2026-11-18T12:00:00Z".parse().unwrap(), (1, 9999));
    let calendar = calendar(&format!("x{text}"), text);
    let place = Place {
        home: "/calendars/1/".to_owned(),
        books: "/addressbooks/1/".to_owned(),
        siblings: vec![("/calendars/1/work/".to_owned(), &calendar)],
        only: Some(&calendar),
        addresses: Some(Addresses::of("https://calendar.example.org", "alice@example.org", "/calendars/1/work/", true)),
    };
    let speaker = SPEAKERS.nearest(["en"]).unwrap();
    let today = question.date;
    let page = Page::of(&speaker.locale, &question, place, &events, false, today, chrono::Weekday::Mon);
    speaker.fill("agenda.html", &page).unwrap()
}

/// The tags of a document with the names of their attributes, in order.
fn skeleton(html: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let mut quote = None;
        let mut attributes = String::new();
        let mut end = rest.len();
        for (n, c) in rest[at..].char_indices() {
            match (quote, c) {
                (None, '"' | '\'') => quote = Some(c),
                (Some(q), c) if q == c => quote = None,
                (None, '>') => {
                    end = at + n + 1;
                    break;
                }
                (None, c) => attributes.push(c),
                (Some(_), _) => {}
            }
        }
        tags.push(attributes);
        rest = &rest[end..];
    }
    tags
}

/// The style sheet of a page.
fn sheet(html: &str) -> String {
    html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap().to_owned()
}

/// The tags of harmless pages, by view.
static HARMLESS: LazyLock<[(&str, Vec<String>); 3]> =
    LazyLock::new(|| ["month", "week", "list"].map(|view| (view, skeleton(&page(view, "y")))));

#[test]
fn text_that_wants_to_be_markup_is_text() {
    for view in ["month", "week", "list"] {
        let harmless = page(view, "y");
        let (plain, style) = (skeleton(&harmless), sheet(&harmless));
        assert!(plain.len() > 50 && plain.iter().filter(|tag| *tag == "<style").count() == 1, "{view}");
        for text in [
            "<script>alert(1)</script>",
            "\"><img src=x onerror=alert(1)>",
            "' onmouseover='alert(1)",
            "</style><script>",
            "</title></head>",
            "{{ style }} {% raw %}",
            "&lt;b&gt; &#60;",
            "<!--",
            "#fff}*{display:none}",
            "\u{202e}<\u{0}b>\u{feff}",
        ] {
            let html = page(view, text);
            assert_eq!(skeleton(&html), plain, "{view} {text}");
            assert_eq!(sheet(&html), style, "{view} {text}");
            assert!(!html.contains("<script") && !html.contains("<img"), "{view} {text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_text_breaks_out(text in r#"(\PC|[<>"'&{}%\n\r\t=/]|script|style|-->){0,24}"#) {
        for (view, tags) in HARMLESS.iter() {
            prop_assert_eq!(&skeleton(&page(view, &text)), tags);
        }
    }
}
