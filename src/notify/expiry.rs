//! Nobody is told of the past (mail-itip-alarms §0.3, "expiry filter").

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::ical::recur::{Bounds, Series};
use crate::ical::{Component, Event, Zones};

/// Whether an event is over for someone in `zone`: a timed one when it has begun, an all-day one when its last day has
/// ended where they are, a series when no occurrence is left.
pub(super) fn is_over(component: &Component, zones: &Zones, now: DateTime<Utc>, zone: Tz) -> bool {
    let event = Event::new(component, zones);
    let Some(start) = event.start() else { return false };
    if event.is_recurring() {
        return !has_more(&event, zones, now, zone);
    }
    if start.is_date() {
        return event.end().unwrap_or(start).instant(zone) <= now;
    }
    start.instant(zone) < now
}

fn has_more(event: &Event<'_>, zones: &Zones, now: DateTime<Utc>, zone: Tz) -> bool {
    let series = Series::of(&[event.component()], zones, zone);
    let next = if event.is_all_day() {
        series.occurrences(now..DateTime::<Utc>::MAX_UTC, Bounds::default()).next().transpose()
    } else {
        series.next_after(now - TimeDelta::seconds(1), Bounds::default())
    };
    // A rule too odd to be followed is not over.
    next.map_or(true, |next| next.is_some())
}
