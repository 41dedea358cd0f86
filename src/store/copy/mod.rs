//! Copies everything that the store's ports hold from one engine to another: domains, people, settings and passwords, resources
//! and team calendars, then homes with their collections and objects, plain files, and the trash, byte for byte. It publishes no
//! message, so a copy invites nobody, and it can be
//! broken off and continued.
//!
//! The source is only read. What the target holds is never overwritten or removed unless [`Options::replace`] says so: the
//! copy cannot know whether it differs because the source moved on or because somebody used the target.
//!
//! **Sync tokens.** A collection of the target counts from the token that its source had when it was read (see
//! [`Op::CreateCollection`](super::Op::CreateCollection)). A client that had this token is told of every object, which all are
//! as it knows them; one with an older token is refused, as it would not hear of what was deleted since, and reads everything
//! anew. Where the source has moved on before the copy was complete, the collection is made anew from the later token. The last
//! tokens of collections that were deleted come along, so that what is made at their paths later issues none of them again.

mod files;
mod homes;
mod objects;
mod people;
mod resources;
mod sharing;
mod trash;
mod verify;

use std::time::Duration;

use super::files::SharedFileStore;
use super::{SharedDavStore, SharedDirectory, StoreError, WriteError};

/// One side of a copy.
#[derive(Clone)]
pub struct End {
    /// Calendars and address books.
    pub dav: SharedDavStore,
    /// Plain files.
    pub files: SharedFileStore,
    /// People and domains.
    pub directory: SharedDirectory,
}

/// How to copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Take a target that holds something: bring what it lacks.
    pub resume: bool,
    /// Overwrite what differs in the target, and remove what the source does not have.
    pub replace: bool,
    /// Look at both and write nothing.
    pub dry_run: bool,
}

/// Told of the progress, to show it.
pub trait Watch: Sync {
    /// A new part of the work begins, of so many steps.
    fn begin(&self, part: &'static str, steps: u64);
    /// So many steps of it were done.
    fn step(&self, steps: u64);
    /// What was done so far.
    fn tell(&self, tally: &Tally);
}

/// How much of everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Domains.
    pub domains: u64,
    /// People.
    pub users: u64,
    /// People with settings.
    pub settings: u64,
    /// People with a password here.
    pub passwords: u64,
    /// Rooms and other resources, deleted ones too.
    pub resources: u64,
    /// Team calendars.
    pub teams: u64,
    /// Calendars, inboxes, outboxes and address books.
    pub collections: u64,
    /// Events, tasks, cards and messages of inboxes.
    pub objects: u64,
    /// Plain files and folders.
    pub files: u64,
    /// Deleted things that are kept for a while.
    pub trash: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.domains += other.domains;
        self.users += other.users;
        self.settings += other.settings;
        self.passwords += other.passwords;
        self.resources += other.resources;
        self.teams += other.teams;
        self.collections += other.collections;
        self.objects += other.objects;
        self.files += other.files;
        self.trash += other.trash;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { domains, users, settings, passwords, resources, teams, collections, objects, files, trash } = self;
        write!(f, "{domains} domains, {users} users ({settings} with settings, {passwords} with a password), ")?;
        write!(f, "{resources} resources, {teams} team calendars, ")?;
        write!(f, "{collections} collections, {objects} objects, {files} files, {trash} in the trash")
    }
}

/// What differs, in words; the first of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Vec<String>,
}

/// Differences that are told one by one.
const TOLD: usize = 50;

impl Differences {
    fn add(&mut self, difference: String) {
        self.count += 1;
        if self.first.len() < TOLD {
            self.first.push(difference);
        }
    }

    fn extend(&mut self, other: Self) {
        self.count += other.count;
        let room = TOLD - self.first.len();
        self.first.extend(other.first.into_iter().take(room));
    }
}

/// What a copy did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Written to the target.
    pub written: Tally,
    /// There already, and the same.
    pub present: Tally,
    /// Removed from the target, or to be written anew, since it differed.
    pub replaced: Tally,
    /// Not copied, and why.
    pub left: Differences,
}

impl Copied {
    fn extend(&mut self, other: Self) {
        self.written += other.written;
        self.present += other.present;
        self.replaced += other.replaced;
        self.left.extend(other.left);
    }
}

/// How the two sides compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// What the source holds.
    pub source: Tally,
    /// What the target holds.
    pub target: Tally,
    /// What differs.
    pub differences: Differences,
}

/// The copy stopped. What was written stays; it can be continued.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The target holds something.
    #[error("the target is not empty: it holds {0}")]
    NotEmpty(&'static str),
    /// The source cannot be read.
    #[error("the source: {0}")]
    Source(StoreError),
    /// The target cannot be read or written.
    #[error("the target: {0}")]
    Target(StoreError),
}

/// Copies everything; with [`Options::dry_run`] it only says what it would do, also for a target that is not there yet.
///
/// # Errors
/// [`CopyError`]; what a document is refused for is no error, but told in [`Copied::left`].
pub async fn copy(from: &End, to: Option<&End>, options: Options, watch: &dyn Watch) -> Result<Copied, CopyError> {
    if let Some(to) = to.filter(|_| !options.resume) {
        check_empty(to).await?;
    }
    let mut copied = people::copy(from, to, options, watch).await?;
    copied.extend(resources::copy(from, to, options, watch).await?);
    copied.extend(homes::copy(from, to, options, watch).await?);
    copied.extend(files::copy(from, to, options, watch).await?);
    copied.extend(trash::copy(from, to, options, watch).await?);
    Ok(copied)
}

/// Compares the two sides: people, settings, passwords, collections with their properties and sync tokens, the names,
/// sizes and ETags of all objects and files, and the properties of files.
///
/// # Errors
/// [`CopyError`] when one of them cannot be read.
pub async fn compare(from: &End, to: &End, watch: &dyn Watch) -> Result<Compared, CopyError> {
    verify::compare(from, to, watch).await
}

async fn check_empty(to: &End) -> Result<(), CopyError> {
    let holds = if !to.directory.domains().await.map_err(CopyError::Target)?.is_empty() {
        "domains"
    } else if !to.directory.users(None, None, 1).await.map_err(CopyError::Target)?.is_empty() {
        "users"
    } else if !to.directory.resources(None, None, 1).await.map_err(CopyError::Target)?.is_empty() {
        "resources"
    } else if !to.directory.team_calendars(None, None, 1).await.map_err(CopyError::Target)?.is_empty() {
        "team calendars"
    } else if !to.dav.homes(None, 1).await.map_err(CopyError::Target)?.is_empty() {
        "collections"
    } else if !to.files.homes(None, 1).await.map_err(CopyError::Target)?.is_empty() {
        "files"
    } else {
        return Ok(());
    };
    Err(CopyError::NotEmpty(holds))
}

/// Attempts at one call while an engine is away.
const ATTEMPTS: u32 = 7;
/// Wait after the first of them; each later one waits twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// An error that may pass.
trait Passing {
    fn is_passing(&self) -> bool;
}

impl Passing for StoreError {
    fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl Passing for WriteError {
    fn is_passing(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_passing())
    }
}

/// Calls again while the engine is away, for a while. What is called must do no harm when it is done twice.
async fn patiently<T, E: Passing>(mut call: impl AsyncFnMut() -> Result<T, E>) -> Result<T, E> {
    let mut wait = FIRST_WAIT;
    for _ in 1..ATTEMPTS {
        match call().await {
            Err(error) if error.is_passing() => tokio::time::sleep(wait).await,
            done => return done,
        }
        wait *= 2;
    }
    call().await
}
