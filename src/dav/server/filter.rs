//! Whether an object passes the filter of a query (RFC 4791 §9.7, RFC 6352 §10.5).

use std::cell::Cell;
use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::Inner;
use super::expander::instants;
use super::occurrences::{Asked, OccurrenceCache};
use crate::dav::xml::{
    CompFilter, CompTest, Filter, ParamFilter, ParamTest, PropFilter, PropTest, Quantifier, TimeRange,
};
use crate::ical::object::COMPONENT_TYPES;
use crate::ical::recur::{self, Bounds};
use crate::ical::{CalendarObject, Component, Event, Period, Property, When, Zones};
use crate::store::{ObjectFilter, ObjectMeta};
use crate::vcard;

/// How far apart the index, which takes floating times for UTC, and the zone of a calendar can be.
const ZONES_APART: i64 = 15 * 3600;

/// A filter made ready for many objects of one calendar.
pub struct Matcher {
    filter: Filter,
    zone: Tz,
    bounds: Bounds,
    /// Where the times of series are remembered.
    remembered: OccurrenceCache,
    now: DateTime<Utc>,
}

/// What a filter is when it asks for nothing but a component type and a time, as clients do to fill a screen.
struct Screenful<'a> {
    component: &'a str,
    range: Option<TimeRange>,
}

impl Matcher {
    pub(super) fn new(filter: Filter, zone: Tz, server: &Inner) -> Self {
        Self::of(filter, zone, server.bounds(), server.occurrences.clone(), server.env.now())
    }

    /// One without a server: dates and floating times are in `zone`, recurrences are followed within `bounds`.
    pub fn alone(filter: Filter, zone: Tz, bounds: Bounds, now: DateTime<Utc>) -> Self {
        Self::of(filter, zone, bounds, OccurrenceCache::new(), now)
    }

    fn of(filter: Filter, zone: Tz, bounds: Bounds, remembered: OccurrenceCache, now: DateTime<Utc>) -> Self {
        Self { filter, zone, bounds, remembered, now }
    }

    /// One that passes events that take place in a range.
    pub(super) fn of_events(range: &Range<DateTime<Utc>>, zone: Tz, server: &Inner) -> Self {
        let range = TimeRange { start: Some(range.start.timestamp()), end: Some(range.end.timestamp()) };
        let within = |name: &str, range, comps| CompFilter {
            name: name.to_owned(),
            test: CompTest::Defined { range, props: Vec::new(), comps },
        };
        let events = within("VEVENT", Some(range), Vec::new());
        Self::new(Filter::Calendar(within("VCALENDAR", None, vec![events])), zone, server)
    }

    /// What the index can leave out. It never leaves out what passes: what has no time is in no range of the index, and
    /// what takes place without that its component says so, like an alarm, is not asked of it.
    pub fn prefilter(&self) -> ObjectFilter {
        let Filter::Calendar(CompFilter { test: CompTest::Defined { range: any, comps, .. }, .. }) = &self.filter
        else {
            return ObjectFilter::default();
        };
        let one = match comps.as_slice() {
            [CompFilter { name, test: CompTest::Defined { range, .. } }] if !name.eq_ignore_ascii_case("VTIMEZONE") => {
                Some((name, range))
            }
            _ => None,
        };
        let range = any.as_ref().or(one.and_then(|(_, range)| range.as_ref()));
        let around = if self.zone == Tz::UTC { 1 } else { ZONES_APART };
        ObjectFilter {
            component: one.map(|(name, _)| name.to_ascii_uppercase()),
            uid: None,
            start: range.and_then(|r| r.start).map(|t| t.saturating_sub(around)),
            end: range.and_then(|r| r.end).map(|t| t.saturating_add(around)),
        }
    }

    /// Whether an object passes. What cannot be parsed passes no filter; what cannot be followed to its end passes every
    /// time range, for it might be in it (dav §6.4).
    pub fn passes(&self, meta: &ObjectMeta, data: &str) -> bool {
        match &self.filter {
            Filter::Calendar(filter) => {
                if let Some(decided) = self.by_index(filter, meta, data) {
                    return decided;
                }
                match CalendarObject::parse(data) {
                    Ok(object) => {
                        let scope = Scope::of(object.root(), object.zones(), self);
                        filter.name.eq_ignore_ascii_case(object.root().name())
                            && matches!(&filter.test, CompTest::Defined { .. })
                            && scope.component(object.root(), &filter.test)
                            && scope.any_in_range(&filter.test)
                    }
                    Err(_) => false,
                }
            }
            Filter::Card { props, quantifier, .. } => match Component::parse(data) {
                Ok(card) => {
                    let zones = Zones::default();
                    let scope = Scope::of(&card, &zones, self);
                    props.is_empty() || combine(*quantifier, props.iter().map(|p| scope.property(&card, p)))
                }
                Err(_) => false,
            },
        }
    }

    /// The answer to the query of a screenful without parsing: for events that do not recur from what the index knows of
    /// them, for series from their times, which are worked out once.
    fn by_index(&self, filter: &CompFilter, meta: &ObjectMeta, data: &str) -> Option<bool> {
        let screenful = screenful(filter)?;
        if !meta.component.eq_ignore_ascii_case(screenful.component) {
            return Some(false);
        }
        let Some(range) = screenful.range else { return Some(true) };
        if meta.component != "VEVENT" {
            return None;
        }
        if !happens_once_at_a_fixed_time(data, self.zone) {
            return self.remembered.overlaps(&Asked { meta, data, zone: self.zone, now: self.now }, range);
        }
        Some(overlaps((meta.first_occurrence?, meta.last_occurrence?), range))
    }
}

/// Whether an event that takes place from the first to the second instant lies in the range (RFC 4791 §9.9).
pub(super) fn overlaps((first, last): (i64, i64), range: TimeRange) -> bool {
    let (start, end) = range.bounds();
    if first == last { start <= first && end > first } else { start < last && end > first }
}

/// Reads a filter as a component type and a range, where it is no more than that.
fn screenful(filter: &CompFilter) -> Option<Screenful<'_>> {
    if !filter.name.eq_ignore_ascii_case("VCALENDAR") {
        return None;
    }
    let CompTest::Defined { range: None, props, comps } = &filter.test else { return None };
    let [CompFilter { name, test: CompTest::Defined { range, props: inner, comps: nested } }] = comps.as_slice() else {
        return None;
    };
    let plain = props.is_empty() && inner.is_empty() && nested.is_empty();
    plain.then_some(Screenful { component: name, range: *range })
}

/// Whether the text is of one event that takes place once, at times whose instant does not depend on the reader's zone. A
/// no may be wrong, a yes is not: the text is searched from its first VEVENT on for anything that could make it so.
pub(super) fn happens_once_at_a_fixed_time(data: &str, zone: Tz) -> bool {
    let Some(at) = data.find("BEGIN:VEVENT") else { return false };
    let event = &data[at..];
    if ["RRULE", "RDATE", "RECURRENCE-ID", "EXRULE"].iter().any(|word| event.contains(word)) {
        return false;
    }
    zone == Tz::UTC || ["\nDTSTART", "\nDTEND"].iter().all(|name| is_absolute(event, name))
}

/// Whether every property of this name says which instant it means.
fn is_absolute(event: &str, name: &str) -> bool {
    event.match_indices(name).all(|(at, _)| {
        let line = &event[at + 1..];
        let line = line[..line.find('\n').unwrap_or(line.len())].trim_end();
        line.contains(";TZID=") || line.ends_with('Z')
    })
}

fn combine(quantifier: Quantifier, mut results: impl Iterator<Item = bool>) -> bool {
    match quantifier {
        Quantifier::AnyOf => results.any(|held| held),
        Quantifier::AllOf => results.all(|held| held),
    }
}

/// The object in which a filter is evaluated.
struct Scope<'a> {
    object: &'a Component,
    zones: &'a Zones,
    matcher: &'a Matcher,
    /// Alarms and occurrences that are still looked at together: an object with thousands of both must not cost millions.
    alarms: Cell<usize>,
}

impl<'a> Scope<'a> {
    fn of(object: &'a Component, zones: &'a Zones, matcher: &'a Matcher) -> Self {
        Self { object, zones, matcher, alarms: Cell::new(matcher.bounds.max_steps) }
    }

    /// Whether some component of the name in `parent` passes, or none is there where that is asked for.
    fn components(&self, parent: &Component, filter: &CompFilter) -> bool {
        let mut named = parent.components().filter(|c| c.is(&filter.name));
        match &filter.test {
            CompTest::IsNotDefined => named.next().is_none(),
            CompTest::Defined { .. } => {
                if filter.name.eq_ignore_ascii_case("VALARM") {
                    return named
                        .any(|c| self.component(c, &filter.test) && self.alarm_passes(parent, c, &filter.test));
                }
                // Whether anything takes place in a range is a matter of all components of a name together, and asked once.
                named.any(|c| self.component(c, &filter.test)) && self.any_of_type(filter)
            }
        }
    }

    /// Whether a component passes all but the time range.
    fn component(&self, component: &Component, test: &CompTest) -> bool {
        let CompTest::Defined { props, comps, .. } = test else { return false };
        props.iter().all(|p| self.property(component, p)) && comps.iter().all(|c| self.components(component, c))
    }

    fn alarm_passes(&self, event: &Component, alarm: &Component, test: &CompTest) -> bool {
        let CompTest::Defined { range: Some(range), .. } = test else { return true };
        self.alarm_in_range(event, alarm, &instants(*range))
    }

    fn any_of_type(&self, filter: &CompFilter) -> bool {
        let CompTest::Defined { range: Some(range), .. } = &filter.test else { return true };
        self.type_in_range(&filter.name, *range)
    }

    /// Whether anything in the object, whatever its type, takes place in the range that is asked of the calendar itself.
    fn any_in_range(&self, test: &CompTest) -> bool {
        let CompTest::Defined { range: Some(range), .. } = test else { return true };
        COMPONENT_TYPES.iter().any(|name| self.type_in_range(name, *range))
    }

    /// Whether a component of that type takes place in the range. The occurrences of a series belong to master and
    /// overrides together.
    fn type_in_range(&self, name: &str, range: TimeRange) -> bool {
        recur::overlaps(self.object, name, &instants(range), self.matcher.zone, self.matcher.bounds).unwrap_or(true)
    }

    /// Whether the alarm goes off within the range for some occurrence of its event (RFC 4791 §9.9). Repetitions count.
    fn alarm_in_range(&self, event: &Component, alarm: &Component, range: &Range<DateTime<Utc>>) -> bool {
        let Some(trigger) = alarm.get("TRIGGER") else { return false };
        let edge = |t: DateTime<Utc>, by: TimeDelta| t.checked_add_signed(by).unwrap_or(t);
        let repeats = alarm.value("REPEAT").and_then(|r| r.trim().parse::<i32>().ok()).unwrap_or(0).clamp(0, 1000);
        let gap = alarm.value("DURATION").and_then(|d| crate::ical::parse_duration(d).ok());
        let gap = gap.map_or_else(TimeDelta::zero, |d| d.exact());
        let Some(last) = gap.checked_mul(repeats) else { return true };
        let goes_off = |first: DateTime<Utc>| {
            let (behind, gap_s) = ((range.start - first).num_seconds(), gap.num_seconds());
            // The first repetition that is not before the range.
            let n = if gap_s > 0 { (behind.max(0) + gap_s - 1) / gap_s } else { 0 };
            let n = i32::try_from(n).unwrap_or(i32::MAX).min(repeats);
            range.contains(&edge(first, gap * n))
        };
        if let Ok(at @ When::Utc(_)) = When::read(trigger, self.zones) {
            return goes_off(at.instant(self.matcher.zone));
        }
        let Ok(offset) = crate::ical::parse_duration(trigger.value()) else { return false };
        let from_end = trigger.get_param("RELATED").is_some_and(|r| r.eq_ignore_ascii_case("END"));
        let offset = offset.exact();
        let reach = last.abs().checked_add(&offset.abs()).and_then(|reach| reach.checked_add(&TimeDelta::days(1)));
        let Some(reach) = reach else { return true };
        let around = edge(range.start, -reach)..edge(range.end, reach);
        if self.alarms.get() == 0 {
            // It might go off.
            return true;
        }
        let Ok(found) = recur::occurrences(self.object, around, self.matcher.zone, self.matcher.bounds) else {
            return true;
        };
        self.alarms.set(self.alarms.get().saturating_sub(1 + found.len()));
        let mut own = found.iter().filter(|o| std::ptr::eq(o.component, event));
        own.any(|o| goes_off(edge(if from_end { o.end } else { o.start }, offset)))
    }

    fn property(&self, component: &Component, filter: &PropFilter) -> bool {
        let mut named = component.properties().filter(|p| vcard::names(&filter.name, p));
        match &filter.test {
            PropTest::IsNotDefined => named.next().is_none(),
            PropTest::Defined { range, texts, params, quantifier } => named.any(|p| {
                let text = p.text();
                let conditions = texts.iter().map(|t| t.matches(&text)).chain(params.iter().map(|f| parameter(p, f)));
                let conditions: Vec<bool> = conditions.collect();
                range.is_none_or(|range| self.property_in_range(component, p, range))
                    && (conditions.is_empty() || combine(*quantifier, conditions.into_iter()))
            }),
        }
    }

    fn property_in_range(&self, component: &Component, property: &Property, range: TimeRange) -> bool {
        let (range, zone) = (instants(range), self.matcher.zone);
        if property.is("FREEBUSY") {
            let mut periods = Period::list(property, self.zones).filter_map(Result::ok);
            return periods.any(|p| {
                let start = p.start.instant(zone);
                start < range.end && p.end().is_some_and(|end| end.instant(zone) > range.start)
            });
        }
        if property.is("RDATE") || property.is("EXDATE") {
            let mut times = When::list(property, self.zones).filter_map(Result::ok);
            return times.any(|when| range.contains(&when.instant(zone)));
        }
        let when = match property.is("DTEND") || property.is("DUE") {
            true => Event::new(component, self.zones).end(),
            false => When::read(property, self.zones).ok(),
        };
        when.is_some_and(|when| range.contains(&when.instant(zone)))
    }
}

fn parameter(property: &Property, filter: &ParamFilter) -> bool {
    // Types have more than one spelling in cards: `TYPE=home,work`, `TYPE=home;TYPE=work`, `HOME;WORK`.
    let is_type = filter.name.eq_ignore_ascii_case("TYPE");
    let types = is_type.then(|| vcard::Line::new(property).types()).into_iter().flatten();
    let others = property.params().iter().filter(|p| !is_type && p.is(&filter.name));
    match &filter.test {
        ParamTest::IsNotDefined => types.count() == 0 && others.count() == 0,
        ParamTest::Defined(None) => types.count() + others.count() > 0,
        ParamTest::Defined(Some(text)) => {
            let values = types.chain(others.flat_map(|p| &p.values).map(String::as_str));
            values.into_iter().any(|value| text.matches(value))
        }
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
