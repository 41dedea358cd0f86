//! Which of two states is the newer one (RFC 5546 §2.1.5).

use chrono::{DateTime, Utc};

use super::super::object::sequence_of;
use crate::ical::{Component, Event, Zones};

/// Revision of a component: SEQUENCE first, DTSTAMP within one SEQUENCE.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub sequence: i64,
    pub dtstamp: Option<DateTime<Utc>>,
}

impl Stamp {
    pub fn of(component: &Component) -> Self {
        // DTSTAMP is always in UTC, no zones needed.
        let dtstamp = Event::new(component, &Zones::default()).dtstamp();
        Self { sequence: sequence_of(component).unwrap_or(0), dtstamp }
    }

    /// Whether a message of this revision is older than a component of revision `held`.
    ///
    /// A DTSTAMP in the future says nothing: some clients write one, and it would shut out every update until then.
    pub fn is_older_than(self, held: Self, now: DateTime<Utc>) -> bool {
        self.sequence < held.sequence || self.sequence == held.sequence && self.was_made_before(held, now)
    }

    /// As [`Stamp::is_older_than`] for two different components of one series, whose SEQUENCE numbers count apart: only
    /// one that is neither later in number nor in time is older.
    pub fn is_older_than_series(self, series: Self, now: DateTime<Utc>) -> bool {
        self.sequence <= series.sequence && self.was_made_before(series, now)
    }

    /// Whether it was made before that, as far as their times tell.
    pub fn was_made_before(self, held: Self, now: DateTime<Utc>) -> bool {
        match (self.dtstamp, held.dtstamp) {
            (Some(mine), Some(held)) => held <= now && mine < held,
            _ => false,
        }
    }
}
