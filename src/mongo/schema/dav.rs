//! Indexes of the database of calendars and address books (dav §14), and of what convoke keeps beside them in collections of
//! its own, `convoke_…`. Names are those that esn-sabre's driver gives.

use super::{Index, Place};

const fn index(
    collection: &'static str,
    name: &'static str,
    keys: &'static [(&'static str, i32)],
    why: &'static str,
) -> Index {
    Index::new(Place::Dav, collection, name, keys, why)
}

/// Days after which esn-sabre forgets what lies in scheduling inboxes.
const INBOX_DAYS: u64 = 56;

/// In the order of dav §14; then our own.
pub(super) const INDEXES: &[Index] = &[
    index(
        "calendarinstances",
        "principaluri_1_uri_1",
        &[("principaluri", 1), ("uri", 1)],
        "two calendars may get one path",
    )
    .unique(),
    index(
        "calendarinstances",
        "principaluri_1_hidden_1",
        &[("principaluri", 1), ("hidden", 1)],
        "esn-sabre lists homes slowly",
    ),
    index(
        "calendarinstances",
        "principaluri_1_calendarid_1",
        &[("principaluri", 1), ("calendarid", 1)],
        "esn-sabre finds shared calendars slowly",
    ),
    index("calendarinstances", "calendarid_1", &[("calendarid", 1)], "every access to a calendar reads all calendars"),
    index("calendarobjects", "calendarid_1", &[("calendarid", 1)], "esn-sabre lists calendars slowly"),
    index(
        "calendarobjects",
        "calendarid_1_uri_1",
        &[("calendarid", 1), ("uri", 1)],
        "every access to an object reads its whole calendar",
    ),
    index(
        "calendarobjects",
        "calendarid_1_componenttype_1_firstoccurence_1_lastoccurence_1",
        &[("calendarid", 1), ("componenttype", 1), ("firstoccurence", 1), ("lastoccurence", 1)],
        "every query by time reads the whole calendar",
    ),
    index("calendarobjects", "uid_1", &[("uid", 1)], "every invitation reads all calendars"),
    index(
        "calendarchanges",
        "calendarid_1_synctoken_1",
        &[("calendarid", 1), ("synctoken", 1)],
        "every synchronisation reads all changes ever made",
    ),
    index("calendarsubscriptions", "principaluri_1", &[("principaluri", 1)], "homes are listed slowly"),
    index("calendarsubscriptions", "source_1", &[("source", 1)], "calendars are deleted slowly"),
    index(
        "schedulingobjects",
        "principaluri_1_uri_1",
        &[("principaluri", 1), ("uri", 1)],
        "every access to an inbox reads all inboxes",
    ),
    index("schedulingobjects", "dateCreated_1", &[("dateCreated", 1)], "inboxes grow for ever")
        .expire_after_s(INBOX_DAYS * 86_400),
    index(
        "addressbooks",
        "principaluri_1_uri_1",
        &[("principaluri", 1), ("uri", 1)],
        "two address books may get one path",
    )
    .unique(),
    index(
        "addressbookchanges",
        "addressbookid_1_synctoken_1",
        &[("addressbookid", 1), ("synctoken", 1)],
        "every synchronisation reads all changes ever made",
    ),
    index("cards", "addressbookid_1", &[("addressbookid", 1)], "esn-sabre lists address books slowly"),
    index(
        "cards",
        "addressbookid_1_uri_1",
        &[("addressbookid", 1), ("uri", 1)],
        "every access to a card reads its whole book",
    ),
    // Ours.
    index(
        "sharedaddressbooks",
        "principaluri_1_uri_1",
        &[("principaluri", 1), ("uri", 1)],
        "every home reads all shared address books",
    ),
    index(
        "sharedaddressbooks",
        "addressbookid_1",
        &[("addressbookid", 1)],
        "every write of a card reads all shared address books",
    ),
    index(
        "addressbooksubscriptions",
        "principaluri_1",
        &[("principaluri", 1)],
        "every home reads all subscriptions to address books",
    ),
    index(
        "addressbooksubscriptions",
        "source_1",
        &[("source", 1)],
        "every write of a card reads all subscriptions to address books",
    ),
    index(
        "cards",
        "addressbookid_1_convoke.uid_1",
        &[("addressbookid", 1), ("convoke.uid", 1)],
        "every write of a card reads its whole book",
    ),
    index("convoke_boxes", "principaluri_1_uri_1", &[("principaluri", 1), ("uri", 1)], "two inboxes may get one path")
        .unique(),
    index("convoke_box_changes", "box_1_synctoken_1", &[("box", 1), ("synctoken", 1)], "inboxes synchronise slowly"),
    index("convoke_files", "parent_1_name_1", &[("parent", 1), ("name", 1)], "two files may get one path").unique(),
    index("convoke_file_contents", "until_1", &[("until", 1)], "what is in removed files piles up"),
    index("convoke_file_pieces", "content_1_n_1", &[("content", 1), ("n", 1)], "files are read slowly").unique(),
    index("convoke_trash", "home_1_part_1__id_1", &[("home", 1), ("part", 1), ("_id", 1)], "trash is listed slowly"),
    index(
        "convoke_trash",
        "collection_1_part_1__id_1",
        &[("collection", 1), ("part", 1), ("_id", 1)],
        "deleted calendars come back slowly",
    ),
    index(
        "convoke_trash",
        "home_1_part_1_collection_1__id_1",
        &[("home", 1), ("part", 1), ("collection", 1), ("_id", 1)],
        "what is left of deleted calendars is listed slowly",
    ),
    index("convoke_trash", "until_1", &[("until", 1)], "what is to be forgotten is found slowly"),
    index("convoke_outgoing", "node_1_order_1", &[("node", 1), ("order", 1)], "messages go out slowly"),
    index("convoke_journal_steps", "batch_1_step_1", &[("batch", 1), ("step", 1)], "writes are slow"),
];
