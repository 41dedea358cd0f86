//! Who else has a calendar or an address book in their home: those it was shared with, and those who subscribed to it
//! (dav §7, §9, §14).

use serde::{Deserialize, Serialize};

use super::paging::Stand;
use super::{Collection, CollectionKind, CollectionProps};
use crate::ids::{CollectionId, HomeId, ObjectId};

/// What the owner of a collection lets somebody do with it (dav §7). 0 (not shared) and 4 (no access) of that table are
/// the absence of an [`Instance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read, write, and share it with others.
    Administration,
    /// Be told when its owner is busy.
    FreeBusy,
}

impl Access {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::ReadWrite, Self::Administration, Self::FreeBusy];

    /// The number in documents and JSON.
    pub const fn number(self) -> i32 {
        match self {
            Self::Read => 2,
            Self::ReadWrite => 3,
            Self::Administration => 5,
            Self::FreeBusy => 6,
        }
    }

    /// The access with this number.
    pub fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|access| i64::from(access.number()) == number)
    }

    /// The local name of its element in XML, and what follows `dav:` in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadWrite => "read-write",
            Self::Administration => "administration",
            Self::FreeBusy => "freebusy",
        }
    }

    /// The access with this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|access| access.word() == word)
    }

    /// Whether objects may be read.
    pub const fn reads(self) -> bool {
        !matches!(self, Self::FreeBusy)
    }

    /// Whether objects may be written.
    pub const fn writes(self) -> bool {
        matches!(self, Self::ReadWrite | Self::Administration)
    }
}

/// How far an invitation to share is (dav §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InviteStatus {
    /// Nothing was answered.
    NoResponse,
    /// It was accepted; so are all when they are made.
    Accepted,
    /// It was declined.
    Declined,
    /// There is nobody of that address.
    Invalid,
}

impl InviteStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NoResponse, Self::Accepted, Self::Declined, Self::Invalid];

    /// The number in documents and JSON.
    pub const fn number(self) -> i32 {
        match self {
            Self::NoResponse => 1,
            Self::Accepted => 2,
            Self::Declined => 3,
            Self::Invalid => 4,
        }
    }

    /// The status with this number.
    pub fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| i64::from(status.number()) == number)
    }
}

/// What everybody of the domain may do with a collection (dav §7). Of a calendar without one they may know when its owner
/// is busy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum PublicRight {
    /// Know when its owner is busy, said explicitly.
    FreeBusy,
    /// Read.
    Read,
    /// Read and write.
    Write,
    /// Another privilege, in Clark notation. It is kept, and lets nobody do more than without one.
    Other(String),
}

impl PublicRight {
    /// The privilege in Clark notation.
    pub fn privilege(&self) -> &str {
        match self {
            Self::FreeBusy => "{urn:ietf:params:xml:ns:caldav}read-free-busy",
            Self::Read => "{DAV:}read",
            Self::Write => "{DAV:}write",
            Self::Other(privilege) => privilege,
        }
    }

    /// The right of a privilege in Clark notation; `None` for the empty one, which is no right.
    pub fn of_privilege(privilege: &str) -> Option<Self> {
        Some(match privilege {
            "" => return None,
            "{urn:ietf:params:xml:ns:caldav}read-free-busy" => Self::FreeBusy,
            "{DAV:}read" => Self::Read,
            "{DAV:}write" => Self::Write,
            other => Self::Other(other.to_owned()),
        })
    }

    /// Whether objects may be read.
    pub const fn reads(&self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }

    /// Whether objects may be written.
    pub const fn writes(&self) -> bool {
        matches!(self, Self::Write)
    }
}

impl From<String> for PublicRight {
    fn from(privilege: String) -> Self {
        Self::of_privilege(&privilege).unwrap_or(Self::Other(privilege))
    }
}

impl From<PublicRight> for String {
    fn from(right: PublicRight) -> Self {
        right.privilege().to_owned()
    }
}

/// A calendar or address book as it stands in the home of somebody who does not own it. Its objects are those of the
/// collection; name, colour and order are the holder's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its own id.
    pub id: ObjectId,
    /// The collection.
    pub of: CollectionId,
    /// [`CollectionKind::Calendar`] or [`CollectionKind::AddressBook`].
    pub kind: CollectionKind,
    /// Whose home it is in.
    pub home: HomeId,
    /// Its segment in the URL.
    pub uri: String,
    /// What its holder set on it. Component types are those of the collection, and empty here.
    pub props: CollectionProps,
    /// How it came there.
    pub tie: Tie,
}

impl Instance {
    /// What the owner gave, where it was given.
    pub const fn delegation(&self) -> Option<&Delegation> {
        match &self.tie {
            Tie::Delegation(delegation) => Some(delegation),
            Tie::Subscription { .. } => None,
        }
    }

    /// Whether its home shows it: its holder has not put it away.
    pub const fn is_shown(&self) -> bool {
        !matches!(&self.tie, Tie::Delegation(Delegation { hidden: true, .. }))
    }
}

/// How an [`Instance`] came into a home.
#[derive(Debug, Clone, PartialEq)]
pub enum Tie {
    /// Its owner gave it (delegation).
    Delegation(Delegation),
    /// Its holder took what the public right of the collection offers (subscription).
    Subscription {
        /// Of an address book: whether everybody might write to it when it was made, as other programs read it (dav §13.2).
        /// What may be done is decided by the public right as it is, whatever this says.
        writes: bool,
    },
}

/// What the owner of a collection gave somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Delegation {
    /// What may be done.
    pub access: Access,
    /// How far the invitation is.
    pub status: InviteStatus,
    /// The address it was given to, `mailto:…`.
    pub href: String,
    /// Name of the person, as the owner wrote it.
    pub name: Option<String>,
    /// The holder has put it away.
    pub hidden: bool,
}

/// An [`Instance`] with the collection that it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// As it stands in the home.
    pub instance: Instance,
    /// As its owner sees it.
    pub source: Collection,
    /// The first token that was told where it stands: what is older was told of something else that stood there before.
    /// `None` for what was made by programs that do not keep it, until it is written again.
    pub since: Option<u64>,
}

impl Shared {
    /// Whether it is known from when on it stands there. What its owner gave has a path that nothing else ever had.
    pub const fn is_settled(&self) -> bool {
        self.since.is_some() || self.instance.delegation().is_some()
    }

    /// Whether a token may have been told where it stands.
    pub fn issued(&self, token: u64) -> bool {
        match self.since {
            Some(since) => Stand::read(token).began >= since,
            None => self.is_settled(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_lead_back() {
        for access in Access::ALL {
            assert_eq!(Access::of_number(access.number().into()), Some(access));
            assert_eq!(Access::of_word(access.word()), Some(access));
        }
        for number in [0, 1, 4, 7] {
            assert_eq!(Access::of_number(number), None);
        }
        for status in InviteStatus::ALL {
            assert_eq!(InviteStatus::of_number(status.number().into()), Some(status));
        }
    }

    #[test]
    fn no_right_is_the_empty_one() {
        assert_eq!(PublicRight::of_privilege(""), None);
        for privilege in ["{DAV:}read", "{DAV:}write", "{urn:ietf:params:xml:ns:caldav}read-free-busy", "{DAV:}all"] {
            assert_eq!(PublicRight::of_privilege(privilege).unwrap().privilege(), privilege);
        }
        assert!(!PublicRight::of_privilege("{DAV:}all").unwrap().reads());
    }
}
