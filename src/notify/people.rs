//! How people want to be written to.

use std::sync::Arc;

use async_trait::async_trait;

use crate::accounts::Accounts;
use crate::ids::Email;
use crate::store::StoreError;

pub use crate::accounts::Preferences;

/// Knows people.
#[async_trait]
pub trait People: Send + Sync + 'static {
    /// The preferences of a person; for people we do not know those of `stand_in`, else the configured ones.
    async fn preferences(&self, of: &Email, stand_in: &Email) -> Result<Preferences, StoreError>;
}

#[async_trait]
impl People for Accounts {
    async fn preferences(&self, of: &Email, stand_in: &Email) -> Result<Preferences, StoreError> {
        Accounts::preferences(self, of, Some(stand_in)).await
    }
}

/// The people of this installation.
pub type SharedPeople = Arc<dyn People>;
