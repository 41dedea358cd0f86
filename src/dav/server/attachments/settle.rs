//! What is written about attachments: that an object refers only to what its writer can read, and says of it what is true
//! (RFC 8607 §3.7, §3.8); and that attachments know who refers to them.

use std::collections::{BTreeMap, BTreeSet};

use super::not_valid;
use crate::dav::error::DavError;
use crate::dav::server::Server;
use crate::dav::server::call::Call;
use crate::ical::{Component, Property, mentions};
use crate::ids::{CollectionId, HomeId};
use crate::store::attachments::{self, Attachment, AttachmentId, MANAGED_ID, Note, referred_by};
use crate::store::files::FileWriteError;
use crate::store::{Batch, Op, StoreError};

/// The ATTACH properties that name a managed attachment.
fn managed(calendar: &Component) -> impl Iterator<Item = &Property> {
    let attached = calendar.components().flat_map(|component| component.all("ATTACH"));
    attached.filter(|attach| attach.get_param(MANAGED_ID).is_some())
}

fn id_of(attach: &Property) -> &str {
    attach.get_param(MANAGED_ID).unwrap_or_default()
}

impl Call {
    /// Refuses references to what the writer cannot read, and more of them than there may be; what is said of an attachment
    /// becomes what is true. What stays as it is in `old` is not looked at. `new` was made by this very request. What is
    /// imported keeps links to the attachments of another server, which manages them.
    ///
    /// # Errors
    /// 403 with `valid-managed-id-parameter` or `max-attachments-per-resource`.
    pub(in crate::dav::server) async fn settle_attachments(
        &self,
        old: Option<&Component>,
        calendar: &mut Component,
        new: Option<&AttachmentId>,
        import: bool,
    ) -> Result<(), DavError> {
        let Some(files) = self.inner().files.get() else { return Ok(()) };
        let held: Vec<&Property> = old.into_iter().flat_map(managed).collect();
        let held_ids: BTreeSet<&str> = held.iter().map(|attach| id_of(attach)).collect();
        let ids: BTreeSet<String> = managed(calendar).map(|attach| id_of(attach).to_owned()).collect();
        let most = self.inner().settings.files.attachments_per_object;
        if ids.len() > most && ids.len() > held_ids.len() {
            let message = format!("An object has at most {most} attachments");
            return Err(not_valid("cal:max-attachments-per-resource", message));
        }
        let changed: BTreeSet<String> =
            managed(calendar).filter(|attach| !held.contains(attach)).map(|attach| id_of(attach).to_owned()).collect();
        let mut known: BTreeMap<String, Option<Attachment>> = BTreeMap::new();
        for text in changed {
            let mut found = None;
            if let Ok(id) = text.parse::<AttachmentId>() {
                found = attachments::find(&**files, &id).await?;
                let is_granted = new == Some(&id) || held_ids.contains(text.as_str());
                if let Some(attachment) = &found
                    && !is_granted
                    && !self.reads_attachment(attachment).await?
                {
                    found = None;
                }
            }
            if found.is_none() && !held_ids.contains(text.as_str()) && !import {
                let message = format!("{text:?} is no attachment that you can read");
                return Err(not_valid("cal:valid-managed-id-parameter", message));
            }
            known.insert(text, found);
        }
        for attach in calendar.components_mut().flat_map(|c| c.all_mut("ATTACH")) {
            match attach.get_param(MANAGED_ID).and_then(|id| known.get(id)) {
                Some(Some(attachment)) => self.describe_attachment(attach, attachment),
                Some(None) if import => drop(attach.remove_param(MANAGED_ID)),
                Some(None) | None => {}
            }
        }
        Ok(())
    }
}

impl Server {
    /// Notes which objects of a batch refer to attachments, before it is written.
    pub(in crate::dav::server) async fn note_attachments(&self, batch: &Batch) -> Result<(), StoreError> {
        let Some(files) = self.0.files.get() else { return Ok(()) };
        let mut noted: BTreeMap<AttachmentId, BTreeSet<Note>> = BTreeMap::new();
        for op in &batch.ops {
            let Op::PutObject { collection, object, .. } = op else { continue };
            if !mentions(&object.data, MANAGED_ID) {
                continue;
            }
            // Without a home the batch is refused anyway.
            let Some(home) = self.home_in(batch, *collection).await? else { continue };
            for id in referred_by(&object.data) {
                noted.entry(id).or_default().insert((home, object.meta.uid.clone()));
            }
        }
        for (id, objects) in &noted {
            match attachments::note(&**files, id, objects).await {
                Ok(_) => {}
                Err(FileWriteError::Store(error)) => return Err(error),
                Err(error) => return Err(StoreError::Unavailable(error.to_string())),
            }
        }
        Ok(())
    }

    async fn home_in(&self, batch: &Batch, id: CollectionId) -> Result<Option<HomeId>, StoreError> {
        let made = batch.ops.iter().find_map(|op| match op {
            Op::CreateCollection(made) if made.id == id => Some(made.home),
            _ => None,
        });
        if made.is_some() { Ok(made) } else { self.0.store.home_of(id).await }
    }

    /// Removes those of these attachments to which nothing refers any more. What stays behind is tidied up later.
    pub(in crate::dav::server) async fn release_attachments<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a AttachmentId> + Send,
    ) {
        let Some(files) = self.0.files.get() else { return };
        for id in ids.into_iter().cloned().collect::<Vec<_>>() {
            if let Err(error) = attachments::release(&**files, &*self.0.store, &id).await {
                tracing::debug!(%error, "an attachment that nothing refers to is tidied up later");
            }
        }
    }
}
