//! The components of one UID as a series of occurrences.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::dates::{Dates, last_before};
use super::overlap::Shape;
use super::rule::{Rule, Until};
use super::{Bounds, Occurrence, RecurError, Span};
use crate::ical::edit::exdates;
use crate::ical::event::Event;
use crate::ical::tree::Component;
use crate::ical::when::{Duration, Period, When};
use crate::ical::zone::Zones;

/// Steps to find the end of a series for an index; beyond that it counts as endless.
const SPAN_STEPS: usize = 20_000;

/// One UID: its master with rules, dates and exclusions, and its overrides. Reads the components once; asking is cheap.
#[derive(Debug)]
pub struct Series<'a> {
    floating: Tz,
    master: Option<Master<'a>>,
    /// Overrides in order of the occurrence they stand for, one for each.
    overrides: Vec<Override<'a>>,
    /// Components without any time.
    timeless: bool,
}

/// Start and length of a component.
#[derive(Debug, Clone)]
struct Slot<'a> {
    component: &'a Component,
    start: When,
    length: Option<Length>,
    shape: Shape,
}

/// How the end follows from the start.
#[derive(Debug, Clone)]
struct Length {
    duration: Duration,
    /// The end as written for the first occurrence: its form is the form of every end.
    like: When,
}

#[derive(Debug)]
struct Master<'a> {
    slot: Slot<'a>,
    rules: Vec<Rule>,
    dates: Vec<Period>,
    excluded: HashSet<DateTime<Utc>>,
    /// Dates that exclude every time of the day, from writers that put a date where a time belongs.
    excluded_days: HashSet<NaiveDate>,
}

#[derive(Debug)]
struct Override<'a> {
    slot: Slot<'a>,
    /// RECURRENCE-ID in the form of the master's DTSTART.
    id: When,
    at: DateTime<Utc>,
    this_and_future: bool,
}

impl<'a> Slot<'a> {
    /// `None` for a component without a time.
    fn of(component: &'a Component, zones: &Zones, otherwise: Option<&When>, floating: Tz) -> Option<Self> {
        let event = Event::new(component, zones);
        let (start, due) = (event.start(), event.due().filter(|_| component.is("VTODO")));
        let shape = Shape::of(component, start.as_ref(), due.as_ref());
        let start = start.or_else(|| otherwise.cloned()).or(due)?;
        let length = match (component.get("DTEND").or_else(|| component.get("DUE")), event.duration()) {
            (None, Some(duration)) => {
                let duration = if duration.is_negative() { Duration::default() } else { duration };
                Some(Length { duration, like: start.plus(duration) })
            }
            _ => event.end().map(|end| Length { duration: between(&start, &end, floating), like: end }),
        };
        Some(Self { component, start, length, shape })
    }

    /// The occurrence that starts at `start`.
    fn at(&self, start: When, recurrence_id: When, until: Option<When>, floating: Tz) -> Occurrence<'a> {
        let from = start.instant(floating);
        let end_when = until.or_else(|| {
            let length = self.length.as_ref()?;
            let end = start.plus(length.duration);
            let same_form = end.is_date() == length.like.is_date() && end.zone() == length.like.zone();
            Some(if same_form { end } else { length.like.at(end.instant(floating), floating) })
        });
        let to = end_when.as_ref().map_or(from, |e| e.instant(floating)).max(from);
        Occurrence {
            start: from,
            end: to,
            recurrence_id,
            component: self.component,
            is_override: self.component.get("RECURRENCE-ID").is_some(),
            start_when: start,
            end_when,
        }
    }

    fn exact_length(&self) -> TimeDelta {
        self.length.as_ref().map_or_else(TimeDelta::zero, |l| l.duration.exact())
    }
}

/// From start to end: whole days between dates, exact time otherwise (RFC 5545 §3.8.5.3: the same exact duration
/// applies to all). Never negative.
fn between(start: &When, end: &When, floating: Tz) -> Duration {
    if start.is_date() && end.is_date() {
        return Duration::days((end.date() - start.date()).num_days().max(0));
    }
    let exact = end.instant(floating) - start.instant(floating);
    Duration::seconds(exact.num_seconds().max(0))
}

impl<'a> Series<'a> {
    /// The series of a VCALENDAR, by UID and type, in the order they first appear.
    pub fn all(calendar: &'a Component, floating: Tz) -> Vec<Self> {
        let zones = Zones::of(calendar);
        let mut groups: Vec<(String, &str, Vec<&'a Component>)> = Vec::new();
        for component in calendar.components() {
            let Some(kind) = ["VEVENT", "VTODO", "VJOURNAL"].into_iter().find(|k| component.is(k)) else { continue };
            let uid = component.value("UID").unwrap_or("").trim();
            match groups.iter_mut().find(|(u, k, _)| u == uid && *k == kind) {
                Some((_, _, group)) => group.push(component),
                None => groups.push((uid.to_owned(), kind, vec![component])),
            }
        }
        groups.into_iter().map(|(_, _, group)| Self::of(&group, &zones, floating)).collect()
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
        Self { floating, master, overrides, timeless }
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
        by_rule.chain(own).filter(move |o| o.as_ref().map_or(true, |o| self.shape_of(o).overlaps(o, &range)))
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
        let mut next =
            self.overrides.iter().map(|o| self.of_override(o)).filter(|o| o.start > after).min_by_key(|o| o.start);
        for found in self.by_rule(from, range.end, bounds) {
            let found = found?;
            if found.start > after {
                if next.as_ref().is_none_or(|n| found.start < n.start) {
                    next = Some(found);
                }
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
            let earliest = dates.fold(start, DateTime::min);
            first = Some(first.map_or(earliest - moved, |f| f.min(earliest - moved)));
            let end = master.last_end(self.floating).and_then(|e| e.checked_add_signed(moved));
            last = last.zip(end).map(|(a, b)| a.max(b));
        }
        Span { first, last }
    }

    /// How far an occurrence may reach from the time its rule gives: its length, and the way an override moves it.
    fn reach(&self) -> TimeDelta {
        let master = self
            .master
            .as_ref()
            .map_or_else(TimeDelta::zero, |m| m.slot.exact_length().max(m.longest_period(self.floating)));
        let moved = self.overrides.iter().filter(|o| o.this_and_future).map(|o| {
            let shift = o.slot.start.instant(self.floating) - o.at;
            shift.abs() + o.slot.exact_length()
        });
        moved.fold(master, |reach, m| reach.max(m))
    }

    /// The range cut to the bounds and to what can be written.
    fn within(&self, range: Range<DateTime<Utc>>, bounds: Bounds) -> Range<DateTime<Utc>> {
        let year = |y| NaiveDate::from_ymd_opt(y, 1, 1).unwrap_or_default().and_time(NaiveTime::MIN).and_utc();
        let start = range.start.max(year(1));
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
            let earlier = self.overrides.partition_point(|o| o.at < instance.at);
            let ruling = self.overrides[..earlier].iter().rev().find(|o| o.this_and_future);
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

    fn shape_of(&self, occurrence: &Occurrence<'a>) -> Shape {
        let own = self.overrides.iter().map(|o| &o.slot).chain(self.master.as_ref().map(|m| &m.slot));
        own.into_iter().find(|s| std::ptr::eq(s.component, occurrence.component)).map_or(Shape::Event, |s| s.shape)
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

/// A time of the recurrence set.
struct Instance {
    at: DateTime<Utc>,
    when: When,
    /// End of an RDATE period.
    end: Option<When>,
}

impl<'a> Master<'a> {
    fn of(component: &'a Component, zones: &Zones, floating: Tz) -> Option<Self> {
        let slot = Slot::of(component, zones, None, floating)?;
        let event = Event::new(component, zones);
        let dates = component.all("RDATE").flat_map(|p| Period::list(p, zones)).filter_map(Result::ok).collect();
        let mut master = Self {
            rules: event.rules().collect(),
            dates,
            excluded: HashSet::new(),
            excluded_days: HashSet::new(),
            slot,
        };
        for when in exdates(component, zones) {
            if when.is_date() && !master.slot.start.is_date() {
                master.excluded_days.insert(when.date());
            } else {
                let at = when.in_form_of(&master.slot.start, floating).instant(floating);
                master.excluded.insert(at);
            }
        }
        Some(master)
    }

    /// A RECURRENCE-ID in the form of DTSTART. A date where a time belongs means the occurrence of that day.
    fn normalised(&self, id: &When, floating: Tz) -> When {
        let start = &self.slot.start;
        if id.is_date() && !start.is_date() {
            return start.with_local(id.date().and_time(start.local().time()));
        }
        id.in_form_of(start, floating)
    }

    fn longest_period(&self, floating: Tz) -> TimeDelta {
        let lengths = self.dates.iter().filter_map(|p| Some(p.end()?.instant(floating) - p.start.instant(floating)));
        lengths.fold(TimeDelta::zero(), TimeDelta::max)
    }

    /// Last moment of a rule, and the wall time after which it need not be unrolled: a day later, since the offset of
    /// the last one is not known yet.
    fn until(&self, rule: &Rule, floating: Tz) -> Option<(DateTime<Utc>, NaiveDateTime)> {
        let start = &self.slot.start;
        let last_second = NaiveTime::from_hms_opt(23, 59, 59)?;
        let at = match rule.until? {
            Until::Date(date) => start.with_local(date.and_time(last_second)).instant(floating),
            Until::Utc(at) if start.is_date() => start.with_local(at.naive_utc()).instant(floating),
            Until::Utc(at) => at,
            Until::Floating(local) => start.with_local(local).instant(floating),
        };
        Some((at, start.at(at, floating).local() + TimeDelta::days(1)))
    }

    /// The recurrence set between two instants (inclusive), in order, without EXDATEs.
    fn instances<'s>(
        &'s self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        floating: Tz,
        bounds: Bounds,
    ) -> impl Iterator<Item = Result<Instance, RecurError>> + 's {
        let start = &self.slot.start;
        let slack = TimeDelta::days(2);
        let low = start.at(from - slack, floating).local();
        let high = start.at(to + slack, floating).local();
        let mut sources: Vec<Source<'s>> = Vec::new();
        let mut single: Vec<Instance> = self
            .dates
            .iter()
            .map(|p| Instance {
                at: p.start.instant(floating),
                when: p.start.in_form_of(start, floating),
                end: p.end(),
            })
            .chain([Instance { at: start.instant(floating), when: start.clone(), end: None }])
            .collect();
        single.sort_by_key(|i| std::cmp::Reverse(i.at));
        sources.push(Source { next: single.pop(), rest: Rest::Single(single) });
        for rule in &self.rules {
            let until = self.until(rule, floating);
            let end = until.map_or(high, |(_, wall)| wall.min(high));
            let dates = Dates::new(rule, start.local(), low, end, bounds.max_steps);
            let mut source = Source {
                next: None,
                rest: Rest::Rule { dates, like: start, until: until.map(|(at, _)| at), floating },
            };
            source.advance();
            sources.push(source);
        }
        let merged = Merged { sources, max_steps: bounds.max_steps, newest: None, failed: false };
        merged
            .skip_while(move |i| i.as_ref().is_ok_and(|i| i.at < from))
            .take_while(move |i| i.as_ref().map_or(true, |i| i.at <= to))
            .filter(|i| i.as_ref().map_or(true, |i| !self.is_excluded(i)))
    }

    fn is_excluded(&self, instance: &Instance) -> bool {
        self.excluded.contains(&instance.at) || self.excluded_days.contains(&instance.when.date())
    }

    /// End of the last occurrence; `None` when there is none.
    fn last_end(&self, floating: Tz) -> Option<DateTime<Utc>> {
        let start = &self.slot.start;
        let end_of = |when: When, until: Option<When>| self.slot.at(when.clone(), when, until, floating).end;
        let mut last = end_of(start.clone(), None);
        for period in &self.dates {
            last = last.max(end_of(period.start.clone(), period.end()));
        }
        for rule in &self.rules {
            let newest = match (rule.count, self.until(rule, floating)) {
                (None, None) => return None,
                (None, Some((at, wall))) => {
                    let found = last_before(rule, start.local(), wall, SPAN_STEPS).map(|l| start.with_local(l));
                    // Within the day of slack an occurrence after UNTIL can be found; then UNTIL itself is the bound.
                    found.filter(|w| w.instant(floating) <= at).unwrap_or_else(|| start.at(at, floating))
                }
                (Some(_), until) => {
                    let end = until.map_or(NaiveDateTime::MAX, |(_, wall)| wall);
                    let mut dates = Dates::new(rule, start.local(), start.local(), end, SPAN_STEPS);
                    let newest = dates.by_ref().take(SPAN_STEPS).last();
                    if dates.was_cut() || dates.next().is_some() {
                        return None;
                    }
                    newest.map_or_else(|| start.clone(), |local| start.with_local(local))
                }
            };
            last = last.max(end_of(newest, None));
        }
        Some(last)
    }
}

/// One ordered source of times.
struct Source<'s> {
    next: Option<Instance>,
    rest: Rest<'s>,
}

enum Rest<'s> {
    /// DTSTART and RDATE, the next one last.
    Single(Vec<Instance>),
    Rule {
        dates: Dates<'s>,
        like: &'s When,
        until: Option<DateTime<Utc>>,
        floating: Tz,
    },
}

impl Source<'_> {
    fn advance(&mut self) {
        self.next = match &mut self.rest {
            Rest::Single(rest) => rest.pop(),
            Rest::Rule { dates, like, until, floating } => dates.next().and_then(|local| {
                let when = like.with_local(local);
                let at = when.instant(*floating);
                until.is_none_or(|until| at <= until).then_some(Instance { at, when, end: None })
            }),
        };
    }

    fn was_cut(&self) -> bool {
        matches!(&self.rest, Rest::Rule { dates, .. } if dates.was_cut())
    }
}

/// Several sources as one, without repetitions.
struct Merged<'s> {
    sources: Vec<Source<'s>>,
    max_steps: usize,
    newest: Option<DateTime<Utc>>,
    failed: bool,
}

impl Iterator for Merged<'_> {
    type Item = Result<Instance, RecurError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.failed {
                return None;
            }
            let earliest = self
                .sources
                .iter_mut()
                .filter(|s| s.next.is_some())
                // An RDATE period knows its end; it comes before a bare time of the same instant.
                .min_by_key(|s| s.next.as_ref().map(|i| (i.at, i.end.is_none())));
            let Some(source) = earliest else {
                // A source that ran out of steps may hold back times.
                self.failed = true;
                let cut = self.sources.iter().any(Source::was_cut);
                return cut.then_some(Err(RecurError::TooFar { max: self.max_steps }));
            };
            let instance = source.next.take();
            source.advance();
            if source.next.is_none() && source.was_cut() {
                self.failed = true;
                return Some(Err(RecurError::TooFar { max: self.max_steps }));
            }
            if let Some(instance) = instance
                && self.newest.is_none_or(|newest| instance.at > newest)
            {
                self.newest = Some(instance.at);
                return Some(Ok(instance));
            }
        }
    }
}
