//! Which occurrence is meant: recurrence ids compared by what they mean, not by how they are written.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;

use super::error::ItipError;
use crate::ical::edit::exdates;
use crate::ical::recur::{Bounds, Series, instance_of};
use crate::ical::{Component, Item, Property, When, Zones};

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

/// The occurrence of a series at this moment as an override of its own, in the zone of the series; `None` when the series
/// has no such occurrence.
pub(super) fn occurrence(master: &Component, zones: &Zones, at: &When) -> Option<Component> {
    if master.get("RRULE").is_none() && master.get("RDATE").is_none() {
        return None;
    }
    // A rule that cannot be followed to that moment within reason has no occurrence there.
    let found = Series::of(&[master], zones, Tz::UTC).at(at, Bounds::default()).ok()??;
    Some(instance_of(master, &found.recurrence_id, zones, Tz::UTC))
}

/// Takes occurrences out of a series: adds to EXDATE what is not there yet, written in the form of its DTSTART.
/// True when something was added.
pub(super) fn exclude(master: &mut Component, zones: &Zones, occurrences: &[When]) -> bool {
    let Some(start) = master.get("DTSTART").and_then(|p| When::read(p, zones).ok()) else { return false };
    let mut known: HashSet<Moment> = exdates(master, zones).map(|w| (&w).into()).collect();
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

/// Puts an occurrence back that EXDATE took out of the series; true when it had.
pub(super) fn include(master: &mut Component, zones: &Zones, occurrence: Moment) -> bool {
    let stays = |value: &str, tzid: Option<&str>| {
        When::parse(value, tzid, zones).map_or(true, |when| Moment::from(&when) != occurrence)
    };
    let mut changed = false;
    master.items.retain_mut(|item| {
        let Item::Property(line) = item else { return true };
        if !line.is("EXDATE") {
            return true;
        }
        let kept: Vec<&str> = line.value().split(',').filter(|v| stays(v, line.get_param("TZID"))).collect();
        if kept.len() == line.value().split(',').count() {
            return true;
        }
        changed = true;
        let (left, value) = (!kept.is_empty(), kept.join(","));
        line.set_value(value);
        left
    });
    changed
}
