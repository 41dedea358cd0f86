//! Who can read an attachment: whoever can read an object that refers to it.

use http::StatusCode;

use crate::dav::error::DavError;
use crate::dav::path::Space;
use crate::dav::server::access::Relation;
use crate::dav::server::call::Call;
use crate::dav::server::rights::Need;
use crate::ids::HomeId;
use crate::store::Collection;
use crate::store::attachments::{Attachment, Note, referred_by};

/// What somebody may not see is nothing to them; other failures stay.
fn if_seen<T>(seen: Result<T, DavError>) -> Result<Option<T>, DavError> {
    match seen {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if matches!(error.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Call {
    /// Whether the actor can read it.
    pub(super) async fn reads_attachment(&self, attachment: &Attachment) -> Result<bool, DavError> {
        // Its domain is a tenant, whoever refers to it.
        match if_seen(self.server.relation(&self.who, Space::Calendars, attachment.id.home()).await)? {
            None => return Ok(false),
            Some(Relation::Owner) => return Ok(true),
            Some(Relation::Member | Relation::Colleague) => {}
        }
        // The actor's own calendars are where it is most often.
        let own = self.who.home();
        let (mine, others): (Vec<&Note>, Vec<&Note>) =
            attachment.notes.iter().partition(|(home, _)| Some(*home) == own);
        for note in mine.into_iter().chain(others) {
            if self.reads_noted(note, attachment).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn reads_noted(&self, (home, uid): &Note, attachment: &Attachment) -> Result<bool, DavError> {
        for (collection, object) in self.inner().store.find_uid(*home, uid).await? {
            if !referred_by(&object.data).contains(&attachment.id) {
                continue;
            }
            for (home, uri) in self.ways_to(&collection).await? {
                let sight = self.server.sight(&self.who, Space::Calendars, home, &uri).await;
                let Some(sight) = if_seen(sight)?.filter(|sight| sight.grants(Need::Read)) else { continue };
                // Of a private event others see no attachments.
                let shown = sight.show(object.clone());
                if shown.is_some_and(|shown| referred_by(&shown.data).contains(&attachment.id)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Where the actor may find a calendar: where its owner has it, and where they have it themselves.
    async fn ways_to(&self, collection: &Collection) -> Result<Vec<(HomeId, String)>, DavError> {
        let mut ways = vec![(collection.home, collection.uri.clone())];
        if let Some(own) = self.who.home().filter(|own| *own != collection.home) {
            let instances = self.inner().store.instances_for(collection, own).await?;
            ways.extend(instances.into_iter().map(|instance| (own, instance.uri)));
        }
        Ok(ways)
    }
}
