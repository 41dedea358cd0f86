//! Words and looks: a typed mail in, its subject, HTML and plain text out, in the reader's language and zone.
//!
//! One pair of templates per kind of mail (`templates/`), a shared layout, texts in Fluent files (`../locales`). Whatever
//! comes from an event is escaped in HTML, put on one line in subjects, and is a link only if it is an address of the web.
//! This room does no I/O; the same mail and reader give the same bytes.

mod dates;
mod locale;
mod model;
mod repeats;
mod view;

use std::sync::{Arc, OnceLock};

use chrono_tz::Tz;
use fluent_bundle::{FluentArgs, FluentValue};
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior};

pub use self::locale::LocaleError;
use self::locale::{Locale, SOURCES};
pub use self::model::{
    ActionLinks, Answer, Before, Days, EventCard, EventMail, Guest, Kind, Moment, Person, Recurrence, Repeats, Span,
    Turn, Unit, Until,
};
use self::view::View;
pub(super) use self::view::single_line;

/// Every template, by name.
const TEMPLATES: [(&str, &str); 12] = [
    ("layout.html", include_str!("templates/layout.html")),
    ("rows.html", include_str!("templates/rows.html")),
    ("event-invite.html", include_str!("templates/event-invite.html")),
    ("event-update.html", include_str!("templates/event-update.html")),
    ("event-cancel.html", include_str!("templates/event-cancel.html")),
    ("event-reply.html", include_str!("templates/event-reply.html")),
    ("layout.txt", include_str!("templates/layout.txt")),
    ("rows.txt", include_str!("templates/rows.txt")),
    ("event-invite.txt", include_str!("templates/event-invite.txt")),
    ("event-update.txt", include_str!("templates/event-update.txt")),
    ("event-cancel.txt", include_str!("templates/event-cancel.txt")),
    ("event-reply.txt", include_str!("templates/event-reply.txt")),
];

/// A mail could not be rendered: a mistake in a template or a language file, which tests are there to find.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
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

/// Who reads the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Language tag as the person chose it; the nearest language there is will be used.
    pub language: String,
    /// Zone in which times are shown.
    pub zone: Tz,
}

/// A mail in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Language that was used, e.g. `fr`.
    pub language: &'static str,
    /// Subject, on one line.
    pub subject: String,
    /// HTML document.
    pub html: String,
    /// Plain text with LF line ends.
    pub text: String,
}

/// Renders mails. Languages are loaded when the first mail needs them; clones share them.
#[derive(Clone, Default)]
pub struct Renderer {
    languages: Arc<[OnceLock<Language>; SOURCES.len()]>,
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Renderer")
    }
}

/// A language with the templates that speak it.
struct Language {
    locale: Arc<Locale>,
    templates: Environment<'static>,
}

impl Renderer {
    /// A renderer with no language loaded yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Renders a mail for a reader.
    ///
    /// # Errors
    /// [`RenderError`], which no event can cause.
    pub fn render(&self, mail: &EventMail, reader: &Reader) -> Result<Rendered, RenderError> {
        let language = self.language(locale::nearest(&reader.language))?;
        let view = View::of(mail, &dates::Dates { locale: &language.locale, zone: reader.zone });
        let values = Value::from(Serde(&view));
        let fill = |extension: &str| {
            let name = format!("{}.{extension}", mail.kind.template());
            let filled = language.templates.get_template(&name).and_then(|template| template.render(&values));
            filled.map_err(|e| RenderError::Template { template: name, reason: format!("{e:#}") })
        };
        Ok(Rendered { language: view.language, html: fill("html")?, text: fill("txt")?, subject: view.subject })
    }

    fn language(&self, language: &'static str) -> Result<&Language, RenderError> {
        let at = SOURCES.iter().position(|(l, _)| *l == language).unwrap_or(0);
        if let Some(loaded) = self.languages[at].get() {
            return Ok(loaded);
        }
        let loaded = Language::load(language)?;
        Ok(self.languages[at].get_or_init(|| loaded))
    }
}

impl Language {
    fn load(language: &'static str) -> Result<Self, RenderError> {
        let locale = Arc::new(Locale::load(language)?);
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, source) in TEMPLATES {
            let added = templates.add_template(name, source);
            added.map_err(|e| RenderError::Template { template: name.to_owned(), reason: format!("{e:#}") })?;
        }
        templates.set_formatter(escape);
        let texts = Arc::clone(&locale);
        templates.add_function("t", move |key: &str, args: Kwargs| translate(&texts, key, &args));
        Ok(Self { locale, templates })
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
