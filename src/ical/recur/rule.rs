//! The value of an RRULE (RFC 5545 §3.3.10).

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc, Weekday};

use crate::ical::when::{TimeError, parse_date, parse_date_time};

/// How long a period of the rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Frequency {
    Secondly,
    Minutely,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

impl Frequency {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secondly => "SECONDLY",
            Self::Minutely => "MINUTELY",
            Self::Hourly => "HOURLY",
            Self::Daily => "DAILY",
            Self::Weekly => "WEEKLY",
            Self::Monthly => "MONTHLY",
            Self::Yearly => "YEARLY",
        }
    }
}

/// The end of a rule, inclusive. What it means in a zone depends on DTSTART; see [`Rule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// A whole day, in the zone of DTSTART.
    Date(NaiveDate),
    /// A wall time, in the zone of DTSTART.
    Floating(NaiveDateTime),
    /// An instant.
    Utc(DateTime<Utc>),
}

impl FromStr for Until {
    type Err = TimeError;

    fn from_str(value: &str) -> Result<Self, TimeError> {
        if !value.contains(['T', 't']) {
            return parse_date(value).map(Self::Date);
        }
        let (local, utc) = parse_date_time(value)?;
        Ok(if utc { Self::Utc(local.and_utc()) } else { Self::Floating(local) })
    }
}

/// A weekday of BYDAY with its ordinal: `-1SU` is the last Sunday; 0 is every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByDay {
    /// Which one in the month or year, from its end when negative.
    pub ordinal: i16,
    /// The weekday.
    pub day: Weekday,
}

/// A recurrence rule. Lists are sorted and hold only values that RFC 5545 allows; an empty one is an absent part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// FREQ.
    pub freq: Frequency,
    /// INTERVAL, at least 1.
    pub interval: u32,
    /// COUNT.
    pub count: Option<u32>,
    /// UNTIL.
    pub until: Option<Until>,
    /// BYSECOND, 0 to 59.
    pub by_second: Vec<u32>,
    /// BYMINUTE, 0 to 59.
    pub by_minute: Vec<u32>,
    /// BYHOUR, 0 to 23.
    pub by_hour: Vec<u32>,
    /// BYDAY.
    pub by_day: Vec<ByDay>,
    /// BYMONTHDAY, ±1 to ±31.
    pub by_month_day: Vec<i32>,
    /// BYYEARDAY, ±1 to ±366.
    pub by_year_day: Vec<i32>,
    /// BYWEEKNO, ±1 to ±53.
    pub by_week_no: Vec<i32>,
    /// BYMONTH, 1 to 12.
    pub by_month: Vec<u32>,
    /// BYSETPOS, ±1 to ±366.
    pub by_set_pos: Vec<i32>,
    /// WKST.
    pub week_start: Weekday,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// FREQ is missing or unknown.
    #[error("FREQ is missing or not a frequency: {0:?}")]
    Frequency(String),
    /// A part that is not `NAME=value`, is unknown or appears twice.
    #[error("{0:?} is not a rule part")]
    Part(String),
    /// A value that the part does not allow.
    #[error("{value:?} is not a value of {part}")]
    Value {
        /// Name of the part.
        part: &'static str,
        /// Value as written.
        value: String,
    },
    /// COUNT and UNTIL together.
    #[error("COUNT and UNTIL MUST NOT both be present in the same RRULE")]
    CountAndUntil,
}

impl FromStr for Rule {
    type Err = RuleError;

    /// Reads a rule and accepts nothing that RFC 5545 forbids.
    fn from_str(value: &str) -> Result<Self, RuleError> {
        let mut faults = Vec::new();
        match Self::read(value, &mut faults) {
            Some(rule) if faults.is_empty() => Ok(rule),
            _ => Err(faults.swap_remove(0)),
        }
    }
}

/// Faults that are told apart; only the first is ever told.
const MANY: usize = 16;

impl Rule {
    /// The rule that repeats every `freq`.
    pub fn every(freq: Frequency) -> Self {
        Self {
            freq,
            interval: 1,
            count: None,
            until: None,
            by_second: Vec::new(),
            by_minute: Vec::new(),
            by_hour: Vec::new(),
            by_day: Vec::new(),
            by_month_day: Vec::new(),
            by_year_day: Vec::new(),
            by_week_no: Vec::new(),
            by_month: Vec::new(),
            by_set_pos: Vec::new(),
            week_start: Weekday::Mon,
        }
    }

    /// Reads what can be read: parts and values that make no sense are left out, so that garbage which clients have
    /// stored (`UNTIL=INVALID DATE`) does not hide an event (dav §6.4.5). `None` without a frequency.
    pub fn read_leniently(value: &str) -> Option<Self> {
        Self::read(value, &mut Vec::new())
    }

    fn read(value: &str, faults: &mut Vec<RuleError>) -> Option<Self> {
        let parts: Vec<(&str, &str)> = value
            .split(';')
            .filter(|p| !p.trim().is_empty())
            .filter_map(|p| match p.split_once('=') {
                Some((name, value)) => Some((name.trim(), value.trim())),
                None => {
                    faults.push(RuleError::Part(p.to_owned()));
                    None
                }
            })
            .collect();
        let freq = parts.iter().find(|(n, _)| n.eq_ignore_ascii_case("FREQ")).map_or("", |(_, v)| v);
        let Some(freq) = frequency(freq) else {
            faults.push(RuleError::Frequency(freq.to_owned()));
            return None;
        };
        let mut rule = Self::every(freq);
        let mut seen = HashSet::new();
        for (name, value) in parts {
            let name = name.to_ascii_uppercase();
            if seen.contains(&name) {
                faults.push(RuleError::Part(name));
                continue;
            }
            rule.part(&name, value, faults);
            seen.insert(name);
        }
        if rule.count.is_some() && rule.until.is_some() {
            faults.push(RuleError::CountAndUntil);
        }
        Some(rule)
    }

    fn part(&mut self, name: &str, value: &str, faults: &mut Vec<RuleError>) {
        match name {
            "FREQ" => {}
            "INTERVAL" => self.interval = number("INTERVAL", value, 1, faults).unwrap_or(1),
            // Zero is forbidden; the first time belongs to every rule, and an endless series is meant least.
            "COUNT" if value.parse() == Ok(0_u32) => {
                faults.push(RuleError::Value { part: "COUNT", value: value.to_owned() });
                self.count = Some(1);
            }
            "COUNT" => self.count = number("COUNT", value, 1, faults),
            "UNTIL" => match value.parse() {
                Ok(until) => self.until = Some(until),
                Err(_) => faults.push(RuleError::Value { part: "UNTIL", value: value.to_owned() }),
            },
            "BYSECOND" => self.by_second = list("BYSECOND", value, faults, |n| (0..=59).contains(&n)),
            "BYMINUTE" => self.by_minute = list("BYMINUTE", value, faults, |n| (0..=59).contains(&n)),
            "BYHOUR" => self.by_hour = list("BYHOUR", value, faults, |n| (0..=23).contains(&n)),
            "BYMONTH" => self.by_month = list("BYMONTH", value, faults, |n| (1..=12).contains(&n)),
            "BYMONTHDAY" => self.by_month_day = list("BYMONTHDAY", value, faults, |n| within(n, 31)),
            "BYYEARDAY" => self.by_year_day = list("BYYEARDAY", value, faults, |n| within(n, 366)),
            "BYWEEKNO" => self.by_week_no = list("BYWEEKNO", value, faults, |n| within(n, 53)),
            "BYSETPOS" => self.by_set_pos = list("BYSETPOS", value, faults, |n| within(n, 366)),
            "BYDAY" => {
                for item in value.split(',') {
                    match by_day(item.trim()) {
                        Some(day) if self.by_day.contains(&day) => {}
                        Some(day) => self.by_day.push(day),
                        None if faults.len() > MANY => {}
                        None => faults.push(RuleError::Value { part: "BYDAY", value: item.to_owned() }),
                    }
                }
            }
            "WKST" => match weekday(value) {
                Some(day) => self.week_start = day,
                None => faults.push(RuleError::Value { part: "WKST", value: value.to_owned() }),
            },
            // Gregorian is what we compute; another calendar (RFC 7529) is a fault, as is any part not named here.
            "RSCALE" if value.eq_ignore_ascii_case("GREGORIAN") => {}
            "SKIP" if value.eq_ignore_ascii_case("OMIT") => {}
            _ if name.starts_with("X-") => {}
            _ => faults.push(RuleError::Part(name.to_owned())),
        }
    }
}

fn within(n: i64, max: i64) -> bool {
    n != 0 && n.abs() <= max
}

fn number(part: &'static str, value: &str, min: u32, faults: &mut Vec<RuleError>) -> Option<u32> {
    match value.parse() {
        Ok(n) if n >= min => Some(n),
        _ => {
            faults.push(RuleError::Value { part, value: value.to_owned() });
            None
        }
    }
}

fn list<T: Ord + TryFrom<i64>>(
    part: &'static str,
    value: &str,
    faults: &mut Vec<RuleError>,
    allowed: impl Fn(i64) -> bool,
) -> Vec<T> {
    let mut out = Vec::new();
    for item in value.split(',') {
        let n = item.trim().parse::<i64>().ok().filter(|n| allowed(*n));
        match n.and_then(|n| T::try_from(n).ok()) {
            Some(n) => out.push(n),
            None if faults.len() > MANY => {}
            None => faults.push(RuleError::Value { part, value: item.to_owned() }),
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

fn frequency(word: &str) -> Option<Frequency> {
    use Frequency::{Daily, Hourly, Minutely, Monthly, Secondly, Weekly, Yearly};
    [Secondly, Minutely, Hourly, Daily, Weekly, Monthly, Yearly]
        .into_iter()
        .find(|f| f.as_str().eq_ignore_ascii_case(word))
}

fn weekday(word: &str) -> Option<Weekday> {
    use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    [Mon, Tue, Wed, Thu, Fri, Sat, Sun].into_iter().find(|d| weekday_word(*d).eq_ignore_ascii_case(word))
}

const fn weekday_word(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "MO",
        Weekday::Tue => "TU",
        Weekday::Wed => "WE",
        Weekday::Thu => "TH",
        Weekday::Fri => "FR",
        Weekday::Sat => "SA",
        Weekday::Sun => "SU",
    }
}

fn by_day(item: &str) -> Option<ByDay> {
    let cut = item.len().checked_sub(2)?;
    let day = weekday(item.get(cut..)?)?;
    let ordinal = match item.get(..cut)? {
        "" => 0,
        n => n.parse::<i16>().ok().filter(|n| within(i64::from(*n), 53))?,
    };
    Some(ByDay { ordinal, day })
}

impl fmt::Display for ByDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ordinal != 0 {
            write!(f, "{}", self.ordinal)?;
        }
        f.write_str(weekday_word(self.day))
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(d) => write!(f, "{}", d.format("%Y%m%d")),
            Self::Floating(t) => write!(f, "{}", t.format("%Y%m%dT%H%M%S")),
            Self::Utc(t) => write!(f, "{}", t.format("%Y%m%dT%H%M%SZ")),
        }
    }
}

impl fmt::Display for Rule {
    /// The value on the wire, FREQ first as older readers expect.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, name: &str, items: &[T]) -> fmt::Result {
            for (i, item) in items.iter().enumerate() {
                if i == 0 {
                    write!(f, ";{name}={item}")?;
                } else {
                    write!(f, ",{item}")?;
                }
            }
            Ok(())
        }
        write!(f, "FREQ={}", self.freq.as_str())?;
        if let Some(until) = self.until {
            write!(f, ";UNTIL={until}")?;
        }
        if let Some(count) = self.count {
            write!(f, ";COUNT={count}")?;
        }
        if self.interval != 1 {
            write!(f, ";INTERVAL={}", self.interval)?;
        }
        list(f, "BYSECOND", &self.by_second)?;
        list(f, "BYMINUTE", &self.by_minute)?;
        list(f, "BYHOUR", &self.by_hour)?;
        list(f, "BYDAY", &self.by_day)?;
        list(f, "BYMONTHDAY", &self.by_month_day)?;
        list(f, "BYYEARDAY", &self.by_year_day)?;
        list(f, "BYWEEKNO", &self.by_week_no)?;
        list(f, "BYMONTH", &self.by_month)?;
        list(f, "BYSETPOS", &self.by_set_pos)?;
        if self.week_start != Weekday::Mon {
            write!(f, ";WKST={}", weekday_word(self.week_start))?;
        }
        Ok(())
    }
}
