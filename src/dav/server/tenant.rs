//! Who acts: from an address to a principal with its tenant.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::call::Call;
use crate::dav::error::DavError;
use crate::dav::path::{Location, PrincipalKind};
use crate::dav::upstream::Actor;
use crate::ids::{DomainId, Email, HomeId, ObjectId, ResourceId, TeamCalendarId, UserId};
use crate::store::{Holder, HolderKind, SharedDirectory, StoreError, User};

/// How long a principal is remembered: a change of address or tenant is seen at the latest after this time.
pub(super) const REMEMBERED: Duration = Duration::from_secs(10);
/// Principals remembered at once.
const CAPACITY: u64 = 10_000;

/// On whose behalf a request is answered.
#[derive(Debug, Clone)]
pub(super) enum Tenant {
    /// A person.
    User(Arc<User>),
    /// A resource or a team calendar, in whose name a program acts (dav §2).
    Holder(Arc<Holder>),
    /// The program, on behalf of a domain.
    Technical(DomainId),
}

impl Tenant {
    /// The tenant's domain. Nothing outside it is ever shown.
    pub(super) fn domain(&self) -> DomainId {
        match self {
            Self::User(user) => user.domain,
            Self::Holder(holder) => holder.domain,
            Self::Technical(domain) => *domain,
        }
    }

    /// The home that is the actor's own.
    pub(super) fn home(&self) -> Option<HomeId> {
        match self {
            Self::User(user) => Some(user.id.into()),
            Self::Holder(holder) => Some(holder.home),
            Self::Technical(_) => None,
        }
    }

    /// The person who acts, if it is one.
    pub(super) fn person(&self) -> Option<UserId> {
        match self {
            Self::User(user) => Some(user.id),
            Self::Holder(_) | Self::Technical(_) => None,
        }
    }

    /// The actor as the holder of this home, if it is theirs.
    pub(super) fn as_holder_of(&self, home: HomeId) -> Option<Arc<Holder>> {
        match self {
            Self::User(user) if home == user.id.into() => Some(Arc::new(Holder::from(user.clone()))),
            Self::Holder(holder) if home == holder.home => Some(holder.clone()),
            _ => None,
        }
    }

    /// The home of the actor's domain, which holds the address book of its people. Everybody may read it, nobody writes to
    /// it.
    pub(super) fn domain_home(&self) -> HomeId {
        self.domain().into()
    }

    /// Whether a home of the actor's domain is the actor's own, or the actor is the program.
    pub(super) fn acts_for(&self, home: HomeId) -> bool {
        self.home().is_none_or(|own| own == home)
    }

    /// The addresses of the actor, the main one first.
    pub(super) fn emails(&self) -> &[Email] {
        match self {
            Self::User(user) => &user.emails,
            Self::Holder(holder) => &holder.emails,
            Self::Technical(_) => &[],
        }
    }

    /// The principal as messages name it, without slashes around (messaging §1.1).
    pub(super) fn principal(&self) -> String {
        match self {
            Self::User(user) => format!("principals/users/{}", user.id),
            Self::Holder(holder) => principal_name(holder),
            Self::Technical(_) => "principals/technicalUser".to_owned(),
        }
    }

    /// The principal's href, without the base.
    pub(super) fn principal_href(&self) -> String {
        match self {
            Self::User(user) => principal_of(user.id),
            Self::Holder(holder) => holder_href(holder),
            Self::Technical(_) => "/principals/technicalUser/".to_owned(),
        }
    }
}

/// Href of a user's principal, without the base.
pub(super) fn principal_of(user: UserId) -> String {
    Location::Principal(PrincipalKind::User, user.0).href()
}

/// Href of whoever has a home, without the base.
pub(super) fn holder_href(holder: &Holder) -> String {
    Location::Principal(kind_of(holder), holder.home.0).href()
}

/// Whoever has a home as messages name principals, without slashes around (messaging §1.1).
pub(super) fn principal_name(holder: &Holder) -> String {
    named(&Location::Principal(kind_of(holder), holder.home.0))
}

impl Call {
    /// Whose a home is which the request has to do with, as messages and JSON name principals, without slashes around.
    pub(super) fn owner_name(&self, home: HomeId) -> String {
        self.inner().tenants.owner_name(&self.who, home)
    }
}

fn named(principal: &Location) -> String {
    principal.href().trim_matches('/').to_owned()
}

/// Where the principal of whoever has a home is.
pub(super) fn kind_of(holder: &Holder) -> PrincipalKind {
    match holder.kind {
        HolderKind::User(_) => PrincipalKind::User,
        HolderKind::Resource(_) => PrincipalKind::Resource,
        HolderKind::TeamCalendar(_) => PrincipalKind::TeamCalendar,
    }
}

/// Looks actors and the holders of homes up, and remembers them for a short time.
pub(super) struct Tenants {
    directory: SharedDirectory,
    known: Cache<Email, Arc<Holder>>,
    /// Homes that are no person's, once seen. What a home is never changes.
    others: Cache<HomeId, PrincipalKind>,
}

impl Tenants {
    pub(super) fn new(directory: SharedDirectory) -> Self {
        let known = Cache::builder().max_capacity(CAPACITY).time_to_live(REMEMBERED).build();
        Self { directory, known, others: Cache::new(CAPACITY) }
    }

    /// Who is invited by this address: a person, main address or alias; a resource or a team calendar by its id (dav §2).
    pub(super) async fn invited_as(&self, email: &Email) -> Result<Option<Arc<Holder>>, DavError> {
        if let Some(holder) = self.known.get(email) {
            return Ok(Some(holder));
        }
        let holder = match self.directory.user_by_email(email).await? {
            Some(user) => Some(Arc::new(Holder::from(Arc::new(user)))),
            None => self.named_by_id(email).await?,
        };
        if let Some(holder) = &holder {
            self.known.insert(email.clone(), holder.clone());
        }
        Ok(holder)
    }

    async fn named_by_id(&self, email: &Email) -> Result<Option<Arc<Holder>>, DavError> {
        let Ok(id) = email.local_part().parse::<ObjectId>() else { return Ok(None) };
        let holder = self.other(HomeId(id)).await?;
        Ok(holder.filter(|holder| holder.emails.contains(email)))
    }

    /// Whose home it is. Deleted resources have none any more.
    pub(super) async fn holder(&self, home: HomeId) -> Result<Option<Arc<Holder>>, DavError> {
        match self.directory.user(UserId(home.0)).await? {
            Some(user) => Ok(Some(Arc::new(Holder::from(Arc::new(user))))),
            None => self.other(home).await,
        }
    }

    /// The resource or the team calendar with this home.
    async fn other(&self, home: HomeId) -> Result<Option<Arc<Holder>>, DavError> {
        let found = self.resource_or_team(home).await?.map(Arc::new);
        if let Some(holder) = &found {
            self.others.insert(home, kind_of(holder));
        }
        Ok(found)
    }

    async fn resource_or_team(&self, home: HomeId) -> Result<Option<Holder>, StoreError> {
        let directory = &self.directory;
        if let Some(resource) = directory.resource(ResourceId(home.0)).await? {
            let domain = directory.domain(resource.domain).await?;
            return Ok(domain.and_then(|domain| Holder::of_resource(resource, &domain.name)));
        }
        let Some(team) = directory.team_calendar(TeamCalendarId(home.0)).await? else { return Ok(None) };
        let domain = directory.domain(team.domain).await?;
        Ok(domain.and_then(|domain| Holder::of_team(team, &domain.name)))
    }

    /// Whether a home that the request has to do with is that of a resource or a team.
    pub(super) fn is_other(&self, home: HomeId) -> bool {
        self.others.get(&home).is_some()
    }

    /// Whether a home that the request has to do with is that of a team.
    pub(super) fn is_team(&self, home: HomeId) -> bool {
        self.others.get(&home) == Some(PrincipalKind::TeamCalendar)
    }

    /// Where the principal is that has a home which the request has to do with.
    pub(super) fn place_of(&self, home: HomeId) -> Location {
        Location::Principal(self.others.get(&home).unwrap_or(PrincipalKind::User), home.0)
    }

    /// Whose a home is which the request has to do with, as messages name principals, without slashes around.
    pub(super) fn owner_name(&self, who: &Tenant, home: HomeId) -> String {
        match who {
            Tenant::Holder(holder) if holder.home == home => principal_name(holder),
            who if home == who.domain_home() => named(&Location::Principal(PrincipalKind::Domain, home.0)),
            _ => named(&self.place_of(home)),
        }
    }

    /// Href of the principal that has a home which the request has to do with.
    pub(super) fn href_of(&self, home: HomeId) -> String {
        self.place_of(home).href()
    }

    /// The tenant of an actor; 401 when nobody has the address.
    pub(super) async fn resolve(&self, actor: &Actor) -> Result<Tenant, DavError> {
        let email = match actor {
            Actor::Technical(domain) => return Ok(Tenant::Technical(*domain)),
            Actor::User(email) => email,
        };
        let holder = self.invited_as(email).await?.ok_or_else(DavError::not_authenticated)?;
        Ok(match &holder.kind {
            HolderKind::User(user) => Tenant::User(user.clone()),
            HolderKind::Resource(_) | HolderKind::TeamCalendar(_) => Tenant::Holder(holder),
        })
    }
}
