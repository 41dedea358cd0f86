//! Dates and times as a reader sees them: in their zone and language, days of all-day events as they are.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use fluent_bundle::FluentArgs;

use super::model::{Moment, Span};
use crate::wording::Locale;

/// A language and a zone.
pub(super) struct Dates<'a> {
    pub locale: &'a Locale,
    pub zone: Tz,
}

impl Dates<'_> {
    /// From when to when, with the zone where one matters.
    pub(super) fn span(&self, span: &Span) -> String {
        let (start, time) = self.local(&span.start);
        let Some(time) = time else { return self.days(start, span.end.as_ref()) };
        let mut args = FluentArgs::new();
        let key = match span.end.as_ref().map(|end| self.local(end)).filter(|end| *end != (start, Some(time))) {
            None => {
                args.set("date", self.locale.date(start));
                "when-no-end"
            }
            Some((end, end_time)) if end == start => {
                args.set("date", self.locale.date(start));
                args.set("end", self.locale.time(end_time.unwrap_or_default()));
                "when-same-day"
            }
            Some((end, end_time)) => {
                args.set("start-date", self.locale.date(start));
                args.set("end-date", self.locale.date(end));
                args.set("end", self.locale.time(end_time.unwrap_or_default()));
                "when-days-apart"
            }
        };
        args.set("start", self.locale.time(time));
        let when = self.locale.text(key, &args);
        match span.start {
            Moment::Instant(_) => {
                let mut args = FluentArgs::new();
                args.set("when", when);
                args.set("zone", self.zone.name());
                self.locale.text("when-zone", &args)
            }
            Moment::Day(_) | Moment::Floating(_) => when,
        }
    }

    /// The day on which the moment is.
    pub(super) fn day(&self, moment: &Moment) -> String {
        self.locale.date(self.local(moment).0)
    }

    fn days(&self, first: NaiveDate, end: Option<&Moment>) -> String {
        // DTEND is the day after the last one (RFC 5545 §3.6.1).
        let last = end.and_then(|end| self.local(end).0.pred_opt()).unwrap_or(first);
        let mut args = FluentArgs::new();
        if last <= first {
            args.set("date", self.locale.date(first));
            return self.locale.text("when-all-day", &args);
        }
        args.set("start-date", self.locale.date(first));
        args.set("end-date", self.locale.date(last));
        self.locale.text("when-all-days", &args)
    }

    fn local(&self, moment: &Moment) -> (NaiveDate, Option<NaiveTime>) {
        match moment {
            Moment::Day(day) => (*day, None),
            Moment::Floating(wall) => (wall.date(), Some(wall.time())),
            Moment::Instant(instant) => {
                let wall = self.at(*instant).naive_local();
                (wall.date(), Some(wall.time()))
            }
        }
    }

    fn at(&self, instant: DateTime<Utc>) -> DateTime<Tz> {
        instant.with_timezone(&self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Moment {
        Moment::Instant(text.parse().unwrap())
    }

    fn day(text: &str) -> Moment {
        Moment::Day(text.parse().unwrap())
    }

    fn shown(language: &'static str, zone: Tz, start: Moment, end: Option<Moment>) -> String {
        let locale = Locale::load(super::super::SOURCES, language).unwrap();
        Dates { locale: &locale, zone }.span(&Span { start, end })
    }

    #[test]
    fn an_instant_is_shown_in_the_readers_zone_and_language() {
        let (start, end) = (instant("2026-03-05T13:00:00Z"), Some(instant("2026-03-05T14:30:00Z")));
        assert_eq!(shown("fr", Tz::Europe__Paris, start, end), "jeudi 5 mars 2026, 14:00 – 15:30 (Europe/Paris)");
        assert_eq!(shown("en", Tz::Asia__Tokyo, start, end), "Thursday, 5 March 2026, 22:00 – 23:30 (Asia/Tokyo)");
    }

    #[test]
    fn an_event_that_crosses_midnight_for_the_reader_has_two_dates() {
        let (start, end) = (instant("2026-03-05T13:00:00Z"), Some(instant("2026-03-05T16:00:00Z")));
        assert_eq!(
            shown("en", Tz::Asia__Tokyo, start, end),
            "Thursday, 5 March 2026, 22:00 – Friday, 6 March 2026, 01:00 (Asia/Tokyo)"
        );
    }

    #[test]
    fn an_all_day_event_is_on_the_same_day_everywhere() {
        for zone in [Tz::Pacific__Honolulu, Tz::Pacific__Kiritimati] {
            let one = shown("en", zone, day("2026-03-05"), Some(day("2026-03-06")));
            assert_eq!(one, "Thursday, 5 March 2026 (all day)");
        }
        assert_eq!(shown("en", Tz::UTC, day("2026-03-05"), None), "Thursday, 5 March 2026 (all day)");
    }

    #[test]
    fn several_days_end_on_the_last_one() {
        assert_eq!(
            shown("fr", Tz::UTC, day("2026-04-30"), Some(day("2026-05-02"))),
            "jeudi 30 avril 2026 – vendredi 1er mai 2026 (journées entières)"
        );
    }

    #[test]
    fn a_floating_time_has_no_zone() {
        let wall = Moment::Floating("2026-03-05T13:00:00".parse().unwrap());
        assert_eq!(shown("en", Tz::Asia__Tokyo, wall, None), "Thursday, 5 March 2026, 13:00");
    }

    #[test]
    fn an_event_that_ends_when_it_starts_has_one_time() {
        let start = instant("2026-03-05T13:00:00Z");
        assert_eq!(shown("en", Tz::UTC, start, Some(start)), "Thursday, 5 March 2026, 13:00 (UTC)");
    }
}
