//! Classes of length, by which the index finds objects that overlap a range.
//!
//! An index on the first occurrence alone would have to read every object from the beginning of time, for a series that
//! began years ago may go on. Objects are therefore put in classes by the time from first to last occurrence, each class
//! eight times the one before. In a class whose lengths are at most `L`, whatever overlaps `start..end` begins between
//! `start - L` and `end`, so a query reads a short piece of the index for each class, and little that it does not want.

/// Objects without a time: they match every range.
pub(super) const UNTIMED: i64 = -1;

const DAY: i64 = 86_400;
/// Longest length of each class in seconds; what is longer, or never ends, is in one more class.
const LONGEST: [i64; 5] = [DAY, 8 * DAY, 64 * DAY, 512 * DAY, 4096 * DAY];

/// The class of an object.
pub(super) fn class(first: Option<i64>, last: Option<i64>) -> i64 {
    let Some(first) = first else { return UNTIMED };
    let length = last.map_or(i64::MAX, |last| last.saturating_sub(first));
    LONGEST.iter().zip(0..).find(|(longest, _)| length <= **longest).map_or(LONGEST.len() as i64, |(_, class)| class)
}

/// For each class of timed objects, the earliest first occurrence of one that may overlap a range from `start` on.
pub(super) fn windows(start: Option<i64>) -> impl Iterator<Item = (i64, i64)> {
    let from = move |longest: Option<i64>| match (start, longest) {
        (Some(start), Some(longest)) => start.saturating_sub(longest),
        _ => i64::MIN,
    };
    LONGEST.iter().copied().map(Some).chain([None]).zip(0..).map(move |(longest, class)| (class, from(longest)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_overlaps_a_range_begins_in_the_window_of_its_class(
            first in -4_000_000_000_i64..4_000_000_000,
            length in prop_oneof![Just(None), (0_i64..400_000_000).prop_map(Some), (0_i64..200_000).prop_map(Some)],
            start in -4_000_000_000_i64..4_000_000_000,
        ) {
            let last = length.map(|l| first + l);
            prop_assume!(last.is_none_or(|last| last >= start));
            let class = class(Some(first), last);
            let window = windows(Some(start)).find(|(c, _)| *c == class);
            prop_assert!(window.is_some_and(|(_, from)| first >= from));
        }
    }

    #[test]
    fn lengths_fall_into_classes() {
        assert_eq!(class(None, Some(5)), UNTIMED);
        assert_eq!(class(Some(0), Some(3_600)), 0);
        assert_eq!(class(Some(10), Some(5)), 0);
        assert_eq!(class(Some(0), Some(DAY + 1)), 1);
        assert_eq!(class(Some(0), Some(5_000 * DAY)), 5);
        assert_eq!(class(Some(0), None), 5);
    }
}
