//! The jCal of events, remembered by content: the same weeks are looked at again and again, and to read, expand and write each
//! event anew would be nearly all the work of a REPORT. What takes place once looks the same in every range; of a series the
//! range is remembered, too.
//!
//! An entry is found by the ETag, which is the digest of the object, so nothing is ever out of date. What is remembered is
//! what the owner of a calendar sees; nobody else is answered from here.

use std::sync::Arc;

use chrono_tz::Tz;
use moka::sync::Cache;

/// Octets that all entries take together.
const MOST: u64 = 4 << 20;
/// Octets of one entry; longer ones are rare, and would push out many others.
const MOST_EACH: usize = 16 << 10;

/// What a text was written from.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    etag: String,
    zone: Tz,
    /// Unix times between which a series was expanded.
    range: Option<(i64, i64)>,
}

/// Remembers the jCal of events. Clones share what they know.
#[derive(Clone)]
pub(in crate::dav::server) struct RenderedEvents(Cache<Key, Arc<str>>);

impl RenderedEvents {
    pub(in crate::dav::server) fn new() -> Self {
        let weigher = |key: &Key, text: &Arc<str>| u32::try_from(key.etag.len() + 160 + text.len()).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(MOST).weigher(weigher).build())
    }

    /// The text for an object; written, and remembered where it is short, when it is asked for the first time. `None`
    /// where there is no text for it.
    pub(super) fn get(
        &self,
        etag: &str,
        zone: Tz,
        range: Option<(i64, i64)>,
        write: impl FnOnce() -> Option<String>,
    ) -> Option<Arc<str>> {
        let key = Key { etag: etag.to_owned(), zone, range };
        if let Some(known) = self.0.get(&key) {
            return Some(known);
        }
        let text: Arc<str> = write()?.into();
        if text.len() <= MOST_EACH {
            self.0.insert(key, text.clone());
        }
        Some(text)
    }
}
