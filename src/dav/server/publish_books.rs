//! What the rest of the program is told of cards and address books (messaging §1.10, §1.11), in the same batch as the write.
//!
//! The reference follows each deletion of a card with a second message that holds only the path, which its own consumers
//! cannot use (messaging §6.4); one is enough.

use super::audience::{Audience, book_path, card_path};
use super::call::Call;
use super::tenant::{Tenant, Tenants};
use crate::events::{AddressBookChanged, ContactChanged, Message, Topic};
use crate::ids::CalendarPath;
use crate::store::Collection;

/// An address book to which something happens.
pub(super) struct Book {
    audience: Audience,
    /// Principal in whose home it was written.
    owner: String,
    /// Principal whose book it is.
    source_owner: String,
    /// Principal who acts.
    by: String,
}

impl Book {
    /// A book that this tenant writes to, of which only its owner is told.
    pub(super) fn of(collection: &Collection, tenants: &Tenants, who: &Tenant) -> Self {
        Self::told_to(Audience::alone(collection), tenants, who)
    }

    /// A book with everybody who has it.
    pub(super) fn told_to(audience: Audience, tenants: &Tenants, who: &Tenant) -> Self {
        let owner = tenants.owner_name(who, audience.written_in());
        let source_owner = tenants.owner_name(who, audience.source.home);
        Self { audience, owner, source_owner, by: who.principal() }
    }

    /// A card was created.
    pub(super) fn card_created(&self, name: &str, card: &str) -> Vec<Message> {
        self.card(Topic::ContactCreated, name, card)
    }

    /// A card was overwritten.
    pub(super) fn card_updated(&self, name: &str, card: &str) -> Vec<Message> {
        self.card(Topic::ContactUpdated, name, card)
    }

    /// A card was deleted; `card` is its last text.
    pub(super) fn card_deleted(&self, name: &str, card: &str) -> Vec<Message> {
        self.card(Topic::ContactDeleted, name, card)
    }

    /// For where it was written, for its owner where that is somewhere else, and for all others.
    fn card(&self, topic: Topic, name: &str, card: &str) -> Vec<Message> {
        let Audience { written, source, others } = &self.audience;
        let message = |place: &CalendarPath, owner: &str, is_source: bool| {
            let path = card_path(place, name);
            let key = format!("/{path}");
            let payload = ContactChanged {
                path,
                owner: Some(owner.to_owned()),
                carddata: Some(card.to_owned()),
                source_path: (!is_source).then(|| card_path(source, name)),
                connected_user: Some(self.by.clone()),
            };
            Message::new(topic, key, &payload)
        };
        let mut messages = vec![message(written, &self.owner, true)];
        if written != source {
            messages.push(message(source, &self.source_owner, true));
        }
        let others = others.iter().filter(|listener| listener.path != *written);
        messages.extend(others.map(|listener| message(&listener.path, &self.source_owner, false)));
        messages
    }

    /// The book was created.
    pub(super) fn created(&self) -> Message {
        self.book(Topic::AddressBookCreated, Some(&self.owner))
    }

    /// Properties of the book changed. Whose it is is not said, as the reference does not either.
    pub(super) fn updated(&self) -> Message {
        self.book(Topic::AddressBookUpdated, None)
    }

    /// The book was deleted.
    pub(super) fn deleted(&self) -> Message {
        self.book(Topic::AddressBookDeleted, Some(&self.owner))
    }

    fn book(&self, topic: Topic, owner: Option<&String>) -> Message {
        let payload = AddressBookChanged {
            path: book_path(&self.audience.written),
            owner: owner.cloned(),
            connected_user: Some(self.by.clone()),
        };
        Message::new(topic, format!("/{}", payload.path), &payload)
    }

    /// Somebody has the book from now on.
    pub(super) fn given(&self) -> Message {
        self.book(Topic::BookSubscriptionCreated, None)
    }

    /// What somebody has of it looks different.
    pub(super) fn given_updated(&self) -> Message {
        self.book(Topic::BookSubscriptionUpdated, None)
    }

    /// Somebody has it no longer.
    pub(super) fn taken_away(&self) -> Message {
        self.book(Topic::BookSubscriptionDeleted, Some(&self.owner))
    }
}

impl Call {
    /// An address book that the actor writes to, of which only its owner is told.
    pub(super) fn book_of(&self, collection: &Collection) -> Book {
        self.book_told_to(Audience::alone(collection))
    }

    /// An address book that the actor writes to, with everybody who has it.
    pub(super) fn book_told_to(&self, audience: Audience) -> Book {
        Book::told_to(audience, &self.inner().tenants, &self.who)
    }
}
