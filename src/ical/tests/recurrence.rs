use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{calendar, data, event, utc};
use crate::ical::recur::{
    Bounds, RecurError, expand, has_occurrence_at, instance, next_occurrence_after, occurrences, overlaps, span,
};
use crate::ical::{Component, When, Zones};

const NEW_YORK: Tz = Tz::America__New_York;
const PARIS: Tz = Tz::Europe__Paris;

fn all_time() -> std::ops::Range<DateTime<Utc>> {
    utc("0001-01-01T00:00:00Z")..utc("9999-01-01T00:00:00Z")
}

/// Starts in a range as wall times of Paris.
fn starts(object: &Component, from: &str, to: &str) -> Vec<String> {
    let found = occurrences(object, utc(from)..utc(to), PARIS, Bounds::default()).unwrap();
    found.iter().map(|o| o.start.with_timezone(&PARIS).format("%Y-%m-%d %H:%M").to_string()).collect()
}

/// Times of the "=" lines of a case.
fn expected(lines: &[&str], time: NaiveTime) -> Vec<NaiveDateTime> {
    let mut out = Vec::new();
    for line in lines {
        let (head, tail) = line.split_once(": ").unwrap();
        match head.len() {
            7 => {
                for item in tail.split(' ') {
                    let (first, last) = item.split_once('-').unwrap_or((item, item));
                    for day in first.parse::<u32>().unwrap()..=last.parse().unwrap() {
                        let date: NaiveDate = format!("{head}-{day:02}").parse().unwrap();
                        out.push(date.and_time(time));
                    }
                }
            }
            _ => {
                let date: NaiveDate = head.parse().unwrap();
                out.extend(tail.split(' ').map(|t| date.and_time(NaiveTime::parse_from_str(t, "%H%M").unwrap())));
            }
        }
    }
    out
}

#[test]
fn the_examples_of_rfc_5545() {
    let text = data("rrule-rfc5545.txt");
    let mut cases = 0;
    for case in text.split("\n\n") {
        let lines: Vec<&str> = case.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).collect();
        if lines.is_empty() {
            continue;
        }
        cases += 1;
        let zoned = |l: &&str| l.replace("DTSTART:", "DTSTART;TZID=America/New_York:");
        let body: Vec<String> = lines.iter().filter(|l| !l.starts_with('=')).map(zoned).collect();
        let body = body.join("\n").replace("EXDATE:", "EXDATE;TZID=America/New_York:");
        let body = body.replace("RDATE:", "RDATE;TZID=America/New_York:");
        let object = event(&body);
        let mut wanted: Vec<&str> = lines.iter().filter_map(|l| l.strip_prefix("= ")).collect();
        let endless = wanted.last() == Some(&"...");
        if endless {
            wanted.pop();
        }
        let start = Zones::of(&object);
        let start = When::read(object.components().next().unwrap().get("DTSTART").unwrap(), &start).unwrap();
        let wanted = expected(&wanted, start.local().time());
        let end = if endless {
            let last = new_york().to_utc(*wanted.last().unwrap());
            last + TimeDelta::seconds(1)
        } else {
            utc("2050-01-01T00:00:00Z")
        };
        let found = occurrences(&object, all_time().start..end, NEW_YORK, Bounds::default()).unwrap();
        let found: Vec<NaiveDateTime> = found.iter().map(|o| o.start.with_timezone(&NEW_YORK).naive_local()).collect();
        assert_eq!(found, wanted, "{case}");
        // Every window of the series gives the same occurrences: seeking changes nothing.
        for (i, at) in wanted.iter().enumerate() {
            let at = new_york().to_utc(*at);
            let window = at..at + TimeDelta::seconds(1);
            let one = occurrences(&object, window, NEW_YORK, Bounds::default()).unwrap();
            assert_eq!(one.len(), 1, "occurrence {i} of {case}");
            assert!(has_occurrence_at(&object, &When::Utc(at), NEW_YORK, Bounds::default()).unwrap());
            let before = next_occurrence_after(&object, at - TimeDelta::seconds(1), NEW_YORK, Bounds::default());
            assert_eq!(before.unwrap().unwrap().start, at, "{case}");
        }
        let span = span(&object, NEW_YORK);
        assert!(span.first.unwrap() <= new_york().to_utc(wanted[0]), "{case}");
        assert!(span.last.is_none_or(|l| l >= new_york().to_utc(*wanted.last().unwrap())), "{case}");
        if endless {
            assert_eq!(span.last, None, "{case}");
        }
    }
    assert!(cases > 55, "{cases} cases");
}

fn new_york() -> crate::ical::Zone {
    NEW_YORK.into()
}

#[test]
fn a_daily_event_of_1990_is_found_in_2040_at_once() {
    let object = event("DTSTART;TZID=Europe/Paris:19900101T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY");
    let bounds = Bounds { max_steps: 20, ..Bounds::default() };
    let found = occurrences(&object, utc("2040-06-01T00:00:00Z")..utc("2040-06-03T00:00:00Z"), PARIS, bounds).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].start, utc("2040-06-01T07:00:00Z"));
}

#[test]
fn a_count_is_kept_without_counting() {
    let bounds = Bounds { max_steps: 50, ..Bounds::default() };
    let lines = "DTSTART:19900101T090000Z\nRRULE:FREQ=SECONDLY;COUNT=2000000000";
    let object = event(lines);
    let at =
        |text: &str| occurrences(&object, utc(text)..utc(text) + TimeDelta::seconds(3), PARIS, bounds).unwrap().len();
    assert_eq!(at("2020-01-01T00:00:00Z"), 3);
    // 2,000,000,000 seconds after 1990-01-01T09:00:00Z.
    assert_eq!(at("2053-05-18T12:33:18Z"), 2);
    assert_eq!(at("2053-05-18T12:33:20Z"), 0);
}

#[test]
fn a_million_occurrences_are_refused_quickly() {
    let object = event("DTSTART:20260101T000000Z\nRRULE:FREQ=SECONDLY");
    let year = utc("2026-01-01T00:00:00Z")..utc("2027-01-01T00:00:00Z");
    let refused = occurrences(&object, year.clone(), PARIS, Bounds::default());
    assert_eq!(refused.unwrap_err(), RecurError::TooMany { max: 10_000 });
    assert!(overlaps(&object, "VEVENT", &year, PARIS, Bounds::default()).unwrap());
    assert_eq!(span(&object, PARIS).last, None);
    let next = next_occurrence_after(&object, utc("2030-01-01T00:00:00Z"), PARIS, Bounds::default());
    assert_eq!(next.unwrap().unwrap().start, utc("2030-01-01T00:00:01Z"));
}

#[test]
fn rules_that_search_for_nothing_end() {
    for rule in [
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;INTERVAL=7;BYHOUR=5;BYMINUTE=3;BYSECOND=1;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;INTERVAL=4294967295;BYYEARDAY=366;BYMONTH=1",
        "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
        "FREQ=DAILY;BYSETPOS=366",
        "FREQ=YEARLY;INTERVAL=4294967295",
        "FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23;BYSETPOS=-366",
    ] {
        let object = event(&format!("DTSTART:20260302T090000Z\nRRULE:{rule}"));
        let found = occurrences(&object, all_time(), PARIS, Bounds::default());
        assert!(found.is_err() || found.unwrap().len() < 3, "{rule}");
        let _ = span(&object, PARIS);
    }
}

#[test]
fn times_in_a_gap_and_in_an_overlap() {
    // 2026-03-29 02:30 does not exist in Paris; 2026-10-25 02:30 exists twice.
    let object = event("DTSTART;TZID=Europe/Paris:20260328T023000\nRRULE:FREQ=DAILY;COUNT=3");
    assert_eq!(
        starts(&object, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ["2026-03-28 02:30", "2026-03-29 03:30", "2026-03-30 02:30"]
    );
    let object = event("DTSTART;TZID=Europe/Paris:20261024T023000\nRRULE:FREQ=DAILY;COUNT=2");
    let found = occurrences(&object, all_time(), PARIS, Bounds::default()).unwrap();
    assert_eq!(found[1].start, utc("2026-10-25T00:30:00Z"));
}

#[test]
fn midnight_may_not_exist() {
    let object = event("DTSTART;TZID=America/Sao_Paulo:20171014T000000\nRRULE:FREQ=DAILY;COUNT=3");
    let found = occurrences(&object, all_time(), PARIS, Bounds::default()).unwrap();
    let starts: Vec<_> = found.iter().map(|o| o.start).collect();
    assert_eq!(starts, [utc("2017-10-14T03:00:00Z"), utc("2017-10-15T03:00:00Z"), utc("2017-10-16T02:00:00Z")]);
}

#[test]
fn whole_days_follow_the_readers_zone() {
    let object = event("DTSTART;VALUE=DATE:20260328\nDTEND;VALUE=DATE:20260330\nRRULE:FREQ=WEEKLY;COUNT=2");
    let found = occurrences(&object, all_time(), PARIS, Bounds::default()).unwrap();
    assert_eq!(found[0].start, utc("2026-03-27T23:00:00Z"));
    // Two days, of which one had 23 hours.
    assert_eq!(found[0].end, utc("2026-03-29T22:00:00Z"));
    assert_eq!(found[1].recurrence_id, When::Date("2026-04-04".parse().unwrap()));
    assert_eq!(found[1].end_when, Some(When::Date("2026-04-06".parse().unwrap())));
}

#[test]
fn an_end_in_another_zone_stays_there() {
    let object = event(
        "DTSTART;TZID=Europe/Paris:20260302T090000\nDTEND;TZID=America/New_York:20260302T060000\nRRULE:FREQ=DAILY;COUNT=2",
    );
    let found = occurrences(&object, all_time(), PARIS, Bounds::default()).unwrap();
    assert_eq!(found[1].end - found[1].start, TimeDelta::hours(3));
    assert_eq!(found[1].end_when.as_ref().unwrap().to_string(), "20260303T060000 America/New_York");
}

#[test]
fn exclusions_are_matched_by_instant_and_a_bare_date_excludes_its_day() {
    let object = event(
        "DTSTART;TZID=Europe/Paris:20260302T090000\nRRULE:FREQ=DAILY;COUNT=6\nEXDATE:20260303T080000Z\n\
         EXDATE;TZID=America/New_York:20260304T030000,20260305T030000\nEXDATE;VALUE=DATE:20260306\nEXDATE:garbage",
    );
    assert_eq!(
        starts(&object, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ["2026-03-02 09:00", "2026-03-07 09:00"]
    );
}

#[test]
fn a_period_brings_its_own_end() {
    let object = event(
        "DTSTART:20260302T090000Z\nDTEND:20260302T100000Z\n\
         RDATE;VALUE=PERIOD:20260304T090000Z/20260304T120000Z,20260305T090000Z/PT30M",
    );
    let found = occurrences(&object, all_time(), PARIS, Bounds::default()).unwrap();
    let lengths: Vec<i64> = found.iter().map(|o| (o.end - o.start).num_minutes()).collect();
    assert_eq!(lengths, [60, 180, 30]);
    // Found by its end, which is later than the length of the event would say.
    let late = utc("2026-03-04T11:30:00Z")..utc("2026-03-04T11:31:00Z");
    assert_eq!(occurrences(&object, late, PARIS, Bounds::default()).unwrap().len(), 1);
}

#[test]
fn the_period_of_an_instance_replaces_its_length() {
    let object = event(
        "DTSTART:20260302T090000Z\nDURATION:PT1H\n\
         RDATE;VALUE=PERIOD:20260304T090000Z/20260304T120000Z,20260305T090000Z/PT1H",
    );
    let at = |text: &str| instance(&object, &When::Utc(utc(text))).unwrap();
    let longer = at("2026-03-04T09:00:00Z");
    assert_eq!((longer.value("DTEND"), longer.value("DURATION")), (Some("20260304T120000Z"), None));
    let same = at("2026-03-05T09:00:00Z");
    assert_eq!((same.value("DTEND"), same.value("DURATION")), (None, Some("PT1H")));
}

#[test]
fn what_was_moved_earlier_comes_earlier() {
    let object = calendar(
        "BEGIN:VEVENT
         UID:u
         DTSTART:20260302T090000Z
         RRULE:FREQ=DAILY;COUNT=10
         END:VEVENT
         BEGIN:VEVENT
         UID:u
         RECURRENCE-ID;RANGE=THISANDFUTURE:20260306T090000Z
         DTSTART:20260303T080000Z
         END:VEVENT",
    );
    let next = |after: &str| {
        let found = next_occurrence_after(&object, utc(after), PARIS, Bounds::default()).unwrap();
        found.map(|o| o.start)
    };
    assert_eq!(next("2026-03-02T10:00:00Z"), Some(utc("2026-03-03T08:00:00Z")));
    assert_eq!(next("2026-03-04T07:00:00Z"), Some(utc("2026-03-04T08:00:00Z")));
    assert_eq!(next("2026-03-08T07:00:00Z"), Some(utc("2026-03-08T08:00:00Z")));
    assert_eq!(next("2026-03-08T08:00:00Z"), None);
}

fn moved_series() -> Component {
    calendar(
        "BEGIN:VEVENT
         UID:u
         DTSTAMP:20260101T000000Z
         DTSTART;TZID=Europe/Paris:20260302T090000
         DTEND;TZID=Europe/Paris:20260302T100000
         RRULE:FREQ=WEEKLY;COUNT=6
         SUMMARY:Standup
         X-KEPT:yes
         END:VEVENT
         BEGIN:VEVENT
         UID:u
         DTSTAMP:20260101T000000Z
         RECURRENCE-ID:20260309T080000Z
         DTSTART;TZID=Europe/Paris:20260611T140000
         DTEND;TZID=Europe/Paris:20260611T150000
         SUMMARY:Standup (moved)
         END:VEVENT
         BEGIN:VEVENT
         UID:u
         DTSTAMP:20260101T000000Z
         RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Paris:20260323T090000
         DTSTART;TZID=Europe/Paris:20260324T110000
         DTEND;TZID=Europe/Paris:20260324T113000
         SUMMARY:Standup (later)
         END:VEVENT",
    )
}

#[test]
fn overrides_move_one_and_this_and_future_moves_the_rest() {
    let object = moved_series();
    assert_eq!(
        starts(&object, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        [
            "2026-03-02 09:00",
            "2026-03-16 09:00",
            "2026-03-24 11:00",
            "2026-03-31 11:00",
            "2026-04-07 11:00",
            "2026-06-11 14:00"
        ]
    );
    let found = occurrences(&object, all_time(), PARIS, Bounds::default()).unwrap();
    assert_eq!(found[3].end - found[3].start, TimeDelta::minutes(30));
    assert_eq!(found[3].component.value("SUMMARY"), Some("Standup (later)"));
    assert_eq!(found[3].recurrence_id.to_string(), "20260330T090000 Europe/Paris");
    // The moved one is found where it is, and not where it was.
    assert!(starts(&object, "2026-03-09T00:00:00Z", "2026-03-10T00:00:00Z").is_empty());
    assert_eq!(starts(&object, "2026-06-11T12:30:00Z", "2026-06-11T12:31:00Z"), ["2026-06-11 14:00"]);
    let span = span(&object, PARIS);
    assert_eq!(span.last, Some(utc("2026-06-11T13:00:00Z")));
    let next = next_occurrence_after(&object, utc("2026-05-01T00:00:00Z"), PARIS, Bounds::default()).unwrap();
    assert_eq!(next.unwrap().start, utc("2026-06-11T12:00:00Z"));
}

#[test]
fn one_occurrence_as_a_component_of_its_own() {
    let object = moved_series();
    let id = |text: &str| When::Utc(utc(text));
    let made = instance(&object, &id("2026-03-16T08:00:00Z")).unwrap();
    assert_eq!(made.value("DTSTART"), Some("20260316T090000"));
    assert_eq!(made.get("DTSTART").unwrap().get_param("TZID"), Some("Europe/Paris"));
    assert_eq!(made.value("DTEND"), Some("20260316T100000"));
    assert_eq!(made.value("RECURRENCE-ID"), Some("20260316T090000"));
    assert_eq!(made.value("X-KEPT"), Some("yes"));
    assert!(made.get("RRULE").is_none());
    let own = instance(&object, &id("2026-03-09T08:00:00Z")).unwrap();
    assert_eq!(own.value("SUMMARY"), Some("Standup (moved)"));
    assert_eq!(own.value("RECURRENCE-ID"), Some("20260309T080000Z"));
    let later = instance(&object, &id("2026-03-30T07:00:00Z")).unwrap();
    assert_eq!(later.value("SUMMARY"), Some("Standup (later)"));
    assert_eq!(later.value("DTSTART"), Some("20260331T110000"));
    assert_eq!(later.get("RECURRENCE-ID").unwrap().get_param("RANGE"), None);
    assert_eq!(later.value("RECURRENCE-ID"), Some("20260330T090000"));
    assert!(instance(&object, &id("2026-03-17T08:00:00Z")).is_none());
}

#[test]
fn expansion_is_in_utc_without_rules_and_zones() {
    let range = utc("2026-03-01T00:00:00Z")..utc("2026-04-01T00:00:00Z");
    let mut object = moved_series();
    object.items.insert(2, crate::ical::Item::Component(crate::ical::zone::vtimezone(PARIS, range.start, range.end)));
    let expanded = expand(&object, range, PARIS, Bounds::default()).unwrap().to_wire();
    assert!(!expanded.contains("RRULE") && !expanded.contains("VTIMEZONE") && !expanded.contains("TZID"), "{expanded}");
    assert!(expanded.contains("DTSTART:20260302T080000Z\r\nDTEND:20260302T090000Z\r\n"), "{expanded}");
    // The first one carries a RECURRENCE-ID too.
    assert!(expanded.contains("RECURRENCE-ID:20260302T080000Z\r\n"), "{expanded}");
    assert!(expanded.contains("RECURRENCE-ID:20260330T070000Z\r\n"), "{expanded}");
    assert_eq!(expanded.matches("BEGIN:VEVENT").count(), 4);
    let single = event("DTSTART;VALUE=DATE:20260302\nSUMMARY:x");
    let range = utc("2026-03-01T00:00:00Z")..utc("2026-04-01T00:00:00Z");
    let expanded = expand(&single, range, PARIS, Bounds::default()).unwrap();
    assert_eq!(expanded, single);
}

#[test]
fn the_newest_of_two_overrides_of_one_occurrence_counts() {
    let object = calendar(
        "BEGIN:VEVENT
         UID:u
         DTSTAMP:20260101T000000Z
         DTSTART:20260302T090000Z
         RRULE:FREQ=DAILY;COUNT=2
         END:VEVENT
         BEGIN:VEVENT
         UID:u
         DTSTAMP:20260103T000000Z
         RECURRENCE-ID:20260303T090000Z
         DTSTART:20260303T110000Z
         END:VEVENT
         BEGIN:VEVENT
         UID:u
         DTSTAMP:20260102T000000Z
         RECURRENCE-ID:20260303T090000Z
         DTSTART:20260303T100000Z
         END:VEVENT",
    );
    assert_eq!(
        starts(&object, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ["2026-03-02 10:00", "2026-03-03 12:00"]
    );
}

#[test]
fn overrides_without_their_series() {
    let object = calendar(
        "BEGIN:VEVENT
         UID:u
         DTSTAMP:20260101T000000Z
         RECURRENCE-ID:20260303T090000Z
         DTSTART:20260304T090000Z
         DURATION:PT1H
         END:VEVENT",
    );
    assert_eq!(starts(&object, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"), ["2026-03-04 10:00"]);
    assert!(has_occurrence_at(&object, &When::Utc(utc("2026-03-03T09:00:00Z")), PARIS, Bounds::default()).unwrap());
    let span = span(&object, PARIS);
    assert_eq!((span.first, span.last), (Some(utc("2026-03-04T09:00:00Z")), Some(utc("2026-03-04T10:00:00Z"))));
}

#[test]
fn tasks_match_as_rfc_4791_9_9_says() {
    let todo = |lines: &str| calendar(&format!("BEGIN:VTODO\nUID:u\n{lines}\nEND:VTODO"));
    let matches = |object: &Component, from: &str, to: &str| {
        overlaps(object, "VTODO", &(utc(from)..utc(to)), PARIS, Bounds::default()).unwrap()
    };
    let bare = todo("SUMMARY:x");
    assert!(matches(&bare, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"));
    assert_eq!(span(&bare, PARIS), crate::ical::recur::Span { first: None, last: None });
    let due = todo("DUE:20260302T090000Z");
    assert!(matches(&due, "2026-03-02T08:00:00Z", "2026-03-02T09:00:00Z"));
    assert!(!matches(&due, "2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z"));
    let both = todo("DTSTART:20260302T090000Z\nDUE:20260303T090000Z");
    assert!(matches(&both, "2026-03-02T12:00:00Z", "2026-03-02T13:00:00Z"));
    assert!(!matches(&both, "2026-03-04T12:00:00Z", "2026-03-04T13:00:00Z"));
    let done = todo("COMPLETED:20260302T090000Z\nCREATED:20260301T090000Z");
    assert!(matches(&done, "2026-03-01T00:00:00Z", "2026-03-03T00:00:00Z"));
    assert!(!matches(&done, "2026-03-03T00:00:00Z", "2026-03-04T00:00:00Z"));
    let repeated = todo("DTSTART:20260302T090000Z\nDUE:20260302T100000Z\nRRULE:FREQ=DAILY");
    assert!(matches(&repeated, "2030-03-02T09:30:00Z", "2030-03-02T09:31:00Z"));
    let journal = calendar("BEGIN:VJOURNAL\nUID:u\nDTSTART;VALUE=DATE:20260302\nEND:VJOURNAL");
    let day = utc("2026-03-02T20:00:00Z")..utc("2026-03-02T21:00:00Z");
    assert!(overlaps(&journal, "VJOURNAL", &day, PARIS, Bounds::default()).unwrap());
    assert!(!overlaps(&journal, "VEVENT", &day, PARIS, Bounds::default()).unwrap());
}

#[test]
fn spans() {
    let span_of = |lines: &str| {
        let span = span(&event(lines), PARIS);
        let show = |t: Option<DateTime<Utc>>| t.map_or("-".to_owned(), |t| t.format("%Y-%m-%dT%H:%M").to_string());
        format!("{} {}", show(span.first), show(span.last))
    };
    assert_eq!(span_of("DTSTART:20260302T090000Z"), "2026-03-02T09:00 2026-03-02T09:00");
    assert_eq!(span_of("DTSTART;VALUE=DATE:20260302"), "2026-03-01T23:00 2026-03-02T23:00");
    assert_eq!(
        span_of("DTSTART:20260302T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3"),
        "2026-03-02T09:00 2026-03-04T10:00"
    );
    assert_eq!(
        span_of("DTSTART:20260302T090000Z\nRRULE:FREQ=WEEKLY;UNTIL=20260320T000000Z"),
        "2026-03-02T09:00 2026-03-16T09:00"
    );
    assert_eq!(span_of("DTSTART:20260302T090000Z\nRRULE:FREQ=DAILY"), "2026-03-02T09:00 -");
    assert_eq!(span_of("DTSTART:20260302T090000Z\nRRULE:FREQ=DAILY;UNTIL=INVALID DATE"), "2026-03-02T09:00 -");
    assert_eq!(span_of("DTSTART:20260302T090000Z\nRRULE:FREQ=DAILY;COUNT=1000000"), "2026-03-02T09:00 -");
    assert_eq!(
        span_of("DTSTART:20260302T090000Z\nRDATE:20250101T000000Z,20270101T000000Z"),
        "2025-01-01T00:00 2027-01-01T00:00"
    );
    assert_eq!(span_of("SUMMARY:no time"), "- -");
    assert_eq!(span_of("DTSTART:garbage"), "- -");
}

#[test]
fn a_count_of_zero_is_not_endless() {
    let object = event("DTSTART:20260302T090000Z\nRRULE:FREQ=DAILY;COUNT=0");
    assert_eq!(starts(&object, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z").len(), 1);
}

#[test]
fn a_day_that_is_23_hours_long_stays_so_in_utc() {
    let range = utc("2027-03-01T00:00:00Z")..utc("2027-04-01T00:00:00Z");
    let object = event("DTSTART;TZID=Europe/Paris:20270327T120000\nDURATION:P1D");
    let expanded = expand(&object, range.clone(), PARIS, Bounds::default()).unwrap().to_wire();
    assert!(expanded.contains("DTSTART:20270327T110000Z\r\nDTEND:20270328T100000Z\r\n"), "{expanded}");
    assert!(!expanded.contains("DURATION"), "{expanded}");
    let object = event("DTSTART;TZID=Europe/Paris:20270320T120000\nDURATION:P1D");
    let expanded = expand(&object, range, PARIS, Bounds::default()).unwrap().to_wire();
    assert!(expanded.contains("DURATION:P1D") && !expanded.contains("DTEND"), "{expanded}");
}
