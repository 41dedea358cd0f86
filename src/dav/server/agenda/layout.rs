//! Where events go on a page: bars over days, blocks beside each other. Pure.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike as _};

use super::gather::Happening;
use super::question::later;

/// Minutes that a block is high at least, so that its title can be read.
const SHORTEST: u32 = 30;
/// Minutes of a day.
pub(super) const DAY: u32 = 24 * 60;

/// An event that takes days, on the days of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bar {
    /// Which event.
    pub(super) event: usize,
    /// First and last day, counted from that of the row.
    pub(super) first: usize,
    pub(super) last: usize,
    /// How far down.
    pub(super) lane: usize,
    /// Whether it began before the row, and goes on after it.
    pub(super) from_before: bool,
    pub(super) goes_on: bool,
}

/// An event, or the part of it that is on one day, among the hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Which event.
    pub(super) event: usize,
    /// Minutes of the day.
    pub(super) from: u32,
    pub(super) until: u32,
    /// Which of how many columns it has among those that it overlaps.
    pub(super) column: usize,
    pub(super) columns: usize,
    /// Columns it takes: also those to its end that nobody else needs meanwhile.
    pub(super) span: usize,
}

/// The first and the last day of an event.
pub(super) fn days_of(event: &Happening) -> (NaiveDate, NaiveDate) {
    let first = event.start.date();
    let ends_at_midnight = event.end > event.start && event.end.time() == NaiveTime::MIN;
    let last = if ends_at_midnight { event.end.date().pred_opt().unwrap_or(first) } else { event.end.date() };
    (first, last.max(first))
}

/// Whether an event is shown as a bar over days and not among the hours.
pub(super) fn is_bar(event: &Happening) -> bool {
    event.all_day || event.end - event.start >= TimeDelta::days(1)
}

/// The bars of a row of days, each in the highest lane that is free. Events come by start.
pub(super) fn bars(events: &[Happening], row: NaiveDate, days: usize) -> Vec<Bar> {
    let end = later(row, days as u64);
    let mut bars = Vec::new();
    for (index, event) in events.iter().enumerate().filter(|(_, e)| is_bar(e)) {
        let (first, last) = days_of(event);
        if first >= end || last < row {
            continue;
        }
        let place = |day: NaiveDate| usize::try_from((day - row).num_days()).unwrap_or(0).min(days - 1);
        let (from_before, goes_on) = (first < row, last >= end);
        bars.push(Bar { event: index, first: place(first), last: place(last), lane: 0, from_before, goes_on });
    }
    // Those that began first are on top, and of those the longest.
    bars.sort_by_key(|bar| (bar.first, std::cmp::Reverse(bar.last), bar.event));
    let mut free_from: Vec<usize> = Vec::new();
    for bar in &mut bars {
        bar.lane = free_from.iter().position(|free| *free <= bar.first).unwrap_or(free_from.len());
        if bar.lane == free_from.len() {
            free_from.push(0);
        }
        free_from[bar.lane] = bar.last + 1;
    }
    bars
}

/// The events among the hours of a day, those that overlap beside each other. Events come by start.
pub(super) fn blocks(events: &[Happening], day: NaiveDate) -> Vec<Block> {
    let midnight = day.and_time(NaiveTime::MIN);
    let next = later(day, 1).and_time(NaiveTime::MIN);
    let touches = |e: &Happening| e.start < next && (e.end > midnight || (e.end == e.start && e.start >= midnight));
    let mut blocks: Vec<Block> = Vec::new();
    for (event, happening) in events.iter().enumerate().filter(|(_, e)| !is_bar(e) && touches(e)) {
        let from = minutes(happening.start.max(midnight));
        let until = if happening.end >= next { DAY } else { minutes(happening.end) };
        blocks.push(Block { event, from, until, column: 0, columns: 1, span: 1 });
    }
    blocks.sort_by_key(|block| (block.from, std::cmp::Reverse(block.until), block.event));
    let mut begin = 0;
    while begin < blocks.len() {
        begin += arrange(&mut blocks[begin..]);
    }
    blocks
}

/// Arranges the first blocks that overlap each other, and says how many these are.
fn arrange(blocks: &mut [Block]) -> usize {
    let mut free_from: Vec<u32> = Vec::new();
    let mut until = 0;
    let mut count = 0;
    for block in blocks.iter_mut() {
        if count > 0 && block.from >= until {
            break;
        }
        let end = seen_until(block);
        block.column = free_from.iter().position(|free| *free <= block.from).unwrap_or(free_from.len());
        if block.column == free_from.len() {
            free_from.push(0);
        }
        free_from[block.column] = end;
        until = until.max(end);
        count += 1;
    }
    let columns = free_from.len();
    for n in 0..count {
        let block = blocks[n];
        let is_taken = |column: usize| blocks[..count].iter().any(|b| b.column == column && overlap(b, &block));
        let span = (block.column + 1..columns).take_while(|column| !is_taken(*column)).count() + 1;
        blocks[n] = Block { columns, span, ..block };
    }
    count
}

/// When a block ends on the page.
fn seen_until(block: &Block) -> u32 {
    block.until.max(block.from + SHORTEST)
}

fn overlap(a: &Block, b: &Block) -> bool {
    a.from < seen_until(b) && b.from < seen_until(a)
}

/// The hours that a grid shows: the day from morning to evening, and whatever takes place earlier or later.
pub(super) fn hours(days: &[Vec<Block>]) -> (u32, u32) {
    let blocks = || days.iter().flatten();
    let first = blocks().map(|b| b.from / 60).min().unwrap_or(8).min(8);
    let last = blocks().map(|b| seen_until(b).min(DAY).div_ceil(60)).max().unwrap_or(18).max(18);
    (first, last)
}

fn minutes(time: NaiveDateTime) -> u32 {
    time.num_seconds_from_midnight() / 60
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: &str, end: &str) -> Happening {
        let read = |text: &str| format!("2026-11-{text}:00").parse::<NaiveDateTime>().unwrap();
        Happening { start: read(start), end: read(end), ..Happening::default() }
    }

    fn all_day(first: u32, after: u32) -> Happening {
        let day = |d| NaiveDate::from_ymd_opt(2026, 11, d).unwrap().and_time(NaiveTime::MIN);
        Happening { start: day(first), end: day(after), all_day: true, ..Happening::default() }
    }

    fn row() -> NaiveDate {
        "2026-11-16".parse().unwrap()
    }

    #[test]
    fn bars_that_share_a_day_have_lanes_of_their_own() {
        let events = [all_day(10, 18), all_day(16, 17), all_day(18, 19), all_day(21, 29), at("17T12:00", "18T12:00")];
        let bars = bars(&events, row(), 7);
        let places: Vec<_> =
            bars.iter().map(|b| (b.event, b.first, b.last, b.lane, b.from_before, b.goes_on)).collect();
        assert_eq!(
            places,
            [
                (0, 0, 1, 0, true, false),
                (1, 0, 0, 1, false, false),
                (4, 1, 2, 1, false, false),
                (2, 2, 2, 0, false, false),
                (3, 5, 6, 0, false, true),
            ]
        );
    }

    #[test]
    fn an_event_of_a_row_is_on_no_other() {
        let events = [all_day(15, 16), all_day(23, 24), at("16T09:00", "16T10:00")];
        assert!(bars(&events, row(), 7).is_empty());
    }

    #[test]
    fn blocks_that_overlap_stand_beside_each_other_and_others_have_all_the_room() {
        let events = [
            at("16T09:00", "16T10:30"),
            at("16T09:30", "16T11:00"),
            at("16T10:30", "16T11:30"),
            at("16T11:30", "16T12:00"),
            at("16T15:00", "16T15:00"),
            at("16T15:10", "16T15:20"),
        ];
        let blocks = blocks(&events, row());
        let places: Vec<_> = blocks.iter().map(|b| (b.event, b.column, b.columns, b.span)).collect();
        assert_eq!(places, [(0, 0, 2, 1), (1, 1, 2, 1), (2, 0, 2, 1), (3, 0, 1, 1), (4, 0, 2, 1), (5, 1, 2, 1)]);
        let steps = [
            at("16T09:00", "16T12:00"),
            at("16T09:00", "16T10:00"),
            at("16T09:00", "16T09:30"),
            at("16T11:00", "16T12:00"),
        ];
        let blocks = super::blocks(&steps, row());
        let places: Vec<_> = blocks.iter().map(|b| (b.event, b.column, b.columns, b.span)).collect();
        assert_eq!(places, [(0, 0, 3, 1), (1, 1, 3, 1), (2, 2, 3, 1), (3, 1, 3, 2)]);
    }

    #[test]
    fn a_night_is_on_both_days() {
        let events = [at("16T23:00", "17T01:30")];
        let place = |day: &str| blocks(&events, day.parse().unwrap()).first().map(|b| (b.from, b.until));
        assert_eq!(place("2026-11-16"), Some((23 * 60, DAY)));
        assert_eq!(place("2026-11-17"), Some((0, 90)));
        assert_eq!(place("2026-11-18"), None);
        let until_midnight = [at("16T23:00", "17T00:00")];
        assert!(blocks(&until_midnight, "2026-11-17".parse().unwrap()).is_empty());
    }

    #[test]
    fn the_hours_of_a_grid_hold_every_block() {
        assert_eq!(hours(&[]), (8, 18));
        let early_and_late = [at("16T06:15", "16T07:00"), at("16T23:50", "16T23:55")];
        assert_eq!(hours(&[blocks(&early_and_late, row())]), (6, 24));
    }

    #[test]
    fn whatever_comes_no_two_blocks_cover_each_other() {
        proptest::proptest!(|(times in proptest::collection::vec((0_i64..1440, 0_i64..600), 0..40))| {
            let midnight = row().and_time(NaiveTime::MIN);
            let mut events: Vec<Happening> = times.into_iter().map(|(from, length)| {
                let start = midnight + TimeDelta::minutes(from);
                Happening { start, end: start + TimeDelta::minutes(length), ..Happening::default() }
            }).collect();
            events.sort_by_key(|e| e.start);
            let blocks = blocks(&events, row());
            assert_eq!(blocks.len(), events.len());
            for (n, a) in blocks.iter().enumerate() {
                assert!(a.column + a.span <= a.columns);
                for b in &blocks[n + 1..] {
                    let is_apart = a.column + a.span <= b.column || b.column + b.span <= a.column;
                    assert!(!overlap(a, b) || (is_apart && a.columns == b.columns), "{a:?} {b:?}");
                }
            }
        });
    }
}
