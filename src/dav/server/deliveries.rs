//! Scheduling messages that reach people, and resources, of this server (RFC 6638 §4): what becomes of their calendars and inboxes, as
//! operations for the same write that causes the messages. Several messages to one person build on each other.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use super::bookings::Answer;
use super::call::Call;
use super::publish::{self, Before};
use super::put::object_of;
use super::schedule_tag;
use super::tenant::principal_name;
use crate::dav::error::DavError;
use crate::dav::path::Space;
use crate::events::{Message, Topic};
use crate::ical::{Component, Property};
use crate::ids::{CollectionId, Email, HomeId, Uid};
use crate::itip::{self, Address, ItipError, ItipMessage, Method, Outcome};
use crate::store::home::INBOX;
use crate::store::{Collection, Expect, Holder, Object, Op};

/// Messages being delivered in one write.
pub(super) struct Deliveries<'c> {
    call: &'c Call,
    pub(super) now: DateTime<Utc>,
    /// The copies that were looked at, in that order.
    pub(super) copies: Vec<Copy>,
    places: HashMap<(HomeId, Uid), usize>,
    changes: usize,
    inbox_items: Vec<Op>,
    /// Messages that follow and are delivered by the queue.
    queued: Vec<Message>,
    /// Messages that were written out, for those who are told the same, by where they are in memory.
    texts: HashMap<usize, (Arc<Component>, Arc<str>)>,
    /// What resources answered, and nobody was told yet.
    pub(super) answers: Vec<Answer>,
    /// Collections whose state the answers rest on, with the tokens they had.
    pub(super) relied_on: Vec<(CollectionId, u64)>,
    /// Resources that were invited before everybody else, with where their copies are.
    pub(super) asked: HashMap<HomeId, usize>,
}

/// Somebody's object, as it will be.
pub(super) struct Copy {
    owner: Holder,
    pub(super) collection: Collection,
    /// What is there now.
    stored: Option<Object>,
    name: String,
    pub(super) calendar: Component,
    /// Which of all changes was the last to this copy; 0 for none.
    changed: usize,
    /// All changes so far leave the Schedule-Tag as it is.
    is_inconsequential: bool,
    /// Who is told of the change, and by whom it is.
    topics: Vec<Topic>,
    by: String,
    /// What is told of a resource's object besides.
    pub(super) booked: Vec<Topic>,
}

impl<'c> Deliveries<'c> {
    pub(super) fn new(call: &'c Call) -> Self {
        Self {
            call,
            now: call.inner().env.now(),
            copies: Vec::new(),
            places: HashMap::new(),
            changes: 0,
            inbox_items: Vec::new(),
            queued: Vec::new(),
            texts: HashMap::new(),
            answers: Vec::new(),
            relied_on: Vec::new(),
            asked: HashMap::new(),
        }
    }

    pub(super) fn call(&self) -> &'c Call {
        self.call
    }

    /// Merges a message into the recipient's copy. The inner error says that the message makes no sense for that copy.
    pub(super) fn deliver<'a>(
        &'a mut self,
        recipient: &'a Holder,
        message: &'a ItipMessage,
    ) -> BoxFuture<'a, Result<Result<Outcome, ItipError>, DavError>> {
        Box::pin(async move {
            let mut at = self.copy_of(recipient, &message.uid).await?;
            if at.is_none() {
                at = self.team_copy(recipient, message).await?;
            }
            let existing = at.map(|at| &self.copies[at].calendar);
            let applied = match itip::apply(existing, message, &recipient.emails, self.now) {
                Ok(applied) => applied,
                Err(error) => return Ok(Err(error)),
            };
            let outcome = applied.outcome;
            let result = match (outcome, applied.result) {
                (Outcome::Created | Outcome::Updated, Some(result)) => result,
                _ => {
                    tracing::debug!(uid = %message.uid, ?outcome, "an iTIP message changes nothing");
                    if let Some(at) = at {
                        self.answer_without_change(at, recipient, message).await?;
                    }
                    return Ok(Ok(outcome));
                }
            };
            let item = format!("sabredav-{}.ics", self.call.inner().env.uuid());
            let topics = topics(message, &result, &recipient.emails);
            let by = principal_name(recipient);
            match at {
                Some(at) => {
                    let before = self.copies[at].calendar.clone();
                    let mut result = result;
                    if message.method == Method::Reply {
                        let replier = Address::read(&message.sender);
                        let source = self.copies[at].collection.uri.clone();
                        self.pass_on(recipient, &source, &before, &mut result, &replier).await?;
                    }
                    let inconsequential = match message.method {
                        Method::Reply => itip::is_mere_answer(&before, &result),
                        _ => itip::is_inconsequential(&before, &result, &recipient.emails),
                    };
                    self.change(at, result, inconsequential, &topics, by);
                    self.book(at, recipient, message, Some(&before)).await?;
                }
                None => {
                    let collection = self.call.server.default_calendar(recipient.home).await?;
                    self.create(recipient, collection, &item, message.uid.clone(), result, &topics, by);
                    self.book(self.copies.len() - 1, recipient, message, None).await?;
                }
            }
            // An update that says nothing to people is no message to them (dav §11.1.4).
            if message.method != Method::Request || message.has_change {
                self.file(recipient, item, message).await?;
            }
            Ok(Ok(outcome))
        })
    }

    /// A message that changes no calendar but asks for something: an answer, or to be read.
    async fn answer_without_change(
        &mut self,
        at: usize,
        recipient: &Holder,
        message: &ItipMessage,
    ) -> Result<(), DavError> {
        match message.method {
            Method::DeclineCounter if itip::concerns(&self.copies[at].calendar, message) => {
                // Named by its content: delivered twice, it lies there once.
                let digest = hex::encode(&Sha256::digest(message.to_ics())[..16]);
                self.file(recipient, format!("sabredav-{digest}.ics"), message).await
            }
            Method::Refresh => {
                let copy = &self.copies[at];
                if let Some(answer) = itip::refreshed(&copy.calendar, message, &recipient.emails, self.now) {
                    let by = principal_name(recipient);
                    let uri = Some(copy.collection.uri.as_str());
                    let text = answer.to_ics().into();
                    self.queued.push(publish::local_delivery(&answer, &text, Before::Nothing, uri, &by, false));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Brings a copy in step without telling its owner by inbox or mail.
    pub(super) fn bring_in_step(&mut self, at: usize, message: &ItipMessage, emails: &[Email], by: &str) -> bool {
        let before = &self.copies[at].calendar;
        match itip::apply(Some(before), message, emails, self.now) {
            Ok(applied) => {
                if let (Outcome::Updated, Some(result)) = (applied.outcome, applied.result) {
                    let inconsequential = itip::is_inconsequential(before, &result, emails);
                    let topics = [Topic::EventRequest, Topic::EventUpdated];
                    self.change(at, result, inconsequential, &topics, by.to_owned());
                }
                true
            }
            Err(error) => {
                tracing::debug!(%error, uid = %message.uid, "a copy is not brought in step");
                false
            }
        }
    }

    /// Hands a message to the queue besides; `delivered` where the calendar has it already.
    pub(super) fn queue(&mut self, message: &ItipMessage, before: Before<'_>, uri: &str, by: &str, delivered: bool) {
        let text = self.text_of(message);
        self.queued.push(publish::local_delivery(message, &text, before, Some(uri), by, delivered));
    }

    /// A message as iCalendar text, written once for all who are told the same.
    pub(super) fn text_of(&mut self, message: &ItipMessage) -> Arc<str> {
        let written = || (Arc::clone(&message.calendar), message.to_ics().into());
        Arc::clone(&self.texts.entry(Arc::as_ptr(&message.calendar).addr()).or_insert_with(written).1)
    }

    /// The recipient's object with that UID, in whichever of their calendars it is.
    pub(super) async fn copy_of(&mut self, recipient: &Holder, uid: &Uid) -> Result<Option<usize>, DavError> {
        let home = recipient.home;
        if let Some(known) = self.place_of(home, uid) {
            return Ok(Some(known));
        }
        let found = self.call.copy_of(home, uid).await?;
        Ok(found.map(|found| self.look_at(recipient, uid, found)))
    }

    /// Takes up somebody's copy of the object with that UID.
    pub(super) fn look_at(&mut self, recipient: &Holder, uid: &Uid, found: super::itip::Copy) -> usize {
        self.places.insert((recipient.home, uid.clone()), self.copies.len());
        self.copies.push(Copy {
            owner: recipient.clone(),
            collection: found.collection,
            name: found.object.meta.name.clone(),
            stored: Some(found.object),
            calendar: found.calendar,
            changed: 0,
            is_inconsequential: true,
            topics: Vec::new(),
            by: String::new(),
            booked: Vec::new(),
        });
        self.copies.len() - 1
    }

    /// Where the copy of an object in a home is that was looked at.
    pub(super) fn place_of(&self, home: HomeId, uid: &Uid) -> Option<usize> {
        self.places.get(&(home, uid.clone())).copied()
    }

    fn change(&mut self, at: usize, calendar: Component, inconsequential: bool, topics: &[Topic], by: String) {
        self.changes += 1;
        let copy = &mut self.copies[at];
        copy.calendar = calendar;
        copy.changed = self.changes;
        copy.is_inconsequential &= inconsequential;
        copy.topics.extend(topics);
        copy.by = by;
    }

    #[expect(clippy::too_many_arguments, reason = "what a new copy is made of")]
    fn create(
        &mut self,
        owner: &Holder,
        collection: Collection,
        name: &str,
        uid: Uid,
        calendar: Component,
        topics: &[Topic],
        by: String,
    ) {
        self.changes += 1;
        self.places.insert((owner.home, uid), self.copies.len());
        self.copies.push(Copy {
            owner: owner.clone(),
            collection,
            stored: None,
            name: name.to_owned(),
            calendar,
            changed: self.changes,
            is_inconsequential: false,
            topics: topics.to_vec(),
            by,
            booked: Vec::new(),
        });
    }

    /// Puts the message into the recipient's inbox (RFC 6638 §2.2).
    pub(super) async fn file(
        &mut self,
        recipient: &Holder,
        name: String,
        message: &ItipMessage,
    ) -> Result<(), DavError> {
        let item = self.call.inbox_item(recipient, &name, message).await?;
        self.inbox_items.push(item);
        Ok(())
    }

    /// What is to be written, and who is told of it: the messages about the copies, then those for the queue.
    pub(super) async fn finish(self) -> Result<(Vec<Op>, Vec<Message>), DavError> {
        let (mut ops, mut told) = (Vec::new(), Vec::new());
        // Before anything else changes them.
        ops.extend(self.relied_on.iter().map(|&(collection, token)| Op::ExpectToken { collection, token }));
        let mut copies = self.copies;
        copies.retain(|copy| copy.changed > 0);
        // An answer is told after what it brought about (observed §1.6).
        copies.sort_by_key(|copy| copy.changed);
        for copy in copies {
            let text = if copy.stored.is_some() { copy.calendar.to_text() } else { copy.calendar.to_wire() };
            let component = itip::component_of(&copy.calendar);
            let mut object = object_of(&copy.name, text, &copy.calendar, &component, self.now);
            let stored = copy.stored.as_ref().map(|object| &object.meta);
            object.meta.schedule_tag =
                schedule_tag::of_delivery(&object.meta, stored, copy.is_inconsequential, &copy.calendar, &copy.owner);
            let audience = self.call.server.audience_at_home(&copy.collection).await?;
            let subject = publish::Subject::stored(&audience, &object, &copy.calendar, &copy.by);
            told.extend(subject.delivered(&copy.topics));
            let of_resource = |topic: &Topic| publish::booking(*topic, &copy.collection, &object, &copy.by);
            told.extend(copy.booked.iter().map(of_resource));
            let expect = stored.map_or(Expect::Absent, |meta| Expect::Etag(meta.etag.clone()));
            ops.push(Op::PutObject { collection: copy.collection.id, object, expect });
        }
        ops.extend(self.inbox_items);
        told.extend(self.queued);
        Ok((ops, told))
    }
}

impl Call {
    /// The message as it lies in the recipient's inbox (RFC 6638 §2.2).
    pub(super) async fn inbox_item(
        &self,
        recipient: &Holder,
        name: &str,
        message: &ItipMessage,
    ) -> Result<Op, DavError> {
        let inbox = self.server.collection(Space::Calendars, recipient.home, INBOX).await?;
        let mut calendar = (*message.calendar).clone();
        calendar.set(Property::new("METHOD", message.method.as_str()));
        let component = itip::component_of(&calendar);
        let object = object_of(name, calendar.to_wire(), &calendar, &component, self.inner().env.now());
        Ok(Op::PutObject { collection: inbox.id, object, expect: Expect::Any })
    }
}

/// Who is told of a delivered message, in this order (messaging §1.4).
fn topics(message: &ItipMessage, result: &Component, recipient: &[Email]) -> Vec<Topic> {
    match message.method {
        Method::Request | Method::Add => {
            let mut topics = vec![Topic::EventRequest];
            if message.significant_change && has_accepted(result, recipient) {
                topics.push(Topic::AlarmUpdated);
            }
            topics.push(Topic::EventUpdated);
            topics
        }
        Method::Cancel => vec![Topic::EventCancel, Topic::AlarmCancel, Topic::EventDeleted],
        Method::Reply => vec![Topic::EventReply],
        _ => Vec::new(),
    }
}

/// Whether the recipient has accepted the series.
fn has_accepted(calendar: &Component, recipient: &[Email]) -> bool {
    let master = calendar.components().find(|c| itip::is_schedulable(c) && c.get("RECURRENCE-ID").is_none());
    let mut attendees = master.into_iter().flat_map(|m| m.all("ATTENDEE"));
    attendees.any(|a| {
        let accepted = a.get_param("PARTSTAT").is_some_and(|p| p.eq_ignore_ascii_case("ACCEPTED"));
        accepted && Address::read(a.value()).is_one_of(recipient)
    })
}
