//! DELETE of objects and collections.

use http::{Response, StatusCode};

use super::access::{no_object, write_failed};
use super::call::Call;
use super::publish_books::Book;
use super::put::{ATTEMPTS, Conditions};
use super::rights::{Need, Sight};
use super::{answer, publish, schedule, schedule_tag};
use crate::dav::error::{Condition, DavError};
use crate::dav::path::Location;
use crate::dav::upstream::Body;
use crate::ical::Component;
use crate::store::home::{COLLECTED, CONTACTS};
use crate::store::{Batch, Collection, CollectionKind, Expect, ObjectFilter, Op, WriteError};

/// Objects of a deleted collection that are told of in one batch,
const PAGE: usize = 200;
/// unless there are so many messages before.
const MESSAGES: usize = 2_000;

impl Call {
    /// Deletes what is at the location of the request.
    pub(super) async fn delete(self) -> Result<Response<Body>, DavError> {
        match &self.location {
            Location::Member { .. } => self.delete_object().await,
            Location::Collection { .. } => self.delete_collection().await,
            _ => {
                self.target().await?;
                Err(DavError::forbidden("This resource cannot be deleted"))
            }
        }
    }

    async fn delete_object(self) -> Result<Response<Body>, DavError> {
        let Location::Member { space, ref name, .. } = self.location else {
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
            batch.ops.push(Op::DeleteObject { collection: collection.id, name: name.clone(), expect });
            if collection.kind == CollectionKind::AddressBook {
                batch.publish.extend(self.book_at(&collection).await?.card_deleted(name, &object.data));
            } else if collection.kind == CollectionKind::Calendar
                && let Ok(calendar) = Component::parse(&object.data)
            {
                let by = self.who.principal();
                let audience = self.server.audience(&collection).await?;
                let subject = publish::Subject::stored(&audience, &object, &calendar, &by);
                batch.publish = subject.deleted(Some(false));
                if schedule::wanted(&self) {
                    let immediate = self.immediate_deliveries(attempt);
                    let owner = self.scheduler_at(&collection, &[&calendar]).await?;
                    let scheduled = schedule::of_deletion(&self, &collection, &owner, &calendar, immediate).await?;
                    batch.ops.extend(scheduled.ops);
                    batch.publish.extend(publish::besides(
                        &scheduled.topics,
                        &audience,
                        collection.source(),
                        (&object, &calendar),
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
        Err(no_object(space))
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
        let mut batch = Batch::default();
        let instances = self.server.instances(&collection).await?;
        self.tell_of_contents(&collection).await?;
        batch.publish.extend(self.told_gone(&collection, &instances));
        batch.ops.push(Op::DeleteCollection(collection.id));
        self.inner().store.write(batch).await.map_err(write_failed)?;
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }

    /// Deletes the objects of a collection page by page, each page with its messages, so that search and alarms forget
    /// them (observed §1.2), attendees hear that a meeting is off and organizers that somebody declines, as if each were
    /// deleted by itself, and memory does not grow with the collection. A break-off in the middle leaves one that can be
    /// deleted again.
    async fn tell_of_contents(&self, collection: &Sight) -> Result<(), DavError> {
        let by = self.who.principal();
        let audience = self.server.audience(collection).await?;
        let book = Book::told_to(audience.clone(), &self.who);
        let owner = match collection.kind {
            CollectionKind::Calendar if schedule::wanted(self) => Some(self.owner_of(collection.source()).await?),
            _ => None,
        };
        loop {
            let store = &self.inner().store;
            let objects = store.query(collection.id, &ObjectFilter::default(), None, PAGE).await?;
            let mut batch = Batch::default();
            for object in &objects {
                let name = object.meta.name.clone();
                batch.ops.push(Op::DeleteObject { collection: collection.id, name, expect: Expect::Any });
                if collection.kind == CollectionKind::AddressBook {
                    batch.publish.extend(book.card_deleted(&object.meta.name, &object.data));
                } else if let Ok(calendar) = Component::parse(&object.data) {
                    let subject = publish::Subject::stored(&audience, object, &calendar, &by);
                    batch.publish.extend(subject.deleted(Some(false)));
                    if let Some(owner) = &owner {
                        // By the queue, which does not mind how many there are.
                        let scheduled = schedule::of_deletion(self, collection, owner, &calendar, 0).await?;
                        batch.publish.extend(scheduled.publish);
                    }
                }
                if batch.publish.len() >= MESSAGES {
                    break;
                }
            }
            if batch.ops.is_empty() {
                return Ok(());
            }
            store.write(batch).await.map_err(write_failed)?;
        }
    }
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
