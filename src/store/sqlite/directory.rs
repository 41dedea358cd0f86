//! People, domains, settings and passwords.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::{AsBlob, Sqlite, id, unreadable};
use crate::ids::{DomainId, DomainName, Email, UserId};
use crate::sqlite::Tx;
use crate::store::{DirectoryStore, Domain, Settings, StoreError, User};

#[async_trait]
impl DirectoryStore for Sqlite {
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.db().read(move |conn| user(conn, id)).await
    }

    async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError> {
        let email = email.clone();
        self.db()
            .read(move |conn| match owner(conn, &email)? {
                Some(id) => user(conn, id),
                None => Ok(None),
            })
            .await
    }

    async fn users(
        &self,
        domain: Option<DomainId>,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<User>, StoreError> {
        self.db()
            .read(move |conn| {
                // Ids have twelve bytes, so every id comes after the empty blob.
                let after = after.map_or_else(Vec::new, |id| id.blob().to_vec());
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let ids = match domain {
                    Some(domain) => conn
                        .prepare_cached("SELECT id FROM users WHERE domain = ?1 AND id > ?2 ORDER BY id LIMIT ?3")?
                        .query_map(params![domain.blob(), after, limit], |row| id(row, 0))?
                        .collect::<Result<Vec<_>, _>>()?,
                    None => conn
                        .prepare_cached("SELECT id FROM users WHERE id > ?1 ORDER BY id LIMIT ?2")?
                        .query_map(params![after, limit], |row| id(row, 0))?
                        .collect::<Result<Vec<_>, _>>()?,
                };
                ids.into_iter().filter_map(|id| user(conn, id).transpose()).collect()
            })
            .await
    }

    async fn add_user(&self, user: &User) -> Result<(), StoreError> {
        let user = user.clone();
        self.db()
            .write(move |tx| {
                let taken = tx
                    .prepare_cached("SELECT EXISTS (SELECT 1 FROM users WHERE id = ?1)")?
                    .query_row([user.id.blob()], |row| row.get::<_, bool>(0))?;
                if taken {
                    return Err(StoreError::Exists(format!("user {}", user.id)));
                }
                known_domain(tx, user.domain)?;
                tx.prepare_cached("INSERT INTO users (id, domain, firstname, lastname) VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![user.id.blob(), user.domain.blob(), user.firstname, user.lastname])?;
                put_emails(tx, &user)
            })
            .await
    }

    async fn update_user(&self, user: &User) -> Result<(), StoreError> {
        let user = user.clone();
        self.db()
            .write(move |tx| {
                known_domain(tx, user.domain)?;
                let updated = tx
                    .prepare_cached("UPDATE users SET domain = ?2, firstname = ?3, lastname = ?4 WHERE id = ?1")?
                    .execute(params![user.id.blob(), user.domain.blob(), user.firstname, user.lastname])?;
                if updated == 0 {
                    return Err(StoreError::Missing(format!("user {}", user.id)));
                }
                tx.prepare_cached("DELETE FROM user_emails WHERE user = ?1")?.execute([user.id.blob()])?;
                put_emails(tx, &user)
            })
            .await
    }

    async fn remove_user(&self, id: UserId) -> Result<bool, StoreError> {
        self.db()
            .write(move |tx| {
                for sql in [
                    "DELETE FROM user_emails WHERE user = ?1",
                    "DELETE FROM settings WHERE user = ?1",
                    "DELETE FROM passwords WHERE user = ?1",
                ] {
                    tx.prepare_cached(sql)?.execute([id.blob()])?;
                }
                Ok(tx.prepare_cached("DELETE FROM users WHERE id = ?1")?.execute([id.blob()])? == 1)
            })
            .await
    }

    async fn domain(&self, id: DomainId) -> Result<Option<Domain>, StoreError> {
        self.db()
            .read(move |conn| {
                let found = conn
                    .prepare_cached("SELECT id, name FROM domains WHERE id = ?1")?
                    .query_row([id.blob()], domain)
                    .optional()?;
                Ok(found)
            })
            .await
    }

    async fn domain_by_name(&self, name: &DomainName) -> Result<Option<Domain>, StoreError> {
        let name = name.clone();
        self.db()
            .read(move |conn| {
                let found = conn
                    .prepare_cached("SELECT id, name FROM domains WHERE name = ?1")?
                    .query_row([name.as_str()], domain)
                    .optional()?;
                Ok(found)
            })
            .await
    }

    async fn domains(&self) -> Result<Vec<Domain>, StoreError> {
        self.db()
            .read(move |conn| {
                let found = conn
                    .prepare_cached("SELECT id, name FROM domains ORDER BY name")?
                    .query_map([], domain)?
                    .collect::<Result<_, _>>()?;
                Ok(found)
            })
            .await
    }

    async fn add_domain(&self, domain: &Domain) -> Result<(), StoreError> {
        let domain = domain.clone();
        self.db()
            .write(move |tx| {
                let added = tx
                    .prepare_cached("INSERT OR IGNORE INTO domains (id, name) VALUES (?1, ?2)")?
                    .execute(params![domain.id.blob(), domain.name.as_str()])?;
                if added == 1 { Ok(()) } else { Err(StoreError::Exists(format!("domain {}", domain.name))) }
            })
            .await
    }

    async fn settings(&self, user: UserId) -> Result<Settings, StoreError> {
        self.db().read(move |conn| settings(conn, user)).await
    }

    async fn put_settings(&self, user: UserId, settings: &Settings) -> Result<(), StoreError> {
        let settings = settings.clone();
        self.db()
            .write(move |tx| {
                known_user(tx, user)?;
                put_settings(tx, user, &settings)
            })
            .await
    }

    async fn merge_settings(&self, user: UserId, changes: &Settings) -> Result<(), StoreError> {
        let changes = changes.clone();
        self.db()
            .write(move |tx| {
                known_user(tx, user)?;
                let mut merged = settings(tx, user)?;
                for (module, values) in changes.0 {
                    merged.0.entry(module).or_default().extend(values);
                }
                put_settings(tx, user, &merged)
            })
            .await
    }

    async fn password_hash(&self, user: UserId) -> Result<Option<String>, StoreError> {
        self.db()
            .read(move |conn| {
                let found = conn
                    .prepare_cached("SELECT phc FROM passwords WHERE user = ?1")?
                    .query_row([user.blob()], |row| row.get(0))
                    .optional()?;
                Ok(found)
            })
            .await
    }

    async fn set_password_hash(&self, user: UserId, phc: Option<&str>) -> Result<(), StoreError> {
        let phc = phc.map(str::to_owned);
        self.db()
            .write(move |tx| {
                known_user(tx, user)?;
                match phc {
                    Some(phc) => tx
                        .prepare_cached("INSERT OR REPLACE INTO passwords (user, phc) VALUES (?1, ?2)")?
                        .execute(params![user.blob(), phc])?,
                    None => tx.prepare_cached("DELETE FROM passwords WHERE user = ?1")?.execute([user.blob()])?,
                };
                Ok(())
            })
            .await
    }
}

fn user(conn: &Connection, user: UserId) -> Result<Option<User>, StoreError> {
    let emails = conn
        .prepare_cached("SELECT email FROM user_emails WHERE user = ?1 ORDER BY position")?
        .query_map([user.blob()], |row| row.get::<_, String>(0)?.parse::<Email>().map_err(|e| unreadable(0, e)))?
        .collect::<Result<Vec<_>, _>>()?;
    let found = conn
        .prepare_cached("SELECT id, domain, firstname, lastname FROM users WHERE id = ?1")?
        .query_row([user.blob()], |row| {
            Ok(User { id: id(row, 0)?, domain: id(row, 1)?, emails, firstname: row.get(2)?, lastname: row.get(3)? })
        })
        .optional()?;
    Ok(found)
}

fn settings(conn: &Connection, user: UserId) -> Result<Settings, StoreError> {
    let found = conn
        .prepare_cached("SELECT modules FROM settings WHERE user = ?1")?
        .query_row([user.blob()], |row| serde_json::from_str(row.get_ref(0)?.as_str()?).map_err(|e| unreadable(0, e)))
        .optional()?;
    Ok(found.unwrap_or_default())
}

fn put_settings(tx: &Tx<'_>, user: UserId, settings: &Settings) -> Result<(), StoreError> {
    let modules = serde_json::to_string(settings).map_err(|e| StoreError::Broken(e.to_string()))?;
    tx.prepare_cached("INSERT OR REPLACE INTO settings (user, modules) VALUES (?1, ?2)")?
        .execute(params![user.blob(), modules])?;
    Ok(())
}

fn owner(conn: &Connection, email: &Email) -> Result<Option<UserId>, StoreError> {
    let owner = conn
        .prepare_cached("SELECT user FROM user_emails WHERE email = ?1")?
        .query_row([email.as_str()], |row| id(row, 0))
        .optional()?;
    Ok(owner)
}

/// Stores the addresses of a user who has none stored.
fn put_emails(tx: &Tx<'_>, user: &User) -> Result<(), StoreError> {
    if user.emails.is_empty() {
        return Err(StoreError::Broken(format!("user {} has no address", user.id)));
    }
    for (email, position) in user.emails.iter().zip(0_i64..) {
        match owner(tx, email)? {
            // The same address twice in one list.
            Some(owner) if owner == user.id => continue,
            Some(_) => return Err(StoreError::Exists(email.to_string())),
            None => {}
        }
        tx.prepare_cached("INSERT INTO user_emails (email, user, position) VALUES (?1, ?2, ?3)")?.execute(params![
            email.as_str(),
            user.id.blob(),
            position
        ])?;
    }
    Ok(())
}

pub(super) fn known_domain(conn: &Connection, domain: DomainId) -> Result<(), StoreError> {
    let known = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM domains WHERE id = ?1)")?
        .query_row([domain.blob()], |row| row.get::<_, bool>(0))?;
    if known { Ok(()) } else { Err(StoreError::Missing(format!("domain {domain}"))) }
}

fn known_user(conn: &Connection, user: UserId) -> Result<(), StoreError> {
    let known = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM users WHERE id = ?1)")?
        .query_row([user.blob()], |row| row.get::<_, bool>(0))?;
    if known { Ok(()) } else { Err(StoreError::Missing(format!("user {user}"))) }
}

fn domain(row: &rusqlite::Row<'_>) -> rusqlite::Result<Domain> {
    let name = row.get::<_, String>(1)?.parse::<DomainName>().map_err(|e| unreadable(1, e))?;
    Ok(Domain { id: id(row, 0)?, name })
}
