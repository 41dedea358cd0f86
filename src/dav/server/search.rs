//! Looking for people: principal-property-search and principal-search-property-set (RFC 3744 §9.4–§9.5), and
//! calendarserver-principal-search, with which Apple's clients complete what somebody types. Always within the actor's
//! domain; where principals are private, nobody finds anybody else.

use async_trait::async_trait;
use http::Response;
use http::header::CONTENT_TYPE;

use super::Server;
use super::call::Call;
use super::chunked::{self, Pages, Progress, Written};
use super::plan::{Plan, write_truncated};
use super::principals::Principal;
use super::properties::{Resource, Scene};
use super::tenant::{Tenant, principal_of};
use crate::dav::error::{DavError, XML_TYPE};
use crate::dav::path::{Location, PrincipalKind, Space};
use crate::dav::upstream::Body;
use crate::dav::xml::{CALDAV, CALENDARSERVER, CARDDAV, DAV, Element, MatchType, Name};
use crate::dav::xml::{PropRequest, SABRE, Wanted, Writer, read_limit};
use crate::ids::UserId;
use crate::store::User;

/// Users that are read at once.
const PAGE: usize = 500;
/// Matches that are answered where the client names no number.
const MOST: usize = 500;

/// A property of people that can be searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    DisplayName,
    FirstName,
    LastName,
    /// An address as such.
    Email,
    /// An address as calendars write it.
    CalendarAddress,
    Home(Space),
}

impl Field {
    fn read(name: &Name) -> Option<Self> {
        Some(match (name.ns.as_ref(), name.local.as_ref()) {
            (DAV, "displayname") => Self::DisplayName,
            (CALENDARSERVER, "first-name") => Self::FirstName,
            (CALENDARSERVER, "last-name") => Self::LastName,
            (SABRE, "email-address") | (CALENDARSERVER, "email-address-set") => Self::Email,
            (CALDAV, "calendar-user-address-set") => Self::CalendarAddress,
            (CALDAV, "calendar-home-set") => Self::Home(Space::Calendars),
            (CARDDAV, "addressbook-home-set") => Self::Home(Space::AddressBooks),
            _ => return None,
        })
    }

    fn any(self, user: &User, base: &str, passes: impl Fn(&str) -> bool) -> bool {
        let passes = |value: &str| passes(&value.to_lowercase());
        match self {
            Self::DisplayName => passes(&user.display_name()),
            Self::FirstName => passes(&user.firstname),
            Self::LastName => passes(&user.lastname),
            Self::Email => user.emails.iter().any(|email| passes(email.as_str())),
            Self::CalendarAddress => {
                user.emails.iter().any(|email| passes(&email.to_calendar_address()))
                    || passes(&format!("{base}{}", principal_of(user.id)))
            }
            Self::Home(space) => passes(&format!("{base}{}", Location::Home(space, user.id.into()).href())),
        }
    }
}

/// What somebody must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Criterion {
    /// The property matches the text, which is in lower case.
    Matches(Field, MatchType, String),
    /// A word of the name, or an address, begins like this.
    Begins(String),
    /// Nobody has such a property.
    Never,
}

impl Criterion {
    fn matches(&self, user: &User, base: &str) -> bool {
        match self {
            Self::Matches(field, kind, text) => field.any(user, base, |value| match kind {
                MatchType::Equals => value == text,
                MatchType::Contains => value.contains(text.as_str()),
                MatchType::StartsWith => value.starts_with(text.as_str()),
                MatchType::EndsWith => value.ends_with(text.as_str()),
            }),
            Self::Begins(token) => {
                let begins = |value: &str| value.to_lowercase().starts_with(token.as_str());
                user.display_name().split_whitespace().any(begins) || user.emails.iter().any(|e| begins(e.as_str()))
            }
            Self::Never => false,
        }
    }

    /// Reads a `property-search`: one condition for each of its properties.
    fn read(search: &Element) -> Result<Vec<Self>, DavError> {
        let wanted = search.child(DAV, "match");
        let text = wanted.map(|m| m.text().trim().to_lowercase()).unwrap_or_default();
        let kind = match wanted.and_then(|m| m.attribute("match-type")) {
            None | Some("contains") => None,
            Some("equals") => Some(MatchType::Equals),
            Some("starts-with") => Some(MatchType::StartsWith),
            Some("ends-with") => Some(MatchType::EndsWith),
            Some(other) => return Err(DavError::bad_request(format!("Unknown match-type {other:?}"))),
        };
        let criterion = |element: &Element| match Field::read(&element.name) {
            // An address is found by who knows it, not by who tries letters (dav §4).
            Some(field) if element.name.ns == SABRE => Self::Matches(field, MatchType::Equals, text.clone()),
            Some(field) => Self::Matches(field, kind.unwrap_or(MatchType::Contains), text.clone()),
            None => Self::Never,
        };
        Ok(search.children(DAV, "prop").flat_map(Element::elements).map(criterion).collect())
    }
}

struct Search {
    server: Server,
    who: Tenant,
    plan: Plan,
    /// Where the question was asked; it is named when there is more than was wanted.
    asked_at: String,
    criteria: Vec<Criterion>,
    any: bool,
    left: usize,
    after: Option<UserId>,
}

impl Search {
    fn matches(&self, user: &User) -> bool {
        let base = &self.server.0.settings.base;
        let mut results = self.criteria.iter().map(|c| c.matches(user, base));
        // Whoever names no condition wants everybody.
        if self.any && !self.criteria.is_empty() { results.any(|held| held) } else { results.all(|held| held) }
    }

    async fn write(&mut self, user: User, out: &mut Writer) -> Result<(), DavError> {
        self.left -= 1;
        let is_owner = self.who.home() == Some(user.id.into());
        let mut principal = Principal::user(user);
        self.server.complete(&self.who, &mut principal, |name| self.plan.asks_for(name)).await?;
        let scene = Scene { server: &self.server.0, who: &self.who, is_owner, data: None };
        self.plan.write(&scene, &Resource::Principal(&principal), &principal.href(), out);
        Ok(())
    }
}

#[async_trait]
impl Pages for Search {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        let page = if let (true, Tenant::User(user)) = (self.server.0.settings.principal_privacy, &self.who) {
            vec![(**user).clone()]
        } else {
            self.server.0.directory.users(Some(self.who.domain()), self.after, PAGE).await?
        };
        let is_last = page.len() < PAGE;
        self.after = page.last().map(|u| u.id);
        for user in page {
            if !self.matches(&user) {
                continue;
            }
            if self.left == 0 {
                write_truncated(&self.asked_at, out);
                return Ok(Progress::Done);
            }
            self.write(user, out).await?;
        }
        Ok(if is_last { Progress::Done } else { Progress::More })
    }
}

impl Call {
    /// Answers with the people that match (RFC 3744 §9.4).
    pub(super) async fn principal_search(self, root: &Element) -> Result<Response<Body>, DavError> {
        self.require_principals_below("{DAV:}principal-property-search")?;
        let mut criteria = Vec::new();
        for search in root.children(DAV, "property-search") {
            criteria.extend(Criterion::read(search)?);
        }
        let any = match root.attribute("test") {
            None | Some("allof") => false,
            Some("anyof") => true,
            Some(other) => return Err(DavError::bad_request(format!("Unknown test {other:?}"))),
        };
        let most = read_limit(root)?;
        if self.location == Location::PrincipalSet(PrincipalKind::Domain) {
            return self.domain_search(root, &criteria).await;
        }
        let everywhere = root.child(DAV, "apply-to-principal-collection-set").is_some();
        self.search(root, criteria, any, most, everywhere).await
    }

    /// Answers with the people who match every word that was typed, the first letters of each being enough.
    pub(super) async fn principal_search_by_words(self, root: &Element) -> Result<Response<Body>, DavError> {
        self.require_principals_below("{http://calendarserver.org/ns/}calendarserver-principal-search")?;
        let tokens = root.children(CALENDARSERVER, "search-token").map(|t| t.text().trim().to_lowercase());
        let mut criteria: Vec<_> = tokens.filter(|t| !t.is_empty()).map(Criterion::Begins).collect();
        if criteria.is_empty() {
            return Err(DavError::bad_request("A calendarserver-principal-search needs a search-token"));
        }
        // There are no groups, rooms and things yet that could be found.
        if matches!(root.attribute("context"), Some("group" | "location" | "resource")) {
            criteria.push(Criterion::Never);
        }
        let limit = root.child(CALENDARSERVER, "limit").and_then(|l| l.child(CALENDARSERVER, "nresults"));
        let most = limit.map(|n| n.text().trim().parse::<usize>());
        let most = most.transpose().map_err(|_| DavError::bad_request("nresults is not a number"))?;
        let everywhere = !matches!(self.location, Location::PrincipalSet(_));
        self.search(root, criteria, false, most, everywhere).await
    }

    async fn search(
        self,
        root: &Element,
        criteria: Vec<Criterion>,
        any: bool,
        most: Option<usize>,
        everywhere: bool,
    ) -> Result<Response<Body>, DavError> {
        let plan = Plan::for_request(&wanted(root)?, self.prefers("return=minimal"));
        let minimal = plan.is_minimal();
        self.target().await?;
        let holds_users = matches!(
            self.location,
            Location::Root | Location::Principals | Location::PrincipalSet(PrincipalKind::User)
        );
        if !holds_users && !everywhere {
            return chunked::multistatus(Written(String::new()), minimal).await;
        }
        let left = most.unwrap_or(MOST).min(MOST);
        let asked_at = self.href(&self.location);
        let search = Search { server: self.server, who: self.who, plan, asked_at, criteria, any, left, after: None };
        chunked::multistatus(search, minimal).await
    }

    /// Answers with the actor's own domain, if it has that name: no other is ever shown.
    async fn domain_search(self, root: &Element, criteria: &[Criterion]) -> Result<Response<Body>, DavError> {
        let plan = Plan::for_request(&wanted(root)?, self.prefers("return=minimal"));
        let mut w = Writer::default();
        let mut principal = self.server.principal(&self.who, PrincipalKind::Domain, self.who.domain().0).await?;
        let matches = match &principal {
            Principal::Domain(group) => criteria.iter().all(|criterion| match criterion {
                Criterion::Matches(Field::DisplayName, _, text) => group.domain.name.as_str().contains(text.as_str()),
                _ => false,
            }),
            _ => false,
        };
        if matches {
            self.server.complete(&self.who, &mut principal, |name| plan.asks_for(name)).await?;
            let scene = Scene { server: self.inner(), who: &self.who, is_owner: false, data: None };
            plan.write(&scene, &Resource::Principal(&principal), &principal.href(), &mut w);
        }
        chunked::multistatus(Written(w.take()), plan.is_minimal()).await
    }
}

/// The properties that the client wants to know of each match. The Python caldav library writes them beside the `prop`
/// that they belong into, and leaves that empty.
fn wanted(root: &Element) -> Result<PropRequest, DavError> {
    let mut request = PropRequest::read_report(root)?;
    let of_search = |name: &Name| {
        name.ns == DAV
            && ["property-search", "prop", "limit", "apply-to-principal-collection-set"].contains(&name.local.as_ref())
    };
    if request.wanted == Wanted::These(Vec::new()) {
        let beside = root.elements().map(|e| &e.name).filter(|name| name.ns != CALENDARSERVER && !of_search(name));
        request.wanted = Wanted::These(beside.cloned().collect());
    }
    Ok(request)
}

/// The properties people can be searched by (RFC 3744 §9.5).
pub(super) fn search_properties() -> Response<Body> {
    let mut w = Writer::starting(
        "<?xml version=\"1.0\"?>\n<d:principal-search-property-set xmlns:d=\"DAV:\" \
         xmlns:s=\"http://sabredav.org/ns\" xmlns:cal=\"urn:ietf:params:xml:ns:caldav\" \
         xmlns:cs=\"http://calendarserver.org/ns/\" xmlns:card=\"urn:ietf:params:xml:ns:carddav\">",
    );
    for (tag, description) in [
        ("d:displayname", "Display name"),
        ("s:email-address", "Email address"),
        ("cs:email-address-set", "Email addresses"),
        ("cs:first-name", "First name"),
        ("cs:last-name", "Last name"),
        ("cal:calendar-user-address-set", "Calendar address"),
        ("cal:calendar-home-set", "Calendar home"),
        ("card:addressbook-home-set", "Address book home"),
    ] {
        w.open("d:principal-search-property");
        w.within("d:prop", |w| w.empty(tag));
        w.raw("<d:description xml:lang=\"en\">");
        w.text(description);
        w.raw("</d:description>");
        w.close("d:principal-search-property");
    }
    w.close("d:principal-search-property-set");
    let mut response = Response::new(Body::from(w.take()));
    response.headers_mut().insert(CONTENT_TYPE, XML_TYPE);
    response
}
