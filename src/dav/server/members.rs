//! The address book of a domain's people (dav §5, §13.3): made of the directory, read by everybody in the domain, written by
//! nobody.
//!
//! Its cards are objects of the store like all others, so that reports and synchronisation need to know nothing of it. When
//! somebody asks for the book, its cards are compared with the directory, unless that was done a moment ago: both are read in
//! the order of ids, page by page, and what differs is written. Cards of other names than ours, which another program may have
//! put there, are left alone.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use moka::sync::Cache;
use tokio::sync::Mutex;

use super::access::write_failed;
use super::publish_books::Book;
use super::tenant::{Tenant, Tenants};
use super::{Inner, Server, cards};
use crate::dav::error::DavError;
use crate::dav::path::Space;
use crate::dav::precondition::etag_of;
use crate::events::Message;
use crate::ical::{Component, Property, escape_text};
use crate::ids::{CollectionId, DomainId, HomeId, Uid, UserId};
use crate::store::home::{DOMAIN_MEMBERS, new_collection};
use crate::store::{Batch, Collection, CollectionKind, Expect, ObjectMeta, Op, User, WriteError};

/// People, or cards, that are read at once.
const PAGE: usize = 200;
/// A book that was compared with the directory is not compared again for so long; who comes and goes is seen at the latest
/// after this time.
const IN_STEP_FOR: TimeDelta = TimeDelta::seconds(10);
/// Domains whose state is remembered.
const CAPACITY: u64 = 10_000;
/// What the book is called where the reference makes it (dav §13.3).
const DISPLAY_NAME: &str = "Domain Members";
const DESCRIPTION: &str = "Address book contains all domain members";

/// When the books were last compared with the directory. One request compares; the others wait for it.
pub(super) struct MembersBooks(Cache<HomeId, Arc<Mutex<Option<DateTime<Utc>>>>>);

impl Default for MembersBooks {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

/// The segment of a person's card.
fn name_of(user: UserId) -> String {
    format!("{user}.vcf")
}

/// Where the card of a person is, without the base.
pub(super) fn href_of(user: &User) -> String {
    format!("/{}/{}/{DOMAIN_MEMBERS}/{}", Space::AddressBooks.segment(), user.domain, name_of(user.id))
}

impl Server {
    /// Makes the book in this home what the directory says, if it is the home of a domain. Elsewhere a book of that name is
    /// one like any other.
    pub(super) async fn keep_members_in_step(&self, home: HomeId) -> Result<(), DavError> {
        let Inner { settings, members, directory, env, .. } = &*self.0;
        if !settings.members_book {
            return Ok(());
        }
        let state = match members.0.get(&home) {
            Some(state) => state,
            None if directory.domain(DomainId(home.0)).await?.is_none() => return Ok(()),
            None => members.0.get_with(home, Arc::default),
        };
        let mut compared = state.lock().await;
        let now = env.now();
        // A clock that was set back must not stop this.
        if compared.is_none_or(|at| !(TimeDelta::zero()..IN_STEP_FOR).contains(&(now - at))) {
            self.compare(DomainId(home.0)).await?;
            *compared = Some(now);
        }
        Ok(())
    }

    /// Writes what differs. Somebody else who does the same at the same time makes this one stop: they write the same.
    async fn compare(&self, domain: DomainId) -> Result<(), DavError> {
        let Inner { directory, env, .. } = &*self.0;
        let who = Tenant::Technical(domain);
        let Some(collection) = self.book_of(domain, &who).await? else { return Ok(()) };
        let mut cards = Cards::of(self, collection.id);
        let mut pages = Pages::of(&collection, &self.0.tenants, &who);
        let mut after = None;
        loop {
            let users = directory.users(Some(domain), after, PAGE).await?;
            for user in &users {
                while let Some(gone) = cards.next_if(|owner| owner < user.id).await? {
                    self.remove(&mut pages, gone).await?;
                }
                let data = card_of(user);
                let stored = cards.next_if(|owner| owner == user.id).await?;
                if stored.as_ref().is_some_and(|meta| meta.etag == etag_of(&data)) {
                    continue;
                }
                let name = name_of(user.id);
                let (expect, told) = match stored {
                    Some(meta) => (Expect::Etag(meta.etag), pages.book.card_updated(&name, &data)),
                    None => (Expect::Absent, pages.book.card_created(&name, &data)),
                };
                let object = cards::object_of(&name, data, Uid(user.id.to_string()), env.now());
                self.add(&mut pages, Op::PutObject { collection: collection.id, object, expect }, told).await?;
            }
            match users.last() {
                Some(last) if users.len() == PAGE && !pages.is_stopped => after = Some(last.id),
                _ => break,
            }
        }
        while !pages.is_stopped
            && let Some(gone) = cards.next_if(|_| true).await?
        {
            self.remove(&mut pages, gone).await?;
        }
        self.write_page(&mut pages).await
    }

    /// The book, made where it is missing.
    async fn book_of(&self, domain: DomainId, who: &Tenant) -> Result<Option<Collection>, DavError> {
        let home = HomeId::from(domain);
        if let Some(found) = self.find_collection(Space::AddressBooks, home, DOMAIN_MEMBERS).await? {
            return Ok(Some(found));
        }
        let mut made = new_collection(home, CollectionKind::AddressBook, DOMAIN_MEMBERS, &self.0.env);
        made.props.displayname = Some(DISPLAY_NAME.to_owned());
        made.props.description = Some(DESCRIPTION.to_owned());
        let publish = vec![Book::of(&made, &self.0.tenants, who).created()];
        match self.0.store.write(Batch { ops: vec![Op::CreateCollection(made)], publish }).await {
            Ok(_) | Err(WriteError::CollectionExists(_)) => {}
            Err(error) => return Err(write_failed(error)),
        }
        self.find_collection(Space::AddressBooks, home, DOMAIN_MEMBERS).await
    }

    /// Deletes the card of somebody who is gone. Its text is told, so it is read.
    async fn remove(&self, pages: &mut Pages, card: ObjectMeta) -> Result<(), DavError> {
        let Some(object) = self.0.store.object(pages.collection, &card.name).await? else { return Ok(()) };
        let told = pages.book.card_deleted(&card.name, &object.data);
        let expect = Expect::Etag(object.meta.etag);
        self.add(pages, Op::DeleteObject { collection: pages.collection, name: card.name, expect }, told).await
    }

    async fn add(&self, pages: &mut Pages, op: Op, told: Vec<Message>) -> Result<(), DavError> {
        pages.batch.ops.push(op);
        pages.batch.publish.extend(told);
        if pages.batch.ops.len() >= PAGE { self.write_page(pages).await } else { Ok(()) }
    }

    async fn write_page(&self, pages: &mut Pages) -> Result<(), DavError> {
        let batch = std::mem::take(&mut pages.batch);
        if batch.ops.is_empty() || pages.is_stopped {
            return Ok(());
        }
        match self.0.store.write(batch).await {
            Ok(_) => return Ok(()),
            Err(WriteError::Precondition(_) | WriteError::NoCollection(_)) => {}
            Err(error) => return Err(write_failed(error)),
        }
        pages.is_stopped = true;
        Ok(())
    }
}

/// Changes of one book that are gathered until there are enough of them.
struct Pages {
    book: Book,
    collection: CollectionId,
    batch: Batch,
    /// Somebody else is at it.
    is_stopped: bool,
}

impl Pages {
    fn of(collection: &Collection, tenants: &Tenants, who: &Tenant) -> Self {
        let book = Book::of(collection, tenants, who);
        Self { book, collection: collection.id, batch: Batch::default(), is_stopped: false }
    }
}

/// The cards of a book that were made of the directory, in the order of the people they are of.
struct Cards<'a> {
    server: &'a Server,
    collection: CollectionId,
    read: VecDeque<(UserId, ObjectMeta)>,
    after: Option<String>,
    is_last: bool,
}

impl<'a> Cards<'a> {
    fn of(server: &'a Server, collection: CollectionId) -> Self {
        Self { server, collection, read: VecDeque::new(), after: None, is_last: false }
    }

    /// The next card, if it is of somebody for whom this holds.
    async fn next_if(&mut self, holds: impl Fn(UserId) -> bool) -> Result<Option<ObjectMeta>, DavError> {
        while self.read.is_empty() && !self.is_last {
            let page = self.server.0.store.list(self.collection, self.after.as_deref(), PAGE).await?;
            self.is_last = page.len() < PAGE;
            self.after = page.last().map(|meta| meta.name.clone());
            self.read.extend(page.into_iter().filter_map(|meta| Some((person_of(&meta.name)?, meta))));
        }
        Ok(self.read.pop_front_if(|(owner, _)| holds(*owner)).map(|(_, meta)| meta))
    }
}

/// The person whose card has this name; `None` for cards that are not made of the directory.
fn person_of(name: &str) -> Option<UserId> {
    let user: UserId = name.strip_suffix(".vcf")?.parse().ok()?;
    (name_of(user) == name).then_some(user)
}

/// What the book says of a person: the main address first.
fn card_of(user: &User) -> String {
    let mut card = Component::new("VCARD");
    card.push(Property::new("VERSION", "4.0"));
    card.push(Property::new("UID", user.id.to_string()));
    card.push(Property::with_text("FN", &user.display_name()));
    let (first, last) = (user.firstname.trim(), user.lastname.trim());
    if !first.is_empty() || !last.is_empty() {
        card.push(Property::new("N", format!("{};{};;;", escape_text(last), escape_text(first))));
    }
    for (index, email) in user.emails.iter().enumerate() {
        let line = Property::with_text("EMAIL", email.as_str());
        card.push(if index == 0 && user.emails.len() > 1 { line.param("PREF", "1") } else { line });
    }
    card.to_wire()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(first: &str, last: &str, emails: &[&str]) -> User {
        User {
            id: "65aa00000000000000000001".parse().unwrap(),
            domain: "65dd00000000000000000001".parse().unwrap(),
            emails: emails.iter().map(|e| e.parse().unwrap()).collect(),
            firstname: first.to_owned(),
            lastname: last.to_owned(),
        }
    }

    #[test]
    fn a_card_says_what_the_directory_knows() {
        assert_eq!(
            card_of(&user("Alice", "Martin; née X", &["alice@example.org", "a@example.org"])),
            "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:65aa00000000000000000001\r\nFN:Alice Martin\\; née X\r\n\
             N:Martin\\; née X;Alice;;;\r\nEMAIL;PREF=1:alice@example.org\r\nEMAIL:a@example.org\r\nEND:VCARD\r\n"
        );
        assert_eq!(
            card_of(&user("", " ", &["carol@example.org"])),
            "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:65aa00000000000000000001\r\nFN:carol@example.org\r\n\
             EMAIL:carol@example.org\r\nEND:VCARD\r\n"
        );
    }

    #[test]
    fn only_cards_of_people_are_ours() {
        let alice = user("", "", &["alice@example.org"]).id;
        assert_eq!(person_of(&name_of(alice)), Some(alice));
        for other in ["alice.vcf", "65aa00000000000000000001", "65AA00000000000000000001.vcf", ".vcf"] {
            assert_eq!(person_of(other), None, "{other}");
        }
    }
}
