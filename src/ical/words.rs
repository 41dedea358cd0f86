//! The words of iCalendar's enumerations. Each type keeps a word it does not know, so that nothing is lost.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* #[doc = concat!("`", $word, "`")] $variant,)+
            /// Any other word, as written.
            Other(String),
        }

        impl $name {
            /// The word on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }

            /// Reads a word without regard to case.
            pub fn read(word: &str) -> Self {
                let word = word.trim();
                $(if word.eq_ignore_ascii_case($word) { return Self::$variant; })+
                Self::Other(word.to_owned())
            }
        }

        impl FromStr for $name {
            type Err = Infallible;

            fn from_str(word: &str) -> Result<Self, Infallible> {
                Ok(Self::read(word))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(
    /// Participation status (RFC 5545 §3.2.12).
    PartStat {
        NeedsAction = "NEEDS-ACTION",
        Accepted = "ACCEPTED",
        Declined = "DECLINED",
        Tentative = "TENTATIVE",
        Delegated = "DELEGATED",
        Completed = "COMPLETED",
        InProcess = "IN-PROCESS",
    }
);
words!(
    /// State of a component (RFC 5545 §3.8.1.11).
    Status {
        Tentative = "TENTATIVE",
        Confirmed = "CONFIRMED",
        Cancelled = "CANCELLED",
        NeedsAction = "NEEDS-ACTION",
        Completed = "COMPLETED",
        InProcess = "IN-PROCESS",
        Draft = "DRAFT",
        Final = "FINAL",
    }
);
words!(
    /// Who may see a component (RFC 5545 §3.8.1.3).
    Class {
        Public = "PUBLIC",
        Private = "PRIVATE",
        Confidential = "CONFIDENTIAL",
    }
);
words!(
    /// Whether an event takes time (RFC 5545 §3.8.2.7).
    Transp {
        Opaque = "OPAQUE",
        Transparent = "TRANSPARENT",
    }
);
words!(
    /// Who sends the scheduling messages (RFC 6638 §7.1).
    ScheduleAgent {
        Server = "SERVER",
        Client = "CLIENT",
        None = "NONE",
    }
);
words!(
    /// Which message must be sent although nothing changed (RFC 6638 §7.2).
    ScheduleForceSend {
        Request = "REQUEST",
        Reply = "REPLY",
    }
);
words!(
    /// What kind of calendar user it is (RFC 5545 §3.2.3).
    CuType {
        Individual = "INDIVIDUAL",
        Group = "GROUP",
        Resource = "RESOURCE",
        Room = "ROOM",
        Unknown = "UNKNOWN",
    }
);
words!(
    /// Role of an attendee (RFC 5545 §3.2.16).
    Role {
        Chair = "CHAIR",
        Required = "REQ-PARTICIPANT",
        Optional = "OPT-PARTICIPANT",
        NonParticipant = "NON-PARTICIPANT",
    }
);
words!(
    /// Method of an iTIP message (RFC 5546 §1.4).
    Method {
        Publish = "PUBLISH",
        Request = "REQUEST",
        Reply = "REPLY",
        Add = "ADD",
        Cancel = "CANCEL",
        Refresh = "REFRESH",
        Counter = "COUNTER",
        DeclineCounter = "DECLINECOUNTER",
    }
);
