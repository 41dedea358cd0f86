//! Languages: texts in Fluent files (`src/mail/locales/{language}/mail.ftl`), with names of days and months from chrono.
//!
//! A language is added with a folder and a line in [`SOURCES`]. English has every key; a key that another language lacks is
//! taken from English.

use chrono::{Datelike, NaiveDate, NaiveTime};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use fluent_langneg::{NegotiationStrategy, negotiate_languages};
use unic_langid::LanguageIdentifier;

/// Every language there is, English first.
pub(super) const SOURCES: [(&str, &str); 2] =
    [("en", include_str!("../locales/en/mail.ftl")), ("fr", include_str!("../locales/fr/mail.ftl"))];

/// A language file that cannot be used. The files are part of the program, so that this is a mistake in one of them.
#[derive(Debug, thiserror::Error)]
#[error("locale {language}: {reason}")]
pub struct LocaleError {
    /// Its folder.
    pub language: &'static str,
    /// What is wrong.
    pub reason: String,
}

/// One language.
pub(super) struct Locale {
    /// Its tag, e.g. `fr`.
    pub language: &'static str,
    texts: FluentBundle<FluentResource>,
    english: Option<FluentBundle<FluentResource>>,
    names: chrono::Locale,
}

impl Locale {
    pub(super) fn load(language: &'static str) -> Result<Self, LocaleError> {
        let texts = bundle(language)?;
        let english = if language == SOURCES[0].0 { None } else { Some(bundle(SOURCES[0].0)?) };
        let mut locale = Self { language, texts, english, names: chrono::Locale::POSIX };
        let names = locale.text("names-of", &FluentArgs::new());
        locale.names = chrono::Locale::try_from(names.as_str())
            .map_err(|_| LocaleError { language, reason: format!("names-of: {names:?} is not a locale") })?;
        Ok(locale)
    }

    /// The text of that key; the key itself where no language has it.
    pub(super) fn text(&self, key: &str, args: &FluentArgs<'_>) -> String {
        let found = [Some(&self.texts), self.english.as_ref()].into_iter().flatten().find_map(|bundle| {
            let pattern = bundle.get_message(key)?.value()?;
            let mut errors = Vec::new();
            let text = bundle.format_pattern(pattern, Some(args), &mut errors).into_owned();
            for error in errors {
                tracing::error!(language = self.language, key, %error, "a mail text is not complete");
            }
            Some(text)
        });
        found.unwrap_or_else(|| {
            tracing::error!(language = self.language, key, "a mail text is missing");
            key.to_owned()
        })
    }

    /// A date as people write it, with the name of the day.
    pub(super) fn date(&self, date: NaiveDate) -> String {
        let mut args = FluentArgs::new();
        args.set("day", date.day());
        date.format_localized(&self.text("date-pattern", &args), self.names).to_string()
    }

    /// A time of day.
    pub(super) fn time(&self, time: NaiveTime) -> String {
        time.format(&self.text("time-pattern", &FluentArgs::new())).to_string()
    }

    /// The name of a day of the week.
    pub(super) fn weekday(&self, day: chrono::Weekday) -> String {
        let any_monday = NaiveDate::default().week(chrono::Weekday::Mon).first_day();
        let date = any_monday + chrono::Days::new(u64::from(day.num_days_from_monday()));
        date.format_localized("%A", self.names).to_string()
    }
}

/// The language we have that is nearest to the one asked for; English when none is near.
pub(super) fn nearest(asked: &str) -> &'static str {
    use fluent_langneg::LanguageIdentifier;
    let available: Vec<(LanguageIdentifier, &'static str)> =
        SOURCES.iter().filter_map(|(language, _)| Some((language.parse().ok()?, *language))).collect();
    let ids: Vec<&LanguageIdentifier> = available.iter().map(|(id, _)| id).collect();
    let asked: Vec<LanguageIdentifier> = asked.trim().parse().into_iter().collect();
    let chosen = negotiate_languages(&asked, &ids, None, NegotiationStrategy::Lookup);
    let chosen = chosen.first().and_then(|chosen| available.iter().find(|(id, _)| id == **chosen));
    chosen.map_or(SOURCES[0].0, |(_, language)| *language)
}

fn bundle(language: &'static str) -> Result<FluentBundle<FluentResource>, LocaleError> {
    let bad = |reason: String| LocaleError { language, reason };
    let source = SOURCES.iter().find(|(l, _)| *l == language).map_or("", |(_, source)| source);
    let resource = FluentResource::try_new(source.to_owned()).map_err(|(_, errors)| bad(format!("{errors:?}")))?;
    let id: LanguageIdentifier = language.parse().map_err(|e| bad(format!("{e}")))?;
    let mut bundle = FluentBundle::new_concurrent(vec![id]);
    // Marks around each variable are for texts of mixed direction; subjects and plain text must not hold them.
    bundle.set_use_isolating(false);
    bundle.add_resource(resource).map_err(|errors| bad(format!("{errors:?}")))?;
    Ok(bundle)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::TEMPLATES;
    use super::*;

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

    #[test]
    fn every_language_has_the_keys_and_variables_of_english() {
        let english = texts(SOURCES[0].1);
        assert!(english.len() > 50, "the texts are gone");
        for (language, source) in SOURCES {
            assert_eq!(texts(source), english, "{language}");
        }
    }

    #[test]
    fn every_text_is_used_and_every_used_text_is_there() {
        let code =
            [include_str!("view.rs"), include_str!("repeats.rs"), include_str!("dates.rs"), include_str!("locale.rs")];
        let code = code.map(|file| file.split("#[cfg(test)]").next().unwrap());
        let templates = TEMPLATES.map(|(_, source)| source);
        let english = texts(SOURCES[0].1);
        for key in english.keys() {
            let quoted = format!("\"{key}\"");
            let answers = ["accepted", "declined", "tentative", "delegated", "pending"];
            let composed = ["reply-subject-", "reply-title-"];
            let is_composed = composed.iter().any(|p| key.strip_prefix(p).is_some_and(|rest| answers.contains(&rest)));
            let used = code.iter().chain(&templates).any(|source| source.contains(&quoted));
            assert!(used || is_composed, "{key} is used nowhere");
        }
        for (name, source) in TEMPLATES {
            for (at, call) in source.match_indices("t(\"") {
                let key = source[at + call.len()..].split('"').next().unwrap();
                assert!(english.contains_key(key), "{name} asks for {key}");
            }
        }
    }

    #[test]
    fn every_language_loads_and_writes_dates() {
        for (language, _) in SOURCES {
            let locale = Locale::load(language).unwrap();
            assert!(locale.date("2026-03-01".parse().unwrap()).contains("2026"), "{language}");
            assert_eq!(locale.time("09:05:00".parse().unwrap()), "09:05", "{language}");
            assert!(!locale.weekday(chrono::Weekday::Mon).is_empty());
        }
    }

    #[test]
    fn a_text_that_a_language_lacks_is_taken_from_english() {
        let mut french = Locale::load("fr").unwrap();
        let resource = FluentResource::try_new("yes = Oui\n".to_owned()).unwrap();
        french.texts = FluentBundle::new_concurrent(vec!["fr".parse().unwrap()]);
        french.texts.add_resource(resource).unwrap();
        assert_eq!(french.text("yes", &FluentArgs::new()), "Oui");
        assert_eq!(french.text("maybe", &FluentArgs::new()), "Maybe");
        assert_eq!(french.text("no-such-key", &FluentArgs::new()), "no-such-key");
    }

    #[test]
    fn the_nearest_language_is_spoken() {
        for (asked, spoken) in [("fr", "fr"), ("fr-CA", "fr"), ("en-US", "en"), ("de", "en"), ("", "en"), ("?!", "en")]
        {
            assert_eq!(nearest(asked), spoken, "{asked}");
        }
    }
}
