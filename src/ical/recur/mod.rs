//! Recurrence: from RRULE, RDATE, EXDATE and overrides to occurrences (RFC 5545 §3.8.5), and back to single instances.
//!
//! The first time of a series always belongs to it, also when its rule does not say so (dav §6.5). Nothing here runs
//! away: [`Bounds`] limit both what comes out and what is looked at, and a query far from the start of a series costs no
//! more than one close to it.

pub(crate) mod dates;
mod expand;
mod overlap;
pub mod rule;
mod series;
mod set;
mod slot;

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::tree::Component;
use super::when::When;

pub use expand::{expand, instance, instance_of, with_utc_times};
pub use overlap::overlaps;
pub use series::Series;

/// How much work an expansion may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Occurrences that may come out.
    pub max_occurrences: usize,
    /// Octets that the components of an expansion may have together.
    pub max_octets: usize,
    /// Periods of a rule (years of a yearly one, days of a daily one …) that may be looked at.
    pub max_steps: usize,
    /// A longer range is cut to this length, counted from its start or from the first time of the series, whichever is
    /// later.
    pub max_span: TimeDelta,
}

impl Default for Bounds {
    fn default() -> Self {
        let max_span = TimeDelta::days(366 * 100);
        Self { max_occurrences: 10_000, max_octets: 20 << 20, max_steps: 100_000, max_span }
    }
}

/// Why an expansion was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecurError {
    /// More occurrences than [`Bounds::max_occurrences`] in the range.
    #[error("more than {max} occurrences in the range")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// More octets than [`Bounds::max_octets`] in the expansion.
    #[error("the occurrences in the range have more than {max} octets")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// A rule whose matches are too far apart, or too many to count.
    #[error("the recurrence rule needs more than {max} steps")]
    TooFar {
        /// The limit.
        max: usize,
    },
}

/// One occurrence of a component, recurring or not.
#[derive(Debug, Clone)]
pub struct Occurrence<'a> {
    /// When it starts.
    pub start: DateTime<Utc>,
    /// When it ends; not before its start.
    pub end: DateTime<Utc>,
    /// Which one of its series it is: its start by the rule, also where an override moved it.
    pub recurrence_id: When,
    /// The component that describes it: the master or an override.
    pub component: &'a Component,
    /// Whether it is described by an override.
    pub is_override: bool,
    /// Its start as the component would write it.
    pub start_when: When,
    /// Its end as the component would write it; none where nothing says when it ends (a VTODO without DUE).
    pub end_when: Option<When>,
    shape: overlap::Shape,
}

/// The occurrences of a calendar object that overlap a range, in order of start.
///
/// `floating` is the zone for dates and floating times. Components without DTSTART (and without DUE, for a VTODO) have no
/// occurrence.
///
/// # Errors
/// [`RecurError`] when the bounds are exceeded.
pub fn occurrences<'a>(
    object: &'a Component,
    range: Range<DateTime<Utc>>,
    floating: Tz,
    bounds: Bounds,
) -> Result<Vec<Occurrence<'a>>, RecurError> {
    let mut found = Vec::new();
    for series in Series::all(object, floating) {
        for occurrence in series.occurrences(range.clone(), bounds) {
            if found.len() == bounds.max_occurrences {
                return Err(RecurError::TooMany { max: bounds.max_occurrences });
            }
            found.push(occurrence?);
        }
    }
    found.sort_by_key(|o| o.start);
    Ok(found)
}

/// Whether an occurrence with this RECURRENCE-ID exists: one by the rules and not excluded, or an override.
///
/// # Errors
/// [`RecurError`] when finding out exceeds the bounds.
pub fn has_occurrence_at(
    object: &Component,
    recurrence_id: &When,
    floating: Tz,
    bounds: Bounds,
) -> Result<bool, RecurError> {
    for series in Series::all(object, floating) {
        if series.has(recurrence_id, bounds)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first occurrence that starts after an instant.
///
/// # Errors
/// [`RecurError`] when it is not found within the bounds.
pub fn next_occurrence_after<'a>(
    object: &'a Component,
    after: DateTime<Utc>,
    floating: Tz,
    bounds: Bounds,
) -> Result<Option<Occurrence<'a>>, RecurError> {
    let mut next: Option<Occurrence<'a>> = None;
    for series in Series::all(object, floating) {
        if let Some(found) = series.next_after(after, bounds)?
            && next.as_ref().is_none_or(|n| found.start < n.start)
        {
            next = Some(found);
        }
    }
    Ok(next)
}

/// The time a calendar object covers, for an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Start of the first occurrence; none when the object has no time (a VTODO without DTSTART and DUE).
    pub first: Option<DateTime<Utc>>,
    /// End of the last occurrence; none when the object has no time or never ends.
    pub last: Option<DateTime<Utc>>,
}

/// The time a calendar object covers: no occurrence lies outside. Excluded occurrences may be counted in; a series that
/// cannot be followed to its end within reason counts as endless.
pub fn span(object: &Component, floating: Tz) -> Span {
    let mut span: Option<Span> = None;
    for series in Series::all(object, floating) {
        let own = series.span();
        span = Some(match span {
            None => own,
            Some(all) => Span {
                first: all.first.zip(own.first).map(|(a, b)| a.min(b)),
                last: all.last.zip(own.last).map(|(a, b)| a.max(b)),
            },
        });
    }
    span.or_else(|| overlap::span_of_statements(object, floating)).unwrap_or(Span { first: None, last: None })
}
