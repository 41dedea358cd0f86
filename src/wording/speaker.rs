//! A language with the templates that speak it.

use std::sync::{Arc, OnceLock};

use fluent_bundle::{FluentArgs, FluentValue};
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior};
use serde::Serialize;

use super::locale::{Locale, LocaleError, Sources, nearest};

/// Templates by name. What ends in `.html` is escaped. `t("key", name=value)` is a text in the reader's language.
pub type Templates = &'static [(&'static str, &'static str)];

/// Something could not be put in words: a mistake in a template or a language file, which tests are there to find.
#[derive(Debug, thiserror::Error)]
pub enum WordingError {
    /// A language file cannot be used.
    #[error(transparent)]
    Locale(#[from] LocaleError),
    /// A template failed.
    #[error("template {template}: {reason}")]
    Template {
        /// Which.
        template: String,
        /// Why, with its causes.
        reason: String,
    },
}

/// Everybody who speaks for one purpose. Languages are loaded when they are first needed.
pub struct Speakers {
    sources: Sources,
    templates: Templates,
    loaded: Vec<OnceLock<Speaker>>,
}

impl std::fmt::Debug for Speakers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Speakers")
    }
}

impl Speakers {
    /// Speakers of these languages, with no language loaded yet.
    pub fn new(sources: Sources, templates: Templates) -> Self {
        Self { sources, templates, loaded: sources.iter().map(|_| OnceLock::new()).collect() }
    }

    /// The one whose language is nearest to those asked for, best first.
    ///
    /// # Errors
    /// [`WordingError`], which no reader can cause.
    pub fn nearest<'a>(&self, asked: impl IntoIterator<Item = &'a str>) -> Result<&Speaker, WordingError> {
        let language = nearest(self.sources, asked);
        let at = self.sources.iter().position(|(l, _)| *l == language).unwrap_or(0);
        if let Some(loaded) = self.loaded[at].get() {
            return Ok(loaded);
        }
        let loaded = Speaker::load(self.sources, self.templates, language)?;
        Ok(self.loaded[at].get_or_init(|| loaded))
    }
}

/// A language with the templates that speak it.
pub struct Speaker {
    /// The language.
    pub locale: Arc<Locale>,
    templates: Environment<'static>,
}

impl std::fmt::Debug for Speaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Speaker").field("locale", &self.locale).finish_non_exhaustive()
    }
}

impl Speaker {
    fn load(sources: Sources, all: Templates, language: &'static str) -> Result<Self, WordingError> {
        let locale = Arc::new(Locale::load(sources, language)?);
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, source) in all {
            let added = templates.add_template(name, source);
            added.map_err(|e| WordingError::Template { template: (*name).to_owned(), reason: format!("{e:#}") })?;
        }
        templates.set_formatter(escape);
        let texts = Arc::clone(&locale);
        templates.add_function("t", move |key: &str, args: Kwargs| translate(&texts, key, &args));
        Ok(Self { locale, templates })
    }

    /// Fills the template of that name with the values of a model.
    ///
    /// # Errors
    /// [`WordingError`] when template and model do not fit together.
    pub fn fill(&self, template: &str, model: &impl Serialize) -> Result<String, WordingError> {
        let filled = self.templates.get_template(template).and_then(|found| found.render(Value::from(Serde(model))));
        filled.map_err(|e| WordingError::Template { template: template.to_owned(), reason: format!("{e:#}") })
    }
}

/// Writes a value into a template: in HTML with the five characters escaped that mean something there. (minijinja's own way
/// escapes slashes too, which makes addresses of the web unreadable to simple programs.)
fn escape(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    let text = match value.as_str() {
        Some(text) if matches!(state.auto_escape(), AutoEscape::Html) && !value.is_safe() => text,
        _ => return minijinja::escape_formatter(out, state, value),
    };
    let mut written = 0;
    for (at, found) in text.match_indices(['&', '<', '>', '"', '\'']) {
        let entity = match found {
            "&" => "&amp;",
            "<" => "&lt;",
            ">" => "&gt;",
            "\"" => "&quot;",
            _ => "&#39;",
        };
        out.write_str(&text[written..at])?;
        out.write_str(entity)?;
        written = at + found.len();
    }
    Ok(out.write_str(&text[written..])?)
}

/// `t("key", name=value)` in templates.
fn translate(locale: &Locale, key: &str, args: &Kwargs) -> Result<String, minijinja::Error> {
    let mut values = FluentArgs::new();
    for name in args.args() {
        let value: Value = args.get(name)?;
        let value = match i64::try_from(value.clone()) {
            Ok(number) => FluentValue::from(number),
            Err(_) => FluentValue::from(value.to_string()),
        };
        values.set(name.to_owned(), value);
    }
    if key.is_empty() {
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, "t() needs the key of a text"));
    }
    Ok(locale.text(key, &values))
}
