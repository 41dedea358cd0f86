//! Dates and times of which only a part may be known (RFC 6350 §4.3, ISO 8601:2000).
//!
//! Version 4.0 writes them in the basic format (`19850412`, `--0412`), version 3.0 and jCard in the extended one
//! (`1985-04-12`, `--04-12`). Both are read everywhere, for clients write either.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

/// A day, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Date {
    /// Year, month and day.
    Full(u16, u8, u8),
    /// Year and month.
    YearMonth(u16, u8),
    /// The year alone.
    Year(u16),
    /// A day of any year, e.g. the birthday of somebody who does not tell their age.
    MonthDay(u8, u8),
    /// A month of any year.
    Month(u8),
    /// A day of any month.
    Day(u8),
}

/// A time of day, as far as it is known, and how far it is ahead of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    hour: Option<u8>,
    minute: Option<u8>,
    second: Option<u8>,
    offset: Option<Offset>,
}

/// A distance from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offset {
    /// UTC itself, written `Z`.
    Utc,
    /// Minutes ahead of UTC.
    Ahead(i16),
}

/// A date, a time, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The day.
    pub date: Option<Date>,
    /// The time of day.
    pub time: Option<Time>,
}

/// How a moment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Without separators, as in vCard 4.0.
    Basic,
    /// With separators, as in vCard 3.0 and jCard.
    Extended,
}

impl Moment {
    /// Reads either format; `None` when it is neither. Fractions of a second, which version 4.0 has no place for, are left
    /// out.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (date, time) = match text.split_once(['T', 't']) {
            Some((date, time)) => (date, Some(Time::parse(time)?)),
            None => (text, None),
        };
        let date = if date.is_empty() { None } else { Some(Date::parse(date)?) };
        (date.is_some() || time.is_some()).then_some(Self { date, time })
    }

    /// Whether year, month and day are known.
    pub const fn is_full_date(&self) -> bool {
        matches!(self.date, Some(Date::Full(..)))
    }

    /// The instant, where the whole date is known; a missing time is midnight, a missing zone UTC.
    pub fn instant(&self) -> Option<DateTime<Utc>> {
        let Some(Date::Full(year, month, day)) = self.date else { return None };
        let part = |of: fn(&Time) -> Option<u8>| u32::from(self.time.as_ref().and_then(of).unwrap_or(0));
        let date = NaiveDate::from_ymd_opt(i32::from(year), u32::from(month), u32::from(day))?;
        // A leap second is the last one of its minute.
        let local = date.and_hms_opt(part(|t| t.hour), part(|t| t.minute), part(|t| t.second).min(59))?;
        let ahead = match self.time.and_then(|t| t.offset) {
            Some(Offset::Ahead(minutes)) => TimeDelta::minutes(i64::from(minutes)),
            Some(Offset::Utc) | None => TimeDelta::zero(),
        };
        Some(local.and_utc() - ahead)
    }

    /// The moment as text.
    pub fn write(&self, format: Format) -> String {
        let mut out = String::new();
        if let Some(date) = self.date {
            date.write(format, &mut out);
        }
        if let Some(time) = self.time {
            out.push('T');
            time.write(format, &mut out);
        }
        out
    }
}

/// The number in these digits, when there are just so many.
fn digits(text: &str, length: usize) -> Option<u16> {
    (text.len() == length && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn two(text: &str, most: u8) -> Option<u8> {
    digits(text, 2).and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= most)
}

fn month(text: &str) -> Option<u8> {
    two(text, 12).filter(|m| *m > 0)
}

fn day(text: &str) -> Option<u8> {
    two(text, 31).filter(|d| *d > 0)
}

impl Date {
    fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("---") {
            return day(rest).map(Self::Day);
        }
        if let Some(rest) = text.strip_prefix("--") {
            return match rest.len() {
                2 => month(rest).map(Self::Month),
                4 => Some(Self::MonthDay(month(rest.get(..2)?)?, day(rest.get(2..)?)?)),
                5 => rest.split_once('-').and_then(|(m, d)| Some(Self::MonthDay(month(m)?, day(d)?))),
                _ => None,
            };
        }
        match text.len() {
            4 => digits(text, 4).map(Self::Year),
            7 => text.split_once('-').and_then(|(y, m)| Some(Self::YearMonth(digits(y, 4)?, month(m)?))),
            8 => Some(Self::Full(digits(text.get(..4)?, 4)?, month(text.get(4..6)?)?, day(text.get(6..)?)?)),
            10 => {
                let mut parts = text.split('-');
                let full = Self::Full(digits(parts.next()?, 4)?, month(parts.next()?)?, day(parts.next()?)?);
                parts.next().is_none().then_some(full)
            }
            _ => None,
        }
    }

    fn write(self, format: Format, out: &mut String) {
        let dash = if format == Format::Extended { "-" } else { "" };
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Full(y, m, d) => write!(out, "{y:04}{dash}{m:02}{dash}{d:02}"),
            Self::YearMonth(y, m) => write!(out, "{y:04}-{m:02}"),
            Self::Year(y) => write!(out, "{y:04}"),
            Self::MonthDay(m, d) => write!(out, "--{m:02}{dash}{d:02}"),
            Self::Month(m) => write!(out, "--{m:02}"),
            Self::Day(d) => write!(out, "---{d:02}"),
        };
    }
}

impl Time {
    /// Midnight UTC.
    pub const MIDNIGHT_UTC: Self = Self { hour: Some(0), minute: Some(0), second: Some(0), offset: Some(Offset::Utc) };

    fn parse(text: &str) -> Option<Self> {
        // Each leading `-` stands for an hour or a minute that is not known.
        let leading = text.bytes().take_while(|b| *b == b'-').count();
        let sign = text.bytes().skip(leading).position(|b| matches!(b, b'Z' | b'z' | b'+' | b'-'));
        let at = sign.map(|at| at + leading);
        let (clock, offset) = match at {
            Some(at) => (&text[..at], Some(Offset::parse(&text[at..])?)),
            None => (text, None),
        };
        let clock = clock.split(['.', ',']).next().unwrap_or(clock);
        let bare = clock.get(leading..)?.replace(':', "");
        let pairs: Vec<u8> = match bare.len() {
            2 | 4 | 6 => (0..bare.len()).step_by(2).map(|i| two(bare.get(i..i + 2)?, 60)).collect::<Option<_>>()?,
            _ => return None,
        };
        let mut known = pairs.into_iter();
        let hour = if leading == 0 { known.next().map(Some)? } else { None };
        let minute = if leading < 2 { known.next() } else { None };
        let second = known.next();
        if hour.is_some_and(|h| h > 24) || minute.is_some_and(|m| m > 59) || known.next().is_some() {
            return None;
        }
        Some(Self { hour, minute, second, offset })
    }

    fn write(self, format: Format, out: &mut String) {
        let colon = if format == Format::Extended { ":" } else { "" };
        let _ = match (self.hour, self.minute, self.second) {
            (Some(h), Some(m), Some(s)) => write!(out, "{h:02}{colon}{m:02}{colon}{s:02}"),
            (Some(h), Some(m), None) => write!(out, "{h:02}{colon}{m:02}"),
            (Some(h), None, _) => write!(out, "{h:02}"),
            (None, Some(m), Some(s)) => write!(out, "-{m:02}{colon}{s:02}"),
            (None, Some(m), None) => write!(out, "-{m:02}"),
            (None, None, s) => write!(out, "--{:02}", s.unwrap_or(0)),
        };
        if let Some(offset) = self.offset {
            out.push_str(&offset.write(format));
        }
    }
}

impl Offset {
    /// Reads `Z`, `+01`, `-0500` and `-05:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("Z") {
            return Some(Self::Utc);
        }
        let (sign, rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+')?),
        };
        let (hours, minutes) = match rest.len() {
            2 => (rest, "00"),
            4 => (rest.get(..2)?, rest.get(2..)?),
            5 => rest.split_once(':')?,
            _ => return None,
        };
        Some(Self::Ahead(sign * (i16::from(two(hours, 23)?) * 60 + i16::from(two(minutes, 59)?))))
    }

    /// The distance as text.
    pub fn write(self, format: Format) -> String {
        let Self::Ahead(minutes) = self else { return "Z".to_owned() };
        let sign = if minutes < 0 { '-' } else { '+' };
        let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
        let colon = if format == Format::Extended { ":" } else { "" };
        format!("{sign}{hours:02}{colon}{minutes:02}")
    }
}
