//! The filter against the tables of RFC 4791 §9.9 and the words of §9.7, written down once more in the plainest way.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;
use crate::dav::server::put::object_of;
use crate::dav::xml::{XmlLimits, parse};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// 2030-01-07, a Monday.
const EPOCH: i64 = 1_893_974_400;

fn moment(hours: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(EPOCH + hours * HOUR, 0).unwrap()
}

fn written(hours: i64) -> String {
    moment(hours).format("%Y%m%dT%H%M%SZ").to_string()
}

/// What a component says about its time, in hours.
#[derive(Debug, Clone)]
struct Timed {
    kind: &'static str,
    start: Option<i64>,
    /// Whole days: `start` is a multiple of 24.
    is_date: bool,
    /// After the start.
    end: Option<i64>,
    duration: Option<i64>,
    completed: Option<i64>,
    created: Option<i64>,
    /// Every so many days, so many times.
    daily: Option<(i64, i64)>,
}

impl Timed {
    fn lines(&self) -> Vec<String> {
        let day = |hours: i64| moment(hours).format("%Y%m%d").to_string();
        let mut lines = Vec::new();
        match self.start {
            Some(start) if self.is_date => lines.push(format!("DTSTART;VALUE=DATE:{}", day(start))),
            Some(start) => lines.push(format!("DTSTART:{}", written(start))),
            None => {}
        }
        let end = if self.kind == "VTODO" { "DUE" } else { "DTEND" };
        match self.end {
            Some(at) if self.is_date => lines.push(format!("{end};VALUE=DATE:{}", day(at))),
            Some(at) => lines.push(format!("{end}:{}", written(at))),
            None => {}
        }
        lines.extend(self.duration.map(|d| format!("DURATION:PT{d}H")));
        lines.extend(self.completed.map(|at| format!("COMPLETED:{}", written(at))));
        lines.extend(self.created.map(|at| format!("CREATED:{}", written(at))));
        lines.extend(self.daily.map(|(step, count)| format!("RRULE:FREQ=DAILY;INTERVAL={step};COUNT={count}")));
        lines
    }

    /// The tables of RFC 4791 §9.9, for each occurrence.
    fn is_in(&self, from: i64, to: i64) -> bool {
        let (step, count) = self.daily.unwrap_or((1, 1));
        (0..count).any(|n| {
            let later = n * step * 24;
            let [start, end] = [self.start, self.end].map(|t| t.map(|t| t + later));
            let after = |d: i64| start.map(|s| s + d);
            match (self.kind, start) {
                ("VEVENT", Some(s)) => match (end, self.duration) {
                    (Some(e), _) => from < e && to > s,
                    (None, Some(d)) if d > 0 => from < s + d && to > s,
                    (None, None) if self.is_date => from < s + 24 && to > s,
                    _ => from <= s && to > s,
                },
                ("VTODO", Some(s)) => match (after(self.duration.unwrap_or(0)), self.duration, end) {
                    (Some(e), Some(_), _) => from <= e && (to > s || to >= e),
                    (_, None, Some(due)) => (from < due || from <= s) && (to > s || to >= due),
                    _ => from <= s && to > s,
                },
                ("VTODO", None) => match (end, self.completed, self.created) {
                    (Some(due), ..) => from < due && to >= due,
                    (None, Some(done), Some(made)) => (from <= made || from <= done) && (to >= made || to >= done),
                    (None, Some(done), None) => from <= done && to >= done,
                    (None, None, Some(made)) => to > made,
                    (None, None, None) => true,
                },
                (_, Some(s)) if self.is_date => from < s + 24 && to > s,
                (_, Some(s)) => from <= s && to > s,
                (_, None) => false,
            }
        })
    }
}

fn timed() -> impl Strategy<Value = Timed> {
    let kinds = prop_oneof![Just("VEVENT"), Just("VTODO"), Just("VJOURNAL")];
    let some = || proptest::option::of(0..200_i64);
    let daily = proptest::option::of((1..5_i64, 1..6_i64));
    (kinds, some(), any::<bool>(), some(), proptest::option::of(0..30_i64), (some(), some()), daily).prop_map(
        |(kind, start, is_date, length, duration, (completed, created), daily)| {
            let start = if kind == "VEVENT" { start.or(Some(5)) } else { start };
            let is_date = is_date && start.is_some();
            let start = start.map(|s| if is_date { s / 24 * 24 } else { s });
            let unit = if is_date { 24 } else { 1 };
            // An end is after its start; a length and an end exclude each other, and a length needs a start.
            let end = length.map(|l| start.unwrap_or(0) + (l % 9 + 1) * unit).filter(|_| kind != "VJOURNAL");
            let duration = duration.filter(|_| end.is_none() && start.is_some() && !is_date && kind != "VJOURNAL");
            let is_todo = kind == "VTODO";
            let (completed, created) = (completed.filter(|_| is_todo), created.filter(|_| is_todo));
            Timed { kind, start, is_date, end, duration, completed, created, daily: daily.filter(|_| start.is_some()) }
        },
    )
}

fn object(kind: &str, lines: &[String]) -> crate::store::Object {
    let text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:{kind}\r\nUID:u\r\nDTSTAMP:20300101T000000Z\r\n{}END:{kind}\r\n\
         END:VCALENDAR\r\n",
        lines.iter().map(|l| format!("{l}\r\n")).collect::<String>()
    );
    let parsed = Component::parse(&text).unwrap();
    object_of("u.ics", text, &parsed, kind, moment(0))
}

fn matcher(filter: &str) -> Matcher {
    let xml = format!(
        "<c:calendar-query xmlns:c=\"urn:ietf:params:xml:ns:caldav\"><c:filter><c:comp-filter name=\"VCALENDAR\">{filter}\
         </c:comp-filter></c:filter></c:calendar-query>"
    );
    let root = parse(xml.as_bytes(), XmlLimits { bytes: 10_000, depth: 16 }).unwrap().unwrap();
    let filter = Filter::read_calendar(&root).unwrap();
    Matcher::of(filter, Tz::UTC, Bounds::default(), OccurrenceCache::new(), moment(0))
}

fn range(from: Option<i64>, to: Option<i64>) -> String {
    let side = |name: &str, at: Option<i64>| at.map(|at| format!(" {name}=\"{}\"", written(at))).unwrap_or_default();
    format!("<c:time-range{}{}/>", side("start", from), side("end", to))
}

/// Whether the index may find the object, by the contract of the store.
fn is_found(filter: &ObjectFilter, meta: &ObjectMeta) -> bool {
    filter.component.as_ref().is_none_or(|c| *c == meta.component)
        && meta.first_occurrence.is_none_or(|first| {
            filter.end.is_none_or(|end| first <= end)
                && filter.start.is_none_or(|start| meta.last_occurrence.is_none_or(|last| last >= start))
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_time_range_finds_what_the_tables_of_the_rfc_say(
        timed in timed(),
        from in proptest::option::of(-10..260_i64),
        length in proptest::option::of(1..60_i64),
    ) {
        let to = length.map(|l| from.unwrap_or(0) + l);
        prop_assume!(from.is_some() || to.is_some());
        let object = object(timed.kind, &timed.lines());
        let expected = timed.is_in(from.unwrap_or(i64::MIN / DAY), to.unwrap_or(i64::MAX / DAY));
        let typed = format!("<c:comp-filter name=\"{}\">{}</c:comp-filter>", timed.kind, range(from, to));
        for filter in [typed, range(from, to)] {
            let matcher = matcher(&filter);
            prop_assert_eq!(matcher.passes(&object.meta, &object.data), expected, "{} {}", filter, object.data);
            if expected {
                prop_assert!(is_found(&matcher.prefilter(), &object.meta), "{} {:?}", filter, object.meta);
            }
        }
    }

    #[test]
    fn an_alarm_is_found_when_it_goes_off(
        timed in timed(),
        offset in -50..50_i64,
        from_end in any::<bool>(),
        (repeat, gap) in (0..4_i64, 1..30_i64),
        from in -60..260_i64,
        length in 1..40_i64,
    ) {
        prop_assume!(timed.kind != "VJOURNAL" && timed.start.is_some());
        let sign = if offset < 0 { "-" } else { "" };
        let related = if from_end { "END" } else { "START" };
        let mut lines = timed.lines();
        lines.extend([
            "BEGIN:VALARM".to_owned(),
            format!("TRIGGER;RELATED={related}:{sign}PT{}H", offset.abs()),
            format!("REPEAT:{repeat}"),
            format!("DURATION:PT{gap}H"),
            "END:VALARM".to_owned(),
        ]);
        let object = object(timed.kind, &lines);
        let length_of = match (timed.start, timed.end, timed.duration) {
            (Some(start), Some(end), _) => end - start,
            (_, None, Some(duration)) => duration,
            _ if timed.is_date && timed.kind == "VEVENT" => 24,
            _ => 0,
        };
        let (step, count) = timed.daily.unwrap_or((1, 1));
        let to = from + length;
        let expected = (0..count).any(|n| {
            let start = timed.start.unwrap_or(0) + n * step * 24;
            let first = start + if from_end { length_of } else { 0 } + offset;
            (0..=repeat).any(|r| from <= first + r * gap && to > first + r * gap)
        });
        let alarm = format!("<c:comp-filter name=\"VALARM\">{}</c:comp-filter>", range(Some(from), Some(to)));
        let matcher = matcher(&format!("<c:comp-filter name=\"{}\">{alarm}</c:comp-filter>", timed.kind));
        prop_assert_eq!(matcher.passes(&object.meta, &object.data), expected, "{} {}", alarm, object.data);
        prop_assert!(is_found(&matcher.prefilter(), &object.meta));
    }

    #[test]
    fn texts_and_parameters_are_looked_at_as_the_rfc_says(
        values in proptest::collection::vec(("[ab]{0,3}", proptest::option::of("[XY]{1,2}")), 0..3),
        test in tests(),
    ) {
        let lines: Vec<String> = values.iter().map(|(value, param)| match param {
            Some(param) => format!("X-P;X-Q={param}:{value}"),
            None => format!("X-P:{value}"),
        }).chain(["DTSTART:20300107T000000Z".to_owned()]).collect();
        let object = object("VEVENT", &lines);
        let filter = format!("<c:comp-filter name=\"VEVENT\"><c:prop-filter name=\"x-p\">{}</c:prop-filter></c:comp-filter>", test.xml());
        let expected = test.holds(&values);
        prop_assert_eq!(matcher(&filter).passes(&object.meta, &object.data), expected, "{} {}", filter, object.data);
    }
}

/// What a prop-filter asks.
#[derive(Debug, Clone)]
enum Test {
    Absent,
    Present,
    Text { needle: String, negate: bool, octet: bool },
    Param { text: Option<(String, bool)>, absent: bool },
    Both(Box<Test>, Box<Test>),
}

fn tests() -> impl Strategy<Value = Test> {
    let text = ("[abAB]{0,2}", any::<bool>(), any::<bool>());
    let text = text.prop_map(|(needle, negate, octet)| Test::Text { needle, negate, octet });
    let param = (proptest::option::of(("[xyXY]{1,2}", any::<bool>())), any::<bool>());
    let param = param.prop_map(|(text, absent)| Test::Param { text: text.filter(|_| !absent), absent });
    let one = prop_oneof![text.clone(), param.clone()];
    prop_oneof![
        Just(Test::Absent),
        Just(Test::Present),
        one,
        (text, param).prop_map(|(a, b)| Test::Both(Box::new(a), Box::new(b))),
    ]
}

impl Test {
    fn xml(&self) -> String {
        let yes = |negate: bool| if negate { "yes" } else { "no" };
        match self {
            Self::Absent => "<c:is-not-defined/>".to_owned(),
            Self::Present => String::new(),
            Self::Text { needle, negate, octet } => {
                let collation = if *octet { "i;octet" } else { "i;ascii-casemap" };
                format!(
                    "<c:text-match collation=\"{collation}\" negate-condition=\"{}\">{needle}</c:text-match>",
                    yes(*negate)
                )
            }
            Self::Param { absent: true, .. } => {
                "<c:param-filter name=\"X-Q\"><c:is-not-defined/></c:param-filter>".to_owned()
            }
            Self::Param { text: None, .. } => "<c:param-filter name=\"X-Q\"/>".to_owned(),
            Self::Param { text: Some((needle, negate)), .. } => format!(
                "<c:param-filter name=\"X-Q\"><c:text-match negate-condition=\"{}\">{needle}</c:text-match></c:param-filter>",
                yes(*negate)
            ),
            Self::Both(a, b) => a.xml() + &b.xml(),
        }
    }

    fn holds(&self, values: &[(String, Option<String>)]) -> bool {
        match self {
            Self::Absent => values.is_empty(),
            _ => values.iter().any(|(value, param)| self.holds_for(value, param.as_deref())),
        }
    }

    fn holds_for(&self, value: &str, param: Option<&str>) -> bool {
        let contains = |text: &str, needle: &str| text.to_ascii_lowercase().contains(&needle.to_ascii_lowercase());
        match self {
            Self::Absent => false,
            Self::Present => true,
            Self::Text { needle, negate, octet: true } => value.contains(needle.as_str()) != *negate,
            Self::Text { needle, negate, octet: false } => contains(value, needle) != *negate,
            Self::Param { absent, .. } if *absent => param.is_none(),
            Self::Param { text: None, .. } => param.is_some(),
            Self::Param { text: Some((needle, negate)), .. } => param.is_some_and(|p| contains(p, needle) != *negate),
            Self::Both(a, b) => a.holds_for(value, param) && b.holds_for(value, param),
        }
    }
}

#[test]
fn the_moment_of_the_tests_is_a_monday() {
    assert_eq!(moment(0), "2030-01-07T00:00:00Z".parse::<DateTime<Utc>>().unwrap());
    assert_eq!(moment(24) - moment(0), TimeDelta::days(1));
}
