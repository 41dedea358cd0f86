//! Where things are: which collections of the database hold a calendar, an address book or an inbox, and whose it is.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use crate::ids::{CollectionId, HomeId};
use crate::mongo::{id, oid};
use crate::store::CollectionKind;

/// The three sets of collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Shelf {
    /// `calendars`, `calendarinstances`, `calendarobjects`, `calendarchanges`.
    Calendars,
    /// `addressbooks`, `cards`, `addressbookchanges`.
    Books,
    /// `convoke_boxes`, `schedulingobjects`, `convoke_box_changes`: for esn-sabre an inbox is no more than its objects.
    Boxes,
}

impl Shelf {
    pub(super) const ALL: [Self; 3] = [Self::Calendars, Self::Books, Self::Boxes];

    pub(super) fn of(kind: CollectionKind) -> Self {
        match kind {
            CollectionKind::Calendar => Self::Calendars,
            CollectionKind::AddressBook => Self::Books,
            CollectionKind::Inbox | CollectionKind::Outbox => Self::Boxes,
        }
    }

    /// Holds the sync token.
    pub(super) fn heads(self) -> &'static str {
        match self {
            Self::Calendars => "calendars",
            Self::Books => "addressbooks",
            Self::Boxes => "convoke_boxes",
        }
    }

    /// Holds path and properties.
    pub(super) fn faces(self) -> &'static str {
        match self {
            Self::Calendars => "calendarinstances",
            Self::Books => "addressbooks",
            Self::Boxes => "convoke_boxes",
        }
    }

    pub(super) fn objects(self) -> &'static str {
        match self {
            Self::Calendars => "calendarobjects",
            Self::Books => "cards",
            Self::Boxes => "schedulingobjects",
        }
    }

    /// Field of an object that names what it is in.
    pub(super) fn parent(self) -> &'static str {
        match self {
            Self::Calendars => "calendarid",
            Self::Books => "addressbookid",
            Self::Boxes => "principaluri",
        }
    }

    /// Field of an object with its text.
    pub(super) fn data(self) -> &'static str {
        match self {
            Self::Calendars | Self::Boxes => "calendardata",
            Self::Books => "carddata",
        }
    }

    pub(super) fn changes(self) -> &'static str {
        match self {
            Self::Calendars => "calendarchanges",
            Self::Books => "addressbookchanges",
            Self::Boxes => "convoke_box_changes",
        }
    }

    /// Field of a change that names what changed; always an id.
    pub(super) fn changed(self) -> &'static str {
        match self {
            Self::Calendars => "calendarid",
            Self::Books => "addressbookid",
            Self::Boxes => "box",
        }
    }
}

/// Where the objects of one collection are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub(super) shelf: Shelf,
    pub(super) id: ObjectId,
    /// What its objects have in [`Shelf::parent`].
    pub(super) parent: Bson,
}

impl Place {
    pub(super) fn calendar(id: ObjectId) -> Self {
        // Hex digits here, an ObjectId everywhere else: so it is.
        Self { shelf: Shelf::Calendars, id, parent: Bson::String(id.to_hex()) }
    }

    pub(super) fn book(id: ObjectId) -> Self {
        Self { shelf: Shelf::Books, id, parent: Bson::ObjectId(id) }
    }

    /// What is in the inbox is kept by its principal alone. Nothing but the inbox is known to esn-sabre.
    pub(super) fn in_box(id: ObjectId, principal: &str, uri: &str) -> Self {
        let parent = if uri == crate::store::home::INBOX { principal.to_owned() } else { format!("{principal}/{uri}") };
        Self { shelf: Shelf::Boxes, id, parent: Bson::String(parent) }
    }

    /// Its objects.
    pub(super) fn all(&self) -> Document {
        doc! { self.shelf.parent(): self.parent.clone() }
    }

    /// One of its objects; more than one where two programs made it at the same time.
    pub(super) fn named(&self, name: &str) -> Document {
        doc! { self.shelf.parent(): self.parent.clone(), "uri": name }
    }
}

/// Prefixes of the principals that have homes; users first, for they are most.
pub(super) const PRINCIPALS: [&str; 4] =
    ["principals/users/", "principals/resources/", "principals/team-calendars/", "principals/domains/"];

/// The principals that a home may belong to.
pub(super) fn principals_of(home: HomeId) -> [String; 4] {
    PRINCIPALS.map(|prefix| format!("{prefix}{home}"))
}

/// Whose home a principal has; `None` for what has no home, and for odd ones.
pub(super) fn home_of(principal: &str) -> Option<HomeId> {
    PRINCIPALS.iter().find_map(|prefix| principal.strip_prefix(prefix))?.parse().ok()
}

/// Ids of the inbox and the outbox of a home that esn-sabre made: they have no row. Made of the home's id, and back.
const NO_ROW: [(CollectionKind, &str, [u8; 12]); 2] = [
    (CollectionKind::Inbox, crate::store::home::INBOX, *b"convokeinbox"),
    (CollectionKind::Outbox, crate::store::home::OUTBOX, *b"convokeoutbx"),
];

/// An inbox or outbox without a row: its kind, segment and id.
pub(super) fn boxes_without_row(home: HomeId) -> [(CollectionKind, &'static str, CollectionId); 2] {
    NO_ROW.map(|(kind, uri, mask)| (kind, uri, CollectionId(masked(home.0, mask))))
}

/// The homes whose inbox or outbox this could be.
pub(super) fn home_without_row(collection: CollectionId) -> [(CollectionKind, &'static str, HomeId); 2] {
    NO_ROW.map(|(kind, uri, mask)| (kind, uri, HomeId(masked(collection.0, mask))))
}

fn masked(of: crate::ids::ObjectId, mask: [u8; 12]) -> crate::ids::ObjectId {
    let mut bytes = *of.bytes();
    bytes.iter_mut().zip(mask).for_each(|(byte, m)| *byte ^= m);
    crate::ids::ObjectId::from_bytes(bytes)
}

/// The driver's id of a collection.
pub(super) fn row_id(collection: CollectionId) -> ObjectId {
    oid(collection.0)
}

/// A collection's id from the driver's.
pub(super) fn collection_id(row: ObjectId) -> CollectionId {
    CollectionId(id(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_found_by_every_kind_of_principal() {
        let home: HomeId = "6650c0ffee0123456789abcd".parse().unwrap();
        for principal in principals_of(home) {
            assert_eq!(home_of(&principal), Some(home));
        }
        assert_eq!(home_of("principals/users/alice"), None);
        assert_eq!(home_of("principals/groups/6650c0ffee0123456789abcd"), None);
    }

    #[test]
    fn a_box_without_a_row_leads_back_to_its_home() {
        let home: HomeId = "6650c0ffee0123456789abcd".parse().unwrap();
        for (kind, uri, id) in boxes_without_row(home) {
            assert!(home_without_row(id).contains(&(kind, uri, home)));
        }
    }
}
