//! Domains, people, their settings and passwords.

use super::{Copied, CopyError, End, Options, Tally, Watch, patiently};
use crate::ids::{Email, UserId};
use crate::store::{Domain, Settings, StoreError, User};

/// People read at once.
const PAGE: usize = 200;

pub(super) async fn copy(
    from: &End,
    to: Option<&End>,
    options: Options,
    watch: &dyn Watch,
) -> Result<Copied, CopyError> {
    let mut people = People { from, to, options, copied: Copied::default() };
    people.domains(watch).await?;
    people.users(watch).await?;
    if let Some(to) = to.filter(|_| options.resume) {
        people.superfluous(to, watch).await?;
    }
    Ok(people.copied)
}

struct People<'a> {
    from: &'a End,
    to: Option<&'a End>,
    options: Options,
    copied: Copied,
}

impl People<'_> {
    async fn domains(&mut self, watch: &dyn Watch) -> Result<(), CopyError> {
        let domains = patiently(async || self.from.directory.domains().await).await.map_err(CopyError::Source)?;
        watch.begin("domains", domains.len() as u64);
        for domain in &domains {
            self.domain(domain).await?;
            watch.step(1);
        }
        Ok(())
    }

    async fn domain(&mut self, domain: &Domain) -> Result<(), CopyError> {
        let Some(to) = self.to else {
            self.copied.written.domains += 1;
            return Ok(());
        };
        let (by_id, by_name) = patiently(async || {
            Ok((to.directory.domain(domain.id).await?, to.directory.domain_by_name(&domain.name).await?))
        })
        .await
        .map_err(CopyError::Target)?;
        match (by_id, by_name) {
            (Some(theirs), _) if theirs == *domain => self.copied.present.domains += 1,
            (Some(theirs), _) => {
                self.copied.left.add(format!("domain {}: the target calls it {}", domain.name, theirs.name))
            }
            (None, Some(theirs)) => {
                self.copied.left.add(format!("domain {}: it has the id {} in the target", domain.name, theirs.id))
            }
            (None, None) => {
                if !self.options.dry_run {
                    // Looked for above: what is there now came from an attempt whose answer was lost.
                    let added = patiently(async || to.directory.add_domain(domain).await).await;
                    added.or_else(there_already).map_err(CopyError::Target)?;
                }
                self.copied.written.domains += 1;
            }
        }
        Ok(())
    }

    async fn users(&mut self, watch: &dyn Watch) -> Result<(), CopyError> {
        watch.begin("people", count(self.from).await.map_err(CopyError::Source)?);
        let mut after = None;
        loop {
            let page = patiently(async || self.from.directory.users(None, after, PAGE).await).await;
            let page = page.map_err(CopyError::Source)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for user in &page {
                if self.user(user).await? {
                    self.settings(user).await?;
                    self.password(user).await?;
                }
                watch.step(1);
            }
            watch.tell(&self.copied.written);
        }
    }

    /// Copies the user; whether the target has the user afterwards.
    async fn user(&mut self, user: &User) -> Result<bool, CopyError> {
        let Some(to) = self.to else {
            self.copied.written.users += 1;
            return Ok(true);
        };
        let theirs = patiently(async || to.directory.user(user.id).await).await.map_err(CopyError::Target)?;
        let replaces = theirs.is_some();
        match theirs {
            Some(theirs) if theirs == *user => {
                self.copied.present.users += 1;
                return Ok(true);
            }
            Some(_) if !self.options.replace => {
                self.copied.left.add(format!("user {}: the target has other names or addresses", user.email()));
                return Ok(true);
            }
            _ => {}
        }
        if self.options.dry_run {
            if let Some(taken) = somebody_elses(to, user).await.map_err(CopyError::Target)? {
                self.copied.left.add(format!("user {}: {taken} is somebody else in the target", user.email()));
                return Ok(replaces);
            }
        } else {
            let written = patiently(async || match replaces {
                true => to.directory.update_user(user).await,
                false => to.directory.add_user(user).await,
            });
            match written.await {
                Ok(()) => {}
                // An attempt whose answer was lost, or an address that is somebody else's.
                Err(StoreError::Exists(taken)) => {
                    let now = patiently(async || to.directory.user(user.id).await).await.map_err(CopyError::Target)?;
                    if now.as_ref() != Some(user) {
                        self.copied.left.add(format!("user {}: {taken} is somebody else in the target", user.email()));
                        return Ok(now.is_some());
                    }
                }
                Err(StoreError::Missing(what)) => {
                    self.copied.left.add(format!("user {}: {what} is not in the target", user.email()));
                    return Ok(false);
                }
                Err(error) => return Err(CopyError::Target(error)),
            }
        }
        self.copied.written.users += 1;
        self.copied.replaced.users += u64::from(replaces);
        Ok(true)
    }

    async fn settings(&mut self, user: &User) -> Result<(), CopyError> {
        let read = async |end: &End| patiently(async || end.directory.settings(user.id).await).await;
        let ours = read(self.from).await.map_err(CopyError::Source)?;
        let theirs = match self.target_of(user).await? {
            Some(to) => read(to).await.map_err(CopyError::Target)?,
            None => Settings::default(),
        };
        if ours == theirs {
            self.copied.present.settings += u64::from(!ours.0.is_empty());
            return Ok(());
        }
        if !theirs.0.is_empty() && !self.options.replace {
            self.copied.left.add(format!("user {}: the target has other settings", user.email()));
            return Ok(());
        }
        if let Some(to) = self.to.filter(|_| !self.options.dry_run) {
            let put = patiently(async || to.directory.put_settings(user.id, &ours).await);
            put.await.map_err(CopyError::Target)?;
        }
        self.copied.written.settings += 1;
        self.copied.replaced.settings += u64::from(!theirs.0.is_empty());
        Ok(())
    }

    async fn password(&mut self, user: &User) -> Result<(), CopyError> {
        let read = async |end: &End| patiently(async || end.directory.password_hash(user.id).await).await;
        let ours = read(self.from).await.map_err(CopyError::Source)?;
        let theirs = match self.target_of(user).await? {
            Some(to) => read(to).await.map_err(CopyError::Target)?,
            None => None,
        };
        if ours == theirs {
            self.copied.present.passwords += u64::from(ours.is_some());
            return Ok(());
        }
        if theirs.is_some() && !self.options.replace {
            self.copied.left.add(format!("user {}: the target has another password", user.email()));
            return Ok(());
        }
        if let Some(to) = self.to.filter(|_| !self.options.dry_run) {
            let set = patiently(async || to.directory.set_password_hash(user.id, ours.as_deref()).await);
            set.await.map_err(CopyError::Target)?;
        }
        self.copied.written.passwords += 1;
        self.copied.replaced.passwords += u64::from(theirs.is_some());
        Ok(())
    }

    /// The target, where it may hold something of the user already.
    async fn target_of(&self, user: &User) -> Result<Option<&End>, CopyError> {
        match self.to {
            Some(to) if self.options.dry_run => {
                let there = patiently(async || to.directory.user(user.id).await).await.map_err(CopyError::Target)?;
                Ok(there.map(|_| to))
            }
            to => Ok(to),
        }
    }

    /// People whom the source does not have.
    async fn superfluous(&mut self, to: &End, watch: &dyn Watch) -> Result<(), CopyError> {
        watch.begin("people of the target", count(to).await.map_err(CopyError::Target)?);
        let mut after: Option<UserId> = None;
        loop {
            let page = patiently(async || to.directory.users(None, after, PAGE).await).await;
            let page = page.map_err(CopyError::Target)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for user in &page {
                let ours = patiently(async || self.from.directory.user(user.id).await).await;
                if ours.map_err(CopyError::Source)?.is_some() {
                    continue;
                }
                if !self.options.replace {
                    self.copied.left.add(format!("user {}: the source does not have them", user.email()));
                    continue;
                }
                if !self.options.dry_run {
                    let removed = patiently(async || to.directory.remove_user(user.id).await);
                    removed.await.map_err(CopyError::Target)?;
                }
                self.copied.replaced.users += 1;
            }
            watch.step(page.len() as u64);
        }
    }
}

/// The address that is somebody else's.
async fn somebody_elses(to: &End, user: &User) -> Result<Option<Email>, StoreError> {
    for email in &user.emails {
        let owner = patiently(async || to.directory.user_by_email(email).await).await?;
        if owner.is_some_and(|owner| owner.id != user.id) {
            return Ok(Some(email.clone()));
        }
    }
    Ok(None)
}

fn there_already(error: StoreError) -> Result<(), StoreError> {
    match error {
        StoreError::Exists(_) => Ok(()),
        error => Err(error),
    }
}

/// How many people there are.
async fn count(end: &End) -> Result<u64, StoreError> {
    let (mut count, mut after) = (0, None);
    loop {
        let page = patiently(async || end.directory.users(None, after, 10 * PAGE).await).await?;
        let Some(last) = page.last() else { return Ok(count) };
        after = Some(last.id);
        count += page.len() as u64;
    }
}

/// The same for both sides: settings and passwords of everyone.
pub(super) async fn tally(end: &End, user: &User) -> Result<(Settings, Option<String>, Tally), StoreError> {
    let settings = patiently(async || end.directory.settings(user.id).await).await?;
    let password = patiently(async || end.directory.password_hash(user.id).await).await?;
    let tally = Tally {
        users: 1,
        settings: u64::from(!settings.0.is_empty()),
        passwords: u64::from(password.is_some()),
        ..Tally::default()
    };
    Ok((settings, password, tally))
}
