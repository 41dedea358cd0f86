//! The table of live properties: one row per property, its value for every kind of resource in one function.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono_tz::Tz;

use super::calendar_query::edges_of_time;
use super::files::{FileSight, properties as file};
use super::principals::Principal;
use super::rights::Sight;
use super::tenant::{Tenant, holder_href};
use super::{Inner, acl, collection_props, expander, principal_props, privileges, sharing_props};
use crate::config::Limits;
use crate::dav::announce::{SYNC_PREFIX, shown_name};
use crate::dav::path::{Location, PrincipalKind, Space};
use crate::dav::precondition::quoted;
use crate::dav::xml::{APPLE, CALDAV, CALENDARSERVER, CARDDAV, DAV, DataRequest, Name, SABRE, Writer};
use crate::ical::object::COMPONENT_TYPES;
use crate::ids::{HomeId, UserId};
use crate::store::files::FileContent;
use crate::store::{Collection, CollectionKind, ObjectMeta};

/// A resource whose properties are asked for.
pub(super) enum Resource<'a> {
    /// A collection that only holds other collections, and belongs to nobody.
    Branch,
    Principal(&'a Principal),
    /// What a user is notified of: nothing yet.
    Notifications(UserId),
    Home(Space, HomeId),
    Collection(&'a Sight),
    /// An object; its data where the plan needs it.
    Object(&'a Sight, &'a ObjectMeta, Option<&'a str>),
    /// A plain file or folder.
    File(&'a FileSight<'a>),
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
    pub(super) fn href(&self, w: &mut Writer, href: &str) -> bool {
        w.raw("<d:href>");
        w.raw(&self.server.settings.base);
        w.raw(href);
        raw(w, "</d:href>")
    }

    /// Where the principal is that has a home, without the base.
    pub(super) fn principal_href(&self, home: HomeId) -> String {
        match self.who.home() == Some(home) {
            true => self.who.principal_href(),
            false => self.server.tenants.href_of(home),
        }
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
        if !self.write_value(scene, resource, w) {
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

    /// Writes what stands within the element; false where the resource has no such property.
    pub(super) fn write_value(&self, scene: &Scene<'_>, resource: &Resource<'_>, w: &mut Writer) -> bool {
        (self.value)(scene, resource, w)
    }

    /// Whether `allprop` leaves it out here although it holds it elsewhere: what all properties of a collection are is
    /// compared as text by clients of the reference (dav §18.6).
    pub(super) fn is_quiet(&self, resource: &Resource<'_>) -> bool {
        matches!(resource, Resource::Collection(_)) && self.name.is(DAV, "getetag")
    }

    fn is_text(&self) -> bool {
        self.name.local == "displayname" || self.name.local.ends_with("description")
    }
}

/// The row of a property.
pub(super) fn find(name: &Name) -> Option<&'static Row> {
    static BY_NAME: LazyLock<HashMap<&'static Name, &'static Row>> =
        LazyLock::new(|| all().map(|row| (&row.name, row)).collect());
    BY_NAME.get(name).copied()
}

/// All rows, in the order in which answers list them.
pub(super) fn all() -> impl Iterator<Item = &'static Row> {
    TABLE.iter().chain(collection_props::ROWS).chain(sharing_props::ROWS).chain(principal_props::ROWS)
}

type Value = fn(&Scene<'_>, &Resource<'_>, &mut Writer) -> bool;

/// A property that only those get who ask for it.
pub(super) const fn row(ns: &'static str, local: &'static str, value: Value) -> Row {
    Row { name: Name::new(ns, local), in_allprop: false, needs_data: false, value }
}

/// A property that `allprop` answers with.
pub(super) const fn usual(ns: &'static str, local: &'static str, value: Value) -> Row {
    Row { name: Name::new(ns, local), in_allprop: true, needs_data: false, value }
}

const fn of_data(ns: &'static str, local: &'static str, value: Value) -> Row {
    Row { name: Name::new(ns, local), in_allprop: false, needs_data: true, value }
}

static TABLE: &[Row] = &[
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
    row(CALDAV, "calendar-timezone-id", |_, r, w| {
        text(calendar(r).and_then(|c| c.props.timezone.as_deref()).and_then(expander::zone_named_in).map(Tz::name), w)
    }),
    row(CARDDAV, "addressbook-description", |_, r, w| text(book(r).and_then(|c| c.props.description.as_deref()), w)),
    row(DAV, "sync-token", sync_token),
    row(DAV, "current-user-principal", |scene, _, w| scene.href(w, &scene.who.principal_href())),
    row(DAV, "current-user-privilege-set", privilege_set),
    row(DAV, "supported-privilege-set", |_, r, w| raw(w, &privileges::supported(r))),
    row(DAV, "owner", owner),
    row(DAV, "acl", acl::write),
    row(DAV, "group", group),
    row(DAV, "principal-collection-set", |scene, _, w| scene.href(w, "/principals/users/")),
    row(DAV, "supported-report-set", reports),
    row(CALDAV, "schedule-tag", |_, r, w| {
        text(meta(r).and_then(|m| m.schedule_tag.as_deref()).map(quoted).as_deref(), w)
    }),
    row(CALDAV, "supported-calendar-data", |_, r, w| calendar(r).is_some() && raw(w, CALENDAR_DATA_TYPES)),
    row(CARDDAV, "supported-address-data", |_, r, w| book(r).is_some() && raw(w, ADDRESS_DATA_TYPES)),
    row(CALDAV, "supported-collation-set", |_, r, w| calendar(r).is_some() && raw(w, CALENDAR_COLLATIONS)),
    row(CARDDAV, "supported-collation-set", |_, r, w| book(r).is_some() && raw(w, BOOK_COLLATIONS)),
    row(CALDAV, "max-resource-size", |scene, r, w| calendar(r).is_some() && max_size(scene, w)),
    row(CARDDAV, "max-resource-size", |scene, r, w| book(r).is_some() && max_size(scene, w)),
    row(CALDAV, "min-date-time", |scene, r, w| calendar(r).is_some() && say(w, &edges_of_time(limits(scene)).0)),
    row(CALDAV, "max-date-time", |scene, r, w| calendar(r).is_some() && say(w, &edges_of_time(limits(scene)).1)),
    row(CALDAV, "max-instances", |scene, r, w| {
        let most = limits(scene).instances;
        calendar(r).is_some() && most > 0 && say(w, &most.to_string())
    }),
    row(CALDAV, "max-attendees-per-instance", |scene, r, w| {
        calendar(r).is_some() && say(w, &limits(scene).attendees.to_string())
    }),
    usual(DAV, "lockdiscovery", file::lock_discovery),
    usual(DAV, "supportedlock", file::supported_lock),
    row(DAV, "quota-used-bytes", file::quota_used),
    row(DAV, "quota-available-bytes", file::quota_available),
    of_data(CALDAV, "calendar-data", calendar_data),
    of_data(CARDDAV, "address-data", address_data),
];

const CALENDAR_DATA_TYPES: &str = "<cal:calendar-data content-type=\"text/calendar\" version=\"2.0\"/>\
    <cal:calendar-data content-type=\"application/calendar+json\" version=\"2.0\"/>\
    <cal:calendar-data content-type=\"application/calendar+xml\" version=\"2.0\"/>";
const ADDRESS_DATA_TYPES: &str = "<card:address-data-type content-type=\"text/vcard\" version=\"3.0\"/>\
    <card:address-data-type content-type=\"text/vcard\" version=\"4.0\"/>\
    <card:address-data-type content-type=\"application/vcard+json\" version=\"4.0\"/>";
const CALENDAR_COLLATIONS: &str = "<cal:supported-collation>i;ascii-casemap</cal:supported-collation>\
    <cal:supported-collation>i;octet</cal:supported-collation>\
    <cal:supported-collation>i;unicode-casemap</cal:supported-collation>";
const BOOK_COLLATIONS: &str = "<card:supported-collation>i;ascii-casemap</card:supported-collation>\
    <card:supported-collation>i;octet</card:supported-collation>\
    <card:supported-collation>i;unicode-casemap</card:supported-collation>";

/// Writes XML; true, as a value was written.
pub(super) fn raw(w: &mut Writer, xml: &str) -> bool {
    w.raw(xml);
    true
}

/// Writes text; true, as a value was written.
fn say(w: &mut Writer, text: &str) -> bool {
    w.text(text);
    true
}

pub(super) fn text(value: Option<&str>, w: &mut Writer) -> bool {
    value.is_some_and(|value| say(w, value))
}

pub(super) fn collection<'a>(resource: &Resource<'a>) -> Option<&'a Collection> {
    match resource {
        Resource::Collection(sight) => Some(sight.shown()),
        _ => None,
    }
}

pub(super) fn calendar<'a>(resource: &Resource<'a>) -> Option<&'a Collection> {
    collection(resource).filter(|c| c.kind == CollectionKind::Calendar)
}

fn book<'a>(resource: &Resource<'a>) -> Option<&'a Collection> {
    collection(resource).filter(|c| c.kind == CollectionKind::AddressBook)
}

/// A collection whose changes are numbered for clients.
fn synced<'a>(resource: &Resource<'a>) -> Option<&'a Collection> {
    collection(resource).filter(|c| matches!(c.kind, CollectionKind::Calendar | CollectionKind::AddressBook))
}

fn file_of<'a>(resource: &'a Resource<'_>) -> Option<&'a FileSight<'a>> {
    match resource {
        Resource::File(file) => Some(file),
        _ => None,
    }
}

fn content_of<'a>(resource: &'a Resource<'_>) -> Option<&'a FileContent> {
    file_of(resource).and_then(|file| file.node.content.as_ref())
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
    let modified = file_of(r).map(|f| f.node.modified).or_else(|| meta(r).map(|m| m.modified));
    modified.is_some_and(|time| raw(w, &http_date(time)))
}

fn content_length(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let size = content_of(r).map(|c| c.size).or_else(|| meta(r).map(|m| m.size));
    size.is_some_and(|size| raw(w, &size.to_string()))
}

fn resource_type(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let types = match r {
        Resource::Object(..) => "",
        Resource::Principal(principal) => return principal_props::resource_type(principal, w),
        Resource::Notifications(_) => "<d:collection/><cs:notification/>",
        Resource::File(f) if !f.node.is_folder() => "",
        Resource::Collection(c) => match c.kind {
            CollectionKind::Calendar => "<d:collection/><cal:calendar/>",
            CollectionKind::Inbox => "<d:collection/><cal:schedule-inbox/>",
            CollectionKind::Outbox => "<d:collection/><cal:schedule-outbox/>",
            CollectionKind::AddressBook => "<d:collection/><card:addressbook/>",
        },
        _ => "<d:collection/>",
    };
    w.raw(types);
    match r {
        Resource::Collection(sight) => sharing_props::marks(sight, w),
        _ => true,
    }
}

fn etag(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    match r {
        Resource::Collection(collection) => say(w, &quoted(&collection_etag(collection))),
        _ => {
            let etag = content_of(r).map(|c| &c.etag).or_else(|| meta(r).map(|m| &m.etag));
            etag.is_some_and(|etag| say(w, &quoted(etag)))
        }
    }
}

/// The ETag of a collection, without quotes: another one after every change of its members and properties.
pub(super) fn collection_etag(collection: &Collection) -> String {
    format!("{}-{}", collection.id, collection.sync_token)
}

/// The media type of an object.
pub(super) fn media_type(collection: &Collection, meta: &ObjectMeta) -> String {
    media_type_of(collection.kind, meta)
}

/// The media type of an object in a collection of this kind.
pub(super) fn media_type_of(kind: CollectionKind, meta: &ObjectMeta) -> String {
    match kind {
        CollectionKind::AddressBook => "text/vcard; charset=utf-8".to_owned(),
        _ => format!("text/calendar; charset=utf-8; component={}", meta.component.to_ascii_lowercase()),
    }
}

fn content_type(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    match r {
        Resource::Object(collection, meta, _) => say(w, &media_type(collection, meta)),
        _ => content_of(r).is_some_and(|c| say(w, &c.media_type)),
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
    let all = COMPONENT_TYPES.map(str::to_owned);
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
        Resource::Principal(principal) => principal_props::display_name(principal, w),
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
    match domain_home_of(scene, r) {
        Some(_) => domain_href(scene, w),
        None => owner_href(scene, r).is_some_and(|href| scene.href(w, &href)),
    }
}

/// The group whose book it is (dav §6.1); what is a person's own has none.
fn group(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    match domain_home_of(scene, r) {
        Some(_) => domain_href(scene, w),
        None => owner_of(scene.who, r).is_some(),
    }
}

/// The home of the domain, where the resource is in it.
fn domain_home_of(scene: &Scene<'_>, r: &Resource<'_>) -> Option<HomeId> {
    home_of(r).filter(|home| *home == scene.who.domain_home())
}

fn domain_href(scene: &Scene<'_>, w: &mut Writer) -> bool {
    scene.href(w, &Location::Principal(PrincipalKind::Domain, scene.who.domain().0).href())
}

/// The home that a resource is or is in.
pub(super) fn home_of(resource: &Resource<'_>) -> Option<HomeId> {
    match resource {
        Resource::Home(_, home) => Some(*home),
        Resource::Collection(c) | Resource::Object(c, ..) => Some(c.home),
        Resource::File(file) => Some(file.home),
        Resource::Principal(_) | Resource::Notifications(_) | Resource::Branch => None,
    }
}

/// Href of the principal whose it is.
fn owner_href(scene: &Scene<'_>, resource: &Resource<'_>) -> Option<String> {
    match resource {
        Resource::Principal(Principal::Holder(holder, _)) => Some(holder_href(holder)),
        _ => owner_of(scene.who, resource).map(|home| scene.principal_href(home)),
    }
}

/// Whose it is; nobody's where it is the whole domain's.
pub(super) fn owner_of(who: &Tenant, resource: &Resource<'_>) -> Option<HomeId> {
    match resource {
        Resource::Principal(Principal::User(person)) => Some(person.user.id.into()),
        Resource::Principal(Principal::Proxies(user, ..)) | Resource::Notifications(user) => Some((*user).into()),
        Resource::Principal(Principal::Domain(_) | Principal::Holder(..)) | Resource::Branch => None,
        // What was given belongs to who gave it, a subscription to who made it.
        Resource::Collection(sight) | Resource::Object(sight, ..)
            if sight.instance().is_some_and(|instance| instance.delegation().is_some()) =>
        {
            Some(sight.source().home)
        }
        Resource::Home(..) | Resource::Collection(_) | Resource::Object(..) | Resource::File(_) => {
            home_of(resource).filter(|home| *home != who.domain_home())
        }
    }
}

fn privilege_set(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    for privilege in privileges::of(r, scene.is_owner) {
        w.within("d:privilege", |w| w.empty(privilege));
    }
    true
}

fn reports(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    if file_of(r).is_some() {
        return true;
    }
    const EVERYWHERE: [&str; 6] = [
        "d:acl-principal-prop-set",
        "d:expand-property",
        "d:principal-match",
        "d:principal-property-search",
        "d:principal-search-property-set",
        "cs:calendarserver-principal-search",
    ];
    let more: &[&str] = match r {
        Resource::Collection(c) => match c.kind {
            CollectionKind::Calendar => {
                &["cal:calendar-multiget", "cal:calendar-query", "cal:free-busy-query", "d:sync-collection"]
            }
            CollectionKind::AddressBook => {
                &["card:addressbook-multiget", "card:addressbook-query", "d:sync-collection"]
            }
            CollectionKind::Inbox => &["cal:calendar-multiget", "cal:calendar-query"],
            CollectionKind::Outbox => &[],
        },
        Resource::Home(Space::Calendars, _) if scene.is_owner => {
            &["cal:calendar-multiget", "cal:calendar-query", "cal:free-busy-query"]
        }
        Resource::Home(Space::AddressBooks, _) if scene.is_owner => &["card:addressbook-multiget"],
        // RFC 4791 §7, RFC 6352 §8: told by objects, too.
        Resource::Object(c, ..) if c.kind == CollectionKind::AddressBook => {
            &["card:addressbook-multiget", "card:addressbook-query"]
        }
        Resource::Object(..) => &["cal:calendar-multiget", "cal:calendar-query"],
        _ => &[],
    };
    for report in EVERYWHERE.iter().chain(more) {
        w.within("d:supported-report", |w| w.within("d:report", |w| w.empty(report)));
    }
    true
}

fn limits<'a>(scene: &Scene<'a>) -> &'a Limits {
    &scene.server.settings.limits
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

fn address_data(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    match r {
        Resource::Object(c, _, Some(data)) if c.kind == CollectionKind::AddressBook => say(w, data),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_is_in_the_table_once() {
        for row in all() {
            assert!(std::ptr::eq(find(&row.name).unwrap(), row), "{} is there twice", row.name);
        }
    }
}
