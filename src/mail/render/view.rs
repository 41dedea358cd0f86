//! The model as templates see it: every value is text in the reader's language, every link is one that may be followed.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::dates::Dates;
use super::model::{ActionLinks, Answer, Before, EventCard, EventMail, Guest, Kind, Person, Span, Turn};
use super::repeats;
use crate::wording::plain::{self, clip, single_line, web_link};

/// Guests that a mail names; the calendar part has them all.
const GUESTS_SHOWN: usize = 50;
/// Characters of a text that a mail shows; the calendar part has it all.
const TEXT_SHOWN: usize = 4_000;
/// Characters of a title that a subject holds.
const TITLE_SHOWN: usize = 200;
/// Escaped in a query: all but RFC 3986's unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Serialize)]
pub(super) struct View {
    pub language: &'static str,
    /// How the banner looks: `good`, `bad`, `maybe` or `plain`.
    pub tone: &'static str,
    pub subject: String,
    pub title: String,
    event: Event,
    before: Option<Was>,
    comment: Option<String>,
    actions: Option<Actions>,
    see_in_calendar: Option<String>,
    may_be_forwarded: bool,
}

#[derive(Serialize)]
struct Event {
    summary: String,
    when: Option<String>,
    repeats: Option<String>,
    location: Option<Place>,
    video: Option<Place>,
    guests: Vec<Invited>,
    guests_more: Option<String>,
    resources: Vec<String>,
    description: Option<String>,
}

/// A text that may be a link, or that a map may know.
#[derive(Serialize)]
struct Place {
    text: String,
    link: Option<String>,
    map: Option<String>,
}

#[derive(Serialize)]
struct Invited {
    name: String,
    email: Option<String>,
    /// "organizer", "optional", "accepted": what is known of them, as text.
    marks: Vec<String>,
}

#[derive(Serialize)]
struct Was {
    summary: Option<String>,
    when: Option<String>,
    location: Option<String>,
    description: Option<String>,
    /// Changes that no row shows, each as a sentence.
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Actions {
    yes: String,
    maybe: String,
    no: String,
}

impl View {
    pub(super) fn of(mail: &EventMail, dates: &Dates<'_>) -> Self {
        let text = |key: &str, args: &[(&'static str, &str)]| {
            dates.locale.text(key, &args.iter().map(|(name, value)| (*name, *value)).collect())
        };
        let now = title(&mail.event.summary, dates);
        let by = clip(single_line(mail.by.display()), TITLE_SHOWN);
        let named = [("organizer", by.as_str()), ("summary", now.as_str())];
        let answered = [("name", by.as_str()), ("summary", now.as_str())];
        let (subject, heading) = match &mail.kind {
            Kind::Invitation => (text("invite-subject", &named), text("invite-title", &named[..1])),
            Kind::Update(before) => {
                let was = before.summary.as_ref().map_or_else(|| now.clone(), |was| title(was, dates));
                let named = [named[0], ("summary", was.as_str())];
                (text("update-subject", &named), text("update-title", &named[..1]))
            }
            Kind::Cancellation => (text("cancel-subject", &named), text("cancel-title", &named[..1])),
            Kind::Reply { answer, .. } => {
                let answer = answer_name(*answer);
                let subject = text(&format!("reply-subject-{answer}"), &answered);
                (subject, text(&format!("reply-title-{answer}"), &answered[..1]))
            }
        };
        Self {
            language: dates.locale.language,
            tone: tone(&mail.kind),
            subject: single_line(&subject),
            title: heading,
            event: Event::of(&mail.event, dates),
            before: match &mail.kind {
                Kind::Update(before) => Some(Was::of(before, dates)),
                _ => None,
            },
            comment: match &mail.kind {
                Kind::Reply { comment, .. } => comment.as_deref().and_then(shown),
                _ => None,
            },
            actions: mail.actions.as_ref().and_then(Actions::of),
            see_in_calendar: mail.see_in_calendar.as_deref().and_then(web_link),
            may_be_forwarded: mail.actions.is_some() || matches!(mail.kind, Kind::Invitation | Kind::Update(_)),
        }
    }
}

impl Event {
    fn of(event: &EventCard, dates: &Dates<'_>) -> Self {
        let guests = guests(event, dates);
        let more = guests.len().saturating_sub(GUESTS_SHOWN);
        let mut count = fluent_bundle::FluentArgs::new();
        count.set("count", more);
        Self {
            summary: title(&event.summary, dates),
            when: event.span.as_ref().map(|span| dates.span(span)),
            repeats: repeats::sentence(event, dates),
            location: event.location.as_deref().and_then(shown).map(Place::on_a_map),
            video: event.video.as_deref().and_then(shown).map(Place::online),
            guests: guests.into_iter().take(GUESTS_SHOWN).collect(),
            guests_more: (more > 0).then(|| dates.locale.text("guests-more", &count)),
            resources: event.resources.iter().map(|r| single_line(r.display())).collect(),
            description: event.description.as_deref().and_then(shown),
        }
    }
}

impl Was {
    fn of(before: &Before, dates: &Dates<'_>) -> Self {
        let was = |text: &String| shown(text).unwrap_or_default();
        Self {
            summary: before.summary.as_ref().map(|summary| title(summary, dates)),
            when: before.span.as_ref().map(|span: &Span| dates.span(span)),
            location: before.location.as_ref().map(was),
            description: before.description.as_ref().map(was),
            notes: notes(before, dates),
        }
    }
}

fn notes(before: &Before, dates: &Dates<'_>) -> Vec<String> {
    let status = before.status.map(|turn| match turn {
        Turn::Revived => "note-revived",
        Turn::Confirmed => "note-confirmed",
        Turn::Tentative => "note-tentative",
        Turn::CalledOff => "note-called-off",
    });
    let repetition = before.repeats_otherwise.then_some("note-repetition");
    let keys = status.into_iter().chain(repetition);
    keys.map(|key| dates.locale.text(key, &fluent_bundle::FluentArgs::new())).collect()
}

impl Place {
    fn on_a_map(text: String) -> Self {
        let link = web_link(&text);
        let map = link.is_none().then(|| {
            let words = single_line(&text);
            format!("https://www.openstreetmap.org/search?query={}", utf8_percent_encode(&words, QUERY))
        });
        Self { text, link, map }
    }

    fn online(text: String) -> Self {
        Self { link: web_link(&text), text, map: None }
    }
}

impl Actions {
    fn of(links: &ActionLinks) -> Option<Self> {
        Some(Self { yes: web_link(&links.yes)?, maybe: web_link(&links.maybe)?, no: web_link(&links.no)? })
    }
}

/// The organizer first, then everybody else once.
fn guests(event: &EventCard, dates: &Dates<'_>) -> Vec<Invited> {
    let organizer = event.organizer.as_ref();
    let is_organizer = |guest: &&Guest| organizer.is_some_and(|o| o.email.eq_ignore_ascii_case(&guest.person.email));
    let text = |key: &str| dates.locale.text(key, &fluent_bundle::FluentArgs::new());
    let mut all = Vec::with_capacity(event.guests.len() + 1);
    if let Some(organizer) = organizer {
        let mut marks = vec![text("organizer-mark")];
        marks.extend(event.guests.iter().find(is_organizer).and_then(|g| answer_mark(g.answer)).map(text));
        all.push(invited(organizer, marks));
    }
    for guest in event.guests.iter().filter(|guest| !is_organizer(guest)) {
        let mut marks = Vec::new();
        if guest.optional {
            marks.push(text("optional-mark"));
        }
        marks.extend(answer_mark(guest.answer).map(text));
        all.push(invited(&guest.person, marks));
    }
    all
}

fn invited(person: &Person, marks: Vec<String>) -> Invited {
    let name = clip(single_line(person.display()), TITLE_SHOWN);
    let email = (!name.eq_ignore_ascii_case(&person.email)).then(|| single_line(&person.email));
    Invited { name, email, marks }
}

/// The middle of the keys for an answer.
fn answer_name(answer: Answer) -> &'static str {
    match answer {
        Answer::Accepted => "accepted",
        Answer::Declined => "declined",
        Answer::Tentative => "tentative",
        Answer::Delegated => "delegated",
        Answer::Pending => "pending",
    }
}

fn answer_mark(answer: Answer) -> Option<&'static str> {
    match answer {
        Answer::Accepted => Some("answer-accepted"),
        Answer::Declined => Some("answer-declined"),
        Answer::Tentative => Some("answer-tentative"),
        Answer::Delegated => Some("answer-delegated"),
        Answer::Pending => None,
    }
}

fn tone(kind: &Kind) -> &'static str {
    match kind {
        Kind::Invitation => "good",
        Kind::Cancellation => "bad",
        Kind::Update(_) => "plain",
        Kind::Reply { answer, .. } => match answer {
            Answer::Accepted => "good",
            Answer::Declined => "bad",
            Answer::Tentative => "maybe",
            Answer::Delegated | Answer::Pending => "plain",
        },
    }
}

/// A text of several lines as a mail shows it; `None` when it is blank.
fn shown(text: &str) -> Option<String> {
    plain::shown(text, TEXT_SHOWN)
}

fn title(summary: &str, dates: &Dates<'_>) -> String {
    let line = single_line(summary);
    match line.as_str() {
        "" => dates.locale.text("no-title", &fluent_bundle::FluentArgs::new()),
        _ => clip(line, TITLE_SHOWN),
    }
}
