//! Mail: what a message is, how it is rendered, and how it leaves. The [`Transport`] is a port; its engines are in `folder`
//! (an outbox folder of `.eml` files) and `smtp`.
//!
//! Which mail is due to whom is decided in `notify`; this room turns a typed model into MIME and hands MIME over.

pub mod folder;
pub mod mime;
pub mod render;
pub mod smtp;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::ids::Email;

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
