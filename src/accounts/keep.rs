//! Keeping accounts: from a file, or one by one.

use chrono_tz::Tz;
use serde_json::{Value, json};

use super::passwords::PasswordDigest;
use super::preferences::{CORE, DATETIME, LANGUAGE, TIME_ZONE};
use super::{Account, Accounts, AccountsError, AccountsFile, Password};
use crate::auth::PasswordVerifier as _;
use crate::ids::{CollectionId, DomainId, DomainName, Email, HomeId, UserId};
use crate::store::files::remove_all;
use crate::store::{Batch, DavStore, Domain, Expect, ObjectMeta, Op, Purge, Settings, StoreError, User};

/// Users read at once when all are listed.
const PAGE: usize = 500;
/// Things of a trash that are forgotten at once.
const PURGED_AT_ONCE: usize = 200;

/// What an accounts file changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Accounts made.
    pub added: usize,
    /// Accounts whose name or password changed.
    pub updated: usize,
    /// Accounts that were as in the file.
    pub unchanged: usize,
}

/// An account as it is listed, and as the demo provider tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Id; also the id of the home.
    pub id: UserId,
    /// User name.
    pub mail: Email,
    /// Given name; may be empty.
    pub firstname: String,
    /// Family name; may be empty.
    pub lastname: String,
    /// Name as others see it.
    pub name: String,
    /// Language the person reads in.
    pub language: String,
    /// Zone the person lives in.
    pub timezone: Tz,
    /// Whether the account has a password here.
    pub has_password: bool,
}

impl Accounts {
    /// Brings the accounts in step with a file: makes those that are missing, with their domains and homes, and updates
    /// names and passwords. The language and zone of the file are for people who chose none; accounts that are not in the
    /// file stay. Doing it again changes nothing.
    ///
    /// # Errors
    /// The first [`AccountsError`]; accounts before it are done.
    pub async fn apply(&self, file: &AccountsFile) -> Result<Applied, AccountsError> {
        let mut applied = Applied::default();
        for account in &file.accounts {
            match self.directory.user_by_email(&account.mail).await? {
                None => {
                    self.add(account).await?;
                    applied.added += 1;
                }
                Some(user) if self.bring_in_step(&user, account).await? => applied.updated += 1,
                Some(_) => applied.unchanged += 1,
            }
        }
        Ok(applied)
    }

    /// Makes an account with its domain, settings and home.
    ///
    /// # Errors
    /// [`AccountsError::Exists`] when the address is taken, [`AccountsError::Id`] when the id is.
    pub async fn add(&self, account: &Account) -> Result<UserId, AccountsError> {
        if self.directory.user_by_email(&account.mail).await?.is_some() {
            return Err(AccountsError::Exists(account.mail.clone()));
        }
        let id = account.id.unwrap_or_else(|| UserId(self.env.object_id()));
        if let Some(other) = self.directory.user(id).await? {
            let reason = format!("it is the id of {}", other.email());
            return Err(AccountsError::Id { mail: account.mail.clone(), id, reason });
        }
        let digest = self.digest(&account.password).await?;
        let (firstname, lastname) = split_name(&account.name);
        let domain = self.ensure_domain(&account.mail.domain()).await?;
        let user = User { id, domain, emails: vec![account.mail.clone()], firstname, lastname };
        // The home first: who is in the directory has one.
        self.provision_home(id.into()).await?;
        match self.directory.add_user(&user).await {
            Ok(()) => {}
            Err(StoreError::Exists(_)) => return Err(AccountsError::Exists(account.mail.clone())),
            Err(e) => return Err(e.into()),
        }
        self.set_initial_settings(id, account).await?;
        self.directory.set_password_hash(id, Some(digest.as_str())).await?;
        Ok(id)
    }

    /// All accounts, by id.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn list(&self) -> Result<Vec<Listed>, AccountsError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.directory.users(None, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(all) };
            after = Some(last.id);
            for user in &page {
                all.push(self.listed(user).await?);
            }
        }
    }

    /// One account by its address.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn find(&self, mail: &Email) -> Result<Option<Listed>, AccountsError> {
        match self.directory.user_by_email(mail).await? {
            Some(user) => self.listed(&user).await.map(Some),
            None => Ok(None),
        }
    }

    /// Changes a password.
    ///
    /// # Errors
    /// [`AccountsError::Unknown`], [`AccountsError::Password`].
    pub async fn set_password(&self, mail: &Email, password: &Password) -> Result<(), AccountsError> {
        let user = self.known(mail).await?;
        let digest = self.digest(password).await?;
        Ok(self.directory.set_password_hash(user.id, Some(digest.as_str())).await?)
    }

    /// Removes an account with its settings, and with its calendars and address books where asked to.
    ///
    /// # Errors
    /// [`AccountsError::Unknown`].
    pub async fn remove(&self, mail: &Email, with_home: bool) -> Result<(), AccountsError> {
        let user = self.known(mail).await?;
        if with_home {
            // Before the user: a second attempt after a failure still finds whose home it is.
            self.remove_home(user.id.into()).await?;
        }
        self.directory.remove_user(user.id).await?;
        Ok(())
    }

    /// The domain's id; the domain is made when it is new.
    pub(super) async fn ensure_domain(&self, name: &DomainName) -> Result<DomainId, AccountsError> {
        if let Some(domain) = self.directory.domain_by_name(name).await? {
            return Ok(domain.id);
        }
        let domain = Domain { id: DomainId(self.env.object_id()), name: name.clone() };
        match self.directory.add_domain(&domain).await {
            Ok(()) => Ok(domain.id),
            // Made by somebody else at the same time.
            Err(StoreError::Exists(taken)) => match self.directory.domain_by_name(name).await? {
                Some(domain) => Ok(domain.id),
                None => Err(StoreError::Exists(taken).into()),
            },
            Err(e) => Err(e.into()),
        }
    }

    pub(super) async fn remove_home(&self, home: HomeId) -> Result<(), AccountsError> {
        let Some(homes) = &self.homes else { return Ok(()) };
        let collections = homes.collections(home).await?;
        for collection in &collections {
            empty(&**homes, collection.id).await?;
        }
        // What others shared with them goes with their home, what they shared with others with the calendars.
        let shared = homes.shared_in(home).await?.into_iter().map(|s| Op::RemoveInstance(s.instance));
        let ops = shared.chain(collections.into_iter().map(|c| Op::DeleteCollection(c.id))).collect();
        homes.write(Batch { ops, publish: Vec::new() }).await?;
        while homes.purge(&Purge::Home(home), PURGED_AT_ONCE).await? > 0 {}
        if let Some(files) = &self.files {
            remove_all(&**files, home).await?;
        }
        Ok(())
    }

    /// Whether anything had to be changed.
    async fn bring_in_step(&self, user: &User, account: &Account) -> Result<bool, AccountsError> {
        if let Some(id) = account.id.filter(|id| *id != user.id) {
            let reason = format!("the account has the id {}, which cannot change", user.id);
            return Err(AccountsError::Id { mail: account.mail.clone(), id, reason });
        }
        self.provision_home(user.id.into()).await?;
        self.set_initial_settings(user.id, account).await?;
        let renamed = self.rename(user, &account.name).await?;
        let relocked = !self.has_password(user, &account.password).await?;
        if relocked {
            let digest = self.digest(&account.password).await?;
            self.directory.set_password_hash(user.id, Some(digest.as_str())).await?;
        }
        Ok(renamed || relocked)
    }

    async fn rename(&self, user: &User, name: &str) -> Result<bool, AccountsError> {
        let (firstname, lastname) = split_name(name);
        if name.is_empty() || (user.firstname == firstname && user.lastname == lastname) {
            return Ok(false);
        }
        self.directory.update_user(&User { firstname, lastname, ..user.clone() }).await?;
        Ok(true)
    }

    async fn has_password(&self, user: &User, password: &Password) -> Result<bool, AccountsError> {
        match password {
            Password::Hashed(digest) => {
                Ok(self.directory.password_hash(user.id).await?.as_deref() == Some(digest.as_str()))
            }
            Password::Plain(password) => {
                let verdict = self.verify(user.email(), password).await;
                Ok(verdict.map_err(|e| AccountsError::Password(e.to_string()))?.is_some())
            }
        }
    }

    async fn digest(&self, password: &Password) -> Result<PasswordDigest, AccountsError> {
        match password {
            Password::Plain(password) => PasswordDigest::of(password, &self.env).await,
            Password::Hashed(digest) => Ok(digest.clone()),
        }
    }

    /// Language and zone of the account, where the person chose none.
    async fn set_initial_settings(&self, user: UserId, account: &Account) -> Result<(), AccountsError> {
        let missing = initial(&self.directory.settings(user).await?, account);
        if !missing.0.is_empty() {
            self.directory.merge_settings(user, &missing).await?;
        }
        Ok(())
    }

    async fn known(&self, mail: &Email) -> Result<User, AccountsError> {
        self.directory.user_by_email(mail).await?.ok_or_else(|| AccountsError::Unknown(mail.clone()))
    }

    async fn listed(&self, user: &User) -> Result<Listed, AccountsError> {
        let preferences = self.preferences(user.email(), None).await?;
        Ok(Listed {
            id: user.id,
            mail: user.email().clone(),
            firstname: user.firstname.clone(),
            lastname: user.lastname.clone(),
            name: user.display_name(),
            language: preferences.language,
            timezone: preferences.zone,
            has_password: self.directory.password_hash(user.id).await?.is_some(),
        })
    }
}

/// Deletes the objects of a collection page by page: one write for very many would keep all others waiting.
async fn empty(homes: &dyn DavStore, collection: CollectionId) -> Result<(), AccountsError> {
    loop {
        let page = homes.list(collection, None, PAGE).await?;
        let delete = |meta: ObjectMeta| Op::DeleteObject { collection, name: meta.name, expect: Expect::Any };
        let ops: Vec<Op> = page.into_iter().map(delete).collect();
        if ops.is_empty() {
            return Ok(());
        }
        let written = homes.write(Batch { ops, publish: Vec::new() }).await?;
        if !written.existed.contains(&true) {
            // What cannot be deleted by its name goes with the collection.
            return Ok(());
        }
    }
}

/// Of the account's language and zone, those that nobody chose.
fn initial(chosen: &Settings, account: &Account) -> Settings {
    let mut missing = Settings::default();
    if let (Some(language), None) = (&account.language, chosen.get(CORE, LANGUAGE)) {
        missing.set(CORE, LANGUAGE, Value::from(language.as_str()));
    }
    let has_zone = chosen.get(CORE, DATETIME).is_some_and(|datetime| datetime.get(TIME_ZONE).is_some());
    if let (Some(zone), false) = (account.timezone, has_zone) {
        let mut datetime = chosen.get(CORE, DATETIME).cloned().unwrap_or_else(|| json!({"use24hourFormat": true}));
        datetime[TIME_ZONE] = Value::from(zone.name());
        missing.set(CORE, DATETIME, datetime);
    }
    missing
}

/// The last word is the family name.
fn split_name(name: &str) -> (String, String) {
    match name.trim().rsplit_once(char::is_whitespace) {
        Some((first, last)) => (first.trim_end().to_owned(), last.to_owned()),
        None => (name.trim().to_owned(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_a_name_is_the_family_name() {
        let split = |name| split_name(name);
        assert_eq!(split(" Anna Maria Berg "), ("Anna Maria".to_owned(), "Berg".to_owned()));
        assert_eq!(split("Alice"), ("Alice".to_owned(), String::new()));
        assert_eq!(split(""), (String::new(), String::new()));
    }

    #[test]
    fn what_a_person_chose_is_kept() {
        let account = Account {
            mail: "bob@example.org".parse().unwrap(),
            name: String::new(),
            password: Password::Plain("x".to_owned()),
            language: Some("fr".to_owned()),
            timezone: Some(Tz::Europe__Paris),
            id: None,
        };
        let missing = initial(&Settings::default(), &account);
        assert_eq!(missing.get(CORE, LANGUAGE), Some(&json!("fr")));
        assert_eq!(missing.get(CORE, DATETIME), Some(&json!({"timeZone": "Europe/Paris", "use24hourFormat": true})));

        let mut chosen = Settings::default();
        chosen.set(CORE, LANGUAGE, json!("en"));
        chosen.set(CORE, DATETIME, json!({"use24hourFormat": false}));
        let missing = initial(&chosen, &account);
        assert_eq!(missing.get(CORE, LANGUAGE), None);
        assert_eq!(missing.get(CORE, DATETIME), Some(&json!({"timeZone": "Europe/Paris", "use24hourFormat": false})));
    }

    #[test]
    fn the_people_of_the_demo_have_ids_hashes_and_different_languages_and_zones() {
        let people = Accounts::demo().accounts;
        let of = |f: fn(&Account) -> String| people.iter().map(f).collect::<Vec<_>>();
        assert_eq!(of(|a| a.mail.to_string()), ["alice@example.org", "bob@example.org", "carol@example.org"]);
        assert_eq!(of(|a| a.language.clone().unwrap()), ["en", "fr", "en"]);
        let zones = of(|a| a.timezone.unwrap().to_string());
        assert_eq!(zones, ["Europe/London", "Europe/Paris", "America/New_York"]);
        assert!(people.iter().all(|a| a.id.is_some() && matches!(a.password, Password::Hashed(_))));
    }
}
