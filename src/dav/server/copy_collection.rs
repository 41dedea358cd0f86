//! COPY and MOVE of calendars and address books (RFC 4918 §9.8, §9.9): all of it in one batch, on exactly what was read.

use std::collections::HashSet;

use http::{Response, StatusCode};

use super::access::{space_of, write_failed};
use super::audience::Audience;
use super::call::{Call, Depth};
use super::copy_move::{Told, must_not_overwrite};
use super::delete::refuse_protected;
use super::put::{ATTEMPTS, Conditions};
use super::rights::{Need, Sight};
use super::{answer, publish};
use crate::dav::announce::calendar_created;
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, Space};
use crate::dav::precondition::etag_of;
use crate::dav::upstream::Body;
use crate::events::Message;
use crate::ids::{HomeId, Uid};
use crate::store::home::new_collection;
use crate::store::{Batch, Collection, CollectionKind, Expect, Instance, Object, ObjectFilter, Op, WriteError};

/// Objects that are read at once.
const PAGE: usize = 200;
/// Octets of a message besides the object that it tells of.
const MESSAGE: u64 = 512;

/// What is to happen.
struct Relocation {
    is_move: bool,
    /// With all that is in it.
    deep: bool,
    home: HomeId,
    uri: String,
    overwrite: bool,
}

impl Call {
    /// Copies or moves a calendar or an address book.
    pub(super) async fn copy_or_move_collection(
        self,
        is_move: bool,
        to: Location,
        overwrite: bool,
    ) -> Result<Response<Body>, DavError> {
        let deep = match self.strict_depth()? {
            None | Some(Depth::Infinity) => true,
            Some(Depth::Zero) if !is_move => false,
            Some(_) => return Err(DavError::bad_request("Depth is infinity here, or 0 to copy the collection alone")),
        };
        // What is read is what the actor may see of it; what goes away is their own.
        if is_move {
            let from = self.server.collection_to_unbind(&self.who, &self.location).await?;
            if from.instance().is_some() {
                return Err(DavError::forbidden("What others have given stays where it is"));
            }
        } else {
            self.server.see(&self.who, &self.location, Need::Read).await?;
        }
        if to == self.location {
            return Err(DavError::forbidden("Source and destination uri are identical."));
        }
        let (space, home, uri) = match &to {
            Location::Collection { space, home, uri } => (*space, *home, uri.clone()),
            Location::Member { .. } => {
                return Err(DavError::forbidden("Collections cannot hold collections")
                    .because(Condition::Empty("cal:calendar-collection-location-ok")));
            }
            _ => return Err(DavError::forbidden("A calendar or an address book can only be put into a home")),
        };
        self.server.require_home(&self.who, space, home).await?;
        let relocation = Relocation { is_move, deep, home, uri, overwrite };
        let conditions = Conditions::read(&self)?;
        for attempt in 1..=ATTEMPTS {
            let from = self.source(space).await?;
            conditions.check(&self, None)?;
            if is_move {
                refuse_protected(&from)?;
                self.server.refuse_chosen_default(&from).await?;
            }
            let (batch, replaces) = self.relocation_of(&from, &relocation, attempt).await?;
            match self.server.write(batch, None).await {
                Ok(_) if replaces => return Ok(answer::empty(StatusCode::NO_CONTENT)),
                Ok(_) => return Ok(answer::empty(StatusCode::CREATED)),
                // Something changed since it was read: look again.
                Err(WriteError::Precondition(_) | WriteError::CollectionExists(_) | WriteError::NoCollection(_)) => {}
                Err(error) => return Err(write_failed(error)),
            }
        }
        Err(DavError::conflict("The collection keeps being changed by somebody else"))
    }

    /// The collection of the request, of a kind that can be somewhere else.
    async fn source(&self, to: Space) -> Result<Sight, DavError> {
        let from = self.server.see(&self.who, &self.location, Need::Read).await?;
        if matches!(from.kind, CollectionKind::Inbox | CollectionKind::Outbox) || space_of(from.kind) != to {
            return Err(DavError::forbidden(
                "Calendars are copied and moved to calendars, address books to address books",
            ));
        }
        Ok(from)
    }

    /// The operations and messages, and whether something is replaced: that goes first, then the collection appears with
    /// all that is in it, then the source goes. Nobody is invited or cancelled by what
    /// goes (dav §11.3), but what is replaced is deleted.
    async fn relocation_of(&self, from: &Sight, to: &Relocation, attempt: usize) -> Result<(Batch, bool), DavError> {
        let mut batch = Batch::default();
        let mut told = 0;
        batch.ops.push(Op::ExpectToken { collection: from.id, token: from.sync_token });
        let objects = if to.deep { self.all_of(from).await? } else { Vec::new() };
        let arriving: HashSet<&Uid> = objects.iter().map(|object| &object.meta.uid).collect();
        let replaced = match self.server.sight(&self.who, space_of(from.kind), to.home, &to.uri).await {
            Ok(found) => Some(found),
            Err(error) if error.status == StatusCode::NOT_FOUND => None,
            Err(error) => return Err(error),
        };
        if let Some(replaced) = &replaced {
            if !to.overwrite {
                return Err(must_not_overwrite());
            }
            if replaced.instance().is_some() {
                return Err(DavError::forbidden("What others have given cannot be replaced by something else"));
            }
            refuse_protected(replaced)?;
            batch.ops.push(Op::ExpectToken { collection: replaced.id, token: replaced.sync_token });
            let audience = self.server.audience(replaced).await?;
            let objects = self.all_of(replaced).await?;
            told += self.told_octets(told, &objects, &audience)?;
            for object in objects {
                batch.publish.extend(self.told_of(replaced, &audience, &object, Told::Deleted));
                if !arriving.contains(&object.meta.uid) {
                    self.call_off(&mut batch, replaced, &audience, &object, attempt).await?;
                }
            }
            batch.publish.extend(self.told_gone(replaced, &self.server.instances(replaced).await?));
            batch.ops.push(Op::DeleteCollection(replaced.id));
        }
        let mut made = new_collection(to.home, from.kind, &to.uri, &self.inner().env);
        made.props = from.props.clone();
        batch.publish.push(match made.kind {
            CollectionKind::AddressBook => self.book_of(&made).created(),
            CollectionKind::Calendar | CollectionKind::Inbox | CollectionKind::Outbox => {
                calendar_created(&made, Some(&self.who.principal()))
            }
        });
        batch.ops.push(Op::CreateCollection(made.clone()));
        let (here, there) = (self.server.audience(from).await?, Audience::alone(&made));
        if to.is_move {
            self.told_octets(told, &objects, &here)?;
        }
        for mut object in objects {
            if to.is_move {
                batch.publish.extend(self.told_of(from, &here, &object, Told::Deleted));
            } else if object.meta.schedule_tag.is_some() && to.home == from.source().home {
                // RFC 6638 §3.2.4.1: a home holds one scheduling object of each UID.
                let message = format!("{} invites somebody: a home holds such an event once", object.meta.name);
                return Err(
                    DavError::forbidden(message).because(Condition::Empty("cal:unique-scheduling-object-resource"))
                );
            }
            if !from.sees_private() {
                object.meta.etag = etag_of(&object.data);
            }
            object.meta.modified = self.inner().env.now();
            batch.publish.extend(self.told_of(&made, &there, &object, Told::Created));
            batch.ops.push(Op::PutObject { collection: made.id, object, expect: Expect::Absent });
        }
        if to.is_move {
            batch.publish.extend(self.told_gone(from, &self.server.instances(from).await?));
            batch.ops.push(Op::DeleteCollection(from.id));
        }
        Ok((batch, replaced.is_some()))
    }

    /// Octets that are told to others when objects go away.
    ///
    /// # Errors
    /// 507 where, with `before`, these are more than one batch may hold: everybody gets a message with the whole object.
    fn told_octets(&self, before: u64, objects: &[Object], audience: &Audience) -> Result<u64, DavError> {
        let most = self.inner().settings.limits.told_bytes;
        let each: u64 = objects.iter().map(|object| object.meta.size + MESSAGE).sum();
        let octets = each.saturating_mul(audience.others.len() as u64);
        if before.saturating_add(octets) > most {
            let message = format!("To tell those with whom it is shared would take more than {most} octets at once");
            return Err(DavError::insufficient_storage(message));
        }
        Ok(octets)
    }

    /// What is told of a collection that is not there any more.
    pub(super) fn told_gone(&self, collection: &Collection, instances: &[Instance]) -> Vec<Message> {
        let mut messages = self.told_taken_away(collection, instances);
        messages.push(match collection.kind {
            CollectionKind::AddressBook => self.book_of(collection).deleted(),
            CollectionKind::Calendar | CollectionKind::Inbox | CollectionKind::Outbox => {
                publish::calendar_deleted(collection, &self.who.principal())
            }
        });
        messages
    }

    /// All objects of a collection, as far as one batch may hold them.
    async fn all_of(&self, collection: &Sight) -> Result<Vec<Object>, DavError> {
        let most = self.inner().settings.limits.copied_bytes;
        let (mut all, mut octets): (Vec<Object>, u64) = (Vec::new(), 0);
        let mut after: Option<String> = None;
        loop {
            let page =
                self.inner().store.query(collection.id, &ObjectFilter::default(), after.as_deref(), PAGE).await?;
            after = page.next();
            octets += page.objects.iter().map(|object| object.meta.size).sum::<u64>();
            if octets > most {
                let message = format!("A collection of more than {most} octets cannot be copied or moved at once");
                return Err(DavError::insufficient_storage(message));
            }
            all.extend(page.objects.into_iter().filter_map(|object| collection.show(object)));
            if after.is_none() {
                return Ok(all);
            }
        }
    }
}
