//! Contacts to complete while somebody types a name. A port; its engine reads the indices that Twake Mail writes
//! (`opensearch`, storage §5). Embedded there is none.

use std::sync::Arc;

use async_trait::async_trait;

use super::SearchError;
use crate::ids::Email;

/// Somebody a user wrote to, or a member of the domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Id of the contact, a UUID as text.
    pub id: String,
    /// Address, in lower case.
    pub email: Email,
    /// Given name; may be empty.
    pub firstname: String,
    /// Family name; may be empty.
    pub surname: String,
}

/// Completes contacts.
#[async_trait]
pub trait ContactIndex: Send + Sync + 'static {
    /// Contacts of `account` and of its domain that match the text, best first, each address and name once; at most `limit`.
    async fn complete(&self, account: &Email, text: &str, limit: usize) -> Result<Vec<Contact>, SearchError>;
}

/// The contacts that the program was started with.
pub type SharedContactIndex = Arc<dyn ContactIndex>;
