//! GET of calendars: all of a domain, those of a home, one with or without all that is in it (dav §8.1).

use async_trait::async_trait;
use http::{Response, StatusCode};

use super::text::{JSON_TYPE, Links, append, nothing, respond, to_text};
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space, push_segment};
use crate::dav::server::Server;
use crate::dav::server::access::{Relation, location_of};
use crate::dav::server::call::Call;
use crate::dav::server::chunked::{self, Pages, Progress};
use crate::dav::server::tenant::Tenant;
use crate::dav::upstream::Body;
use crate::dav::xml::Writer;
use crate::ids::{HomeId, UserId};
use crate::store::{Collection, CollectionKind, ObjectFilter};

/// People and objects that are read at once.
const PAGE: usize = 100;

/// What a list of calendars shall hold.
struct Wanted {
    personal: bool,
    shared_public: bool,
    with_rights: bool,
    /// Calendars of which one may know only when their owner is busy, too.
    with_free_busy: bool,
}

impl Call {
    /// Whether a parameter is literally `true`.
    pub(super) fn is_true(&self, parameter: &str) -> bool {
        self.parameter(parameter) == Some("true")
    }

    fn wanted(&self) -> Wanted {
        let says_what =
            ["personal", "sharedPublicSubscription", "sharedDelegationStatus"].iter().any(|p| self.has_parameter(p));
        Wanted {
            personal: !says_what || self.is_true("personal"),
            shared_public: self.is_true("sharedPublic"),
            with_rights: self.is_true("withRights"),
            with_free_busy: self.is_true("withFreeBusy"),
        }
    }

    /// Answers with the calendars of a home that the actor may see. A list of none is an empty body.
    pub(super) async fn calendar_list(&self) -> Result<Response<Body>, DavError> {
        let Location::Home(Space::Calendars, home) = self.location else { return Err(DavError::no_node(&self.path)) };
        let wanted = self.wanted();
        let relation = self.server.relation(&self.who, Space::Calendars, home).await?;
        let mut calendars = match wanted.personal && !wanted.shared_public {
            true => self.server.collections(Space::Calendars, home).await?,
            false => Vec::new(),
        };
        calendars.retain(|c| {
            c.kind == CollectionKind::Calendar && (relation == Relation::Owner || wanted.with_free_busy)
        });
        if calendars.is_empty() {
            return Ok(nothing());
        }
        let mut out = Writer::starting(&beginning(&self.json_home(home), "dav:calendar"));
        for (index, calendar) in calendars.iter().enumerate() {
            if index > 0 {
                out.raw(",");
            }
            append(&mut out, &self.calendar_entry(calendar, &self.json_href(calendar), wanted.with_rights));
        }
        out.raw("]}}");
        Ok(written(StatusCode::OK, out))
    }

    /// The address of a home as JSON tells it.
    pub(super) fn json_home(&self, home: HomeId) -> String {
        let space = match &self.location {
            Location::Home(space, _) | Location::Collection { space, .. } => *space,
            _ => Space::Calendars,
        };
        let href = self.href(&Location::Home(space, home));
        format!("{}.json", href.trim_end_matches('/'))
    }

    /// Answers with a calendar, or with everything in it.
    pub(super) async fn one_calendar(&self) -> Result<Response<Body>, DavError> {
        let calendar = self.readable_collection().await?;
        if self.is_true("allEvents") {
            return self.all_events(calendar).await;
        }
        let href = self.json_href(&calendar);
        Ok(respond(StatusCode::OK, &self.calendar_entry(&calendar, &href, self.is_true("withRights"))))
    }

    /// The calendar at the location of the request, which the actor may read.
    pub(super) async fn readable_collection(&self) -> Result<Collection, DavError> {
        let Location::Collection { space, home, uri } = &self.location else {
            return Err(DavError::no_node(&self.path));
        };
        self.server.require_owner(&self.who, &self.location, "d:read").await?;
        self.server.collection(*space, *home, uri).await
    }

    /// Every object as it is stored.
    async fn all_events(&self, calendar: Collection) -> Result<Response<Body>, DavError> {
        let head = beginning(&self.json_href(&calendar), "dav:item");
        let base = format!("{}{}", self.inner().settings.base, location_of(&calendar).href());
        let pages = Everything { server: self.server.clone(), calendar, base, after: None, has_written: false };
        chunked::body(&head, pages, "]}}", JSON_TYPE).await
    }

    /// Answers the program with the names of all calendars of its domain, by home (dav §8.1).
    pub(super) async fn all_calendars(&self) -> Result<Response<Body>, DavError> {
        let Tenant::Technical(domain) = self.who else { return Err(DavError::forbidden("Only technical users")) };
        let pages = Domain { server: self.server.clone(), domain, after: None, has_written: false };
        chunked::body("{", pages, "}", JSON_TYPE).await
    }
}

/// The beginning of an answer about several things, up to the first of them.
pub(super) fn beginning(href: &str, what: &str) -> String {
    format!("{{\"_links\":{},\"_embedded\":{{\"{what}\":[", to_text(&Links(href)))
}

/// An answer that was written already.
pub(super) fn written(status: StatusCode, mut out: Writer) -> Response<Body> {
    let mut response = Response::new(Body::from(out.take()));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, JSON_TYPE);
    response
}

struct Everything {
    server: Server,
    calendar: Collection,
    base: String,
    after: Option<String>,
    has_written: bool,
}

#[async_trait]
impl Pages for Everything {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        let store = &self.server.0.store;
        let page = store.query(self.calendar.id, &ObjectFilter::default(), self.after.as_deref(), PAGE).await?;
        for object in &page {
            if std::mem::replace(&mut self.has_written, true) {
                out.raw(",");
            }
            let mut href = self.base.clone();
            push_segment(&mut href, &object.meta.name);
            out.raw("{\"_links\":");
            append(out, &Links(&href));
            out.raw(",\"data\":");
            append(out, &object.data);
            out.raw("}");
            self.after = Some(object.meta.name.clone());
            if out.len() > chunked::FULL {
                return Ok(Progress::More);
            }
        }
        Ok(if page.len() < PAGE { Progress::Done } else { Progress::More })
    }
}

/// The calendars of a domain.
struct Domain {
    server: Server,
    domain: crate::ids::DomainId,
    after: Option<UserId>,
    has_written: bool,
}

#[async_trait]
impl Pages for Domain {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        let users = self.server.0.directory.users(Some(self.domain), self.after, PAGE).await?;
        for user in &users {
            let collections = self.server.0.store.collections(user.id.into()).await?;
            let calendars = collections.iter().filter(|c| c.kind == CollectionKind::Calendar);
            let names: Vec<&str> = calendars.map(|c| c.uri.as_str()).collect();
            if names.is_empty() {
                continue;
            }
            if std::mem::replace(&mut self.has_written, true) {
                out.raw(",");
            }
            append(out, &user.id.to_string());
            out.raw(":");
            append(out, &names);
        }
        self.after = users.last().map(|user| user.id);
        Ok(if users.len() < PAGE { Progress::Done } else { Progress::More })
    }
}
