//! How an event repeats, in a sentence.

use chrono::NaiveDate;
use chrono_tz::Tz;
use fluent_bundle::FluentArgs;

use super::dates::Dates;
use super::model::{Days, EventCard, Moment, Recurrence, Repeats, Unit, Until};
use crate::wording::Locale;

/// The sentence, for events that are part of a series.
pub(super) fn sentence(event: &EventCard, dates: &Dates<'_>) -> Option<String> {
    let none = FluentArgs::new();
    match &event.repeats {
        Repeats::Once => None,
        Repeats::OneOccurrence => Some(dates.locale.text("one-occurrence", &none)),
        Repeats::Somehow => Some(dates.locale.text("repeats-somehow", &none)),
        Repeats::Simply(rule) => Some(simply(rule, event, dates)),
    }
}

fn simply(rule: &Recurrence, event: &EventCard, dates: &Dates<'_>) -> String {
    let locale = dates.locale;
    let key = match rule.every {
        Unit::Day => "every-day",
        Unit::Week => "every-week",
        Unit::Month => "every-month",
        Unit::Year => "every-year",
    };
    let mut text = locale.text(key, &args([("interval", rule.interval.into())]));
    if let Days::OfWeek(days) = &rule.on
        && on_the_same_day(event, dates.zone)
        && let Some(days) = list(locale, days.iter().map(|day| locale.weekday(*day)).collect())
    {
        text = locale.text("on-days", &args([("rule", text.into()), ("days", days.into())]));
    }
    match rule.until {
        Until::Never => text,
        Until::Count(count) => locale.text("until-count", &args([("rule", text.into()), ("count", count.into())])),
        Until::Moment(end) => {
            locale.text("until-date", &args([("rule", text.into()), ("date", dates.day(&end).into())]))
        }
    }
}

/// A rule names days where the event is; they are the reader's days only when both have the same date at its start.
fn on_the_same_day(event: &EventCard, reader: Tz) -> bool {
    match (event.span.map(|span| span.start), event.zone) {
        (Some(Moment::Instant(start)), Some(zone)) => date(start, zone) == date(start, reader),
        (Some(Moment::Instant(_)), None) => false,
        _ => true,
    }
}

fn date(instant: chrono::DateTime<chrono::Utc>, zone: Tz) -> NaiveDate {
    instant.with_timezone(&zone).date_naive()
}

/// "a", "a and b", "a, b and c".
fn list(locale: &Locale, mut items: Vec<String>) -> Option<String> {
    let last = items.pop()?;
    if items.is_empty() {
        return Some(last);
    }
    Some(locale.text("list-last", &args([("first", items.join(", ").into()), ("last", last.into())])))
}

fn args<'a, const N: usize>(pairs: [(&'static str, fluent_bundle::FluentValue<'a>); N]) -> FluentArgs<'a> {
    pairs.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use chrono::Weekday;

    use super::super::model::{Person, Span};
    use super::*;

    fn event(start: &str, zone: Tz, recurrence: Recurrence) -> EventCard {
        EventCard {
            summary: String::new(),
            span: Some(Span { start: Moment::Instant(start.parse().unwrap()), end: None }),
            zone: Some(zone),
            repeats: Repeats::Simply(recurrence),
            organizer: None::<Person>,
            guests: Vec::new(),
            resources: Vec::new(),
            location: None,
            description: None,
            video: None,
        }
    }

    fn said(language: &'static str, reader: Tz, event: &EventCard) -> String {
        let locale = Locale::load(super::super::SOURCES, language).unwrap();
        sentence(event, &Dates { locale: &locale, zone: reader }).unwrap()
    }

    #[test]
    fn a_rule_is_said_in_the_readers_language() {
        let days = Days::OfWeek(vec![Weekday::Mon, Weekday::Wed, Weekday::Fri]);
        let until = Until::Moment(Moment::Instant("2026-06-30T23:30:00Z".parse().unwrap()));
        let rule = Recurrence { every: Unit::Week, interval: 2, on: days, until };
        let event = event("2026-03-02T09:00:00Z", Tz::Europe__Paris, rule);
        assert_eq!(
            said("en", Tz::Europe__Paris, &event),
            "Every 2 weeks on Monday, Wednesday and Friday, until Wednesday, 1 July 2026"
        );
        assert_eq!(
            said("fr", Tz::UTC, &event),
            "Toutes les 2 semaines, le lundi, mercredi et vendredi, jusqu’au mardi 30 juin 2026"
        );
    }

    #[test]
    fn days_are_left_out_for_a_reader_to_whom_they_are_other_days() {
        let on = Days::OfWeek(vec![Weekday::Mon]);
        let rule = Recurrence { every: Unit::Week, interval: 1, on, until: Until::Count(3) };
        let event = event("2026-03-02T22:00:00Z", Tz::Europe__Paris, rule);
        assert_eq!(said("en", Tz::Europe__Paris, &event), "Every week on Monday, 3 times");
        assert_eq!(said("en", Tz::Asia__Tokyo, &event), "Every week, 3 times");
    }
}
