//! Calendars and address books carried from one place to another: a folder, or an account on any CalDAV and CardDAV server,
//! this one included.
//!
//! In come two places; out go the objects, copied from the first to the second, and counts of what became of them. It asks
//! servers as any client does, so it works wherever they do; it never lets a copy send invitations, and never replaces
//! anything without being told to.

mod account;
mod answers;
mod asking;
mod copy;
mod creation;
mod folder;
mod reading;
mod remote;
mod split;

use std::path::PathBuf;

use http::StatusCode;

pub use account::Account;
pub use copy::{Counts, Export, Import, Options};
pub use folder::Folder;
pub use remote::{Credentials, sign_in};

use crate::dav::UpstreamError;

/// What a collection holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Calendar objects.
    Calendar,
    /// Cards.
    AddressBook,
}

impl Kind {
    /// Ending of the names of its objects.
    const fn ending(self) -> &'static str {
        match self {
            Self::Calendar => ".ics",
            Self::AddressBook => ".vcf",
        }
    }

    /// Folder of an export that holds the collections of this kind.
    const fn folder(self) -> &'static str {
        match self {
            Self::Calendar => "calendars",
            Self::AddressBook => "addressbooks",
        }
    }
}

/// A calendar or an address book, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// What it holds.
    pub kind: Kind,
    /// Its segment in a URL, decoded.
    pub uri: String,
    /// What people set on it.
    pub looks: Looks,
}

/// What people set on a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looks {
    /// `{DAV:}displayname`.
    pub name: Option<String>,
    /// `calendar-description` or `addressbook-description`.
    pub description: Option<String>,
    /// `{http://apple.com/ns/ical/}calendar-color`.
    pub color: Option<String>,
    /// `{http://apple.com/ns/ical/}calendar-order`.
    pub order: Option<String>,
    /// `calendar-timezone`, iCalendar text.
    pub timezone: Option<String>,
    /// Component types that it takes; empty for what the server chooses.
    pub components: Vec<String>,
}

/// An object with its name, the last segment of its URL, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The name.
    pub name: String,
    /// The text.
    pub data: String,
}

/// Why something cannot be carried.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// A server gave no answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A server gave another answer than hoped for.
    #[error("{method} {path}: the server answers {status}{reason}")]
    Status {
        /// What was asked.
        method: String,
        /// Of what.
        path: String,
        /// What it answered.
        status: StatusCode,
        /// What it says about it, after a colon; may be empty.
        reason: String,
    },
    /// A server's answer makes no sense.
    #[error("{path}: {reason}")]
    Answer {
        /// What was asked for.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The address is no URL of a server, or leads elsewhere.
    #[error("{0}")]
    Url(String),
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file that is neither calendars nor cards.
    #[error("{path}: {reason}")]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl TransferError {
    fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |error| Self::File { path, error }
    }
}
