//! What there is to know of one event, as the page shows it: lines of text and links that may be followed.

use serde::Serialize;

use crate::ical::words::{PartStat, Role};
use crate::ical::{Attendee, CalendarUser, Event, split_value, unescape_text};
use crate::wording::plain;

/// Characters of a description that are shown; programs have it all.
const TEXT: usize = 4_000;
/// Characters of a name or a line.
const LINE: usize = 300;
/// Guests that are named.
const GUESTS: usize = 100;
/// Further lists are cut here.
const MOST: usize = 20;

/// An event in detail.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Details {
    location: Option<Place>,
    video: Option<Place>,
    link: Option<Place>,
    organizer: Option<Guest>,
    guests: Vec<Guest>,
    /// Guests beyond those.
    guests_more: usize,
    categories: Option<String>,
    attachments: Vec<Place>,
    description: Option<String>,
}

/// A text that may be a link.
#[derive(Debug, Clone, Serialize)]
struct Place {
    text: String,
    link: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Guest {
    name: String,
    /// Where the name is not the address already.
    email: Option<String>,
    is_optional: bool,
    /// The key for the answer; none for the organizer.
    answer: Option<&'static str>,
}

impl Details {
    /// The details of an event.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let component = event.component();
        let video = component.properties().find(|p| p.is("CONFERENCE") || p.is("X-OPENPAAS-VIDEOCONFERENCE"));
        let mut all = event.attendees();
        let guests: Vec<Guest> = all.by_ref().take(GUESTS).map(|a| Guest::invited(&a)).collect();
        let lists = component.all("CATEGORIES").flat_map(|p| split_value(p.value(), ','));
        let words = lists.map(|word| plain::single_line(&unescape_text(word))).filter(|word| !word.is_empty());
        let categories: Vec<String> = words.take(MOST).collect();
        let attachments = component.all("ATTACH").filter_map(|attach| {
            let link = plain::web_link(attach.value())?;
            let name = attach.get_param("FILENAME").map(plain::single_line).filter(|name| !name.is_empty());
            Some(Place { text: plain::clip(name.unwrap_or_else(|| link.clone()), LINE), link: Some(link) })
        });
        Self {
            location: event.location().and_then(|text| Place::of(&text)),
            video: video.and_then(|p| Place::of(&p.text())),
            link: component.text("URL").and_then(|text| Place::of(&text)),
            organizer: event.organizer().map(|organizer| Guest::named(&organizer)),
            guests,
            guests_more: all.count(),
            categories: (!categories.is_empty()).then(|| plain::clip(categories.join(", "), LINE)),
            attachments: attachments.take(MOST).collect(),
            description: event.description().and_then(|text| plain::shown(&text, TEXT)),
        }
    }
}

impl Place {
    fn of(text: &str) -> Option<Self> {
        let link = plain::web_link(text);
        Some(Self { text: plain::shown(text, TEXT)?, link })
    }
}

impl Guest {
    fn named(user: &CalendarUser<'_>) -> Self {
        let email = user.email().ok().map(|email| email.to_string());
        let address = email.clone().unwrap_or_else(|| plain::single_line(user.address()));
        let name = user.cn().map(plain::single_line).filter(|name| !name.is_empty());
        let name = plain::clip(name.unwrap_or_else(|| address.clone()), LINE);
        let email = email.filter(|email| !email.eq_ignore_ascii_case(&name));
        Self { name, email, is_optional: false, answer: None }
    }

    fn invited(attendee: &Attendee<'_>) -> Self {
        let answer = match attendee.partstat() {
            PartStat::Accepted | PartStat::Completed | PartStat::InProcess => "answer-accepted",
            PartStat::Declined => "answer-declined",
            PartStat::Tentative => "answer-tentative",
            PartStat::Delegated => "answer-delegated",
            PartStat::NeedsAction | PartStat::Other(_) => "answer-pending",
        };
        let is_optional = matches!(attendee.role(), Role::Optional | Role::NonParticipant);
        Self { is_optional, answer: Some(answer), ..Self::named(attendee) }
    }
}
