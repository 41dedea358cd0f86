//! DELETE of objects and collections.

use http::{Response, StatusCode};

use super::access::write_failed;
use super::call::Call;
use super::put::{ATTEMPTS, Conditions};
use super::rights::{Need, Sight};
use super::trash::Bin;
use super::{answer, publish, schedule, schedule_tag};
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, Space};
use crate::dav::upstream::Body;
use crate::ical::Component;
use crate::store::home::{COLLECTED, CONTACTS};
use crate::store::{Batch, Collection, CollectionKind, Expect, Object, ObjectFilter, Op, WriteError};

/// Objects of a deleted collection that go in one batch, …
const PAGE: usize = 200;
/// … unless there are so many messages before, …
const MESSAGES: usize = 2_000;
/// … or invitees are told so many octets.
const MESSAGE_BYTES: usize = 16 << 20;

impl Call {
    /// Deletes what is at the location of the request.
    pub(super) async fn delete(self) -> Result<Response<Body>, DavError> {
        match &self.location {
            Location::Member { .. } => self.delete_object().await,
            Location::Collection { .. } => self.delete_collection().await,
            Location::Home(Space::Calendars, home) => {
                let home = *home;
                self.delete_home(home).await
            }
            _ => {
                self.target().await?;
                Err(DavError::forbidden("This resource cannot be deleted"))
            }
        }
    }

    async fn delete_object(self) -> Result<Response<Body>, DavError> {
        let Location::Member { ref name, .. } = self.location else {
            return Err(DavError::no_node(&self.path));
        };
        let conditions = Conditions::read(&self)?;
        for attempt in 1..=ATTEMPTS {
            let (collection, object) = match self.server.object_to_change(&self.who, &self.location, Need::Unbind).await
            {
                Ok(found) => found,
                Err(error) if error.status == StatusCode::NOT_FOUND => {
                    // A condition that cannot hold without the object comes first (dav §6.3).
                    conditions.check(&self, None)?;
                    schedule_tag::check(&self, None)?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            };
            conditions.check(&self, Some(&object.meta.etag))?;
            schedule_tag::check(&self, Some(&object.meta))?;
            let mut batch = Batch::default();
            let expect = Expect::Etag(object.meta.etag.clone());
            let tree = Component::parse(&object.data).ok();
            let read = (&object, tree.as_ref());
            let kept = self.server.bin().and_then(|bin| bin.object(&self.server, collection.source(), read, false));
            batch.ops.extend(kept);
            batch.ops.push(Op::DeleteObject { collection: collection.id, name: name.clone(), expect });
            if collection.kind == CollectionKind::AddressBook {
                batch.publish.extend(self.book_at(&collection).await?.card_deleted(name, &object.data));
            } else if collection.kind == CollectionKind::Calendar
                && let Some(calendar) = &tree
            {
                let by = self.who.principal();
                let audience = self.server.audience(&collection).await?;
                let subject = publish::Subject::stored(&audience, &object, calendar, &by);
                batch.publish = subject.deleted(Some(false));
                if schedule::wanted(&self) {
                    let immediate = self.immediate_deliveries(attempt);
                    let owner = self.scheduler_at(&collection, &[calendar]).await?;
                    let scheduled = schedule::of_deletion(&self, &collection, &owner, calendar, immediate).await?;
                    let scheduled = scheduled.ok_or_else(too_much_to_tell)?;
                    batch.ops.extend(scheduled.ops);
                    batch.publish.extend(publish::besides(
                        &scheduled.topics,
                        &audience,
                        collection.source(),
                        (&object, calendar),
                        &by,
                    ));
                    batch.publish.extend(scheduled.publish);
                }
            }
            match self.inner().store.write(batch).await {
                Ok(_) => return Ok(answer::empty(StatusCode::NO_CONTENT)),
                // Changed since it was read: look again.
                Err(WriteError::Precondition(_) | WriteError::UidConflict { .. }) => {}
                Err(error) => return Err(write_failed(error)),
            }
        }
        Err(DavError::conflict("The object keeps being changed by somebody else"))
    }

    async fn delete_collection(self) -> Result<Response<Body>, DavError> {
        let collection = self.server.collection_to_unbind(&self.who, &self.location).await?;
        if collection.instance().is_some() {
            Conditions::read(&self)?.check(&self, None)?;
            self.put_away(&collection).await?;
            return Ok(answer::empty(StatusCode::NO_CONTENT));
        }
        refuse_protected(&collection)?;
        Conditions::read(&self)?.check(&self, None)?;
        self.server.refuse_chosen_default(&collection).await?;
        self.remove_collection(&collection).await?;
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }

    /// Deletes a collection where its owner has it, once it is empty, and tells whoever had it: page by page go its objects,
    /// each page with its messages, so that search and alarms forget them (observed §1.2), attendees hear that a meeting is
    /// off and organizers that somebody declines, as if each were deleted by itself, and memory does not grow with the
    /// collection. A break-off in the middle leaves one that can be deleted again, and a trash from which it can be restored.
    pub(super) async fn remove_collection(&self, sight: &Sight) -> Result<(), DavError> {
        let collection = sight.source();
        let store = &self.inner().store;
        let bin = self.server.bin();
        if let Some(bin) = &bin {
            let ops = vec![bin.collection(collection)];
            store.write(Batch { ops, publish: Vec::new() }).await.map_err(write_failed)?;
        }
        let mut in_vain = 0;
        while in_vain < ATTEMPTS {
            // Its token before its objects: what is put there after this is told of, and kept, like everything else.
            let found = store.collection(collection.home, collection.kind, &collection.uri).await?;
            let Some(found) = found.filter(|found| found.id == collection.id) else { return Ok(()) };
            let page = store.query(found.id, &ObjectFilter::default(), None, PAGE).await?.objects;
            let is_last = page.is_empty();
            let batch = match is_last {
                false => self.deletion_of(sight, &page, bin.as_ref()).await?,
                // What cannot be read goes with the collection.
                true => self.end_of(&found, bin.as_ref()).await?,
            };
            match store.write(batch).await {
                Ok(_) if is_last => return Ok(()),
                Ok(_) => in_vain = 0,
                // Somebody wrote to it since it was read: look again.
                Err(WriteError::Precondition(_)) => in_vain += 1,
                Err(error) => return Err(write_failed(error)),
            }
        }
        Err(DavError::conflict("The collection keeps being changed by somebody else"))
    }

    /// The operations and messages for some objects, those first in the page.
    async fn deletion_of(&self, sight: &Sight, page: &[Object], bin: Option<&Bin>) -> Result<Batch, DavError> {
        let by = self.who.principal();
        let collection = sight.source();
        let audience = self.server.audience(sight).await?;
        let book = self.book_told_to(audience.clone());
        let owner = match collection.kind {
            CollectionKind::Calendar if schedule::wanted(self) => Some(self.owner_of(collection).await?),
            _ => None,
        };
        let mut batch = Batch::default();
        let mut octets = 0;
        for object in page {
            let tree = Component::parse(&object.data).ok();
            batch.ops.extend(bin.and_then(|bin| bin.object(&self.server, collection, (object, tree.as_ref()), true)));
            let (name, expect) = (object.meta.name.clone(), Expect::Etag(object.meta.etag.clone()));
            batch.ops.push(Op::DeleteObject { collection: collection.id, name, expect });
            if collection.kind == CollectionKind::AddressBook {
                batch.publish.extend(book.card_deleted(&object.meta.name, &object.data));
            } else if let Some(calendar) = &tree {
                let subject = publish::Subject::stored(&audience, object, calendar, &by);
                batch.publish.extend(subject.deleted(Some(false)));
                if let Some(owner) = &owner {
                    // By the queue, which does not mind how many there are.
                    match schedule::of_deletion(self, sight, owner, calendar, 0).await? {
                        Some(scheduled) => {
                            let texts = scheduled.publish.iter().flat_map(|message| &message.texts);
                            octets += texts.map(|(_, text)| text.len()).sum::<usize>();
                            batch.publish.extend(scheduled.publish);
                        }
                        // The others go all the same.
                        None => tracing::warn!(name = %object.meta.name, "{}", too_much_to_tell()),
                    }
                }
            }
            if batch.publish.len() >= MESSAGES || octets >= MESSAGE_BYTES {
                break;
            }
        }
        Ok(batch)
    }

    async fn end_of(&self, collection: &Collection, bin: Option<&Bin>) -> Result<Batch, DavError> {
        let token = collection.sync_token;
        let mut ops = vec![Op::ExpectToken { collection: collection.id, token }];
        ops.extend(bin.map(|bin| bin.collection(collection)));
        ops.push(Op::DeleteCollection(collection.id));
        let instances = self.server.instances(collection).await?;
        Ok(Batch { ops, publish: self.told_gone(collection, &instances) })
    }
}

/// 403: calling it off would tell more than one write may.
pub(super) fn too_much_to_tell() -> DavError {
    DavError::forbidden(
        "There is too much to be told to all who are invited; with Schedule-Reply: F it is deleted without telling them",
    )
}

/// What every home has stays (dav §6.3).
pub(super) fn refuse_protected(collection: &Collection) -> Result<(), DavError> {
    let is_book = collection.kind == CollectionKind::AddressBook;
    if collection.is_default() {
        return Err(DavError::forbidden("Forbidden: You can not delete your main calendar")
            .because(Condition::Empty("cal:default-calendar-needed")));
    }
    if is_book && [CONTACTS, COLLECTED].contains(&collection.uri.as_str()) {
        return Err(DavError::forbidden(format!("Forbidden: You can not delete {} address book", collection.uri)));
    }
    if matches!(collection.kind, CollectionKind::Inbox | CollectionKind::Outbox) {
        return Err(DavError::forbidden("Forbidden: The scheduling collections cannot be deleted"));
    }
    Ok(())
}
