use chrono_tz::Tz;

use super::{calendar, data, event, utc};
use crate::ical::object::{Fault, Repair};
use crate::ical::words::{PartStat, Status};
use crate::ical::{CalendarObject, ObjectError, When, edit, strict};
use crate::ids::Email;

fn bob() -> Email {
    "bob@example.org".parse().unwrap()
}

#[test]
fn typed_views_of_a_real_event() {
    let object = CalendarObject::parse(&data("real-client.ics")).unwrap();
    assert_eq!(object.uid(), "5d2a4f0e-6f0c-4f7b-8d45-6b7c1fd2f1aa");
    assert_eq!(object.component_type(), "VEVENT");
    let event = object.events().next().unwrap();
    assert_eq!(event.organizer().unwrap().cn(), Some("Doe, Alice"));
    assert_eq!(event.start().unwrap().instant(Tz::UTC), utc("2026-03-02T09:00:00Z"));
    assert_eq!(event.end().unwrap().instant(Tz::UTC), utc("2026-03-02T10:00:00Z"));
    let bob = event.attendee(&bob()).unwrap();
    assert_eq!(bob.address(), "MAILTO:bob@example.org");
    assert_eq!((bob.partstat(), bob.rsvp()), (PartStat::NeedsAction, true));
    let carol = event.attendees().nth(1).unwrap();
    assert_eq!(carol.cn(), Some("Carol \"CC\" Smith"));
    assert!(event.summary().unwrap().ends_with("plié; deux fois même\nou presque"));
    assert_eq!((event.sequence(), event.status()), (0, Some(Status::Confirmed)));
    assert!(event.is_recurring() && !event.is_override() && !event.is_all_day());
}

#[test]
fn ends_that_nobody_wrote() {
    let end = |lines: &str| {
        let root = event(lines);
        let object = CalendarObject::from_root(root).unwrap();
        let end = object.events().next().unwrap().end();
        end.map(|e| e.value())
    };
    assert_eq!(end("DTSTART;VALUE=DATE:20260302").as_deref(), Some("20260303"));
    assert_eq!(end("DTSTART:20260302T090000Z").as_deref(), Some("20260302T090000Z"));
    assert_eq!(end("DTSTART:20260302T090000Z\nDURATION:PT90M").as_deref(), Some("20260302T103000Z"));
    assert_eq!(end("SUMMARY:x"), None);
}

#[test]
fn addresses_in_their_many_spellings() {
    let object = CalendarObject::from_root(event(
        "ATTENDEE:mailto:al%69ce%40example.org\nATTENDEE;EMAIL=bob@example.org:urn:uuid:1\n\
         ATTENDEE:MAILTO:<Carol@Example.org>\nATTENDEE:invalid:nomail",
    ))
    .unwrap();
    let view = object.events().next().unwrap();
    let emails: Vec<_> = view.attendees().map(|a| a.email().ok().map(String::from)).collect();
    let email = |s: &str| Some(s.to_owned());
    assert_eq!(emails, [email("alice@example.org"), email("bob@example.org"), email("carol@example.org"), None]);
}

#[test]
fn what_is_no_calendar_object() {
    let one = "BEGIN:VEVENT\nUID:a\nDTSTAMP:20260101T000000Z\nEND:VEVENT";
    let fault = |components: &str| CalendarObject::from_root(calendar(components)).unwrap_err();
    assert_eq!(fault("METHOD:REQUEST\nBEGIN:VEVENT\nUID:a\nEND:VEVENT"), ObjectError::Method);
    assert_eq!(fault("BEGIN:VTIMEZONE\nTZID:x\nEND:VTIMEZONE"), ObjectError::NoComponent);
    assert!(matches!(fault(&format!("{one}\nBEGIN:VTODO\nUID:a\nEND:VTODO")), ObjectError::MixedTypes(..)));
    assert!(matches!(fault(&format!("{one}\nBEGIN:VEVENT\nUID:b\nEND:VEVENT")), ObjectError::SeveralUids(..)));
    let twice = "BEGIN:VEVENT\nUID:a\nDTSTART:20260101T000000Z\nDTSTART:20260101T000000Z\nEND:VEVENT";
    assert!(matches!(fault(twice), ObjectError::Duplicate { property: "DTSTART", .. }));
    let card = CalendarObject::parse("BEGIN:VCARD\nEND:VCARD").unwrap_err();
    assert!(card.is_not_icalendar() && matches!(card, ObjectError::NotACalendar(_)));
    assert!(CalendarObject::parse("nonsense").unwrap_err().is_not_icalendar());
    assert!(CalendarObject::parse_message("BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR").is_ok());
}

#[test]
fn missing_properties_are_mended() {
    let text = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260301T090000Z\nEND:VEVENT\nBEGIN:VEVENT\nDTSTAMP:bad\nRECURRENCE-ID:20260302T090000Z\nDTSTART:20260302T100000Z\nEND:VEVENT\nEND:VCALENDAR";
    let mut object = CalendarObject::parse(text).unwrap();
    let now = utc("2026-03-01T00:00:00Z");
    let mended = object.repair(&Repair { prodid: "-//convoke//EN", uid: "made", now });
    assert_eq!(mended.len(), 6);
    assert!(mended.contains(&Fault::DtStamp("VEVENT".into())));
    assert_eq!(object.faults(), []);
    let timeless = CalendarObject::from_root(event("SUMMARY:x")).unwrap();
    assert_eq!(timeless.faults(), [Fault::DtStart("VEVENT".into())]);
    assert_eq!(object.uid(), "made");
    assert!(object.events().all(|e| e.dtstamp() == Some(now)));
    assert!(object.root().to_text().starts_with("BEGIN:VCALENDAR\nPRODID:-//convoke//EN\nVERSION:2.0\nBEGIN:VEVENT\n"));
}

#[test]
fn edits_touch_what_they_change() {
    let text = data("real-client.ics");
    let mut object = CalendarObject::parse(&text).unwrap();
    let zones = object.zones().clone();
    let event = object.master_mut().unwrap();
    assert!(edit::set_partstat(event, &bob(), &PartStat::Accepted));
    assert!(!edit::set_partstat(event, &"nobody@example.org".parse().unwrap(), &PartStat::Accepted));
    edit::set_sequence(event, 4);
    // Excluded already, though written in another zone.
    assert!(!edit::add_exdate(event, &When::Utc(utc("2026-03-09T09:00:00Z")), &zones, Tz::UTC));
    assert!(edit::add_exdate(event, &When::Utc(utc("2026-03-23T09:00:00Z")), &zones, Tz::UTC));
    edit::shift(event, "PT1H".parse().unwrap(), &zones);
    let edited = object.root().to_text();
    let removed: Vec<_> = text.lines().filter(|l| !edited.lines().any(|e| e == *l)).collect();
    let added: Vec<_> = edited.lines().filter(|l| !text.lines().any(|e| e == *l)).collect();
    assert_eq!(
        removed,
        [
            "ATTENDEE;CN=Bob;PARTSTAT=NEEDS-ACTION;ROLE=REQ-PARTICIPANT;RSVP=TRUE;CUTYPE=INDIVIDUAL:",
            "\tMAILTO:bob@example.org",
            "DTSTART;TZID=Europe/Paris:20260302T100000",
            "DTEND;TZID=Europe/Paris:20260302T110000",
        ]
    );
    assert_eq!(
        added,
        [
            "ATTENDEE;CN=Bob;PARTSTAT=ACCEPTED;ROLE=REQ-PARTICIPANT;RSVP=TRUE;CUTYPE=IND",
            " IVIDUAL:MAILTO:bob@example.org",
            "DTSTART;TZID=Europe/Paris:20260302T110000",
            "DTEND;TZID=Europe/Paris:20260302T120000",
            "SEQUENCE:4",
            "EXDATE;TZID=Europe/Paris:20260323T100000",
        ]
    );
    assert!(edit::remove_attendee(object.master_mut().unwrap(), &bob()));
    assert!(object.events().next().unwrap().attendee(&bob()).is_none());
}

#[test]
fn strictness_names_the_fault() {
    let verdict = |components: &str| {
        let object = CalendarObject::from_root(calendar(components)).unwrap();
        strict::check(&object).map_err(|e| e.to_string())
    };
    let single = |lines: &str| verdict(&format!("BEGIN:VEVENT\nUID:u\n{lines}\nEND:VEVENT")).unwrap_err();
    let paris = "DTSTART;TZID=Europe/Paris:20260302T090000";
    assert_eq!(
        single(&format!("{paris}\nRRULE:FREQ=DAILY;COUNT=2;UNTIL=20260401T000000Z")),
        "COUNT and UNTIL MUST NOT both be present in the same RRULE"
    );
    assert_eq!(
        single(&format!("{paris}\nRRULE:FREQ=DAILY;UNTIL=20260401")),
        "UNTIL value type (DATE) must match DTSTART value type (DATE-TIME)"
    );
    assert_eq!(
        single("DTSTART:20260302\nRRULE:FREQ=DAILY;UNTIL=20260401T000000Z"),
        "UNTIL value type (DATE-TIME) must match DTSTART value type (DATE)"
    );
    assert_eq!(
        single(&format!("{paris}\nRRULE:FREQ=DAILY;UNTIL=20260401T000000")),
        "UNTIL date-time form (FLOATING) must be UTC when DTSTART date-time form is TZID:Europe/Paris"
    );
    assert_eq!(
        single("DTSTART:20260302T090000\nRRULE:FREQ=DAILY;UNTIL=20260401T000000Z"),
        "UNTIL date-time form (UTC) must be FLOATING when DTSTART date-time form is FLOATING"
    );
    assert_eq!(
        single(&format!("{paris}\nRRULE:FREQ=DAILY;UNTIL=INVALID DATE")),
        "UNTIL \"INVALID DATE\" is not a valid DATE-TIME value"
    );
    assert_eq!(
        single(&format!("{paris}\nEXDATE:20260401T000000Z")),
        "EXDATE date-time form (UTC) must match DTSTART date-time form (TZID:Europe/Paris)"
    );
    assert_eq!(
        single(&format!("{paris}\nEXDATE;VALUE=DATE:20260401")),
        "EXDATE value type (DATE) must match DTSTART value type (DATE-TIME)"
    );
    assert_eq!(single("EXDATE;VALUE=DATE:20260401"), "VEVENT with EXDATE MUST have a DTSTART property");
    assert_eq!(
        single("RECURRENCE-ID:20260401T000000Z"),
        "RECURRENCE-ID override for UID u has no matching recurring master VEVENT (same UID with RRULE or RDATE)"
    );
    let series = |id: &str| {
        format!("BEGIN:VEVENT\nUID:u\n{paris}\nRRULE:FREQ=DAILY\nEND:VEVENT\nBEGIN:VEVENT\nUID:u\n{id}\nEND:VEVENT")
    };
    assert_eq!(
        verdict(&series("RECURRENCE-ID:20260303T080000Z")).unwrap_err(),
        "RECURRENCE-ID date-time form (UTC) must match DTSTART date-time form (TZID:Europe/Paris)"
    );
    let good = series("RECURRENCE-ID;TZID=Europe/Paris:20260303T090000");
    assert_eq!(verdict(&good), Ok(()));
    let twice = format!("{good}\nBEGIN:VEVENT\nUID:u\nRECURRENCE-ID;TZID=Europe/Paris:20260303T090000\nEND:VEVENT");
    assert_eq!(verdict(&twice).unwrap_err(), "Duplicate RECURRENCE-ID 2026-03-03T08:00:00Z for UID u");
    assert_eq!(strict::check(&CalendarObject::parse(&data("real-client.ics")).unwrap()), Ok(()));
}
