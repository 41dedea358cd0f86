//! Properties of what is shared: with whom, by whom, and how (dav §6.1, §7, §9).

use super::Server;
use super::properties::{Resource, Row, Scene, raw, row};
use super::rights::{Sight, Standing};
use crate::dav::error::DavError;
use crate::dav::path::push_segment;
use crate::dav::xml::{CALENDARSERVER, DAV, Name, Writer};
use crate::store::{Access, CollectionKind, Delegation, Instance, InviteStatus};

/// The rows, in the order in which answers list them.
pub(super) static ROWS: &[Row] = &[
    row(CALENDARSERVER, "invite", calendarserver_invite),
    row(DAV, "invite", invite),
    row(DAV, "share-access", share_access),
    row(CALENDARSERVER, "allowed-sharing-modes", sharing_modes),
    row(CALENDARSERVER, "shared-url", shared_url),
    row(DAV, "sharer-resource-uri", sharer),
    row(CALENDARSERVER, "source", source),
];

impl Server {
    /// Reads with whom a collection is shared, where an answer tells it.
    pub(super) async fn complete_sight(
        &self,
        sight: &mut Sight,
        asks_for: impl Fn(&Name) -> bool,
    ) -> Result<(), DavError> {
        const INVITES: [Name; 2] = [Name::new(CALENDARSERVER, "invite"), Name::new(DAV, "invite")];
        if is_shareable(sight) && INVITES.iter().any(asks_for) {
            let mut instances = self.instances(sight.source()).await?;
            instances.retain(|instance| instance.delegation().is_some_and(|g| g.status != InviteStatus::Invalid));
            sight.sharees = instances;
        }
        Ok(())
    }
}

/// Whether it can be shared at all: what was given or is one's own, but no subscription.
fn is_shareable(sight: &Sight) -> bool {
    let is_one = matches!(sight.kind, CollectionKind::Calendar | CollectionKind::AddressBook);
    is_one && sight.instance().is_none_or(|instance| instance.delegation().is_some())
}

fn shared<'a>(resource: &Resource<'a>) -> Option<&'a Sight> {
    match resource {
        Resource::Collection(sight) if is_shareable(sight) => Some(sight),
        _ => None,
    }
}

/// What the resource is to those it was given to; administrators and those who only know busy times have no word in XML
/// (observed §6).
fn word(access: Access) -> Option<&'static str> {
    matches!(access, Access::Read | Access::ReadWrite).then(|| access.word())
}

fn given(instances: &[Instance]) -> impl Iterator<Item = &Delegation> {
    instances.iter().filter_map(Instance::delegation)
}

fn status(given: &Delegation) -> &'static str {
    match given.status {
        InviteStatus::NoResponse => "invite-noresponse",
        InviteStatus::Accepted => "invite-accepted",
        InviteStatus::Declined => "invite-declined",
        InviteStatus::Invalid => "invite-invalid",
    }
}

/// The principal whose collection it is, without a slash at its end, as sabre writes it.
fn owner_href(scene: &Scene<'_>, sight: &Sight, w: &mut Writer) {
    scene.href(w, scene.server.tenants.href_of(sight.source().home).trim_end_matches('/'));
}

fn calendarserver_invite(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let Some(sight) = shared(r) else { return false };
    w.within("cs:organizer", |w| owner_href(scene, sight, w));
    for given in given(&sight.sharees) {
        w.within("cs:user", |w| {
            w.empty(&format!("cs:{}", status(given)));
            match word(given.access) {
                Some(word) => w.within("cs:access", |w| w.empty(&format!("cs:{word}"))),
                None => w.empty("cs:access"),
            }
            w.href(&given.href);
            if let Some(name) = &given.name {
                w.element("cs:common-name", name);
            }
        });
    }
    true
}

fn invite(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let Some(sight) = shared(r) else { return false };
    w.within("d:sharee", |w| {
        owner_href(scene, sight, w);
        w.raw("<d:prop/><d:share-access><d:shared-owner/></d:share-access><d:invite-accepted/>");
    });
    for given in given(&sight.sharees) {
        w.within("d:sharee", |w| {
            w.href(&given.href);
            match &given.name {
                Some(name) => w.within("d:prop", |w| w.element("d:displayname", name)),
                None => w.empty("d:prop"),
            }
            match word(given.access) {
                Some(word) => w.within("d:share-access", |w| w.empty(&format!("d:{word}"))),
                None => w.empty("d:share-access"),
            }
            w.empty(&format!("d:{}", status(given)));
        });
    }
    true
}

fn share_access(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let Some(sight) = shared(r) else { return false };
    match sight.instance().and_then(Instance::delegation) {
        None => w.empty("d:not-shared"),
        Some(given) => {
            if let Some(word) = word(given.access) {
                w.empty(&format!("d:{word}"));
            }
        }
    }
    true
}

fn sharing_modes(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    shared(r).is_some_and(|sight| {
        let can_share = sight.grants(super::rights::Need::Share);
        if can_share {
            w.raw("<cs:can-be-shared/>");
        }
        can_share
    })
}

/// Where its owner has it, for those it was given to.
fn source_href(scene: &Scene<'_>, sight: &Sight, is_subscription: bool, w: &mut Writer) -> bool {
    let delegated = sight.instance().filter(|instance| instance.delegation().is_none() == is_subscription);
    delegated.is_some_and(|_| {
        let source = sight.source();
        let mut path = format!("/{}/{}/", super::access::space_of(source.kind).segment(), source.home);
        push_segment(&mut path, &source.uri);
        scene.href(w, &path)
    })
}

fn shared_url(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    shared(r).is_some_and(|sight| source_href(scene, sight, false, w))
}

fn sharer(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    shared_url(scene, r, w)
}

fn source(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    match r {
        Resource::Collection(sight) => source_href(scene, sight, true, w),
        _ => false,
    }
}

/// What its resource type says besides what it is.
pub(super) fn marks(sight: &Sight, w: &mut Writer) -> bool {
    match (sight.standing, sight.instance()) {
        (_, Some(instance)) if instance.delegation().is_none() => raw(w, "<cs:subscribed/>"),
        (Standing::Owner | Standing::Member | Standing::Colleague, _) | (_, None) => true,
        (_, Some(instance)) => {
            let is_plain = instance.delegation().and_then(|given| word(given.access)).is_some();
            !is_plain || raw(w, "<cs:shared/>")
        }
    }
}
