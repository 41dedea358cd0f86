//! Copies: into an account, and out of one.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;

use super::account::{Found, Stored, is_refused};
use super::{Account, Collection, Folder, Item, Kind, TransferError, folder, split};
use crate::ical::Limits;
use crate::ids::ObjectId;

/// Objects that are asked for at once.
const PAGE: usize = 50;
/// Failures that are kept in words.
const TOLD: usize = 1_000;

/// How to copy.
#[derive(Debug, Clone)]
pub struct Options {
    /// Put everything of a kind into the collection of this name; made where there is none.
    pub into: Option<String>,
    /// Only collections of these names; all where empty.
    pub only: Vec<String>,
    /// Collections of these names not.
    pub except: Vec<String>,
    /// Replace objects that are there already; they stay otherwise.
    pub replace: bool,
    /// Objects that are stored at once.
    pub at_once: usize,
    /// What one object may cost.
    pub limits: Limits,
}

/// What became of everything, while it goes on and afterwards.
#[derive(Debug, Default)]
pub struct Counts {
    /// Collections so far.
    pub collections: AtomicU64,
    /// Objects found so far.
    pub found: AtomicU64,
    /// Objects copied.
    pub copied: AtomicU64,
    /// Objects that took the place of others.
    pub replaced: AtomicU64,
    /// Objects that were there already.
    pub present: AtomicU64,
    /// Objects, files and collections that could not be copied.
    pub failed: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Counts {
    /// What could not be copied, in words, since the last call.
    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().map(|mut told| std::mem::take(&mut *told)).unwrap_or_default()
    }

    /// Objects that were dealt with.
    pub fn done(&self) -> u64 {
        [&self.copied, &self.replaced, &self.present, &self.failed].iter().map(|n| n.load(Ordering::Relaxed)).sum()
    }

    fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    fn fail(&self, what: String) {
        Self::add(&self.failed, 1);
        if let Ok(mut told) = self.failures.lock()
            && told.len() < TOLD
        {
            told.push(what);
        }
    }
}

/// Copies into an account. What fails is counted and does not stop the rest.
#[derive(Debug, Clone)]
pub struct Import {
    /// Where to.
    pub target: Account,
    /// How.
    pub options: Options,
}

impl Import {
    /// Everything of a folder or a file.
    ///
    /// # Errors
    /// [`TransferError`] when the folder cannot be read, or the account does not answer any more.
    pub async fn folder(&self, from: &Folder, counts: &Counts) -> Result<(), TransferError> {
        for source in from.sources().await? {
            if !self.is_wanted(&source.collection) {
                continue;
            }
            let mut wanted = source.collection;
            if !source.is_folder && self.options.into.is_none() {
                // A file says nothing of where it belongs.
                wanted.uri = self.main(wanted.kind).await?;
            }
            let Some(target) = self.open(wanted, counts).await? else { continue };
            for file in &source.files {
                match folder::items(file, target.collection.kind, self.options.limits).await {
                    Ok(items) => {
                        Counts::add(&counts.found, items.len() as u64);
                        self.store(&target, &items, counts).await?;
                    }
                    Err(error) => counts.fail(error.to_string()),
                }
            }
        }
        Ok(())
    }

    /// Everything of another account.
    ///
    /// # Errors
    /// [`TransferError`] when one of the two does not answer any more.
    pub async fn account(&self, from: &Account, counts: &Counts) -> Result<(), TransferError> {
        let there = from.collections().await?;
        self.say_what_is_missing(&there, counts);
        for source in there.iter().filter(|found| self.is_wanted(&found.collection)) {
            let members = match from.members(source).await {
                Err(error) if is_refused(&error) => {
                    counts.fail(error.to_string());
                    continue;
                }
                members => members?,
            };
            Counts::add(&counts.found, members.len() as u64);
            let mut wanted = source.collection.clone();
            if from.is_main(source) && self.options.into.is_none() {
                wanted.uri = self.main(wanted.kind).await?;
            }
            let Some(target) = self.open(wanted, counts).await? else { continue };
            for members in members.chunks(PAGE) {
                let page = from.page(source, members).await?;
                page.failures.into_iter().for_each(|failure| counts.fail(failure));
                self.store(&target, &page.items, counts).await?;
            }
        }
        Ok(())
    }

    fn is_wanted(&self, collection: &Collection) -> bool {
        let Options { only, except, .. } = &self.options;
        (only.is_empty() || only.contains(&collection.uri)) && !except.contains(&collection.uri)
    }

    /// A name that nothing has is most likely a mistake.
    fn say_what_is_missing(&self, there: &[Found], counts: &Counts) {
        let names: Vec<&str> = there.iter().map(|found| found.collection.uri.as_str()).collect();
        for name in self.options.only.iter().filter(|name| !names.contains(&name.as_str())) {
            counts.fail(format!("there is no {name}, but {}", names.join(", ")));
        }
    }

    /// The collection to fill, if the account takes one like it.
    async fn open(&self, mut wanted: Collection, counts: &Counts) -> Result<Option<Found>, TransferError> {
        if let Some(into) = &self.options.into {
            wanted.uri.clone_from(into);
        } else if is_default_calendar(&wanted) {
            wanted.uri = self.default_for(&wanted).await?;
        }
        Counts::add(&counts.collections, 1);
        match self.target.find_or_make(&wanted).await {
            Ok((found, lost)) => {
                lost.into_iter().for_each(|lost| counts.fail(lost));
                Ok(Some(found))
            }
            Err(error) if is_refused(&error) => {
                counts.fail(format!("{}: {error}", wanted.uri));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Where the default calendar of another home belongs: to the default one here, unless it was carried in under its own
    /// name before, or this server names its calendars otherwise.
    async fn default_for(&self, wanted: &Collection) -> Result<String, TransferError> {
        let there = self.target.collections().await?;
        let calendars = || there.iter().map(|found| &found.collection).filter(|c| c.kind == Kind::Calendar);
        let is_there = calendars().any(|c| c.uri == wanted.uri);
        let default = calendars().next().filter(|c| !is_there && is_default_calendar(c));
        Ok(default.map_or_else(|| wanted.uri.clone(), |c| c.uri.clone()))
    }

    /// The first collection of a kind, which servers list first because it is the default one.
    async fn main(&self, kind: Kind) -> Result<String, TransferError> {
        let first = self.target.collections().await?.into_iter().find(|found| found.collection.kind == kind);
        let none = || TransferError::Answer {
            path: kind.folder().to_owned(),
            reason: "the account has none; say which one to make".to_owned(),
        };
        first.map(|found| found.collection.uri).ok_or_else(none)
    }

    async fn store(&self, target: &Found, items: &[Item], counts: &Counts) -> Result<(), TransferError> {
        let mut stored = futures_util::stream::iter(items)
            .map(async |item| (item, self.put(target, item).await))
            .buffer_unordered(self.options.at_once.max(1));
        while let Some((item, outcomes)) = stored.next().await {
            let outcomes = outcomes?;
            // One object there, several here.
            Counts::add(&counts.found, outcomes.len() as u64 - 1);
            for outcome in outcomes {
                match outcome {
                    Stored::Created => Counts::add(&counts.copied, 1),
                    Stored::Replaced => Counts::add(&counts.replaced, 1),
                    Stored::Present => Counts::add(&counts.present, 1),
                    Stored::Refused(reason) => {
                        counts.fail(format!("{}/{}: {reason}", target.collection.uri, item.name));
                    }
                }
            }
        }
        Ok(())
    }

    /// Stores an object, byte for byte if it can be. Some servers keep what is none (RFC 4791 §4.1): messages that came by mail, with
    /// their METHOD, several events in one, or control characters. Such a thing is taken apart as a file is.
    async fn put(&self, target: &Found, item: &Item) -> Result<Vec<Stored>, TransferError> {
        let Options { replace, limits, .. } = self.options;
        let outcome = self.target.put(target, item, replace).await?;
        let mut pieces = match outcome {
            Stored::Refused(_) => {
                let text = item.data.replace(|c: char| c.is_ascii_control() && !"\t\r\n".contains(c), "");
                split::objects(target.collection.kind, &text, limits).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        if pieces.is_empty() || pieces.iter().any(|piece| piece.data == item.data) {
            return Ok(vec![outcome]);
        }
        if let [piece] = pieces.as_mut_slice() {
            piece.name.clone_from(&item.name);
        }
        let mut outcomes = Vec::with_capacity(pieces.len());
        for piece in &pieces {
            outcomes.push(self.target.put(target, piece, replace).await?);
        }
        Ok(outcomes)
    }
}

/// Whether it is the default calendar of a home here or on esn-sabre, which bears the id of the home.
fn is_default_calendar(collection: &Collection) -> bool {
    collection.kind == Kind::Calendar && collection.uri.parse::<ObjectId>().is_ok()
}

/// Copies an account into a folder.
#[derive(Debug, Clone)]
pub struct Export {
    /// Where from.
    pub source: Account,
    /// Only collections of these names; all where empty.
    pub only: Vec<String>,
}

impl Export {
    /// Writes everything, over files of the same names.
    ///
    /// # Errors
    /// [`TransferError`] when the account does not answer any more, or a file cannot be written.
    pub async fn folder(&self, to: &Folder, counts: &Counts) -> Result<(), TransferError> {
        let wanted = |found: &&Found| self.only.is_empty() || self.only.contains(&found.collection.uri);
        for source in self.source.collections().await?.iter().filter(wanted) {
            let members = self.source.members(source).await?;
            Counts::add(&counts.found, members.len() as u64);
            Counts::add(&counts.collections, 1);
            to.begin(&source.collection).await?;
            let mut written = HashSet::new();
            for members in members.chunks(PAGE) {
                let page = self.source.page(source, members).await?;
                page.failures.into_iter().for_each(|failure| counts.fail(failure));
                for item in page.items {
                    to.write(&source.collection, &item, &mut written).await?;
                    Counts::add(&counts.copied, 1);
                }
            }
        }
        Ok(())
    }
}
