//! Rows of what people have of other people's collections: `calendarinstances` but the owner's, `calendarsubscriptions`,
//! `sharedaddressbooks` and `addressbooksubscriptions` (dav §14). The first and the third name the collection by its id, the
//! others by its path.

use std::collections::HashSet;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::MongoDav;
use super::collections::{self, Found, OURS};
use super::load::{owners, with_faces};
use super::place::{Place, Shelf, collection_id, home_of, principals_of, row_id};
use super::value;
use super::via::Via;
use crate::ids::{CollectionId, HomeId};
use crate::mongo::{Failure, id, oid};
use crate::store::{
    Access, Collection, CollectionKind, CollectionProps, Delegation, Instance, InviteStatus, PublicRight, Shared, Tie,
};

/// The collections of rows of instances.
pub(super) const TABLES: [Table; 4] = [Table::Calendars, Table::Subscriptions, Table::Books, Table::BookSubscriptions];

/// A collection of rows of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Calendars,
    Subscriptions,
    Books,
    BookSubscriptions,
}

impl Table {
    pub(super) fn of(instance: &Instance) -> Self {
        match (instance.kind, &instance.tie) {
            (kind, Tie::Delegation(_)) => Self::of_given(kind),
            (CollectionKind::AddressBook, Tie::Subscription { .. }) => Self::BookSubscriptions,
            (_, Tie::Subscription { .. }) => Self::Subscriptions,
        }
    }

    /// Where it is written what owners gave of collections of this kind.
    pub(super) const fn of_given(kind: CollectionKind) -> Self {
        match kind {
            CollectionKind::AddressBook => Self::Books,
            CollectionKind::Calendar | CollectionKind::Inbox | CollectionKind::Outbox => Self::Calendars,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Calendars => "calendarinstances",
            Self::Subscriptions => "calendarsubscriptions",
            Self::Books => "sharedaddressbooks",
            Self::BookSubscriptions => "addressbooksubscriptions",
        }
    }

    const fn kind(self) -> CollectionKind {
        match self {
            Self::Calendars | Self::Subscriptions => CollectionKind::Calendar,
            Self::Books | Self::BookSubscriptions => CollectionKind::AddressBook,
        }
    }

    /// What is in it of a collection.
    pub(super) fn showing(self, source: &Collection) -> Document {
        let id = row_id(source.id);
        match self {
            Self::Calendars => doc! { "calendarid": id, "access": { "$gt": 1 } },
            Self::Books => doc! { "addressbookid": id },
            Self::Subscriptions | Self::BookSubscriptions => {
                let sources = collections::source_of(Shelf::of(self.kind()), source.home, &source.uri);
                doc! { "source": { "$in": sources.to_vec() } }
            }
        }
    }

    /// What is in it of a home.
    pub(super) fn within(self, home: HomeId, uri: Option<&str>) -> Document {
        let mut filter = doc! { "principaluri": { "$in": principals_of(home).to_vec() } };
        if let Some(uri) = uri {
            filter.insert("uri", uri);
        }
        if self == Self::Calendars {
            filter.insert("access", doc! { "$gt": 1 });
        }
        filter
    }
}

/// What a row points at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Points {
    At(CollectionId),
    To(HomeId, String),
}

/// A row, before what it points at is known.
pub(super) struct Pointing {
    to: Points,
    kind: CollectionKind,
    id: ObjectId,
    pub(super) home: HomeId,
    pub(super) uri: String,
    pub(super) props: CollectionProps,
    pub(super) tie: Tie,
    /// The first token that was told where it stands.
    pub(super) since: Option<u64>,
    /// Tells the order of creation.
    made: ObjectId,
}

impl Pointing {
    /// Reads a row; `None` for what gives nobody anything.
    pub(super) fn read(table: Table, row: &Document) -> Option<Self> {
        let ours = value::inner(row, OURS);
        if ours.is_some_and(|ours| ours.contains_key("pending")) {
            return None;
        }
        let delegation = |access: &str| {
            Some(Tie::Delegation(Delegation {
                access: Access::of_number(value::number(row.get(access))?)?,
                status: value::number(row.get("share_invitestatus"))
                    .and_then(InviteStatus::of_number)
                    .unwrap_or(InviteStatus::Accepted),
                href: value::text(row.get("share_href")).unwrap_or_default(),
                name: value::words(row.get("share_displayname")),
                hidden: row.get_bool("hidden").unwrap_or(false),
            }))
        };
        let named = |field: &str| value::object_id(row.get(field)).map(|id| Points::At(collection_id(id)));
        let (to, tie) = match table {
            Table::Calendars => (named("calendarid")?, delegation("access")?),
            Table::Books => (named("addressbookid")?, delegation("share_access")?),
            Table::Subscriptions | Table::BookSubscriptions => {
                let source = value::text(row.get("source"))?;
                let mut parts = source.trim_matches('/').splitn(3, '/').skip(1);
                let home = parts.next()?.parse().ok()?;
                let uri = parts.next()?.trim_end_matches(".json").to_owned();
                let writes = match row.get("privilege") {
                    Some(Bson::Array(all)) => all.iter().any(|p| p.as_str().is_some_and(|p| p.contains("write"))),
                    _ => false,
                };
                (Points::To(home, uri), Tie::Subscription { writes })
            }
        };
        Some(Self {
            to,
            kind: table.kind(),
            id: value::object_id(row.get("_id"))?,
            home: home_of(&value::text(row.get("principaluri"))?)?,
            uri: value::text(row.get("uri"))?,
            props: match table {
                Table::Calendars => collections::face_props(row),
                _ => CollectionProps {
                    displayname: value::words(row.get("displayname")),
                    description: value::words(row.get("description")),
                    color: value::words(row.get("calendarcolor")),
                    order: value::number(row.get("calendarorder")),
                    ..ours.and_then(|ours| collections::json(ours, "props")).unwrap_or_default()
                },
            },
            tie,
            since: ours.and_then(|ours| value::number(ours.get("since"))).and_then(|since| u64::try_from(since).ok()),
            made: ours
                .and_then(|ours| value::object_id(ours.get("made")))
                .or_else(|| value::object_id(row.get("_id")))?,
        })
    }

    fn showing(self, of: CollectionId) -> Instance {
        let Self { kind, home, uri, props, tie, .. } = self;
        Instance { id: id(self.id), of, kind, home, uri, props, tie }
    }
}

/// The row of a new instance of a collection; `made` tells the order of creation.
pub(super) fn new_row(
    (new, since): (&Instance, Option<u64>),
    principal: &str,
    source: &Collection,
    made: ObjectId,
    now: i64,
) -> Document {
    let mut row = doc! { "_id": oid(new.id), "principaluri": principal, "uri": &new.uri };
    let table = Table::of(new);
    match table {
        Table::Calendars => {
            row.insert("calendarid", row_id(new.of));
            if let Some(right) = &source.public_right {
                row.insert("public_right", right.privilege());
            }
        }
        Table::Books => drop(row.insert("addressbookid", row_id(new.of))),
        Table::Subscriptions | Table::BookSubscriptions => {
            let [path, _] = collections::source_of(Shelf::of(new.kind), source.home, &source.uri);
            row.insert("source", path);
            row.insert("lastmodified", value::int(now));
        }
    }
    row.extend(fields(new));
    let mut ours = doc! { "made": made };
    if let Some(since) = since {
        ours.insert("since", value::count(since));
    }
    ours.extend(our_fields(new).into_iter().map(|(field, value)| (field.to_owned(), value)));
    row.insert(OURS, ours);
    row
}

/// What a replaced instance says now, as an update; `since` where that was not known before.
pub(super) fn update(new: &Instance, since: Option<u64>, rev: ObjectId) -> Document {
    let mut set = fields(new);
    if let Some(since) = since {
        set.insert("convoke.since", value::count(since));
    }
    if let Some(given) = new.delegation() {
        set.insert("hidden", given.hidden);
    }
    set.insert("convoke.rev", rev);
    set.extend(our_fields(new).into_iter().map(|(field, value)| (format!("convoke.{field}"), value)));
    doc! { "$set": set }
}

fn fields(new: &Instance) -> Document {
    let props = &new.props;
    let mut fields = match Table::of(new) {
        Table::Calendars => collections::calendar_fields(props),
        Table::Subscriptions => doc! {
            "displayname": collections::optional(props.displayname.as_deref()),
            "calendarcolor": collections::optional(props.color.as_deref()),
            "calendarorder": props.order.map_or(Bson::Null, value::int),
        },
        Table::Books | Table::BookSubscriptions => collections::book_fields(props),
    };
    match &new.tie {
        Tie::Delegation(given) => {
            let access = if new.kind == CollectionKind::AddressBook { "share_access" } else { "access" };
            fields.insert(access, given.access.number());
            fields.insert("share_invitestatus", given.status.number());
            fields.insert("share_href", &given.href);
            if given.name.is_some() || new.kind == CollectionKind::AddressBook {
                fields.insert("share_displayname", collections::optional(given.name.as_deref()));
            }
            if given.hidden {
                fields.insert("hidden", true);
            }
        }
        Tie::Subscription { writes } if new.kind == CollectionKind::AddressBook => {
            let privileges = if *writes { vec!["dav:read", "dav:write"] } else { vec!["dav:read"] };
            fields.insert("privilege", privileges);
        }
        Tie::Subscription { .. } => {}
    }
    fields
}

/// What has no field of its own (see `collections`).
fn our_fields(new: &Instance) -> Vec<(&'static str, Bson)> {
    let props = &new.props;
    match Table::of(new) {
        Table::Calendars if props.dead.is_empty() => Vec::new(),
        Table::Calendars => vec![("dead", collections::as_json(&props.dead).into())],
        _ => vec![("props", collections::as_json(props).into())],
    }
}

impl MongoDav {
    /// What a home has of other people's collections; at one path, where that is given.
    pub(super) async fn shared_within(&self, home: HomeId, uri: Option<&str>) -> Result<Vec<Shared>, Failure> {
        let mut rows = self.pointing(|table| table.within(home, uri)).await?;
        rows.sort_by_key(|row| (row.props.order.unwrap_or(i64::MAX), row.made.bytes()));
        let sources = self.sources_of(&rows).await?;
        let mut shared: Vec<Shared> = Vec::with_capacity(rows.len());
        for row in rows {
            let source = sources.iter().find(|found| {
                let c = &found.collection;
                Shelf::of(row.kind) == found.place.shelf
                    && match &row.to {
                        Points::At(id) => c.id == *id,
                        Points::To(home, uri) => c.home == *home && c.uri == *uri,
                    }
            });
            if let Some(source) = source.map(|found| found.collection.clone()) {
                let since = row.since;
                shared.push(Shared { instance: row.showing(source.id), source, since });
            }
        }
        for found in sources {
            self.places.insert(found.collection.id, found.place);
        }
        Ok(shared)
    }

    /// What others, or those of one home, have of a collection.
    pub(super) async fn instances_of(
        &self,
        source: &Collection,
        home: Option<HomeId>,
    ) -> Result<Vec<Instance>, Failure> {
        let rows = self
            .pointing(|table| {
                let mut filter = home.map(|home| table.within(home, None)).unwrap_or_default();
                filter.extend(table.showing(source));
                filter
            })
            .await?;
        // A path and an id may both be there for another kind.
        let mut rows: Vec<Pointing> =
            rows.into_iter().filter(|row| Shelf::of(row.kind) == Shelf::of(source.kind)).collect();
        rows.sort_by_key(|row| (matches!(row.tie, Tie::Subscription { .. }), row.made.bytes()));
        Ok(rows.into_iter().map(|row| row.showing(source.id)).collect())
    }

    async fn pointing(&self, filter: impl Fn(Table) -> Document) -> Result<Vec<Pointing>, Failure> {
        let find = async |table: Table| {
            let rows = Via::plain(&self.mongo).find(table.name(), filter(table), doc! {}).await?;
            Ok::<_, Failure>(rows.iter().filter_map(|row| Pointing::read(table, row)).collect::<Vec<_>>())
        };
        let [calendars, subscriptions, books, of_books] = TABLES;
        let (mut all, b, c, d) =
            futures_util::try_join!(find(calendars), find(subscriptions), find(books), find(of_books))?;
        all.extend(b.into_iter().chain(c).chain(d));
        Ok(all)
    }

    /// The collections that rows point at.
    async fn sources_of(&self, rows: &[Pointing]) -> Result<Vec<Found>, Failure> {
        let (mut ids, mut paths) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        let mut seen = HashSet::new();
        for row in rows.iter().filter(|row| seen.insert((row.kind, &row.to))) {
            let at = usize::from(row.kind == CollectionKind::AddressBook);
            match &row.to {
                Points::At(id) => ids[at].push(Bson::ObjectId(row_id(*id))),
                Points::To(home, uri) => {
                    paths[at].push(doc! { "principaluri": { "$in": principals_of(*home).to_vec() }, "uri": uri });
                }
            }
        }
        let [mut calendars, books] = ids;
        let [to_calendars, mut to_books] = paths;
        let mut via = Via::plain(&self.mongo);
        if !to_calendars.is_empty() {
            let filter = doc! { "$or": to_calendars, "access": owners() };
            let faces = via.find("calendarinstances", filter, doc! { "calendarid": 1 }).await?;
            calendars.extend(faces.iter().filter_map(|f| value::object_id(f.get("calendarid"))).map(Bson::ObjectId));
        }
        let mut found = Vec::new();
        if !calendars.is_empty() {
            let heads = via.find("calendars", doc! { "_id": { "$in": calendars } }, doc! {}).await?;
            found.extend(with_faces(&mut via, Shelf::Calendars, &heads).await?);
        }
        if !books.is_empty() {
            to_books.push(doc! { "_id": { "$in": books } });
        }
        if !to_books.is_empty() {
            let rows = via.find("addressbooks", doc! { "$or": to_books }, doc! {}).await?;
            found.extend(rows.iter().filter_map(collections::book));
        }
        Ok(found)
    }
}

/// The update that sets the public right of a collection, on the rows that esn-sabre looks for it in: collection, filter,
/// update.
pub(super) fn set_public_right(place: &Place, right: Option<&PublicRight>) -> (&'static str, Document, Document) {
    let filter = match place.shelf {
        Shelf::Calendars => doc! { "calendarid": place.id },
        Shelf::Books | Shelf::Boxes => doc! { "_id": place.id },
    };
    let right = right.map_or("", PublicRight::privilege);
    (place.shelf.faces(), filter, doc! { "$set": { "public_right": right } })
}
