//! Principals: people, resources and team calendars, the domain as the group of its people, and the two groups of proxies that calendarserver's clients
//! look for at every person (dav §4, RFC 3744 §2). Who is in which group is found in `groups`. Also principal-match (RFC 3744 §9.3).
//!
//! What costs a read of its own is only there when a client asked for it: [`Server::complete`].

use std::sync::Arc;

use http::Response;

use super::Server;
use super::call::Call;
use super::chunked;
use super::groups::ActsFor;
use super::plan::Plan;
use super::propfind::{Listing, Step, Target};
use super::report::{Members, unsupported};
use super::tenant::{Tenant, holder_href, kind_of, principal_of};
use crate::dav::error::DavError;
use crate::dav::path::{Location, PrincipalKind, PrincipalPart};
use crate::dav::upstream::Body;
use crate::dav::xml::{CALDAV, CALENDARSERVER, DAV, Element, Name, PropRequest};
use crate::ids::{HomeId, ObjectId, UserId};
use crate::store::{Domain, Holder, HolderKind, User};

/// Members of a domain that are read at once.
const PAGE: usize = 500;

/// A principal.
#[derive(Debug, Clone)]
pub(super) enum Principal {
    /// A person.
    User(Person),
    /// The people of a domain.
    Domain(Group),
    /// A resource or a team calendar, with the members of a team where they were asked for.
    Holder(Arc<Holder>, Vec<UserId>),
    /// Those who act for a person, where they were asked for.
    Proxies(UserId, PrincipalPart, Vec<UserId>),
}

/// A person, with what was read because it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) user: User,
    /// Segment of the calendar that invitations go to, where it is not the default calendar (RFC 6638 §9.2).
    pub(super) default_calendar: Option<String>,
    /// For whom they act.
    pub(super) acts_for: ActsFor,
}

/// A domain, with its members where they were asked for.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) domain: Domain,
    pub(super) members: Vec<UserId>,
}

impl Principal {
    /// A person, about whom nothing else was read.
    pub(super) fn user(user: User) -> Self {
        Self::User(Person { user, default_calendar: None, acts_for: ActsFor::default() })
    }

    /// Whoever has a home.
    pub(super) fn of(holder: Holder) -> Self {
        match holder.kind {
            HolderKind::User(user) => Self::user(Arc::unwrap_or_clone(user)),
            HolderKind::Resource(_) | HolderKind::TeamCalendar(_) => Self::Holder(Arc::new(holder), Vec::new()),
        }
    }

    /// Its href, without the base.
    pub(super) fn href(&self) -> String {
        match self {
            Self::User(person) => principal_of(person.user.id),
            Self::Holder(holder, _) => holder_href(holder),
            Self::Domain(group) => Location::Principal(PrincipalKind::Domain, group.domain.id.0).href(),
            Self::Proxies(user, part, _) => Location::PrincipalPart(user.0, *part).href(),
        }
    }
}

impl Server {
    /// The principal of a kind with this id.
    ///
    /// # Errors
    /// 404 when there is none; 403 when it belongs to another domain (dav §18.2).
    pub(super) async fn principal(
        &self,
        who: &Tenant,
        kind: PrincipalKind,
        id: ObjectId,
    ) -> Result<Principal, DavError> {
        let found = match kind {
            PrincipalKind::User => {
                let user = self.0.directory.user(UserId(id)).await?;
                user.map(|user| (user.domain, Principal::user(user)))
            }
            PrincipalKind::Domain => {
                let domain = self.0.directory.domain(crate::ids::DomainId(id)).await?;
                domain.map(|domain| (domain.id, Principal::Domain(Group { domain, members: Vec::new() })))
            }
            PrincipalKind::Resource | PrincipalKind::TeamCalendar => {
                let holder = self.0.tenants.holder(HomeId(id)).await?;
                let holder = holder.filter(|holder| kind_of(holder) == kind);
                holder.map(|holder| (holder.domain, Principal::Holder(holder, Vec::new())))
            }
        };
        let Some((domain, principal)) = found else {
            return Err(DavError::not_found(format!("Principal with name {id} not found")));
        };
        if domain != who.domain() {
            return Err(DavError::forbidden("Cross-domain principal access is not allowed"));
        }
        Ok(principal)
    }

    /// Reads what a principal needs for properties that were asked for, and costs a read of its own.
    pub(super) async fn complete(
        &self,
        who: &Tenant,
        principal: &mut Principal,
        asked: impl Fn(&Name) -> bool,
    ) -> Result<(), DavError> {
        match principal {
            Principal::User(person) => {
                if asked(&DEFAULT_CALENDAR) {
                    person.default_calendar = self.chosen_default(person.user.id.into()).await?;
                }
                // Whose calendars somebody was given is nobody else's business.
                if who.acts_for(person.user.id.into()) && ACTING.iter().any(&asked) {
                    person.acts_for = self.acts_for(&person.user).await?;
                }
            }
            Principal::Domain(group) if asked(&GROUP_MEMBERS) => group.members = self.members(who).await?,
            Principal::Holder(holder, members) if asked(&GROUP_MEMBERS) && holder.team().is_some() => {
                *members = self.team_members(who, holder).await?;
            }
            Principal::Proxies(user, part, proxies) if asked(&GROUP_MEMBERS) => {
                *proxies = self.proxies(who, *user, *part).await?;
            }
            Principal::Domain(_) | Principal::Holder(..) | Principal::Proxies(..) => {}
        }
        Ok(())
    }

    /// The people of the actor's domain whom the actor may know of.
    async fn members(&self, who: &Tenant) -> Result<Vec<UserId>, DavError> {
        if let (true, Tenant::User(user)) = (self.0.settings.principal_privacy, who) {
            return Ok(vec![user.id]);
        }
        let mut members: Vec<UserId> = Vec::new();
        loop {
            let page = self.0.directory.users(Some(who.domain()), members.last().copied(), PAGE).await?;
            members.extend(page.iter().map(|user| user.id));
            if page.len() < PAGE {
                return Ok(members);
            }
        }
    }
}

pub(super) const DEFAULT_CALENDAR: Name = Name::new(CALDAV, "schedule-default-calendar-URL");
const GROUP_MEMBERS: Name = Name::new(DAV, "group-member-set");
/// Properties that tell for whom a person acts.
const ACTING: [Name; 3] = [
    Name::new(DAV, "group-membership"),
    Name::new(CALENDARSERVER, "calendar-proxy-read-for"),
    Name::new(CALENDARSERVER, "calendar-proxy-write-for"),
];

/// Properties that say to whom something belongs: what principal-match can compare with the actor.
const OWNERS: [Name; 2] = [Name::new(DAV, "owner"), Name::new(DAV, "principal-URL")];

impl Call {
    /// Answers with what is below the location and is the actor, or a group of the actor, or belongs to the actor
    /// (RFC 3744 §9.3).
    pub(super) async fn principal_match(self, root: &Element) -> Result<Response<Body>, DavError> {
        let request = PropRequest::read_report(root)?;
        let plan = Plan::for_request(&request, self.prefers("return=minimal"));
        self.target().await?;
        let mut steps = match root.child(DAV, "principal-property") {
            _ if root.child(DAV, "self").is_some() => self.selves().await?,
            Some(property) if property.elements().any(|e| OWNERS.contains(&e.name)) => self.belongings(property),
            Some(_) => Vec::new(),
            None => return Err(DavError::bad_request("A principal-match needs self or principal-property")),
        };
        steps.reverse();
        let minimal = plan.is_minimal();
        let members = Members::new(self.server, self.who, plan, request.data)?;
        chunked::multistatus(Listing::new(members, true, steps), minimal).await
    }

    /// The actor and the groups the actor is in, as far as they are below the location.
    async fn selves(&self) -> Result<Vec<Step>, DavError> {
        if let Tenant::Holder(holder) = &self.who {
            let is_below = match &self.location {
                Location::Root | Location::Principals => true,
                Location::PrincipalSet(kind) => *kind == kind_of(holder),
                Location::Principal(kind, id) => *kind == kind_of(holder) && *id == holder.home.0,
                _ => false,
            };
            let itself = Step::One(Target::Principal(Principal::Holder(holder.clone(), Vec::new())));
            return Ok(is_below.then_some(itself).into_iter().collect());
        }
        let Tenant::User(user) = &self.who else { return Ok(Vec::new()) };
        let person = || Principal::user((**user).clone());
        let group = || self.server.principal(&self.who, PrincipalKind::Domain, user.domain.0);
        let found = match &self.location {
            Location::Root | Location::Principals => vec![person(), group().await?],
            Location::PrincipalSet(PrincipalKind::User) => vec![person()],
            Location::PrincipalSet(PrincipalKind::Domain) => vec![group().await?],
            Location::Principal(PrincipalKind::User, id) if *id == user.id.0 => vec![person()],
            _ => Vec::new(),
        };
        Ok(found.into_iter().map(|principal| Step::One(Target::Principal(principal))).collect())
    }

    /// What belongs to the actor below the location: the homes with everything in them, or the principal.
    fn belongings(&self, property: &Element) -> Vec<Step> {
        let Tenant::User(user) = &self.who else { return Vec::new() };
        let person = || Step::One(Target::Principal(Principal::user((**user).clone())));
        let own = user.id.into();
        if property.child(DAV, "owner").is_none() {
            return match &self.location {
                Location::Root | Location::Principals | Location::PrincipalSet(PrincipalKind::User) => vec![person()],
                _ => Vec::new(),
            };
        }
        match &self.location {
            Location::Homes(space) => vec![Step::One(Target::Home(*space, own)), Step::Everything(*space, own)],
            Location::Home(space, home) if *home == own => vec![Step::Everything(*space, own)],
            Location::PrincipalSet(PrincipalKind::User) => vec![person()],
            _ => Vec::new(),
        }
    }
}

impl Call {
    /// Refuses a report about principals on something that holds none.
    pub(super) fn require_principals_below(&self, report: &str) -> Result<(), DavError> {
        match self.location {
            Location::Member { .. } | Location::Itip | Location::WellKnown(_) => Err(unsupported(report)),
            _ => Ok(()),
        }
    }
}
