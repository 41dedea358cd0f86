//! Who was recognised, and how.

use crate::ids::Email;

/// Somebody whose credentials were accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User name.
    pub email: Email,
    /// What was accepted.
    pub via: Via,
    /// Session at the OpenID provider, for back-channel logout.
    pub sid: Option<String>,
}

/// The kind of credentials that were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// An access token of an OpenID provider.
    Bearer,
    /// User name and password.
    Basic,
}

impl Via {
    /// The name used in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Basic => "basic",
        }
    }
}

/// The caller of a request, as [`super::RequireUser`] leaves it among the request's extensions. Nothing else makes one, so
/// a handler that has one was authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session(Identity);

impl Session {
    pub(super) fn new(identity: Identity) -> Self {
        Self(identity)
    }

    /// User name of the caller.
    pub fn email(&self) -> &Email {
        &self.0.email
    }

    /// Who the caller is and how that was found.
    pub fn identity(&self) -> &Identity {
        &self.0
    }
}
