//! From iCalendar to what a mail says (mail-itip-alarms §1.3). Pure.

use std::collections::HashSet;

use chrono_tz::Tz;

use crate::ical::event::{Attendee, CalendarUser};
use crate::ical::recur::rule::{Frequency, Rule, Until as RuleUntil};
use crate::ical::{CuType, Event, PartStat, Role, When};
use crate::mail::render::{Answer, Days, EventCard, Guest, Moment, Person, Recurrence, Repeats, Span, Unit, Until};

/// The event as a mail shows it.
pub(super) fn card(event: &Event<'_>) -> EventCard {
    let mut seen = HashSet::new();
    let (mut guests, mut resources) = (Vec::new(), Vec::new());
    for attendee in event.attendees() {
        let Some(person) = person(&attendee) else { continue };
        if !seen.insert(person.email.clone()) {
            continue;
        }
        match attendee.cutype() {
            CuType::Resource | CuType::Room => resources.push(person),
            _ => guests.push(guest(&attendee, person)),
        }
    }
    EventCard {
        summary: event.summary().unwrap_or_default(),
        span: span(event),
        zone: event.start().as_ref().and_then(iana_zone),
        repeats: repeats(event),
        organizer: event.organizer().as_ref().and_then(person),
        guests,
        resources,
        location: event.location(),
        description: event.description(),
        video: event.component().value("X-OPENPAAS-VIDEOCONFERENCE").map(str::to_owned),
    }
}

/// Name and address of someone whose address can be read.
pub(super) fn person(user: &CalendarUser<'_>) -> Option<Person> {
    let email = user.email().ok()?;
    Some(Person { name: user.cn().unwrap_or_default().to_owned(), email: email.to_string() })
}

/// PARTSTAT as a mail says it.
pub(super) fn answer(partstat: &PartStat) -> Answer {
    match partstat {
        PartStat::Accepted => Answer::Accepted,
        PartStat::Declined => Answer::Declined,
        PartStat::Tentative => Answer::Tentative,
        PartStat::Delegated => Answer::Delegated,
        PartStat::NeedsAction | PartStat::Completed | PartStat::InProcess | PartStat::Other(_) => Answer::Pending,
    }
}

fn guest(attendee: &Attendee<'_>, person: Person) -> Guest {
    let optional = matches!(attendee.role(), Role::Optional | Role::NonParticipant);
    Guest { person, optional, answer: answer(&attendee.partstat()) }
}

fn span(event: &Event<'_>) -> Option<Span> {
    Some(Span { start: moment(&event.start()?), end: event.end().as_ref().map(moment) })
}

fn moment(when: &When) -> Moment {
    match when {
        When::Date(day) => Moment::Day(*day),
        When::Floating(wall) => Moment::Floating(*wall),
        When::Utc(_) | When::Zoned { .. } => Moment::Instant(when.instant(Tz::UTC)),
    }
}

fn iana_zone(when: &When) -> Option<Tz> {
    when.zone().and_then(|zone| zone.tz())
}

fn repeats(event: &Event<'_>) -> Repeats {
    if event.is_override() {
        return Repeats::OneOccurrence;
    }
    if !event.is_recurring() {
        return Repeats::Once;
    }
    let mut rules = event.rules();
    let only = rules.next().filter(|_| rules.next().is_none() && event.component().get("RDATE").is_none());
    only.zip(event.start()).and_then(|(rule, start)| simply(&rule, &start)).map_or(Repeats::Somehow, Repeats::Simply)
}

/// The rule, if a sentence can say it.
fn simply(rule: &Rule, start: &When) -> Option<Recurrence> {
    let day = start.date();
    let odd = [&rule.by_second, &rule.by_minute, &rule.by_hour].iter().any(|list| !list.is_empty())
        || [&rule.by_year_day, &rule.by_week_no, &rule.by_set_pos].iter().any(|list| !list.is_empty());
    if odd {
        return None;
    }
    use chrono::Datelike;
    let plain_days = rule.by_day.iter().all(|by| by.ordinal == 0);
    let of_week = || match rule.by_day.as_slice() {
        [] => Days::AsFirst,
        days => Days::OfWeek(days.iter().map(|by| by.day).collect()),
    };
    let months_as_first = rule.by_month.iter().all(|month| *month == day.month());
    let days_as_first = rule.by_month_day.iter().all(|of| i64::from(*of) == i64::from(day.day()));
    let (every, on) = match rule.freq {
        Frequency::Daily if rule.by_month.is_empty() && rule.by_month_day.is_empty() && rule.by_day.is_empty() => {
            (Unit::Day, Days::AsFirst)
        }
        // "Every day, on Monday to Friday" is "every week on Monday, …".
        Frequency::Daily
            if rule.by_month.is_empty() && rule.by_month_day.is_empty() && rule.interval == 1 && plain_days =>
        {
            (Unit::Week, of_week())
        }
        Frequency::Weekly if rule.by_month.is_empty() && rule.by_month_day.is_empty() && plain_days => {
            (Unit::Week, of_week())
        }
        Frequency::Monthly if rule.by_month.is_empty() && rule.by_day.is_empty() && days_as_first => {
            (Unit::Month, Days::AsFirst)
        }
        Frequency::Yearly if rule.by_day.is_empty() && months_as_first && days_as_first => (Unit::Year, Days::AsFirst),
        _ => return None,
    };
    let until = match (rule.count, rule.until) {
        (Some(count), _) => Until::Count(count),
        (None, Some(until)) => Until::Moment(last(until, start)),
        (None, None) => Until::Never,
    };
    Some(Recurrence { every, interval: rule.interval, on, until })
}

/// UNTIL is written in the form of DTSTART or in UTC; a day or wall time is one where the event is.
fn last(until: RuleUntil, start: &When) -> Moment {
    match until {
        RuleUntil::Date(day) => Moment::Day(day),
        RuleUntil::Floating(wall) => moment(&start.with_local(wall)),
        RuleUntil::Utc(instant) if start.is_date() => Moment::Day(instant.date_naive()),
        RuleUntil::Utc(instant) => Moment::Instant(instant),
    }
}
