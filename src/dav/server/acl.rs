//! Rights as clients read and set them: the `acl` property (RFC 3744 §5.5), the ACL method (§8.1) and
//! acl-principal-prop-set (§9.2).
//!
//! Rights follow from who owns what, what was shared, and what everybody may do. The method sets the last of these; the other
//! entries are protected, and are changed by sharing: it takes them as they are, and names the precondition that any other
//! one breaks.

use http::{Response, StatusCode};

use super::answer;
use super::call::Call;
use super::chunked::{self, Written};
use super::plan::Plan;
use super::privileges;
use super::properties::{Resource, Scene, home_of, owner_of};
use super::propfind::Target;
use super::report::unsupported;
use super::rights::{Need, Sight};
use super::tenant::Tenant;
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, PrincipalKind};
use crate::dav::upstream::Body;
use crate::dav::xml::{DAV, Element, PropRequest, Writer};
use crate::ids::{DomainId, HomeId};
use crate::store::{Access, Collection, CollectionKind, PublicRight, Tie};

/// To whom an entry gives something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// Whoever has this home.
    Home(HomeId),
    /// The people of a domain.
    Domain(DomainId),
    Authenticated,
}

/// One entry: all of them grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    holder: Holder,
    /// With its prefix.
    privilege: &'static str,
}

/// The entries of a resource.
fn entries(who: &Tenant, resource: &Resource<'_>) -> Vec<Entry> {
    if home_of(resource) == Some(who.domain_home()) {
        // They read what is theirs together.
        return vec![Entry { holder: Holder::Domain(who.domain()), privilege: "d:read" }];
    }
    if let Resource::Collection(sight) | Resource::Object(sight, ..) = resource
        && let Some(given) = given(sight)
    {
        return given;
    }
    let owned = owner_of(who, resource).map(|owner| Entry { holder: Holder::Home(owner), privilege: "d:all" });
    let all: &[&'static str] = match resource {
        Resource::Branch | Resource::Principal(_) => &["d:read"],
        Resource::Collection(sight) => everybody(sight),
        _ => &[],
    };
    let all = all.iter().map(|privilege| Entry { holder: Holder::Authenticated, privilege });
    let owned = owned.filter(|_| !matches!(resource, Resource::Principal(_)));
    owned.into_iter().chain(all).collect()
}

/// What everybody of the domain may do (dav §7). Whoever is of it may know when somebody is busy.
fn everybody(collection: &Collection) -> &'static [&'static str] {
    let is_calendar = match collection.kind {
        CollectionKind::Calendar => true,
        CollectionKind::AddressBook => false,
        CollectionKind::Inbox | CollectionKind::Outbox => return &[],
    };
    match &collection.public_right {
        Some(PublicRight::Read) => &["d:read"],
        Some(PublicRight::Write) => &["d:write", "d:read"],
        Some(PublicRight::FreeBusy | PublicRight::Other(_)) | None if is_calendar => &["cal:read-free-busy"],
        Some(PublicRight::FreeBusy | PublicRight::Other(_)) | None => &[],
    }
}

/// The entries of what others gave, or what somebody subscribed to.
fn given(sight: &Sight) -> Option<Vec<Entry>> {
    let instance = sight.instance()?;
    let theirs: &[&'static str] = match &instance.tie {
        Tie::Subscription { .. } => &["d:write-properties"],
        Tie::Delegation(given) => match given.access {
            Access::FreeBusy => &[],
            Access::Read => &["d:write-properties", "d:read"],
            Access::ReadWrite => &["d:write", "d:write-properties", "d:read"],
            Access::Administration => &["d:read", "d:write", "d:write-properties", "d:read-acl", "d:share"],
        },
    };
    let holder = Holder::Home(instance.home);
    let theirs = theirs.iter().map(|privilege| Entry { holder, privilege });
    let all = everybody(sight).iter().map(|privilege| Entry { holder: Holder::Authenticated, privilege });
    Some(theirs.chain(all).collect())
}

/// Writes the value of `acl`.
pub(super) fn write(scene: &Scene<'_>, resource: &Resource<'_>, w: &mut Writer) -> bool {
    for entry in entries(scene.who, resource) {
        w.within("d:ace", |w| {
            w.within("d:principal", |w| match entry.holder {
                Holder::Home(home) => {
                    scene.href(w, &scene.principal_href(home));
                }
                Holder::Domain(domain) => {
                    scene.href(w, &Location::Principal(PrincipalKind::Domain, domain.0).href());
                }
                Holder::Authenticated => w.empty("d:authenticated"),
            });
            w.within("d:grant", |w| w.within("d:privilege", |w| w.empty(entry.privilege)));
            let is_set = matches!(entry.privilege, "d:read" | "d:write") && entry.holder == Holder::Authenticated;
            if !(is_set && matches!(resource, Resource::Collection(_))) {
                w.empty("d:protected");
            }
        });
    }
    true
}

/// The public right that an entry asks for: one that lets everybody of the domain read or write a calendar or an address
/// book.
fn public_right(entry: &Element, resource: &Resource<'_>) -> Option<PublicRight> {
    let Resource::Collection(sight) = resource else { return None };
    let is_shareable = matches!(sight.kind, CollectionKind::Calendar | CollectionKind::AddressBook);
    let is_plain = entry.child(DAV, "invert").is_none() && entry.child(DAV, "deny").is_none();
    let everybody = entry.child(DAV, "principal").is_some_and(|p| p.child(DAV, "authenticated").is_some());
    let grant = entry.child(DAV, "grant").filter(|_| is_shareable && is_plain && everybody)?;
    let asked: Vec<&Element> = grant.children(DAV, "privilege").flat_map(Element::elements).collect();
    let is = |local: &str| asked.iter().any(|privilege| privilege.name.is(DAV, local));
    let known = asked.iter().all(|privilege| privilege.name.is(DAV, "read") || privilege.name.is(DAV, "write"));
    match (known, is("write"), is("read")) {
        (true, true, _) => Some(PublicRight::Write),
        (true, false, true) => Some(PublicRight::Read),
        _ => None,
    }
}

/// Of what two entries ask for, what holds both.
fn wider(one: Option<PublicRight>, other: PublicRight) -> Option<PublicRight> {
    Some(if one == Some(PublicRight::Write) { PublicRight::Write } else { other })
}

impl Call {
    /// Sets what everybody of the domain may do, the only entries that are not protected.
    pub(super) async fn set_acl(mut self) -> Result<Response<Body>, DavError> {
        let root = self.xml().await?;
        let root = root.filter(|root| root.name.is(DAV, "acl"));
        let root = root.ok_or_else(|| DavError::bad_request("An ACL request needs {DAV:}acl"))?;
        let (target, is_owner) = self.target().await?;
        let may_share = match &target {
            Target::Collection(sight) | Target::Object(sight, _) => sight.grants(Need::Share),
            _ => is_owner,
        };
        if !may_share {
            return Err(self.server.needs(&self.location, "d:write-acl"));
        }
        let mut right = None;
        {
            let resource = target.as_resource().0;
            for entry in root.children(DAV, "ace") {
                match public_right(entry, &resource) {
                    Some(asked) => right = wider(right, asked),
                    None => self.check_entry(entry, &resource)?,
                }
            }
        }
        if let Target::Collection(sight) = &target {
            let is_listed = |right: &Option<PublicRight>| right.as_ref().is_some_and(PublicRight::reads);
            // What is not in the list stays: it says nothing beyond what holds for everybody anyway.
            if right != sight.public_right && (is_listed(&right) || is_listed(&sight.public_right)) {
                self.set_public_right(sight, right).await?;
            }
        }
        Ok(answer::empty(StatusCode::OK))
    }

    /// Whether an entry that somebody asks for says only what holds anyway.
    fn check_entry(&self, entry: &Element, resource: &Resource<'_>) -> Result<(), DavError> {
        let refused = |message: &str, condition| Err(DavError::forbidden(message).because(Condition::Empty(condition)));
        if entry.child(DAV, "invert").is_some() {
            return refused("Entries for everybody but somebody are not supported", "d:no-invert");
        }
        if entry.child(DAV, "deny").is_some() {
            return refused("Entries can only grant", "d:grant-only");
        }
        let principal = entry.child(DAV, "principal").and_then(|p| p.elements().next());
        let (Some(principal), Some(grant)) = (principal, entry.child(DAV, "grant")) else {
            return Err(DavError::bad_request("An ace needs a principal and a grant"));
        };
        let wanted = grant.children(DAV, "privilege").flat_map(Element::elements);
        let wanted: Vec<&Element> = wanted.collect();
        if wanted.iter().any(|privilege| !privileges::is_known(resource, &privilege.name)) {
            return refused("There is no such privilege here", "d:not-supported-privilege");
        }
        let Some(holder) = self.holder(principal, resource) else {
            return refused("There is no such principal", "d:recognized-principal");
        };
        let given = entries(&self.who, resource);
        let holds = |privilege: &Element| {
            let asked = privilege.name.prefix().map(|prefix| format!("{prefix}:{}", privilege.name.local));
            given
                .iter()
                .filter(|e| e.holder == holder)
                .any(|e| e.privilege == "d:all" || asked.as_deref() == Some(e.privilege))
        };
        if wanted.iter().all(|privilege| holds(privilege)) {
            return Ok(());
        }
        refused("Rights are given to others by sharing", "d:allowed-principal")
    }

    /// Whom a `principal` element names. For somebody who has no entry here it does not matter who they are.
    fn holder(&self, principal: &Element, resource: &Resource<'_>) -> Option<Holder> {
        let itself = || self.who.home().map(Holder::Home);
        match principal.name.local.as_ref() {
            _ if principal.name.ns != DAV => None,
            "self" => itself(),
            "authenticated" => Some(Holder::Authenticated),
            "property" if principal.child(DAV, "owner").is_some() => owner_of(&self.who, resource).map(Holder::Home),
            "href" => match Location::parse_href(&principal.text(), &self.inner().settings.base) {
                Some(Location::Principal(PrincipalKind::Domain, id)) => Some(Holder::Domain(DomainId(id))),
                Some(Location::Principal(_, id)) => Some(Holder::Home(HomeId(id))),
                _ => None,
            },
            _ => None,
        }
    }

    /// Answers with properties of the principals that the resource's entries name (RFC 3744 §9.2).
    pub(super) async fn acl_principals(self, root: &Element) -> Result<Response<Body>, DavError> {
        let request = PropRequest::read_report(root)?;
        let plan = Plan::for_request(&request, self.prefers("return=minimal"));
        let (target, _) = self.target().await?;
        if matches!(target, Target::Object(..)) {
            return Err(unsupported("{DAV:}acl-principal-prop-set"));
        }
        let mut w = Writer::default();
        for entry in entries(&self.who, &target.as_resource().0) {
            let (kind, id) = match entry.holder {
                Holder::Home(home) => match self.inner().tenants.place_of(home) {
                    Location::Principal(kind, id) => (kind, id),
                    _ => continue,
                },
                Holder::Domain(domain) => (PrincipalKind::Domain, domain.0),
                Holder::Authenticated => continue,
            };
            let Ok(mut principal) = self.server.principal(&self.who, kind, id).await else { continue };
            self.server.complete(&self.who, &mut principal, |name| plan.asks_for(name)).await?;
            let is_owner = self.who.home() == Some(HomeId(id));
            let scene = Scene { server: self.inner(), who: &self.who, is_owner, data: None };
            plan.write(&scene, &Resource::Principal(&principal), &principal.href(), &mut w);
        }
        chunked::multistatus(Written(w.take()), plan.is_minimal()).await
    }
}
