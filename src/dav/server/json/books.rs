//! Address books by JSON: lists, and what changes a book as a whole (dav §13.1, §13.2).

use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::body::Object as Json;
use super::create::{exists, href_of, source_of};
use super::entries::is_subscription;
use super::list::{beginning, written};
use super::properties::{looks, text};
use super::rights::{self, Ace, READ, WRITE};
use super::text::{JSON_TYPE, Links, append, nothing, respond, to_text};
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::dav::server::Server;
use crate::dav::server::access::write_failed;
use crate::dav::server::answer;
use crate::dav::server::call::Call;
use crate::dav::server::chunked::{self, Pages, Progress};
use crate::dav::server::rights::{Need, Sight};
use crate::dav::server::sharing::{Sharee, Wish};
use crate::dav::server::tenant::Tenant;
use crate::dav::upstream::Body;
use crate::dav::xml::Writer;
use crate::ids::{CollectionId, DomainId, HomeId, UserId};
use crate::store::home::{COLLECTED, CONTACTS, DOMAIN_MEMBERS, new_collection};
use crate::store::{Access, Batch, BookProps, CollectionKind, CollectionProps, InviteStatus, Op, PublicRight, Tie};

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
/// What names the book that is subscribed to.
const SOURCE: &str = "openpaas:source";
/// The number that takes a share back.
const NO_ACCESS: i64 = 4;
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
    kind: Option<&'a str>,
    state: Option<&'a str>,
    #[serde(rename = "numberOfContacts")]
    contacts: Option<usize>,
    acl: Vec<Ace>,
    #[serde(rename = "dav:group")]
    group: Option<String>,
    /// Only there where it is somebody else's.
    #[serde(rename = "openpaas:source", skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

/// A refusal as the reference words it in JSON; it does so nowhere else.
#[derive(Serialize)]
struct Refused {
    status: u16,
    message: String,
}

/// The words for what may be done with a book.
fn privileges(book: &Sight) -> Vec<&str> {
    if is_subscription(book) {
        return if book.grants(Need::WriteContent) { OWN.to_vec() } else { OWN[..1].to_vec() };
    }
    match &book.source().props.book.privileges {
        _ if book.uri == DOMAIN_MEMBERS => vec![READ],
        given if given.is_empty() => OWN.to_vec(),
        given => given.iter().map(String::as_str).collect(),
    }
}

/// The number for what it is to whose home it is in; none for a subscription.
fn share_access(book: &Sight) -> Option<i32> {
    match book.instance().map(|instance| &instance.tie) {
        None => Some(1),
        Some(Tie::Delegation(given)) => Some(given.access.number()),
        Some(Tie::Subscription { .. }) => None,
    }
}

/// Which books of a home are asked for.
struct Wanted {
    own: bool,
    /// Only own ones that everybody may read.
    public: bool,
    subscribed: bool,
    shared: bool,
    status: Option<i64>,
    owner: Option<HomeId>,
}

impl Wanted {
    fn read(call: &Call) -> Self {
        let public = call.is_true("public");
        Self {
            own: call.is_true("personal") || public,
            public,
            subscribed: call.is_true("subscribed"),
            shared: call.is_true("shared"),
            status: call.parameter("inviteStatus").and_then(|status| status.parse().ok()),
            owner: call.parameter("shareOwner").and_then(|owner| owner.parse().ok()),
        }
    }

    fn holds(&self, book: &Sight) -> bool {
        match book.instance().map(|instance| &instance.tie) {
            None => self.own && (!self.public || book.public_right.is_some()),
            Some(Tie::Subscription { .. }) => self.subscribed,
            Some(Tie::Delegation(given)) => {
                self.shared
                    && self.status.is_none_or(|status| status == i64::from(given.status.number()))
                    && self.owner.is_none_or(|owner| owner == book.source().home)
            }
        }
    }
}

impl Call {
    /// Whether a book is one of the actor's domain.
    fn is_of_domain(&self, book: &Sight) -> bool {
        book.source().home == self.who.domain_home()
    }

    /// Who may do what with a book.
    async fn acl_of_book(&self, book: &Sight) -> Result<Vec<Ace>, DavError> {
        if self.is_of_domain(book) {
            // As far as it concerns the actor: everybody of a domain would be a long list.
            return Ok(vec![Ace::new(READ, &self.who.principal())]);
        }
        let holder = self.owner_name(book.home);
        if book.instance().is_some() {
            return Ok(rights::of_instance_of_book(book, &holder));
        }
        let instances = self.server.instances(book.source()).await?;
        Ok(rights::of_own_book(book, &holder, &instances, |instance| self.owner_name(instance.home)))
    }

    async fn book_entry(&self, book: &Sight, contacts: Option<usize>) -> Result<String, DavError> {
        let of_domain = self.is_of_domain(book);
        let is_subscription = is_subscription(book);
        let marks = &book.source().props.book;
        let subscription_type = book.instance().map(|_| if is_subscription { "public" } else { "delegation" });
        Ok(to_text(&Entry {
            links: Links(&self.json_href(book.shown())),
            name: book.props.displayname.as_deref().unwrap_or_default(),
            description: book.props.description.as_deref().unwrap_or_default(),
            privileges: privileges(book),
            share_access: share_access(book),
            subscription_type,
            kind: (!is_subscription).then_some(if of_domain { GROUP } else { &marks.kind }),
            state: (!is_subscription).then_some(&marks.state),
            contacts,
            acl: self.acl_of_book(book).await?,
            group: of_domain.then(|| self.owner_name(book.source().home)),
            source: book.instance().map(|_| self.json_href(book.source())),
        }))
    }

    /// Answers with the books of a home that the parameters ask for; of the home of a domain, with those of the domain.
    pub(super) async fn book_list(&self) -> Result<Response<Body>, DavError> {
        let Location::Home(Space::AddressBooks, home) = self.location else {
            return Err(DavError::no_node(&self.path));
        };
        let wanted = Wanted::read(self);
        let mut books = self.server.sights(&self.who, Space::AddressBooks, home, Need::Read).await?;
        books.retain(|book| wanted.holds(book));
        // Own ones, subscriptions, shared ones.
        books.sort_by_key(|book| match book.instance() {
            None => 0,
            Some(instance) if instance.delegation().is_none() => 1,
            Some(_) => 2,
        });
        let mut out = Writer::starting(&beginning(&self.json_home(home), "dav:addressbook"));
        for (index, book) in books.iter().enumerate() {
            let contacts = match self.is_true("contactsCount") {
                true => Some(self.server.count_cards(book.id).await?),
                false => None,
            };
            if index > 0 {
                out.raw(",");
            }
            out.raw(&self.book_entry(book, contacts).await?);
        }
        out.raw("]}}");
        Ok(written(StatusCode::OK, out))
    }

    /// Makes an address book in a home, or subscribes to one of somebody else.
    pub(super) async fn create_book(&self, body: Json) -> Result<Response<Body>, DavError> {
        let Location::Home(space, home) = self.location else { return Err(DavError::no_node(&self.path)) };
        let id = body.id()?;
        if let Some(source) = body.get(SOURCE) {
            return self.subscribe_to_book(home, id, source, &body).await;
        }
        self.server.require_home(&self.who, space, home).await?;
        if self.server.sight(&self.who, space, home, id).await.is_ok() {
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
        let publish = vec![self.book_of(&book).created()];
        let batch = Batch { ops: vec![Op::CreateCollection(book)], publish };
        self.inner().store.write(batch).await.map_err(write_failed)?;
        Ok(answer::empty(StatusCode::CREATED))
    }

    async fn subscribe_to_book(
        &self,
        home: HomeId,
        id: &str,
        source: &Value,
        body: &Json,
    ) -> Result<Response<Body>, DavError> {
        let href = source.pointer("/_links/self/href").unwrap_or(&Value::Null);
        let source = source_of(href, &self.inner().settings.base, Space::AddressBooks);
        let source = source.ok_or_else(|| DavError::bad_request("The source needs the address of an address book"))?;
        let words = |key: &str| body.0.get(key).map_or(Ok(None), |value| text(key, value));
        let props = CollectionProps {
            displayname: words(NAME)?.filter(|name| !name.is_empty()),
            description: words(DESCRIPTION)?,
            ..CollectionProps::default()
        };
        self.subscribe(Wish { home, uri: id.to_owned(), source, props }).await?;
        Ok(answer::empty(StatusCode::CREATED))
    }

    /// Changes the properties of a book. The two that everybody has stay as they are (dav §13.2).
    pub(super) async fn proppatch_book(&self, body: Json) -> Result<Response<Body>, DavError> {
        let book = self.server.see(&self.who, &self.location, Need::WriteProperties).await?;
        if book.instance().is_none() && [CONTACTS, COLLECTED].contains(&book.uri.as_str()) {
            let message = format!("Forbidden: You can not update {} address book", book.uri);
            return Ok(respond(StatusCode::FORBIDDEN, &Refused { status: 403, message }));
        }
        let mut props = looks(&book).clone();
        for (key, value) in &body.0 {
            match key.as_str() {
                NAME => props.displayname = text(key, value)?.filter(|name| !name.is_empty()),
                DESCRIPTION => props.description = text(key, value)?,
                STATE if props.book.kind == GROUP => props.book.state = text(key, value)?.unwrap_or_default(),
                _ => {}
            }
        }
        if [NAME, DESCRIPTION, STATE].iter().any(|key| body.0.contains_key(*key)) {
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

    async fn property_of_book(&self, book: &Sight, name: &str) -> Result<Option<Value>, DavError> {
        let props = &book.props;
        let me = self.who.principal();
        Ok(Some(match name {
            "{DAV:}displayname" => json!(props.displayname.as_deref().unwrap_or_default()),
            "{urn:ietf:params:xml:ns:carddav}addressbook-description" => {
                json!(props.description.as_deref().unwrap_or_default())
            }
            "{DAV:}acl" => json!(privileges(book)),
            "{DAV:}share-access" => json!(share_access(book)),
            "{DAV:}invite" => json!(self.invites(book, &self.server.instances(book.source()).await?)),
            "{DAV:}group" if self.is_of_domain(book) => json!(self.owner_name(book.source().home)),
            "{http://open-paas.org/contacts}source" if book.instance().is_some() => {
                json!(self.json_href(book.source()))
            }
            "{http://open-paas.org/contacts}subscription-type" if book.instance().is_some() => {
                json!(if is_subscription(book) { "public" } else { "delegation" })
            }
            "acl" => {
                let acl = self.acl_of_book(book).await?;
                json!(acl.into_iter().filter(|ace| ace.concerns(&me)).collect::<Vec<_>>())
            }
            "uri" => json!(book.uri),
            "{http://open-paas.org/contacts}type" => json!(book.source().props.book.kind),
            "{http://open-paas.org/contacts}state" => json!(book.source().props.book.state),
            "{http://open-paas.org/contacts}numberOfContacts" => json!(self.server.count_cards(book.id).await?),
            _ => return Ok(None),
        }))
    }

    /// Shares a book, publishes it, or answers an invitation to one.
    pub(super) async fn post_to_book(&self, body: Json) -> Result<Response<Body>, DavError> {
        let Location::Collection { space, home, uri } = &self.location else {
            return Err(DavError::no_node(&self.path));
        };
        let book = self.server.sight(&self.who, *space, *home, uri).await?;
        if self.is_of_domain(&book) {
            // It is made of the directory: nobody shares it (dav §13.2).
            return Err(DavError::method_not_allowed("The address book of a domain cannot be shared"));
        }
        if let Some(share) = body.get("dav:share-resource") {
            self.share(&book, &sharees(share)?).await?;
        } else if let Some(reply) = body.get("dav:invite-reply") {
            let accepted = reply.get("dav:invite-accepted").and_then(Value::as_bool);
            let accepted = accepted.ok_or_else(|| DavError::bad_request("An invite-reply accepts or declines"))?;
            let status = if accepted { InviteStatus::Accepted } else { InviteStatus::Declined };
            let name = reply.get("dav:slug").and_then(Value::as_str).filter(|name| !name.is_empty());
            self.invite_reply(&book, status, name.map(str::to_owned)).await?;
        } else if let Some(publish) = body.get("dav:publish-addressbook") {
            let privilege = publish.get("privilege").and_then(Value::as_str);
            let privilege = privilege.filter(|privilege| [READ, WRITE].contains(privilege));
            let privilege =
                privilege.ok_or_else(|| DavError::bad_request("A book is published to read or to write"))?;
            self.publish_book(&book, PublicRight::of_privilege(privilege)).await?;
        } else if body.get("dav:unpublish-addressbook") == Some(&Value::Bool(true)) {
            self.publish_book(&book, None).await?;
        } else {
            return Err(DavError::bad_request("The body asks for nothing that is known here"));
        }
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }

    async fn publish_book(&self, book: &Sight, right: Option<PublicRight>) -> Result<(), DavError> {
        self.server.require(book, &self.location, Need::Share)?;
        self.set_public_right(book, right).await
    }

    /// Answers the program with the homes of its domain that hold books.
    pub(super) async fn all_books(&self) -> Result<Response<Body>, DavError> {
        let Tenant::Technical(domain) = self.who else { return Err(DavError::forbidden("Only technical users")) };
        let pages = Homes { server: self.server.clone(), domain, after: None, has_written: false };
        chunked::body("[", pages, "]", JSON_TYPE).await
    }
}

/// Reads whom a book is to be shared with. 4 takes it back; the owner's own number means nobody.
fn sharees(share: &Value) -> Result<Vec<Sharee>, DavError> {
    let list = share.get("dav:sharee").and_then(Value::as_array);
    let list = list.ok_or_else(|| DavError::bad_request("share-resource needs sharees"))?;
    let mut sharees = Vec::new();
    for item in list {
        let number = item.get("dav:share-access").and_then(Value::as_i64);
        let number = number.ok_or_else(|| DavError::bad_request("A sharee needs a dav:share-access"))?;
        let access = Access::of_number(number).filter(|access| *access != Access::FreeBusy);
        if access.is_some() || number == NO_ACCESS {
            sharees.push(Sharee { href: href_of(item)?, access, name: None });
        }
    }
    Ok(sharees)
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
