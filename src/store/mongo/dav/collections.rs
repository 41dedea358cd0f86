//! Rows of collections: `calendars` with the owner's row of `calendarinstances`, `addressbooks`, `convoke_boxes`.
//!
//! What dav §14 has no field for is in a document of our own in the row, `convoke`, and is never required:
//!
//! | field | of | meaning |
//! |---|---|---|
//! | `made` | path and properties | an id whose order is that of creation |
//! | `rev` | path and properties, and objects | changes with every write of ours |
//! | `dead` | calendars | dead properties, JSON |
//! | `props` | books and boxes | properties for which there is no field, JSON |
//! | `since` | what others have | the first token that was told where it stands |
//! | `turn` | with the sync token | whose transaction is at it; means nothing afterwards |
//! | `batch` | with the sync token | the batch that was counted last, without transactions |
//! | `any` | `calendars` | any component type is welcome, whatever `components` says |
//! | `octets`, `objects` | with the sync token, but of inboxes | what is in it; absent until somebody wants to know |
//! | `oldest` | with the sync token | the first token that means anything here |
//! | `pending` | everything | a write on a standalone server that is not decided: as if the row were not there |

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::place::{Place, Shelf, collection_id, home_of, row_id};
use super::value;
use crate::ids::HomeId;
use crate::store::{BookProps, Collection, CollectionKind, CollectionProps, PublicRight, Usage};

/// Our own document in a row.
pub(super) const OURS: &str = "convoke";
/// `access` of the owner's instance (dav §7). Old rows have none, or 0 for "not shared".
const OWNER: i64 = 1;
/// `share_invitestatus`: accepted.
const ACCEPTED: i32 = 2;
/// Component types of a calendar that takes any, for those who do not know `convoke.any`.
const ANY: [&str; 3] = ["VEVENT", "VTODO", "VJOURNAL"];
/// `privilege` of a book about which its creator said nothing.
const USUAL_PRIVILEGES: [&str; 2] = ["dav:read", "dav:write"];
/// What everybody of the domain may do with a resource's calendar.
const RESOURCE_RIGHT: &str = "{DAV:}read";

/// A collection as its rows tell.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) collection: Collection,
    pub(super) place: Place,
    pub(super) principal: String,
    /// Id of the row with path and properties.
    pub(super) face: Bson,
    /// `convoke.rev` of that row.
    pub(super) rev: Bson,
    /// `convoke.rev` of the row with the token, where that is another.
    pub(super) head_rev: Bson,
    /// The token as it is stored.
    pub(super) stored_token: Bson,
    /// The first token that means anything here.
    pub(super) oldest: u64,
    /// Tells the order of creation.
    pub(super) made: ObjectId,
    /// There is a row; an inbox that esn-sabre knows has none.
    pub(super) has_row: bool,
    /// What is in it, where that was counted.
    pub(super) usage: Option<Usage>,
}

fn is_pending(row: &Document) -> bool {
    value::inner(row, OURS).is_some_and(|ours| ours.contains_key("pending"))
}

/// Whether an instance is the owner's.
pub(super) fn is_owners(instance: &Document) -> bool {
    value::number(instance.get("access")).unwrap_or(OWNER) <= OWNER
}

/// Whether we made the row.
pub(super) fn is_ours(row: &Document) -> bool {
    value::inner(row, OURS).is_some_and(|ours| ours.contains_key("made"))
}

/// A calendar from its row and the owner's instance; `None` for what is not a calendar with an owner.
pub(super) fn calendar(head: &Document, face: &Document) -> Option<Found> {
    if !is_owners(face) || is_pending(face) {
        return None;
    }
    let id = value::object_id(head.get("_id"))?;
    let props = CollectionProps { components: components(head), ..face_props(face) };
    found(Place::calendar(id), CollectionKind::Calendar, head, face, props)
}

/// The properties in an instance of a calendar.
pub(super) fn face_props(face: &Document) -> CollectionProps {
    CollectionProps {
        displayname: value::words(face.get("displayname")),
        description: value::words(face.get("description")),
        timezone: value::words(face.get("timezone")),
        color: value::words(face.get("calendarcolor")),
        order: value::number(face.get("calendarorder")),
        transparent: value::number(face.get("transparent")).unwrap_or(0) != 0,
        components: Vec::new(),
        default_calendar: None,
        book: BookProps::default(),
        dead: value::inner(face, OURS).and_then(|ours| json(ours, "dead")).unwrap_or_default(),
    }
}

/// An address book.
pub(super) fn book(row: &Document) -> Option<Found> {
    if is_pending(row) {
        return None;
    }
    let props = CollectionProps {
        displayname: value::words(row.get("displayname")),
        description: value::words(row.get("description")),
        book: BookProps {
            kind: value::words(row.get("type")).unwrap_or_default(),
            state: value::words(row.get("state")).unwrap_or_default(),
            privileges: privileges(row),
        },
        ..value::inner(row, OURS).and_then(|ours| json(ours, "props")).unwrap_or_default()
    };
    let place = Place::book(value::object_id(row.get("_id"))?);
    found(place, CollectionKind::AddressBook, row, row, props)
}

/// What a book's creator wanted to be possible with it; nothing where that is the usual.
fn privileges(row: &Document) -> Vec<String> {
    let words = row.get_array("privilege").map(Vec::as_slice).unwrap_or_default();
    let words: Vec<String> = words.iter().filter_map(|word| value::words(Some(word))).collect();
    if words == USUAL_PRIVILEGES { Vec::new() } else { words }
}

/// An inbox or outbox.
pub(super) fn in_box(row: &Document) -> Option<Found> {
    if is_pending(row) {
        return None;
    }
    let kind = match row.get_str("kind").ok()? {
        "inbox" => CollectionKind::Inbox,
        "outbox" => CollectionKind::Outbox,
        _ => return None,
    };
    let props = value::inner(row, OURS).and_then(|ours| json(ours, "props")).unwrap_or_default();
    let (principal, uri) = (row.get_str("principaluri").ok()?, row.get_str("uri").ok()?);
    let place = Place::in_box(value::object_id(row.get("_id"))?, principal, uri);
    found(place, kind, row, row, props)
}

/// The inbox or outbox that a home has without a row; as old as the calendar of its owner.
pub(super) fn box_without_row(kind: CollectionKind, uri: &str, id: ObjectId, calendar: &Document) -> Option<Found> {
    let principal = &value::text(calendar.get("principaluri"))?;
    let made = value::object_id(calendar.get("_id")).unwrap_or(id);
    let row = doc! { "_id": id, "principaluri": principal, "uri": uri, "synctoken": 1, OURS: { "made": made } };
    let place = Place::in_box(id, principal, uri);
    let found = found(place, kind, &row, &row, CollectionProps::default())?;
    Some(Found { has_row: false, ..found })
}

fn found(
    place: Place,
    kind: CollectionKind,
    head: &Document,
    face: &Document,
    props: CollectionProps,
) -> Option<Found> {
    let principal = value::text(face.get("principaluri"))?;
    let face_id = face.get("_id")?.clone();
    let rev = |row| value::inner(row, OURS).and_then(|ours| ours.get("rev")).cloned().unwrap_or(Bson::Null);
    let made = value::inner(face, OURS).and_then(|ours| value::object_id(ours.get("made")));
    Some(Found {
        collection: Collection {
            id: collection_id(place.id),
            home: home_of(&principal)?,
            kind,
            uri: value::text(face.get("uri"))?,
            props,
            sync_token: token(head),
            public_right: value::words(face.get("public_right")).as_deref().and_then(PublicRight::of_privilege),
        },
        made: made.or_else(|| value::object_id(Some(&face_id))).unwrap_or(place.id),
        oldest: value::inner(head, OURS).and_then(|ours| unsigned(ours.get("oldest"))).unwrap_or(1),
        stored_token: head.get("synctoken").cloned().unwrap_or(Bson::Null),
        rev: rev(face),
        head_rev: rev(head),
        face: face_id,
        usage: usage(head),
        place,
        principal,
        has_row: true,
    })
}

/// The number of the last change.
pub(super) fn token(head: &Document) -> u64 {
    unsigned(head.get("synctoken")).unwrap_or(1).max(1)
}

/// What is in a collection, where that was counted.
pub(super) fn usage(head: &Document) -> Option<Usage> {
    let ours = value::inner(head, OURS)?;
    // Below nothing where another program removed what it had put there.
    let number = |field| value::number(ours.get(field)).map(|n| u64::try_from(n).unwrap_or(0));
    Some(Usage { octets: number("octets")?, objects: number("objects")? })
}

fn unsigned(value: Option<&Bson>) -> Option<u64> {
    value::number(value).and_then(|n| u64::try_from(n).ok())
}

fn components(head: &Document) -> Vec<String> {
    if value::inner(head, OURS).is_some_and(|ours| ours.get_bool("any").unwrap_or(false)) {
        return Vec::new();
    }
    match head.get("components") {
        Some(Bson::Array(types)) => types.iter().filter_map(|t| value::words(Some(t))).collect(),
        // PHP writes a list with a gap as a document; some old rows are one text with commas.
        Some(Bson::Document(types)) => types.values().filter_map(|t| value::words(Some(t))).collect(),
        Some(Bson::String(types)) => types.split(',').map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn json<T: serde::de::DeserializeOwned>(ours: &Document, field: &str) -> Option<T> {
    serde_json::from_str(ours.get_str(field).ok()?).ok()
}

pub(super) fn as_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The order in which a home lists its collections.
pub(super) fn in_order(mut found: Vec<Found>) -> Vec<Collection> {
    found.sort_by_key(|f| {
        let order = f.collection.props.order.unwrap_or(i64::MAX);
        (!f.collection.is_default(), order, f.made.bytes(), f.place.shelf, f.collection.kind)
    });
    found.into_iter().map(|f| f.collection).collect()
}

/// A collection that is about to be made.
#[derive(Debug, Clone)]
pub(super) struct New {
    pub(super) collection: Collection,
    pub(super) principal: String,
    /// The token it starts with.
    pub(super) oldest: u64,
    /// Id that tells the order of creation; of the instance, too.
    pub(super) made: ObjectId,
    /// What is in it from the beginning.
    pub(super) usage: Usage,
}

impl New {
    pub(super) fn place(&self) -> Place {
        let id = row_id(self.collection.id);
        match Shelf::of(self.collection.kind) {
            Shelf::Calendars => Place::calendar(id),
            Shelf::Books => Place::book(id),
            Shelf::Boxes => Place::in_box(id, &self.principal, &self.collection.uri),
        }
    }

    /// The rows of it: the one with the token first, the one with the path last.
    pub(super) fn rows(&self) -> Vec<(&'static str, Document)> {
        let Collection { id, kind, uri, props, sync_token, .. } = &self.collection;
        let shelf = Shelf::of(*kind);
        let mut head = doc! { "_id": row_id(*id), "synctoken": value::count(*sync_token) };
        let mut ours = doc! { "made": self.made };
        if self.oldest > 1 {
            ours.insert("oldest", value::count(self.oldest));
        }
        if shelf != Shelf::Boxes {
            ours.insert("octets", value::count(self.usage.octets));
            ours.insert("objects", value::count(self.usage.objects));
        }
        if shelf == Shelf::Calendars {
            head.extend(component_fields(props));
            let any = props.components.is_empty();
            ours.remove("made");
            if any {
                ours.insert("any", true);
            }
            head.insert(OURS, ours);
            return vec![(shelf.heads(), head), (shelf.faces(), self.instance(uri, props))];
        }
        head.insert("principaluri", &self.principal);
        head.insert("uri", uri);
        if shelf == Shelf::Books {
            head.extend(book_fields(props));
            head.extend(book_marks(&props.book));
            if let Some(right) = &self.collection.public_right {
                head.insert("public_right", right.privilege());
            }
        } else {
            head.insert("kind", if *kind == CollectionKind::Inbox { "inbox" } else { "outbox" });
        }
        ours.insert("props", as_json(props));
        head.insert(OURS, ours);
        vec![(shelf.heads(), head)]
    }

    fn instance(&self, uri: &str, props: &CollectionProps) -> Document {
        let mut face = doc! {
            "_id": self.made,
            "principaluri": &self.principal,
            "uri": uri,
            "access": 1,
            "share_invitestatus": ACCEPTED,
            "calendarid": row_id(self.collection.id),
        };
        face.extend(calendar_fields(props));
        if let Some(right) = &self.collection.public_right {
            face.insert("public_right", right.privilege());
        } else if self.principal.starts_with("principals/resources/") {
            face.insert("public_right", RESOURCE_RIGHT);
        }
        let mut ours = doc! { "made": self.made };
        if !props.dead.is_empty() {
            ours.insert("dead", as_json(&props.dead));
        }
        face.insert(OURS, ours);
        face
    }
}

/// Properties of a calendar in its instance. All are written, for esn-sabre expects them to be there.
pub(super) fn calendar_fields(props: &CollectionProps) -> Document {
    doc! {
        "displayname": optional(props.displayname.as_deref()),
        "description": optional(props.description.as_deref()),
        "timezone": optional(props.timezone.as_deref()),
        "calendarorder": props.order.map_or(Bson::Null, value::int),
        "calendarcolor": optional(props.color.as_deref()),
        "transparent": i32::from(props.transparent),
    }
}

fn component_fields(props: &CollectionProps) -> Document {
    let types: Vec<String> =
        if props.components.is_empty() { ANY.map(str::to_owned).to_vec() } else { props.components.clone() };
    doc! { "components": types }
}

/// Properties of an address book that have fields.
pub(super) fn book_fields(props: &CollectionProps) -> Document {
    doc! {
        "displayname": props.displayname.as_deref().unwrap_or_default(),
        "description": props.description.as_deref().unwrap_or_default(),
    }
}

/// What is said of an address book alone.
fn book_marks(book: &BookProps) -> Document {
    let privileges = match book.privileges.is_empty() {
        true => USUAL_PRIVILEGES.map(str::to_owned).to_vec(),
        false => book.privileges.clone(),
    };
    let mut marks = doc! { "privilege": privileges, "type": &book.kind };
    if !book.state.is_empty() {
        marks.insert("state", &book.state);
    }
    marks
}

pub(super) fn optional(text: Option<&str>) -> Bson {
    text.map_or(Bson::Null, |text| Bson::String(text.to_owned()))
}

/// Updates that replace the properties of a collection and leave every other field: collection, filter, update.
pub(super) fn set_props(
    found: &Found,
    props: &CollectionProps,
    rev: ObjectId,
) -> Vec<(&'static str, Document, Document)> {
    let shelf = found.place.shelf;
    let face = doc! { "_id": found.face.clone(), "convoke.rev": found.rev.clone() };
    let mut set = match shelf {
        Shelf::Calendars => calendar_fields(props),
        Shelf::Books => {
            let mut fields = book_fields(props);
            fields.extend(book_marks(&props.book));
            fields
        }
        Shelf::Boxes => Document::new(),
    };
    set.insert("convoke.rev", rev);
    if shelf != Shelf::Calendars {
        set.insert("convoke.props", as_json(props));
        return vec![(shelf.faces(), face, doc! { "$set": set })];
    }
    set.insert("convoke.dead", as_json(&props.dead));
    let mut updates = vec![(shelf.faces(), face, doc! { "$set": set })];
    if props.components != found.collection.props.components {
        let head = doc! { "_id": found.place.id, "convoke.rev": found.head_rev.clone() };
        let mut set = component_fields(props);
        set.insert("convoke.any", props.components.is_empty());
        set.insert("convoke.rev", rev);
        updates.push((shelf.heads(), head, doc! { "$set": set }));
    }
    updates
}

/// The collection that a row of `calendarsubscriptions` or of its likes for books points at.
pub(super) fn source_of(shelf: Shelf, home: HomeId, uri: &str) -> [String; 2] {
    let kind = if shelf == Shelf::Books { "addressbooks" } else { "calendars" };
    [format!("{kind}/{home}/{uri}"), format!("/{kind}/{home}/{uri}")]
}
