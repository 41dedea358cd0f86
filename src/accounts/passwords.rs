//! Passwords of accounts that convoke keeps itself: argon2id, as PHC strings.

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, Salt, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;

use super::{Accounts, AccountsError};
use crate::auth::{PasswordVerifier, VerifierError};
use crate::clock::Env;
use crate::ids::Email;

/// Memory that a hash from outside may ask for, in KiB: checking one must not take the machine down.
const MAX_MEMORY_KIB: u32 = 1 << 20;
/// Passes that a hash from outside may ask for.
const MAX_PASSES: u32 = 64;
/// What the password of an account that does not exist is compared with. Nobody knows the password of this hash, and the
/// outcome is not looked at.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$EKlR3hZzGA4CsmFE8+zZnw$ukKFArh0bk6KTsIrzS2urSwymExhUhSUd5Lj7Z0z0hw";

/// The hash of a password, as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordDigest(String);

/// A hash that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an argon2id hash such as $argon2id$v=19$m=19456,t=2,p=1$salt$hash: {0}")]
pub struct InvalidDigest(pub String);

impl std::fmt::Debug for PasswordDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordDigest(…)")
    }
}

impl PasswordDigest {
    /// Hashes a password. Takes some 20 ms of a processor, on a thread where that blocks nobody.
    ///
    /// # Errors
    /// [`AccountsError::Password`] when the password is empty.
    pub async fn of(password: &str, env: &Env) -> Result<Self, AccountsError> {
        if password.is_empty() {
            return Err(AccountsError::Password("the password is empty".to_owned()));
        }
        let mut salt = [0; Salt::RECOMMENDED_LENGTH];
        env.fill(&mut salt);
        let password = password.to_owned();
        let hashing = tokio::task::spawn_blocking(move || {
            let salt = SaltString::encode_b64(&salt)?;
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
            Ok(argon2.hash_password(password.as_bytes(), &salt)?.to_string())
        });
        let failed = |e: &dyn std::fmt::Display| AccountsError::Password(format!("the password cannot be hashed: {e}"));
        let hashed: Result<String, argon2::password_hash::Error> = hashing.await.map_err(|e| failed(&e))?;
        hashed.map(Self).map_err(|e| failed(&e))
    }

    /// Takes a PHC string from outside.
    ///
    /// # Errors
    /// [`InvalidDigest`] when it is not argon2id, not complete, or costs more than a server should pay.
    pub fn parse(phc: &str) -> Result<Self, InvalidDigest> {
        let invalid = |why: &dyn std::fmt::Display| InvalidDigest(why.to_string());
        let hash = PasswordHash::new(phc).map_err(|e| invalid(&e))?;
        if hash.algorithm != argon2::ARGON2ID_IDENT {
            return Err(invalid(&format!("found {}", hash.algorithm)));
        }
        let params = Params::try_from(&hash).map_err(|e| invalid(&e))?;
        if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES {
            return Err(invalid(&"it costs too much to check"));
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(invalid(&"salt or hash is missing"));
        }
        Ok(Self(phc.to_owned()))
    }

    /// The PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the hash of that password. Takes as long as hashing.
    pub(super) async fn matches(&self, password: &str) -> Result<bool, VerifierError> {
        let (phc, password) = (self.0.clone(), password.to_owned());
        let checking = tokio::task::spawn_blocking(move || {
            let hash = PasswordHash::new(&phc)?;
            Ok(Argon2::default().verify_password(password.as_bytes(), &hash))
        });
        let checked: Result<_, argon2::password_hash::Error> =
            checking.await.map_err(|e| VerifierError(e.to_string()))?;
        match checked.map_err(|e| VerifierError(format!("a stored hash cannot be read: {e}")))? {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::Password) => Ok(false),
            Err(e) => Err(VerifierError(format!("a stored hash cannot be checked: {e}"))),
        }
    }
}

#[async_trait]
impl PasswordVerifier for Accounts {
    async fn verify(&self, user: &Email, password: &str) -> Result<Option<Email>, VerifierError> {
        let away = |e: crate::store::StoreError| VerifierError(e.to_string());
        let user = self.directory.user_by_email(user).await.map_err(away)?;
        let phc = match &user {
            Some(user) => self.directory.password_hash(user.id).await.map_err(away)?,
            None => None,
        };
        // Nobody can tell by the clock whether there is such an account.
        let Some((user, phc)) = user.zip(phc) else {
            PasswordDigest(NOBODY.to_owned()).matches(password).await?;
            return Ok(None);
        };
        let right = PasswordDigest(phc).matches(password).await?;
        Ok(right.then(|| user.email().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_digest_matches_its_password_and_no_other() {
        let digest = PasswordDigest::of("right", &Env::system()).await.unwrap();
        assert!(digest.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(digest.matches("right").await, Ok(true));
        assert_eq!(digest.matches("wrong").await, Ok(false));
        assert_eq!(PasswordDigest::parse(digest.as_str()), Ok(digest.clone()));
        assert_ne!(PasswordDigest::of("right", &Env::system()).await.unwrap(), digest, "salted");
        assert_eq!(format!("{digest:?}"), "PasswordDigest(…)");
    }

    #[tokio::test]
    async fn the_hash_of_nobody_costs_as_much_as_a_new_one() {
        let nobody = PasswordDigest::parse(NOBODY).unwrap();
        assert_eq!(nobody.matches("").await, Ok(false));
        let params = |phc: &str| Params::try_from(&PasswordHash::new(phc).unwrap()).unwrap();
        assert_eq!(params(NOBODY).m_cost(), Params::DEFAULT.m_cost());
        assert_eq!(params(NOBODY).t_cost(), Params::DEFAULT.t_cost());
        assert_eq!(params(NOBODY).p_cost(), Params::DEFAULT.p_cost());
    }

    #[tokio::test]
    async fn an_empty_password_is_none() {
        assert!(matches!(PasswordDigest::of("", &Env::system()).await, Err(AccountsError::Password(_))));
    }

    #[test]
    fn hashes_of_other_kinds_or_of_too_great_a_cost_are_refused() {
        let hash = "w1nyEw8Q3xjTsGiyBvIBNZbXMWg3wOUqDAGMt0OYwnc";
        for bad in [
            "",
            "plain",
            "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
            &format!("$argon2i$v=19$m=19456,t=2,p=1$Y29udm9rZS1ub2JvZHk${hash}"),
            &format!("$argon2id$v=19$m=4194304,t=2,p=1$Y29udm9rZS1ub2JvZHk${hash}"),
            &format!("$argon2id$v=19$m=19456,t=65,p=1$Y29udm9rZS1ub2JvZHk${hash}"),
            "$argon2id$v=19$m=19456,t=2,p=1$Y29udm9rZS1ub2JvZHk",
        ] {
            assert!(PasswordDigest::parse(bad).is_err(), "{bad}");
        }
    }
}
