//! Accounts: who people are to us, how they come to be, and the home each of them has before the first request; and what has a
//! home besides, rooms and other resources and the calendars of teams.
//!
//! In comes an accounts file, a command of the administrator, or the claims of an OpenID provider; out go users, domains,
//! settings and homes in the store, the answer to "is this the password of that account?", and the language and zone in
//! which a person wants to read. This room never sees a request, and never decides who may do what.

mod admission;
mod file;
mod home;
mod keep;
mod passwords;
mod preferences;
mod resources;

use crate::clock::Env;
use crate::config::I18n;
use crate::ids::{DomainName, Email, ResourceId, TeamCalendarId, UserId};
use crate::store::files::{FileWriteError, SharedFileStore};
use crate::store::{SharedDavStore, SharedDirectory, StoreError, WriteError};

pub use file::{Account, AccountMistake, AccountsFile, AccountsFileError, Password};
pub use keep::{Applied, Listed};
pub use passwords::{InvalidDigest, PasswordDigest};
pub use preferences::Preferences;
pub use resources::{NewResource, ResourceChange};

/// The people of this installation.
#[derive(Clone)]
pub struct Accounts {
    directory: SharedDirectory,
    homes: Option<SharedDavStore>,
    files: Option<SharedFileStore>,
    defaults: I18n,
    env: Env,
}

/// Something could not be done with an account.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// There is an account with this address.
    #[error("{0} has an account already")]
    Exists(Email),
    /// There is no account with this address.
    #[error("{0} has no account")]
    Unknown(Email),
    /// The id is somebody else's, or the account has another one.
    #[error("{mail} cannot have the id {id}: {reason}")]
    Id {
        /// Whose account.
        mail: Email,
        /// The id that was asked for.
        id: UserId,
        /// What is in the way.
        reason: String,
    },
    /// There is no domain of that name.
    #[error("there is no domain {0}")]
    NoDomain(DomainName),
    /// There is no resource of that id, or it is deleted.
    #[error("there is no resource {0}")]
    NoResource(ResourceId),
    /// There is no team calendar of that id.
    #[error("there is no team calendar {0}")]
    NoTeam(TeamCalendarId),
    /// Resources and teams have a name.
    #[error("the name is empty")]
    Nameless,
    /// The password cannot be used.
    #[error("{0}")]
    Password(String),
    /// The home cannot be made or taken away.
    #[error("home: {0}")]
    Home(String),
    /// The store failed; whether trying again can help is in the cause.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<WriteError> for AccountsError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Store(e) => Self::Store(e),
            other => Self::Home(other.to_string()),
        }
    }
}

impl From<FileWriteError> for AccountsError {
    fn from(error: FileWriteError) -> Self {
        match error {
            FileWriteError::Store(e) => Self::Store(e),
            other => Self::Home(other.to_string()),
        }
    }
}

impl Accounts {
    /// The accounts kept in this directory, with their homes in that store; `None` where a DAV server elsewhere makes
    /// homes itself.
    pub fn new(directory: SharedDirectory, homes: Option<SharedDavStore>, defaults: I18n, env: Env) -> Self {
        Self { directory, homes, files: None, defaults, env }
    }

    /// The same accounts with their plain files in that store: they go with the home.
    #[must_use]
    pub fn with_files(mut self, files: Option<SharedFileStore>) -> Self {
        self.files = files;
        self
    }

    /// The three people of the demo, alice, bob and carol of example.org, with ids that are the same everywhere.
    ///
    /// # Panics
    /// Never: a test reads the file.
    #[expect(clippy::expect_used, reason = "a constant file that a test reads")]
    pub fn demo() -> AccountsFile {
        AccountsFile::parse(include_str!("demo.toml"), "demo.toml").expect("the embedded file is valid")
    }
}
