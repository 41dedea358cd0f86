//! Out of the trash: an object goes back into its collection, a collection comes back with its properties and objects.
//!
//! It is a write like others: what a new object publishes is published, conditions of the store and the quota hold. Nobody is
//! invited: whoever deleted a meeting called it off, and invites anew by changing it (`trash_meeting`).

use http::header::{HeaderValue, LOCATION};
use http::{Response, StatusCode};
use serde_json::json;

use super::access::{space_of, write_failed};
use super::call::Call;
use super::copy_move::Told;
use super::put::ATTEMPTS;
use super::schedule;
use super::trash::as_json;
use crate::dav::announce::calendar_created;
use crate::dav::error::DavError;
use crate::dav::path::Location;
use crate::dav::upstream::Body;
use crate::ical::Component;
use crate::ids::{HomeId, TrashId};
use crate::store::{
    Batch, Collection, CollectionKind, CollectionProps, Expect, Object, ObjectMeta, Op, TrashView, Trashed,
    TrashedThing, WriteError,
};

/// Objects that come back in one write, …
const PAGE: usize = 100;
/// … unless they have more octets than this.
const PAGE_BYTES: u64 = 4 << 20;
/// Names that are tried before a place is given up.
const NAMES: usize = 1_000;

impl Call {
    /// Puts something back.
    ///
    /// # Errors
    /// 404 when it is not there any more, 409 when its collection is gone, 403 `no-uid-conflict` when another object has its
    /// UID by now, 507 when there is no room.
    pub(super) async fn restore(&self, home: HomeId, id: TrashId) -> Result<Response<Body>, DavError> {
        let (entry, data) = self.trashed(home, id).await?;
        let href = match &entry.what {
            TrashedThing::Object { meta, .. } => {
                let object = Object { meta: meta.clone(), data };
                self.restore_object(&entry, object).await?
            }
            TrashedThing::Collection { props, token } => self.restore_collection(&entry, props, *token).await?,
        };
        let mut response = as_json(StatusCode::CREATED, &json!({ "href": href }));
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
            object.meta.name = self.free_name(&collection, &object.meta).await?;
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
        found.cloned().ok_or_else(|| {
            let what = if entry.kind == CollectionKind::AddressBook { "address book" } else { "calendar" };
            DavError::conflict(format!("The {what} {:?} that it was in is gone: restore that first", entry.uri))
        })
    }

    /// A home holds a meeting once (RFC 6638 §3.2.4.1), and an address book a person where it is configured so.
    async fn refuse_second(&self, collection: &Collection, object: &Object) -> Result<(), DavError> {
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

    /// The name of an object, or one like it that nothing has.
    async fn free_name(&self, collection: &Collection, meta: &ObjectMeta) -> Result<String, DavError> {
        let (stem, extension) = match meta.name.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
            _ => (meta.name.as_str(), String::new()),
        };
        let mut name = meta.name.clone();
        for n in 2..NAMES {
            if self.inner().store.object(collection.id, &name).await?.is_none() {
                return Ok(name);
            }
            name = format!("{stem}-{n}{extension}");
        }
        Err(DavError::conflict("There is no name left for it"))
    }

    /// The collection comes back under its own id. Where a deletion or a restoring broke off it is there already, and takes
    /// up what is missing.
    async fn restore_collection(
        &self,
        entry: &Trashed,
        props: &CollectionProps,
        token: u64,
    ) -> Result<String, DavError> {
        let all = self.inner().store.collections(entry.home).await?;
        let collection = match all.into_iter().find(|c| c.id == entry.collection) {
            Some(found) => found,
            None => self.remake(entry, props, token).await?,
        };
        loop {
            let page = self.next_parts(entry).await?;
            if page.is_empty() {
                break;
            }
            self.put_parts_back(&collection, entry.home, page).await?;
        }
        let ops = vec![Op::Untrash { home: entry.home, id: entry.id }];
        match self.inner().store.write(Batch { ops, publish: Vec::new() }).await {
            // Somebody else did the same.
            Ok(_) | Err(WriteError::Precondition(_)) => Ok(self.href_of(&collection)),
            Err(error) => Err(write_failed(error)),
        }
    }

    async fn remake(&self, entry: &Trashed, props: &CollectionProps, token: u64) -> Result<Collection, DavError> {
        let mut made = Collection {
            id: entry.collection,
            home: entry.home,
            kind: entry.kind,
            uri: entry.uri.clone(),
            props: props.clone(),
            // Of one id no token is issued twice.
            sync_token: token + 1,
            // Nobody is let in who was not let in again.
            public_right: None,
        };
        for n in 2..NAMES {
            let publish = vec![match made.kind {
                CollectionKind::AddressBook => self.book_of(&made).created(),
                _ => calendar_created(&made, Some(&self.who.principal())),
            }];
            let ops = vec![Op::CreateCollection(made.clone())];
            match self.server.write(Batch { ops, publish }, None).await {
                Ok(_) => return Ok(made),
                Err(WriteError::CollectionExists(_)) => made.uri = format!("{}-{n}", entry.uri),
                Err(error) => return Err(write_failed(error)),
            }
        }
        Err(DavError::conflict("There is no name left for it"))
    }

    /// Some of the objects that went with a collection.
    async fn next_parts(&self, entry: &Trashed) -> Result<Vec<(Trashed, String)>, DavError> {
        let store = &self.inner().store;
        let page = store.trash(entry.home, TrashView::Of(entry.collection), None, PAGE).await?;
        let (mut ids, mut octets) = (Vec::new(), 0);
        for part in &page {
            if let TrashedThing::Object { meta, .. } = &part.what {
                octets += meta.size;
            }
            if ids.is_empty() || octets <= PAGE_BYTES {
                ids.push(part.id);
            }
        }
        Ok(store.trashed(entry.home, &ids).await?)
    }

    async fn put_parts_back(
        &self,
        collection: &Collection,
        home: HomeId,
        parts: Vec<(Trashed, String)>,
    ) -> Result<(), DavError> {
        let audience = self.server.audience_at_home(collection).await?;
        let mut batch = Batch::default();
        for (part, data) in parts {
            let TrashedThing::Object { meta, .. } = part.what else { continue };
            let mut object = self.called_again(collection, Object { meta, data }).await?;
            object.meta.modified = self.inner().env.now();
            batch.publish.extend(self.told_of(collection, &audience, &object, Told::Created));
            let expect = Expect::Absent;
            batch.ops.push(Op::PutObject { collection: collection.id, object, expect });
            batch.ops.push(Op::Untrash { home, id: part.id });
        }
        match self.server.write(batch, Some(collection.id)).await {
            Ok(_) => Ok(()),
            Err(WriteError::UidConflict { name, .. }) => Err(self.uid_conflict(collection, &name)),
            Err(WriteError::Precondition(_)) => Err(DavError::conflict(
                "Somebody else wrote to the collection while it came back; what is left is still in the trash",
            )),
            Err(error) => Err(write_failed(error)),
        }
    }
}
