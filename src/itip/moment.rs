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
        #[cfg(test)]
        super::work::count();
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

/// The occurrences of a series, without regard to its overrides. The rules are read once, however many are asked for.
#[derive(Debug)]
pub(super) struct Occurrences<'a> {
    master: &'a Component,
    series: Series<'a>,
}

impl<'a> Occurrences<'a> {
    /// `None` for what does not recur.
    pub fn of(master: &'a Component, zones: &Zones) -> Option<Self> {
        let recurs = master.get("RRULE").is_some() || master.get("RDATE").is_some();
        recurs.then(|| Self { master, series: Series::of(&[master], zones, Tz::UTC) })
    }

    /// The occurrence at this moment as an override of its own, in the zone of the series; `None` when there is none.
    pub fn at(&self, zones: &Zones, at: &When) -> Option<Component> {
        // A rule that cannot be followed to that moment within reason has no occurrence there.
        let found = self.series.at(at, Bounds::default()).ok()??;
        Some(instance_of(self.master, &found.recurrence_id, zones, Tz::UTC))
    }
}

/// One occurrence of a series; see [`Occurrences::at`].
pub(super) fn occurrence(master: &Component, zones: &Zones, at: &When) -> Option<Component> {
    Occurrences::of(master, zones)?.at(zones, at)
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

/// Puts occurrences back that EXDATE took out of the series.
pub(super) fn include(master: &mut Component, zones: &Zones, occurrences: &HashSet<Moment>) {
    if occurrences.is_empty() {
        return;
    }
    let stays = |value: &str, tzid: Option<&str>| {
        When::parse(value, tzid, zones).map_or(true, |when| !occurrences.contains(&Moment::from(&when)))
    };
    master.items.retain_mut(|item| {
        let Item::Property(line) = item else { return true };
        if !line.is("EXDATE") {
            return true;
        }
        let kept: Vec<&str> = line.value().split(',').filter(|v| stays(v, line.get_param("TZID"))).collect();
        if kept.len() == line.value().split(',').count() {
            return true;
        }
        let (left, value) = (!kept.is_empty(), kept.join(","));
        line.set_value(value);
        left
    });
}
