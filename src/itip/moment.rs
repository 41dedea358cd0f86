//! Which occurrence is meant: recurrence ids compared by what they mean, not by how they are written.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;

use super::error::ItipError;
use crate::ical::{Component, Property, When, Zones};

/// A point of a recurrence set, the same in every zone it may be written in (mail-itip-alarms §5.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Moment {
    /// A day of an all-day series.
    Date(NaiveDate),
    /// A wall time without zone.
    Floating(NaiveDateTime),
    /// An instant.
    Instant(DateTime<Utc>),
}

impl From<&When> for Moment {
    fn from(when: &When) -> Self {
        match when {
            When::Date(date) => Self::Date(*date),
            When::Floating(local) => Self::Floating(*local),
            When::Utc(_) | When::Zoned { .. } => Self::Instant(when.instant(Tz::UTC)),
        }
    }
}

/// Which part of a series a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum InstanceId {
    /// The component without RECURRENCE-ID: the series, or a single event.
    Master,
    /// The occurrence that would be at this moment.
    At(Moment),
}

impl InstanceId {
    /// Reads the RECURRENCE-ID of a component.
    pub fn of(component: &Component, zones: &Zones) -> Result<Self, ItipError> {
        match component.get("RECURRENCE-ID") {
            None => Ok(Self::Master),
            Some(p) => Ok(Self::At((&read(p, zones)?).into())),
        }
    }

    /// The moment, unless it is the master.
    pub const fn moment(self) -> Option<Moment> {
        match self {
            Self::Master => None,
            Self::At(moment) => Some(moment),
        }
    }
}

/// Reads a property that must hold a time.
pub(super) fn read(property: &Property, zones: &Zones) -> Result<When, ItipError> {
    When::read(property, zones).map_err(|_| ItipError::BadTime {
        property: property.name().to_ascii_uppercase(),
        value: property.value().chars().take(40).collect(),
    })
}

/// The values of every EXDATE; values that are no times count for nothing, as with every reader of such an object.
pub(super) fn exdates(component: &Component, zones: &Zones) -> Vec<When> {
    component.all("EXDATE").flat_map(|p| When::list(p, zones)).filter_map(Result::ok).collect()
}

/// Takes occurrences out of a series: adds to EXDATE what is not there yet, written in the form of its DTSTART.
/// True when something was added.
pub(super) fn exclude(master: &mut Component, zones: &Zones, occurrences: &[When]) -> bool {
    let Some(start) = master.get("DTSTART").and_then(|p| When::read(p, zones).ok()) else { return false };
    let mut known: std::collections::HashSet<Moment> = exdates(master, zones).iter().map(Moment::from).collect();
    let mut added = false;
    for occurrence in occurrences {
        let exdate = occurrence.in_form_of(&start, Tz::UTC);
        if !known.insert((&exdate).into()) {
            continue;
        }
        added = true;
        let new = exdate.to_property("EXDATE");
        // One line per form: a value may join a line only when VALUE and TZID are the same.
        match master.all_mut("EXDATE").filter(|p| p.params() == new.params()).last() {
            Some(line) => line.set_value(format!("{},{}", line.value(), new.value())),
            None => master.push(new),
        }
    }
    added
}
