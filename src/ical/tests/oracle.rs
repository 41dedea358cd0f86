//! The `rrule` crate as an independent opinion: where it is right, both must agree.

use chrono::{NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use proptest::prelude::*;
use rrule::{RRuleSet, Tz as RTz};

use crate::ical::recur::dates::Dates;
use crate::ical::recur::rule::Rule;

fn list(part: &'static str, values: &'static [&'static str], most: usize) -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::subsequence(values, 1..=most).prop_map(move |v| format!("{part}={}", v.join(","))))
}

fn rules() -> impl Strategy<Value = String> {
    let month = list("BYMONTH", &["1", "2", "3", "6", "11", "12"], 3);
    let month_day = list("BYMONTHDAY", &["1", "2", "13", "15", "29", "30", "31", "-1", "-2", "-31"], 3);
    let plain_day = list("BYDAY", &["MO", "TU", "WE", "TH", "FR", "SA", "SU"], 5);
    let nth_day = list("BYDAY", &["1MO", "2TU", "-1WE", "4TH", "-2FR", "5SU"], 3);
    let year_day = list("BYYEARDAY", &["1", "59", "60", "100", "200", "366", "-1", "-100"], 3);
    let hour = list("BYHOUR", &["0", "8", "9", "17", "23"], 3);
    let minute = list("BYMINUTE", &["0", "15", "59"], 2);
    let position = list("BYSETPOS", &["1", "2", "-1", "-3"], 2);
    let freq = prop::sample::select(&["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"][..]);
    let end = prop_oneof![Just(String::new()), (1u32..40).prop_map(|n| format!("COUNT={n}"))];
    let wkst = prop::option::of(prop::sample::select(&["WKST=SU", "WKST=WE"][..]));
    let days = prop_oneof![plain_day, nth_day];
    ((freq, 1u32..5, end, wkst), (month, month_day, days, year_day), (hour, minute, position)).prop_map(
        |((freq, interval, end, wkst), (month, month_day, days, year_day), (hour, minute, position))| {
            let nth = days.as_ref().is_some_and(|d| d.contains(char::is_numeric));
            let mut parts = vec![format!("FREQ={freq}"), format!("INTERVAL={interval}")];
            parts.extend((!end.is_empty()).then_some(end));
            parts.extend(wkst.map(str::to_owned));
            parts.extend(month);
            // What RFC 5545 allows together.
            if freq != "WEEKLY" {
                parts.extend(month_day);
            }
            if !nth || matches!(freq, "YEARLY" | "MONTHLY") {
                parts.extend(days.clone());
            }
            if freq == "YEARLY" && !nth {
                parts.extend(year_day);
            }
            // Below a day the crate jumps too far when it skips days: FREQ=MINUTELY;INTERVAL=2;BYMONTHDAY=-2;BYHOUR=9
            // misses months.
            if freq != "HOURLY" {
                parts.extend(hour);
                parts.extend(minute);
            }
            // The crate starts the first week at DTSTART instead of WKST, so positions in it differ.
            if freq != "WEEKLY" && days.is_some() {
                parts.extend(position);
            }
            parts.join(";")
        },
    )
}

/// What the crate says, in UTC, with DTSTART as the first and counted occurrence as we have it.
fn theirs(rule: &str, seed: NaiveDateTime, many: u16) -> Option<Vec<NaiveDateTime>> {
    let text = format!("DTSTART:{}\nRRULE:{rule}", seed.format("%Y%m%dT%H%M%SZ"));
    let set: RRuleSet = text.parse().ok()?;
    let result = set.limit().all(many);
    let dates: Vec<NaiveDateTime> = result.dates.iter().map(|d| d.with_timezone(&RTz::UTC).naive_utc()).collect();
    (dates.first() == Some(&seed)).then_some(dates)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn rules_unroll_as_the_rrule_crate_unrolls_them(rule in rules(), days in 0i64..3000, minutes in 0i64..1440) {
        let seed = NaiveDate::from_ymd_opt(2020, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap()
            + TimeDelta::days(days) + TimeDelta::minutes(minutes);
        let parsed: Rule = rule.parse().unwrap();
        // A first time by the rule itself, since the crate does not count another.
        let horizon = seed + TimeDelta::days(366 * 30);
        let first = Dates::new(&parsed, seed, seed + TimeDelta::seconds(1), horizon, 20_000).next();
        prop_assume!(first.is_some());
        let seed = first.unwrap();
        let Some(theirs) = theirs(&rule, seed, 60) else { return Ok(()) };
        let theirs: Vec<_> = theirs.into_iter().filter(|t| *t <= horizon).collect();
        let ours: Vec<_> = Dates::new(&parsed, seed, seed, horizon, 1_000_000).take(60).collect();
        prop_assert_eq!(&ours, &theirs, "{} from {}", rule, seed);
        // From any point on, the same: seeking agrees with walking.
        if let Some(middle) = ours.get(ours.len() / 2) {
            let sought: Vec<_> = Dates::new(&parsed, seed, *middle, horizon, 1_000_000).take(60 - ours.len() / 2).collect();
            prop_assert_eq!(&sought[..], &ours[ours.len() / 2..], "{} from {} at {}", rule, seed, middle);
        }
    }

    #[test]
    fn any_rule_text_is_read_and_bounded(rule in "(FREQ=(YEARLY|SECONDLY|WEEKLY);)?[A-Z=;,0-9TZ+-]{0,60}") {
        if let Some(rule) = Rule::read_leniently(&rule) {
            let seed = NaiveDate::from_ymd_opt(2020, 2, 29).unwrap().and_hms_opt(23, 59, 59).unwrap();
            let _ = Dates::new(&rule, seed, seed, NaiveDateTime::MAX, 500).take(50).count();
            let again = Rule::read_leniently(&rule.to_string());
            prop_assert_eq!(again.as_ref(), Some(&rule));
        }
    }

    #[test]
    fn zones_agree_with_chrono_tz(minutes in 0i64..(60 * 366 * 1440)) {
        let instant = chrono::Utc.with_ymd_and_hms(1980, 1, 1, 0, 0, 0).unwrap() + TimeDelta::minutes(minutes);
        for tz in [chrono_tz::Europe::Dublin, chrono_tz::Pacific::Apia, chrono_tz::Africa::Casablanca] {
            let zone = crate::ical::Zone::from(tz);
            let local = zone.to_local(instant);
            // An overlap reads as its first pass, at most a few hours before.
            let back = zone.to_utc(local);
            prop_assert!(back <= instant && instant - back <= TimeDelta::hours(24));
            prop_assert_eq!(zone.to_local(back), local);
        }
    }
}
