//! Rights as clients read and set them: the `acl` property (RFC 3744 §5.5), the ACL method (§8.1) and
//! acl-principal-prop-set (§9.2).
//!
//! Every right there is today follows from who owns what, and is protected: the method takes a request that asks for
//! nothing beyond these, and names the precondition that any other one breaks.

use http::{Response, StatusCode};

use super::answer;
use super::call::Call;
use super::chunked::{self, Written};
use super::plan::Plan;
use super::privileges;
use super::properties::{Resource, Scene, calendar, home_of, owner_of};
use super::propfind::Target;
use super::report::unsupported;
use super::tenant::{Tenant, principal_of};
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, PrincipalKind};
use crate::dav::upstream::Body;
use crate::dav::xml::{CALDAV, DAV, Element, PropRequest, Writer};
use crate::ids::{DomainId, HomeId, UserId};

/// To whom an entry gives something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    User(UserId),
    /// The people of a domain.
    Domain(DomainId),
    Authenticated,
}

/// One entry: all of them grant, and all of them are protected.
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
    let owned = owner_of(who, resource).map(|owner| Entry { holder: Holder::User(owner), privilege: "d:all" });
    let all = match resource {
        Resource::Branch | Resource::Principal(_) => Some("d:read"),
        // Whoever is of the domain may know when somebody is busy (dav §7).
        _ if calendar(resource).is_some() => Some("cal:read-free-busy"),
        _ => None,
    };
    let all = all.map(|privilege| Entry { holder: Holder::Authenticated, privilege });
    let owned = owned.filter(|_| !matches!(resource, Resource::Principal(_)));
    owned.into_iter().chain(all).collect()
}

/// Writes the value of `acl`.
pub(super) fn write(scene: &Scene<'_>, resource: &Resource<'_>, w: &mut Writer) -> bool {
    for entry in entries(scene.who, resource) {
        w.within("d:ace", |w| {
            w.within("d:principal", |w| match entry.holder {
                Holder::User(user) => {
                    scene.href(w, &principal_of(user));
                }
                Holder::Domain(domain) => {
                    scene.href(w, &Location::Principal(PrincipalKind::Domain, domain.0).href());
                }
                Holder::Authenticated => w.empty("d:authenticated"),
            });
            w.within("d:grant", |w| w.within("d:privilege", |w| w.empty(entry.privilege)));
            w.empty("d:protected");
        });
    }
    true
}

impl Call {
    /// Sets the entries that are not protected, of which there are none.
    pub(super) async fn set_acl(mut self) -> Result<Response<Body>, DavError> {
        let root = self.xml().await?;
        let root = root.filter(|root| root.name.is(DAV, "acl"));
        let root = root.ok_or_else(|| DavError::bad_request("An ACL request needs {DAV:}acl"))?;
        let (target, is_owner) = self.target().await?;
        if !is_owner {
            return Err(self.server.needs(&self.location, "d:write-acl"));
        }
        let resource = target.as_resource().0;
        for entry in root.children(DAV, "ace") {
            self.check_entry(entry, &resource)?;
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
            given.iter().filter(|e| e.holder == holder).any(|e| match e.privilege {
                "d:all" => true,
                "d:read" => privilege.name.is(DAV, "read"),
                _ => privilege.name.is(CALDAV, "read-free-busy"),
            })
        };
        if wanted.iter().all(|privilege| holds(privilege)) {
            return Ok(());
        }
        refused("Rights cannot be given to others yet", "d:allowed-principal")
    }

    /// Whom a `principal` element names. For somebody who has no entry here it does not matter who they are.
    fn holder(&self, principal: &Element, resource: &Resource<'_>) -> Option<Holder> {
        let itself = || self.who.home().map(|home| Holder::User(UserId(home.0)));
        match principal.name.local.as_ref() {
            _ if principal.name.ns != DAV => None,
            "self" => itself(),
            "authenticated" => Some(Holder::Authenticated),
            "property" if principal.child(DAV, "owner").is_some() => owner_of(&self.who, resource).map(Holder::User),
            "href" => match Location::parse_href(&principal.text(), &self.inner().settings.base) {
                Some(Location::Principal(PrincipalKind::User, id)) => Some(Holder::User(UserId(id))),
                Some(Location::Principal(PrincipalKind::Domain, id)) => Some(Holder::Domain(DomainId(id))),
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
                Holder::User(user) => (PrincipalKind::User, user.0),
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
