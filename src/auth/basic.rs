//! Basic credentials (RFC 7617), for calendar programs.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::authenticator::user_name;
use super::{AuthError, Credentials, Identity, PasswordGate, Strategy, Via};

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Recognises people by `Authorization: Basic` (auth §6).
pub struct Basic {
    passwords: Arc<PasswordGate>,
}

impl Basic {
    pub(super) const SCHEME: &'static str = "Basic";

    /// Asks this gate whether a password is right.
    pub fn new(passwords: Arc<PasswordGate>) -> Self {
        Self { passwords }
    }
}

#[async_trait]
impl Strategy for Basic {
    fn scheme(&self) -> &'static str {
        Self::SCHEME
    }

    async fn identify(&self, credentials: &Credentials<'_>) -> Result<Option<Identity>, AuthError> {
        let Some(encoded) = credentials.with_scheme(Self::SCHEME) else { return Ok(None) };
        let (name, password) = decode(encoded)?;
        let email = user_name(&name).ok_or(AuthError::WrongPassword)?;
        let email = self.passwords.check(&email, &password).await?;
        Ok(Some(Identity { email, via: Via::Basic, sid: None }))
    }
}

/// User name and password; the first colon separates them.
pub(super) fn decode(encoded: &str) -> Result<(String, String), AuthError> {
    let bytes = BASE64.decode(encoded).map_err(|_| AuthError::WrongPassword)?;
    let text = String::from_utf8(bytes).map_err(|_| AuthError::WrongPassword)?;
    let (name, password) = text.split_once(':').ok_or(AuthError::WrongPassword)?;
    if name.is_empty() {
        return Err(AuthError::Malformed("the user name is empty"));
    }
    Ok((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};

    use super::*;

    #[test]
    fn the_first_colon_ends_the_name() {
        let encoded = BASE64_STANDARD.encode("alice@example.org:pass:word");
        assert_eq!(decode(&encoded).unwrap(), ("alice@example.org".to_owned(), "pass:word".to_owned()));
    }

    #[test]
    fn every_character_of_base64_is_taken_padded_or_not() {
        let credentials = "alice@example.org:>>>???\u{e9}\u{fb}";
        assert!(BASE64_STANDARD.encode(credentials).contains(['+', '/']));
        for encoded in [BASE64_STANDARD.encode(credentials), BASE64_STANDARD_NO_PAD.encode(credentials)] {
            assert_eq!(decode(&encoded).unwrap().1, ">>>???\u{e9}\u{fb}");
        }
    }

    #[test]
    fn garbage_is_a_wrong_password_and_an_empty_name_a_mistake() {
        for garbage in ["", "***", "YWxpY2U=", "/w=="] {
            assert_eq!(decode(garbage), Err(AuthError::WrongPassword), "{garbage:?}");
        }
        let nobody = BASE64_STANDARD.encode(":password");
        assert_eq!(decode(&nobody), Err(AuthError::Malformed("the user name is empty")));
    }
}
