//! What a reader asks of the agenda: which view, around which day, in which time zone. It comes from a query string that anybody
//! may have written: what cannot be read is as if it were not there.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, Utc, Weekday};
use chrono_tz::Tz;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::super::timezones;

/// How the agenda is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Month,
    Week,
    List,
}

impl View {
    pub(super) const ALL: [Self; 3] = [Self::Month, Self::Week, Self::List];

    /// Its name in addresses.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Week => "week",
            Self::List => "list",
        }
    }
}

/// A page of the agenda.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) view: View,
    /// The day that it is about, or that it is around.
    pub(super) date: NaiveDate,
    /// The zone in which times are shown.
    pub(super) zone: Tz,
    /// Whether the reader chose the zone, so that links keep it.
    zone_is_chosen: bool,
    /// The event whose details are to be open.
    pub(super) open: Option<String>,
    /// First and last year of the calendar.
    years: (i32, i32),
}

impl Question {
    /// Reads a query string. Without a zone it is `own_zone`, without a day it is today.
    pub(super) fn read(query: &str, own_zone: Tz, now: DateTime<Utc>, years: (i32, i32)) -> Self {
        let value = |name: &str| {
            let pair = query.split('&').filter_map(|p| p.split_once('=')).find(|(n, _)| *n == name)?.1;
            Some(percent_decode_str(&pair.replace('+', " ")).decode_utf8().ok()?.into_owned())
        };
        let chosen = value("tz").and_then(|name| timezones::named(name.trim()));
        let zone = chosen.unwrap_or(own_zone);
        let is_in_reach = |date: &NaiveDate| (years.0..=years.1).contains(&date.year());
        let date = value("date").and_then(|text| NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok());
        let view = value("view").and_then(|name| View::ALL.into_iter().find(|v| v.name() == name));
        Self {
            view: view.unwrap_or(View::Month),
            date: date.filter(is_in_reach).unwrap_or_else(|| today(now, zone)),
            zone,
            zone_is_chosen: chosen.is_some(),
            open: value("open").filter(|key| key.len() < 40),
            years,
        }
    }

    /// The first day that is shown, and the first one that is not any more.
    pub(super) fn days(&self, week_starts: Weekday) -> (NaiveDate, NaiveDate) {
        let first = first_of_month(self.date);
        match self.view {
            View::Month => {
                let last = next_month(first).pred_opt().unwrap_or(first);
                (week_of(first, week_starts), later(week_of(last, week_starts), 7))
            }
            View::Week => {
                let first = week_of(self.date, week_starts);
                (first, later(first, 7))
            }
            View::List => (first, next_month(first)),
        }
    }

    /// The day around which the page before (−1) or after (1) this one is; `None` at the ends of time.
    pub(super) fn step(&self, by: i32) -> Option<NaiveDate> {
        let date = match self.view {
            View::Week if by < 0 => self.date.checked_sub_days(Days::new(7)),
            View::Week => self.date.checked_add_days(Days::new(7)),
            View::Month | View::List if by < 0 => first_of_month(self.date).checked_sub_months(Months::new(1)),
            View::Month | View::List => first_of_month(self.date).checked_add_months(Months::new(1)),
        };
        date.filter(|date| (self.years.0..=self.years.1).contains(&date.year()))
    }

    /// The query of a page, with its question mark.
    pub(super) fn link(&self, view: View, date: NaiveDate) -> String {
        let mut link = format!("?view={}&date={}", view.name(), date.format("%Y-%m-%d"));
        if self.zone_is_chosen {
            // Writing to a String cannot fail.
            let _ = write!(link, "&tz={}", utf8_percent_encode(self.zone.name(), NON_ALPHANUMERIC));
        }
        link
    }
}

/// The day it is somewhere.
pub(super) fn today(now: DateTime<Utc>, zone: Tz) -> NaiveDate {
    now.with_timezone(&zone).date_naive()
}

/// So many days later.
pub(super) fn later(date: NaiveDate, days: u64) -> NaiveDate {
    date.checked_add_days(Days::new(days)).unwrap_or(NaiveDate::MAX)
}

fn first_of_month(date: NaiveDate) -> NaiveDate {
    date.with_day(1).unwrap_or(date)
}

fn next_month(first: NaiveDate) -> NaiveDate {
    first.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX)
}

fn week_of(date: NaiveDate, starts: Weekday) -> NaiveDate {
    date.week(starts).checked_first_day().unwrap_or(date)
}

/// The day on which the weeks of a reader begin: that of the region in the first of their languages that names one, as CLDR
/// has it; Monday where none does.
pub(super) fn week_starts(languages: &[&str]) -> Weekday {
    const SUNDAY: &str = "AG AS BD BR BS BT BW BZ CA CO DM DO ET GT GU HK HN ID IL IN JM JP KE KH KR LA MH MM MO MT MX MZ NI NP \
                          PA PE PH PK PR PT PY SA SG SV TH TT TW UM US VE VI WS YE ZA ZW";
    const SATURDAY: &str = "AE AF BH DJ DZ EG IQ IR JO KW LY OM QA SD SY";
    let region = |tag: &&str| tag.split('-').skip(1).find(|part| part.len() == 2).map(str::to_ascii_uppercase);
    let Some(region) = languages.iter().find_map(region) else { return Weekday::Mon };
    let is_in = |list: &str| list.split(' ').any(|r| r == region);
    match () {
        () if is_in(SUNDAY) => Weekday::Sun,
        () if is_in(SATURDAY) => Weekday::Sat,
        () => Weekday::Mon,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Question {
        Question::read(query, Tz::Europe__Paris, "2026-11-21T23:30:00Z".parse().unwrap(), (1, 9999))
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_not_asked_is_this_month_at_home() {
        for query in ["", "view=year&date=2026-13-01&tz=Paris", "view&date=&tz=%ff", "date=10000-01-01"] {
            let question = read(query);
            assert_eq!(
                (question.view, question.date, question.zone),
                (View::Month, day("2026-11-22"), Tz::Europe__Paris)
            );
        }
    }

    #[test]
    fn what_is_asked_is_kept_by_links() {
        let question = read("view=week&date=2026-03-01&tz=America%2FArgentina%2FBuenos_Aires&open=e1");
        assert_eq!(question.zone, Tz::America__Argentina__Buenos_Aires);
        assert_eq!(question.open.as_deref(), Some("e1"));
        let link = question.link(View::List, day("2026-04-05"));
        assert_eq!(link, "?view=list&date=2026-04-05&tz=America%2FArgentina%2FBuenos%5FAires");
        let again = read(&link[1..]);
        assert_eq!((again.view, again.date, again.zone), (View::List, day("2026-04-05"), question.zone));
        assert_eq!(read("tz=Etc/GMT%2B1").zone, Tz::Etc__GMTPlus1);
    }

    #[test]
    fn a_page_shows_whole_weeks_of_a_month() {
        let days = |query, starts| read(query).days(starts);
        assert_eq!(days("date=2026-02-10", Weekday::Mon), (day("2026-01-26"), day("2026-03-02")));
        assert_eq!(days("date=2026-02-10", Weekday::Sun), (day("2026-02-01"), day("2026-03-01")));
        assert_eq!(days("view=week&date=2026-02-15", Weekday::Mon), (day("2026-02-09"), day("2026-02-16")));
        assert_eq!(days("view=week&date=2026-02-15", Weekday::Sat), (day("2026-02-14"), day("2026-02-21")));
        assert_eq!(days("view=list&date=2026-12-31", Weekday::Mon), (day("2026-12-01"), day("2027-01-01")));
    }

    #[test]
    fn steps_end_where_time_does() {
        assert_eq!(read("date=2026-01-31").step(1), Some(day("2026-02-01")));
        assert_eq!(read("view=list&date=2026-03-31").step(-1), Some(day("2026-02-01")));
        assert_eq!(read("view=week&date=2026-03-01").step(-1), Some(day("2026-02-22")));
        assert_eq!(read("date=9999-12-31").step(1), None);
        assert_eq!(read("date=0001-01-01").step(-1), None);
        read("date=9999-12-31").days(Weekday::Sun);
        read("view=week&date=0001-01-01").days(Weekday::Sun);
    }

    #[test]
    fn weeks_begin_as_they_do_where_the_reader_is() {
        assert_eq!(week_starts(&["en-US", "en"]), Weekday::Sun);
        assert_eq!(week_starts(&["en", "fr-FR"]), Weekday::Mon);
        assert_eq!(week_starts(&["ar-Arab-eg"]), Weekday::Sat);
        assert_eq!(week_starts(&[]), Weekday::Mon);
    }
}
