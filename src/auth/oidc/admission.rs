//! Whether somebody whom a provider vouches for has a place here.

use async_trait::async_trait;

use crate::ids::{DomainName, Email};

/// Somebody who comes for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// User name.
    pub email: Email,
    /// Claim `given_name`.
    pub given_name: Option<String>,
    /// Claim `family_name`.
    pub family_name: Option<String>,
}

/// Why somebody gets no account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// The domain of the address is not one of this installation.
    #[error("the domain {0} is not served here")]
    UnknownDomain(DomainName),
    /// The directory is away. Worth a retry.
    #[error("the directory is unavailable: {0}")]
    Unavailable(String),
}

/// Knows the people of this installation, and takes in new ones (auth §4.6). A port: `accounts` is behind it.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Whether there is an account with this address.
    async fn knows(&self, email: &Email) -> Result<bool, AdmissionError>;

    /// Gives somebody an account, in the domain of the address and nowhere else. Existing accounts stay as they are.
    async fn admit(&self, newcomer: &Newcomer) -> Result<(), AdmissionError>;
}
