//! MIME: a rendered mail and its calendar part become the message that goes over the wire (RFC 5322, RFC 2045, RFC 6047).
//!
//! ```text
//! multipart/mixed
//! ├── multipart/alternative
//! │   ├── text/plain
//! │   ├── text/html
//! │   └── text/calendar; method=REQUEST     what mail clients offer to accept
//! └── application/ics; name=meeting.ics     the same bytes, for those that open attachments only
//! ```
//!
//! Nothing here depends on time or chance: the same mail is the same bytes, so that a repeated step can be recognised.

use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::message::header::{
    ContentDisposition, ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue,
};
use lettre::message::{Body, Mailbox, Message, MultiPart, MultiPartKind, SinglePart};
use sha2::{Digest, Sha256};

use super::OutgoingMail;
use super::render::Rendered;
use crate::ids::Email;
use crate::wording::plain::single_line;

/// A mail cannot be put into MIME.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// An address that mail cannot go to or come from.
    #[error("{address} is no mail address: {reason}")]
    Address {
        /// The address.
        address: Email,
        /// What is wrong with it.
        reason: String,
    },
    /// The message was refused by the builder.
    #[error("the message cannot be built: {0}")]
    Build(String),
}

/// Who a mail is from or to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correspondent {
    /// Address.
    pub email: Email,
    /// Name to show; none shows the address alone.
    pub name: Option<String>,
}

impl Correspondent {
    fn mailbox(&self) -> Result<Mailbox, ComposeError> {
        let address: Address = self.email.as_str().parse().map_err(|e: lettre::address::AddressError| {
            ComposeError::Address { address: self.email.clone(), reason: e.to_string() }
        })?;
        let name = self.name.as_deref().map(single_line).filter(|name| !name.is_empty());
        Ok(Mailbox::new(name, address))
    }
}

/// An iTIP message to put into a mail (RFC 6047).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarPart {
    /// METHOD, upper case; the same as in the text.
    pub method: Method,
    /// iCalendar text with that METHOD.
    pub text: String,
}

/// The methods that mails carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `REQUEST`.
    Request,
    /// `REPLY`.
    Reply,
    /// `CANCEL`.
    Cancel,
}

impl Method {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Reply => "REPLY",
            Self::Cancel => "CANCEL",
        }
    }
}

/// Everything a message is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What makes this mail the one it is, e.g. a hash of the notification: the Message-ID is derived from it.
    pub identity: String,
    /// When it was composed.
    pub date: DateTime<Utc>,
    /// Author; also the envelope's sender.
    pub from: Correspondent,
    /// The one recipient.
    pub to: Correspondent,
    /// Words.
    pub body: Rendered,
    /// iTIP message.
    pub calendar: Option<CalendarPart>,
    /// `Auto-Submitted: auto-generated`: nobody wrote this, and nothing should answer it (RFC 3834).
    pub automatic: bool,
}

/// Puts the message together.
///
/// # Errors
/// [`ComposeError`] when an address or the message cannot be expressed.
pub fn compose(draft: &Draft) -> Result<OutgoingMail, ComposeError> {
    let identity = hex::encode(Sha256::digest(draft.identity.as_bytes()));
    let message_id = format!("{}@{}", &identity[..40], draft.from.email.domain());
    let mut builder = Message::builder()
        .message_id(Some(format!("<{message_id}>")))
        .date(draft.date.into())
        .from(draft.from.mailbox()?)
        .to(draft.to.mailbox()?)
        .subject(single_line(&draft.body.subject));
    if draft.automatic {
        builder = builder.header(AutoSubmitted);
    }
    let mixed = boundary(MultiPartKind::Mixed, &identity, "m").multipart(alternative(draft, &identity));
    let parts = match &draft.calendar {
        Some(calendar) => mixed.singlepart(attachment(&calendar.text)),
        None => mixed,
    };
    let message = builder.multipart(parts).map_err(|e| ComposeError::Build(e.to_string()))?;
    let mime = String::from_utf8(message.formatted()).map_err(|e| ComposeError::Build(e.to_string()))?;
    Ok(OutgoingMail { message_id, from: Some(draft.from.email.clone()), to: draft.to.email.clone(), mime })
}

fn alternative(draft: &Draft, identity: &str) -> MultiPart {
    let language = ContentLanguage(draft.body.language.to_owned());
    let text = draft.body.text.replace('\n', "\r\n");
    let plain = SinglePart::builder()
        .header(ContentType::TEXT_PLAIN)
        .header(language.clone())
        .body(encoded(text, ContentTransferEncoding::QuotedPrintable));
    let html = SinglePart::builder()
        .header(ContentType::TEXT_HTML)
        .header(language)
        .body(encoded(draft.body.html.replace('\n', "\r\n"), ContentTransferEncoding::Base64));
    let parts = boundary(MultiPartKind::Alternative, identity, "a").singlepart(plain).singlepart(html);
    match &draft.calendar {
        Some(calendar) => parts.singlepart(
            SinglePart::builder()
                .header(Typed(format!("text/calendar; charset=UTF-8; method={}", calendar.method.name())))
                .body(encoded(calendar.text.clone(), ContentTransferEncoding::Base64)),
        ),
        None => parts,
    }
}

fn attachment(calendar: &str) -> SinglePart {
    SinglePart::builder()
        .header(Typed("application/ics; name=\"meeting.ics\"".to_owned()))
        .header(ContentDisposition::attachment("meeting.ics"))
        .body(encoded(calendar.to_owned(), ContentTransferEncoding::Base64))
}

/// Boundaries are hashes, which no encoded part can hold by accident (RFC 2046 §5.1.1).
fn boundary(kind: MultiPartKind, identity: &str, level: &str) -> lettre::message::MultiPartBuilder {
    MultiPart::builder().kind(kind).boundary(format!("={level}_{}", &identity[..32]))
}

fn encoded(text: String, encoding: ContentTransferEncoding) -> Body {
    Body::new_with_encoding(text, encoding).unwrap_or_else(Body::new)
}

/// A Content-Type with its parameters as written: the mime crate would lower-case their values, and clients of the field
/// look for `method=REQUEST`.
#[derive(Clone)]
struct Typed(String);

impl Header for Typed {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Content-Type")
    }

    fn parse(s: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(s.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}

/// `Content-Language` (RFC 3282).
#[derive(Clone)]
struct ContentLanguage(String);

impl Header for ContentLanguage {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Content-Language")
    }

    fn parse(s: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(s.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}

/// `Auto-Submitted: auto-generated` (RFC 3834 §5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
