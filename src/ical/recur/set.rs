//! The recurrence set of a master: RRULE and RDATE without EXDATE (RFC 5545 §3.8.5).

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::dates::{Dates, last_before};
use super::rule::{Rule, Until};
use super::slot::Slot;
use super::{Bounds, RecurError};
use crate::ical::edit::exdates;
use crate::ical::event::Event;
use crate::ical::tree::Component;
use crate::ical::when::{Period, When};
use crate::ical::zone::Zones;

/// Steps to find the end of a series for an index; beyond that it counts as endless.
const SPAN_STEPS: usize = 20_000;

/// RRULEs of one component that count. RFC 5545 §3.8.5.3 wants no more than one.
const MAX_RULES: usize = 16;

/// A component without RECURRENCE-ID and what says how it recurs.
#[derive(Debug)]
pub(super) struct Master<'a> {
    pub(super) slot: Slot<'a>,
    pub(super) rules: Vec<Rule>,
    pub(super) dates: Vec<Period>,
    excluded: HashSet<DateTime<Utc>>,
    /// Dates that exclude every time of the day, from writers that put a date where a time belongs.
    excluded_days: HashSet<NaiveDate>,
}

/// A time of the recurrence set.
pub(super) struct Instance {
    pub(super) at: DateTime<Utc>,
    pub(super) when: When,
    /// End of an RDATE period.
    pub(super) end: Option<When>,
}

impl<'a> Master<'a> {
    pub(super) fn of(component: &'a Component, zones: &Zones, floating: Tz) -> Option<Self> {
        let slot = Slot::of(component, zones, None, floating)?;
        let event = Event::new(component, zones);
        let dates = component.all("RDATE").flat_map(|p| Period::list(p, zones)).filter_map(Result::ok).collect();
        let mut master = Self {
            rules: event.rules().take(MAX_RULES).collect(),
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
    pub(super) fn normalised(&self, id: &When, floating: Tz) -> When {
        let start = &self.slot.start;
        if id.is_date() && !start.is_date() {
            return start.with_local(id.date().and_time(start.local().time()));
        }
        id.in_form_of(start, floating)
    }

    pub(super) fn longest_period(&self, floating: Tz) -> TimeDelta {
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

    /// The earliest and the latest wall time that may mean an instant: a change of offset close by shifts them.
    fn wall_times(&self, at: DateTime<Utc>, floating: Tz) -> (NaiveDateTime, NaiveDateTime) {
        let wall = |days| {
            let days = TimeDelta::days(days);
            self.slot.start.at(at + days, floating).local() - days
        };
        let (before, now, after) = (wall(-1), wall(0), wall(1));
        (before.min(now).min(after), before.max(now).max(after))
    }

    /// The recurrence set between two instants (inclusive), in order, without EXDATEs.
    pub(super) fn instances<'s>(
        &'s self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        floating: Tz,
        bounds: Bounds,
    ) -> impl Iterator<Item = Result<Instance, RecurError>> + 's {
        let start = &self.slot.start;
        let (low, _) = self.wall_times(from, floating);
        let (_, high) = self.wall_times(to, floating);
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
            let dates = Box::new(Dates::new(rule, start.local(), low, end, bounds.max_steps));
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
    pub(super) fn last_end(&self, floating: Tz) -> Option<DateTime<Utc>> {
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
                    if dates.next().is_some() || dates.was_cut() {
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
        dates: Box<Dates<'s>>,
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
