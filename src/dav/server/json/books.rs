//! Address books by JSON: lists, and what changes a book as a whole (dav §13.1, §13.2).

use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::body::Object as Json;
use super::create::exists;
use super::properties::text;
use super::rights::{self, Ace, Invite, READ};
use super::text::{JSON_TYPE, Links, append, nothing, respond};
use super::list::{beginning, written};
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::dav::server::access::{Relation, write_failed};
use crate::dav::server::answer;
use crate::dav::server::call::Call;
use crate::dav::server::chunked::{self, Pages, Progress};
use crate::dav::server::publish_books::Book;
use crate::dav::server::tenant::Tenant;
use crate::dav::server::Server;
use crate::dav::upstream::Body;
use crate::dav::xml::Writer;
use crate::ids::{CollectionId, DomainId, UserId};
use crate::store::home::{COLLECTED, CONTACTS, DOMAIN_MEMBERS, new_collection};
use crate::store::{Batch, BookProps, Collection, CollectionKind, Op};

/// People that are read at once.
const PAGE: usize = 100;
/// Cards that are counted at once.
const COUNTED: usize = 1_000;
const NAME: &str = "dav:name";
const DESCRIPTION: &str = "carddav:description";
const STATE: &str = "state";
const TYPE: &str = "type";
const PRIVILEGES: &str = "dav:acl";
/// Type of the books of a domain.
const GROUP: &str = "group";
/// What the owner of a book may do, in its own words.
const OWN: [&str; 2] = ["dav:read", "dav:write"];

/// An address book; its keys come in this order, and those without a value are null.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(rename = "_links")]
    links: Links<'a>,
    #[serde(rename = "dav:name")]
    name: &'a str,
    #[serde(rename = "carddav:description")]
    description: &'a str,
    #[serde(rename = "dav:acl")]
    privileges: Vec<&'a str>,
    #[serde(rename = "dav:share-access")]
    share_access: Option<i32>,
    #[serde(rename = "openpaas:subscription-type")]
    subscription_type: Option<&'static str>,
    #[serde(rename = "type")]
    kind: &'a str,
    state: &'a str,
    #[serde(rename = "numberOfContacts")]
    contacts: Option<usize>,
    acl: Vec<Ace>,
    #[serde(rename = "dav:group")]
    group: Option<String>,
}

/// The words for what may be done with a book.
fn privileges(book: &Collection) -> Vec<&str> {
    match &book.props.book.privileges {
        _ if book.uri == DOMAIN_MEMBERS => vec![READ],
        given if given.is_empty() => OWN.to_vec(),
        given => given.iter().map(String::as_str).collect(),
    }
}

impl Call {
    /// Whether a book is one of the actor's domain.
    fn is_of_domain(&self, book: &Collection) -> bool {
        book.home == self.who.domain_home()
    }

    /// Who may do what with a book, as far as it concerns the actor.
    fn acl_of_book(&self, book: &Collection) -> Vec<Ace> {
        match self.is_of_domain(book) {
            true => vec![Ace::new(READ, &self.who.principal())],
            false => rights::of_owned_book(&self.who.owner_of(book.home)),
        }
    }

    fn book_entry<'a>(&self, book: &'a Collection, href: &'a str, contacts: Option<usize>) -> Entry<'a> {
        let of_domain = self.is_of_domain(book);
        Entry {
            links: Links(href),
            name: book.props.displayname.as_deref().unwrap_or_default(),
            description: book.props.description.as_deref().unwrap_or_default(),
            privileges: privileges(book),
            share_access: Some(1),
            subscription_type: None,
            kind: if of_domain { GROUP } else { &book.props.book.kind },
            state: &book.props.book.state,
            contacts,
            acl: self.acl_of_book(book),
            group: of_domain.then(|| self.who.owner_of(book.home)),
        }
    }

    /// Answers with the books of a home that the parameters ask for; of the home of a domain, with those of the domain.
    pub(super) async fn book_list(&self) -> Result<Response<Body>, DavError> {
        let Location::Home(Space::AddressBooks, home) = self.location else {
            return Err(DavError::no_node(&self.path));
        };
        let relation = self.server.relation(&self.who, Space::AddressBooks, home).await?;
        let wants_own = self.is_true("personal") && !self.is_true("public");
        let books = match relation {
            Relation::Owner if wants_own => self.server.collections(Space::AddressBooks, home).await?,
            Relation::Member if wants_own => {
                vec![self.server.collection(Space::AddressBooks, home, DOMAIN_MEMBERS).await?]
            }
            _ => Vec::new(),
        };
        let mut out = Writer::starting(&beginning(&self.json_home(home), "dav:addressbook"));
        for (index, book) in books.iter().enumerate() {
            let contacts = match self.is_true("contactsCount") {
                true => Some(self.server.count_cards(book.id).await?),
                false => None,
            };
            if index > 0 {
                out.raw(",");
            }
            append(&mut out, &self.book_entry(book, &self.json_href(book), contacts));
        }
        out.raw("]}}");
        Ok(written(StatusCode::OK, out))
    }

    /// Makes an address book.
    pub(super) async fn create_book(&self, body: Json) -> Result<Response<Body>, DavError> {
        let Location::Home(space, home) = self.location else { return Err(DavError::no_node(&self.path)) };
        let id = body.id()?;
        self.server.require_owner(&self.who, &self.location, "d:bind").await?;
        if self.server.collection(space, home, id).await.is_ok() {
            return Err(exists());
        }
        let mut book = new_collection(home, CollectionKind::AddressBook, id, &self.inner().env);
        let words = |key: &str| body.0.get(key).map_or(Ok(None), |value| text(key, value));
        book.props.displayname = words(NAME)?.filter(|name| !name.is_empty());
        book.props.description = words(DESCRIPTION)?;
        book.props.book = BookProps {
            kind: words(TYPE)?.unwrap_or_default(),
            state: words(STATE)?.unwrap_or_default(),
            privileges: read_privileges(body.get(PRIVILEGES))?,
        };
        let publish = vec![Book::of(&book, &self.who).created()];
        let batch = Batch { ops: vec![Op::CreateCollection(book)], publish };
        self.inner().store.write(batch).await.map_err(write_failed)?;
        Ok(answer::empty(StatusCode::CREATED))
    }

    /// Changes the properties of a book. The two that everybody has stay as they are (dav §13.2).
    pub(super) async fn proppatch_book(&self, body: Json) -> Result<Response<Body>, DavError> {
        let book = self.own_collection("d:write-properties").await?;
        if [CONTACTS, COLLECTED].contains(&book.uri.as_str()) {
            let message = format!("Forbidden: You can not update {} address book", book.uri);
            return Ok(respond(StatusCode::FORBIDDEN, &json!({ "status": 403, "message": message })));
        }
        let mut props = book.props.clone();
        for (key, value) in &body.0 {
            match key.as_str() {
                NAME => props.displayname = text(key, value)?.filter(|name| !name.is_empty()),
                DESCRIPTION => props.description = text(key, value)?,
                STATE if props.book.kind == GROUP => props.book.state = text(key, value)?.unwrap_or_default(),
                _ => {}
            }
        }
        if props != book.props || body.0.contains_key(NAME) || body.0.contains_key(DESCRIPTION) {
            self.write_props(&book, props).await?;
        }
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }

    /// Answers with the properties of a book that are asked for by name; those without a value are left out.
    pub(super) async fn propfind_book(&self, body: &Json) -> Result<Response<Body>, DavError> {
        let book = self.readable_collection().await?;
        let asked = body.get("properties").and_then(Value::as_array);
        let asked = asked.ok_or_else(|| DavError::bad_request("The body needs properties"))?;
        let mut out = Map::new();
        for name in asked.iter().filter_map(Value::as_str) {
            if let Some(value) = self.property_of_book(&book, name).await? {
                out.insert(name.to_owned(), value);
            }
        }
        Ok(if out.is_empty() { nothing() } else { respond(StatusCode::OK, &out) })
    }

    async fn property_of_book(&self, book: &Collection, name: &str) -> Result<Option<Value>, DavError> {
        let props = &book.props;
        let me = self.who.principal();
        Ok(Some(match name {
            "{DAV:}displayname" => json!(props.displayname.as_deref().unwrap_or_default()),
            "{urn:ietf:params:xml:ns:carddav}addressbook-description" => {
                json!(props.description.as_deref().unwrap_or_default())
            }
            "{DAV:}acl" => json!(privileges(book)),
            "{DAV:}share-access" => json!(1),
            "{DAV:}invite" => json!([Invite::owner(&self.who.owner_of(book.home))]),
            "{DAV:}group" if self.is_of_domain(book) => json!(self.who.owner_of(book.home)),
            "acl" => json!(self.acl_of_book(book).into_iter().filter(|ace| ace.is_of(&me)).collect::<Vec<_>>()),
            "uri" => json!(book.uri),
            "{http://open-paas.org/contacts}type" => json!(props.book.kind),
            "{http://open-paas.org/contacts}state" => json!(props.book.state),
            "{http://open-paas.org/contacts}numberOfContacts" => json!(self.server.count_cards(book.id).await?),
            _ => return Ok(None),
        }))
    }

    /// Shares a book, publishes it, or answers an invitation to one.
    pub(super) async fn post_to_book(&self, body: Json) -> Result<Response<Body>, DavError> {
        let _ = self.readable_collection().await?;
        match body.0.keys().next() {
            None => Err(DavError::bad_request("The body says nothing")),
            Some(_) => Err(DavError::bad_request("The body asks for nothing that is known here")),
        }
    }

    /// Answers the program with the homes of its domain that hold books.
    pub(super) async fn all_books(&self) -> Result<Response<Body>, DavError> {
        let Tenant::Technical(domain) = self.who else { return Err(DavError::forbidden("Only technical users")) };
        let pages = Homes { server: self.server.clone(), domain, after: None, has_written: false };
        chunked::body("[", pages, "]", JSON_TYPE).await
    }
}

/// Reads the words for what may be done with a book.
fn read_privileges(value: Option<&Value>) -> Result<Vec<String>, DavError> {
    let wrong = || DavError::bad_request("dav:acl must be a list of privileges");
    let Some(value) = value else { return Ok(Vec::new()) };
    let list = value.as_array().ok_or_else(wrong)?;
    list.iter().map(|word| word.as_str().map(str::to_owned)).collect::<Option<_>>().ok_or_else(wrong)
}

impl Server {
    async fn count_cards(&self, book: CollectionId) -> Result<usize, DavError> {
        let (mut count, mut after) = (0, None::<String>);
        loop {
            let page = self.0.store.list(book, after.as_deref(), COUNTED).await?;
            count += page.len();
            if page.len() < COUNTED {
                return Ok(count);
            }
            after = page.into_iter().next_back().map(|meta| meta.name);
        }
    }
}

/// The homes of a domain.
struct Homes {
    server: Server,
    domain: DomainId,
    after: Option<UserId>,
    has_written: bool,
}

#[async_trait::async_trait]
impl Pages for Homes {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        let users = self.server.0.directory.users(Some(self.domain), self.after, PAGE).await?;
        for user in &users {
            if std::mem::replace(&mut self.has_written, true) {
                out.raw(",");
            }
            append(out, &user.id.to_string());
        }
        self.after = users.last().map(|user| user.id);
        if users.len() == PAGE {
            return Ok(Progress::More);
        }
        if self.server.0.settings.members_book {
            if self.has_written {
                out.raw(",");
            }
            append(out, &self.domain.to_string());
        }
        Ok(Progress::Done)
    }
}
