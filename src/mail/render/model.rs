//! What a mail about an event says, before anybody decided how: no language, no zone, no markup.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc, Weekday};
use chrono_tz::Tz;

/// Someone in an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// CN; `""` when the event gives none.
    pub name: String,
    /// Bare address.
    pub email: String,
}

impl Person {
    /// The name, or the address where there is none.
    pub fn display(&self) -> &str {
        match self.name.trim() {
            "" => &self.email,
            name => name,
        }
    }
}

/// What an attendee answered (RFC 5545 §3.2.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `ACCEPTED`.
    Accepted,
    /// `DECLINED`.
    Declined,
    /// `TENTATIVE`.
    Tentative,
    /// `DELEGATED`.
    Delegated,
    /// `NEEDS-ACTION`, none, or a value we do not know.
    Pending,
}

/// Someone who is invited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Who.
    pub person: Person,
    /// `ROLE=OPT-PARTICIPANT`.
    pub optional: bool,
    /// What they answered so far.
    pub answer: Answer,
}

/// A date, or an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A day of an all-day event; the same day everywhere.
    Day(NaiveDate),
    /// An instant.
    Instant(DateTime<Utc>),
    /// A wall time without a zone: that time wherever the reader is (RFC 5545 §3.3.5, form 1).
    Floating(NaiveDateTime),
}

/// When an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// DTSTART.
    pub start: Moment,
    /// DTEND as written, so exclusive: the day after the last one of an all-day event.
    pub end: Option<Moment>,
}

/// How often an event recurs, where a sentence can say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    /// FREQ.
    pub every: Unit,
    /// INTERVAL.
    pub interval: u32,
    /// Which days of the week or month.
    pub on: Days,
    /// When the series ends.
    pub until: Until,
}

/// The frequencies that a sentence can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `DAILY`.
    Day,
    /// `WEEKLY`.
    Week,
    /// `MONTHLY`.
    Month,
    /// `YEARLY`.
    Year,
}

/// Days that a rule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Days {
    /// None: those of the first occurrence.
    AsFirst,
    /// Days of the week, in the zone of the event.
    OfWeek(Vec<Weekday>),
}

/// When a series ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// It does not.
    Never,
    /// COUNT.
    Count(u32),
    /// UNTIL.
    Moment(Moment),
}

/// Whether the mail is about one event, a series or one occurrence of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repeats {
    /// It happens once.
    Once,
    /// It is one occurrence of a series (RECURRENCE-ID).
    OneOccurrence,
    /// It is a series that a sentence can say.
    Simply(Recurrence),
    /// It is a series that takes more than a sentence.
    Somehow,
}

/// The event of a mail (mail-itip-alarms §1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCard {
    /// SUMMARY; `""` when the event gives none.
    pub summary: String,
    /// DTSTART and DTEND, or DTSTART and DURATION; `None` for an event without time.
    pub span: Option<Span>,
    /// Zone of DTSTART, where it has one that is known.
    pub zone: Option<Tz>,
    /// Series or not.
    pub repeats: Repeats,
    /// ORGANIZER.
    pub organizer: Option<Person>,
    /// ATTENDEEs, resources excluded, each address once.
    pub guests: Vec<Guest>,
    /// ATTENDEEs with CUTYPE=RESOURCE or ROOM.
    pub resources: Vec<Person>,
    /// LOCATION, not blank.
    pub location: Option<String>,
    /// DESCRIPTION, not blank.
    pub description: Option<String>,
    /// `X-OPENPAAS-VIDEOCONFERENCE`, not blank.
    pub video: Option<String>,
}

/// What changed in an update: what it was before. `None` stands for "not changed".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    /// SUMMARY before.
    pub summary: Option<String>,
    /// DTSTART and DTEND before.
    pub span: Option<Span>,
    /// LOCATION before; `""` when there was none.
    pub location: Option<String>,
    /// DESCRIPTION before; `""` when there was none.
    pub description: Option<String>,
    /// It repeats in another way than before.
    pub repeats_otherwise: bool,
    /// What its STATUS says now.
    pub status: Option<Turn>,
}

/// What became of an event whose STATUS changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It was cancelled and takes place after all.
    Revived,
    /// It is certain now.
    Confirmed,
    /// It is uncertain now.
    Tentative,
    /// It is cancelled now.
    CalledOff,
}

/// Links to answer without a calendar program (mail-itip-alarms §1.6). They carry signed tokens; where nobody can sign
/// them they are absent and the mail says nothing of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionLinks {
    /// Accept.
    pub yes: String,
    /// Accept tentatively.
    pub maybe: String,
    /// Decline.
    pub no: String,
}

/// Which mail it is. One variant, one pair of templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `event-invite`.
    Invitation,
    /// `event-update`.
    Update(Before),
    /// `event-cancel`.
    Cancellation,
    /// `event-reply`.
    Reply {
        /// What they answered.
        answer: Answer,
        /// What they had to say (COMMENT).
        comment: Option<String>,
    },
}

impl Kind {
    /// Name of the templates (mail-itip-alarms §1.1).
    pub const fn template(&self) -> &'static str {
        match self {
            Self::Invitation => "event-invite",
            Self::Update(_) => "event-update",
            Self::Cancellation => "event-cancel",
            Self::Reply { .. } => "event-reply",
        }
    }
}

/// A mail about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMail {
    /// Which mail it is.
    pub kind: Kind,
    /// Who invites, changes or cancels (the organizer), or answers (the attendee).
    pub by: Person,
    /// The event.
    pub event: EventCard,
    /// Links to answer.
    pub actions: Option<ActionLinks>,
    /// Deep link into the calendar page.
    pub see_in_calendar: Option<String>,
}
