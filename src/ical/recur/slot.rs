//! One component as a slot of time: where it starts and how long it is.

use chrono::TimeDelta;
use chrono_tz::Tz;

use super::Occurrence;
use super::overlap::Shape;
use crate::ical::event::Event;
use crate::ical::tree::Component;
use crate::ical::when::{Duration, When};
use crate::ical::zone::Zones;

/// Start and length of a component.
#[derive(Debug, Clone)]
pub(super) struct Slot<'a> {
    pub(super) component: &'a Component,
    pub(super) start: When,
    pub(super) length: Option<Length>,
    shape: Shape,
}

/// How the end follows from the start.
#[derive(Debug, Clone)]
pub(super) struct Length {
    duration: Duration,
    /// The end as written for the first occurrence: its form is the form of every end.
    like: When,
}

impl<'a> Slot<'a> {
    /// `None` for a component without a time.
    pub(super) fn of(component: &'a Component, zones: &Zones, otherwise: Option<&When>, floating: Tz) -> Option<Self> {
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
    pub(super) fn at(&self, start: When, recurrence_id: When, until: Option<When>, floating: Tz) -> Occurrence<'a> {
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
            shape: self.shape,
        }
    }

    pub(super) fn exact_length(&self) -> TimeDelta {
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
