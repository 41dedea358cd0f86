//! Reports about people (RFC 3744 §9, RFC 3253 §3.8), always within the actor's domain.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};

use super::Server;
use super::call::Call;
use super::chunked::{self, Pages, Progress, Written};
use super::plan::Plan;
use super::properties::{self, Resource, Scene};
use super::propfind::Target;
use super::report::unsupported;
use super::tenant::{Tenant, principal_of};
use crate::dav::error::{DavError, XML_TYPE};
use crate::dav::path::{Location, PrincipalKind};
use crate::dav::upstream::Body;
use crate::dav::xml::{CALDAV, DAV, Element, Name, PropRequest, SABRE, Writer, read_limit};
use crate::ids::{Email, UserId};
use crate::store::User;

/// Users that are read at once.
const PAGE: usize = 500;
/// Matches that are answered where the client names no number.
const MOST: usize = 500;
/// Addresses that one expand-property report follows; the others are answered as addresses.
const MOST_EXPANDED: usize = 100;

/// A property to search by.
enum Criterion {
    /// Part of the name.
    Name(String),
    /// An address, as a whole.
    Address(String),
}

impl Criterion {
    fn matches(&self, user: &User) -> bool {
        match self {
            Self::Name(part) => user.display_name().to_lowercase().contains(part),
            Self::Address(address) => {
                Email::from_calendar_address(address).is_ok_and(|address| user.emails.contains(&address))
            }
        }
    }
}

struct Search {
    server: Server,
    who: Tenant,
    plan: Plan,
    criteria: Vec<Criterion>,
    any: bool,
    left: usize,
    after: Option<UserId>,
}

impl Search {
    fn matches(&self, user: &User) -> bool {
        let mut results = self.criteria.iter().map(|c| c.matches(user));
        if self.any { results.any(|held| held) } else { results.all(|held| held) }
    }

    fn write(&mut self, user: &User, out: &mut Writer) {
        if self.left > 0 && self.matches(user) {
            self.left -= 1;
            let is_owner = self.who.home() == Some(user.id.into());
            let scene = Scene { server: &self.server.0, who: &self.who, is_owner, data: None };
            self.plan.write(&scene, &Resource::User(user), &principal_of(user.id), out);
        }
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
        for user in &page {
            self.write(user, out);
        }
        self.after = page.last().map(|u| u.id);
        Ok(if page.len() < PAGE || self.left == 0 { Progress::Done } else { Progress::More })
    }
}

impl Call {
    /// Answers with the people that match (RFC 3744 §9.4).
    pub(super) async fn principal_search(self, root: &Element) -> Result<Response<Body>, DavError> {
        if !matches!(self.location, Location::Root | Location::Principals | Location::PrincipalSet(_)) {
            return Err(unsupported("{DAV:}principal-property-search"));
        }
        let request = PropRequest::read_report(root)?;
        let plan = Plan::for_request(&request, self.prefers("return=minimal"));
        let minimal = plan.is_minimal();
        let mut criteria = Vec::new();
        for search in root.children(DAV, "property-search") {
            let text = search.child(DAV, "match").map(|m| m.text().trim().to_lowercase()).unwrap_or_default();
            let names = search.children(DAV, "prop").flat_map(Element::elements);
            criteria.extend(names.filter_map(|e| match (e.name.ns.as_ref(), e.name.local.as_ref()) {
                (DAV, "displayname") => Some(Criterion::Name(text.clone())),
                (SABRE, "email-address") | (CALDAV, "calendar-user-address-set") => {
                    Some(Criterion::Address(text.clone()))
                }
                _ => None,
            }));
        }
        let searches_users = matches!(
            self.location,
            Location::Root | Location::Principals | Location::PrincipalSet(PrincipalKind::User)
        );
        if criteria.is_empty() || !searches_users {
            return chunked::multistatus(Written(String::new()), minimal).await;
        }
        let any = root.attribute("test") == Some("anyof");
        let left = read_limit(root)?.unwrap_or(MOST);
        let search = Search { server: self.server, who: self.who, plan, criteria, any, left, after: None };
        chunked::multistatus(search, minimal).await
    }

    /// Answers with the actor's own principal (RFC 3744 §9.3 with `self`).
    pub(super) async fn principal_match(self, root: &Element) -> Result<Response<Body>, DavError> {
        let request = PropRequest::read_report(root)?;
        let plan = Plan::for_request(&request, self.prefers("return=minimal"));
        let mut w = Writer::default();
        let asks_for_self = root.child(DAV, "self").is_some();
        if let (true, Tenant::User(user)) = (asks_for_self, &self.who) {
            let scene = Scene { server: self.inner(), who: &self.who, is_owner: true, data: None };
            plan.write(&scene, &Resource::User(user), &principal_of(user.id), &mut w);
        }
        chunked::multistatus(Written(w.take()), plan.is_minimal()).await
    }

    /// Answers with properties, and where they hold addresses, with properties of what is there (RFC 3253 §3.8).
    pub(super) async fn expand_property(self, root: &Element) -> Result<Response<Body>, DavError> {
        let target = self.target().await?;
        let mut w = Writer::default();
        let mut budget = MOST_EXPANDED;
        self.write_expanded(root, target, &mut budget, &mut w).await?;
        chunked::multistatus(Written(w.take()), false).await
    }

    /// What is at an address in a property, as long as there is budget to follow addresses.
    async fn followed(&self, href: &str, budget: &mut usize) -> Result<Option<(Target, bool)>, DavError> {
        let Some(location) = Location::parse_href(href, &self.inner().settings.base) else { return Ok(None) };
        if *budget == 0 {
            return Ok(None);
        }
        *budget -= 1;
        match self.resolve(&location).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.status.is_server_error() => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn write_expanded<'a>(
        &'a self,
        wanted: &'a Element,
        (target, is_owner): (Target, bool),
        budget: &'a mut usize,
        w: &'a mut Writer,
    ) -> BoxFuture<'a, Result<(), DavError>> {
        Box::pin(async move {
            let mut missing = Vec::new();
            let href = target.as_resource().1;
            w.raw("<d:response>");
            w.href(&format!("{}{href}", self.inner().settings.base));
            w.raw("<d:propstat><d:prop>");
            for property in wanted.children(DAV, "property") {
                let ns = property.attribute("namespace").unwrap_or(DAV);
                let name = Name::read(ns, property.attribute("name").unwrap_or_default());
                let mut value = Writer::default();
                let written = {
                    let scene = Scene { server: self.inner(), who: &self.who, is_owner, data: None };
                    properties::find(&name).is_some_and(|row| row.write(&scene, &target.as_resource().0, &mut value))
                };
                let value = value.take();
                let hrefs = hrefs_in(&value);
                if !written {
                    missing.push(name);
                } else if property.child(DAV, "property").is_none() || hrefs.is_empty() {
                    w.raw(&value);
                } else {
                    w.open_name(&name);
                    for href in hrefs {
                        match self.followed(href, budget).await? {
                            Some(inner) => self.write_expanded(property, inner, budget, w).await?,
                            None => w.href(href),
                        }
                    }
                    w.close_name(&name);
                }
            }
            w.raw("</d:prop>");
            w.status(StatusCode::OK);
            w.raw("</d:propstat>");
            if !missing.is_empty() {
                w.raw("<d:propstat><d:prop>");
                missing.iter().for_each(|name| w.empty_name(name));
                w.raw("</d:prop>");
                w.status(StatusCode::NOT_FOUND);
                w.raw("</d:propstat>");
            }
            w.raw("</d:response>");
            Ok(())
        })
    }
}

/// The addresses in a value that we wrote ourselves.
fn hrefs_in(value: &str) -> Vec<&str> {
    value.split("<d:href>").skip(1).filter_map(|rest| rest.split("</d:href>").next()).collect()
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
        ("cal:calendar-user-address-set", "Calendar address"),
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
