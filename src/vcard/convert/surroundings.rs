//! What the other lines of a card mean for one of them, found out once: a card can have very many lines.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::ANNIVERSARY_LABEL;
use crate::ical::{Component, Property};
use crate::vcard::card::Labels;
use crate::vcard::line::Line;

/// What makes two lines belong together: types, preference and group.
type Setting = (Vec<String>, Option<u8>, Option<String>);

pub(super) struct Surroundings<'a> {
    /// Apple's labels, by group.
    pub(super) labels: Labels,
    /// Place and property of the first line of each name, which is in upper case.
    firsts: HashMap<String, (usize, &'a Property)>,
    /// The LABEL of an ADR, by the place of the latter.
    label_of_address: HashMap<usize, &'a Property>,
    /// Places of the LABELs that belong to an ADR.
    taken: HashSet<usize>,
    /// Place of the first date that Apple's clients call an anniversary.
    anniversary: Option<usize>,
}

impl<'a> Surroundings<'a> {
    pub(super) fn of(card: &'a Component) -> Self {
        let labels = Labels::of(card);
        let lines = || card.properties().map(Line::new).enumerate();
        let mut firsts = HashMap::new();
        let mut unlabelled = BTreeMap::new();
        let mut anniversary = None;
        for (place, line) in lines() {
            let name = line.name().to_ascii_uppercase();
            if name == "ADR" && line.property().get_param("LABEL").is_none() {
                unlabelled.insert(place, setting(line));
            }
            if name == "X-ABDATE" && anniversary.is_none() && labels.get(line) == Some(ANNIVERSARY_LABEL) {
                anniversary = Some(place);
            }
            firsts.entry(name).or_insert((place, line.property()));
        }
        let label_of_address = pair(&unlabelled, lines().filter(|(_, line)| line.is("LABEL")));
        let taken = label_of_address.values().map(|(place, _)| *place).collect();
        let label_of_address = label_of_address.into_iter().map(|(address, (_, label))| (address, label)).collect();
        Self { labels, firsts, label_of_address, taken, anniversary }
    }

    /// The first line of that name, in upper case.
    pub(super) fn first(&self, name: &str) -> Option<&'a Property> {
        self.firsts.get(name).map(|(_, property)| *property)
    }

    /// Whether the line at this place is the first of that name, in upper case.
    pub(super) fn is_first(&self, name: &str, place: usize) -> bool {
        self.firsts.get(name).is_some_and(|(first, _)| *first == place)
    }

    /// Whether the line at this place is a LABEL that its ADR takes up.
    pub(super) fn is_taken(&self, place: usize) -> bool {
        self.taken.contains(&place)
    }

    /// The LABEL that the ADR at this place takes up.
    pub(super) fn label_of_address(&self, place: usize) -> Option<&'a Property> {
        self.label_of_address.get(&place).copied()
    }

    /// Whether the line at this place is the card's anniversary, as Apple's clients write it.
    pub(super) fn is_anniversary(&self, place: usize) -> bool {
        let others = ["ANNIVERSARY", "X-ANNIVERSARY"];
        self.anniversary == Some(place) && others.iter().all(|name| self.first(name).is_none())
    }
}

/// Which LABEL belongs to which ADR, by the place of the latter: one right after an ADR of its setting to that; any other to
/// the first ADR of its setting that is left.
fn pair<'a>(
    addresses: &BTreeMap<usize, Setting>,
    labels: impl Iterator<Item = (usize, Line<'a>)>,
) -> HashMap<usize, (usize, &'a Property)> {
    let mut pairs = HashMap::new();
    let mut waiting: HashMap<&Setting, VecDeque<usize>> = HashMap::new();
    for (place, setting) in addresses {
        waiting.entry(setting).or_default().push_back(*place);
    }
    let mut left = Vec::new();
    for (place, line) in labels {
        match place.checked_sub(1).filter(|before| addresses.get(before) == Some(&setting(line))) {
            Some(address) => {
                pairs.insert(address, (place, line.property()));
            }
            None => left.push((place, line)),
        }
    }
    for (place, line) in left {
        let Some(places) = waiting.get_mut(&setting(line)) else { continue };
        while let Some(address) = places.pop_front() {
            if let Entry::Vacant(free) = pairs.entry(address) {
                free.insert((place, line.property()));
                break;
            }
        }
    }
    pairs
}

fn setting(line: Line<'_>) -> Setting {
    let types = line.types().filter(|t| !t.eq_ignore_ascii_case("pref")).map(str::to_ascii_lowercase);
    let mut types: Vec<_> = types.collect();
    types.sort_unstable();
    types.dedup();
    (types, line.preference(), line.group().map(str::to_ascii_lowercase))
}
