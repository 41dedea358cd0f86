//! Out of the trash: an object goes back into its collection; a collection comes back as `trash_collection` tells.
//!
//! It is a write like others: what a new object publishes is published, conditions of the store and the quota hold. Nobody is
//! invited: whoever deleted a meeting called it off, and invites anew by changing it (`trash_meeting`).

use std::collections::HashSet;

use http::header::{HeaderValue, LOCATION};
use http::{Response, StatusCode};
use serde_json::json;

use super::access::{space_of, write_failed};
use super::call::Call;
use super::copy_move::Told;
use super::put::ATTEMPTS;
use super::schedule;
use super::trash::as_json;
use crate::dav::error::DavError;
use crate::dav::path::Location;
use crate::dav::upstream::Body;
use crate::ical::Component;
use crate::ids::{HomeId, TrashId};
use crate::store::{
    Batch, Collection, CollectionKind, Expect, Object, ObjectMeta, Op, Trashed, TrashedThing, WriteError,
};

/// Names that are tried before a place is given up.
pub(super) const NAMES: usize = 1_000;

impl Call {
    /// Puts something back.
    ///
    /// # Errors
    /// 404 when it is not there any more, 409 when its collection is gone, 403 `no-uid-conflict` when another object has its
    /// UID by now, 507 when there is no room.
    pub(super) async fn restore(&self, home: HomeId, id: TrashId) -> Result<Response<Body>, DavError> {
        let (entry, data) = self.trashed(home, id).await?;
        let (href, answer) = match &entry.what {
            TrashedThing::Object { meta, .. } => {
                let object = Object { meta: meta.clone(), data };
                let href = self.restore_object(&entry, object).await?;
                let answer = json!({ "href": href });
                (href, answer)
            }
            TrashedThing::Collection { props, token } => {
                let (collection, stayed) = self.restore_collection(&entry, props, *token).await?;
                let href = self.href_of(&collection);
                let answer = json!({ "href": href, "stayed": stayed.listed, "stayed_count": stayed.count });
                (href, answer)
            }
        };
        let mut response = as_json(StatusCode::CREATED, &answer);
        if let Ok(value) = HeaderValue::from_str(&href) {
            response.headers_mut().insert(LOCATION, value);
        }
        Ok(response)
    }

    async fn restore_object(&self, entry: &Trashed, mut object: Object) -> Result<String, DavError> {
        let collection = self.home_of_trashed(entry).await?;
        self.refuse_second(&collection, &object).await?;
        object = self.called_again(&collection, object).await?;
        object.meta.modified = self.inner().env.now();
        let audience = self.server.audience_at_home(&collection).await?;
        for _ in 0..ATTEMPTS {
            object.meta.name = self.free_name(&collection, &object.meta, &HashSet::new()).await?;
            let mut batch = Batch::default();
            batch.publish.extend(self.told_of(&collection, &audience, &object, Told::Created));
            let (put, expect) = (object.clone(), Expect::Absent);
            batch.ops.push(Op::PutObject { collection: collection.id, object: put, expect });
            batch.ops.push(Op::Untrash { home: entry.home, id: entry.id });
            match self.server.write(batch, Some(collection.id)).await {
                Ok(_) => {
                    let (space, home) = (space_of(collection.kind), collection.home);
                    let (uri, name) = (collection.uri, object.meta.name);
                    return Ok(self.href(&Location::Member { space, home, uri, name }));
                }
                Err(WriteError::UidConflict { name, .. }) => return Err(self.uid_conflict(&collection, &name)),
                // Somebody was faster with the name, or with the restoring.
                Err(WriteError::Precondition(0)) => {}
                Err(WriteError::Precondition(_)) => return Err(DavError::no_node(&self.path)),
                Err(error) => return Err(write_failed(error)),
            }
        }
        Err(DavError::conflict("The collection keeps being changed by somebody else"))
    }

    /// The collection that an object was in, or the one that is at its place now.
    async fn home_of_trashed(&self, entry: &Trashed) -> Result<Collection, DavError> {
        let space = space_of(entry.kind);
        let all = self.server.collections(space, entry.home).await?;
        let is_it = |c: &&Collection| c.id == entry.collection && c.kind == entry.kind;
        let found = all.iter().find(is_it).or_else(|| all.iter().find(|c| c.kind == entry.kind && c.uri == entry.uri));
        if let Some(found) = found {
            return Ok(found.clone());
        }
        let what = if entry.kind == CollectionKind::AddressBook { "address book" } else { "calendar" };
        let is_kept = !self.inner().store.trashed(entry.home, &[TrashId(entry.collection.0)]).await?.is_empty();
        let advice = match is_kept {
            true => format!("restore that first, {} in the trash", entry.collection),
            false => "make one of that address first".to_owned(),
        };
        Err(DavError::conflict(format!("The {what} {:?} that it was in is gone: {advice}", entry.uri)))
    }

    /// A home holds a meeting once (RFC 6638 §3.2.4.1), and an address book a person where it is configured so.
    pub(super) async fn refuse_second(&self, collection: &Collection, object: &Object) -> Result<(), DavError> {
        if collection.kind == CollectionKind::Calendar
            && let Ok(calendar) = Component::parse(&object.data)
        {
            let owner = self.owner_of(collection).await?;
            schedule::require_unique(self, (collection, &object.meta.name), None, &calendar, &owner).await?;
        }
        if collection.kind == CollectionKind::AddressBook {
            self.check_card_uid(collection, &object.meta.uid, &[]).await?;
        }
        Ok(())
    }

    /// The name of an object, or one like it that nothing has, and that is none of those taken.
    pub(super) async fn free_name(
        &self,
        collection: &Collection,
        meta: &ObjectMeta,
        taken: &HashSet<String>,
    ) -> Result<String, DavError> {
        let (stem, extension) = match meta.name.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
            _ => (meta.name.as_str(), String::new()),
        };
        let mut name = meta.name.clone();
        for n in 2..NAMES {
            if !taken.contains(&name) && self.inner().store.object(collection.id, &name).await?.is_none() {
                return Ok(name);
            }
            name = format!("{stem}-{n}{extension}");
        }
        Err(DavError::conflict("There is no name left for it"))
    }
}
