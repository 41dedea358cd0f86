use chrono::{NaiveDateTime, TimeDelta};
use chrono_tz::Tz;

use super::{calendar, event, utc};
use crate::ical::zone::vtimezone;
use crate::ical::{Component, Event, Zone, Zones};

fn local(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

fn tz(name: &str) -> Option<Tz> {
    Zones::default().get(name)?.tz()
}

#[test]
fn names_of_zones() {
    for (name, zone) in [
        ("Europe/Paris", Tz::Europe__Paris),
        ("europe/paris", Tz::Europe__Paris),
        ("Asia/Calcutta", Tz::Asia__Calcutta),
        ("/mozilla.org/20050126_1/Europe/Paris", Tz::Europe__Paris),
        ("/freeassociation.sourceforge.net/Europe/Berlin", Tz::Europe__Berlin),
        ("/softwarestudio.org/Olson_20011030_5/America/Argentina/Buenos_Aires", Tz::America__Argentina__Buenos_Aires),
        ("Romance Standard Time", Tz::Europe__Paris),
        ("W. Europe Standard Time", Tz::Europe__Berlin),
        ("W. Europe Standard Time 1", Tz::Europe__Berlin),
        ("Eastern Standard Time", Tz::America__New_York),
        ("(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna", Tz::Europe__Amsterdam),
        ("(GMT+01.00) Brussels, Copenhagen, Madrid, Paris", Tz::Europe__Brussels),
        ("(UTC-05:00) Eastern Time (US & Canada)", Tz::America__New_York),
        ("(UTC) Coordinated Universal Time", Tz::UTC),
        ("(UTC+09:00) Osaka, Sapporo, Tokyo", Tz::Asia__Tokyo),
        ("UTC", Tz::UTC),
        ("GMT", Tz::GMT),
    ] {
        assert_eq!(tz(name), Some(zone), "{name}");
    }
    let zones = Zones::default();
    let fixed = zones.get("UTC+02:00").unwrap();
    assert_eq!(fixed.to_utc(local("2026-03-02T09:00:00")), utc("2026-03-02T07:00:00Z"));
    let place = zones.get("(UTC-03:30) Nowhere").unwrap();
    assert_eq!(place.to_utc(local("2026-03-02T09:00:00")), utc("2026-03-02T12:30:00Z"));
    assert!(zones.get("Customized Time Zone").is_none());
    let unknown = zones.named("Customized Time Zone");
    assert!(!unknown.is_known());
    assert_eq!(unknown.id(), "Customized Time Zone");
    assert_eq!(unknown.to_utc(local("2026-03-02T09:00:00")), utc("2026-03-02T09:00:00Z"));
}

fn with_zone(vtimezone: &str, tzid: &str) -> Component {
    calendar(&format!(
        "{vtimezone}\nBEGIN:VEVENT\nUID:u\nDTSTAMP:20260101T000000Z\nDTSTART;TZID={tzid}:20260702T090000\nEND:VEVENT"
    ))
}

fn start(calendar: &Component) -> (Zone, chrono::DateTime<chrono::Utc>) {
    let zones = Zones::of(calendar);
    let component = calendar.components().find(|c| c.is("VEVENT")).unwrap();
    let when = Event::new(component, &zones).start().unwrap();
    (when.zone().unwrap(), when.instant(Tz::UTC))
}

const OUTLOOK: &str = "BEGIN:VTIMEZONE
    TZID:NAME
    BEGIN:STANDARD
    DTSTART:16010101T030000
    TZOFFSETFROM:+0200
    TZOFFSETTO:+0100
    RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10
    END:STANDARD
    BEGIN:DAYLIGHT
    DTSTART:16010101T020000
    TZOFFSETFROM:+0100
    TZOFFSETTO:+0200
    RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3
    END:DAYLIGHT
    END:VTIMEZONE";

#[test]
fn a_definition_that_agrees_is_the_iana_zone() {
    for name in ["W. Europe Standard Time", "Europe/Paris", "/mozilla.org/20050126_1/Europe/Paris"] {
        let (zone, at) = start(&with_zone(&OUTLOOK.replace("NAME", name), name));
        assert!(zone.tz().is_some(), "{name}: {zone:?}");
        assert_eq!(zone.id(), name);
        assert_eq!(at, utc("2026-07-02T07:00:00Z"));
    }
}

#[test]
fn a_definition_that_disagrees_wins() {
    let (zone, at) = start(&with_zone(&OUTLOOK.replace("NAME", "America/New_York"), "America/New_York"));
    assert_eq!(zone.tz(), None);
    assert_eq!(at, utc("2026-07-02T07:00:00Z"));
    assert_eq!(zone.to_local(utc("2026-12-24T12:00:00Z")), local("2026-12-24T13:00:00"));
}

#[test]
fn a_definition_with_a_name_of_its_own() {
    let (zone, at) = start(&with_zone(&OUTLOOK.replace("NAME", "Customized Time Zone"), "Customized Time Zone"));
    assert_eq!((zone.tz(), zone.is_known()), (None, true));
    assert_eq!(at, utc("2026-07-02T07:00:00Z"));
    // Gap and overlap as in the IANA zones.
    assert_eq!(zone.to_utc(local("2026-03-29T02:30:00")), utc("2026-03-29T01:30:00Z"));
    assert_eq!(zone.to_utc(local("2026-10-25T02:30:00")), utc("2026-10-25T00:30:00Z"));
    let hinted = OUTLOOK.replace("TZID:NAME", "TZID:Mine\n    X-LIC-LOCATION:Europe/Paris");
    assert_eq!(start(&with_zone(&hinted, "Mine")).0.tz(), Some(Tz::Europe__Paris));
}

#[test]
fn a_definition_of_some_years_only_does_not_unmake_the_zone() {
    let one_year = "BEGIN:VTIMEZONE
        TZID:Europe/Paris
        BEGIN:DAYLIGHT
        DTSTART:20260329T020000
        TZOFFSETFROM:+0100
        TZOFFSETTO:+0200
        END:DAYLIGHT
        BEGIN:STANDARD
        DTSTART:20261025T030000
        TZOFFSETFROM:+0200
        TZOFFSETTO:+0100
        END:STANDARD
        END:VTIMEZONE";
    assert_eq!(start(&with_zone(one_year, "Europe/Paris")).0.tz(), Some(Tz::Europe__Paris));
    let empty = "BEGIN:VTIMEZONE\nTZID:Nothing\nEND:VTIMEZONE";
    assert!(!start(&with_zone(empty, "Nothing")).0.is_known());
    let empty = "BEGIN:VTIMEZONE\nTZID:Europe/Paris\nEND:VTIMEZONE";
    assert_eq!(start(&with_zone(empty, "Europe/Paris")).0.tz(), Some(Tz::Europe__Paris));
}

#[test]
fn what_we_define_is_what_the_iana_table_says() {
    let zones = [
        Tz::Europe__Paris,
        Tz::America__New_York,
        Tz::America__Sao_Paulo,
        Tz::Asia__Kolkata,
        Tz::Africa__Casablanca,
        Tz::Pacific__Apia,
        Tz::Australia__Lord_Howe,
        Tz::America__Caracas,
        Tz::Europe__Dublin,
        Tz::Asia__Tehran,
        Tz::UTC,
        Tz::Asia__Gaza,
        Tz::America__Mexico_City,
    ];
    for tz in zones {
        for (from, to) in
            [("2005-06-01T00:00:00Z", "2026-06-01T00:00:00Z"), ("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z")]
        {
            let (from, to) = (utc(from), utc(to));
            let mut component = vtimezone(tz, from, to);
            component.set(crate::ical::Property::new("TZID", "Only/Here"));
            let mut calendar = event("SUMMARY:x");
            calendar.push_component(component);
            let ours = Zones::of(&Component::parse(&calendar.to_wire()).unwrap()).get("Only/Here").unwrap();
            let theirs = Zone::from(tz);
            let mut at = from;
            while at <= to {
                assert_eq!(ours.to_local(at), theirs.to_local(at), "{tz} at {at} in\n{}", calendar.to_wire());
                at += TimeDelta::hours(7);
            }
        }
    }
    let paris = vtimezone(Tz::Europe__Paris, utc("2026-03-02T00:00:00Z"), utc("2026-03-03T00:00:00Z"));
    let rules: Vec<_> = paris.components().filter_map(|c| c.value("RRULE")).collect();
    assert_eq!(rules, ["FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU", "FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU"]);
}
