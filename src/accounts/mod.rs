//! Accounts: who people are to us, how they come to be, and the home each of them has before the first request.
//!
//! In comes an accounts file, a command of the administrator, or the claims of an OpenID provider; out go users, domains,
//! settings and homes in the store, the answer to "is this the password of that account?", and the language and zone in
//! which a person wants to read. This room never sees a request, and never decides who may do what.

mod preferences;

use crate::clock::Env;
use crate::config::I18n;
use crate::store::{SharedDavStore, SharedDirectory};

pub use preferences::Preferences;

/// The people of this installation.
#[derive(Clone)]
pub struct Accounts {
    directory: SharedDirectory,
    dav: SharedDavStore,
    defaults: I18n,
    env: Env,
}

impl Accounts {
    /// The accounts kept in this directory, with their homes in that store.
    pub fn new(directory: SharedDirectory, dav: SharedDavStore, defaults: I18n, env: Env) -> Self {
        Self { directory, dav, defaults, env }
    }
}
