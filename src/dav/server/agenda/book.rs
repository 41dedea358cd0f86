//! The page of an address book: who is in it, and how to reach them.

use http::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::super::access::location_of;
use super::super::call::Call;
use super::super::rights::Need;
use super::view::{CalendarLink, with};
use super::{answer_language, broken, style};
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::dav::upstream::Body;
use crate::ids::Email;
use crate::store::{Collection, ObjectFilter};
use crate::vcard::Card;
use crate::wording::{Locale, plain};

/// Cards that are read at once.
const PAGE: usize = 100;
/// Characters of a name or a line.
const LINE: usize = 200;
/// Ways to reach somebody that are shown.
const WAYS: usize = 10;
/// Escaped in the address of a mail: all but RFC 3986's unreserved characters and the sign in its middle.
const MAILBOX: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

#[derive(Serialize)]
struct Book {
    language: &'static str,
    direction: String,
    title: String,
    name: String,
    style: String,
    /// Address of the agenda of the home.
    agenda: String,
    books: Vec<CalendarLink>,
    cards: Vec<Entry>,
    /// How many there are on the page, where there are more.
    cut: Option<usize>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    organization: Option<String>,
    emails: Vec<Way>,
    phones: Vec<Way>,
}

#[derive(Serialize)]
struct Way {
    text: String,
    /// What comes behind the scheme.
    link: String,
}

impl Call {
    /// Answers with the cards of an address book, which the reader may read.
    pub(in crate::dav::server) async fn page_of_book(self, book: Collection) -> Result<Response<Body>, DavError> {
        let (speaker, _) = answer_language(&self.headers)?;
        let locale = &speaker.locale;
        let (cards, is_cut) = self.cards_of(&book, locale).await?;
        let siblings = match self.who.home() == Some(book.home) {
            true => {
                let sights = self.server.sights(&self.who, Space::AddressBooks, book.home, Need::Read).await?;
                sights.iter().map(|sight| sight.shown().clone()).collect()
            }
            false => vec![book.clone()],
        };
        let books = siblings.iter().map(|sibling| CalendarLink {
            name: name_of(sibling),
            link: self.href(&location_of(sibling)),
            class: String::new(),
            is_current: sibling.id == book.id,
        });
        let name = name_of(&book);
        let heading = locale.word("address-books");
        let agenda = self.who.home().map_or(Location::Root, |home| Location::Home(Space::Calendars, home));
        let page = Book {
            language: locale.language,
            direction: locale.word("direction"),
            title: with(locale, "page-title", &[("heading", &heading), ("name", &name)]),
            name,
            style: style::Style::plain().finish(),
            agenda: self.href(&agenda),
            books: books.collect(),
            cut: is_cut.then_some(cards.len()),
            cards,
        };
        let html = speaker.fill("book.html", &page).map_err(broken)?;
        self.answer_page(html, &page.style)
    }

    /// The cards by name, and whether there are more than a page shows. One that cannot be read hides no other.
    async fn cards_of(&self, book: &Collection, locale: &Locale) -> Result<(Vec<Entry>, bool), DavError> {
        let most = self.inner().settings.limits.page_events;
        let mut cards = Vec::new();
        let mut after: Option<String> = None;
        let is_cut = 'all: loop {
            let page = self.inner().store.query(book.id, &ObjectFilter::default(), after.as_deref(), PAGE).await?;
            for object in &page.objects {
                let Ok(card) = Card::parse(&object.data) else { continue };
                if cards.len() >= most {
                    break 'all true;
                }
                cards.push(Entry::of(&card, locale));
            }
            tokio::task::yield_now().await;
            after = page.next();
            if after.is_none() {
                break false;
            }
        };
        cards.sort_by_cached_key(|card| card.name.to_lowercase());
        Ok((cards, is_cut))
    }
}

impl Entry {
    fn of(card: &Card, locale: &Locale) -> Self {
        let line = |text: &str| Some(plain::clip(plain::single_line(text), LINE)).filter(|line| !line.is_empty());
        let organization = line(&card.organization().join(", "));
        let name = card.formatted_name().and_then(|name| line(&name));
        let email = |text: &str| {
            let email: Email = text.trim().parse().ok()?;
            Some(Way { text: line(email.as_str())?, link: utf8_percent_encode(email.as_str(), MAILBOX).to_string() })
        };
        let phone = |text: &str| {
            let link: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
            Some(Way { text: line(text)?, link })
        };
        Self {
            name: name.or_else(|| organization.clone()).unwrap_or_else(|| locale.word("no-name")),
            organization,
            emails: card.emails().iter().filter_map(|reach| email(&reach.value)).take(WAYS).collect(),
            phones: card.phones().iter().filter_map(|reach| phone(&reach.value)).take(WAYS).collect(),
        }
    }
}

fn name_of(book: &Collection) -> String {
    let name = book.props.displayname.as_deref().map(plain::single_line).filter(|name| !name.is_empty());
    plain::clip(name.unwrap_or_else(|| plain::single_line(&book.uri)), LINE)
}
