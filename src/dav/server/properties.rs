//! The table of live properties: one row per property, its value for every kind of resource in one function.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::tenant::{Tenant, principal_of};
use super::{Inner, expander, privileges};
use crate::dav::precondition::quoted;
use crate::dav::xml::{APPLE, CALDAV, CALENDARSERVER, CARDDAV, DAV, DataRequest, Name, SABRE, Writer};
use crate::ids::{HomeId, UserId};
use crate::store::home::{INBOX, OUTBOX};
use crate::store::{Collection, CollectionKind, ObjectMeta, User};

/// What a sync token is written with before its number (dav §6.2).
pub(super) const SYNC_PREFIX: &str = "http://sabre.io/ns/sync/";
/// Display name of a default calendar that nobody named; clients put their own word there (dav §2).
const DEFAULT_NAME: &str = "#default";

/// The name a calendar is shown by: its own, else [`DEFAULT_NAME`] for the default calendar and the segment for others.
pub(super) fn shown_name(calendar: &Collection) -> &str {
    let unnamed = if calendar.uri == calendar.home.to_string() { DEFAULT_NAME } else { &calendar.uri };
    calendar.props.displayname.as_deref().unwrap_or(unnamed)
}

/// A resource whose properties are asked for.
pub(super) enum Resource<'a> {
    /// A collection that only holds other collections, and belongs to nobody.
    Branch,
    User(&'a User),
    Home(HomeId),
    Collection(&'a Collection),
    /// An object; its data where the plan needs it.
    Object(&'a Collection, &'a ObjectMeta, Option<&'a str>),
}

/// What a property depends on besides the resource.
pub(super) struct Scene<'a> {
    pub(super) server: &'a Inner,
    pub(super) who: &'a Tenant,
    /// Whether the resource is in a home that the actor owns.
    pub(super) is_owner: bool,
    /// What `calendar-data` or `address-data` shall look like.
    pub(super) data: Option<&'a DataRequest>,
}

impl Scene<'_> {
    fn href(&self, w: &mut Writer, href: &str) -> bool {
        w.raw("<d:href>");
        w.raw(&self.server.settings.base);
        w.raw(href);
        raw(w, "</d:href>")
    }
}

/// One property.
pub(super) struct Row {
    pub(super) name: Name,
    /// Whether `allprop` answers with it.
    pub(super) in_allprop: bool,
    /// Whether it can only be told from the data of an object.
    pub(super) needs_data: bool,
    /// Writes what stands within the element; false where the resource has no such property.
    value: fn(&Scene<'_>, &Resource<'_>, &mut Writer) -> bool,
}

impl Row {
    /// Writes the element; false, and nothing, where the resource has no such property.
    pub(super) fn write(&self, scene: &Scene<'_>, resource: &Resource<'_>, w: &mut Writer) -> bool {
        let start = w.len();
        w.open_name(&self.name);
        let inside = w.len();
        if !(self.value)(scene, resource, w) {
            w.truncate(start);
            return false;
        }
        // Only a text may be written as an empty pair of tags (dav §1.3).
        if w.len() == inside && !self.is_text() {
            w.truncate(start);
            w.empty_name(&self.name);
        } else {
            w.close_name(&self.name);
        }
        true
    }

    fn is_text(&self) -> bool {
        self.name.local == "displayname" || self.name.local.ends_with("description")
    }
}

/// The row of a property.
pub(super) fn find(name: &Name) -> Option<&'static Row> {
    static BY_NAME: LazyLock<HashMap<&'static Name, &'static Row>> =
        LazyLock::new(|| TABLE.iter().map(|row| (&row.name, row)).collect());
    BY_NAME.get(name).copied()
}

/// All rows, in the order in which answers list them.
pub(super) fn all() -> impl Iterator<Item = &'static Row> {
    TABLE.iter()
}

type Value = fn(&Scene<'_>, &Resource<'_>, &mut Writer) -> bool;

const fn row(ns: &'static str, local: &'static str, value: Value) -> Row {
    Row { name: Name::new(ns, local), in_allprop: false, needs_data: false, value }
}

/// A property that `allprop` answers with.
const fn usual(ns: &'static str, local: &'static str, value: Value) -> Row {
    Row { name: Name::new(ns, local), in_allprop: true, needs_data: false, value }
}

const fn of_data(ns: &'static str, local: &'static str, value: Value) -> Row {
    Row { name: Name::new(ns, local), in_allprop: false, needs_data: true, value }
}

static TABLE: [Row; 44] = [
    usual(DAV, "getlastmodified", last_modified),
    usual(DAV, "getcontentlength", content_length),
    usual(DAV, "resourcetype", resource_type),
    usual(DAV, "getetag", etag),
    usual(DAV, "getcontenttype", content_type),
    usual(CALENDARSERVER, "getctag", ctag),
    usual(SABRE, "sync-token", raw_sync_token),
    usual(CALDAV, "supported-calendar-component-set", components),
    usual(CALDAV, "schedule-calendar-transp", transparency),
    usual(DAV, "displayname", display_name),
    usual(CALDAV, "calendar-description", |_, r, w| text(calendar(r).and_then(|c| c.props.description.as_deref()), w)),
    usual(CALDAV, "calendar-timezone", |_, r, w| text(calendar(r).and_then(|c| c.props.timezone.as_deref()), w)),
    usual(APPLE, "calendar-order", |_, r, w| {
        text(calendar(r).and_then(|c| c.props.order).map(|o| o.to_string()).as_deref(), w)
    }),
    usual(APPLE, "calendar-color", |_, r, w| text(calendar(r).and_then(|c| c.props.color.as_deref()), w)),
    row(CARDDAV, "addressbook-description", |_, r, w| text(book(r).and_then(|c| c.props.description.as_deref()), w)),
    row(DAV, "sync-token", sync_token),
    row(DAV, "current-user-principal", |scene, _, w| scene.href(w, &scene.who.principal_href())),
    row(DAV, "current-user-privilege-set", privilege_set),
    row(DAV, "supported-privilege-set", |_, _, w| raw(w, privileges::SUPPORTED)),
    row(DAV, "owner", owner),
    row(DAV, "acl", acl),
    row(DAV, "principal-collection-set", |scene, _, w| scene.href(w, "/principals/users/")),
    row(DAV, "principal-URL", principal_url),
    row(DAV, "alternate-URI-set", |_, r, w| user(r).is_some_and(|u| addresses(u, w))),
    row(DAV, "group-member-set", |_, r, _| user(r).is_some()),
    row(DAV, "group-membership", |scene, r, w| {
        user(r).is_some_and(|u| scene.href(w, &format!("/principals/domains/{}/", u.domain)))
    }),
    row(DAV, "supported-report-set", reports),
    row(SABRE, "email-address", |_, r, w| text(user(r).map(|u| u.email().as_str()), w)),
    row(CALDAV, "calendar-home-set", |scene, r, w| of_user(scene, r, w, |id| format!("/calendars/{id}/"))),
    row(CARDDAV, "addressbook-home-set", |scene, r, w| of_user(scene, r, w, |id| format!("/addressbooks/{id}/"))),
    row(CALDAV, "schedule-inbox-URL", |scene, r, w| of_user(scene, r, w, |id| format!("/calendars/{id}/{INBOX}/"))),
    row(CALDAV, "schedule-outbox-URL", |scene, r, w| of_user(scene, r, w, |id| format!("/calendars/{id}/{OUTBOX}/"))),
    row(CALDAV, "calendar-user-address-set", |scene, r, w| {
        user(r).is_some_and(|u| {
            addresses(u, w);
            scene.href(w, &principal_of(u.id))
        })
    }),
    row(CALDAV, "schedule-default-calendar-URL", default_calendar),
    row(CALDAV, "schedule-tag", |_, r, w| {
        text(meta(r).and_then(|m| m.schedule_tag.as_deref()).map(quoted).as_deref(), w)
    }),
    row(CALDAV, "calendar-user-type", |_, r, w| text(user(r).map(|_| "INDIVIDUAL"), w)),
    row(CALDAV, "supported-calendar-data", |_, r, w| calendar(r).is_some() && raw(w, CALENDAR_DATA_TYPES)),
    row(CARDDAV, "supported-address-data", |_, r, w| book(r).is_some() && raw(w, ADDRESS_DATA_TYPES)),
    row(CALDAV, "supported-collation-set", |_, r, w| calendar(r).is_some() && raw(w, CALENDAR_COLLATIONS)),
    row(CARDDAV, "supported-collation-set", |_, r, w| book(r).is_some() && raw(w, BOOK_COLLATIONS)),
    row(CALDAV, "max-resource-size", |scene, r, w| calendar(r).is_some() && max_size(scene, w)),
    row(CARDDAV, "max-resource-size", |scene, r, w| book(r).is_some() && max_size(scene, w)),
    of_data(CALDAV, "calendar-data", calendar_data),
    of_data(CARDDAV, "address-data", address_data),
];

const CALENDAR_DATA_TYPES: &str = "<cal:calendar-data content-type=\"text/calendar\" version=\"2.0\"/>\
    <cal:calendar-data content-type=\"application/calendar+json\"/>";
const ADDRESS_DATA_TYPES: &str = "<card:address-data-type content-type=\"text/vcard\" version=\"3.0\"/>\
    <card:address-data-type content-type=\"text/vcard\" version=\"4.0\"/>";
const CALENDAR_COLLATIONS: &str = "<cal:supported-collation>i;ascii-casemap</cal:supported-collation>\
    <cal:supported-collation>i;octet</cal:supported-collation>\
    <cal:supported-collation>i;unicode-casemap</cal:supported-collation>";
const BOOK_COLLATIONS: &str = "<card:supported-collation>i;ascii-casemap</card:supported-collation>\
    <card:supported-collation>i;octet</card:supported-collation>\
    <card:supported-collation>i;unicode-casemap</card:supported-collation>";

/// Writes XML; true, as a value was written.
fn raw(w: &mut Writer, xml: &str) -> bool {
    w.raw(xml);
    true
}

/// Writes text; true, as a value was written.
fn say(w: &mut Writer, text: &str) -> bool {
    w.text(text);
    true
}

fn text(value: Option<&str>, w: &mut Writer) -> bool {
    value.is_some_and(|value| say(w, value))
}

fn user<'a>(resource: &Resource<'a>) -> Option<&'a User> {
    match resource {
        Resource::User(user) => Some(user),
        _ => None,
    }
}

fn collection<'a>(resource: &Resource<'a>) -> Option<&'a Collection> {
    match resource {
        Resource::Collection(collection) => Some(collection),
        _ => None,
    }
}

fn calendar<'a>(resource: &Resource<'a>) -> Option<&'a Collection> {
    collection(resource).filter(|c| c.kind == CollectionKind::Calendar)
}

fn book<'a>(resource: &Resource<'a>) -> Option<&'a Collection> {
    collection(resource).filter(|c| c.kind == CollectionKind::AddressBook)
}

/// A collection whose changes are numbered for clients.
fn synced<'a>(resource: &Resource<'a>) -> Option<&'a Collection> {
    collection(resource).filter(|c| matches!(c.kind, CollectionKind::Calendar | CollectionKind::AddressBook))
}

fn meta<'a>(resource: &Resource<'a>) -> Option<&'a ObjectMeta> {
    match resource {
        Resource::Object(_, meta, _) => Some(meta),
        _ => None,
    }
}

/// A time as HTTP writes it.
pub(super) fn http_date(time: chrono::DateTime<chrono::Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn last_modified(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    meta(r).is_some_and(|m| raw(w, &http_date(m.modified)))
}

fn content_length(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    meta(r).is_some_and(|m| raw(w, &m.size.to_string()))
}

fn resource_type(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let types = match r {
        Resource::Object(..) => "",
        Resource::User(_) => "<d:collection/><d:principal/>",
        Resource::Collection(c) => match c.kind {
            CollectionKind::Calendar => "<d:collection/><cal:calendar/>",
            CollectionKind::Inbox => "<d:collection/><cal:schedule-inbox/>",
            CollectionKind::Outbox => "<d:collection/><cal:schedule-outbox/>",
            CollectionKind::AddressBook => "<d:collection/><card:addressbook/>",
        },
        _ => "<d:collection/>",
    };
    raw(w, types)
}

fn etag(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    meta(r).is_some_and(|m| say(w, &quoted(&m.etag)))
}

/// The media type of an object.
pub(super) fn media_type(collection: &Collection, meta: &ObjectMeta) -> String {
    match collection.kind {
        CollectionKind::AddressBook => "text/vcard; charset=utf-8".to_owned(),
        _ => format!("text/calendar; charset=utf-8; component={}", meta.component.to_ascii_lowercase()),
    }
}

fn content_type(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    match r {
        Resource::Object(collection, meta, _) => say(w, &media_type(collection, meta)),
        _ => false,
    }
}

fn ctag(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let Some(c) = synced(r) else { return false };
    if c.kind == CollectionKind::Calendar {
        w.raw(SYNC_PREFIX);
    }
    raw(w, &c.sync_token.to_string())
}

fn raw_sync_token(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    synced(r).is_some_and(|c| raw(w, &c.sync_token.to_string()))
}

fn sync_token(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    synced(r).is_some_and(|c| {
        w.raw(SYNC_PREFIX);
        raw(w, &c.sync_token.to_string())
    })
}

fn components(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let Some(c) = calendar(r) else { return false };
    let all = ["VEVENT".to_owned(), "VTODO".to_owned(), "VJOURNAL".to_owned()];
    let components = if c.props.components.is_empty() { &all[..] } else { &c.props.components };
    for component in components {
        w.raw("<cal:comp name=\"");
        w.text(component);
        w.raw("\"/>");
    }
    true
}

fn transparency(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    calendar(r).is_some_and(|c| {
        w.empty(if c.props.transparent { "cal:transparent" } else { "cal:opaque" });
        true
    })
}

fn display_name(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    match r {
        Resource::User(user) => say(w, &user.display_name()),
        Resource::Collection(c) => match (&c.props.displayname, c.kind) {
            (Some(name), _) => say(w, name),
            (None, CollectionKind::Calendar) => say(w, shown_name(c)),
            (None, CollectionKind::AddressBook) => true,
            (None, CollectionKind::Inbox | CollectionKind::Outbox) => false,
        },
        _ => false,
    }
}

fn owner(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let home = match r {
        Resource::User(user) => HomeId::from(user.id),
        Resource::Home(home) => *home,
        Resource::Collection(c) | Resource::Object(c, ..) => c.home,
        _ => return false,
    };
    scene.href(w, &principal_of(UserId(home.0)))
}

fn privilege_set(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    for privilege in privileges::of(r, scene.is_owner) {
        w.within("d:privilege", |w| w.empty(privilege));
    }
    true
}

fn acl(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let home = match r {
        Resource::Home(home) => *home,
        Resource::Collection(c) | Resource::Object(c, ..) => c.home,
        _ => return false,
    };
    let grant = |w: &mut Writer, privilege: &str| {
        w.within("d:grant", |w| w.within("d:privilege", |w| w.empty(privilege)));
        w.empty("d:protected");
    };
    w.within("d:ace", |w| {
        w.within("d:principal", |w| {
            scene.href(w, &principal_of(UserId(home.0)));
        });
        grant(w, "d:all");
    });
    if calendar(r).is_some() {
        w.within("d:ace", |w| {
            w.within("d:principal", |w| w.empty("d:authenticated"));
            grant(w, "cal:read-free-busy");
        });
    }
    true
}

fn principal_url(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    user(r).is_some_and(|u| scene.href(w, &principal_of(u.id)))
}

fn addresses(user: &User, w: &mut Writer) -> bool {
    for email in &user.emails {
        w.href(&email.to_calendar_address());
    }
    true
}

fn of_user(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer, href: fn(UserId) -> String) -> bool {
    user(r).is_some_and(|u| scene.href(w, &href(u.id)))
}

fn default_calendar(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let home = match r {
        Resource::User(user) => HomeId::from(user.id),
        // RFC 6638 §9.2 puts it on the inbox.
        Resource::Collection(c) if c.kind == CollectionKind::Inbox => c.home,
        _ => return false,
    };
    scene.href(w, &format!("/calendars/{home}/{home}/"))
}

fn reports(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    const EVERYWHERE: [&str; 3] =
        ["d:expand-property", "d:principal-property-search", "d:principal-search-property-set"];
    let more: &[&str] = match collection(r).map(|c| c.kind) {
        Some(CollectionKind::Calendar) => {
            &["cal:calendar-multiget", "cal:calendar-query", "cal:free-busy-query", "d:sync-collection"]
        }
        Some(CollectionKind::AddressBook) => {
            &["card:addressbook-multiget", "card:addressbook-query", "d:sync-collection"]
        }
        Some(CollectionKind::Inbox) => &["cal:calendar-multiget", "cal:calendar-query"],
        Some(CollectionKind::Outbox) | None => &[],
    };
    for report in EVERYWHERE.iter().chain(more) {
        w.within("d:supported-report", |w| w.within("d:report", |w| w.empty(report)));
    }
    true
}

fn max_size(scene: &Scene<'_>, w: &mut Writer) -> bool {
    raw(w, &scene.server.settings.limits.object_bytes.to_string())
}

fn calendar_data(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    match r {
        Resource::Object(c, _, Some(data)) if c.kind != CollectionKind::AddressBook => {
            match scene.data.filter(|d| !d.is_plain() || d.content_type.is_some()) {
                None => {
                    w.calendar_text(data);
                    true
                }
                Some(request) => {
                    expander::write_data(scene, c, data, request, w);
                    true
                }
            }
        }
        _ => false,
    }
}

fn address_data(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    match r {
        Resource::Object(c, _, Some(data)) if c.kind == CollectionKind::AddressBook => {
            match scene.data.and_then(|d| d.card_props.as_deref()) {
                None => say(w, data),
                Some(names) => say(w, &expander::card_with(data, names)),
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_is_in_the_table_once() {
        assert_eq!(all().count(), TABLE.len());
        for row in all() {
            assert!(std::ptr::eq(find(&row.name).unwrap(), row), "{} is there twice", row.name);
        }
    }
}
