//! Live properties of homes, calendars and address books that clients ask for by name (RFC 3744 §5, RFC 4791 §5.2, RFC
//! 5842 §3.1). A limit is told where it is kept, and only there.

use chrono::DateTime;
use md5::{Digest as _, Md5};

use super::files::properties as file;
use super::principals::Principal;
use super::properties::{Resource, Row, Scene, calendar, raw, row, usual};
use crate::dav::path::Space;
use crate::dav::xml::{CALDAV, DAV, Writer};
use crate::ids::ObjectId;

/// The rows, in the order in which answers list them.
pub(super) static ROWS: &[Row] = &[
    usual(DAV, "creationdate", creation_date),
    row(DAV, "resource-id", resource_id),
    // Nobody owns anything together with others.
    row(DAV, "inherited-acl-set", |_, _, _| true),
    row(DAV, "acl-restrictions", |_, _, w| raw(w, "<d:grant-only/><d:no-invert/>")),
    // Without an element in it: calendars for any combination of components can be made (caldav-extensions).
    row(CALDAV, "supported-calendar-component-sets", |_, r, _| matches!(r, Resource::Home(Space::Calendars, _))),
    // RFC 8607 §6. Without an address in it: attachments are where the calendars are, under whatever name the client found them.
    row(CALDAV, "managed-attachments-server-URL", |scene, r, _| {
        matches!(r, Resource::Home(Space::Calendars, _)) && attaches(scene)
    }),
    row(CALDAV, "max-attachment-size", |scene, r, w| {
        let most = scene.server.settings.files.attachment_bytes;
        calendar(r).is_some() && attaches(scene) && raw(w, &most.to_string())
    }),
    row(CALDAV, "max-attachments-per-resource", |scene, r, w| {
        let most = scene.server.settings.files.attachments_per_object;
        calendar(r).is_some() && attaches(scene) && raw(w, &most.to_string())
    }),
];

/// Whether objects can have managed attachments.
fn attaches(scene: &Scene<'_>) -> bool {
    scene.server.files.get().is_some()
}

/// The id under which a resource was made, and what else tells it apart from others that were made with it.
fn made_as(resource: &Resource<'_>) -> Option<(ObjectId, &'static str)> {
    match resource {
        Resource::Principal(Principal::User(person)) => Some((person.user.id.0, "principal")),
        Resource::Principal(Principal::Holder(holder, _)) => Some((holder.home.0, "principal")),
        Resource::Principal(Principal::Domain(group)) => Some((group.domain.id.0, "principal")),
        Resource::Principal(Principal::Proxies(user, part, _)) => Some((user.0, part.segment())),
        Resource::Notifications(user) => Some((user.0, "notifications")),
        Resource::Home(space, home) => Some((home.0, space.segment())),
        Resource::Collection(collection) => Some((collection.id.0, "collection")),
        Resource::Branch | Resource::Object(..) | Resource::File(_) => None,
    }
}

/// Ids begin with the second in which they were made.
fn creation_date(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let Some((id, _)) = made_as(r) else { return file::creation_date(scene, r, w) };
    let [a, b, c, d, ..] = *id.bytes();
    let seconds = i64::from(u32::from_be_bytes([a, b, c, d]));
    DateTime::from_timestamp(seconds, 0).is_some_and(|made| raw(w, &made.format("%Y-%m-%dT%H:%M:%SZ").to_string()))
}

/// An address that stays when the resource is renamed, and that nothing else ever has.
fn resource_id(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    made_as(r).is_some_and(|(id, kind)| {
        let digest = Md5::new().chain_update(id.bytes()).chain_update(kind).finalize();
        w.href(&format!("urn:uuid:{}", uuid::Builder::from_md5_bytes(digest.into()).into_uuid()));
        true
    })
}
