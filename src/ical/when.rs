//! Dates, times, durations and periods as iCalendar writes them (RFC 5545 §3.3.4–3.3.6, §3.3.9).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

use super::tree::Property;
use super::zone::{Zone, Zones};

/// Why a value is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {expected} value")]
pub struct TimeError {
    /// `DATE`, `DATE-TIME`, `DURATION`, `PERIOD` or `UTC-OFFSET`.
    pub expected: &'static str,
    /// The value as written, shortened.
    pub value: String,
}

impl TimeError {
    pub(super) fn new(expected: &'static str, value: &str) -> Self {
        Self { expected, value: value.chars().take(40).collect() }
    }
}

/// A DATE or DATE-TIME value with the zone it is written in.
///
/// Two values are equal when they are written the same (same form, same time, same TZID); [`When::same_instant`]
/// compares what they mean.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum When {
    /// A whole day (`VALUE=DATE`).
    Date(NaiveDate),
    /// A wall time in whatever zone the reader is in.
    Floating(NaiveDateTime),
    /// An instant, written with `Z`.
    Utc(DateTime<Utc>),
    /// A wall time in a zone, written with `TZID`.
    Zoned {
        /// Wall time as written; it may fall in a gap of the zone.
        local: NaiveDateTime,
        /// The zone.
        zone: Zone,
    },
}

impl When {
    /// Reads the value of DTSTART, DUE, RECURRENCE-ID and the like. The form of the value decides: eight digits are a
    /// date whatever `VALUE` says, and `Z` wins over `TZID`. A TZID that neither the calendar nor we know means UTC, as
    /// in the reference (mail-itip-alarms §1.8); [`Zone::is_known`] tells.
    ///
    /// # Errors
    /// [`TimeError`] when the value is neither a DATE nor a DATE-TIME.
    pub fn read(property: &Property, zones: &Zones) -> Result<Self, TimeError> {
        Self::parse(property.value(), property.get_param("TZID"), zones)
    }

    /// Reads a list: EXDATE, or RDATE, whose periods give their start; see [`Period::read_list`].
    ///
    /// # Errors
    /// [`TimeError`] for the first value that cannot be read.
    pub fn read_list(property: &Property, zones: &Zones) -> Result<Vec<Self>, TimeError> {
        Self::list(property, zones).collect()
    }

    /// As [`When::read_list`], but each value on its own, so that one bad value does not hide the others.
    pub fn list<'a>(
        property: &'a Property,
        zones: &'a Zones,
    ) -> impl Iterator<Item = Result<Self, TimeError>> + use<'a> {
        let tzid = property.get_param("TZID");
        let values = property.value().split(',').map(str::trim).filter(|v| !v.is_empty());
        values.map(move |v| Self::parse(v.split('/').next().unwrap_or(v), tzid, zones))
    }

    /// Reads one value with the TZID that goes with it.
    ///
    /// # Errors
    /// [`TimeError`] when the value is neither a DATE nor a DATE-TIME.
    pub fn parse(value: &str, tzid: Option<&str>, zones: &Zones) -> Result<Self, TimeError> {
        let value = value.trim();
        if !value.contains(['T', 't']) {
            return parse_date(value).map(Self::Date);
        }
        let (local, utc) = parse_date_time(value)?;
        Ok(match tzid {
            _ if utc => Self::Utc(local.and_utc()),
            Some(tzid) if !tzid.is_empty() => Self::Zoned { local, zone: zones.named(tzid) },
            _ => Self::Floating(local),
        })
    }

    /// The instant it means; dates (midnight) and floating times are read in `floating`.
    pub fn instant(&self, floating: Tz) -> DateTime<Utc> {
        match self {
            Self::Date(date) => Zone::from(floating).to_utc(date.and_time(NaiveTime::MIN)),
            Self::Floating(local) => Zone::from(floating).to_utc(*local),
            Self::Utc(instant) => *instant,
            Self::Zoned { local, zone } => zone.to_utc(*local),
        }
    }

    /// The wall time as written; midnight for a date.
    pub fn local(&self) -> NaiveDateTime {
        match self {
            Self::Date(date) => date.and_time(NaiveTime::MIN),
            Self::Floating(local) | Self::Zoned { local, .. } => *local,
            Self::Utc(instant) => instant.naive_utc(),
        }
    }

    /// The day as written.
    pub fn date(&self) -> NaiveDate {
        self.local().date()
    }

    /// Whether it is a whole day.
    pub const fn is_date(&self) -> bool {
        matches!(self, Self::Date(_))
    }

    /// Whether it has no zone of its own: a date or a floating time.
    pub const fn is_floating(&self) -> bool {
        matches!(self, Self::Date(_) | Self::Floating(_))
    }

    /// The zone it is written in, if any; UTC for an instant.
    pub fn zone(&self) -> Option<Zone> {
        match self {
            Self::Date(_) | Self::Floating(_) => None,
            Self::Utc(_) => Some(Zone::from(Tz::UTC)),
            Self::Zoned { zone, .. } => Some(zone.clone()),
        }
    }

    /// Whether both mean the same moment. A date equals another date, and a time equals a date when it is midnight in
    /// `floating`.
    pub fn same_instant(&self, other: &Self, floating: Tz) -> bool {
        match (self, other) {
            (Self::Date(a), Self::Date(b)) => a == b,
            _ => self.instant(floating) == other.instant(floating),
        }
    }

    /// The same moment written in the form of `like` (date, floating, UTC or its zone).
    pub fn in_form_of(&self, like: &Self, floating: Tz) -> Self {
        match (self, like) {
            (Self::Date(_), Self::Date(_)) | (Self::Floating(_), Self::Floating(_)) => self.clone(),
            (_, Self::Date(_)) => match self {
                Self::Utc(instant) => Self::Date(Zone::from(floating).to_local(*instant).date()),
                _ => Self::Date(self.date()),
            },
            _ => like.at(self.instant(floating), floating),
        }
    }

    /// The given instant written in the form of `self`.
    pub fn at(&self, instant: DateTime<Utc>, floating: Tz) -> Self {
        match self {
            Self::Date(_) => Self::Date(Zone::from(floating).to_local(instant).date()),
            Self::Floating(_) => Self::Floating(Zone::from(floating).to_local(instant)),
            Self::Utc(_) => Self::Utc(instant),
            Self::Zoned { zone, .. } => Self::Zoned { local: zone.to_local(instant), zone: zone.clone() },
        }
    }

    /// The given wall time written in the form of `self`.
    pub fn with_local(&self, local: NaiveDateTime) -> Self {
        match self {
            Self::Date(_) => Self::Date(local.date()),
            Self::Floating(_) => Self::Floating(local),
            Self::Utc(_) => Self::Utc(local.and_utc()),
            Self::Zoned { zone, .. } => Self::Zoned { local, zone: zone.clone() },
        }
    }

    /// Adds a duration: days by the calendar, the rest in exact time (RFC 5545 §3.3.6). A date takes only whole days.
    /// Stays as it is beyond what can be written.
    #[must_use]
    pub fn plus(&self, duration: Duration) -> Self {
        let later = |local: NaiveDateTime| add_days(local, duration.days).unwrap_or(local);
        let exact = TimeDelta::try_seconds(duration.seconds).unwrap_or_default();
        match self {
            Self::Date(_) => {
                let days = duration.days.saturating_add(duration.seconds.div_euclid(86_400));
                Self::Date(add_days(self.local(), days).map_or(self.date(), |d| d.date()))
            }
            Self::Floating(local) => Self::Floating(later(*local).checked_add_signed(exact).unwrap_or(*local)),
            Self::Utc(instant) => {
                let local = later(instant.naive_utc());
                Self::Utc(local.checked_add_signed(exact).map_or(*instant, |t| t.and_utc()))
            }
            Self::Zoned { local, zone } => {
                let moved = later(*local);
                let local = if duration.seconds == 0 {
                    moved
                } else {
                    zone.to_utc(moved).checked_add_signed(exact).map_or(*local, |t| zone.to_local(t))
                };
                Self::Zoned { local, zone: zone.clone() }
            }
        }
    }

    /// The value on the wire, without parameters.
    pub fn value(&self) -> String {
        match self {
            Self::Date(date) => date.format("%Y%m%d").to_string(),
            Self::Floating(local) | Self::Zoned { local, .. } => local.format("%Y%m%dT%H%M%S").to_string(),
            Self::Utc(instant) => instant.format("%Y%m%dT%H%M%SZ").to_string(),
        }
    }

    /// A property with this value and the parameters it needs (`VALUE=DATE`, `TZID`).
    pub fn to_property(&self, name: &str) -> Property {
        let mut property = Property::new(name, self.value());
        self.write_params(&mut property);
        property
    }

    /// Puts this value into a property and leaves its other parameters as they are.
    pub fn write_to(&self, property: &mut Property) {
        property.set_value(self.value());
        self.write_params(property);
    }

    fn write_params(&self, property: &mut Property) {
        match self {
            Self::Date(_) => property.set_param("VALUE", "DATE"),
            _ => {
                let date = property.get_param("VALUE").is_some_and(|v| !v.eq_ignore_ascii_case("DATE-TIME"));
                if date {
                    property.remove_param("VALUE");
                }
            }
        }
        match self {
            Self::Zoned { zone, .. } => property.set_param("TZID", zone.id()),
            _ => {
                property.remove_param("TZID");
            }
        }
    }
}

impl PartialOrd for When {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for When {
    /// By wall time as written, then by form and zone name: a stable order, not the order of instants.
    fn cmp(&self, other: &Self) -> Ordering {
        let form = |w: &Self| match w {
            Self::Date(_) => (0, String::new()),
            Self::Floating(_) => (1, String::new()),
            Self::Utc(_) => (2, String::new()),
            Self::Zoned { zone, .. } => (3, zone.id().to_owned()),
        };
        self.local().cmp(&other.local()).then_with(|| form(self).cmp(&form(other)))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.value())?;
        match self {
            Self::Zoned { zone, .. } => write!(f, " {}", zone.id()),
            _ => Ok(()),
        }
    }
}

fn add_days(local: NaiveDateTime, days: i64) -> Option<NaiveDateTime> {
    let by = Days::new(days.unsigned_abs());
    if days < 0 { local.checked_sub_days(by) } else { local.checked_add_days(by) }
}

fn two(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + u32::from(d - b'0')))
}

/// Reads `20260302`; `2026-03-02` is tolerated.
pub(super) fn parse_date(value: &str) -> Result<NaiveDate, TimeError> {
    let invalid = || TimeError::new("DATE", value);
    let (y, m, d) = match value.as_bytes() {
        v if v.len() == 8 => (two(&v[..4]), two(&v[4..6]), two(&v[6..])),
        v if v.len() == 10 && v[4] == b'-' && v[7] == b'-' => (two(&v[..4]), two(&v[5..7]), two(&v[8..])),
        _ => return Err(invalid()),
    };
    let (Some(y), Some(m), Some(d)) = (y, m, d) else { return Err(invalid()) };
    NaiveDate::from_ymd_opt(i32::try_from(y).map_err(|_| invalid())?, m, d).ok_or_else(invalid)
}

/// Reads `20260302T090000` with an optional `Z`; `2026-03-02T09:00:00` is tolerated, and second 60 is 59.
pub(super) fn parse_date_time(value: &str) -> Result<(NaiveDateTime, bool), TimeError> {
    let invalid = || TimeError::new("DATE-TIME", value);
    let (date, time) = value.split_once(['T', 't']).ok_or_else(invalid)?;
    let (time, utc) = match time.strip_suffix(['Z', 'z']) {
        Some(time) => (time, true),
        None => (time, false),
    };
    let (h, m, s) = match time.as_bytes() {
        v if v.len() == 6 => (two(&v[..2]), two(&v[2..4]), two(&v[4..])),
        v if v.len() == 8 && v[2] == b':' && v[5] == b':' => (two(&v[..2]), two(&v[3..5]), two(&v[6..])),
        _ => return Err(invalid()),
    };
    let (Some(h), Some(m), Some(s)) = (h, m, s) else { return Err(invalid()) };
    let date = parse_date(date).map_err(|_| invalid())?;
    let local = date.and_hms_opt(h, m, if s == 60 { 59 } else { s }).ok_or_else(invalid)?;
    Ok((local, utc))
}

/// Days of the longest DURATION that is read: ten thousand years, more than lie between any two times that can be written.
const MOST_DAYS: i64 = 366 * 10_000;

/// A DURATION (RFC 5545 §3.3.6). Weeks and days are nominal, a day of the calendar that may last 23 or 25 hours; the
/// rest is exact. Both parts carry the sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Duration {
    /// Calendar days.
    pub days: i64,
    /// Exact seconds.
    pub seconds: i64,
}

impl Duration {
    /// Calendar days.
    pub const fn days(days: i64) -> Self {
        Self { days, seconds: 0 }
    }

    /// Exact seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self { days: 0, seconds }
    }

    /// The exact length when a day has 24 hours.
    pub fn exact(self) -> TimeDelta {
        TimeDelta::try_seconds(self.days.saturating_mul(86_400).saturating_add(self.seconds)).unwrap_or_default()
    }

    /// Whether it goes back in time.
    pub fn is_negative(self) -> bool {
        self.exact() < TimeDelta::zero()
    }
}

impl From<TimeDelta> for Duration {
    /// Exact time.
    fn from(delta: TimeDelta) -> Self {
        Self::seconds(delta.num_seconds())
    }
}

/// Reads a DURATION such as `PT1H30M`, `-P1D`, `P2W`.
///
/// # Errors
/// [`TimeError`] when the value is no duration, or one of more than ten thousand years.
pub fn parse_duration(value: &str) -> Result<Duration, TimeError> {
    value.parse()
}

impl FromStr for Duration {
    type Err = TimeError;

    fn from_str(value: &str) -> Result<Self, TimeError> {
        let invalid = || TimeError::new("DURATION", value);
        let text = value.trim();
        let (sign, rest) = match text.as_bytes().first() {
            Some(b'-') => (-1, &text[1..]),
            Some(b'+') => (1, &text[1..]),
            _ => (1, text),
        };
        let rest = rest.strip_prefix(['P', 'p']).ok_or_else(invalid)?;
        let (mut days, mut seconds, mut number, mut in_time) = (0_i64, 0_i64, String::new(), false);
        let mut any = false;
        for c in rest.chars() {
            let c = c.to_ascii_uppercase();
            if c.is_ascii_digit() && number.len() < 10 {
                number.push(c);
                continue;
            }
            if c == 'T' && !in_time && number.is_empty() {
                in_time = true;
                continue;
            }
            let n: i64 = number.parse().map_err(|_| invalid())?;
            number.clear();
            any = true;
            match (c, in_time) {
                ('W', false) => days += n * 7,
                ('D', false) => days += n,
                ('H', true) => seconds += n * 3600,
                ('M', true) => seconds += n * 60,
                ('S', true) => seconds += n,
                _ => return Err(invalid()),
            }
            // Looked at after each part: a long list of parts could not be added up.
            if days > MOST_DAYS || seconds > MOST_DAYS * 86_400 {
                return Err(invalid());
            }
        }
        if !any || !number.is_empty() {
            return Err(invalid());
        }
        Ok(Self { days: sign * days, seconds: sign * seconds })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One sign for both parts is all the syntax has; mixed signs become exact time.
        let mixed = self.days.signum() * self.seconds.signum() < 0;
        let (days, seconds) = if mixed { (0, self.exact().num_seconds()) } else { (self.days, self.seconds) };
        if days < 0 || seconds < 0 {
            f.write_str("-")?;
        }
        let (days, seconds) = (days.unsigned_abs(), seconds.unsigned_abs());
        f.write_str("P")?;
        if days > 0 && days % 7 == 0 && seconds == 0 {
            return write!(f, "{}W", days / 7);
        }
        if days > 0 {
            write!(f, "{days}D")?;
        }
        if seconds == 0 && days > 0 {
            return Ok(());
        }
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        f.write_str("T")?;
        if h > 0 {
            write!(f, "{h}H")?;
        }
        if m > 0 {
            write!(f, "{m}M")?;
        }
        if s > 0 || seconds == 0 {
            write!(f, "{s}S")?;
        }
        Ok(())
    }
}

/// A PERIOD (RFC 5545 §3.3.9), or a plain time where a list may hold either (RDATE).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// Its start.
    pub start: When,
    /// Its end; none for a plain time.
    pub end: Option<PeriodEnd>,
}

/// How the end of a period is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeriodEnd {
    /// By its time.
    At(When),
    /// By its length.
    After(Duration),
}

impl Period {
    /// Reads RDATE or FREEBUSY, each value on its own.
    pub fn list<'a>(
        property: &'a Property,
        zones: &'a Zones,
    ) -> impl Iterator<Item = Result<Self, TimeError>> + use<'a> {
        let tzid = property.get_param("TZID");
        let values = property.value().split(',').map(str::trim).filter(|v| !v.is_empty());
        values.map(move |v| {
            let (start, end) = match v.split_once('/') {
                Some((start, end)) => (start, Some(end)),
                None => (v, None),
            };
            let start = When::parse(start, tzid, zones)?;
            let end = match end {
                None => None,
                Some(end) if end.contains(['P', 'p']) => Some(PeriodEnd::After(end.parse()?)),
                Some(end) => Some(PeriodEnd::At(When::parse(end, tzid, zones)?)),
            };
            Ok(Self { start, end })
        })
    }

    /// Reads RDATE or FREEBUSY.
    ///
    /// # Errors
    /// [`TimeError`] for the first value that cannot be read.
    pub fn read_list(property: &Property, zones: &Zones) -> Result<Vec<Self>, TimeError> {
        Self::list(property, zones).collect()
    }

    /// The time of its end, if it has one.
    pub fn end(&self) -> Option<When> {
        match self.end.as_ref()? {
            PeriodEnd::At(when) => Some(when.clone()),
            PeriodEnd::After(duration) => Some(self.start.plus(*duration)),
        }
    }
}

/// The instant cut to whole seconds, which is all iCalendar can write.
pub fn whole_seconds(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.with_nanosecond(0).unwrap_or(instant)
}
