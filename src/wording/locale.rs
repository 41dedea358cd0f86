//! One language: texts of a Fluent file, with names of days and months from chrono.

use chrono::{Datelike, NaiveDate, NaiveTime};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use fluent_langneg::{NegotiationStrategy, negotiate_languages};
use unic_langid::LanguageIdentifier;

/// Every language there is for one purpose, each with its Fluent file. The first is English and has every key; a key that
/// another one lacks is taken from it.
///
/// Each file says `names-of` (a locale of the C library, for names of days and months), `date-pattern` with the day of the
/// month as `$day`, and `time-pattern`, both as patterns of strftime.
pub type Sources = &'static [(&'static str, &'static str)];

/// A language file that cannot be used. The files are part of the program, so that this is a mistake in one of them.
#[derive(Debug, thiserror::Error)]
#[error("locale {language}: {reason}")]
pub struct LocaleError {
    /// Its folder.
    pub language: &'static str,
    /// What is wrong.
    pub reason: String,
}

/// Languages of a header that are looked at.
const MOST_TAGS: usize = 20;

/// One language.
pub struct Locale {
    /// Its tag, e.g. `fr`.
    pub language: &'static str,
    texts: FluentBundle<FluentResource>,
    english: Option<FluentBundle<FluentResource>>,
    names: chrono::Locale,
}

impl Locale {
    /// The language with this tag.
    ///
    /// # Errors
    /// [`LocaleError`] when its file cannot be used.
    pub fn load(sources: Sources, language: &'static str) -> Result<Self, LocaleError> {
        let texts = bundle(sources, language)?;
        let first = first_of(sources);
        let english = if language == first { None } else { Some(bundle(sources, first)?) };
        let mut locale = Self { language, texts, english, names: chrono::Locale::POSIX };
        let names = locale.text("names-of", &FluentArgs::new());
        locale.names = chrono::Locale::try_from(names.as_str())
            .map_err(|_| LocaleError { language, reason: format!("names-of: {names:?} is not a locale") })?;
        Ok(locale)
    }

    /// The text of that key; the key itself where no language has it.
    pub fn text(&self, key: &str, args: &FluentArgs<'_>) -> String {
        let found = [Some(&self.texts), self.english.as_ref()].into_iter().flatten().find_map(|bundle| {
            let pattern = bundle.get_message(key)?.value()?;
            let mut errors = Vec::new();
            let text = bundle.format_pattern(pattern, Some(args), &mut errors).into_owned();
            for error in errors {
                tracing::error!(language = self.language, key, %error, "a text is not complete");
            }
            Some(text)
        });
        found.unwrap_or_else(|| {
            tracing::error!(language = self.language, key, "a text is missing");
            key.to_owned()
        })
    }

    /// The text of that key, which has no variables.
    pub fn word(&self, key: &str) -> String {
        self.text(key, &FluentArgs::new())
    }

    /// A date as people write it, with the name of the day.
    pub fn date(&self, date: NaiveDate) -> String {
        self.dated("date-pattern", date)
    }

    /// A date in the pattern of that key, which may depend on the day of the month.
    pub fn dated(&self, key: &str, date: NaiveDate) -> String {
        let mut args = FluentArgs::new();
        args.set("day", date.day());
        date.format_localized(&self.text(key, &args), self.names).to_string()
    }

    /// A time of day.
    pub fn time(&self, time: NaiveTime) -> String {
        time.format(&self.text("time-pattern", &FluentArgs::new())).to_string()
    }

    /// The name of a day of the week.
    pub fn weekday(&self, day: chrono::Weekday) -> String {
        let any_monday = NaiveDate::default().week(chrono::Weekday::Mon).first_day();
        let date = any_monday + chrono::Days::new(u64::from(day.num_days_from_monday()));
        date.format_localized("%A", self.names).to_string()
    }
}

impl std::fmt::Debug for Locale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locale").field("language", &self.language).finish_non_exhaustive()
    }
}

fn first_of(sources: Sources) -> &'static str {
    sources.first().map_or("en", |(language, _)| *language)
}

/// The language there is that is nearest to those asked for, best first; the first one when none is near.
pub fn nearest<'a>(sources: Sources, asked: impl IntoIterator<Item = &'a str>) -> &'static str {
    use fluent_langneg::LanguageIdentifier;
    let available: Vec<(LanguageIdentifier, &'static str)> =
        sources.iter().filter_map(|(language, _)| Some((language.parse().ok()?, *language))).collect();
    let ids: Vec<&LanguageIdentifier> = available.iter().map(|(id, _)| id).collect();
    let asked: Vec<LanguageIdentifier> = asked.into_iter().filter_map(|tag| tag.trim().parse().ok()).collect();
    let chosen = negotiate_languages(&asked, &ids, None, NegotiationStrategy::Lookup);
    let chosen = chosen.first().and_then(|chosen| available.iter().find(|(id, _)| id == **chosen));
    chosen.map_or(first_of(sources), |(_, language)| *language)
}

/// The language tags of an `Accept-Language` header, best first (RFC 9110 §12.5.4). What cannot be read, `*`, and what is
/// not wanted are left out.
pub fn accepted(header: &str) -> Vec<&str> {
    let mut tags: Vec<(&str, f32)> = header
        .split(',')
        .take(MOST_TAGS)
        .filter_map(|range| {
            let (tag, rest) = range.split_once(';').unwrap_or((range, ""));
            let quality = match rest.trim().strip_prefix("q=") {
                Some(quality) => quality.trim().parse().ok()?,
                None => 1.0,
            };
            Some((tag.trim(), quality)).filter(|(tag, quality)| !tag.is_empty() && *tag != "*" && *quality > 0.0)
        })
        .collect();
    tags.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    tags.into_iter().map(|(tag, _)| tag).collect()
}

fn bundle(sources: Sources, language: &'static str) -> Result<FluentBundle<FluentResource>, LocaleError> {
    let bad = |reason: String| LocaleError { language, reason };
    let source = sources.iter().find(|(l, _)| *l == language).map_or("", |(_, source)| source);
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
    use super::*;

    const SOURCES: Sources = &[
        ("en", "names-of = en_GB\ntime-pattern = %H:%M\ndate-pattern = %A, %-d %B %Y\nyes = Yes\nmaybe = Maybe\n"),
        ("fr", "names-of = fr_FR\nyes = Oui\n"),
    ];

    #[test]
    fn a_text_that_a_language_lacks_is_taken_from_english() {
        let french = Locale::load(SOURCES, "fr").unwrap();
        assert_eq!(french.word("yes"), "Oui");
        assert_eq!(french.word("maybe"), "Maybe");
        assert_eq!(french.word("no-such-key"), "no-such-key");
        assert_eq!(french.date("2026-03-01".parse().unwrap()), "dimanche, 1 mars 2026");
    }

    #[test]
    fn the_nearest_language_is_spoken() {
        for (asked, spoken) in [("fr", "fr"), ("fr-CA", "fr"), ("en-US", "en"), ("de", "en"), ("", "en"), ("?!", "en")]
        {
            assert_eq!(nearest(SOURCES, [asked]), spoken, "{asked}");
        }
        assert_eq!(nearest(SOURCES, ["de-AT", "fr-CH", "en"]), "fr");
    }

    #[test]
    fn the_languages_of_a_header_come_best_first() {
        assert_eq!(accepted("de-AT, fr;q=0.5, en;q=0.9, *;q=0.1"), ["de-AT", "en", "fr"]);
        assert_eq!(accepted("fr;q=0, en; q=0.3"), ["en"]);
        assert_eq!(accepted("fr;q=much, ;, en"), ["en"]);
        assert!(accepted("").is_empty());
    }
}
