//! DELETE of a calendar home: what programs do when a person, a resource or a team is gone (dav §5).

use http::{Response, StatusCode};

use super::answer;
use super::call::Call;
use super::rights::Need;
use super::tenant::Tenant;
use crate::dav::error::DavError;
use crate::dav::path::Space;
use crate::dav::upstream::Body;
use crate::ids::HomeId;
use crate::store::CollectionKind;

impl Call {
    /// Deletes every calendar of a home, and takes what others gave out of it. People cannot do that, not even with their
    /// own home: the reference lets everybody (observed §HTTP 5).
    pub(super) async fn delete_home(&self, home: HomeId) -> Result<Response<Body>, DavError> {
        // Whether there is such a home is told first, and whether it is of this domain.
        self.server.relation(&self.who, Space::Calendars, home).await?;
        if !matches!(self.who, Tenant::Technical(_)) {
            return Err(DavError::forbidden("Only programs delete homes"));
        }
        for sight in self.server.sights(&self.who, Space::Calendars, home, Need::Unbind).await? {
            if sight.kind != CollectionKind::Calendar {
                continue;
            }
            match sight.instance() {
                Some(_) => self.put_away(&sight).await?,
                None => self.remove_collection(&sight).await?,
            }
        }
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }
}
