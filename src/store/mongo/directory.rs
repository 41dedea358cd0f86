//! People, domains, settings and passwords (storage §2.3–§2.5).
//!
//! The only unique index over addresses is that over `email`, the user name; OpenPaaS and esn-sabre know no other. That an
//! alias belongs to one user is looked at before a write and once more after it: of two users who are given one alias at the
//! same moment, at most one keeps it.

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::{Document, doc};

use super::people::{UserRow, addresses, new_domain, new_user, read_domain, user_changes};
use super::settings::{self, Others};
use super::{Mongo, StoreError};
use crate::ids::{DomainId, DomainName, Email, UserId};
use crate::mongo::oid;
use crate::store::{DirectoryStore, Domain, Settings, User};

const USERS: &str = "users";
const DOMAINS: &str = "domains";
const CONFIGURATIONS: &str = "configurations";
/// Password hashes of accounts that convoke keeps: `_id` the user's, `phc`. Not in `users`, which other programs read.
const PASSWORDS: &str = "convoke_passwords";

/// Times that a change is made again because somebody else changed the same document meanwhile.
const ATTEMPTS: u32 = 16;

#[async_trait]
impl DirectoryStore for Mongo {
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        match row_of(self, id).await? {
            Some(row) => usable(self, &row).await,
            None => Ok(None),
        }
    }

    async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError> {
        // Each query has an index of its own.
        for field in ["accounts.emails", "preferredEmail", "emails"] {
            let found = async { users(self).find_one(doc! { field: email.as_str() }).sort(doc! { "_id": 1 }).await };
            if let Some(row) = self.timed(found).await? {
                return usable(self, &row).await;
            }
        }
        Ok(None)
    }

    async fn users(
        &self,
        domain: Option<DomainId>,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<User>, StoreError> {
        let (mut page, mut after) = (Vec::new(), after);
        // Rows that are nobody are passed over, so one read may not fill a page.
        while page.len() < limit {
            let wanted = limit - page.len();
            let rows = rows_after(self, domain, after, wanted).await?;
            for row in &rows {
                after = row.get_object_id("_id").ok().map(|id| UserId(crate::mongo::id(id)));
                page.extend(usable(self, row).await?.filter(|user| domain.is_none_or(|d| d == user.domain)));
            }
            if rows.len() < wanted {
                break;
            }
        }
        Ok(page)
    }

    async fn add_user(&self, user: &User) -> Result<(), StoreError> {
        check_addresses(user)?;
        known_domain(self, user.domain).await?;
        free(self, user).await?;
        let row = new_user(user, &self.env().uuid().to_string());
        let added = self.timed(users(self).insert_one(row)).await;
        added.map_err(|e| taken(e.into(), user))?;
        if let Err(error) = free(self, user).await {
            self.timed(users(self).delete_one(doc! { "_id": oid(user.id.0) })).await?;
            return Err(error);
        }
        Ok(())
    }

    async fn update_user(&self, user: &User) -> Result<(), StoreError> {
        check_addresses(user)?;
        known_domain(self, user.domain).await?;
        for _ in 0..ATTEMPTS {
            let row = row_of(self, user.id).await?.ok_or_else(|| unknown(user.id))?;
            free(self, user).await?;
            let changes = user_changes(&row, user);
            if !replace_fields(self, &row, &changes).await.map_err(|e| taken(e, user))? {
                continue;
            }
            if let Err(error) = free(self, user).await {
                take_back(self, &row, &changes).await?;
                return Err(error);
            }
            return move_settings(self, &row, user).await;
        }
        Err(busy())
    }

    async fn remove_user(&self, id: UserId) -> Result<bool, StoreError> {
        let Some(row) = row_of(self, id).await? else { return Ok(false) };
        // The row last: a second attempt after a failure still finds what is left.
        self.timed(passwords(self).delete_one(doc! { "_id": oid(id.0) })).await?;
        let theirs = doc! { "domain_id": { "$in": domains_of(&row) }, "user_id": oid(id.0) };
        self.timed(configurations(self).delete_many(theirs)).await?;
        let removed = self.timed(users(self).delete_one(doc! { "_id": oid(id.0) })).await?;
        Ok(removed.deleted_count == 1)
    }

    async fn domain(&self, id: DomainId) -> Result<Option<Domain>, StoreError> {
        let found = self.timed(domains(self).find_one(doc! { "_id": oid(id.0) })).await?;
        Ok(found.as_ref().and_then(read_domain))
    }

    async fn domain_by_name(&self, name: &DomainName) -> Result<Option<Domain>, StoreError> {
        let found = self.timed(domains(self).find_one(doc! { "name": name.as_str() })).await?;
        Ok(found.as_ref().and_then(read_domain))
    }

    async fn domains(&self) -> Result<Vec<Domain>, StoreError> {
        let all = async { domains(self).find(doc! {}).await?.try_collect::<Vec<_>>().await };
        let mut found: Vec<Domain> = self.timed(all).await?.iter().filter_map(read_domain).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    async fn add_domain(&self, domain: &Domain) -> Result<(), StoreError> {
        let row = new_domain(domain, self.env().now());
        let added = self.timed(domains(self).insert_one(row)).await;
        added.map(drop).map_err(|e| match e.into() {
            StoreError::Exists(_) => StoreError::Exists(format!("domain {}", domain.name)),
            other => other,
        })
    }

    async fn settings(&self, user: UserId) -> Result<Settings, StoreError> {
        let Some(row) = row_of(self, user).await? else { return Ok(Settings::default()) };
        let found = configuration_of(self, &row, user).await?;
        Ok(found.as_ref().and_then(|d| d.get_array(MODULES).ok()).map(|m| settings::read(m)).unwrap_or_default())
    }

    async fn put_settings(&self, user: UserId, settings: &Settings) -> Result<(), StoreError> {
        change_settings(self, user, settings, Others::Remove).await
    }

    async fn merge_settings(&self, user: UserId, changes: &Settings) -> Result<(), StoreError> {
        change_settings(self, user, changes, Others::Keep).await
    }

    async fn password_hash(&self, user: UserId) -> Result<Option<String>, StoreError> {
        let found = self.timed(passwords(self).find_one(doc! { "_id": oid(user.0) })).await?;
        Ok(found.and_then(|row| row.get_str("phc").ok().map(str::to_owned)))
    }

    async fn set_password_hash(&self, user: UserId, phc: Option<&str>) -> Result<(), StoreError> {
        row_of(self, user).await?.ok_or_else(|| unknown(user))?;
        let own = doc! { "_id": oid(user.0) };
        match phc {
            Some(phc) => {
                let set = async { passwords(self).update_one(own, doc! { "$set": { "phc": phc } }).upsert(true).await };
                self.timed(set).await.map(drop)?;
            }
            None => self.timed(passwords(self).delete_one(own)).await.map(drop)?,
        }
        Ok(())
    }
}

fn users(mongo: &Mongo) -> Collection<Document> {
    mongo.platform().collection(USERS)
}

fn domains(mongo: &Mongo) -> Collection<Document> {
    mongo.platform().collection(DOMAINS)
}

fn configurations(mongo: &Mongo) -> Collection<Document> {
    mongo.platform().collection(CONFIGURATIONS)
}

fn passwords(mongo: &Mongo) -> Collection<Document> {
    mongo.platform().collection(PASSWORDS)
}

fn unknown(user: UserId) -> StoreError {
    StoreError::Missing(format!("user {user}"))
}

fn busy() -> StoreError {
    StoreError::Unavailable("somebody else changes the same document again and again".to_owned())
}

fn check_addresses(user: &User) -> Result<(), StoreError> {
    match user.emails.is_empty() {
        true => Err(StoreError::Broken(format!("user {} has no address", user.id))),
        false => Ok(()),
    }
}

/// A key that is taken is an address, or the id.
fn taken(error: StoreError, user: &User) -> StoreError {
    match error {
        StoreError::Exists(_) => StoreError::Exists(user.email().to_string()),
        other => other,
    }
}

async fn row_of(mongo: &Mongo, user: UserId) -> Result<Option<Document>, StoreError> {
    Ok(mongo.timed(users(mongo).find_one(doc! { "_id": oid(user.0) })).await?)
}

/// The user of a row; `None`, and a word in the log, for a row that is nobody.
async fn usable(mongo: &Mongo, row: &Document) -> Result<Option<User>, StoreError> {
    let read = match UserRow::read(row) {
        Some(read) if read.domain.is_none() => {
            let domain = mongo.domain_by_name(&read.emails[0].domain()).await?;
            read.into_user(domain.map(|d| d.id))
        }
        read => read.and_then(|read| read.into_user(None)),
    };
    if read.is_none() {
        tracing::debug!(id = ?row.get("_id"), "a row of users has no address, or a domain that nobody knows");
    }
    Ok(read)
}

async fn rows_after(
    mongo: &Mongo,
    domain: Option<DomainId>,
    after: Option<UserId>,
    limit: usize,
) -> Result<Vec<Document>, StoreError> {
    // Ids of another type, which nobody here gives, are passed over by both conditions.
    let mut filter = match after {
        Some(after) => doc! { "_id": { "$gt": oid(after.0) } },
        None => doc! { "_id": { "$type": "objectId" } },
    };
    if let Some(domain) = domain {
        filter.insert("domains.domain_id", oid(domain.0));
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let page = async { users(mongo).find(filter).sort(doc! { "_id": 1 }).limit(limit).await?.try_collect().await };
    Ok(mongo.timed(page).await?)
}

pub(super) async fn known_domain(mongo: &Mongo, domain: DomainId) -> Result<(), StoreError> {
    let found = async { domains(mongo).find_one(doc! { "_id": oid(domain.0) }).projection(doc! { "_id": 1 }).await };
    match mongo.timed(found).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::Missing(format!("domain {domain}"))),
    }
}

/// [`StoreError::Exists`] when one of the addresses finds somebody else.
async fn free(mongo: &Mongo, user: &User) -> Result<(), StoreError> {
    let emails: Vec<&str> = user.emails.iter().map(Email::as_str).collect();
    for field in ["accounts.emails", "preferredEmail", "emails"] {
        let other = doc! { field: { "$in": &emails }, "_id": { "$ne": oid(user.id.0) } };
        if let Some(row) = mongo.timed(users(mongo).find_one(other)).await? {
            let theirs = addresses(&row);
            let email = user.emails.iter().find(|e| theirs.contains(e)).unwrap_or_else(|| user.email());
            return Err(StoreError::Exists(email.to_string()));
        }
    }
    Ok(())
}

/// Sets the fields, provided that they are still as in the row; whether they were.
async fn replace_fields(mongo: &Mongo, row: &Document, changes: &Document) -> Result<bool, StoreError> {
    let mut unchanged = doc! { "_id": row.get_object_id("_id").map_err(|e| StoreError::Broken(e.to_string()))? };
    for field in changes.keys() {
        match row.get(field) {
            Some(value) => unchanged.insert(field, doc! { "$eq": value }),
            None => unchanged.insert(field, doc! { "$exists": false }),
        };
    }
    let update = async { users(mongo).update_one(unchanged, doc! { "$set": changes }).await };
    Ok(mongo.timed(update).await?.matched_count == 1)
}

/// Gives the fields the values that they had in the row, unless somebody changed them again.
async fn take_back(mongo: &Mongo, row: &Document, changes: &Document) -> Result<(), StoreError> {
    let mut changed = doc! { "_id": row.get_object_id("_id").map_err(|e| StoreError::Broken(e.to_string()))? };
    changed.extend(changes.iter().map(|(field, value)| (field.clone(), doc! { "$eq": value }.into())));
    let (mut set, mut unset) = (doc! {}, doc! {});
    for field in changes.keys() {
        match row.get(field) {
            Some(value) => set.insert(field, value),
            None => unset.insert(field, ""),
        };
    }
    let mut back = doc! {};
    back.extend((!set.is_empty()).then(|| ("$set".to_owned(), set.into())));
    back.extend((!unset.is_empty()).then(|| ("$unset".to_owned(), unset.into())));
    mongo.timed(users(mongo).update_one(changed, back)).await?;
    Ok(())
}

const MODULES: &str = "modules";

/// Every domain that a row names: settings are kept under the first, and may be left under another.
fn domains_of(row: &Document) -> Vec<mongodb::bson::Bson> {
    let domains = row.get_array("domains").map_or(&[][..], Vec::as_slice);
    domains.iter().filter_map(|d| d.as_document()?.get("domain_id").cloned()).collect()
}

/// The user's document of `configurations`; the oldest of several.
async fn configuration_of(mongo: &Mongo, row: &Document, user: UserId) -> Result<Option<Document>, StoreError> {
    let Some(domain) = usable(mongo, row).await?.map(|u| u.domain) else { return Ok(None) };
    let own = doc! { "domain_id": oid(domain.0), "user_id": oid(user.0) };
    let found = async { configurations(mongo).find_one(own).sort(doc! { "_id": 1 }).await };
    Ok(mongo.timed(found).await?)
}

/// Settings are kept by domain: they go where the user went.
async fn move_settings(mongo: &Mongo, before: &Document, user: &User) -> Result<(), StoreError> {
    let now = oid(user.domain.0);
    let Some(then) = domains_of(before).into_iter().next().filter(|d| *d != now.into()) else { return Ok(()) };
    let theirs = doc! { "domain_id": then, "user_id": oid(user.id.0) };
    let moved = async { configurations(mongo).update_many(theirs, doc! { "$set": { "domain_id": now } }).await };
    mongo.timed(moved).await?;
    Ok(())
}

async fn change_settings(mongo: &Mongo, user: UserId, settings: &Settings, others: Others) -> Result<(), StoreError> {
    let row = row_of(mongo, user).await?.ok_or_else(|| unknown(user))?;
    let domain = usable(mongo, &row).await?.ok_or_else(|| unknown(user))?.domain;
    for _ in 0..ATTEMPTS {
        let found = configuration_of(mongo, &row, user).await?;
        let changed = match found {
            Some(document) => change_modules(mongo, &document, settings, others).await?,
            None => insert_modules(mongo, domain, user, settings).await?,
        };
        if changed {
            return Ok(());
        }
    }
    Err(busy())
}

/// Changes the modules of a document, provided that they are still as in `document`; whether they were.
async fn change_modules(
    mongo: &Mongo,
    document: &Document,
    settings: &Settings,
    others: Others,
) -> Result<bool, StoreError> {
    let old = document.get(MODULES);
    let modules = match old {
        Some(modules) => modules.as_array().ok_or_else(|| StoreError::Broken("modules is no array".to_owned()))?,
        None => &Vec::new(),
    };
    let new = settings::write(modules, settings, others);
    if new == *modules {
        return Ok(true);
    }
    let unchanged = match old {
        Some(modules) => doc! { "_id": document.get("_id"), MODULES: { "$eq": modules } },
        None => doc! { "_id": document.get("_id"), MODULES: { "$exists": false } },
    };
    let update = async { configurations(mongo).update_one(unchanged, doc! { "$set": { MODULES: new } }).await };
    Ok(mongo.timed(update).await?.matched_count == 1)
}

/// Inserts the user's document; false when somebody was quicker. Its id is the user's, so that two nodes cannot make two.
async fn insert_modules(
    mongo: &Mongo,
    domain: DomainId,
    user: UserId,
    settings: &Settings,
) -> Result<bool, StoreError> {
    let modules = settings::write(&[], settings, Others::Keep);
    let document = doc! { "_id": oid(user.0), "domain_id": oid(domain.0), "user_id": oid(user.0), MODULES: modules };
    match mongo.timed(configurations(mongo).insert_one(document)).await.map_err(StoreError::from) {
        Ok(_) => Ok(true),
        Err(StoreError::Exists(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
