use chrono::TimeDelta;
use chrono_tz::Tz;
use proptest::prelude::*;

use super::utc;
use crate::ical::{Duration, Period, Property, When, Zones, parse_duration};

fn read(line: &str) -> Result<When, crate::ical::TimeError> {
    let (head, value) = line.split_once(':').unwrap();
    let mut property = Property::new(head.split(';').next().unwrap(), value);
    for param in head.split(';').skip(1) {
        let (name, value) = param.split_once('=').unwrap();
        property.set_param(name, value);
    }
    When::read(&property, &Zones::default())
}

#[test]
fn the_form_of_a_value_decides() {
    assert!(matches!(read("DTSTART;VALUE=DATE:20260302"), Ok(When::Date(_))));
    assert!(matches!(read("DTSTART:20260302"), Ok(When::Date(_))));
    assert!(matches!(read("DTSTART;TZID=Europe/Paris;VALUE=DATE:20260302"), Ok(When::Date(_))));
    assert!(matches!(read("DTSTART:20260302T090000"), Ok(When::Floating(_))));
    assert!(matches!(read("DTSTART;TZID=Europe/Paris:20260302T090000Z"), Ok(When::Utc(_))));
    assert_eq!(read("DTSTART:2026-03-02T09:00:60Z").unwrap().value(), "20260302T090059Z");
    let zoned = read("DTSTART;TZID=Europe/Paris:20260302T090000").unwrap();
    assert_eq!(zoned.instant(Tz::UTC), utc("2026-03-02T08:00:00Z"));
    for bad in ["", "2026", "20260230", "20260302T", "20260302T9", "20260302T250000", "tomorrow", "20260302T090000+01"]
    {
        assert!(read(&format!("DTSTART:{bad}")).is_err(), "{bad}");
    }
    assert_eq!(read("DTSTART:20260302T25").unwrap_err().to_string(), "\"20260302T25\" is not a valid DATE-TIME value");
}

#[test]
fn a_time_is_written_as_it_was_read() {
    for line in [
        "DTSTART;VALUE=DATE:20260302",
        "DTSTART:20260302T090000",
        "DTSTART:20260302T090000Z",
        "DTSTART;TZID=Odd/Zone:20260302T090000",
    ] {
        let when = read(line).unwrap();
        let property = when.to_property("DTSTART");
        let params: Vec<String> = property.params().iter().map(|p| format!(";{}={}", p.name, p.value())).collect();
        assert_eq!(format!("DTSTART{}:{}", params.concat(), property.value()), line);
    }
}

#[test]
fn writing_a_time_keeps_other_parameters() {
    let mut property = Property::new("DTSTART", "20260302").param("VALUE", "DATE").param("X-KEPT", "1");
    read("DTSTART;TZID=Europe/Paris:20260302T090000").unwrap().write_to(&mut property);
    assert_eq!(property.get_param("VALUE"), None);
    assert_eq!(property.get_param("TZID"), Some("Europe/Paris"));
    assert_eq!(property.get_param("X-KEPT"), Some("1"));
}

#[test]
fn days_are_nominal_and_hours_exact() {
    let before = read("DTSTART;TZID=Europe/Paris:20260328T120000").unwrap();
    assert_eq!(before.plus(Duration::days(1)).value(), "20260329T120000");
    assert_eq!(before.plus(Duration::seconds(86_400)).value(), "20260329T130000");
    assert_eq!(read("DTSTART:20260302").unwrap().plus(Duration::days(-2)).value(), "20260228");
    assert_eq!(
        read("DTSTART:20261025T003000Z").unwrap().plus(Duration { days: 1, seconds: 60 }).value(),
        "20261026T003100Z"
    );
}

#[test]
fn durations_of_rfc_5545() {
    let d = |text: &str| parse_duration(text).unwrap();
    assert_eq!(d("P15DT5H0M20S"), Duration { days: 15, seconds: 5 * 3600 + 20 });
    assert_eq!(d("P7W"), Duration::days(49));
    assert_eq!(d("-PT15M"), Duration::seconds(-900));
    assert_eq!(d("+PT0S"), Duration::default());
    assert_eq!(d("-P1DT2H").exact(), TimeDelta::hours(-26));
    for bad in ["", "P", "PT", "1H", "PT1", "P1H", "PT1D", "P1D1", "PT99999999999S", "P-1D", "PTT1H"] {
        assert!(parse_duration(bad).is_err(), "{bad}");
    }
    for text in ["P15DT5H20S", "P7W", "-PT15M", "PT0S", "P1D", "PT1H1S"] {
        assert_eq!(d(text).to_string(), text);
    }
}

#[test]
fn a_duration_has_at_most_ten_thousand_years() {
    assert_eq!(parse_duration("-P3660000D"), Ok(Duration::days(-3_660_000)));
    let many = format!("PT{}", "9999999999H".repeat(300_000));
    for text in ["P3660001D", "P99999999W", "-P9999999999W9999999999W", "PT9999999999M", &many] {
        assert!(parse_duration(text).is_err(), "{}", &text[..text.len().min(40)]);
    }
}

#[test]
fn lists_and_periods() {
    let property =
        Property::new("RDATE", "20260304T090000Z/PT30M, 20260305T090000Z/20260305T100000Z,bad,20260306T090000Z");
    let zones = Zones::default();
    let good: Vec<_> = Period::list(&property, &zones).filter_map(Result::ok).collect();
    assert_eq!(good.len(), 3);
    assert_eq!(good[0].end().unwrap().value(), "20260304T093000Z");
    assert_eq!(good[1].end().unwrap().value(), "20260305T100000Z");
    assert_eq!(good[2].end(), None);
    assert!(When::read_list(&property, &zones).is_err());
    assert_eq!(When::list(&property, &zones).filter_map(Result::ok).count(), 3);
}

#[test]
fn the_same_moment_in_another_form() {
    let paris = read("X;TZID=Europe/Paris:20260302T090000").unwrap();
    let new_york = read("X;TZID=America/New_York:20260302T030000").unwrap();
    assert_ne!(paris, new_york);
    assert!(paris.same_instant(&new_york, Tz::UTC));
    assert_eq!(new_york.in_form_of(&paris, Tz::UTC), paris);
    let date = read("X:20260302").unwrap();
    assert_eq!(paris.in_form_of(&date, Tz::UTC), date);
    assert_eq!(read("X:20260301T230000Z").unwrap().in_form_of(&date, Tz::Europe__Paris), date);
    assert!(date.same_instant(&read("X:20260301T230000Z").unwrap(), Tz::Europe__Paris));
}

proptest! {
    #[test]
    fn durations_come_back(days in -5000i64..5000, seconds in -400_000i64..400_000) {
        prop_assume!(days.signum() * seconds.signum() >= 0);
        let duration = Duration { days, seconds };
        prop_assert_eq!(parse_duration(&duration.to_string()), Ok(duration));
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,24}") {
        let _ = parse_duration(&text);
        let zones = Zones::default();
        let property = Property::new("RDATE", text.as_str()).param("TZID", &text);
        let _ = When::read(&property, &zones);
        let _ = Period::read_list(&property, &zones);
        let _ = zones.get(&text);
        let _ = zones.get(&format!("(UTC+{text}) x"));
        let _ = zones.get(&format!("UTC+{text}"));
    }
}
