//! Rows of `users` and `domains` (storage §2.3, §2.4, §2.16), read and written without I/O.
//!
//! Rows come from four programs: the side service's have all fields; OpenPaaS's may lack `email`, `firstnames` or even
//! `firstname`, and older ones have `preferredEmail` and `emails` instead of accounts; esn-sabre's have no first names.

use chrono::{DateTime, Utc};
use mongodb::bson::{Array, Bson, Document, doc};

use crate::ids::{DomainId, Email, UserId};
use crate::mongo::{id, oid};
use crate::store::{Domain, User};

/// A row of `users` as far as it could be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UserRow {
    pub id: UserId,
    /// `domains[0].domain_id`.
    pub domain: Option<DomainId>,
    /// Never empty.
    pub emails: Vec<Email>,
    pub firstname: String,
    pub lastname: String,
}

impl UserRow {
    /// `None` for a row without an id of ours or without any address: nobody that could be named.
    pub fn read(row: &Document) -> Option<Self> {
        let emails = addresses(row);
        Some(Self {
            id: UserId(id(row.get_object_id("_id").ok()?)),
            domain: domain_of(row),
            emails: (!emails.is_empty()).then_some(emails)?,
            firstname: row.get_str("firstname").unwrap_or_default().to_owned(),
            lastname: row.get_str("lastname").unwrap_or_default().to_owned(),
        })
    }

    /// The user, in this domain where the row names none.
    pub fn into_user(self, fallback: Option<DomainId>) -> Option<User> {
        let Self { id, domain, emails, firstname, lastname } = self;
        Some(User { id, domain: domain.or(fallback)?, emails, firstname, lastname })
    }
}

/// Every address that finds the user, the user name first, each once.
pub(super) fn addresses(row: &Document) -> Vec<Email> {
    let accounts = array(row, "accounts").iter().filter_map(Bson::as_document);
    let in_accounts = accounts.flat_map(|account| array(account, "emails"));
    let legacy = row.get("preferredEmail").into_iter().chain(array(row, "emails"));
    let mut found: Vec<Email> = Vec::new();
    for email in in_accounts.chain(legacy).filter_map(|value| value.as_str()?.parse().ok()) {
        if !found.contains(&email) {
            found.push(email);
        }
    }
    found
}

fn array<'a>(document: &'a Document, field: &str) -> &'a [Bson] {
    document.get_array(field).map_or(&[], Vec::as_slice)
}

fn domain_of(row: &Document) -> Option<DomainId> {
    let first = array(row, "domains").first()?.as_document()?;
    Some(DomainId(id(first.get_object_id("domain_id").ok()?)))
}

/// A given name split as the prefix search wants it.
pub(super) fn firstnames(firstname: &str) -> Vec<String> {
    firstname.split(' ').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The row of a new user. OpenPaaS needs a password; nobody ever signs in with it.
pub(super) fn new_user(user: &User, password: &str) -> Document {
    doc! {
        "_id": oid(user.id.0),
        "firstname": &user.firstname,
        "lastname": &user.lastname,
        "firstnames": firstnames(&user.firstname),
        "password": password,
        "email": user.email().as_str(),
        "domains": [{ "domain_id": oid(user.domain.0) }],
        "accounts": [{ "type": "email", "emails": texts(&user.emails) }],
    }
}

/// The fields to set so that the row tells of the user as given. Everything else in it stays, also within accounts and
/// domains.
pub(super) fn user_changes(row: &Document, user: &User) -> Document {
    let mut set = doc! {
        "firstname": &user.firstname,
        "lastname": &user.lastname,
        "firstnames": firstnames(&user.firstname),
        "email": user.email().as_str(),
    };
    if domain_of(row) != Some(user.domain) {
        set.insert("domains", with_domain(array(row, "domains"), user.domain));
    }
    if addresses(row) != user.emails {
        set.insert("accounts", with_addresses(array(row, "accounts"), &user.emails));
        let lost = |value: &Bson| {
            value.as_str().and_then(|v| v.parse::<Email>().ok()).is_some_and(|e| !user.emails.contains(&e))
        };
        if row.get("preferredEmail").is_some_and(lost) {
            set.insert("preferredEmail", user.email().as_str());
        }
        if array(row, "emails").iter().any(lost) {
            set.insert("emails", array(row, "emails").iter().filter(|e| !lost(e)).cloned().collect::<Array>());
        }
    }
    set
}

/// The domains of a row with another one in front.
fn with_domain(domains: &[Bson], domain: DomainId) -> Array {
    let mut domains = domains.to_vec();
    match domains.first_mut().and_then(Bson::as_document_mut) {
        Some(first) => drop(first.insert("domain_id", oid(domain.0))),
        None => domains = vec![doc! { "domain_id": oid(domain.0) }.into()],
    }
    domains
}

/// The accounts of a row with these addresses in the first that has addresses, and none in the others.
fn with_addresses(accounts: &[Bson], emails: &[Email]) -> Array {
    let mut accounts = accounts.to_vec();
    let mut placed = false;
    for account in accounts.iter_mut().filter_map(Bson::as_document_mut) {
        if account.contains_key("emails") || account.get_str("type").is_ok_and(|t| t == "email") {
            account.insert("emails", if placed { Vec::new() } else { texts(emails) });
            placed = true;
        }
    }
    if !placed {
        // esn-sabre and the side service read the first account.
        accounts.insert(0, doc! { "type": "email", "emails": texts(emails) }.into());
    }
    accounts
}

fn texts(emails: &[Email]) -> Vec<String> {
    emails.iter().map(Email::to_string).collect()
}

/// The fields that a row lacks which later rows have: `email` and `firstnames` (storage §2.3 `addMissingFields`).
pub(crate) fn missing_fields(row: &Document) -> Document {
    let mut set = Document::new();
    if !row.contains_key("email")
        && let Some(email) = addresses(row).first()
    {
        set.insert("email", email.as_str());
    }
    if !row.contains_key("firstnames") {
        set.insert("firstnames", firstnames(row.get_str("firstname").unwrap_or_default()));
    }
    set
}

/// The row of a new domain.
pub(super) fn new_domain(domain: &Domain, now: DateTime<Utc>) -> Document {
    doc! {
        "_id": oid(domain.id.0),
        "timestamp": { "creation": mongodb::bson::DateTime::from_millis(now.timestamp_millis()) },
        "hostnames": [],
        "name": domain.name.as_str(),
        "company_name": domain.name.as_str(),
        "administrators": [],
    }
}

/// `None` for a row without an id of ours or without a name.
pub(super) fn read_domain(row: &Document) -> Option<Domain> {
    Some(Domain { id: DomainId(id(row.get_object_id("_id").ok()?)), name: row.get_str("name").ok()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "6650c0ffee0123456789aaaa";
    const ALICE: &str = "6650c0ffee0123456789abcd";

    fn object_id(text: &str) -> mongodb::bson::oid::ObjectId {
        text.parse().unwrap()
    }

    fn emails(texts: &[&str]) -> Vec<Email> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    fn alice() -> User {
        User {
            id: ALICE.parse().unwrap(),
            domain: DOMAIN.parse().unwrap(),
            emails: emails(&["alice@example.org", "a.martin@example.org"]),
            firstname: "Alice  Zoë".to_owned(),
            lastname: "Martin".to_owned(),
        }
    }

    fn openpaas() -> Document {
        doc! {
            "_id": object_id(ALICE), "lastname": "Martin", "schemaVersion": 2, "__v": 3,
            "login": { "failures": [] }, "preferredEmail": "alice@example.org", "emails": ["old@example.org"],
            "domains": [{ "domain_id": object_id(DOMAIN), "joined_at": 7 }, { "domain_id": object_id(ALICE) }],
            "accounts": [
                { "type": "oauth", "data": { "provider": "x" } },
                { "type": "email", "hosted": true, "emails": ["Alice@example.org", "boss@example.org"], "preferredEmailIndex": 0 },
                { "type": "email", "emails": ["second@example.org"] },
            ],
        }
    }

    #[test]
    fn a_new_row_reads_back_and_has_the_fields_of_the_reference_in_order() {
        let row = new_user(&alice(), "secret");
        assert_eq!(UserRow::read(&row).unwrap().into_user(None), Some(alice()));
        assert_eq!(
            row.keys().collect::<Vec<_>>(),
            ["_id", "firstname", "lastname", "firstnames", "password", "email", "domains", "accounts"]
        );
        assert_eq!(row.get_array("firstnames").unwrap(), &[Bson::from("Alice"), Bson::from("Zoë")]);
    }

    #[test]
    fn a_row_of_openpaas_is_read_with_every_address_that_finds_it() {
        let user = UserRow::read(&openpaas()).unwrap();
        assert_eq!(user.firstname, "");
        assert_eq!(user.domain, Some(DOMAIN.parse().unwrap()));
        assert_eq!(
            user.emails,
            emails(&["alice@example.org", "boss@example.org", "second@example.org", "old@example.org"])
        );
    }

    #[test]
    fn rows_without_accounts_or_domain_or_address() {
        let legacy = doc! { "_id": object_id(ALICE), "preferredEmail": "alice@example.org", "firstname": Bson::Null };
        let read = UserRow::read(&legacy).unwrap();
        assert_eq!((read.domain, &read.emails), (None, &emails(&["alice@example.org"])));
        assert_eq!(read.clone().into_user(None), None);
        assert_eq!(read.into_user(Some(DOMAIN.parse().unwrap())).unwrap().domain, DOMAIN.parse().unwrap());
        assert_eq!(UserRow::read(&doc! { "_id": object_id(ALICE), "accounts": [{ "emails": ["no address"] }] }), None);
        assert_eq!(UserRow::read(&doc! { "_id": "alice", "preferredEmail": "alice@example.org" }), None);
    }

    #[test]
    fn another_name_leaves_accounts_and_domains_alone() {
        let mut user = UserRow::read(&openpaas()).unwrap().into_user(None).unwrap();
        user.firstname = "Alice".to_owned();
        let set = user_changes(&openpaas(), &user);
        assert_eq!(
            set,
            doc! { "firstname": "Alice", "lastname": "Martin", "firstnames": ["Alice"], "email": "alice@example.org" }
        );
    }

    #[test]
    fn other_addresses_and_another_domain_keep_what_else_is_said_there() {
        let mut user = UserRow::read(&openpaas()).unwrap().into_user(None).unwrap();
        user.emails = emails(&["alice.martin@example.org", "boss@example.org"]);
        user.domain = ALICE.parse().unwrap();
        let set = user_changes(&openpaas(), &user);
        let mut row = openpaas();
        row.extend(set.clone());
        assert_eq!(addresses(&row), [user.emails.clone(), emails(&[])].concat());
        assert_eq!(
            set.get_array("accounts").unwrap(),
            &[
                doc! { "type": "oauth", "data": { "provider": "x" } }.into(),
                doc! {
                    "type": "email", "hosted": true, "emails": ["alice.martin@example.org", "boss@example.org"],
                    "preferredEmailIndex": 0
                }
                .into(),
                doc! { "type": "email", "emails": [] }.into(),
            ]
        );
        assert_eq!(
            set.get_array("domains").unwrap(),
            &[
                doc! { "domain_id": object_id(ALICE), "joined_at": 7 }.into(),
                doc! { "domain_id": object_id(ALICE) }.into()
            ]
        );
        assert_eq!(set.get_str("preferredEmail").unwrap(), "alice.martin@example.org");
    }

    #[test]
    fn only_what_is_missing_is_added() {
        let row = doc! { "firstname": "Alice Zoë", "accounts": [{ "emails": ["alice@example.org"] }] };
        assert_eq!(missing_fields(&row), doc! { "email": "alice@example.org", "firstnames": ["Alice", "Zoë"] });
        assert_eq!(missing_fields(&doc! { "email": "x", "firstnames": [] }), doc! {});
        assert_eq!(missing_fields(&doc! {}), doc! { "firstnames": [] });
    }
}
