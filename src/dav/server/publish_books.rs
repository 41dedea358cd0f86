//! What the rest of the program is told of cards and address books (messaging §1.10, §1.11), in the same batch as the write.
//!
//! The reference follows each deletion of a card with a second message that holds only the path, which its own consumers
//! cannot use (messaging §6.4); one is enough.

use super::tenant::Tenant;
use crate::dav::path::Space;
use crate::events::{AddressBookChanged, ContactChanged, Message, Topic};
use crate::store::Collection;

/// An address book to which something happens.
pub(super) struct Book {
    /// Path without a leading slash; not encoded.
    path: String,
    /// Principal whose book it is.
    owner: String,
    /// Principal who acts.
    by: String,
}

impl Book {
    /// A book that this tenant writes to.
    pub(super) fn of(collection: &Collection, who: &Tenant) -> Self {
        Self {
            path: format!("{}/{}/{}", Space::AddressBooks.segment(), collection.home, collection.uri),
            owner: who.owner_of(collection.home),
            by: who.principal(),
        }
    }

    /// A card was created.
    pub(super) fn card_created(&self, name: &str, card: &str) -> Message {
        self.card(Topic::ContactCreated, name, card)
    }

    /// A card was overwritten.
    pub(super) fn card_updated(&self, name: &str, card: &str) -> Message {
        self.card(Topic::ContactUpdated, name, card)
    }

    /// A card was deleted; `card` is its last text.
    pub(super) fn card_deleted(&self, name: &str, card: &str) -> Message {
        self.card(Topic::ContactDeleted, name, card)
    }

    fn card(&self, topic: Topic, name: &str, card: &str) -> Message {
        let path = format!("{}/{name}", self.path);
        let key = format!("/{path}");
        let payload = ContactChanged {
            path,
            owner: Some(self.owner.clone()),
            carddata: Some(card.to_owned()),
            source_path: None,
            connected_user: Some(self.by.clone()),
        };
        Message::new(topic, key, &payload)
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
            path: self.path.clone(),
            owner: owner.cloned(),
            connected_user: Some(self.by.clone()),
        };
        Message::new(topic, format!("/{}", self.path), &payload)
    }
}
