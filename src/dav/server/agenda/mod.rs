//! The page that a browser sees at the address of a calendar or a home: the agenda of a month, a week, or as a list, and the
//! addresses that people paste into their programs; and at that of an address book: who is in it.
//!
//! In comes a `Call` whose reader may read what it points to; out goes one HTML document that needs nothing else: no script, no
//! picture, no second request. `question` reads what is asked, `gather` finds what takes place, `layout` gives it a place,
//! `view` puts it into words, the template writes it down. Nothing here changes anything, and nothing that people wrote is ever
//! markup: the policy that is sent along allows one style sheet, named by its digest.

mod addresses;
mod book;
mod details;
mod gather;
mod layout;
mod question;
mod style;
#[cfg(test)]
mod tests;
mod view;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use sha2::{Digest as _, Sha256};

use self::addresses::Addresses;
use self::gather::{Wanted, between};
use self::question::{Question, week_starts};
use self::view::{Page, Place};
use super::accept::Accept;
use super::access::location_of;
use super::answer;
use super::call::Call;
use super::expander::zone_of;
use super::rights::{Need, Sight};
use super::tenant::Tenant;
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::dav::precondition::{ConditionError, Preconditions, ResourceState, etag_of, quoted};
use crate::dav::upstream::Body;
use crate::ids::HomeId;
use crate::store::CollectionKind;
use crate::wording::{self, Sources, Speaker, Speakers, Templates};

/// Every language there is, English first.
const SOURCES: Sources = &[
    ("en", include_str!("locales/en/agenda.ftl")),
    ("fr", include_str!("locales/fr/agenda.ftl")),
    ("de", include_str!("locales/de/agenda.ftl")),
];

const TEMPLATES: Templates = &[
    ("layout.html", include_str!("templates/layout.html")),
    ("agenda.html", include_str!("templates/agenda.html")),
    ("month.html", include_str!("templates/month.html")),
    ("week.html", include_str!("templates/week.html")),
    ("list.html", include_str!("templates/list.html")),
    ("book.html", include_str!("templates/book.html")),
    ("addresses.html", include_str!("templates/addresses.html")),
];

/// Those who speak the languages.
static SPEAKERS: LazyLock<Speakers> = LazyLock::new(|| Speakers::new(SOURCES, TEMPLATES));

/// Parameters that say that a calendar is wanted as a file.
const OF_EXPORTS: [&str; 6] = ["export", "accept", "expand", "start", "end", "componentType"];

/// What programs name that want what is there, and not a page about it.
const OF_PROGRAMS: [&str; 5] =
    ["text/calendar", "application/calendar+json", "application/calendar+xml", "text/vcard", "application/vcard+json"];

impl Call {
    /// Whether the client is a browser that wants a page: it names HTML, and likes it better than any notation of calendars and
    /// cards that it names.
    pub(super) fn wants_page(&self) -> bool {
        prefers_html(&self.headers) && !OF_EXPORTS.iter().any(|name| self.has_parameter(name))
    }

    /// The home whose agenda is at the location, where it is that of a home: for the places above all homes it is the reader's.
    pub(super) fn home_of_page(&self) -> Option<HomeId> {
        match self.location {
            Location::Home(Space::Calendars, home) => Some(home),
            Location::Root | Location::Homes(Space::Calendars) => self.who.home(),
            _ => None,
        }
    }

    /// Answers with the agenda of all calendars of a home.
    pub(super) async fn agenda_of_home(self, home: HomeId) -> Result<Response<Body>, DavError> {
        let location = Location::Home(Space::Calendars, home);
        let calendars = self.calendars_in(home).await?;
        if calendars.is_empty() {
            return Err(self.server.needs(&location, Need::Read.privilege()));
        }
        self.agenda(home, calendars, None).await
    }

    /// Answers with the agenda of one calendar, which the reader may read.
    pub(super) async fn agenda_of_calendar(self, calendar: Sight) -> Result<Response<Body>, DavError> {
        let home = calendar.home;
        let calendars = self.calendars_in(home).await?;
        self.agenda(home, calendars, Some(calendar)).await
    }

    /// The calendars of a home that the reader may read.
    async fn calendars_in(&self, home: HomeId) -> Result<Vec<Sight>, DavError> {
        let mut calendars = self.server.sights(&self.who, Space::Calendars, home, Need::Read).await?;
        calendars.retain(|c| c.kind == CollectionKind::Calendar);
        Ok(calendars)
    }

    async fn agenda(self, home: HomeId, siblings: Vec<Sight>, only: Option<Sight>) -> Result<Response<Body>, DavError> {
        let limits = &self.inner().settings.limits;
        let now = self.inner().env.now();
        let (speaker, languages) = answer_language(&self.headers)?;
        let own_zone = only.as_ref().or(siblings.first()).map_or(chrono_tz::Tz::UTC, |shown| zone_of(shown));
        let question = Question::read(&self.query, own_zone, now, (limits.first_year, limits.last_year));
        let starts = week_starts(&languages);
        let (first, after) = question.days(starts);
        let wanted = Wanted {
            range: between(first, after, question.zone),
            zone: question.zone,
            with_details: question.view == question::View::List,
            most: limits.page_events,
        };
        let shown = only.as_ref().map_or(siblings.as_slice(), std::slice::from_ref);
        let (events, is_cut) = self.server.happenings(shown, &wanted).await?;
        let path = match &only {
            Some(calendar) => self.href(&location_of(calendar)),
            None => self.href(&self.location),
        };
        let addresses = match &self.who {
            Tenant::User(user) => {
                let public_url = &self.inner().settings.public_url;
                Some(Addresses::of(public_url, user.email().as_str(), &path, only.is_some()))
            }
            Tenant::Holder(_) | Tenant::Technical(_) => None,
        };
        let place = Place {
            home: self.href(&Location::Home(Space::Calendars, home)),
            books: self.href(&Location::Home(Space::AddressBooks, home)),
            siblings: siblings.iter().map(|c| (self.href(&location_of(c)), c.shown())).collect(),
            only: only.as_ref().map(Sight::shown),
            addresses,
        };
        let page =
            Page::of(&speaker.locale, &question, place, &events, is_cut, question::today(now, question.zone), starts);
        let html = speaker.fill("agenda.html", &page).map_err(broken)?;
        self.answer_page(html, page.style())
    }

    /// The page as an answer that is kept by nobody but the reader, who asks again each time.
    fn answer_page(&self, html: String, style: &str) -> Result<Response<Body>, DavError> {
        let etag = etag_of(&html);
        let state = ResourceState { location: &self.location, etag: Some(&etag), token: None };
        let mut response = match Preconditions::read(&self.headers)?.check(&[state], &self.inner().settings.base) {
            Err(ConditionError::IfNoneMatch) => answer::empty(StatusCode::NOT_MODIFIED),
            other => {
                other?;
                Response::new(Body::from(html))
            }
        };
        let digest = STANDARD.encode(Sha256::digest(style.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(CONTENT_TYPE, "text/html; charset=utf-8");
        set(CONTENT_SECURITY_POLICY, &policy);
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(REFERRER_POLICY, "no-referrer");
        set(CACHE_CONTROL, "private, no-cache");
        set(VARY, "Accept, Accept-Language");
        set(ETAG, &quoted(&etag));
        Ok(response)
    }
}

/// Who speaks the language that the reader likes best, and all languages that they like.
fn answer_language(headers: &HeaderMap) -> Result<(&'static Speaker, Vec<&str>), DavError> {
    let languages = headers.get(ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let languages = wording::accepted(languages);
    Ok((SPEAKERS.nearest(languages.iter().copied()).map_err(broken)?, languages))
}

/// Says that a place is answered by what the client accepts.
pub(super) fn vary_by_accept(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    response
}

fn broken(error: wording::WordingError) -> DavError {
    tracing::error!(%error, "the agenda cannot be put into words");
    DavError::new(StatusCode::INTERNAL_SERVER_ERROR, "Exception", "The page cannot be made")
}

fn prefers_html(headers: &HeaderMap) -> bool {
    let accept = Accept::read(headers);
    let html = accept.quality("text/html", None);
    let is_liked_less = |media_type: &&str| !accept.names(media_type) || accept.quality(media_type, None) < html;
    // Programs in Java that choose nothing name HTML and pictures; browsers name XHTML too where they name pictures.
    let is_java = accept.names("image/gif") && !accept.names("application/xhtml+xml");
    accept.names("text/html") && html > 0 && !is_java && OF_PROGRAMS.iter().all(is_liked_less)
}

#[cfg(test)]
mod choices {
    use http::header::ACCEPT;

    use super::*;
    use crate::wording::texts;

    #[test]
    fn every_language_says_the_same() {
        texts::agree(SOURCES);
    }

    #[test]
    fn every_text_is_used_and_every_used_text_is_there() {
        let code = [include_str!("view.rs"), include_str!("details.rs"), include_str!("book.rs")];
        let composed = question::View::ALL.map(|view| format!("view-{}", view.name()));
        texts::are_used(SOURCES, TEMPLATES, &code, &composed);
    }

    #[test]
    fn browsers_get_a_page_and_programs_what_they_always_got() {
        let wants =
            |accept: &'static str| prefers_html(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]));
        for browser in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/gif,*/*;q=0.8",
            "text/html",
            "text/html, text/calendar;q=0.9",
        ] {
            assert!(wants(browser), "{browser}");
        }
        for program in [
            "*/*",
            "",
            "text/*",
            "text/calendar",
            "text/calendar, */*;q=0.9",
            "text/calendar, text/html",
            "text/vcard, text/html;q=0.9",
            "text/html;q=0.5, application/calendar+json",
            "text/html;q=0",
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        ] {
            assert!(!wants(program), "{program}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }
}
