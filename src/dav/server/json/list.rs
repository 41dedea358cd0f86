//! GET of calendars: all of a domain, those of a home, one with or without all that is in it (dav §8.1).

use async_trait::async_trait;
use http::{Response, StatusCode};

use super::text::{JSON_TYPE, Links, append, nothing, to_text};
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space, push_segment};
use crate::dav::server::Server;
use crate::dav::server::access::location_of;
use crate::dav::server::call::Call;
use crate::dav::server::chunked::{self, Pages, Progress};
use crate::dav::server::rights::{Need, Sight};
use crate::dav::server::tenant::Tenant;
use crate::dav::upstream::Body;
use crate::dav::xml::Writer;
use crate::ids::{HomeId, UserId};
use crate::store::{CollectionKind, InviteStatus, ObjectFilter, Tie};

/// People and objects that are read at once.
const PAGE: usize = 100;
/// Calendars of which it is read at once who has them.
const AT_ONCE: usize = 16;

/// What a list of calendars shall hold.
struct Wanted {
    personal: bool,
    subscriptions: bool,
    /// What was given to the owner of the home, and with which status.
    delegated: Option<Option<InviteStatus>>,
    /// Only what its owner made public, whoever asks.
    shared_public: bool,
    with_rights: bool,
    /// What the actor must be able to do with a calendar.
    need: Need,
}

impl Wanted {
    fn read(call: &Call) -> Self {
        let says_what =
            ["personal", "sharedPublicSubscription", "sharedDelegationStatus"].iter().any(|p| call.has_parameter(p));
        let status = call.parameter("sharedDelegationStatus").map(|status| match status {
            "accepted" => Some(InviteStatus::Accepted),
            "noresponse" => Some(InviteStatus::NoResponse),
            _ => None,
        });
        let shared_public = call.is_true("sharedPublic");
        Self {
            personal: !says_what || call.is_true("personal"),
            subscriptions: !says_what || call.is_true("sharedPublicSubscription"),
            delegated: status,
            shared_public,
            with_rights: call.is_true("withRights"),
            need: if shared_public || call.is_true("withFreeBusy") { Need::FreeBusy } else { Need::Read },
        }
    }

    fn holds(&self, sight: &Sight) -> bool {
        if sight.kind != CollectionKind::Calendar {
            return false;
        }
        let tie = sight.instance().map(|instance| &instance.tie);
        if self.shared_public {
            return tie.is_none() && sight.public_right.is_some();
        }
        match tie {
            None => self.personal,
            Some(Tie::Subscription { .. }) => self.subscriptions,
            Some(Tie::Delegation(given)) => {
                self.delegated.is_some_and(|status| status.is_none_or(|status| status == given.status))
            }
        }
    }
}

impl Call {
    /// Whether a parameter is literally `true`.
    pub(super) fn is_true(&self, parameter: &str) -> bool {
        self.parameter(parameter) == Some("true")
    }

    /// Answers with the calendars of a home that the actor may see. A list of none is an empty body.
    pub(super) async fn calendar_list(&self) -> Result<Response<Body>, DavError> {
        let Location::Home(Space::Calendars, home) = self.location else { return Err(DavError::no_node(&self.path)) };
        let wanted = Wanted::read(self);
        let mut sights = self.server.sights(&self.who, Space::Calendars, home, wanted.need).await?;
        sights.retain(|sight| wanted.holds(sight));
        if sights.is_empty() {
            return Ok(nothing());
        }
        let mut out = Writer::starting(&beginning(&self.json_home(home), "dav:calendar"));
        // Who has each of them is read side by side.
        for (index, some) in sights.chunks(AT_ONCE).enumerate() {
            let entries = some.iter().map(|sight| self.calendar_entry(sight, wanted.with_rights));
            let entries = futures_util::future::try_join_all(entries).await?;
            if index > 0 {
                out.raw(",");
            }
            out.raw(&entries.join(","));
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
        let out = Writer::starting(&self.calendar_entry(&calendar, self.is_true("withRights")).await?);
        Ok(written(StatusCode::OK, out))
    }

    /// The collection at the location of the request, which the actor may read.
    pub(super) async fn readable_collection(&self) -> Result<Sight, DavError> {
        self.server.see(&self.who, &self.location, Need::Read).await
    }

    /// Every object as it is stored.
    async fn all_events(&self, calendar: Sight) -> Result<Response<Body>, DavError> {
        let place = self.told_at(&calendar);
        let head = beginning(&self.json_href(place), "dav:item");
        let base = format!("{}{}", self.inner().settings.base, location_of(place).href());
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
    calendar: Sight,
    base: String,
    after: Option<String>,
    has_written: bool,
}

#[async_trait]
impl Pages for Everything {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        let store = &self.server.0.store;
        let page = store.query(self.calendar.id, &ObjectFilter::default(), self.after.as_deref(), PAGE).await?;
        let is_last = !page.more;
        for object in page.objects {
            self.after = Some(object.meta.name.clone());
            let Some(object) = self.calendar.show(object) else { continue };
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
            if out.len() > chunked::FULL {
                return Ok(Progress::More);
            }
        }
        Ok(if is_last { Progress::Done } else { Progress::More })
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
