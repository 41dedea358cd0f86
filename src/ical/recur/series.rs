//! The components of one UID as a series of occurrences.

use std::collections::HashMap;
use std::ops::Range;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::set::{Instance, Master};
use super::slot::Slot;
use super::{Bounds, Occurrence, RecurError, Span};
use crate::ical::event::Event;
use crate::ical::tree::Component;
use crate::ical::when::When;
use crate::ical::zone::Zones;

/// One UID: its master with rules, dates and exclusions, and its overrides. Reads the components once; asking is cheap.
#[derive(Debug)]
pub struct Series<'a> {
    floating: Tz,
    master: Option<Master<'a>>,
    /// Overrides in order of the occurrence they stand for, one for each.
    overrides: Vec<Override<'a>>,
    /// Which of them are THISANDFUTURE.
    rulings: Vec<usize>,
    /// Components without any time.
    timeless: bool,
}

#[derive(Debug)]
struct Override<'a> {
    slot: Slot<'a>,
    /// RECURRENCE-ID in the form of the master's DTSTART.
    id: When,
    at: DateTime<Utc>,
    this_and_future: bool,
}

impl<'a> Series<'a> {
    /// The series of a VCALENDAR, by UID and type, in the order they first appear.
    pub fn all(calendar: &'a Component, floating: Tz) -> Vec<Self> {
        let zones = Zones::of(calendar);
        let mut groups: Vec<Vec<&'a Component>> = Vec::new();
        let mut places: HashMap<(&str, &str), usize> = HashMap::new();
        for component in calendar.components() {
            let Some(kind) = ["VEVENT", "VTODO", "VJOURNAL"].into_iter().find(|k| component.is(k)) else { continue };
            let uid = component.value("UID").unwrap_or("").trim();
            let place = *places.entry((uid, kind)).or_insert(groups.len());
            if place == groups.len() {
                groups.push(Vec::new());
            }
            groups[place].push(component);
        }
        groups.iter().map(|group| Self::of(group, &zones, floating)).collect()
    }

    /// The series of one component type; see [`Series::all`].
    pub(super) fn all_of(calendar: &'a Component, component_type: &str, floating: Tz) -> Vec<Self> {
        let mut all = Self::all(calendar, floating);
        all.retain(|s| s.components().any(|c| c.is(component_type)));
        all
    }

    fn components(&self) -> impl Iterator<Item = &'a Component> + '_ {
        let master = self.master.iter().map(|m| m.slot.component);
        master.chain(self.overrides.iter().map(|o| o.slot.component))
    }

    /// The series of these components, which have one UID.
    pub fn of(components: &[&'a Component], zones: &Zones, floating: Tz) -> Self {
        let is_override = |c: &Component| c.get("RECURRENCE-ID").is_some();
        let master = components.iter().find(|c| !is_override(c)).and_then(|c| Master::of(c, zones, floating));
        let mut overrides: Vec<Override<'a>> = Vec::new();
        let mut places: HashMap<DateTime<Utc>, usize> = HashMap::new();
        for component in components.iter().filter(|c| is_override(c)) {
            let Some(new) = Override::of(component, master.as_ref(), zones, floating) else { continue };
            match places.get(&new.at) {
                // Duplicates: the newest wins (mail-itip-alarms §4.3).
                Some(place) => {
                    let age = |o: &Override<'_>| {
                        let event = Event::new(o.slot.component, zones);
                        (event.dtstamp(), event.sequence())
                    };
                    if age(&new) > age(&overrides[*place]) {
                        overrides[*place] = new;
                    }
                }
                None => {
                    places.insert(new.at, overrides.len());
                    overrides.push(new);
                }
            }
        }
        overrides.sort_by_key(|o| o.at);
        let timeless = master.is_none() && overrides.is_empty();
        let rulings = (0..overrides.len()).filter(|i| overrides[*i].this_and_future).collect();
        Self { floating, master, overrides, rulings, timeless }
    }

    /// Whether it has rules, dates or overrides: whether its occurrences need a RECURRENCE-ID.
    pub fn is_recurring(&self) -> bool {
        !self.overrides.is_empty() || self.master.as_ref().is_some_and(|m| !m.rules.is_empty() || !m.dates.is_empty())
    }

    /// The occurrences that overlap a range. Those of the rules come in order of their RECURRENCE-ID, overrides last. An
    /// error ends the iteration.
    pub fn occurrences(
        &self,
        range: Range<DateTime<Utc>>,
        bounds: Bounds,
    ) -> impl Iterator<Item = Result<Occurrence<'a>, RecurError>> + '_ {
        let range = self.within(range, bounds);
        let reach = self.reach();
        let from = range.start.checked_sub_signed(reach).unwrap_or(range.start);
        let to = range.end.checked_add_signed(reach).unwrap_or(range.end);
        let by_rule = self.by_rule(from, to, bounds);
        let own = self.overrides.iter().map(|o| Ok(self.of_override(o)));
        by_rule.chain(own).filter(move |o| o.as_ref().map_or(true, |o| o.shape.overlaps(o, &range)))
    }

    /// Whether it has an occurrence with this RECURRENCE-ID.
    ///
    /// # Errors
    /// [`RecurError::TooFar`] when the bounds are exceeded.
    pub fn has(&self, recurrence_id: &When, bounds: Bounds) -> Result<bool, RecurError> {
        self.at(recurrence_id, bounds).map(|found| found.is_some())
    }

    /// The occurrence with this RECURRENCE-ID, found by its instant.
    ///
    /// # Errors
    /// [`RecurError::TooFar`] when the bounds are exceeded.
    pub fn at(&self, recurrence_id: &When, bounds: Bounds) -> Result<Option<Occurrence<'a>>, RecurError> {
        let id = self.master.as_ref().map(|m| m.normalised(recurrence_id, self.floating));
        let at = id.as_ref().unwrap_or(recurrence_id).instant(self.floating);
        if let Some(own) = self.overrides.iter().find(|o| o.at == at) {
            return Ok(Some(self.of_override(own)));
        }
        self.by_rule(at, at, bounds).next().transpose()
    }

    /// The occurrence that the master would have at a time, whether or not its rules give it.
    pub(super) fn made_at(&self, start: &When) -> Option<Occurrence<'a>> {
        let slot = &self.master.as_ref()?.slot;
        Some(slot.at(start.clone(), start.clone(), None, self.floating))
    }

    /// The first occurrence that starts after an instant.
    ///
    /// # Errors
    /// [`RecurError::TooFar`] when the bounds are exceeded.
    pub fn next_after(&self, after: DateTime<Utc>, bounds: Bounds) -> Result<Option<Occurrence<'a>>, RecurError> {
        let range = self.within(after..DateTime::<Utc>::MAX_UTC, bounds);
        let from = range.start.checked_sub_signed(self.reach()).unwrap_or(range.start);
        let own = self.overrides.iter().map(|o| self.of_override(o)).filter(|o| o.start > after);
        let mut next = own.min_by_key(|o| o.start);
        let shift = self.shift();
        for found in self.by_rule(from, range.end, bounds) {
            let found = found?;
            let by_rule = found.recurrence_id.instant(self.floating);
            if found.start > after && next.as_ref().is_none_or(|n| found.start < n.start) {
                next = Some(found);
            }
            // A later one may have been moved before this one, but no farther than that.
            if next.as_ref().is_some_and(|n| n.start + shift <= by_rule) {
                break;
            }
        }
        Ok(next)
    }

    /// The time it covers; see [`span`](super::span).
    pub fn span(&self) -> Span {
        if self.timeless {
            return Span { first: None, last: None };
        }
        let overrides = self.overrides.iter().map(|o| self.of_override(o));
        let (mut first, mut last) = (None, Some(DateTime::<Utc>::MIN_UTC));
        for o in overrides {
            first = Some(first.map_or(o.start, |f: DateTime<Utc>| f.min(o.start)));
            last = last.map(|l| l.max(o.end));
        }
        if let Some(master) = &self.master {
            // What THISANDFUTURE moves can start earlier and end later than the master says.
            let moved = self.reach() - master.slot.exact_length();
            let start = master.slot.start.instant(self.floating);
            let dates = master.dates.iter().map(|p| p.start.instant(self.floating));
            let earliest =
                dates.fold(start, DateTime::min).checked_sub_signed(moved).unwrap_or(DateTime::<Utc>::MIN_UTC);
            first = Some(first.map_or(earliest, |f| f.min(earliest)));
            let end = master.last_end(self.floating).and_then(|e| e.checked_add_signed(moved));
            last = last.zip(end).map(|(a, b)| a.max(b));
        }
        Span { first, last }
    }

    /// How far an occurrence may reach from the time its rule gives: its length, and the way an override moves it.
    fn reach(&self) -> TimeDelta {
        let length = |m: &Master<'_>| m.slot.exact_length().max(m.longest_period(self.floating));
        let master = self.master.as_ref().map_or_else(TimeDelta::zero, length);
        let lengths = self.rulings().map(|o| o.slot.exact_length());
        self.shift() + lengths.fold(master, TimeDelta::max)
    }

    /// The farthest that a THISANDFUTURE override moves an occurrence.
    fn shift(&self) -> TimeDelta {
        let shifts = self.rulings().map(|o| (o.slot.start.instant(self.floating) - o.at).abs());
        // Moved by wall time, an occurrence can be a change of offset further off.
        shifts.fold(TimeDelta::zero(), |most, s| most.max(s + TimeDelta::hours(2)))
    }

    fn rulings(&self) -> impl Iterator<Item = &Override<'a>> {
        self.rulings.iter().map(|i| &self.overrides[*i])
    }

    /// The range cut to the bounds and to what can be written.
    fn within(&self, range: Range<DateTime<Utc>>, bounds: Bounds) -> Range<DateTime<Utc>> {
        let year = |y| NaiveDate::from_ymd_opt(y, 1, 1).unwrap_or_default().and_time(NaiveTime::MIN).and_utc();
        let start = range.start.clamp(year(1), year(9999));
        let first = self.master.as_ref().map_or(start, |m| m.slot.start.instant(self.floating));
        let longest = start.max(first).checked_add_signed(bounds.max_span).unwrap_or(range.end);
        start..range.end.min(longest).min(year(9999))
    }

    /// What the rules and dates of the master give between two instants (inclusive), except where an override stands.
    fn by_rule(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        bounds: Bounds,
    ) -> impl Iterator<Item = Result<Occurrence<'a>, RecurError>> + '_ {
        let instances = self.master.iter().flat_map(move |m| m.instances(from, to, self.floating, bounds));
        instances.filter_map(move |found| {
            let instance = match found {
                Ok(instance) => instance,
                Err(e) => return Some(Err(e)),
            };
            let master = self.master.as_ref()?;
            if self.overrides.binary_search_by_key(&instance.at, |o| o.at).is_ok() {
                return None;
            }
            let earlier = self.rulings.partition_point(|i| self.overrides[*i].at < instance.at);
            let ruling = earlier.checked_sub(1).map(|i| &self.overrides[self.rulings[i]]);
            let floating = self.floating;
            Some(Ok(match ruling {
                Some(o) => o.later(&instance, floating),
                None => master.slot.at(instance.when.clone(), instance.when, instance.end, floating),
            }))
        })
    }

    fn of_override(&self, o: &Override<'a>) -> Occurrence<'a> {
        o.slot.at(o.slot.start.clone(), o.id.clone(), None, self.floating)
    }
}

impl<'a> Override<'a> {
    fn of(component: &'a Component, master: Option<&Master<'a>>, zones: &Zones, floating: Tz) -> Option<Self> {
        let event = Event::new(component, zones);
        let written = event.recurrence_id()?;
        let id = master.map_or_else(|| written.clone(), |m| m.normalised(&written, floating));
        let slot = Slot::of(component, zones, Some(&written), floating)?;
        Some(Self { slot, at: id.instant(floating), id, this_and_future: event.is_this_and_future() })
    }

    /// A later occurrence that this THISANDFUTURE override describes: moved by as much, as long as this one. Wall times
    /// move by wall time, so that nine o'clock stays nine o'clock across a change of offset.
    fn later(&self, instance: &Instance, floating: Tz) -> Occurrence<'a> {
        let same_form = self.slot.start.zone() == self.id.zone() && self.slot.start.is_date() == self.id.is_date();
        let start = if same_form {
            self.slot.start.with_local(instance.when.local() + (self.slot.start.local() - self.id.local()))
        } else {
            let shift = self.slot.start.instant(floating) - self.at;
            self.slot.start.at(instance.at + shift, floating)
        };
        self.slot.at(start, instance.when.clone(), None, floating)
    }
}
