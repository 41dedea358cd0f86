//! `/trash/{home}`: what was deleted, for as long as it is kept, and the way back.
//!
//! A DELETE answers, publishes and schedules as if nothing were kept; in the same write the object goes into the trash of
//! its home. A collection goes there with all that is in it. What is there is in no other listing, query or log.
//!
//! | request | does |
//! |---|---|
//! | `GET /trash/{home}/?after={id}&limit={n}` | lists what was deleted, in the order of ids, as JSON |
//! | `GET /trash/{home}/{id}` | the text of an object; of a collection, what the list tells |
//! | `POST /trash/{home}/{id}` | puts it back (`trash_restore`) |
//! | `DELETE /trash/{home}/{id}` | forgets it, a collection with all that was in it |
//! | `DELETE /trash/{home}/` | forgets everything |
//!
//! It is no WebDAV: programs that walk through a home must not come upon deleted events, and no program in the field would
//! know what to do with such a collection in a home that is not Nextcloud's.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::Server;
use super::access::{Relation, location_of, space_of};
use super::answer;
use super::call::Call;
use super::properties::media_type_of;
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::dav::upstream::Body;
use crate::ical::Component;
use crate::ids::{HomeId, TrashId};
use crate::store::{Collection, CollectionKind, Object, Op, Purge, TrashView, Trashed, TrashedThing};

/// Things that one page lists at most.
const PAGE: usize = 100;
/// Things that are forgotten in one write.
const PURGED_AT_ONCE: usize = 200;
/// Characters of a summary that are kept beside the text.
const SUMMARY: usize = 500;

/// Where what is deleted now goes.
pub(super) struct Bin {
    deleted: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl Server {
    /// The bin; `None` where nothing is kept.
    pub(super) fn bin(&self) -> Option<Bin> {
        let days = self.0.settings.trash_days;
        let deleted = self.0.env.now();
        let until = deleted.checked_add_signed(TimeDelta::days(i64::from(days)))?;
        (days > 0).then_some(Bin { deleted, until })
    }
}

impl Bin {
    /// Keeps an object that is deleted, alone or with its collection; `tree` is what it says, where it can be read. Only what
    /// is in calendars and address books is kept.
    pub(super) fn object(
        &self,
        server: &Server,
        collection: &Collection,
        (object, tree): (&Object, Option<&Component>),
        with_collection: bool,
    ) -> Option<Op> {
        let is_kept = matches!(collection.kind, CollectionKind::Calendar | CollectionKind::AddressBook);
        let summary = Some(tree.and_then(summary).unwrap_or_default());
        let what = TrashedThing::Object { meta: object.meta.clone(), with_collection, summary };
        let id = TrashId(server.0.env.object_id());
        is_kept.then(|| Op::Trash { entry: Box::new(self.entry(id, collection, what)), data: object.data.clone() })
    }

    /// Keeps a collection; its objects are kept one by one.
    pub(super) fn collection(&self, collection: &Collection) -> Op {
        let what = TrashedThing::Collection { props: collection.props.clone(), token: collection.sync_token };
        let entry = self.entry(TrashId(collection.id.0), collection, what);
        Op::Trash { entry: Box::new(entry), data: String::new() }
    }

    fn entry(&self, id: TrashId, collection: &Collection, what: TrashedThing) -> Trashed {
        Trashed {
            id,
            home: collection.home,
            collection: collection.id,
            kind: collection.kind,
            uri: collection.uri.clone(),
            deleted: self.deleted,
            until: self.until,
            what,
        }
    }
}

impl Call {
    /// Answers a request about the trash of a home.
    pub(super) async fn about_trash(self, home: HomeId, id: Option<TrashId>) -> Result<Response<Body>, DavError> {
        let is_read = matches!(self.method.as_str(), "GET" | "HEAD");
        let privilege = if is_read { "d:read" } else { "d:unbind" };
        if self.server.relation(&self.who, Space::Calendars, home).await? != Relation::Owner {
            return Err(self.server.needs(&Location::Home(Space::Calendars, home), privilege));
        }
        match (self.method.as_str(), id) {
            ("GET" | "HEAD", None) => self.list_trash(home).await,
            ("GET" | "HEAD", Some(id)) => {
                let (entry, data) = self.trashed(home, id).await?;
                Ok(self.show_trashed(&entry, data))
            }
            ("POST", Some(id)) => self.restore(home, id).await,
            ("DELETE", Some(id)) => {
                let (entry, _) = self.trashed(home, id).await?;
                if matches!(entry.what, TrashedThing::Collection { .. }) {
                    self.forget(&Purge::Of(home, entry.collection)).await?;
                }
                self.inner().store.purge(&Purge::These(home, vec![id]), 1).await?;
                Ok(answer::empty(StatusCode::NO_CONTENT))
            }
            ("DELETE", None) => {
                self.forget(&Purge::Home(home)).await?;
                Ok(answer::empty(StatusCode::NO_CONTENT))
            }
            _ => Ok(self.not_here(id)),
        }
    }

    fn not_here(&self, id: Option<TrashId>) -> Response<Body> {
        let mut response =
            DavError::method_not_allowed(format!("{} is nothing for the trash", self.method)).into_response();
        let methods = if id.is_some() { "GET, HEAD, POST, DELETE" } else { "GET, HEAD, DELETE" };
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        response
    }

    /// One thing in the trash with its text.
    pub(super) async fn trashed(&self, home: HomeId, id: TrashId) -> Result<(Trashed, String), DavError> {
        let found = self.inner().store.trashed(home, &[id]).await?.pop();
        found.ok_or_else(|| DavError::no_node(&self.path))
    }

    async fn forget(&self, what: &Purge) -> Result<(), DavError> {
        while self.inner().store.purge(what, PURGED_AT_ONCE).await? > 0 {}
        Ok(())
    }

    async fn list_trash(&self, home: HomeId) -> Result<Response<Body>, DavError> {
        let after = match self.parameter("after") {
            None => None,
            Some(id) => Some(id.parse().map_err(|_| DavError::bad_request("after is an id of this list"))?),
        };
        let limit = match self.parameter("limit").map(str::parse::<usize>) {
            None => PAGE,
            Some(Ok(limit)) if limit > 0 => limit.min(PAGE),
            Some(_) => return Err(DavError::bad_request("limit is a number from 1 on")),
        };
        let store = &self.inner().store;
        let entries = store.trash(home, TrashView::Deleted, after, limit).await?;
        let next = entries.last().map(|entry| entry.id).filter(|_| entries.len() == limit);
        let mut items = Vec::with_capacity(entries.len());
        for entry in &entries {
            let mut item = self.item(entry);
            if let TrashedThing::Object { summary: None, .. } = entry.what {
                // Kept by an earlier version. One by one: their texts together may be large.
                let data = store.trashed(home, &[entry.id]).await?.pop().map(|(_, data)| data);
                let tree = data.and_then(|data| Component::parse(&data).ok());
                item["summary"] = json!(tree.as_ref().and_then(summary).unwrap_or_default());
            }
            items.push(item);
        }
        Ok(as_json(StatusCode::OK, &json!({ "items": items, "next": next })))
    }

    fn show_trashed(&self, entry: &Trashed, data: String) -> Response<Body> {
        match &entry.what {
            TrashedThing::Collection { .. } => as_json(StatusCode::OK, &self.item(entry)),
            TrashedThing::Object { meta, .. } => {
                let mut response = Response::new(Body::from(data));
                if let Ok(value) = HeaderValue::from_str(&media_type_of(entry.kind, meta)) {
                    response.headers_mut().insert(CONTENT_TYPE, value);
                }
                response
            }
        }
    }

    /// What the list tells of a thing.
    pub(super) fn item(&self, entry: &Trashed) -> Value {
        let place = Location::Collection { space: space_of(entry.kind), home: entry.home, uri: entry.uri.clone() };
        let mut item = Map::new();
        let mut put = |name: &str, value: Value| item.insert(name.to_owned(), value);
        put("id", json!(entry.id));
        put("collection", json!(self.href(&place)));
        put("calendar", json!(entry.uri));
        put("deleted", json!(entry.deleted));
        put("until", json!(entry.until));
        match &entry.what {
            TrashedThing::Collection { props, .. } => {
                let is_book = entry.kind == CollectionKind::AddressBook;
                put("type", json!(if is_book { "addressbook" } else { "calendar" }));
                put("summary", json!(props.displayname.as_deref().unwrap_or(&entry.uri)));
            }
            TrashedThing::Object { meta, summary, .. } => {
                put("type", json!(meta.component));
                put("name", json!(meta.name));
                put("uid", json!(meta.uid.0));
                put("size", json!(meta.size));
                put("summary", json!(summary.as_deref().unwrap_or_default()));
            }
        }
        Value::Object(item)
    }

    /// The href of a collection as clients see it.
    pub(super) fn href_of(&self, collection: &Collection) -> String {
        self.href(&location_of(collection))
    }
}

/// What people know an object by, or how that begins.
fn summary(root: &Component) -> Option<String> {
    let text = match root.is("VCARD") {
        true => root.text("FN"),
        false => root.components().find(|c| !c.is("VTIMEZONE"))?.text("SUMMARY"),
    };
    text.map(|text| text.chars().take(SUMMARY).collect())
}

/// A JSON answer.
pub(super) fn as_json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}
