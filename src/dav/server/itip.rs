//! `POST /itip` and the ITIP verb: an iTIP message reaches its recipient's calendar (dav §11.1, mail-itip-alarms §5.8–§5.9).
//! Delivering the same message again changes nothing and tells nobody.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde::Deserialize;

use super::access::write_failed;
use super::call::Call;
use super::deliveries::Deliveries;
use super::put::ATTEMPTS;
use super::rights::Need;
use super::{answer, publish};
use crate::dav::error::DavError;
use crate::dav::path::Location;
use crate::dav::upstream::Body;
use crate::ical::Component;
use crate::ids::{Email, HomeId, Uid};
use crate::itip::{self, Address, ItipMessage, Method, Outcome};
use crate::store::{Access, Batch, Collection, CollectionKind, Holder, Object, WriteError};

/// The JSON body (dav §11.1). `recurrence-id`, `dtstamp` and what else clients add is not looked at.
#[derive(Debug, Deserialize)]
struct Envelope {
    uid: String,
    sender: String,
    recipient: String,
    ical: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    sequence: Option<Sequence>,
    #[serde(default, rename = "replyTo")]
    reply_to: Option<String>,
}

/// SEQUENCE, which some clients write as a text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Sequence {
    Number(i64),
    Text(String),
}

/// A message whose envelope was read.
struct Delivery {
    message: ItipMessage,
    recipient: Email,
}

impl Envelope {
    /// Reads the body; `None` is answered with 400.
    fn open(body: &[u8]) -> Option<Delivery> {
        let envelope: Self = serde_json::from_slice(body).ok()?;
        let method: Method = envelope.method.as_deref().unwrap_or("REQUEST").parse().ok()?;
        let sender = envelope.reply_to.filter(|a| !a.is_empty()).unwrap_or(envelope.sender);
        let recipient = Email::from_calendar_address(&envelope.recipient).ok()?;
        if envelope.uid.is_empty() || sender.is_empty() {
            return None;
        }
        let mut calendar = Component::parse(&envelope.ical).ok()?;
        itip::pair_conferences(&mut calendar);
        let mut message = ItipMessage::read_as(calendar, method).ok()?;
        if message.uid.0 != envelope.uid {
            return None;
        }
        message.sender = Address::read(&sender).as_str().to_owned();
        message.recipient = recipient.to_calendar_address();
        message.sequence = match envelope.sequence {
            Some(Sequence::Number(number)) => message.sequence.max(number),
            Some(Sequence::Text(text)) => message.sequence.max(text.trim().parse().unwrap_or(0)),
            None => message.sequence,
        };
        Some(Delivery { message, recipient })
    }
}

impl Call {
    /// Delivers a message to the actor, or files the actor's counter-proposal with the organizer. 204 whatever became of
    /// it; 400 and 403 without body, as callers of the reference know them (observed §1.13).
    pub(super) async fn deliver(mut self) -> Result<Response<Body>, DavError> {
        if self.location != Location::Itip {
            // The path must be one the actor may use; where it leads makes no difference (dav §11.1).
            self.reachable().await?;
        }
        let limit = self.inner().settings.limits.object_bytes;
        let too_large = DavError::too_large(format!("The message is larger than {limit} octets"));
        let body = self.body(limit, too_large).await?;
        let Some(delivery) = Envelope::open(&body) else { return Ok(answer::empty(StatusCode::BAD_REQUEST)) };
        if delivery.message.method == Method::Counter {
            return self.file_counter_proposal(&delivery).await;
        }
        let itself = self.who.home().and_then(|home| self.who.as_holder_of(home));
        match itself.filter(|holder| holder.emails.contains(&delivery.recipient)) {
            Some(recipient) => self.apply(&recipient, &delivery.message).await,
            None => Ok(answer::empty(StatusCode::FORBIDDEN)),
        }
    }

    async fn reachable(&self) -> Result<(), DavError> {
        match &self.location {
            // The object itself need not be there: a message may be about one that is still to come.
            Location::Member { .. } => self.server.see(&self.who, &self.location, Need::Read).await.map(|_| ()),
            _ => self.target().await.map(|_| ()),
        }
    }

    /// Merges the message into the recipient's copy, and stores it with everything that follows in one write.
    async fn apply(&self, recipient: &Holder, message: &ItipMessage) -> Result<Response<Body>, DavError> {
        let done = Ok(answer::empty(StatusCode::NO_CONTENT));
        for _ in 0..ATTEMPTS {
            let Some(batch) = self.batch_for(recipient, message).await? else { return done };
            match self.server.write(batch, None).await {
                Ok(_) => return done,
                // Somebody wrote one of the copies at the same time, or made one: look again.
                Err(WriteError::Precondition(_) | WriteError::UidConflict { .. }) => {}
                Err(error) => return Err(write_failed(error)),
            }
        }
        // Not a failure of the message: whoever delivers it tries again later.
        Err(DavError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Sabre\\DAV\\Exception\\ServiceUnavailable",
            "The calendar object keeps being changed by somebody else",
        ))
    }

    /// What is to be written for a message; `None` when there is nothing to do.
    async fn batch_for(&self, recipient: &Holder, message: &ItipMessage) -> Result<Option<Batch>, DavError> {
        let mut deliveries = Deliveries::new(self);
        let outcome = deliveries
            .deliver(recipient, message)
            .await?
            .map_err(|error| DavError::bad_request(format!("The message cannot be applied: {error}")))?;
        deliveries.settle().await?;
        let (ops, mut publish) = deliveries.finish().await?;
        if outcome == Outcome::Updated {
            publish.extend(self.told_of_booking(message).await?);
        }
        Ok((!ops.is_empty() || !publish.is_empty()).then_some(Batch { ops, publish }))
    }

    /// The recipient's object with that UID, in whichever of their calendars it is.
    pub(super) async fn copy_of(&self, home: HomeId, uid: &Uid) -> Result<Option<Copy>, DavError> {
        for (collection, object) in self.inner().store.find_uid(home, uid).await? {
            // What cannot be parsed cannot be changed by a message; it stays as it is.
            if let Ok(calendar) = Component::parse(&object.data) {
                return Ok(Some(Copy { collection, object, calendar }));
            }
        }
        Ok(None)
    }

    /// A proposal changes no calendar: it lies in the organizer's inbox, and the organizer is told (mail-itip-alarms §5.9).
    async fn file_counter_proposal(&self, delivery: &Delivery) -> Result<Response<Body>, DavError> {
        let message = &delivery.message;
        let Some(sender) = self.acts_as(&Address::read(&message.sender)).await? else {
            return Ok(answer::empty(StatusCode::FORBIDDEN));
        };
        let organizer = self.inner().tenants.invited_as(&delivery.recipient).await?;
        let mut batch = Batch::default();
        let mut current: Option<Arc<str>> = None;
        // Only those who were invited propose: an inbox is not for everybody's use.
        if let Some(organizer) = organizer.filter(|organizer| organizer.domain == self.who.domain())
            && let Some(copy) = self.copy_of(organizer.home, &message.uid).await?
            && invites(&copy.calendar, &organizer.emails, &sender)
        {
            let name = format!("sabredav-{}.ics", self.inner().env.uuid());
            batch.ops.push(self.inbox_item(&organizer, &name, message).await?);
            current = Some(copy.object.data.into());
        }
        let mut calendar_id = None;
        if let Location::Member { ref uri, .. } = self.location {
            calendar_id = Some(uri.as_str());
            if current.is_none()
                && let Ok((_, own)) = self.server.object(&self.who, &self.location, Need::Read).await
            {
                current = Some(own.data.into());
            }
        }
        let (by, text) = (self.who.principal(), message.to_ics().into());
        batch.publish.push(publish::local_delivery(message, &text, current.as_ref().into(), calendar_id, &by, false));
        self.inner().store.write(batch).await.map_err(write_failed)?;
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }
}

impl Call {
    /// The addresses in whose name the actor may propose something: their own, or those of somebody who lets them write to a
    /// calendar (dav §11.1). `None` when this address is neither.
    async fn acts_as(&self, sender: &Address) -> Result<Option<Vec<Email>>, DavError> {
        if sender.is_one_of(self.who.emails()) {
            return Ok(Some(self.who.emails().to_vec()));
        }
        let Some(home) = self.who.home() else { return Ok(None) };
        let Some(person) = self.calendar_user(sender, self.who.domain()).await? else { return Ok(None) };
        let shared = self.inner().store.shared_in(home).await?;
        let may_write = shared.iter().any(|shared| {
            let access = shared.instance.delegation().map(|given| given.access);
            let is_calendar = shared.source.kind == CollectionKind::Calendar;
            is_calendar && shared.source.home == person.home && access.is_some_and(Access::writes)
        });
        Ok(may_write.then(|| person.emails.clone()))
    }
}

/// Whether one of these addresses organizes the event and one of those attends it.
fn invites(calendar: &Component, organizer: &[Email], attendee: &[Email]) -> bool {
    let names = |property: &str, emails: &[Email]| {
        let is_one = |value: &str| Address::read(value).is_one_of(emails);
        calendar.components().any(|event| event.all(property).any(|p| is_one(p.value())))
    };
    names("ORGANIZER", organizer) && names("ATTENDEE", attendee)
}

/// A person's copy of an event.
pub(super) struct Copy {
    pub(super) collection: Collection,
    pub(super) object: Object,
    pub(super) calendar: Component,
}
