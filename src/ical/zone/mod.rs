//! Time zones: IANA ids, the names Windows and others use for them, and VTIMEZONE definitions (RFC 5545 §3.6.5).
//!
//! An IANA name means the IANA zone, so that a series follows later changes of the law. Only where the VTIMEZONE that
//! came with it disagrees with the IANA table around the time of the event does the VTIMEZONE win: then the writer meant
//! something else by that name.

mod definition;
mod lately;
mod names;
mod vtimezone;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::tree::Component;
use definition::Definition;
pub use vtimezone::vtimezone;

/// VTIMEZONEs of one calendar that count.
const MAX_DEFINITIONS: usize = 500;

/// A time zone under the name it was given. Cheap to clone.
#[derive(Clone)]
pub struct Zone(Arc<Inner>);

struct Inner {
    id: Box<str>,
    rules: Rules,
}

enum Rules {
    Iana(Tz),
    /// Offsets of a VTIMEZONE.
    Defined(Arc<Definition>),
    /// `UTC+02:00` and the like.
    Fixed(FixedOffset),
    /// A name that means nothing to us; taken as UTC.
    Unknown,
}

impl Zone {
    fn new(id: &str, rules: Rules) -> Self {
        Self(Arc::new(Inner { id: id.into(), rules }))
    }

    /// The TZID as written.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The IANA zone, unless the zone is one that only its VTIMEZONE describes.
    pub fn tz(&self) -> Option<Tz> {
        match &self.0.rules {
            Rules::Iana(tz) => Some(*tz),
            _ => None,
        }
    }

    /// False for a TZID that nobody defines, whose times are read as UTC.
    pub fn is_known(&self) -> bool {
        !matches!(self.0.rules, Rules::Unknown)
    }

    /// The instant of a wall time. A time that occurs twice is the first of the two; one in a gap is read with the
    /// offset before the gap (RFC 5545 §3.3.5).
    pub fn to_utc(&self, local: NaiveDateTime) -> DateTime<Utc> {
        match &self.0.rules {
            Rules::Iana(tz) => iana_to_utc(*tz, local),
            Rules::Defined(definition) => (local - definition.offset_of_local(local)).and_utc(),
            Rules::Fixed(offset) => (local - *offset).and_utc(),
            Rules::Unknown => local.and_utc(),
        }
    }

    /// The wall time of an instant.
    pub fn to_local(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        match &self.0.rules {
            Rules::Iana(tz) => instant.with_timezone(tz).naive_local(),
            Rules::Defined(definition) => instant.naive_utc() + definition.offset_at(instant.naive_utc()),
            Rules::Fixed(offset) => instant.naive_utc() + *offset,
            Rules::Unknown => instant.naive_utc(),
        }
    }
}

fn iana_to_utc(tz: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    match tz.from_local_datetime(&local) {
        MappedLocalTime::Single(t) | MappedLocalTime::Ambiguous(t, _) => t.to_utc(),
        // A day earlier is before the gap, even before the 24 hours that Samoa skipped.
        MappedLocalTime::None => {
            let before = tz.offset_from_utc_datetime(&(local - TimeDelta::days(1)));
            (local - before.fix()).and_utc()
        }
    }
}

impl From<Tz> for Zone {
    fn from(tz: Tz) -> Self {
        Self::new(tz.name(), Rules::Iana(tz))
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0.rules {
            Rules::Iana(tz) if tz.name() == self.id() => return write!(f, "{tz}"),
            Rules::Iana(tz) => return write!(f, "{} = {tz}", self.id()),
            Rules::Defined(_) => "as defined",
            Rules::Fixed(offset) => return write!(f, "{} = {offset}", self.id()),
            Rules::Unknown => "unknown",
        };
        write!(f, "{} ({kind})", self.id())
    }
}

impl PartialEq for Zone {
    /// Same name as written.
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}
impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

/// The zones one calendar object knows: its VTIMEZONEs, and every name that stands for an IANA zone. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Zones(Arc<Vec<Defined>>);

#[derive(Debug)]
struct Defined {
    tzid: Box<str>,
    definition: Arc<Definition>,
    /// The IANA zone the name or X-LIC-LOCATION stands for.
    iana: Option<Tz>,
    /// Year whose offsets decide whether the definition agrees with it.
    around: i32,
    zone: OnceLock<Zone>,
}

impl Zones {
    /// The zones of a VCALENDAR. Definitions are read here and compared with the IANA table when first asked for.
    pub fn of(calendar: &Component) -> Self {
        let mut around = None;
        let defined = calendar
            .components()
            .filter(|c| c.is("VTIMEZONE"))
            .take(MAX_DEFINITIONS)
            .filter_map(|c| {
                let tzid = c.value("TZID")?;
                let around = *around.get_or_insert_with(|| first_year(calendar));
                let iana = names::iana(tzid).or_else(|| c.value("X-LIC-LOCATION").and_then(names::iana));
                Some(Defined {
                    tzid: tzid.into(),
                    definition: lately::definition_of(c),
                    iana,
                    around,
                    zone: OnceLock::new(),
                })
            })
            .collect();
        Self(Arc::new(defined))
    }

    /// The zone of a TZID; `None` when neither the calendar nor any table knows it.
    pub fn get(&self, tzid: &str) -> Option<Zone> {
        match self.0.iter().find(|d| *d.tzid == *tzid) {
            Some(defined) => Some(defined.zone()),
            None => names::iana(tzid)
                .map(|tz| Zone::new(tzid, Rules::Iana(tz)))
                .or_else(|| names::fixed_offset(tzid).map(|offset| Zone::new(tzid, Rules::Fixed(offset)))),
        }
    }

    /// The zone of a TZID; one that is not [known](Zone::is_known) where nobody defines it.
    pub fn named(&self, tzid: &str) -> Zone {
        self.get(tzid).unwrap_or_else(|| Zone::new(tzid, Rules::Unknown))
    }
}

impl Defined {
    fn zone(&self) -> Zone {
        let decide = || match self.iana {
            Some(tz) if self.definition.agrees_with(tz, self.around) => Zone::new(&self.tzid, Rules::Iana(tz)),
            _ if self.definition.is_empty() => Zone::new(&self.tzid, Rules::Unknown),
            _ => Zone::new(&self.tzid, Rules::Defined(self.definition.clone())),
        };
        self.zone.get_or_init(decide).clone()
    }
}

/// Year of the earliest DTSTART or DUE of a calendar.
fn first_year(calendar: &Component) -> i32 {
    calendar
        .components()
        .filter(|c| !c.is("VTIMEZONE"))
        .filter_map(|c| c.value("DTSTART").or_else(|| c.value("DUE")))
        .filter_map(|value| value.get(..4)?.parse().ok())
        .min()
        .unwrap_or(2000)
}
