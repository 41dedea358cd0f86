//! The cards of an address book by JSON: all, a page, or those in which a word is (dav §13.1).

use async_trait::async_trait;
use http::Response;

use super::text::{JSON_TYPE, Links, append, to_text};
use crate::dav::error::DavError;
use crate::dav::path::push_segment;
use crate::dav::precondition::quoted;
use crate::dav::server::Server;
use crate::dav::server::access::location_of;
use crate::dav::server::call::Call;
use crate::dav::server::chunked::{self, Pages, Progress};
use crate::dav::upstream::Body;
use crate::dav::xml::Writer;
use crate::ids::CollectionId;
use crate::store::{Object, ObjectFilter};
use crate::vcard::{self, Card, jcard};

/// Cards that are read at once.
const PAGE: usize = 100;
/// Where cards are put whose names begin with no letter, as the reference does.
const NO_LETTER: char = '#';

/// Which cards are asked for, and in which order.
#[derive(Debug, Default)]
struct Wanted {
    offset: usize,
    /// 0 for any number.
    limit: usize,
    /// A word in lower case.
    search: Option<String>,
    modified_before: Option<i64>,
    by_name: bool,
}

impl Wanted {
    fn read(call: &Call) -> Result<Self, DavError> {
        let number = |name: &str| match call.parameter(name) {
            None | Some("") => Ok(None),
            Some(text) => {
                text.parse::<u32>().map(Some).map_err(|_| DavError::bad_request(format!("{name} is a number")))
            }
        };
        let count =
            |name: &str| Ok::<_, DavError>(number(name)?.map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX)));
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_encoding::percent_decode_str(&text).decode_utf8_lossy().to_lowercase()
        };
        let search = call.parameter("search").filter(|text| !text.is_empty()).map(decoded);
        Ok(Self {
            offset: count("offset")?,
            limit: count("limit")?,
            // A search is among all cards.
            modified_before: number("modifiedBefore")?.map(i64::from).filter(|_| search.is_none()),
            search,
            by_name: call.parameter("sort") == Some("fn"),
        })
    }

    /// Whether all cards are asked for, in whatever order.
    fn is_everything(&self) -> bool {
        self.offset == 0 && self.limit == 0 && self.search.is_none() && self.modified_before.is_none() && !self.by_name
    }

    fn passes(&self, card: &Object) -> bool {
        let is_old = self.modified_before.is_none_or(|before| card.meta.modified.timestamp() < before);
        is_old && self.search.as_ref().is_none_or(|word| says(&card.data, word))
    }
}

impl Call {
    /// Answers with the cards of a book.
    pub(super) async fn book_contents(&self) -> Result<Response<Body>, DavError> {
        let book = self.readable_collection().await?;
        let wanted = Wanted::read(self)?;
        let base = format!("{}{}", self.inner().settings.base, location_of(&book).href());
        let href = self.json_href(&book);
        let (names, next) = match wanted.is_everything() {
            true => (None, None),
            false => {
                let mut names = self.server.names_of(book.id, &wanted).await?;
                let end = if wanted.limit == 0 { names.len() } else { wanted.offset.saturating_add(wanted.limit) };
                let next = (end < names.len()).then(|| format!("{href}?{}", with_offset(&self.query, end)));
                names.truncate(end);
                names.drain(..wanted.offset.min(names.len()));
                names.reverse();
                (Some(names), next)
            }
        };
        let mut head = format!("{{\"_links\":{{\"self\":{{\"href\":{}}}", to_text(&href));
        if let Some(next) = next {
            head.push_str(&format!(",\"next\":{{\"href\":{}}}", to_text(&next)));
        }
        head.push_str(&format!("}},\"dav:syncToken\":{},\"_embedded\":{{\"dav:item\":[", book.sync_token));
        let pages = Cards { server: self.server.clone(), book: book.id, base, names, after: None, has_written: false };
        chunked::body(&head, pages, "]}}", JSON_TYPE).await
    }
}

/// Whether a word, in lower case, is in some value of a card. What makes it a card is no answer to anything.
fn says(card: &str, word: &str) -> bool {
    const FRAME: [&str; 5] = ["begin", "end", "version", "prodid", "rev"];
    let unfolded = card.replace("\r\n ", "").replace("\n ", "").to_lowercase();
    let mut values = unfolded.lines().filter_map(|line| line.split_once(':'));
    values.any(|(name, value)| !FRAME.contains(&name) && value.contains(word))
}

/// The parameters of a request with another offset.
fn with_offset(query: &str, offset: usize) -> String {
    let is_offset = |part: &str| part.split('=').next() == Some("offset");
    let mut parts: Vec<String> = query.split('&').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    match parts.iter_mut().find(|part| is_offset(part)) {
        Some(part) => *part = format!("offset={offset}"),
        None => parts.push(format!("offset={offset}")),
    }
    parts.join("&")
}

/// By what a card is put in order: the letter that its name begins with, then the name.
fn order_of(card: &Object) -> (char, String) {
    let name = Card::parse(&card.data).ok().and_then(|card| {
        let name = card.root().properties().find(|p| vcard::names("FN", p))?;
        Some(name.text().trim().to_lowercase())
    });
    let name = name.unwrap_or_default();
    let letter = name.chars().next().filter(char::is_ascii_lowercase).unwrap_or(NO_LETTER);
    (letter, name)
}

impl Server {
    /// The names of the cards that are asked for, in order.
    async fn names_of(&self, book: CollectionId, wanted: &Wanted) -> Result<Vec<String>, DavError> {
        let mut found: Vec<((char, String), String)> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.0.store.query(book, &ObjectFilter::default(), after.as_deref(), PAGE).await?;
            let passing = page.objects.iter().filter(|card| wanted.passes(card));
            let keyed = passing.map(|card| {
                let order = if wanted.by_name { order_of(card) } else { (NO_LETTER, String::new()) };
                (order, card.meta.name.clone())
            });
            found.extend(keyed);
            after = page.next();
            if after.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        found.sort();
        Ok(found.into_iter().map(|(_, name)| name).collect())
    }
}

/// Cards that are written page by page.
struct Cards {
    server: Server,
    book: CollectionId,
    base: String,
    /// Those that were chosen, last first; `None` for all.
    names: Option<Vec<String>>,
    after: Option<String>,
    has_written: bool,
}

impl Cards {
    /// The next cards, and whether they are the last.
    async fn read(&mut self) -> Result<(Vec<Object>, bool), DavError> {
        let store = &self.server.0.store;
        let Some(names) = &mut self.names else {
            let page = store.query(self.book, &ObjectFilter::default(), self.after.as_deref(), PAGE).await?;
            self.after = page.next();
            return Ok((page.objects, self.after.is_none()));
        };
        let page: Vec<String> = names.iter().rev().take(PAGE).cloned().collect();
        let found = store.objects(self.book, &page).await?;
        names.truncate(names.len() - found.len());
        let is_last = names.is_empty();
        Ok((found.into_iter().flatten().collect(), is_last))
    }
}

#[async_trait]
impl Pages for Cards {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        let (page, is_last) = self.read().await?;
        for object in &page {
            // What cannot be read can be had as it is, from its own address.
            let Ok(card) = Card::parse(&object.data) else { continue };
            if std::mem::replace(&mut self.has_written, true) {
                out.raw(",");
            }
            let mut href = self.base.clone();
            push_segment(&mut href, &object.meta.name);
            out.raw("{\"_links\":");
            append(out, &Links(&href));
            out.raw(",\"etag\":");
            append(out, &quoted(&object.meta.etag));
            out.raw(",\"data\":");
            append(out, &jcard::to_jcard(&card));
            out.raw("}");
        }
        Ok(if is_last { Progress::Done } else { Progress::More })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_looked_for_in_what_a_card_says() {
        let card =
            "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Carol Bel\r\n mont\r\nNOTE;LANGUAGE=en:Plays cards\r\nEND:VCARD\r\n";
        for (word, found) in [("belmont", true), ("cards", true), ("vcard", false), ("3.0", false), ("language", false)]
        {
            assert_eq!(says(card, word), found, "{word}");
        }
    }

    #[test]
    fn the_next_page_is_the_same_request_from_further_on() {
        assert_eq!(with_offset("limit=1&offset=0&sort=fn", 1), "limit=1&offset=1&sort=fn");
        assert_eq!(with_offset("limit=20", 20), "limit=20&offset=20");
        assert_eq!(with_offset("", 5), "offset=5");
    }
}
