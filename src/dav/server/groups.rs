//! Who is in which group, as it follows from what was shared: the members of a team, and the proxies of a person, by whom
//! calendarserver's clients know for whom somebody acts (caldav-proxy §5).
//!
//! Proxies are those to whom the default calendar was given: a calendar besides is no account. Nobody becomes one in any other way,
//! so that the groups are read and not written.

use super::Server;
use super::tenant::{Tenant, holder_href};
use crate::dav::error::DavError;
use crate::dav::path::{Location, PrincipalPart, Space};
use crate::ids::{HomeId, UserId};
use crate::store::{Access, Delegation, Holder, Instance, User};

/// For whom a person acts: addresses without the base.
#[derive(Debug, Clone, Default)]
pub(super) struct ActsFor {
    /// Principals whose calendar they may read, and no more.
    pub(super) reading: Vec<String>,
    /// Principals whose calendar they may write.
    pub(super) writing: Vec<String>,
    /// The groups that this makes them a member of.
    pub(super) groups: Vec<String>,
}

/// The group of those who were given this; `None` for those who may only know busy times.
const fn part_of(access: Access) -> Option<PrincipalPart> {
    match access {
        Access::Read => Some(PrincipalPart::ProxyRead),
        Access::ReadWrite | Access::Administration => Some(PrincipalPart::ProxyWrite),
        Access::FreeBusy => None,
    }
}

impl Server {
    /// Those who read, or write, for a person. Everybody but that person, and the program, is only told of themselves.
    pub(super) async fn proxies(
        &self,
        who: &Tenant,
        user: UserId,
        part: PrincipalPart,
    ) -> Result<Vec<UserId>, DavError> {
        let mut proxies = self.given_default(user.into(), |access| part_of(access) == Some(part)).await?;
        if !who.acts_for(user.into()) {
            proxies.retain(|proxy| who.person() == Some(*proxy));
        }
        Ok(proxies)
    }

    /// The members of a team. They know each other; where principals are private nobody else does.
    pub(super) async fn team_members(&self, who: &Tenant, team: &Holder) -> Result<Vec<UserId>, DavError> {
        let members = self.given_default(team.home, Access::reads).await?;
        let may_know = !self.0.settings.principal_privacy
            || who.acts_for(team.home)
            || who.person().is_some_and(|person| members.contains(&person));
        Ok(if may_know { members } else { Vec::new() })
    }

    /// For whom a person acts: people, resources and teams.
    pub(super) async fn acts_for(&self, user: &User) -> Result<ActsFor, DavError> {
        let mut acts = ActsFor::default();
        for shared in self.0.store.shared_in(user.id.into()).await? {
            let source = &shared.source;
            let Some(part) = shown(&shared.instance).and_then(|given| part_of(given.access)) else { continue };
            if !source.is_default() {
                continue;
            }
            let Some(holder) = self.0.tenants.holder(source.home).await? else { continue };
            // Nobody acts for anybody of another domain, whatever the documents say.
            if holder.domain != user.domain {
                continue;
            }
            let principal = holder_href(&holder);
            if holder.user().is_some() {
                acts.groups.push(Location::PrincipalPart(holder.home.0, part).href());
            } else if holder.team().is_some() {
                acts.groups.push(principal.clone());
            }
            match part {
                PrincipalPart::ProxyWrite => acts.writing.push(principal),
                _ => acts.reading.push(principal),
            }
        }
        Ok(acts)
    }

    /// The people to whom the default calendar of a home was given with such a right.
    async fn given_default(&self, home: HomeId, is_wanted: impl Fn(Access) -> bool) -> Result<Vec<UserId>, DavError> {
        let calendar = self.find_collection(Space::Calendars, home, &home.to_string()).await?;
        let Some(calendar) = calendar else { return Ok(Vec::new()) };
        let instances = self.instances(&calendar).await?;
        let wanted = instances.iter().filter(|i| shown(i).is_some_and(|given| is_wanted(given.access)));
        Ok(wanted.map(|instance| UserId(instance.home.0)).collect())
    }
}

/// What somebody was given and did not put away.
fn shown(instance: &Instance) -> Option<&Delegation> {
    instance.delegation().filter(|_| instance.is_shown())
}
