//! When to look at which place again: soon after a change, but at most so often, and always once more after the last. Pure.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::place::Place;

/// Changes that come together within this time are one: a reply is told of as `request` and `updated` at once.
const GATHER: Duration = Duration::from_millis(30);
/// Attempts to look at a place while the DAV server is away, each after twice the wait of the one before.
const ATTEMPTS: u32 = 6;
/// Wait before the second attempt.
const AGAIN: Duration = Duration::from_secs(1);

/// The rhythm of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    /// Shortest time between two looks at a place.
    pause: Duration,
    places: HashMap<Place, Beat>,
}

#[derive(Debug, Default)]
struct Beat {
    /// When it was looked at last.
    last: Option<Instant>,
    /// When it is to be looked at.
    due: Option<Instant>,
    /// Only a change of the token is news.
    doubtful: bool,
    /// Looks that failed in a row.
    failed: u32,
    /// It is being looked at.
    busy: bool,
}

impl Pace {
    /// A rhythm with this pause.
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, places: HashMap::new() }
    }

    /// The place changed, or only `doubtful`ly so.
    pub(super) fn mark(&mut self, place: &Place, doubtful: bool, now: Instant) {
        let pause = self.pause;
        let beat = self.places.entry(place.clone()).or_default();
        beat.doubtful = doubtful && (beat.doubtful || beat.due.is_none());
        let soonest = beat.last.map_or(now, |last| last + pause).max(now + GATHER);
        beat.due = Some(beat.due.map_or(soonest, |due| due.min(soonest)));
        beat.failed = 0;
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.places.values().filter(|beat| !beat.busy).filter_map(|beat| beat.due).min()
    }

    /// Takes up to `most` places that are due, longest first, to be looked at; and whether only a change is news.
    pub(super) fn take_due(&mut self, now: Instant, most: usize) -> Vec<(Place, bool)> {
        let pause = self.pause;
        self.places.retain(|_, b| b.busy || b.due.is_some() || b.last.is_some_and(|last| now < last + pause));
        let mut due: Vec<(Instant, &Place)> = self
            .places
            .iter()
            .filter(|(_, b)| !b.busy)
            .filter_map(|(p, b)| Some((b.due.filter(|d| *d <= now)?, p)))
            .collect();
        due.sort_by_key(|(at, _)| *at);
        let due: Vec<Place> = due.into_iter().take(most).map(|(_, place)| place.clone()).collect();
        due.into_iter()
            .map(|place| {
                let doubtful = self.places.get_mut(&place).is_some_and(|beat| {
                    beat.busy = true;
                    beat.due = None;
                    beat.last = Some(now);
                    std::mem::take(&mut beat.doubtful)
                });
                (place, doubtful)
            })
            .collect()
    }

    /// The place was looked at.
    pub(super) fn done(&mut self, place: &Place) {
        if let Some(beat) = self.places.get_mut(place) {
            beat.busy = false;
            beat.failed = 0;
        }
    }

    /// The place could not be looked at, and may be later. False when it is time to give up.
    pub(super) fn failed(&mut self, place: &Place, doubtful: bool, now: Instant) -> bool {
        let Some(beat) = self.places.get_mut(place) else { return false };
        beat.busy = false;
        beat.failed += 1;
        if beat.failed >= ATTEMPTS {
            beat.failed = 0;
            return beat.due.is_some();
        }
        beat.doubtful = doubtful && (beat.doubtful || beat.due.is_none());
        let again = now + AGAIN * (1 << (beat.failed - 1));
        beat.due = Some(beat.due.map_or(again, |due| due.max(again)));
        true
    }

    /// Nobody wants to hear of the place any more.
    pub(super) fn forget(&mut self, place: &Place) {
        self.places.remove(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(300);

    fn place(id: &str) -> Place {
        Place::of_message(&format!("/calendars/a/{id}")).unwrap()
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_burst_is_looked_at_soon_then_once_more() {
        let (mut pace, start, b) = (Pace::new(PAUSE), Instant::now(), place("b"));
        let mut looks = Vec::new();
        // A change each 5 ms for a second.
        for at in 0..3_000 {
            let now = start + ms(at);
            if at < 1_000 && at % 5 == 0 {
                pace.mark(&b, false, now);
            }
            for (place, doubtful) in pace.take_due(now, 4) {
                assert!(!doubtful);
                looks.push(at);
                pace.done(&place);
            }
        }
        assert_eq!(looks, [30, 330, 630, 930, 1_230], "at once, then each pause, and once after the last change");
        assert_eq!(pace.next(), None);
        assert!(pace.places.is_empty(), "nothing is kept of a place that is quiet");
    }

    #[test]
    fn a_change_while_a_place_is_looked_at_is_looked_at_again() {
        let (mut pace, start, b) = (Pace::new(PAUSE), Instant::now(), place("b"));
        pace.mark(&b, false, start);
        assert_eq!(pace.take_due(start + ms(30), 4).len(), 1);
        pace.mark(&b, false, start + ms(40));
        assert_eq!(pace.take_due(start + ms(1_000), 4), [], "one look at a time");
        assert_eq!(pace.next(), None);
        pace.done(&b);
        assert_eq!(pace.take_due(start + ms(1_000), 4).len(), 1);
    }

    #[test]
    fn a_certain_change_outweighs_a_doubtful_one() {
        let (start, b) = (Instant::now(), place("b"));
        for (marks, doubtful) in
            [(&[true][..], true), (&[true, true], true), (&[true, false], false), (&[false, true], false)]
        {
            let mut pace = Pace::new(PAUSE);
            for mark in marks {
                pace.mark(&b, *mark, start);
            }
            assert_eq!(pace.take_due(start + PAUSE, 4), [(b.clone(), doubtful)], "{marks:?}");
        }
    }

    #[test]
    fn the_longest_due_come_first_and_no_more_than_asked() {
        let (mut pace, start) = (Pace::new(PAUSE), Instant::now());
        for (at, id) in [(2, "c"), (0, "a"), (1, "b")] {
            pace.mark(&place(id), false, start + ms(at));
        }
        let taken: Vec<String> = pace.take_due(start + PAUSE, 2).into_iter().map(|(p, _)| p.url()).collect();
        assert_eq!(taken, ["a/a", "a/b"]);
    }

    #[test]
    fn an_outage_is_waited_out_for_a_while() {
        let (mut pace, start, b) = (Pace::new(PAUSE), Instant::now(), place("b"));
        pace.mark(&b, false, start);
        let (mut now, mut looks) = (start + GATHER, 0);
        loop {
            assert_eq!(pace.take_due(now, 4), [(b.clone(), false)]);
            looks += 1;
            if !pace.failed(&b, false, now) {
                break;
            }
            now = pace.next().unwrap();
        }
        assert_eq!((looks, (now - start).as_secs()), (ATTEMPTS, 31));
        assert_eq!(pace.next(), None);
        pace.mark(&b, false, now);
        assert!(pace.next().is_some(), "a new change begins anew");
    }
}
