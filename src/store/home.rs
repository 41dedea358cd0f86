//! What a home holds before anybody put anything into it (dav §2, §5).

use super::{Collection, CollectionKind, CollectionProps};
use crate::clock::Env;
use crate::ids::{CollectionId, HomeId};

/// Segment of the scheduling inbox.
pub const INBOX: &str = "inbox";
/// Segment of the scheduling outbox.
pub const OUTBOX: &str = "outbox";
/// Segment of the address book that people write to. Cannot be deleted.
pub const CONTACTS: &str = "contacts";
/// Segment of the address book that clients fill with people one has written to. Cannot be deleted.
pub const COLLECTED: &str = "collected";

/// Segment of the address book of all people of a domain, in the domain's home. It is made of the directory.
pub const DOMAIN_MEMBERS: &str = "domain-members";

/// Component types of the default calendar (dav §2).
const DEFAULT_COMPONENTS: [&str; 2] = ["VEVENT", "VTODO"];

/// The collections every home has: the default calendar, whose segment is the home's id and whose display name is unset,
/// the scheduling inbox and outbox, and the two address books.
pub fn home_collections(home: HomeId, env: &Env) -> Vec<Collection> {
    let calendar = home.to_string();
    [
        (CollectionKind::Calendar, calendar.as_str()),
        (CollectionKind::Inbox, INBOX),
        (CollectionKind::Outbox, OUTBOX),
        (CollectionKind::AddressBook, CONTACTS),
        (CollectionKind::AddressBook, COLLECTED),
    ]
    .into_iter()
    .map(|(kind, uri)| {
        let mut made = new_collection(home, kind, uri, env);
        if kind == CollectionKind::Calendar {
            made.props.components = DEFAULT_COMPONENTS.map(str::to_owned).to_vec();
        }
        made
    })
    .collect()
}

/// Whether a home with these collections has every one of [`home_collections`].
pub fn is_furnished(home: HomeId, collections: &[Collection]) -> bool {
    let has = |kind: CollectionKind, uri: &str| collections.iter().any(|c| c.kind == kind && c.uri == uri);
    has(CollectionKind::Calendar, &home.to_string())
        && has(CollectionKind::Inbox, INBOX)
        && has(CollectionKind::Outbox, OUTBOX)
        && [CONTACTS, COLLECTED].into_iter().all(|uri| has(CollectionKind::AddressBook, uri))
}

/// An empty collection with a fresh id; a calendar takes components of any type.
pub fn new_collection(home: HomeId, kind: CollectionKind, uri: &str, env: &Env) -> Collection {
    Collection {
        id: CollectionId(env.object_id()),
        home,
        kind,
        uri: uri.to_owned(),
        props: CollectionProps::default(),
        sync_token: 1,
        public_right: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_starts_with_one_calendar_the_scheduling_boxes_and_two_books() {
        let home: HomeId = "6650c0ffee0123456789abcd".parse().unwrap();
        let made = home_collections(home, &Env::system());
        let uris: Vec<_> = made.iter().map(|c| c.uri.as_str()).collect();
        assert_eq!(uris, ["6650c0ffee0123456789abcd", "inbox", "outbox", "contacts", "collected"]);
        assert!(made[0].is_default());
        assert_eq!(made.iter().filter(|c| c.is_default()).count(), 1);
        assert!(is_furnished(home, &made));
        for missing in 0..made.len() {
            let mut others = made.clone();
            others.remove(missing);
            assert!(!is_furnished(home, &others), "without {}", made[missing].uri);
        }
    }
}
