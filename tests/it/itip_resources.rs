//! What must hold for a room that answers by itself, whatever is asked of it: it is never in two places at once, and refuses
//! nothing that it could have taken.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use convoke::ical::Component;
use convoke::ical::recur::{Bounds, occurrences};
use convoke::ids::Email;
use convoke::itip::{Decides, Timetable, answer_for_resource};
use proptest::prelude::*;

const ROOM: &str = "65ee00000000000000000001@example.org";
const HORIZON: i64 = 30;

fn now() -> DateTime<Utc> {
    "2031-03-01T00:00:00Z".parse().unwrap()
}

/// Somebody wants the room: on which day and hour, for how long, how often it repeats, and whether it ends.
#[derive(Debug, Clone)]
struct Wish {
    day: i64,
    hour: i64,
    hours: i64,
    every: Option<(i64, Option<u32>)>,
}

fn wish() -> impl Strategy<Value = Wish> {
    let every = prop::option::of((1..5_i64, prop::option::of(1..6_u32)));
    (0..10_i64, 8..18_i64, 1..4_i64, every).prop_map(|(day, hour, hours, every)| Wish { day, hour, hours, every })
}

fn invitation(uid: usize, wish: &Wish) -> Component {
    let start = now() + TimeDelta::days(wish.day) + TimeDelta::hours(wish.hour);
    let rule = wish.every.map_or_else(String::new, |(days, count)| {
        let count = count.map_or_else(String::new, |count| format!(";COUNT={count}"));
        format!("RRULE:FREQ=DAILY;INTERVAL={days}{count}\r\n")
    });
    let text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20310101T000000Z\r\n\
         DTSTART:{}\r\nDURATION:PT{}H\r\n{rule}ORGANIZER:mailto:alice@example.org\r\n\
         ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:{ROOM}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        start.format("%Y%m%dT%H%M%SZ"),
        wish.hours,
    );
    Component::parse(&text).unwrap()
}

fn is_accepted(calendar: &Component) -> bool {
    calendar.to_text().contains("PARTSTAT=ACCEPTED")
}

/// The hours that an event takes within the time that is looked at when any of these is asked for.
fn hours(calendar: &Component) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let range = now()..now() + TimeDelta::days(HORIZON);
    occurrences(calendar, range, Tz::UTC, Bounds::default()).unwrap().iter().map(|o| (o.start, o.end)).collect()
}

fn overlap(a: &Component, b: &Component) -> bool {
    let (a, b) = (hours(a), hours(b));
    a.iter().any(|(start, end)| b.iter().any(|(other, until)| start < until && other < end))
}

fn timetable(invitation: &Component) -> Timetable {
    Timetable::for_invitation(invitation, now(), TimeDelta::days(HORIZON), Tz::UTC, Bounds::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_room_takes_what_it_can_and_nothing_twice(wishes in prop::collection::vec(wish(), 1..8)) {
        let room: [Email; 1] = [ROOM.parse().unwrap()];
        let mut held: Vec<Component> = Vec::new();
        for (uid, wish) in wishes.iter().enumerate() {
            let mut copy = invitation(uid, wish);
            let mut times = timetable(&copy);
            for other in &held {
                times.add(other, &room);
            }
            answer_for_resource(None, &mut copy, &room, times, Decides::Itself);
            let is_free = !held.iter().filter(|other| is_accepted(other)).any(|other| overlap(&copy, other));
            if is_accepted(&copy) {
                prop_assert!(is_free, "{:?} of {:?}", wish, wishes);
            } else {
                // What lies beyond the month that is compared here may have been seen.
                prop_assert!(!is_free || wish.every.is_some(), "{:?} of {:?}", wish, wishes);
            }
            held.push(copy);
        }
    }

    #[test]
    fn where_people_decide_a_room_says_nothing_new(wish in wish(), partstat in "ACCEPTED|DECLINED|TENTATIVE") {
        let room: [Email; 1] = [ROOM.parse().unwrap()];
        let asked = invitation(1, &wish);
        let mut first = asked.clone();
        answer_for_resource(None, &mut first, &room, timetable(&asked), Decides::People);
        prop_assert_eq!(first.to_text(), asked.to_text());
        // Somebody decided; the organizer writes something else, and then asks again.
        let with = |answer: &str| {
            Component::parse(&asked.to_text().replace("NEEDS-ACTION", answer)).unwrap()
        };
        let decided = with(&partstat);
        let mut told = with("X-SOMETHING");
        answer_for_resource(Some(&decided), &mut told, &room, timetable(&asked), Decides::People);
        prop_assert_eq!(told.to_text(), decided.to_text());
        let mut again = asked.clone();
        answer_for_resource(Some(&decided), &mut again, &room, timetable(&asked), Decides::People);
        prop_assert_eq!(again.to_text(), asked.to_text());
    }
}
