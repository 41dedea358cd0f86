//! Words and looks: a typed mail in, its subject, HTML and plain text out, in the reader's language and zone.
//!
//! One pair of templates per kind of mail (`templates/`), a shared layout, texts in Fluent files (`../locales`). Whatever
//! comes from an event is escaped in HTML, put on one line in subjects, and is a link only if it is an address of the web.
//! This room does no I/O; the same mail and reader give the same bytes.

mod dates;
mod model;
mod repeats;
mod view;

use std::sync::Arc;

use chrono_tz::Tz;

pub use self::model::{
    ActionLinks, Answer, Before, Days, EventCard, EventMail, Guest, Kind, Moment, Person, Recurrence, Repeats, Span,
    Turn, Unit, Until,
};
use self::view::View;
pub use crate::wording::WordingError as RenderError;
use crate::wording::{Sources, Speakers, Templates};

/// Every language there is, English first: texts in Fluent files (`src/mail/locales/{language}/mail.ftl`).
const SOURCES: Sources =
    &[("en", include_str!("../locales/en/mail.ftl")), ("fr", include_str!("../locales/fr/mail.ftl"))];

/// Every template, by name.
const TEMPLATES: Templates = &[
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
#[derive(Debug, Clone)]
pub struct Renderer {
    speakers: Arc<Speakers>,
}

impl Default for Renderer {
    fn default() -> Self {
        Self { speakers: Arc::new(Speakers::new(SOURCES, TEMPLATES)) }
    }
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
        let speaker = self.speakers.nearest([reader.language.as_str()])?;
        let view = View::of(mail, &dates::Dates { locale: &speaker.locale, zone: reader.zone });
        let fill = |extension: &str| speaker.fill(&format!("{}.{extension}", mail.kind.template()), &view);
        Ok(Rendered { language: view.language, html: fill("html")?, text: fill("txt")?, subject: view.subject })
    }
}

#[cfg(test)]
mod tests {
    use super::{SOURCES, TEMPLATES};
    use crate::wording::texts;

    #[test]
    fn every_language_says_the_same() {
        texts::agree(SOURCES);
    }

    #[test]
    fn every_text_is_used_and_every_used_text_is_there() {
        let code = [include_str!("view.rs"), include_str!("repeats.rs"), include_str!("dates.rs")];
        let answers = ["accepted", "declined", "tentative", "delegated", "pending"];
        let composed = ["reply-subject-", "reply-title-"];
        let composed: Vec<String> =
            composed.iter().flat_map(|p| answers.iter().map(move |a| format!("{p}{a}"))).collect();
        texts::are_used(SOURCES, TEMPLATES, &code, &composed);
    }
}
