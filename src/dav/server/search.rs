//! Looking for people, rooms, things and teams: principal-property-search and principal-search-property-set (RFC 3744 §9.4–§9.5), and
//! calendarserver-principal-search, with which Apple's clients complete what somebody types. Always within the actor's
//! domain; where principals are private, nobody finds anybody else.

use async_trait::async_trait;
use http::Response;
use http::header::CONTENT_TYPE;

use super::Server;
use super::call::Call;
use super::chunked::{self, Pages, Progress, Written};
use super::plan::{Plan, write_truncated};
use super::principal_props::emails;
use super::principals::Principal;
use super::properties::{Resource, Scene};
use super::tenant::Tenant;
use crate::dav::error::{DavError, XML_TYPE};
use crate::dav::path::{Location, PrincipalKind, Space};
use crate::dav::upstream::Body;
use crate::dav::xml::{CALDAV, CALENDARSERVER, CARDDAV, DAV, Element, MatchType, Name};
use crate::dav::xml::{PropRequest, SABRE, Wanted, Writer, read_limit};
use crate::ids::{HomeId, UserId};
use crate::store::{HolderKind, User};

/// Users that are read at once.
const PAGE: usize = 500;
/// Matches that are answered where the client names no number.
const MOST: usize = 500;

/// Collections of principals that are looked through when all are meant, last first.
const SEARCHED: [PrincipalKind; 3] = [PrincipalKind::TeamCalendar, PrincipalKind::Resource, PrincipalKind::User];

/// A property of principals that can be searched by.
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

    fn any(self, principal: &Principal, base: &str, passes: impl Fn(&str) -> bool) -> bool {
        let passes = |value: &str| passes(&value.to_lowercase());
        let user = match principal {
            Principal::User(person) => Some(&person.user),
            _ => None,
        };
        match self {
            Self::DisplayName => names(principal).iter().any(|name| passes(name)),
            Self::FirstName => user.is_some_and(|user| passes(&user.firstname)),
            Self::LastName => user.is_some_and(|user| passes(&user.lastname)),
            Self::Email => emails(principal).iter().any(|email| passes(email.as_str())),
            Self::CalendarAddress => {
                emails(principal).iter().any(|email| passes(&email.to_calendar_address()))
                    || passes(&format!("{base}{}", principal.href()))
            }
            Self::Home(space) => {
                home_of(principal).is_some_and(|home| passes(&format!("{base}{}", Location::Home(space, home).href())))
            }
        }
    }
}

/// What a principal is called. Teams go by two names.
fn names(principal: &Principal) -> Vec<String> {
    match principal {
        Principal::User(person) => vec![person.user.display_name()],
        Principal::Holder(holder, _) => {
            let short = holder.team().map(|team| team.name.clone());
            std::iter::once(holder.display_name()).chain(short).collect()
        }
        Principal::Domain(_) | Principal::Proxies(..) => Vec::new(),
    }
}

fn home_of(principal: &Principal) -> Option<HomeId> {
    match principal {
        Principal::User(person) => Some(person.user.id.into()),
        Principal::Holder(holder, _) => Some(holder.home),
        Principal::Domain(_) | Principal::Proxies(..) => None,
    }
}

/// Which kinds of principals a search is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    /// Whoever can be invited.
    Anybody,
    People,
    Groups,
    Rooms,
    /// Resources that are no rooms.
    Things,
}

impl Context {
    fn read(text: Option<&str>) -> Self {
        match text {
            Some("user") => Self::People,
            Some("group") => Self::Groups,
            Some("location") => Self::Rooms,
            Some("resource") => Self::Things,
            _ => Self::Anybody,
        }
    }

    fn wants(self, principal: &Principal) -> bool {
        let Principal::Holder(holder, _) = principal else { return matches!(self, Self::Anybody | Self::People) };
        match (&holder.kind, self) {
            (_, Self::Anybody) => true,
            (HolderKind::User(_), context) => context == Self::People,
            (HolderKind::TeamCalendar(_), context) => context == Self::Groups,
            (HolderKind::Resource(resource), Self::Rooms) => resource.is_room,
            (HolderKind::Resource(resource), Self::Things) => !resource.is_room,
            (HolderKind::Resource(_), Self::People | Self::Groups) => false,
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
    fn matches(&self, principal: &Principal, base: &str) -> bool {
        match self {
            Self::Matches(field, kind, text) => field.any(principal, base, |value| match kind {
                MatchType::Equals => value == text,
                MatchType::Contains => value.contains(text.as_str()),
                MatchType::StartsWith => value.starts_with(text.as_str()),
                MatchType::EndsWith => value.ends_with(text.as_str()),
            }),
            Self::Begins(token) => {
                let begins = |value: &str| value.to_lowercase().starts_with(token.as_str());
                names(principal).iter().any(|name| name.split_whitespace().any(begins))
                    || emails(principal).iter().any(|e| begins(e.as_str()))
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
    context: Context,
    /// The collections of principals that are still to be looked through, last first.
    kinds: Vec<PrincipalKind>,
    /// The last one that was looked at in the one at hand.
    after: Option<HomeId>,
}

impl Search {
    fn matches(&self, principal: &Principal) -> bool {
        let base = &self.server.0.settings.base;
        if !self.context.wants(principal) {
            return false;
        }
        let mut results = self.criteria.iter().map(|c| c.matches(principal, base));
        // Whoever names no condition wants everybody.
        if self.any && !self.criteria.is_empty() { results.any(|held| held) } else { results.all(|held| held) }
    }

    async fn write(&mut self, mut principal: Principal, out: &mut Writer) -> Result<(), DavError> {
        self.left -= 1;
        let is_owner = self.who.home().is_some() && self.who.home() == home_of(&principal);
        self.server.complete(&self.who, &mut principal, |name| self.plan.asks_for(name)).await?;
        let scene = Scene { server: &self.server.0, who: &self.who, is_owner, data: None };
        self.plan.write(&scene, &Resource::Principal(&principal), &principal.href(), out);
        Ok(())
    }

    /// The next page of principals, and whether it is the last of its kind.
    async fn page(&mut self, kind: PrincipalKind) -> Result<(Vec<Principal>, bool), DavError> {
        if kind != PrincipalKind::User {
            let page = self.server.others(&self.who, kind, self.after, PAGE).await?;
            self.after = page.next;
            return Ok((page.holders.into_iter().map(Principal::of).collect(), page.next.is_none()));
        }
        let page: Vec<User> = match (self.server.0.settings.principal_privacy, &self.who) {
            (true, Tenant::User(user)) => vec![(**user).clone()],
            (true, Tenant::Holder(_)) => Vec::new(),
            _ => {
                let after = self.after.map(|home| UserId(home.0));
                self.server.0.directory.users(Some(self.who.domain()), after, PAGE).await?
            }
        };
        self.after = page.last().map(|user| user.id.into());
        let is_last = page.len() < PAGE;
        Ok((page.into_iter().map(Principal::user).collect(), is_last))
    }
}

#[async_trait]
impl Pages for Search {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        let Some(kind) = self.kinds.last().copied() else { return Ok(Progress::Done) };
        let (page, is_last) = self.page(kind).await?;
        if is_last {
            self.kinds.pop();
            self.after = None;
        }
        for principal in page {
            if !self.matches(&principal) {
                continue;
            }
            if self.left == 0 {
                write_truncated(&self.asked_at, out);
                return Ok(Progress::Done);
            }
            self.write(principal, out).await?;
        }
        Ok(if self.kinds.is_empty() { Progress::Done } else { Progress::More })
    }
}

impl Call {
    /// Answers with the principals that match (RFC 3744 §9.4).
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
        self.search(root, criteria, (any, Context::Anybody), most, everywhere).await
    }

    /// Answers with the principals who match every word that was typed, the first letters of each being enough.
    pub(super) async fn principal_search_by_words(self, root: &Element) -> Result<Response<Body>, DavError> {
        self.require_principals_below("{http://calendarserver.org/ns/}calendarserver-principal-search")?;
        let tokens = root.children(CALENDARSERVER, "search-token").map(|t| t.text().trim().to_lowercase());
        let criteria: Vec<_> = tokens.filter(|t| !t.is_empty()).map(Criterion::Begins).collect();
        if criteria.is_empty() {
            return Err(DavError::bad_request("A calendarserver-principal-search needs a search-token"));
        }
        let limit = root.child(CALENDARSERVER, "limit").and_then(|l| l.child(CALENDARSERVER, "nresults"));
        let most = limit.map(|n| n.text().trim().parse::<usize>());
        let most = most.transpose().map_err(|_| DavError::bad_request("nresults is not a number"))?;
        let everywhere = !matches!(self.location, Location::PrincipalSet(_));
        let context = Context::read(root.attribute("context"));
        self.search(root, criteria, (false, context), most, everywhere).await
    }

    async fn search(
        self,
        root: &Element,
        criteria: Vec<Criterion>,
        (any, context): (bool, Context),
        most: Option<usize>,
        everywhere: bool,
    ) -> Result<Response<Body>, DavError> {
        let plan = Plan::for_request(&wanted(root)?, self.prefers("return=minimal"));
        let minimal = plan.is_minimal();
        self.target().await?;
        let kinds = match self.location {
            Location::PrincipalSet(kind) if !everywhere => vec![kind],
            Location::Root | Location::Principals => SEARCHED.to_vec(),
            _ if everywhere => SEARCHED.to_vec(),
            _ => return chunked::multistatus(Written(String::new()), minimal).await,
        };
        let left = most.unwrap_or(MOST).min(MOST);
        let asked_at = self.href(&self.location);
        let (server, who) = (self.server, self.who);
        let search = Search { server, who, plan, asked_at, criteria, any, left, context, kinds, after: None };
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
