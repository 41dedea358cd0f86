//! How people want to be written to.

use std::sync::Arc;

use async_trait::async_trait;
use chrono_tz::Tz;

use crate::ids::Email;
use crate::store::StoreError;

/// How to write to a person (mail-itip-alarms §1.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preferences {
    /// Language tag as the person chose it.
    pub language: String,
    /// Zone in which times are shown.
    pub zone: Tz,
    /// Name of the person; `None` for people who do not live here.
    pub display_name: Option<String>,
}

impl Preferences {
    /// Whether the person has a calendar here.
    pub fn is_local(&self) -> bool {
        self.display_name.is_some()
    }
}

/// Knows people.
#[async_trait]
pub trait People: Send + Sync + 'static {
    /// The preferences of a person; for people we do not know those of `stand_in`, else the configured ones.
    async fn preferences(&self, of: &Email, stand_in: &Email) -> Result<Preferences, StoreError>;
}

/// The people of this installation.
pub type SharedPeople = Arc<dyn People>;
