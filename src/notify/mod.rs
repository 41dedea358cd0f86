//! Who is told what: iTIP messages are delivered to calendars and become mails.
//!
//! Three consumers, one after the other, each idempotent:
//! 1. [`Delivery`](delivery::ItipDelivery) takes an iTIP message, writes it into the calendar of a recipient who lives here
//!    and works out of what the recipient is to be told;
//! 2. [`invitation::Invitations`] turns one such notification into a mail in the recipient's language and zone;
//! 3. [`outbox::Outbox`] hands mails to the transport until they are taken or refused for good.
//!
//! What is decided from values alone (which messages are dropped, what changed, what is over, which mail it is) is pure and
//! lives in files of its own. This room never writes a calendar itself and never decides who is invited: that is `itip`.

pub mod changes;
pub mod delivery;
mod difference;
mod event_path;
mod expiry;
pub mod invitation;
mod mail_model;
mod notifications;
mod occurrence;
pub mod outbox;
mod people;
mod screening;

pub use self::delivery::ItipDelivery;
pub use self::invitation::{Composer, Invitations};
pub use self::notifications::{Received, notifications};
pub use self::outbox::Outbox;
pub use self::people::{People, Preferences, SharedPeople};
