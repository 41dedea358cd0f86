//! COPY and MOVE of calendars and address books (RFC 4918 §9.8, §9.9): all of it in one batch, on exactly what was read.

use http::{Response, StatusCode};

use super::access::{space_of, write_failed};
use super::call::{Call, Depth};
use super::copy_move::{Told, must_not_overwrite};
use super::delete::refuse_protected;
use super::publish_books::Book;
use super::put::{ATTEMPTS, Conditions};
use super::{answer, publish};
use crate::dav::announce::calendar_created;
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, Space};
use crate::dav::upstream::Body;
use crate::events::Message;
use crate::ids::HomeId;
use crate::store::home::new_collection;
use crate::store::{Batch, Collection, CollectionKind, Expect, Object, ObjectFilter, Op, WriteError};

/// Objects that are read at once.
const PAGE: usize = 200;

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
        let privilege = if is_move { "d:unbind" } else { "d:read" };
        self.server.require_owner(&self.who, &self.location, privilege).await?;
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
        self.server.require_owner(&self.who, &to, "d:bind").await?;
        let relocation = Relocation { is_move, deep, home, uri, overwrite };
        let conditions = Conditions::read(&self)?;
        for _ in 0..ATTEMPTS {
            let from = self.source(space).await?;
            conditions.check(&self, None)?;
            if is_move {
                refuse_protected(&from)?;
                self.server.refuse_chosen_default(&from).await?;
            }
            let (batch, replaces) = self.relocation_of(&from, &relocation).await?;
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
    async fn source(&self, to: Space) -> Result<Collection, DavError> {
        let Location::Collection { space, home, ref uri } = self.location else {
            return Err(DavError::no_node(&self.path));
        };
        let from = self.server.collection(space, home, uri).await?;
        if matches!(from.kind, CollectionKind::Inbox | CollectionKind::Outbox) || space_of(from.kind) != to {
            return Err(DavError::forbidden(
                "Calendars are copied and moved to calendars, address books to address books",
            ));
        }
        Ok(from)
    }

    /// The operations and messages, and whether something is replaced: that goes first, then the collection appears with
    /// all that is in it, then the source goes. Nobody is invited or cancelled (dav §11.3).
    async fn relocation_of(&self, from: &Collection, to: &Relocation) -> Result<(Batch, bool), DavError> {
        let mut batch = Batch::default();
        batch.ops.push(Op::ExpectToken { collection: from.id, token: from.sync_token });
        let replaced = match self.server.collection(space_of(from.kind), to.home, &to.uri).await {
            Ok(found) => Some(found),
            Err(error) if error.status == StatusCode::NOT_FOUND => None,
            Err(error) => return Err(error),
        };
        if let Some(replaced) = &replaced {
            if !to.overwrite {
                return Err(must_not_overwrite());
            }
            refuse_protected(replaced)?;
            batch.ops.push(Op::ExpectToken { collection: replaced.id, token: replaced.sync_token });
            for object in self.all_of(replaced).await? {
                batch.publish.extend(self.told_of(replaced, &object, Told::Deleted));
            }
            batch.publish.push(self.told_gone(replaced));
            batch.ops.push(Op::DeleteCollection(replaced.id));
        }
        let mut made = new_collection(to.home, from.kind, &to.uri, &self.inner().env);
        made.props = from.props.clone();
        batch.publish.push(match made.kind {
            CollectionKind::AddressBook => Book::of(&made, &self.who).created(),
            CollectionKind::Calendar | CollectionKind::Inbox | CollectionKind::Outbox => {
                calendar_created(&made, Some(&self.who.principal()))
            }
        });
        batch.ops.push(Op::CreateCollection(made.clone()));
        let objects = if to.deep { self.all_of(from).await? } else { Vec::new() };
        for mut object in objects {
            if to.is_move {
                batch.publish.extend(self.told_of(from, &object, Told::Deleted));
            } else if object.meta.schedule_tag.is_some() && to.home == from.home {
                // RFC 6638 §3.2.4.1: a home holds one scheduling object of each UID.
                let message = format!("{} invites somebody: a home holds such an event once", object.meta.name);
                return Err(
                    DavError::forbidden(message).because(Condition::Empty("cal:unique-scheduling-object-resource"))
                );
            }
            object.meta.modified = self.inner().env.now();
            batch.publish.extend(self.told_of(&made, &object, Told::Created));
            batch.ops.push(Op::PutObject { collection: made.id, object, expect: Expect::Absent });
        }
        if to.is_move {
            batch.publish.push(self.told_gone(from));
            batch.ops.push(Op::DeleteCollection(from.id));
        }
        Ok((batch, replaced.is_some()))
    }

    /// What is told of a collection that is not there any more.
    pub(super) fn told_gone(&self, collection: &Collection) -> Message {
        match collection.kind {
            CollectionKind::AddressBook => Book::of(collection, &self.who).deleted(),
            CollectionKind::Calendar | CollectionKind::Inbox | CollectionKind::Outbox => {
                publish::calendar_deleted(collection, &self.who.principal())
            }
        }
    }

    /// All objects of a collection, as far as one batch may hold them.
    async fn all_of(&self, collection: &Collection) -> Result<Vec<Object>, DavError> {
        let most = self.inner().settings.limits.copied_bytes;
        let (mut all, mut octets): (Vec<Object>, u64) = (Vec::new(), 0);
        loop {
            let after = all.last().map(|object| object.meta.name.as_str());
            let page = self.inner().store.query(collection.id, &ObjectFilter::default(), after, PAGE).await?;
            octets += page.iter().map(|object| object.meta.size).sum::<u64>();
            if octets > most {
                let message = format!("A collection of more than {most} octets cannot be copied or moved at once");
                return Err(DavError::insufficient_storage(message));
            }
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }
}
