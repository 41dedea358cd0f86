//! An account on a CalDAV and CardDAV server: found, listed, read and written as any client does it (RFC 4791, 6352, 6764).

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{Method, Response, StatusCode};

use super::answers::{decoded, found, is_of_others, kind_of, path_of, property, refusal, said, uid_is_taken_by};
use super::asking::{Asked, Server};
use super::creation::{creation, plainer};
use super::reading::{self, Member, Page};
use super::{Collection, Item, Kind, TransferError, split};
use crate::dav::path::push_segment;
use crate::dav::xml::{CALDAV, CARDDAV, DAV, Element};
use crate::dav::{Actor, Upstream};
use crate::ids::Email;

/// Keeps a write from sending invitations, also on servers derived from sabre (RFC 6638 §8.1).
const SCHEDULE_REPLY: HeaderName = HeaderName::from_static("schedule-reply");
/// Where RFC 6764 has an account begin.
const WELL_KNOWN: [&str; 2] = ["/.well-known/caldav", "/.well-known/carddav"];
/// Where accounts begin on servers that nobody told their proxy of RFC 6764: Nextcloud, Baïkal, SOGo, DAViCal, Cyrus.
const CUSTOMARY: [&str; 5] = ["remote.php/dav/", "dav.php/", "SOGo/dav/", "caldav.php/", "dav/"];

const DISCOVERY: &str = concat!(
    r#"<d:propfind xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:a="urn:ietf:params:xml:ns:carddav"><d:prop>"#,
    "<d:resourcetype/><d:current-user-principal/><c:calendar-home-set/><a:addressbook-home-set/></d:prop></d:propfind>"
);
const LISTING: &str = concat!(
    r#"<d:propfind xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:a="urn:ietf:params:xml:ns:carddav" "#,
    r#"xmlns:i="http://apple.com/ns/ical/"><d:prop><d:resourcetype/><d:owner/><d:displayname/><i:calendar-color/><i:calendar-order/>"#,
    "<c:calendar-description/><a:addressbook-description/><c:calendar-timezone/>",
    "<c:supported-calendar-component-set/></d:prop></d:propfind>"
);

/// A collection and where it is.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its path on the server, percent-encoded, with a slash at the end.
    pub(super) href: String,
    /// What it is.
    pub collection: Collection,
}

/// What became of an object that was to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    /// It is there now.
    Created,
    /// It took the place of another.
    Replaced,
    /// One of that name or UID was there before, and stays.
    Present,
    /// The server does not take it.
    Refused(String),
}

/// An account on a server.
#[derive(Clone)]
pub struct Account {
    server: Server,
    places: Places,
}

#[derive(Debug, Clone, Default)]
struct Places {
    /// The principal, where the server tells.
    principal: Option<String>,
    homes: Vec<(Kind, String)>,
    /// The URL was that of one collection.
    only: Option<String>,
}

impl Places {
    fn are_none(&self) -> bool {
        self.homes.is_empty() && self.only.is_none()
    }

    fn are_all(&self) -> bool {
        let has = |kind| self.homes.iter().any(|(k, _)| *k == kind);
        self.only.is_some() || has(Kind::Calendar) && has(Kind::AddressBook)
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("places", &self.places).finish_non_exhaustive()
    }
}

impl Account {
    /// The account of a person on the server behind us.
    ///
    /// # Errors
    /// [`TransferError`] when it cannot be asked or does not know the person.
    pub async fn of(upstream: Upstream, user: &Email) -> Result<Self, TransferError> {
        Self::found(upstream, Some(Actor::User(user.clone())), "/").await
    }

    /// The account that an upstream is signed in to ([`super::sign_in`]), from any path of it: of a server, a principal, a home,
    /// or of one calendar or address book, which is then all there is.
    ///
    /// # Errors
    /// [`TransferError`] when it cannot be asked, refuses the password, or tells of no calendars there.
    pub async fn at(upstream: Upstream, path: &str) -> Result<Self, TransferError> {
        Self::found(upstream, None, path).await
    }

    async fn found(upstream: Upstream, actor: Option<Actor>, path: &str) -> Result<Self, TransferError> {
        let mut account = Self { server: Server::new(upstream, actor), places: Places::default() };
        let mut refused = None;
        for place in [path].into_iter().chain(WELL_KNOWN) {
            account.look_for(place, &mut refused).await?;
            if account.places.are_all() {
                return Ok(account);
            }
        }
        let bases = [path, "/"].map(|base| format!("{}/", base.trim_end_matches('/')));
        for base in &bases[..if bases[0] == bases[1] { 1 } else { 2 }] {
            for below in CUSTOMARY {
                if account.places.are_none() {
                    account.look_for(&format!("{base}{below}"), &mut refused).await?;
                }
            }
        }
        if account.places.are_none() {
            return Err(refused.unwrap_or_else(|| TransferError::Answer {
                path: path.to_owned(),
                reason: "the server tells of no calendars and no address books here".to_owned(),
            }));
        }
        Ok(account)
    }

    /// As [`Self::look_at`]; the first refusal is kept, for there may be other places to look at.
    async fn look_for(&mut self, place: &str, refused: &mut Option<TransferError>) -> Result<(), TransferError> {
        match self.look_at(place).await {
            Ok(()) => Ok(()),
            // Nobody else will let us in either, and who tries again and again may be shut out.
            Err(
                error @ (TransferError::Status { status: StatusCode::UNAUTHORIZED, .. } | TransferError::Upstream(_)),
            ) => Err(error),
            Err(error) => {
                refused.get_or_insert(error);
                Ok(())
            }
        }
    }

    /// Notes what a resource tells: that it is a collection, where the homes are, or who knows.
    async fn look_at(&mut self, place: &str) -> Result<(), TransferError> {
        let mut place = place.to_owned();
        // The resource, then the principal that it names.
        for _ in 0..2 {
            let responses = self.server.multistatus("PROPFIND", &place, "0", DISCOVERY.to_owned()).await?;
            let Some(response) = responses.first() else { return Ok(()) };
            if kind_of(response).is_some() {
                self.places.only = Some(place);
                return Ok(());
            }
            for (kind, ns, local) in
                [(Kind::Calendar, CALDAV, "calendar-home-set"), (Kind::AddressBook, CARDDAV, "addressbook-home-set")]
            {
                let hrefs = property(response, ns, local).into_iter().flat_map(|set| set.children(DAV, "href"));
                for href in hrefs.map(|href| path_of(&href.text())) {
                    if !self.places.homes.contains(&(kind, href.clone())) {
                        self.places.homes.push((kind, href));
                    }
                }
            }
            let principal = property(response, DAV, "current-user-principal").and_then(|p| p.child(DAV, "href"));
            let principal = principal.map(|href| path_of(&href.text()));
            self.places.principal = principal.clone().or(self.places.principal.take());
            match principal {
                Some(principal) if self.places.homes.is_empty() && principal != place => place = principal,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// The calendars and address books of the account, without those of others that are shown among them.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn collections(&self) -> Result<Vec<Found>, TransferError> {
        if let Some(only) = &self.places.only {
            let responses = self.server.multistatus("PROPFIND", only, "0", LISTING.to_owned()).await?;
            return Ok(responses.iter().filter_map(found).collect());
        }
        let mut all: Vec<Found> = Vec::new();
        for (kind, home) in &self.places.homes {
            let responses = self.server.multistatus("PROPFIND", home, "1", LISTING.to_owned()).await?;
            let own = responses.iter().filter(|response| self.is_own(response) && !is_of_others(response));
            let own = own.filter_map(found);
            for found in own.filter(|found| found.collection.kind == *kind) {
                // Some servers have one home for both.
                if !all.iter().any(|other| other.href == found.href) {
                    all.push(found);
                }
            }
        }
        Ok(all)
    }

    /// Whether a collection is the person's own, as far as the server tells.
    fn is_own(&self, response: &Element) -> bool {
        let (Some(principal), Some(owner)) = (&self.places.principal, property(response, DAV, "owner")) else {
            return true;
        };
        // Xandikos says of its own that nobody owns them.
        let owner = owner.child(DAV, "href").map(|href| path_of(&href.text()));
        owner.is_none_or(|owner| decoded(owner.trim_end_matches('/')) == decoded(principal.trim_end_matches('/')))
    }

    /// Whether it is the calendar that everybody has, which this server and esn-sabre name like its owner: here it has the name
    /// of somebody else.
    pub(super) fn is_main(&self, found: &Found) -> bool {
        let mut homes =
            self.places.homes.iter().filter(|(kind, _)| *kind == Kind::Calendar && *kind == found.collection.kind);
        homes.any(|(_, home)| {
            let home = home.trim_end_matches('/');
            home.rsplit_once('/').is_some_and(|(_, owner)| decoded(&found.href) == decoded(&format!("{home}/{owner}/")))
        })
    }

    /// The objects in a collection.
    pub(super) async fn members(&self, found: &Found) -> Result<Vec<Member>, TransferError> {
        reading::members(&self.server, found).await
    }

    /// Objects of a listing. What is gone meanwhile is left out.
    pub(super) async fn page(&self, found: &Found, members: &[Member]) -> Result<Page, TransferError> {
        reading::page(&self.server, found, members).await
    }

    /// The collection of that kind and name, made where there is none. The second value says what became of its looks, where the
    /// server does not take them.
    pub(super) async fn find_or_make(&self, wanted: &Collection) -> Result<(Found, Option<String>), TransferError> {
        let there = self.collections().await?;
        let same = |found: &&Found| found.collection.kind == wanted.kind && found.collection.uri == wanted.uri;
        if let Some(found) = there.iter().find(same) {
            return Ok((found.clone(), None));
        }
        let home = self.places.homes.iter().find(|(kind, _)| *kind == wanted.kind).map(|(_, home)| home);
        let Some(home) = home else {
            let reason = format!("there is no place for {} here", wanted.kind.folder());
            return Err(TransferError::Answer { path: self.places.only.clone().unwrap_or_default(), reason });
        };
        let mut href = format!("{}/", home.trim_end_matches('/'));
        push_segment(&mut href, &wanted.uri);
        href.push('/');
        let error = match self.make(&href, wanted).await {
            Ok(found) => return Ok((found, None)),
            Err(error) => error,
        };
        let plainer = plainer(wanted).filter(|_| is_refused(&error));
        let Some(plainer) = plainer else { return Err(error) };
        let found = self.make(&href, &plainer).await?;
        let lost = format!("{}: made without its description, colour, order and time zone: {error}", wanted.uri);
        Ok((found, Some(lost)))
    }

    async fn make(&self, href: &str, wanted: &Collection) -> Result<Found, TransferError> {
        let (method, body) = creation(wanted);
        let answer = self.server.ask(&Asked::xml(method.clone(), href, body)).await?;
        match answer.status() {
            StatusCode::CREATED => Ok(Found { href: href.to_owned(), collection: wanted.clone() }),
            _ => Err(refusal(method.as_str(), href, &answer)),
        }
    }

    /// Stores an object, without scheduling anything. Where its name is that of another, it gets one of its own.
    pub(super) async fn put(&self, found: &Found, item: &Item, replace: bool) -> Result<Stored, TransferError> {
        for name in [item.name.clone(), split::name_by_content(found.collection.kind, &item.data)] {
            let mut href = found.href.clone();
            push_segment(&mut href, &name);
            let answer = self.put_at(found, &href, item, true).await?;
            match (answer.status(), uid_is_taken_by(&answer)) {
                (StatusCode::CREATED, _) => return Ok(Stored::Created),
                (StatusCode::NO_CONTENT | StatusCode::OK, _) => return Ok(Stored::Replaced),
                (StatusCode::PRECONDITION_FAILED, _) => match self.is_the_same(found, &href, item).await? {
                    true if replace => return self.replace(found, &href, item).await,
                    true => return Ok(Stored::Present),
                    false => {}
                },
                (status, Some(taken)) => match self.is_the_same(found, &path_of(&taken), item).await? {
                    true if replace => return self.replace(found, &path_of(&taken), item).await,
                    true => return Ok(Stored::Present),
                    false => {
                        return Ok(Stored::Refused(format!("{status}: {taken} has its UID and is something else")));
                    }
                },
                (status, None) if status.is_client_error() => return Ok(Stored::Refused(said(&answer))),
                _ => return Err(refusal("PUT", &href, &answer)),
            }
        }
        Ok(Stored::Refused("the names that it could have are those of others".to_owned()))
    }

    /// Whether what is at a path is a version of the object; also where nothing is there any more.
    async fn is_the_same(&self, found: &Found, href: &str, item: &Item) -> Result<bool, TransferError> {
        let identity = |text: &str| split::identity(found.collection.kind, text);
        let there = reading::get(&self.server, href, None).await?;
        Ok(there.is_none_or(|there| identity(&String::from_utf8_lossy(&there)) == identity(&item.data)))
    }

    async fn replace(&self, found: &Found, href: &str, item: &Item) -> Result<Stored, TransferError> {
        let answer = self.put_at(found, href, item, false).await?;
        Ok(if answer.status().is_success() { Stored::Replaced } else { Stored::Refused(said(&answer)) })
    }

    async fn put_at(
        &self,
        found: &Found,
        href: &str,
        item: &Item,
        new: bool,
    ) -> Result<Response<Bytes>, TransferError> {
        let content_type = match found.collection.kind {
            Kind::Calendar => "text/calendar; charset=utf-8",
            Kind::AddressBook => "text/vcard; charset=utf-8",
        };
        let mut asked = Asked { body: Bytes::from(item.data.clone()), ..Asked::new(Method::PUT, href) }
            .with(CONTENT_TYPE, HeaderValue::from_static(content_type))
            .with(SCHEDULE_REPLY, HeaderValue::from_static("F"));
        if new {
            asked = asked.with(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        self.server.ask(&asked).await
    }
}

/// Whether a server does not want what it was asked for, rather than not being able to.
pub(super) fn is_refused(error: &TransferError) -> bool {
    matches!(error, TransferError::Status { status, .. } if status.is_client_error() && *status != StatusCode::UNAUTHORIZED)
}
