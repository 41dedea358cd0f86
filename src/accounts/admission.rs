//! People whom an OpenID provider vouches for get an account when they come for the first time (auth §4.6).

use async_trait::async_trait;

use super::{Accounts, AccountsError};
use crate::auth::{Admission, AdmissionError, Newcomer};
use crate::ids::Email;
use crate::store::{StoreError, User};

fn unavailable(error: impl std::fmt::Display) -> AdmissionError {
    AdmissionError::Unavailable(error.to_string())
}

#[async_trait]
impl Admission for Accounts {
    async fn knows(&self, email: &Email) -> Result<bool, AdmissionError> {
        Ok(self.directory.user_by_email(email).await.map_err(unavailable)?.is_some())
    }

    async fn admit(&self, newcomer: &Newcomer) -> Result<(), AdmissionError> {
        // The domain of the address, never one that a claim names (auth §14.19), and only one that is served here.
        let name = newcomer.email.domain();
        let domain = self.directory.domain_by_name(&name).await.map_err(unavailable)?;
        let domain = domain.ok_or(AdmissionError::UnknownDomain(name))?;
        let (firstname, lastname) = match (&newcomer.given_name, &newcomer.family_name) {
            (None, None) => (newcomer.email.to_string(), newcomer.email.to_string()),
            (given, family) => (given.clone().unwrap_or_default(), family.clone().unwrap_or_default()),
        };
        let user = User {
            id: crate::ids::UserId(self.env.object_id()),
            domain: domain.id,
            emails: vec![newcomer.email.clone()],
            firstname,
            lastname,
        };
        match self.furnish(&user).await {
            Ok(()) => Ok(()),
            // Came by another request at the same time.
            Err(AccountsError::Store(StoreError::Exists(_))) => self.furnish_existing(&newcomer.email).await,
            Err(e) => Err(unavailable(e)),
        }
    }
}

impl Accounts {
    async fn furnish(&self, user: &User) -> Result<(), AccountsError> {
        // The home first: who is in the directory has one.
        self.provision_home(user.id.into()).await?;
        let added = self.directory.add_user(user).await;
        if matches!(added, Err(StoreError::Exists(_))) {
            self.remove_home(user.id.into()).await?;
        }
        Ok(added?)
    }

    async fn furnish_existing(&self, email: &Email) -> Result<(), AdmissionError> {
        match self.directory.user_by_email(email).await.map_err(unavailable)? {
            Some(user) => self.provision_home(user.id.into()).await.map_err(unavailable),
            None => Err(unavailable("somebody else's account is in the way")),
        }
    }
}
