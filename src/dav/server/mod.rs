//! The built-in CalDAV and CardDAV server, called in process.
//!
//! In come HTTP requests with an [`Actor`] among their extensions; out go the answers of dav §1–§7 and §11, and, in the same
//! transaction as each write, the messages of messaging §1. It trusts the actor and nothing in the headers; it never
//! authenticates, never sends anything, and never shows one tenant what belongs to another.
//!
//! A request is read into a `Call`, which knows who acts and where; one file per method answers it. What the actor may do is
//! decided in `rights`, and what they may see of private events in `private`; their properties are one table in `properties`; objects are written by
//! the steps of `put`, cards by those of `cards`; messages are built in `publish` and `publish_books`. What a write means for
//! other people is decided in `schedule`, and what becomes of their copies in `deliveries`. The address book of a domain's people
//! is kept in step with the directory in `members`. What was deleted is kept, and brought back, in `trash`; what a home may hold
//! is watched over in `quota`. Browsers see a page, made in `agenda`. Files that belong to calendar objects are
//! the business of `attachments`.

mod accept;
mod access;
mod acl;
mod agenda;
mod answer;
mod attachments;
mod audience;
mod availability;
mod bookings;
mod browse;
mod calendar_query;
mod calendar_user;
mod call;
mod cards;
pub mod check;
mod chunked;
mod collection_props;
mod copy_collection;
mod copy_move;
mod default_calendar;
mod delegates;
mod delete;
mod delete_home;
mod deliveries;
mod expand;
mod expander;
mod export;
mod files;
pub mod filter;
mod free_busy;
mod get;
mod groups;
mod gzip;
mod held;
mod inline_attachments;
mod itip;
mod json;
mod media;
mod members;
mod mkcol;
mod mobile;
mod occurrences;
mod others;
mod outbox;
mod plan;
mod principal_props;
mod principals;
mod private;
mod privileges;
mod propagate;
mod properties;
mod propfind;
mod proppatch;
mod publish;
mod publish_books;
mod put;
mod put_limits;
mod quota;
mod report;
mod rights;
mod schedule;
mod schedule_tag;
mod search;
mod sharing;
mod sharing_props;
mod sharing_xml;
mod store_props;
mod sync;
mod tenant;
mod timezones;
mod trash;
mod trash_collection;
mod trash_meeting;
mod trash_restore;

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use moka::sync::Cache;
use tower::util::BoxCloneSyncService;

use self::call::Call;
use self::json::RenderedEvents;
use self::members::MembersBooks;
use self::occurrences::OccurrenceCache;
use self::tenant::Tenants;
use super::error::DavError;
use super::options::Area;
use super::path::Location;
use super::upstream::{Actor, Body, Upstream, UpstreamError};
use crate::clock::Env;
use crate::config::{Files, InlineAttachments, Limits};
use crate::ids::{DomainId, HomeId};
use crate::store::files::SharedFileStore;
use crate::store::{HomeRoom, SharedDavStore, SharedDirectory};

/// Homes of one domain that are remembered.
const NEIGHBOURS: u64 = 50_000;

/// How the server behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Path under which clients see the root, without a trailing `/`; put before every href.
    pub base: String,
    /// How people reach the server, for addresses that they copy; without a trailing `/` and without the base.
    pub public_url: String,
    /// What objects and requests may cost.
    pub limits: Limits,
    /// What plain files may cost.
    pub files: Files,
    /// Attendees may not change what only the organizer may (dav §10.7, `SABRE_ENFORCE_RFC_6638`).
    pub guard_attendee_changes: bool,
    /// Listings and searches of principals show a user nobody but themselves (dav §4, `PRINCIPAL_PRIVACY`).
    pub principal_privacy: bool,
    /// A reply is passed on to the other attendees of an event with fewer attendees than this; 0 for always (dav §11.1.6,
    /// `TW_CAL_REPLY_PROPAGATION_THRESHOLD`).
    pub reply_propagation: usize,
    /// Everybody finds the people of their domain in an address book that nobody can write to (dav §13.3).
    pub members_book: bool,
    /// A new organizer must be the calendar's owner or who writes (dav §10.5, `CALDAV_ORGANIZER_VALIDATION`).
    pub organizer_validation: bool,
    /// What becomes of attachments that are written into events (dav §10.1, `CALDAV_BINARY_ATTACHMENT_MODE`).
    pub inline_attachments: InlineAttachments,
    /// Messages of one write that are delivered to local people together with it; the rest is left to the queue.
    pub immediate_deliveries: usize,
    /// Days for which deleted calendars, address books and their objects are kept; 0 keeps none.
    pub trash_days: u32,
    /// What a home may hold in its calendars and address books.
    pub room: HomeRoom,
    /// A card is refused whose UID another card of the same address book has (RFC 6352 §6.3.2.1).
    pub unique_card_uids: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base: String::new(),
            public_url: "http://127.0.0.1:8080".to_owned(),
            limits: Limits::default(),
            files: Files::default(),
            guard_attendee_changes: true,
            principal_privacy: true,
            reply_propagation: 200,
            members_book: true,
            organizer_validation: false,
            inline_attachments: InlineAttachments::Keep,
            immediate_deliveries: 200,
            trash_days: 30,
            room: HomeRoom::default(),
            unique_card_uids: false,
        }
    }
}

/// The server. Clones share everything.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    store: SharedDavStore,
    directory: SharedDirectory,
    /// Plain files, where they are kept.
    files: OnceLock<SharedFileStore>,
    env: Env,
    settings: Settings,
    tenants: Tenants,
    occurrences: OccurrenceCache,
    rendered: RenderedEvents,
    members: MembersBooks,
    /// Homes that were found to be of a domain a moment ago.
    neighbours: Cache<(HomeId, DomainId), ()>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl Server {
    /// A server over this store, for the people of this directory.
    pub fn new(store: SharedDavStore, directory: SharedDirectory, env: Env, settings: Settings) -> Self {
        let tenants = Tenants::new(directory.clone());
        let occurrences = OccurrenceCache::new();
        let rendered = RenderedEvents::new();
        let members = MembersBooks::default();
        let files = OnceLock::new();
        let neighbours = Cache::builder().max_capacity(NEIGHBOURS).time_to_live(tenant::REMEMBERED).build();
        let inner =
            Inner { store, directory, files, env, settings, tenants, occurrences, rendered, members, neighbours };
        Self(Arc::new(inner))
    }

    /// The same server with plain files, which it has none of otherwise.
    #[must_use]
    pub fn with_files(self, files: SharedFileStore) -> Self {
        // Whoever was first stays.
        let _ = self.0.files.set(files);
        self
    }

    /// Which part of this server a path is in.
    fn area(&self, path: &str) -> Area {
        if self.0.files.get().is_some() { Area::of(path) } else { Area::Groupware }
    }

    /// The server as what stands behind the proxy.
    pub fn into_upstream(self) -> Upstream {
        BoxCloneSyncService::new(self)
    }

    async fn answer(self, mut request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        let is_head = request.method() == Method::HEAD;
        let takes_gzip = gzip::is_accepted(request.headers());
        let area = self.area(request.uri().path());
        let actor = request.extensions_mut().remove::<Actor>();
        let response = match Location::parse(request.uri().path()) {
            _ if request.method() == Method::OPTIONS => crate::dav::options::answer(request.uri().path(), area),
            // Public by nature: clients ask before they know how to log in (RFC 6764 §5).
            Some(Location::WellKnown(space)) => answer::moved(&self.0.settings.base, space),
            _ => match Call::read(&self, actor, request).await {
                Ok(call) => call.answer().await.unwrap_or_else(DavError::into_response),
                Err(call::Refusal::NoActor) => return Err(UpstreamError::NoActor),
                Err(call::Refusal::Answer(error)) => error.into_response(),
            },
        };
        let response = answer::with_server_headers(response, area);
        Ok(match is_head {
            true => answer::without_body(response),
            false if takes_gzip => gzip::pack(response),
            false => response,
        })
    }
}

impl tower::Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = UpstreamError;
    type Future = BoxFuture<'static, Result<Response<Body>, UpstreamError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}
