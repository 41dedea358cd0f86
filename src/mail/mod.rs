//! Mail: what a message is, how it is rendered, and how it leaves. The [`Transport`] is a port; its engines are in `folder`
//! (an outbox folder of `.eml` files) and `smtp`.
//!
//! Which mail is due to whom is decided in `notify`; this room turns a typed model into MIME and hands MIME over.

pub mod folder;
pub mod mime;
pub mod render;
pub mod smtp;

use std::io;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use crate::ids::{Email, InvalidId};

/// A rendered mail on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingMail {
    /// Message-ID without angle brackets; the same for every attempt.
    pub message_id: String,
    /// Envelope sender; `None` for `MAIL FROM:<>`.
    pub from: Option<Email>,
    /// Envelope recipient.
    pub to: Email,
    /// The message as it goes over the wire, headers and body, CRLF. ASCII: every part is encoded.
    pub mime: String,
}

/// A mail was not taken. Whether trying again can help is in the variant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No connection, a time-out, or a 4xx answer.
    #[error("not taken for now: {0}")]
    Transient(String),
    /// A 5xx answer, or a message that cannot be sent.
    #[error("refused: {0}")]
    Permanent(String),
}

/// Takes mails off our hands.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Hands one mail over; it is no longer ours when this returns `Ok`.
    async fn send(&self, mail: &OutgoingMail) -> Result<(), SendError>;
}

/// The transport that the program was started with.
pub type SharedTransport = Arc<dyn Transport>;

/// Shows mails that were sent, where the transport keeps them. For the demo's page and for tests.
#[async_trait]
pub trait Archive: Send + Sync + 'static {
    /// The mails, newest first, `limit` of them after the first `offset`.
    async fn list(&self, offset: usize, limit: usize) -> io::Result<Page>;

    /// The message of that name; `None` when there is none.
    async fn read(&self, name: &MailName) -> io::Result<Option<Vec<u8>>>;
}

/// The archive that the program was started with.
pub type SharedArchive = Arc<dyn Archive>;

/// A page of an [`Archive`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Names, newest first.
    pub names: Vec<MailName>,
    /// How many mails there are in all.
    pub total: usize,
}

/// Name of a mail in an [`Archive`]: `YYYYMMDDTHHMMSS-<20 hex digits>.eml`, time in UTC. Safe as a file name and in a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailName(String);

impl MailName {
    /// Hex digits in a name.
    const DIGITS: usize = 20;
    const STAMP: &str = "%Y%m%dT%H%M%S";
    const STAMP_LEN: usize = "20260305T130000".len();

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MailName {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let parts = s.strip_suffix(".eml").and_then(|stem| stem.split_once('-'));
        let ours = parts.is_some_and(|(stamp, hash)| {
            stamp.len() == Self::STAMP_LEN
                && NaiveDateTime::parse_from_str(stamp, Self::STAMP).is_ok()
                && hash.len() == Self::DIGITS
                && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        if !ours {
            return Err(InvalidId { expected: "the name of a mail", value: s.chars().take(80).collect() });
        }
        Ok(Self(s.to_owned()))
    }
}

impl std::fmt::Display for MailName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
