//! Who acts for whom: the administrators of a resource write in its calendar and decide about its bookings (dav §9, §18.10).

use super::Server;
use super::tenant::Tenant;
use crate::dav::error::DavError;
use crate::ids::UserId;
use crate::store::{Holder, HolderKind, Resource};

impl Server {
    /// Whether the actor writes in this home in the name of whoever has it. Nobody does so for a person.
    pub(super) async fn acts_for(&self, who: &Tenant, holder: &Holder) -> Result<bool, DavError> {
        let Tenant::User(user) = who else { return Ok(false) };
        match &holder.kind {
            HolderKind::Resource(resource) => Ok(self.administrators(resource).await?.contains(&user.id)),
            HolderKind::User(_) | HolderKind::TeamCalendar(_) => Ok(false),
        }
    }

    /// Who decides about bookings of a resource, as far as they are still there and of its domain.
    pub(super) async fn administrators(&self, resource: &Resource) -> Result<Vec<UserId>, DavError> {
        let mut found = Vec::new();
        for id in &resource.administrators {
            let user = self.0.directory.user(*id).await?;
            found.extend(user.filter(|user| user.domain == resource.domain).map(|user| user.id));
        }
        Ok(found)
    }
}
