//! Who may do what with which collection (dav §3, §7, §9, §13.3): the one place where it is decided.
//!
//! In come who acts and where; out goes a [`Sight`], which knows the collection that is really touched, how it is shown at
//! this place, what may be done with it, and what may be seen of private events; or the refusal. Nothing reaches an object
//! of a store but through here.

use std::ops::Deref;

use http::StatusCode;

use super::access::{Relation, no_object, space_of};
use super::private::{Seen, is_private, seen_by_others};
use super::tenant::Tenant;
use super::{Inner, Server};
use crate::dav::announce::shown_name;
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::ids::HomeId;
use crate::store::home::DOMAIN_MEMBERS;
use crate::store::{Access, Collection, CollectionKind, Instance, Object, Op, PublicRight, Shared, Tie};

/// What somebody wants to do (RFC 3744 §3, dav §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Know when the owner is busy.
    FreeBusy,
    Read,
    /// Overwrite an object.
    WriteContent,
    /// Add an object.
    Bind,
    /// Take an object away.
    Unbind,
    /// Set properties of the place itself.
    WriteProperties,
    /// Share it with others, and give public rights.
    Share,
}

impl Need {
    /// Name of the privilege, with its prefix.
    pub(super) const fn privilege(self) -> &'static str {
        match self {
            Self::FreeBusy => "cal:read-free-busy",
            Self::Read => "d:read",
            Self::WriteContent => "d:write-content",
            Self::Bind => "d:bind",
            Self::Unbind => "d:unbind",
            Self::WriteProperties => "d:write-properties",
            Self::Share => "d:share",
        }
    }

    const fn is_read(self) -> bool {
        matches!(self, Self::FreeBusy | Self::Read)
    }
}

/// What the actor is to a collection at some place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is the actor's own.
    Owner,
    /// The actor is the program, on behalf of the domain of its owner.
    Technical,
    /// Its owner gave the actor this access.
    Delegate(Access),
    /// The actor subscribed to it; the public right decides, and nothing that was given to the actor besides.
    Subscriber,
    /// The actor is of the owner's domain; the public right decides.
    Colleague,
    /// It is the address book of the people of the actor's domain.
    Member,
    /// It is in the home of a third person: what is shared with somebody is nobody else's business.
    Stranger,
}

impl Standing {
    const fn grants(self, need: Need) -> bool {
        match self {
            Self::Owner | Self::Technical => true,
            Self::Delegate(access) => match need {
                Need::FreeBusy => true,
                Need::Read | Need::WriteProperties => access.reads(),
                Need::WriteContent | Need::Bind | Need::Unbind => access.writes(),
                Need::Share => matches!(access, Access::Administration),
            },
            Self::Subscriber => matches!(need, Need::WriteProperties),
            Self::Member => need.is_read(),
            Self::Colleague | Self::Stranger => false,
        }
    }
}

/// A collection as the actor meets it at some place.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    /// As it is shown there: home, segment and properties are those of the place; id, token and public right those of the
    /// collection itself.
    shown: Collection,
    /// What is there, where it is not the collection of its owner.
    through: Option<Box<Shared>>,
    pub(super) standing: Standing,
    /// With whom it is shared, where that was read.
    pub(super) sharees: Vec<Instance>,
    /// It belongs to a team, whose members have no secrets from each other in it (dav §12).
    of_team: bool,
}

impl Deref for Sight {
    type Target = Collection;

    fn deref(&self) -> &Collection {
        &self.shown
    }
}

impl Sight {
    /// A collection where its owner has it.
    pub(super) fn direct(collection: Collection, standing: Standing) -> Self {
        Self { shown: collection, through: None, standing, sharees: Vec::new(), of_team: false }
    }

    /// A collection in the home of somebody else.
    fn through(shared: Shared, standing: Standing) -> Self {
        let Shared { instance, source, .. } = &shared;
        let mut shown = source.clone();
        shown.home = instance.home;
        shown.uri.clone_from(&instance.uri);
        let components = std::mem::take(&mut shown.props.components);
        shown.props = instance.props.clone();
        shown.props.components = components;
        if shown.kind == CollectionKind::Calendar {
            // Where nobody named it, it is shown as its owner sees it.
            shown.props.displayname.get_or_insert_with(|| shown_name(source).to_owned());
        }
        Self { shown, through: Some(Box::new(shared)), standing, sharees: Vec::new(), of_team: false }
    }

    /// As it is shown at this place.
    pub(super) fn shown(&self) -> &Collection {
        &self.shown
    }

    /// Shows it under another name in this answer.
    pub(super) fn rename(&mut self, name: String) {
        self.shown.props.displayname = Some(name);
    }

    /// As its owner has it: what is written is written there, and scheduling happens in that person's name.
    pub(super) fn source(&self) -> &Collection {
        self.through.as_ref().map_or(&self.shown, |shared| &shared.source)
    }

    /// What is at this place, where it is not the collection of its owner.
    pub(super) fn instance(&self) -> Option<&Instance> {
        self.through.as_ref().map(|shared| &shared.instance)
    }

    /// The same with the collection that it shows.
    pub(super) fn shared(&self) -> Option<&Shared> {
        self.through.as_deref()
    }

    /// Whether it is in a home that is the actor's own, and not there by somebody else's leave.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.standing, Standing::Owner | Standing::Technical)
    }

    /// Whether it stands in a home in which the actor may put things and take them away.
    pub(super) fn is_at_home(&self) -> bool {
        self.is_own() || (self.instance().is_some() && self.standing != Standing::Stranger)
    }

    /// Whether the actor may do it.
    pub(super) fn grants(&self, need: Need) -> bool {
        // What it is called where its owner has it is the owner's to say; others name what is in their own home (dav §13.3).
        let is_the_owners = need == Need::WriteProperties && self.through.is_none();
        if is_the_owners && matches!(self.standing, Standing::Delegate(_)) {
            return false;
        }
        self.standing.grants(need) || self.public_grants(need)
    }

    /// Whether everybody of the domain may do it.
    pub(super) fn public_grants(&self, need: Need) -> bool {
        if matches!(self.standing, Standing::Stranger | Standing::Member) || self.is_a_box() {
            return false;
        }
        let right = self.shown.public_right.as_ref();
        match need {
            // Whoever is of the domain may know when somebody is busy (dav §7).
            Need::FreeBusy => self.shown.kind == CollectionKind::Calendar,
            Need::Read => right.is_some_and(PublicRight::reads),
            Need::WriteContent | Need::Bind | Need::Unbind => right.is_some_and(PublicRight::writes),
            Need::WriteProperties | Need::Share => false,
        }
    }

    fn is_a_box(&self) -> bool {
        matches!(self.shown.kind, CollectionKind::Inbox | CollectionKind::Outbox)
    }

    /// The operation that keeps a batch from being written when the actor may not do it any more; none for what is their own,
    /// and where the right is in no document of the collection.
    pub(super) fn expectation(&self, need: Need) -> Option<Op> {
        match self.standing {
            Standing::Owner | Standing::Technical | Standing::Member | Standing::Stranger => None,
            Standing::Delegate(_) if self.standing.grants(need) => self.instance().cloned().map(Op::ExpectInstance),
            Standing::Delegate(_) | Standing::Subscriber | Standing::Colleague => {
                Some(Op::ExpectPublicRight { collection: self.id, right: self.public_right.clone() })
            }
        }
    }

    /// Whether private events are shown as they are.
    pub(super) fn sees_private(&self) -> bool {
        let is_member = self.of_team && matches!(self.standing, Standing::Delegate(access) if access.reads());
        self.standing == Standing::Owner || is_member || self.shown.kind != CollectionKind::Calendar
    }

    /// An object as the actor may see it; `None` for one of which they may see nothing. Its ETag stays that of what is
    /// stored.
    pub(super) fn show(&self, mut object: Object) -> Option<Object> {
        if self.sees_private() {
            return Some(object);
        }
        match seen_by_others(&object.data) {
            Seen::Whole => Some(object),
            Seen::Nothing => None,
            Seen::Reduced(less) => {
                let less = less.into_owned();
                object.meta.size = less.len() as u64;
                object.data = less;
                Some(object)
            }
        }
    }

    /// Refuses to change what the actor sees only in part (dav §10.3). `current` is what is stored.
    pub(super) fn guard(&self, current: &Object) -> Result<(), DavError> {
        if self.sees_private() || !is_private(&current.data) {
            return Ok(());
        }
        Err(DavError::forbidden("You can not modify private events you do not own"))
    }
}

/// What a store holds of a collection, as the actor may see it.
impl Inner {
    /// One object.
    pub(super) async fn object_in(&self, sight: &Sight, name: &str) -> Result<Option<Object>, DavError> {
        Ok(self.store.object(sight.id, name).await?.and_then(|object| sight.show(object)))
    }

    /// The first of these objects, as many as make a page, in the order asked.
    pub(super) async fn objects_in(&self, sight: &Sight, names: &[String]) -> Result<Vec<Option<Object>>, DavError> {
        let found = self.store.objects(sight.id, names).await?;
        Ok(found.into_iter().map(|object| object.and_then(|object| sight.show(object))).collect())
    }
}

impl Server {
    /// A collection at a place, however little the actor may do with it.
    ///
    /// # Errors
    /// 404 when there is none; 403 when the home, or what it shows, belongs to another domain.
    pub(super) async fn sight(&self, who: &Tenant, space: Space, home: HomeId, uri: &str) -> Result<Sight, DavError> {
        let relation = self.relation(who, space, home).await?;
        if relation == Relation::Member && uri != DOMAIN_MEMBERS {
            let place = Location::Collection { space, home, uri: uri.to_owned() };
            return Err(self.needs(&place, Need::Read.privilege()));
        }
        match self.collection(space, home, uri).await {
            Ok(own) => {
                let standing = match relation {
                    Relation::Owner => owner(who),
                    Relation::Member => Standing::Member,
                    Relation::Colleague => self.standing_at_home(who, &own).await?,
                };
                Ok(self.of_team_or_not(Sight::direct(own, standing)))
            }
            Err(error) if error.status == StatusCode::NOT_FOUND => {
                let kind =
                    if space == Space::Calendars { CollectionKind::Calendar } else { CollectionKind::AddressBook };
                let found = self.0.store.shared_at(home, kind, uri).await?;
                let shared = found.filter(|shared| shared.instance.is_shown()).ok_or(error)?;
                self.require_same_domain(who, &shared).await?;
                Ok(self.of_team_or_not(match relation {
                    Relation::Owner => through(who, shared),
                    Relation::Member | Relation::Colleague => Sight::through(shared, Standing::Stranger),
                }))
            }
            Err(error) => Err(error),
        }
    }

    /// What is at the location of a collection or of an object, for an actor who may do this with it.
    ///
    /// # Errors
    /// As [`Server::sight`]; 403 with the privilege that is missing.
    pub(super) async fn see(&self, who: &Tenant, location: &Location, need: Need) -> Result<Sight, DavError> {
        let (Location::Collection { space, home, uri } | Location::Member { space, home, uri, .. }) = location else {
            return Err(DavError::no_node(&location.href()));
        };
        let sight = self.sight(who, *space, *home, uri).await?;
        self.require(&sight, location, need)?;
        Ok(sight)
    }

    /// A collection that the actor may take away from where it is: their own, or what others gave them.
    pub(super) async fn collection_to_unbind(&self, who: &Tenant, location: &Location) -> Result<Sight, DavError> {
        let Location::Collection { space, home, uri } = location else {
            return Err(DavError::no_node(&location.href()));
        };
        let sight = self.sight(who, *space, *home, uri).await?;
        if sight.is_at_home() { Ok(sight) } else { Err(self.needs(location, Need::Unbind.privilege())) }
    }

    /// Refuses what the actor may not do.
    pub(super) fn require(&self, sight: &Sight, location: &Location, need: Need) -> Result<(), DavError> {
        if sight.grants(need) { Ok(()) } else { Err(self.needs(location, need.privilege())) }
    }

    /// Refuses whoever may not put something into a home, or take it away.
    pub(super) async fn require_home(&self, who: &Tenant, space: Space, home: HomeId) -> Result<(), DavError> {
        match self.relation(who, space, home).await? {
            Relation::Owner => Ok(()),
            Relation::Member | Relation::Colleague => {
                Err(self.needs(&Location::Home(space, home), Need::Bind.privilege()))
            }
        }
    }

    /// An object with its collection, as far as the actor may see it.
    ///
    /// # Errors
    /// As [`Server::see`]; 404 when there is no such object.
    pub(super) async fn object(
        &self,
        who: &Tenant,
        location: &Location,
        need: Need,
    ) -> Result<(Sight, Object), DavError> {
        let Location::Member { space, name, .. } = location else {
            return Err(DavError::no_node(&location.href()));
        };
        let sight = self.see(who, location, need).await?;
        match self.0.object_in(&sight, name).await? {
            Some(object) => Ok((sight, object)),
            None => Err(no_object(*space)),
        }
    }

    /// An object that is about to be changed or taken away, with its collection: as it is stored.
    ///
    /// # Errors
    /// As [`Server::object`]; 403 for what the actor sees only in part.
    pub(super) async fn object_to_change(
        &self,
        who: &Tenant,
        location: &Location,
        need: Need,
    ) -> Result<(Sight, Object), DavError> {
        let Location::Member { space, name, .. } = location else {
            return Err(DavError::no_node(&location.href()));
        };
        let sight = self.see(who, location, need).await?;
        let object = self.0.store.object(sight.id, name).await?.ok_or_else(|| no_object(*space))?;
        sight.guard(&object)?;
        Ok((sight, object))
    }

    /// What there is in a home that the actor may do this with, in the order of dav §5: calendars or address books, own
    /// ones and those that others gave, then the scheduling collections, then subscriptions.
    pub(super) async fn sights(
        &self,
        who: &Tenant,
        space: Space,
        home: HomeId,
        need: Need,
    ) -> Result<Vec<Sight>, DavError> {
        let relation = self.relation(who, space, home).await?;
        if relation == Relation::Member {
            return Ok(vec![self.sight(who, space, home, DOMAIN_MEMBERS).await?]);
        }
        let mut sights = Vec::new();
        for own in self.collections(space, home).await? {
            let standing = match relation {
                Relation::Owner => owner(who),
                _ if matches!(own.kind, CollectionKind::Inbox | CollectionKind::Outbox) => continue,
                _ => self.standing_at_home(who, &own).await?,
            };
            sights.push(self.of_team_or_not(Sight::direct(own, standing)));
        }
        if relation == Relation::Owner {
            let shared = self.0.store.shared_in(home).await?;
            for shared in shared.into_iter().filter(|s| s.instance.is_shown() && space_of(s.instance.kind) == space) {
                // What cannot be shown does not keep the rest from being shown.
                if self.require_same_domain(who, &shared).await.is_ok() {
                    sights.push(self.of_team_or_not(through(who, shared)));
                }
            }
        }
        sights.retain(|sight| sight.grants(need));
        // Stable: the store has put each kind in order.
        sights.sort_by_key(|sight| {
            let group = match (sight.kind, sight.instance()) {
                (CollectionKind::Inbox, _) => 1,
                (CollectionKind::Outbox, _) => 2,
                (_, Some(instance)) if instance.delegation().is_none() => 3,
                _ => 0,
            };
            (group, !sight.is_default(), if group == 0 { sight.props.order.unwrap_or(i64::MAX) } else { 0 })
        });
        Ok(sights)
    }

    /// What somebody who is not its owner is to a collection where its owner has it. The address of the owner is not the
    /// way of those it was shared with (dav §7), but for address books (§13.3), and for those who may write where
    /// organizers are validated.
    async fn standing_at_home(&self, who: &Tenant, source: &Collection) -> Result<Standing, DavError> {
        let Some(home) = who.home() else { return Ok(Standing::Colleague) };
        if let Some(access) = self.access_at_home(who, source).await? {
            return Ok(Standing::Delegate(access));
        }
        let is_book = source.kind == CollectionKind::AddressBook;
        let may_come_in = is_book || (source.kind == CollectionKind::Calendar && self.0.settings.organizer_validation);
        if !may_come_in {
            return Ok(Standing::Colleague);
        }
        let instances = self.0.store.instances_for(source, home).await?;
        let access = instances.iter().find_map(Instance::delegation).map(|given| given.access);
        Ok(match access {
            Some(access) if is_book || access.writes() => Standing::Delegate(access),
            _ => Standing::Colleague,
        })
    }

    /// A sight that knows whether it is of what belongs to a team.
    fn of_team_or_not(&self, mut sight: Sight) -> Sight {
        sight.of_team = self.0.tenants.is_team(sight.source().home);
        sight
    }

    /// Refuses what belongs to another domain, whatever the documents say (dav §3).
    async fn require_same_domain(&self, who: &Tenant, shared: &Shared) -> Result<(), DavError> {
        let (space, known) = (space_of(shared.instance.kind), (shared.source.home, who.domain()));
        if self.0.neighbours.get(&known).is_none() {
            self.relation(who, space, shared.source.home).await?;
            self.0.neighbours.insert(known, ());
        }
        Ok(())
    }
}

/// What the owner of a home, or the program on their behalf, is to what is their own.
const fn owner(who: &Tenant) -> Standing {
    match who {
        Tenant::Technical(_) => Standing::Technical,
        _ => Standing::Owner,
    }
}

/// What stands in the actor's own home and belongs to somebody else.
fn through(who: &Tenant, shared: Shared) -> Sight {
    let standing = match (&shared.instance.tie, who) {
        (_, Tenant::Technical(_)) => Standing::Technical,
        (Tie::Delegation(given), _) => Standing::Delegate(given.access),
        (Tie::Subscription { .. }, _) => Standing::Subscriber,
    };
    Sight::through(shared, standing)
}
