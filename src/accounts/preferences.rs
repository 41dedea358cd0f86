//! The language and zone a person reads in (mail-itip-alarms §1.8).

use chrono_tz::Tz;

use super::Accounts;
use crate::ids::Email;
use crate::store::{Settings, StoreError, User};

/// Module of the settings that this room reads and writes (storage §2.5).
pub(super) const CORE: &str = "core";
/// Key of the language, a text.
pub(super) const LANGUAGE: &str = "language";
/// Key of the object that holds the zone.
pub(super) const DATETIME: &str = "datetime";
/// Field of the zone, an IANA name, in [`DATETIME`].
pub(super) const TIME_ZONE: &str = "timeZone";

/// How a person wants to be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preferences {
    /// Language tag as the person chose it, e.g. `fr`.
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

impl Accounts {
    /// How to write to a person: as the person chose; for people we do not know as `fallback` chose, who is the sender
    /// of an iTIP message; else as the configuration says. Each part that was not chosen is that of the configuration.
    ///
    /// # Errors
    /// [`StoreError`] when the directory cannot be read.
    pub async fn preferences(&self, of: &Email, fallback: Option<&Email>) -> Result<Preferences, StoreError> {
        if let Some(user) = self.directory.user_by_email(of).await? {
            return self.preferences_of(&user).await;
        }
        let stand_in = match fallback {
            Some(email) => self.directory.user_by_email(email).await?,
            None => None,
        };
        match stand_in {
            Some(user) => Ok(Preferences { display_name: None, ..self.preferences_of(&user).await? }),
            None => Ok(self.resolve(&Settings::default(), None)),
        }
    }

    async fn preferences_of(&self, user: &User) -> Result<Preferences, StoreError> {
        let settings = self.directory.settings(user.id).await?;
        Ok(self.resolve(&settings, Some(user.display_name())))
    }

    fn resolve(&self, settings: &Settings, display_name: Option<String>) -> Preferences {
        let chosen_zone =
            settings.get(CORE, DATETIME).and_then(|datetime| datetime.get(TIME_ZONE)?.as_str()?.parse().ok());
        let chosen_language = settings.get(CORE, LANGUAGE).and_then(|language| language.as_str());
        Preferences {
            language: chosen_language.unwrap_or(&self.defaults.default_language).to_owned(),
            zone: chosen_zone.unwrap_or_else(|| self.defaults.default_timezone.parse().unwrap_or(Tz::UTC)),
            display_name,
        }
    }
}
