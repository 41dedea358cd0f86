//! COPY and MOVE of objects (RFC 4918 §9.8, §9.9). Nobody is invited or cancelled by what is copied or moved (dav §11.3); a
//! meeting that something else takes the place of is deleted, and those whom that concerns hear of it.

use http::header::HeaderName;
use http::{Response, StatusCode};

use super::access::{space_of, write_failed};
use super::audience::Audience;
use super::call::Call;
use super::delete::too_much_to_tell;
use super::put::{ATTEMPTS, Conditions};
use super::rights::{Need, Sight};
use super::{answer, publish, schedule, schedule_tag};
use crate::dav::error::{Condition, DavError};
use crate::dav::path::Location;
use crate::dav::precondition::etag_of;
use crate::dav::upstream::Body;
use crate::events::Message;
use crate::ical::Component;
use crate::store::{Batch, Collection, CollectionKind, Expect, Object, Op, WriteError};

const DESTINATION: HeaderName = HeaderName::from_static("destination");

/// 412: what is at the destination may not be overwritten (RFC 4918 §10.6).
pub(super) fn must_not_overwrite() -> DavError {
    let message = "The destination node already exists, and the overwrite header is set to false";
    DavError::new(StatusCode::PRECONDITION_FAILED, "Sabre\\DAV\\Exception\\PreconditionFailed", message)
        .because(Condition::Header("Overwrite"))
}

/// Where it goes, checked.
struct Destination {
    collection: Sight,
    name: String,
    /// What is there.
    taken_by: Option<Object>,
}

impl Call {
    /// Copies or moves an object.
    pub(super) async fn copy_or_move(self) -> Result<Response<Body>, DavError> {
        let is_move = self.method.as_str() == "MOVE";
        let to = self.destination()?;
        let overwrite = self.overwrites()?;
        match self.location {
            Location::Member { .. } => {}
            Location::Collection { .. } => return self.copy_or_move_collection(is_move, to, overwrite).await,
            _ => {
                self.target().await?;
                return Err(DavError::forbidden("Only objects, calendars and address books can be copied or moved"));
            }
        }
        if to == self.location {
            return Err(DavError::forbidden("Source and destination uri are identical."));
        }
        let conditions = Conditions::read(&self)?;
        for attempt in 1..=ATTEMPTS {
            let (from, object) = match is_move {
                true => self.server.object_to_change(&self.who, &self.location, Need::Unbind).await?,
                false => self.server.object(&self.who, &self.location, Need::Read).await?,
            };
            conditions.check(&self, Some(&object.meta.etag))?;
            schedule_tag::check(&self, Some(&object.meta))?;
            let destination = self.check_destination(&to, &from, &object).await?;
            if destination.taken_by.is_some() && !overwrite {
                return Err(must_not_overwrite());
            }
            let tag = self.tag_at(&from, &object, &destination, is_move).await?;
            if destination.collection.kind == CollectionKind::AddressBook {
                let leaves = is_move && from.id == destination.collection.id;
                let but = [Some(destination.name.as_str()), leaves.then_some(object.meta.name.as_str())];
                let but: Vec<&str> = but.into_iter().flatten().collect();
                self.check_card_uid(&destination.collection, &object.meta.uid, &but).await?;
            }
            let replaces = destination.taken_by.is_some();
            let batch = self.relocation((&from, object), tag.clone(), &destination, is_move, attempt).await?;
            match self.server.write(batch, Some(destination.collection.id)).await {
                Ok(_) => {
                    let status = if replaces { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
                    let mut response = answer::empty(status);
                    schedule_tag::tell(&mut response, tag.as_deref());
                    return Ok(response);
                }
                Err(WriteError::Precondition(_)) => {}
                Err(WriteError::UidConflict { name, .. }) => {
                    return Err(self.uid_conflict(&destination.collection, &name));
                }
                Err(error) => return Err(write_failed(error)),
            }
        }
        Err(DavError::conflict("The object keeps being changed by somebody else"))
    }

    /// The Schedule-Tag of the object where it goes (RFC 6638 §3.2.10): the same after a move within a home.
    ///
    /// # Errors
    /// 403 when the home has a scheduling object with that UID already, which a copy within a home always meets.
    async fn tag_at(
        &self,
        from: &Sight,
        object: &Object,
        to: &Destination,
        is_move: bool,
    ) -> Result<Option<String>, DavError> {
        let parsed = Component::parse(&object.data).ok().filter(|_| to.collection.kind == CollectionKind::Calendar);
        let Some(calendar) = parsed else { return Ok(None) };
        let owner = self.scheduler_at(&to.collection, &[&calendar]).await?;
        let source = Some((from.source(), object.meta.name.as_str())).filter(|_| is_move);
        schedule::require_unique(self, (to.collection.source(), &to.name), source, &calendar, &owner).await?;
        let is_kept = from.source().home == to.collection.source().home;
        let kept = object.meta.schedule_tag.clone().filter(|_| is_kept);
        Ok(kept.or_else(|| schedule_tag::of_write(&object.meta, &calendar, &owner)))
    }

    pub(super) fn destination(&self) -> Result<Location, DavError> {
        let header = self.headers.get(DESTINATION).and_then(|v| v.to_str().ok());
        let header = header.ok_or_else(|| DavError::bad_request("The destination header was not supplied"))?;
        Location::parse_href(header, &self.inner().settings.base)
            .ok_or_else(|| DavError::conflict("The destination node is not found"))
    }

    async fn check_destination(
        &self,
        to: &Location,
        from: &Collection,
        object: &Object,
    ) -> Result<Destination, DavError> {
        let Location::Member { space, name, .. } = to else {
            return Err(DavError::forbidden("An object can only be put into a calendar or an address book"));
        };
        // RFC 4918 §9.8.5: 409 where the collection that shall hold it is missing.
        let collection = match self.server.see(&self.who, to, Need::Bind).await {
            Err(error) if error.status == StatusCode::NOT_FOUND => {
                return Err(DavError::conflict("The destination node is not found"));
            }
            found => found?,
        };
        if *space != space_of(from.kind) || matches!(collection.kind, CollectionKind::Inbox | CollectionKind::Outbox) {
            return Err(self.server.needs(to, Need::Bind.privilege()));
        }
        let components = &collection.props.components;
        if !components.is_empty() && !components.contains(&object.meta.component) {
            return Err(DavError::forbidden(format!("This calendar does not hold {}", object.meta.component))
                .because(Condition::Empty("cal:supported-calendar-component")));
        }
        let taken_by = self.inner().store.object(collection.id, name).await?;
        taken_by.as_ref().map_or(Ok(()), |taken| collection.guard(taken))?;
        Ok(Destination { collection, name: name.clone(), taken_by })
    }

    /// The operations and messages: what is replaced goes first, then the source, then the object appears anew (observed
    /// §1.5).
    async fn relocation(
        &self,
        (from, object): (&Sight, Object),
        tag: Option<String>,
        to: &Destination,
        is_move: bool,
        attempt: usize,
    ) -> Result<Batch, DavError> {
        let mut batch = Batch::default();
        let there = self.server.audience(&to.collection).await?;
        if let Some(old) = &to.taken_by {
            batch.ops.push(deletion(&to.collection, old));
            batch.publish.extend(self.told_of(&to.collection, &there, old, Told::Deleted));
            // Another state of the same meeting calls nothing off.
            if old.meta.uid != object.meta.uid {
                self.call_off(&mut batch, &to.collection, &there, old, attempt).await?;
            }
        }
        if is_move {
            batch.ops.push(deletion(from, &object));
            let here = self.server.audience(from).await?;
            batch.publish.extend(self.told_of(from, &here, &object, Told::Deleted));
        }
        let mut arrived = self.arriving_in_team(to.collection.source(), object).await?;
        arrived.meta.name.clone_from(&to.name);
        arrived.meta.schedule_tag = tag;
        if !is_move && !from.sees_private() {
            // What is copied is what was seen.
            arrived.meta.etag = etag_of(&arrived.data);
        }
        arrived.meta.modified = self.inner().env.now();
        batch.publish.extend(self.told_of(&to.collection, &there, &arrived, Told::Created));
        let collection = to.collection.id;
        batch.ops.push(Op::PutObject { collection, object: arrived, expect: Expect::Absent });
        Ok(batch)
    }

    /// What follows for others from the end of an object that is overwritten: what would follow from its deletion (RFC 6638
    /// §3.2.1.3, §3.2.2.3).
    pub(super) async fn call_off(
        &self,
        batch: &mut Batch,
        collection: &Sight,
        audience: &Audience,
        object: &Object,
        attempt: usize,
    ) -> Result<(), DavError> {
        if collection.kind != CollectionKind::Calendar || !schedule::wanted(self) {
            return Ok(());
        }
        let Ok(calendar) = Component::parse(&object.data) else { return Ok(()) };
        let owner = self.scheduler_at(collection, &[&calendar]).await?;
        let immediate = self.immediate_deliveries(attempt);
        let scheduled = schedule::of_deletion(self, collection, &owner, &calendar, immediate).await?;
        let scheduled = scheduled.ok_or_else(too_much_to_tell)?;
        let by = self.who.principal();
        batch.ops.extend(scheduled.ops);
        let of_object = (object, &calendar);
        batch.publish.extend(publish::besides(&scheduled.topics, audience, collection.source(), of_object, &by));
        batch.publish.extend(scheduled.publish);
        Ok(())
    }

    /// What is told of an object of a collection, and to whom.
    pub(super) fn told_of(
        &self,
        collection: &Collection,
        audience: &Audience,
        object: &Object,
        what: Told,
    ) -> Vec<Message> {
        if collection.kind == CollectionKind::AddressBook {
            let book = self.book_told_to(audience.clone());
            return match what {
                Told::Created => book.card_created(&object.meta.name, &object.data),
                Told::Deleted => book.card_deleted(&object.meta.name, &object.data),
            };
        }
        if collection.kind != CollectionKind::Calendar {
            return Vec::new();
        }
        let Ok(calendar) = Component::parse(&object.data) else { return Vec::new() };
        let by = self.who.principal();
        let subject = publish::Subject::stored(audience, object, &calendar, &by);
        match what {
            Told::Created => subject.created(None),
            Told::Deleted => subject.deleted(None),
        }
    }
}

/// What became of an object.
#[derive(Clone, Copy)]
pub(super) enum Told {
    Created,
    Deleted,
}

fn deletion(collection: &Collection, object: &Object) -> Op {
    let expect = Expect::Etag(object.meta.etag.clone());
    Op::DeleteObject { collection: collection.id, name: object.meta.name.clone(), expect }
}
