//! Checks of language files, for whoever has some.

use std::collections::{BTreeMap, BTreeSet};

use super::{Locale, Sources, Templates};

/// Keys that the room itself asks for.
const OWN: [&str; 3] = ["names-of", "date-pattern", "time-pattern"];

/// Each key with the variables of its text.
fn texts(source: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut texts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut key = "";
    for line in source.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with(|c: char| c.is_ascii_lowercase()) {
            key = line.split(" = ").next().unwrap();
            assert!(texts.insert(key, BTreeSet::new()).is_none(), "{key} is there twice");
        }
        for (at, _) in line.match_indices('$') {
            let name = line[at + 1..].split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap();
            texts.get_mut(key).unwrap().insert(name);
        }
    }
    texts
}

/// Every language has the keys and variables of the first, loads, and writes dates.
pub(crate) fn agree(sources: Sources) {
    let first = texts(sources[0].1);
    for (language, source) in sources {
        assert_eq!(texts(source), first, "{language}");
        let locale = Locale::load(sources, language).unwrap();
        assert!(locale.date("2026-03-01".parse().unwrap()).contains("2026"), "{language}");
        assert_eq!(locale.time("09:05:00".parse().unwrap()), "09:05", "{language}");
        assert!(!locale.weekday(chrono::Weekday::Mon).is_empty(), "{language}");
    }
}

/// Every text is used in the code or a template, or is one of those that are composed; every text that a template asks for is
/// there.
pub(crate) fn are_used(sources: Sources, templates: Templates, code: &[&str], composed: &[String]) {
    let code: Vec<&str> = code.iter().map(|file| file.split("#[cfg(test)]").next().unwrap()).collect();
    let first = texts(sources[0].1);
    for key in first.keys() {
        let quoted = format!("\"{key}\"");
        let mut all = code.iter().copied().chain(templates.iter().map(|(_, source)| *source));
        let is_known = OWN.contains(key) || composed.iter().any(|c| c == key);
        assert!(is_known || all.any(|source| source.contains(&quoted)), "{key} is used nowhere");
    }
    for key in composed {
        assert!(first.contains_key(key.as_str()), "{key} is not there");
    }
    for (name, source) in templates {
        for (at, call) in source.match_indices("t(\"") {
            let key = source[at + call.len()..].split('"').next().unwrap();
            assert!(first.contains_key(key), "{name} asks for {key}");
        }
    }
}
