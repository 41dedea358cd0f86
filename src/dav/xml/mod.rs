//! DAV's XML: reading request bodies within limits and without entities, and writing answers with the prefixes that
//! clients of esn-sabre compare as text (dav §1.3).
//!
//! In come bytes; out go typed requests ([`PropRequest`], [`Filter`], …) or a [`ReadError`]. [`Writer`] goes the other way.
//! Nothing here knows resources or stores.

mod bounds;
mod data;
mod filter;
mod lock;
mod members;
mod name;
mod propfind;
mod read;
mod update;
mod valid;
mod write;

pub use bounds::Asked;
pub use data::{CompSelection, DataRequest, Occurrences, PropSelection};
pub use filter::{CompFilter, CompTest, Filter, MatchType, ParamFilter, ParamTest, PropFilter, PropTest, Quantifier};
pub use filter::{TextMatch, TimeRange, read_limit};
pub use lock::{LockInfo, read_lock};
pub use members::Members;
pub use name::{APPLE, CALDAV, CALENDARSERVER, CARDDAV, DAV, Name, SABRE};
pub use propfind::{PropRequest, Wanted};
pub use read::{Element, Node, ReadError, XmlLimits, parse};
pub use update::{PropChange, PropUpdate, read_creation, read_update};
pub use write::{PROLOG, Writer, escape_into};
