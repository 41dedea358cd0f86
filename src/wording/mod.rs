//! Words for people: a key and what varies in, a text in the reader's language out; a template and a model in, a page or a
//! mail out. And [`plain`], which makes what strangers wrote fit to be shown.
//!
//! Languages and templates are part of the program; whoever needs some brings its own ([`Speakers::new`]). A language is added
//! with a file and a line in the list of whoever uses it. This room does no I/O; the same input gives the same octets.

mod locale;
pub mod plain;
mod speaker;
#[cfg(test)]
pub(crate) mod texts;

pub use locale::{Locale, LocaleError, Sources, accepted, nearest};
pub use speaker::{Speaker, Speakers, Templates, WordingError};
