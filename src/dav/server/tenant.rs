//! Who acts: from an address to a principal with its tenant.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::dav::error::DavError;
use crate::dav::path::{Location, PrincipalKind};
use crate::dav::upstream::Actor;
use crate::ids::{DomainId, Email, HomeId, UserId};
use crate::store::{SharedDirectory, User};

/// How long a principal is remembered: a change of address or tenant is seen at the latest after this time.
pub(super) const REMEMBERED: Duration = Duration::from_secs(10);
/// Principals remembered at once.
const CAPACITY: u64 = 10_000;

/// On whose behalf a request is answered.
#[derive(Debug, Clone)]
pub(super) enum Tenant {
    /// A person.
    User(Arc<User>),
    /// The program, on behalf of a domain.
    Technical(DomainId),
}

impl Tenant {
    /// The tenant's domain. Nothing outside it is ever shown.
    pub(super) fn domain(&self) -> DomainId {
        match self {
            Self::User(user) => user.domain,
            Self::Technical(domain) => *domain,
        }
    }

    /// The home that is the actor's own.
    pub(super) fn home(&self) -> Option<HomeId> {
        match self {
            Self::User(user) => Some(user.id.into()),
            Self::Technical(_) => None,
        }
    }

    /// The home of the actor's domain, which holds the address book of its people. Everybody may read it, nobody writes to
    /// it.
    pub(super) fn domain_home(&self) -> HomeId {
        self.domain().into()
    }

    /// Whose a home is, as messages name principals, without slashes around.
    pub(super) fn owner_of(&self, home: HomeId) -> String {
        let kind = if home == self.domain_home() { PrincipalKind::Domain } else { PrincipalKind::User };
        Location::Principal(kind, home.0).href().trim_matches('/').to_owned()
    }

    /// Whether a home of the actor's domain is the actor's own, or the actor is the program.
    pub(super) fn acts_for(&self, home: HomeId) -> bool {
        self.home().is_none_or(|own| own == home)
    }

    /// The addresses of the actor, the main one first.
    pub(super) fn emails(&self) -> &[Email] {
        match self {
            Self::User(user) => &user.emails,
            Self::Technical(_) => &[],
        }
    }

    /// The principal as messages name it, without slashes around (messaging §1.1).
    pub(super) fn principal(&self) -> String {
        match self {
            Self::User(user) => format!("principals/users/{}", user.id),
            Self::Technical(_) => "principals/technicalUser".to_owned(),
        }
    }

    /// The principal's href, without the base.
    pub(super) fn principal_href(&self) -> String {
        match self {
            Self::User(user) => principal_of(user.id),
            Self::Technical(_) => "/principals/technicalUser/".to_owned(),
        }
    }
}

/// Href of a user's principal, without the base.
pub(super) fn principal_of(user: UserId) -> String {
    Location::Principal(PrincipalKind::User, user.0).href()
}

/// Looks actors up, and remembers them for a short time.
pub(super) struct Tenants {
    directory: SharedDirectory,
    known: Cache<Email, Arc<User>>,
}

impl Tenants {
    pub(super) fn new(directory: SharedDirectory) -> Self {
        let known = Cache::builder().max_capacity(CAPACITY).time_to_live(REMEMBERED).build();
        Self { directory, known }
    }

    /// The person with this address, main or alias.
    pub(super) async fn person(&self, email: &Email) -> Result<Option<Arc<User>>, DavError> {
        if let Some(user) = self.known.get(email) {
            return Ok(Some(user));
        }
        let user = self.directory.user_by_email(email).await?.map(Arc::new);
        if let Some(user) = &user {
            self.known.insert(email.clone(), user.clone());
        }
        Ok(user)
    }

    /// The tenant of an actor; 401 when nobody has the address.
    pub(super) async fn resolve(&self, actor: &Actor) -> Result<Tenant, DavError> {
        match actor {
            Actor::Technical(domain) => Ok(Tenant::Technical(*domain)),
            Actor::User(email) => self.person(email).await?.map(Tenant::User).ok_or_else(DavError::not_authenticated),
        }
    }
}
