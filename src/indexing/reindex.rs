//! Fills the search index from the calendars themselves: for a new index, for one that lost something, for one whose
//! mapping changed (webadmin §6.2).
//!
//! It may run while people work. What it writes counts as known since before it began to read, so that a change that
//! somebody makes meanwhile always wins; and what a home no longer holds goes only after everything that it holds was read.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;

use super::calendars::{Calendars, ReadFailure};
use super::{indexed_object, version};
use crate::clock::Env;
use crate::config;
use crate::dav::Upstream;
use crate::ical::{Component, Limits};
use crate::ids::{Email, HomeId};
use crate::search::{IndexedObject, SearchError, SharedEventIndex};
use crate::store::{SharedDirectory, StoreError, User};

/// Users that are read from the directory at once.
const PAGE: usize = 200;
/// Clocks of several nodes may differ by so much: what is read counts as known since then.
const SKEW: TimeDelta = TimeDelta::seconds(60);
/// What an object takes in memory while it waits to be written, beside its text.
const OBJECT_OCTETS: usize = 1_000;

/// Why nothing could be done.
#[derive(Debug, thiserror::Error)]
pub enum ReindexError {
    /// There is no such user.
    #[error("{0} is unknown")]
    Unknown(Email),
    /// The directory of users cannot be read.
    #[error(transparent)]
    Directory(#[from] StoreError),
}

/// What to do, and how much of it at once.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only this user.
    pub user: Option<Email>,
    /// Only read and count.
    pub dry_run: bool,
    /// Users at once.
    pub homes: usize,
    /// Objects that are written at once.
    pub batch: usize,
    /// Octets that these have at most, nearly.
    pub batch_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { user: None, dry_run: false, homes: 4, batch: 1_000, batch_bytes: 4 << 20 }
    }
}

/// How far it is. May be looked at meanwhile.
#[derive(Debug, Default)]
pub struct Counts {
    /// Users that are done, whether or not it went well.
    pub users: AtomicU64,
    /// Users of whom something could not be read or written.
    pub users_failed: AtomicU64,
    /// Objects that are in the index now, or would be.
    pub indexed: AtomicU64,
    /// Objects that could not be read or written.
    pub failed: AtomicU64,
    /// Objects that hold no event.
    pub without_event: AtomicU64,
    /// Objects that were in the index and in no calendar.
    pub removed: AtomicU64,
}

impl Counts {
    fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }

    /// Whether everything went well so far.
    pub fn is_clean(&self) -> bool {
        self.users_failed.load(Ordering::Relaxed) == 0 && self.failed.load(Ordering::Relaxed) == 0
    }
}

/// Fills an index from calendars.
#[derive(Clone)]
pub struct Reindex {
    directory: SharedDirectory,
    index: SharedEventIndex,
    calendars: Calendars,
    limits: Limits,
    env: Env,
}

impl Reindex {
    /// Reads the calendars of the users in `directory` through `upstream`, each as that user.
    pub fn new(
        directory: SharedDirectory,
        index: SharedEventIndex,
        upstream: Upstream,
        limits: &config::Limits,
        env: Env,
    ) -> Self {
        Self {
            directory,
            index,
            calendars: Calendars::new(upstream, limits.object_bytes),
            limits: Limits { bytes: limits.object_bytes, depth: limits.object_depth, lines: limits.object_lines },
            env,
        }
    }

    /// How many users there are to do.
    ///
    /// # Errors
    /// See [`Reindex::run`].
    pub async fn count_users(&self, options: &Options) -> Result<u64, ReindexError> {
        let mut count = 0;
        let mut page = self.first(options).await?;
        loop {
            count += page.users.len() as u64;
            match self.next(&page).await? {
                Some(next) => page = next,
                None => return Ok(count),
            }
        }
    }

    /// Does it all. Failures of objects, calendars and users are counted and logged, and do not stop it.
    ///
    /// # Errors
    /// [`ReindexError`] when the users cannot be found out.
    pub async fn run(&self, options: &Options, counts: &Counts) -> Result<(), ReindexError> {
        let mut page = self.first(options).await?;
        loop {
            let users = futures_util::stream::iter(&page.users);
            users.for_each_concurrent(options.homes.max(1), |user| self.user(user, options, counts)).await;
            match self.next(&page).await? {
                Some(next) => page = next,
                None => return Ok(()),
            }
        }
    }

    async fn first(&self, options: &Options) -> Result<Page, ReindexError> {
        match &options.user {
            Some(email) => {
                let user = self.directory.user_by_email(email).await?;
                Ok(Page { users: vec![user.ok_or_else(|| ReindexError::Unknown(email.clone()))?], is_last: true })
            }
            None => Ok(Page::of(self.directory.users(None, None, PAGE).await?)),
        }
    }

    async fn next(&self, page: &Page) -> Result<Option<Page>, ReindexError> {
        match page.users.last() {
            Some(last) if !page.is_last => Ok(Some(Page::of(self.directory.users(None, Some(last.id), PAGE).await?))),
            _ => Ok(None),
        }
    }

    async fn user(&self, user: &User, options: &Options, counts: &Counts) {
        let known_since = self.env.now() - SKEW;
        if let Err(error) = self.home(user, known_since, options, counts).await {
            tracing::warn!(user = %user.email(), %error, "the calendars of a user cannot be indexed");
            Counts::add(&counts.users_failed, 1);
        }
        Counts::add(&counts.users, 1);
    }

    /// Everything of one home. What is gone is removed only when everything else was read and written.
    async fn home(
        &self,
        user: &User,
        known_since: DateTime<Utc>,
        options: &Options,
        counts: &Counts,
    ) -> Result<(), HomeFailure> {
        let home = HomeId::from(user.id);
        let version = version(known_since, false);
        let calendars = self.calendars.of(user).await?;
        if !options.dry_run {
            // What another program wrote says nothing of its age.
            Counts::add(&counts.removed, self.index.prune(home, i64::MIN).await?);
        }
        let mut batch = Batch::default();
        for calendar in &calendars {
            let mut objects = self.calendars.objects(user, calendar).await?;
            while let Some(found) = objects.next().await {
                let found = found?;
                let read = Component::parse_within(&found.data, self.limits);
                match read.map(|component| indexed_object(&found.path, &component, version)) {
                    Ok(Some(object)) => batch.push(object, found.data.len()),
                    Ok(None) => Counts::add(&counts.without_event, 1),
                    Err(error) => {
                        tracing::warn!(path = %found.path, %error, "an object cannot be read");
                        Counts::add(&counts.failed, 1);
                    }
                }
                if batch.is_full(options) {
                    self.write(&mut batch, options, counts).await?;
                }
            }
        }
        self.write(&mut batch, options, counts).await?;
        if !options.dry_run {
            Counts::add(&counts.removed, self.index.prune(home, version).await?);
        }
        Ok(())
    }

    /// Writes what waits. What the index refuses is counted; when it is away, the home is given up.
    async fn write(&self, batch: &mut Batch, options: &Options, counts: &Counts) -> Result<(), SearchError> {
        let objects = batch.take();
        if options.dry_run {
            Counts::add(&counts.indexed, objects.len() as u64);
            return Ok(());
        }
        let outcomes = self.index.put_many(&objects).await;
        let mut away = Ok(());
        for (object, outcome) in objects.iter().zip(outcomes) {
            match outcome {
                Ok(()) => Counts::add(&counts.indexed, 1),
                Err(error) => {
                    Counts::add(&counts.failed, 1);
                    tracing::warn!(calendar = %object.calendar, uid = %object.uid, %error, "an object is not indexed");
                    if matches!(error, SearchError::Unavailable(_)) {
                        away = Err(error);
                    }
                }
            }
        }
        away
    }
}

/// Some users, by id.
struct Page {
    users: Vec<User>,
    is_last: bool,
}

impl Page {
    fn of(users: Vec<User>) -> Self {
        Self { is_last: users.len() < PAGE, users }
    }
}

#[derive(Debug, thiserror::Error)]
enum HomeFailure {
    #[error(transparent)]
    Read(#[from] ReadFailure),
    #[error(transparent)]
    Index(#[from] SearchError),
}

/// Objects that wait to be written.
#[derive(Default)]
struct Batch {
    objects: Vec<IndexedObject>,
    octets: usize,
}

impl Batch {
    fn push(&mut self, object: IndexedObject, octets: usize) {
        self.octets += octets + OBJECT_OCTETS;
        self.objects.push(object);
    }

    fn is_full(&self, options: &Options) -> bool {
        self.objects.len() >= options.batch.max(1) || self.octets >= options.batch_bytes
    }

    fn take(&mut self) -> Vec<IndexedObject> {
        self.octets = 0;
        std::mem::take(&mut self.objects)
    }
}
