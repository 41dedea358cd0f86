//! The VTIMEZONEs read lately. Clients write the same few definitions into every object; reading one, unrolling its rules
//! and comparing it with the IANA table costs more than all else that is asked of an object in a calendar-query.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use super::definition::Definition;
use crate::ical::tree::{Component, Item};

/// Definitions kept; the oldest makes room.
const MOST: usize = 64;
/// Items of the largest definition that is kept, so that nobody fills the memory with one.
const MOST_ITEMS: usize = 128;
/// Octets of the longest name or value in it.
const MOST_OCTETS: usize = 512;

static LATELY: LazyLock<Lately> = LazyLock::new(Lately::default);

#[derive(Default)]
struct Lately {
    /// Seeded, so that nobody can write definitions that share a hash.
    hasher: RandomState,
    known: RwLock<VecDeque<Known>>,
}

struct Known {
    hash: u64,
    vtimezone: Component,
    definition: Arc<Definition>,
}

/// What a VTIMEZONE says.
pub(super) fn definition_of(vtimezone: &Component) -> Arc<Definition> {
    if !is_small(vtimezone) {
        return Arc::new(Definition::read(vtimezone));
    }
    LATELY.definition_of(vtimezone)
}

impl Lately {
    fn definition_of(&self, vtimezone: &Component) -> Arc<Definition> {
        let mut state = self.hasher.build_hasher();
        hash(vtimezone, &mut state);
        let hash = state.finish();
        let is_it = |known: &&Known| known.hash == hash && known.vtimezone == *vtimezone;
        // What a panic elsewhere left is still whole: entries are pushed and popped, never changed.
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).iter().find(is_it) {
            return known.definition.clone();
        }
        let definition = Arc::new(Definition::read(vtimezone));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() == MOST {
            known.pop_front();
        }
        known.push_back(Known { hash, vtimezone: vtimezone.clone(), definition: definition.clone() });
        definition
    }
}

fn is_small(vtimezone: &Component) -> bool {
    fn items(component: &Component) -> usize {
        let of = |item: &Item| match item {
            Item::Property(p) => {
                let octets =
                    p.params().iter().flat_map(|p| &p.values).map(String::len).sum::<usize>() + p.value().len();
                if octets > MOST_OCTETS { MOST_ITEMS + 1 } else { 1 + p.params().len() }
            }
            Item::Component(inner) => 1 + items(inner),
            Item::Blank(_) => 1,
        };
        component.items.iter().map(of).sum()
    }
    items(vtimezone) <= MOST_ITEMS
}

/// Hashes what [`Component`]'s equality compares.
fn hash(component: &Component, state: &mut impl Hasher) {
    for item in &component.items {
        match item {
            Item::Property(p) => {
                p.name().hash(state);
                p.value().hash(state);
            }
            Item::Component(inner) => hash(inner, state),
            Item::Blank(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ical::zone::vtimezone;
    use chrono_tz::Tz;

    fn berlin(from_year: i32) -> Component {
        let at = |year: i32| format!("{year}-01-01T00:00:00Z").parse().unwrap();
        vtimezone(Tz::Europe__Berlin, at(from_year), at(from_year + 3))
    }

    #[test]
    fn the_same_text_is_read_once_and_another_is_another() {
        let lately = Lately::default();
        let (first, again) = (lately.definition_of(&berlin(2020)), lately.definition_of(&berlin(2020)));
        assert!(Arc::ptr_eq(&first, &again));
        assert!(!Arc::ptr_eq(&first, &lately.definition_of(&berlin(2024))));
    }

    #[test]
    fn the_oldest_makes_room() {
        let lately = Lately::default();
        let first = lately.definition_of(&berlin(1980));
        for year in 1981..1981 + i32::try_from(MOST).unwrap() {
            lately.definition_of(&berlin(year));
        }
        assert_eq!(lately.known.read().unwrap().len(), MOST);
        assert!(!Arc::ptr_eq(&first, &lately.definition_of(&berlin(1980))));
    }

    #[test]
    fn a_large_one_is_read_and_not_kept() {
        let mut large = berlin(2020);
        large.items.extend((0..MOST_ITEMS).map(|_| Item::Blank("".into())));
        assert!(!is_small(&large));
        assert!(is_small(&berlin(2020)));
    }
}
