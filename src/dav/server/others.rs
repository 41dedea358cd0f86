//! Pages of what has a home and is nobody: the resources and the team calendars of a domain, as the actor may know of them.

use super::Server;
use super::tenant::{Tenant, kind_of};
use crate::dav::error::DavError;
use crate::dav::path::PrincipalKind;
use crate::ids::{HomeId, ResourceId, TeamCalendarId};
use crate::store::Holder;

/// A page of holders of homes.
pub(super) struct Page {
    pub(super) holders: Vec<Holder>,
    /// After which one the next page begins, where there may be more.
    pub(super) next: Option<HomeId>,
}

impl Server {
    /// Resources or team calendars of the actor's domain, by id, after `after`. Where principals are private they are hidden
    /// from everybody but themselves and the program (dav §4).
    pub(super) async fn others(
        &self,
        who: &Tenant,
        kind: PrincipalKind,
        after: Option<HomeId>,
        limit: usize,
    ) -> Result<Page, DavError> {
        if self.0.settings.principal_privacy && !matches!(who, Tenant::Technical(_)) {
            let itself = match who {
                Tenant::Holder(holder) if kind_of(holder) == kind => Some((**holder).clone()),
                _ => None,
            };
            return Ok(Page { holders: itself.into_iter().collect(), next: None });
        }
        let directory = &self.0.directory;
        let Some(domain) = directory.domain(who.domain()).await? else {
            return Ok(Page { holders: Vec::new(), next: None });
        };
        let (read, last, holders) = match kind {
            PrincipalKind::Resource => {
                let after = after.map(|home| ResourceId(home.0));
                let page = directory.resources(Some(domain.id), after, limit).await?;
                let (read, last) = (page.len(), page.last().map(|resource| resource.id.into()));
                let holders = page.into_iter().filter_map(|resource| Holder::of_resource(resource, &domain.name));
                (read, last, holders.collect())
            }
            PrincipalKind::TeamCalendar => {
                let after = after.map(|home| TeamCalendarId(home.0));
                let page = directory.team_calendars(Some(domain.id), after, limit).await?;
                let (read, last) = (page.len(), page.last().map(|team| team.id.into()));
                let holders = page.into_iter().filter_map(|team| Holder::of_team(team, &domain.name));
                (read, last, holders.collect())
            }
            PrincipalKind::User | PrincipalKind::Domain => (0, None, Vec::new()),
        };
        Ok(Page { holders, next: last.filter(|_| read == limit) })
    }
}
