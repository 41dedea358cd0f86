//! The DAV server, near or far, and what is in front of it: `[upstream]`, `[dav]`, `[proxy]`, `[limits]`.

use serde::{Deserialize, Serialize};

/// The DAV server behind the proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// `builtin`, or the root URL of a server.
    pub url: String,
    /// How a remote server is told who acts.
    pub impersonation: Impersonation,
    /// Administrator for `impersonation = "admin"` (auth §10).
    pub admin_user: String,
    /// The administrator's password.
    pub admin_password: String,
    /// Header for `impersonation = "header"`.
    pub user_header: String,
    /// Path prefix that the server should put before its hrefs, sent as `X-Script-Name` (Radicale).
    pub script_name: Option<String>,
    /// Time to connect, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Time until the answer begins, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            url: "builtin".to_owned(),
            impersonation: Impersonation::Admin,
            admin_user: "admin".to_owned(),
            admin_password: String::new(),
            user_header: "X-Remote-User".to_owned(),
            script_name: None,
            connect_timeout_ms: 2_000,
            timeout_ms: 30_000,
        }
    }
}

/// The built-in DAV server (dav §17).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dav {
    /// Attendees may not change what only the organizer may: times, rules, place, title (`SABRE_ENFORCE_RFC_6638`).
    pub guard_attendee_changes: bool,
    /// Listings and searches of principals show people nobody but themselves (`PRINCIPAL_PRIVACY`).
    pub principal_privacy: bool,
    /// A reply is passed on to the other attendees of events with fewer attendees than this; 0 for always
    /// (`TW_CAL_REPLY_PROPAGATION_THRESHOLD`).
    pub reply_propagation: usize,
    /// Everybody finds the people of their domain in an address book that nobody can write to.
    pub members_book: bool,
    /// A new organizer must be the owner of the calendar or who writes (`CALDAV_ORGANIZER_VALIDATION`).
    pub organizer_validation: bool,
    /// Attachments that are written into events, and not linked: kept, left out, or refused
    /// (`CALDAV_BINARY_ATTACHMENT_MODE`).
    pub inline_attachments: InlineAttachments,
    /// Invitations, answers and cancellations of one write that reach local people together with it; those beyond, and 0
    /// for all, are delivered by the queue.
    pub immediate_deliveries: usize,
    /// Days for which deleted calendars, address books and their objects are kept in the trash; 0 keeps none.
    pub trash_days: u32,
    /// Days for which a collection remembers what is gone, for clients that synchronise; 0 for ever.
    pub sync_log_days: u32,
    /// Names that a collection remembers as gone at most; 0 for any number.
    pub sync_log_names: u64,
    /// Cut also the logs on MongoDB that an esn-sabre reads.
    pub sync_log_shared: bool,
    /// Octets in the calendars and address books of one home; 0 for any number.
    pub quota_bytes: u64,
    /// Objects in one calendar or address book; 0 for any number.
    pub quota_objects: u64,
    /// Calendars and address books of one home; 0 for any number.
    pub quota_collections: u64,
    /// A card is refused whose UID another card of the same address book has (RFC 6352 §6.3.2.1); esn-sabre takes it.
    pub unique_card_uids: bool,
}

impl Default for Dav {
    fn default() -> Self {
        Self {
            guard_attendee_changes: true,
            principal_privacy: true,
            reply_propagation: 200,
            organizer_validation: false,
            inline_attachments: InlineAttachments::Keep,
            immediate_deliveries: 200,
            members_book: true,
            trash_days: 30,
            sync_log_days: 365,
            sync_log_names: 100_000,
            sync_log_shared: false,
            quota_bytes: 0,
            quota_objects: 0,
            quota_collections: 0,
            unique_card_uids: false,
        }
    }
}

/// What becomes of attachments that are written into events (`ATTACH;VALUE=BINARY`, RFC 5545 §3.8.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InlineAttachments {
    /// They are stored with the event.
    Keep,
    /// They are left out, and nobody is told; what is linked stays.
    Drop,
    /// The event is not stored: 403.
    Refuse,
}

/// How a remote DAV server is told on whose behalf a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Impersonation {
    /// Basic `admin&user` with the administrator's password (esn-sabre).
    Admin,
    /// A header with the user's address (Radicale's `http_x_remote_user`).
    Header,
}

/// `/dav/**`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// Octets of a request body.
    pub body_bytes: u64,
    /// Time without a byte of a body in either direction, in seconds.
    pub idle_timeout_s: u64,
    /// Origins that browsers may call from; `*` for any.
    pub cors_origins: Vec<String>,
    /// Serve DAV at the root too (`/calendars`, `/principals`, `/addressbooks`), for CalDAV clients.
    pub at_root: bool,
}

impl Default for Proxy {
    fn default() -> Self {
        Self { body_bytes: 10 << 20, idle_timeout_s: 60, cors_origins: vec!["*".to_owned()], at_root: true }
    }
}

/// What a calendar object may cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Octets of one calendar object.
    pub object_bytes: usize,
    /// Nested components.
    pub object_depth: usize,
    /// Content lines of one object.
    pub object_lines: usize,
    /// Occurrences that one expansion gives at most.
    pub occurrences: usize,
    /// Periods of a recurrence rule (years of a yearly one, seconds of a secondly one) that one expansion looks at.
    pub recurrence_steps: usize,
    /// Octets that the occurrences of one expanded object have at most; an object that would have more is answered as
    /// it is stored.
    pub expansion_bytes: usize,
    /// Octets of an XML request body.
    pub xml_bytes: usize,
    /// Octets of the objects that one COPY or MOVE of a calendar or address book takes along.
    pub copied_bytes: u64,
    /// Octets of these objects that one COPY or MOVE tells to those with whom they are shared, once for each of them.
    pub told_bytes: u64,
    /// Octets of the messages that one write brings about: everybody who is invited gets the object, and what it was before.
    pub message_bytes: u64,
    /// Octets of those that reach local people together with the write; the rest is delivered by the queue.
    pub immediate_bytes: u64,
    /// Nested XML elements.
    pub xml_depth: usize,
    /// Properties that one request asks for, or changes.
    pub properties: usize,
    /// Conditions of one filter or search.
    pub conditions: usize,
    /// Octets of a JSON request body of the REST API.
    pub json_bytes: usize,
    /// Attendees that one event invites at most.
    pub attendees: usize,
    /// Instances that a series that ends has at most; 0 for any number.
    pub instances: usize,
    /// First year in which anything in a calendar takes place.
    pub first_year: i32,
    /// Last year in which anything in a calendar takes place.
    pub last_year: i32,
    /// Objects that one calendar-query finds at most.
    pub query_results: usize,
    /// Days that one question for free and busy times is about at most.
    pub busy_days: i64,
    /// Busy times that one answer gathers at most.
    pub busy_times: usize,
    /// Days of a series without end that a resource looks at before it accepts.
    pub booking_days: i64,
    /// Octets of the VAVAILABILITY objects of one calendar that one such answer reads.
    pub availability_bytes: usize,
    /// Events, or cards, that a page for browsers shows at most.
    pub page_events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            object_bytes: 10 << 20,
            object_depth: 16,
            object_lines: 200_000,
            occurrences: 10_000,
            recurrence_steps: 100_000,
            expansion_bytes: 20 << 20,
            xml_bytes: 2 << 20,
            copied_bytes: 64 << 20,
            told_bytes: 128 << 20,
            message_bytes: 512 << 20,
            immediate_bytes: 8 << 20,
            xml_depth: 64,
            properties: 300,
            conditions: 200,
            json_bytes: 1 << 20,
            attendees: 1_000,
            instances: 0,
            first_year: 1,
            last_year: 9_999,
            query_results: 1_000_000,
            busy_days: 3_660,
            busy_times: 100_000,
            booking_days: 732,
            availability_bytes: 128 << 10,
            page_events: 2_000,
        }
    }
}
