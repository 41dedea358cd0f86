//! Meetings that come out of the trash: deleting them called them off.

use super::call::Call;
use super::put::object_of;
use super::schedule_tag;
use crate::dav::error::DavError;
use crate::ical::Component;
use crate::itip;
use crate::store::{Collection, CollectionKind, Object};

impl Call {
    /// What was deleted as it comes back into a collection: a meeting so that its organizer can call everybody together
    /// again, everything else as it was.
    pub(super) async fn called_again(&self, collection: &Collection, object: Object) -> Result<Object, DavError> {
        if collection.kind != CollectionKind::Calendar {
            return Ok(object);
        }
        let Ok(calendar) = Component::parse(&object.data) else { return Ok(object) };
        let mut owner = self.owner_of(collection).await?;
        if owner.team().is_some() {
            owner = self.team_scheduler(owner, &[&calendar]).await?;
        }
        let Some(again) = itip::called_again(&calendar, &owner.emails) else { return Ok(object) };
        let (name, component, now) = (&object.meta.name, &object.meta.component, self.inner().env.now());
        let mut object = object_of(name, again.to_text(), &again, component, now);
        object.meta.schedule_tag = schedule_tag::of_write(&object.meta, &again, &owner);
        Ok(object)
    }
}
