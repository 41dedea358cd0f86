//! REPORT: which report it is, and the two that fetch members: queries and multiget (RFC 4791 §7, RFC 6352 §8).

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use http::{Response, StatusCode};

use super::Server;
use super::access::location_of;
use super::calendar_query::is_within;
use super::call::{Call, Depth};
use super::cards::{self, Form};
use super::chunked::{self, Pages, Progress};
use super::filter::Matcher;
use super::plan::{Plan, write_failure, write_status, write_truncated};
use super::properties::{Resource, Scene};
use super::propfind::Target;
use super::rights::{Need, Sight};
use super::tenant::Tenant;
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, MOUNT, push_segment};
use crate::dav::upstream::Body;
use crate::dav::xml::{CALDAV, CALENDARSERVER, CARDDAV, DAV, DataRequest, Element, Filter, PropRequest, Writer};
use crate::ids::CollectionId;
use crate::store::{CollectionKind, Object, ObjectFilter, PAGE_BYTES};

/// Objects that are read at once.
const PAGE: usize = 100;

impl Call {
    /// Answers a REPORT.
    pub(super) async fn report(mut self) -> Result<Response<Body>, DavError> {
        let root = self.xml().await?.ok_or_else(|| DavError::bad_request("A REPORT needs a body"))?;
        match (root.name.ns.as_ref(), root.name.local.as_ref()) {
            (CALDAV, "calendar-query") => self.calendar_query(&root).await,
            (CARDDAV, "addressbook-query") => self.card_query(&root).await,
            (CALDAV, "calendar-multiget") | (CARDDAV, "addressbook-multiget") => self.multiget(&root).await,
            (CALDAV, "free-busy-query") => self.free_busy_query(&root).await,
            (DAV, "sync-collection") => self.sync_collection(&root).await,
            (DAV, "principal-property-search") => self.principal_search(&root).await,
            (DAV, "principal-search-property-set") => Ok(super::search::search_properties()),
            (DAV, "principal-match") => self.principal_match(&root).await,
            (DAV, "acl-principal-prop-set") => self.acl_principals(&root).await,
            (CALENDARSERVER, "calendarserver-principal-search") => self.principal_search_by_words(&root).await,
            (DAV, "expand-property") => self.expand_property(&root).await,
            _ => Err(unsupported(&root.name.to_string())),
        }
    }

    /// Answers with the cards that pass the filter (RFC 6352 §8.6).
    async fn card_query(self, root: &Element) -> Result<Response<Body>, DavError> {
        const NAME: &str = "card:addressbook-query";
        let filter = Filter::read_card(root)?;
        let request = PropRequest::read_report(root)?;
        let minimal = self.prefers("return=minimal");
        let plan = Plan::for_request(&request, minimal);
        let limit = match filter {
            Filter::Card { limit, .. } => limit,
            Filter::Calendar(_) => None,
        };
        let (target, _) = self.target().await?;
        let (collection, only) = match target {
            Target::Collection(collection) => (collection, None),
            Target::Object(collection, object) => (collection, Some(object)),
            _ => return Err(unsupported(NAME)),
        };
        if collection.kind != CollectionKind::AddressBook {
            return Err(unsupported(NAME));
        }
        if only.is_none() && self.depth() == Some(Depth::Zero) {
            return Err(DavError::bad_request("A query of a collection needs Depth 1"));
        }
        // Nothing in a card is asked for by time.
        let matcher = Matcher::new(filter, chrono_tz::Tz::UTC, self.inner());
        let members = Members::new(self.server, self.who, plan, request.data)?;
        let is_last = only.is_some();
        let read = Vec::from_iter(only).into_iter();
        let query = Query { members, collection, matcher, read, is_last, limit, after: None };
        chunked::multistatus(query, minimal).await
    }

    async fn multiget(self, root: &Element) -> Result<Response<Body>, DavError> {
        let mut request = PropRequest::read_report(root)?;
        self.complete(&mut request.data)?;
        let minimal = self.prefers("return=minimal");
        let plan = Plan::for_request(&request, minimal);
        // The actor must be able to see where they ask; each address is checked again on its own.
        self.target().await?;
        let base = self.inner().settings.base.clone();
        let hrefs = root.children(DAV, "href").map(|e| {
            let href = e.text();
            let location = Location::parse_href(&href, &base).or_else(|| Location::parse_href(&href, MOUNT));
            // RFC 4791 §7.9: what the report is about is what it was sent to.
            (href, location.filter(|location| is_within(&self.location, location)))
        });
        // An address that comes twice is answered once, however it is written.
        let mut seen = HashSet::new();
        let is_new =
            |(href, location): &(String, Option<Location>)| seen.insert(location.clone().ok_or_else(|| href.clone()));
        let mut hrefs: Vec<_> = hrefs.filter(is_new).collect();
        hrefs.reverse();
        let members = Members::new(self.server, self.who, plan, request.data)?;
        chunked::multistatus(Multiget { members, hrefs, at_once: PAGE, collections: HashMap::new() }, minimal).await
    }
}

/// 403: the resource has no such report (RFC 3253 §3.6).
pub(super) fn unsupported(report: &str) -> DavError {
    let exception = "Sabre\\DAV\\Exception\\ReportNotSupported";
    DavError::new(StatusCode::FORBIDDEN, exception, format!("The {report} report is not supported here"))
        .because(Condition::Empty("d:supported-report"))
}

/// What every report on members needs to write one.
pub(super) struct Members {
    pub(super) server: Server,
    pub(super) who: Tenant,
    pub(super) plan: Plan,
    pub(super) data: Option<DataRequest>,
    /// How cards shall look.
    form: Form,
}

impl Members {
    pub(super) fn new(server: Server, who: Tenant, plan: Plan, data: Option<DataRequest>) -> Result<Self, DavError> {
        let form = Form::requested(data.as_ref().filter(|d| d.is_of_cards))?;
        Ok(Self { server, who, plan, data, form })
    }

    /// Writes the member `name` of the collection at `base`.
    pub(super) fn write(&self, base: &str, resource: &Resource<'_>, name: &str, w: &mut Writer) {
        let is_owner = matches!(resource, Resource::Object(sight, ..) if sight.is_own());
        let mut href = base.to_owned();
        push_segment(&mut href, name);
        self.write_at(&href, resource, is_owner, w);
    }

    /// Writes the resource at `href`, a card in the form that is asked for.
    pub(super) fn write_at(&self, href: &str, resource: &Resource<'_>, is_owner: bool, w: &mut Writer) {
        let scene = Scene { server: &self.server.0, who: &self.who, is_owner, data: self.data.as_ref() };
        let (book, meta, data) = match resource {
            Resource::Object(book, meta, Some(data))
                if book.kind == CollectionKind::AddressBook && self.plan.needs_data() =>
            {
                (book, meta, data)
            }
            _ => return self.plan.write(&scene, resource, href, w),
        };
        let selection = self.data.as_ref().and_then(|d| d.card_props.as_deref());
        match cards::render(data, self.form, selection) {
            Ok(text) => self.plan.write(&scene, &Resource::Object(book, meta, Some(&text)), href, w),
            Err(cards::NotConvertible) => {
                let href = format!("{}{href}", self.server.0.settings.base);
                let condition = "card:supported-address-data-conversion";
                let description = "The card cannot be converted to the media type asked for";
                write_failure(&href, StatusCode::UNSUPPORTED_MEDIA_TYPE, condition, description, w);
            }
        }
    }

    pub(super) fn write_object(&self, collection: &Sight, base: &str, object: &Object, w: &mut Writer) {
        let resource = Resource::Object(collection, &object.meta, Some(&object.data));
        self.write(base, &resource, &object.meta.name, w);
    }
}

struct Query {
    members: Members,
    collection: Sight,
    matcher: Matcher,
    /// Objects that were read but not yet looked at; at first the one that is asked about, where the query is not about
    /// a collection.
    read: std::vec::IntoIter<Object>,
    /// Whether nothing is left to be read.
    is_last: bool,
    /// Results that may still be written.
    limit: Option<usize>,
    after: Option<String>,
}

#[async_trait]
impl Pages for Query {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        if self.read.len() == 0 {
            let store = &self.members.server.0.store;
            let page = store.query(self.collection.id, &ObjectFilter::default(), self.after.as_deref(), PAGE).await?;
            self.after = page.next();
            self.is_last = self.after.is_none();
            self.read = page.objects.into_iter();
        }
        let base = location_of(&self.collection).href();
        while let Some(object) = self.read.next() {
            // What a filter may look at is what the actor may see.
            let Some(object) = self.collection.show(object) else { continue };
            if !self.matcher.passes(&object.meta, &object.data) {
                continue;
            }
            if self.limit == Some(0) {
                // RFC 6352 §8.6.2: a truncated answer says so about the collection itself.
                let href = format!("{}{base}", self.members.server.0.settings.base);
                write_truncated(&href, out);
                return Ok(Progress::Done);
            }
            self.limit = self.limit.map(|left| left - 1);
            self.members.write_object(&self.collection, &base, &object, out);
            if out.len() > chunked::FULL && self.read.len() > 0 {
                return Ok(Progress::More);
            }
        }
        Ok(if self.is_last { Progress::Done } else { Progress::More })
    }
}

struct Multiget {
    members: Members,
    /// What is still to be fetched, last first.
    hrefs: Vec<(String, Option<Location>)>,
    /// Objects that are read at once: about as many as fill a page.
    at_once: usize,
    /// Collections that were looked at: the collection, or the status for everything in it.
    collections: HashMap<Location, Result<Sight, StatusCode>>,
}

#[async_trait]
impl Pages for Multiget {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        let from = self.hrefs.len().saturating_sub(self.at_once);
        let page: Vec<_> = self.hrefs.drain(from..).rev().collect();
        // In the order of the addresses, so that the first of them is among what is read.
        let mut wanted: Vec<(CollectionId, Vec<String>)> = Vec::new();
        for (_, location) in &page {
            let Some((Ok(collection), name)) = self.look_at(location.as_ref()).await? else { continue };
            match wanted.iter_mut().find(|(id, _)| *id == collection.id) {
                Some((_, names)) => names.push(name),
                None => wanted.push((collection.id, vec![name])),
            }
        }
        let mut found: HashMap<(CollectionId, String), Option<Object>> = HashMap::new();
        let mut octets = 0;
        for (collection, names) in wanted {
            if octets >= PAGE_BYTES {
                break;
            }
            let objects = self.members.server.0.store.objects(collection, &names).await?;
            octets += objects.iter().flatten().map(|object| object.meta.size).sum::<u64>();
            found.extend(names.into_iter().zip(objects).map(|(name, object)| ((collection, name), object)));
        }
        let mut page = page.into_iter();
        let mut written = 0;
        while let Some((href, location)) = page.next() {
            match self.look_at(location.as_ref()).await? {
                Some((Ok(sight), name)) => match found.get(&(sight.id, name)) {
                    Some(object) => match object.clone().and_then(|object| sight.show(object)) {
                        Some(object) => {
                            let base = location_of(&sight).href();
                            self.members.write_object(&sight, &base, &object, out);
                        }
                        None => write_status(&href, StatusCode::NOT_FOUND, out),
                    },
                    // What was read is enough for one page.
                    None => {
                        self.hrefs.extend(page.rev());
                        self.hrefs.push((href, location));
                        self.at_once = written;
                        return Ok(Progress::More);
                    }
                },
                Some((Err(status), _)) => write_status(&href, status, out),
                None => write_status(&href, StatusCode::NOT_FOUND, out),
            }
            written += 1;
            if out.len() > chunked::FULL && page.len() > 0 {
                // Read again with the next page: kept, the objects would take as much memory as their text. The next page
                // asks for no more than this one could hold, so that little is read twice.
                self.hrefs.extend(page.rev());
                self.at_once = written;
                return Ok(Progress::More);
            }
        }
        if out.len() < chunked::FULL / 2 {
            self.at_once = (self.at_once * 2).min(PAGE);
        }
        Ok(if self.hrefs.is_empty() { Progress::Done } else { Progress::More })
    }
}

impl Multiget {
    /// The collection of an address, or why the actor does not get it, and the name in it; `None` for what is no member.
    async fn look_at(
        &mut self,
        location: Option<&Location>,
    ) -> Result<Option<(Result<Sight, StatusCode>, String)>, DavError> {
        let Some(Location::Member { space, home, uri, name }) = location else { return Ok(None) };
        let place = Location::Collection { space: *space, home: *home, uri: uri.clone() };
        if let Some(known) = self.collections.get(&place) {
            return Ok(Some((known.clone(), name.clone())));
        }
        let checked = match self.members.server.see(&self.members.who, &place, Need::Read).await {
            Ok(sight) => Ok(sight),
            Err(error) if error.status.is_server_error() => return Err(error),
            Err(error) => Err(error.status),
        };
        self.collections.insert(place, checked.clone());
        Ok(Some((checked, name.clone())))
    }
}
