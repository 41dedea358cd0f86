//! Indexes of the platform database (storage §2). Names are those that the reference's driver gives; without them it would
//! refuse to start.
//!
//! The collection of uploaded files is missing on purpose: how long they are kept is the reference's to say, and it refuses
//! to start where somebody else's index says otherwise (storage §2.14).

use mongodb::bson::{Document, doc};

use super::{Index, Place};

const fn index(
    collection: &'static str,
    name: &'static str,
    keys: &'static [(&'static str, i32)],
    why: &'static str,
) -> Index {
    Index::new(Place::Platform, collection, name, keys, why)
}

fn with_email() -> Document {
    doc! { "email": { "$exists": true } }
}

fn with_preferred_email() -> Document {
    doc! { "preferredEmail": { "$exists": true } }
}

fn with_emails() -> Document {
    doc! { "emails": { "$exists": true } }
}

/// The one index that may be somebody else's with other options: OpenPaaS declares it, too.
pub const TOLERATED: (&str, &str) = ("users", "accounts.emails_1");

/// Collections in the order in which the bootstrap makes them (storage §2.2), before their indexes.
pub const COLLECTIONS: [&str; 8] = [
    "users",
    "domains",
    "secretlinks",
    "twake_calendar_alarm_events_ledge",
    "auth_tickets",
    "booking_links",
    "domain_settings",
    "team_calendars",
];

/// In the order of storage §2.2; then our own.
pub(super) const INDEXES: &[Index] = &[
    index("users", "email_1", &[("email", 1)], "two users may get one address").unique().partial(with_email),
    index("users", "firstname_1", &[("firstname", 1)], "people are found slowly"),
    index("users", "lastname_1", &[("lastname", 1)], "people are found slowly"),
    index("users", "firstnames_1", &[("firstnames", 1)], "people are found slowly"),
    index("users", "accounts.emails_1", &[("accounts.emails", 1)], "every request reads all users"),
    index("users", "domains.domain_id_1", &[("domains.domain_id", 1)], "the people of a domain are listed slowly"),
    index("domains", "name_1", &[("name", 1)], "two domains may get one name").unique(),
    index(
        "secretlinks",
        "user_id_1_calendarHomeId_1_calendarId_1",
        &[("user_id", 1), ("calendarHomeId", 1), ("calendarId", 1)],
        "a calendar may get two secret links of one user",
    )
    .unique(),
    index(
        "secretlinks",
        "token_1_calendarHomeId_1_calendarId_1",
        &[("token", 1), ("calendarHomeId", 1), ("calendarId", 1)],
        "two secret links may have one secret",
    )
    .unique(),
    index(
        "twake_calendar_alarm_events_ledge",
        "uniq_event_alarm_recipient",
        &[("eventUid", 1), ("recipient", 1), ("alarmTime", 1)],
        "an alarm may be mailed twice",
    )
    .unique(),
    index("twake_calendar_alarm_events_ledge", "ttl_expiresAt", &[("expiresAt", 1)], "leases of alarms pile up")
        .expire_after_s(0),
    index("auth_tickets", "auth_tickets_ttl_validUntil", &[("validUntil", 1)], "tickets pile up").expire_after_s(0),
    index(
        "booking_links",
        "username_1_publicId_1",
        &[("username", 1), ("publicId", 1)],
        "two booking links may have one address",
    )
    .unique(),
    index("booking_links", "publicId_1", &[("publicId", 1)], "booking pages are slow"),
    index(
        "booking_links",
        "username_1_updatedAt_-1",
        &[("username", 1), ("updatedAt", -1)],
        "booking links are listed slowly",
    ),
    index("domain_settings", "domain_1", &[("domain", 1)], "a domain may get two sets of settings").unique(),
    index("team_calendars", "domainId_1", &[("domainId", 1)], "team calendars are listed slowly"),
    index("team_calendars", "domainId_1_name_1", &[("domainId", 1), ("name", 1)], "team calendars are found slowly"),
    index("resources", "domain_1", &[("domain", 1)], "resources are listed slowly"),
    index("resources", "name_1", &[("name", 1)], "resources are found slowly"),
    index("resources", "deleted_1", &[("deleted", 1)], "resources are listed slowly"),
    index(
        "twake_calendar_alarm_events",
        "eventUid_1_recipient_1",
        &[("eventUid", 1), ("recipient", 1)],
        "somebody may get two alarms of one event",
    )
    .unique(),
    index("twake_calendar_alarm_events", "alarmTime_1", &[("alarmTime", 1)], "alarms are late"),
    index(
        "configurations",
        "domain_id_1_user_id_1",
        &[("domain_id", 1), ("user_id", 1)],
        "every look at a person's settings reads those of everyone",
    ),
    index("users", "preferredEmail_1", &[("preferredEmail", 1)], "every address of a stranger reads all users")
        .partial(with_preferred_email),
    index("users", "emails_1", &[("emails", 1)], "every address of a stranger reads all users").partial(with_emails),
    index("convoke_leases", "until_1", &[("until", 1)], "leases pile up").expire_after_s(0),
    index("convoke_ledger", "until_1", &[("until", 1)], "the ledger grows for ever").expire_after_s(0),
];
