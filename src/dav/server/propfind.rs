//! PROPFIND (RFC 4918 §9.1).

use async_trait::async_trait;
use http::Response;

use super::access::{Relation, location_of};
use super::answer;
use super::call::{Call, Depth};
use super::chunked::{self, Pages, Progress};
use super::plan::Plan;
use super::principals::Principal;
use super::properties::Resource;
use super::report::Members;
use super::rights::{Need, Sight};
use super::tenant::Tenant;
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, PrincipalKind, PrincipalPart, Space, push_segment};
use crate::dav::upstream::Body;
use crate::dav::xml::{PropRequest, Writer};
use crate::ids::{HomeId, UserId};
use crate::store::Object;

/// Objects or users that are read at once.
const PAGE: usize = 500;
/// Objects that are read at once when their data is wanted.
const DATA_PAGE: usize = 64;

impl Call {
    /// Answers a PROPFIND. Without `Depth` it is 1 (dav §6.1); `infinity` is refused where somebody says so.
    pub(super) async fn propfind(mut self) -> Result<Response<Body>, DavError> {
        let root = self.xml().await?;
        let mut request = PropRequest::read_propfind(root.as_ref())?;
        self.complete(&mut request.data)?;
        let minimal = self.prefers("return=minimal");
        let plan = Plan::for_request(&request, minimal);
        let with_children = match self.strict_depth()? {
            Some(Depth::Infinity) => return Err(finite_depth()),
            Some(Depth::Zero) => false,
            Some(Depth::One) | None => true,
        };
        let without_root = with_children && self.prefers("depth-noroot");
        let for_mobile = self.is_for_mobile(&plan);
        let (target, is_owner) = self.target().await?;
        let mut steps = steps(target, with_children, &self.who, &self.homes_shown());
        if without_root {
            steps.pop();
        }
        let mut listing = Listing::new(Members::new(self.server, self.who, plan, request.data)?, is_owner, steps);
        listing.is_for_mobile = for_mobile;
        let mut response = chunked::multistatus(listing, minimal).await?;
        if without_root {
            answer::applied(&mut response, "depth-noroot");
        }
        Ok(response)
    }

    /// The homes that the actor is told of, last first: their own, and that of the domain.
    pub(super) fn homes_shown(&self) -> Vec<(Space, HomeId)> {
        let of_domain = self.inner().settings.members_book.then(|| (Space::AddressBooks, self.who.domain_home()));
        let own = self.who.home().map(|home| [Space::AddressBooks, Space::Calendars].map(|space| (space, home)));
        of_domain.into_iter().chain(own.into_iter().flatten()).collect()
    }

    /// What is at the location of the request, and whether the actor owns it.
    pub(super) async fn target(&self) -> Result<(Target, bool), DavError> {
        self.resolve(&self.location).await
    }

    /// What is at a location, and whether the actor owns it.
    pub(super) async fn resolve(&self, location: &Location) -> Result<(Target, bool), DavError> {
        let server = &self.server;
        Ok(match location {
            Location::Root => (Target::Root, false),
            Location::Principals => (Target::Principals, false),
            Location::PrincipalSet(kind) => (Target::PrincipalSet(*kind), false),
            Location::Principal(kind, id) => {
                let principal = server.principal(&self.who, *kind, *id).await?;
                (Target::Principal(principal), self.who.home() == Some(HomeId(*id)))
            }
            Location::PrincipalPart(id, part) => {
                server.principal(&self.who, PrincipalKind::User, *id).await?;
                let is_self = self.who.home() == Some(HomeId(*id));
                match part {
                    PrincipalPart::Notifications if !is_self => return Err(server.needs(location, "d:read")),
                    PrincipalPart::Notifications => (Target::Notifications(UserId(*id)), true),
                    part => (Target::Principal(Principal::Proxies(UserId(*id), *part, Vec::new())), is_self),
                }
            }
            Location::Homes(space) => (Target::Homes(*space), false),
            Location::Home(space, home) => {
                let relation = server.relation(&self.who, *space, *home).await?;
                (Target::Home(*space, *home), relation == Relation::Owner)
            }
            Location::Collection { .. } => {
                let sight = server.see(&self.who, location, Need::Read).await?;
                let is_owner = sight.is_own();
                (Target::Collection(sight), is_owner)
            }
            Location::Member { .. } => {
                let (sight, object) = server.object(&self.who, location, Need::Read).await?;
                let is_owner = sight.is_own();
                (Target::Object(sight, object), is_owner)
            }
            Location::Itip
            | Location::Query
            | Location::FreeBusy
            | Location::WellKnown(_)
            | Location::Attachment { .. }
            | Location::Trash(..) => {
                return Err(DavError::no_node(&location.href()));
            }
            Location::FileHomes | Location::File { .. } => {
                return Err(DavError::no_node(&location.href()));
            }
        })
    }
}

/// 403: nobody gets the whole tree at once (RFC 4918 §9.1).
pub(super) fn finite_depth() -> DavError {
    DavError::forbidden("PROPFIND is answered with Depth 0 and 1 only")
        .because(Condition::Empty("d:propfind-finite-depth"))
}

/// What a PROPFIND is about.
pub(super) enum Target {
    Root,
    Principals,
    PrincipalSet(PrincipalKind),
    Principal(Principal),
    Notifications(UserId),
    Homes(Space),
    Home(Space, HomeId),
    Collection(Sight),
    Object(Sight, Object),
}

impl Target {
    /// The resource as the table of properties sees it, and its href without the base.
    pub(super) fn as_resource(&self) -> (Resource<'_>, String) {
        match self {
            Self::Root => (Resource::Branch, Location::Root.href()),
            Self::Principals => (Resource::Branch, Location::Principals.href()),
            Self::PrincipalSet(kind) => (Resource::Branch, Location::PrincipalSet(*kind).href()),
            Self::Principal(principal) => (Resource::Principal(principal), principal.href()),
            Self::Notifications(user) => {
                let place = Location::PrincipalPart(user.0, PrincipalPart::Notifications);
                (Resource::Notifications(*user), place.href())
            }
            Self::Homes(space) => (Resource::Branch, Location::Homes(*space).href()),
            Self::Home(space, home) => (Resource::Home(*space, *home), Location::Home(*space, *home).href()),
            Self::Collection(c) => (Resource::Collection(c), location_of(c).href()),
            Self::Object(c, object) => {
                let mut href = location_of(c).href();
                push_segment(&mut href, &object.meta.name);
                (Resource::Object(c, &object.meta, Some(&object.data)), href)
            }
        }
    }
}

/// What is still to be written, last first.
pub(super) enum Step {
    One(Target),
    /// The users of the domain, after this one.
    Users(Option<UserId>),
    /// The resources of the domain, or its team calendars, after this one.
    Others(PrincipalKind, Option<HomeId>),
    /// The actor's domain.
    OwnDomain,
    /// The collections of a home, and what is in them.
    Everything(Space, HomeId),
    /// The collections of a home.
    Collections(Space, HomeId),
    /// The objects of a collection, after this name.
    Objects(Sight, Option<String>),
}

pub(super) fn steps(target: Target, with_children: bool, who: &Tenant, homes: &[(Space, HomeId)]) -> Vec<Step> {
    let mut steps = Vec::new();
    if with_children {
        match &target {
            Target::Root => steps.extend(
                [Target::Homes(Space::AddressBooks), Target::Homes(Space::Calendars), Target::Principals]
                    .map(Step::One),
            ),
            Target::Principals => {
                let sets = PrincipalKind::ALL.into_iter().rev();
                steps.extend(sets.map(|kind| Step::One(Target::PrincipalSet(kind))));
            }
            Target::PrincipalSet(PrincipalKind::User) => steps.push(Step::Users(None)),
            Target::PrincipalSet(kind @ (PrincipalKind::Resource | PrincipalKind::TeamCalendar)) => {
                steps.push(Step::Others(*kind, None));
            }
            Target::PrincipalSet(PrincipalKind::Domain) => steps.push(Step::OwnDomain),
            Target::Principal(Principal::User(person)) => steps.extend(parts(person.user.id, who)),
            // Nobody is told who else has a home here.
            Target::Homes(space) => {
                let homes = homes.iter().filter(|(s, _)| s == space);
                steps.extend(homes.map(|(space, home)| Step::One(Target::Home(*space, *home))));
            }
            Target::Home(space, home) => steps.push(Step::Collections(*space, *home)),
            Target::Collection(collection) => steps.push(Step::Objects(collection.clone(), None)),
            Target::Principal(_) | Target::Notifications(_) | Target::Object(..) => {}
        }
    }
    steps.push(Step::One(target));
    steps
}

/// What is below the principal of a user, last first: the notifications only for themselves.
fn parts(user: UserId, who: &Tenant) -> Vec<Step> {
    let is_self = who.home() == Some(user.into());
    let part = |part: PrincipalPart| match part {
        PrincipalPart::Notifications => is_self.then_some(Step::One(Target::Notifications(user))),
        part => Some(Step::One(Target::Principal(Principal::Proxies(user, part, Vec::new())))),
    };
    PrincipalPart::ALL.into_iter().rev().filter_map(part).collect()
}

/// Answers about many resources, written page by page.
pub(super) struct Listing {
    members: Members,
    is_owner: bool,
    /// Collections of a home go by names that say enough by themselves.
    is_for_mobile: bool,
    steps: Vec<Step>,
}

#[async_trait]
impl Pages for Listing {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        while let Some(step) = self.steps.pop() {
            match step {
                Step::One(target) => self.write_completed(target, out).await?,
                Step::Users(after) => self.write_users(after, out).await?,
                Step::Others(kind, after) => self.write_others(kind, after, out).await?,
                Step::OwnDomain => {
                    let Members { server, who, .. } = &self.members;
                    let principal = server.principal(who, PrincipalKind::Domain, who.domain().0).await?;
                    self.write_completed(Target::Principal(principal), out).await?;
                }
                Step::Everything(space, home) => {
                    let Members { server, who, .. } = &self.members;
                    let mut collections = server.sights(who, space, home, Need::Read).await?;
                    // What others gave belongs to them.
                    collections.retain(|sight| sight.instance().is_none_or(|i| i.delegation().is_none()));
                    for collection in collections.into_iter().rev() {
                        self.steps.push(Step::Objects(collection.clone(), None));
                        self.steps.push(Step::One(Target::Collection(collection)));
                    }
                }
                Step::Collections(space, home) => self.write_collections(space, home, out).await?,
                Step::Objects(collection, after) => self.write_objects(collection, after, out).await?,
            }
            if matches!(
                self.steps.last(),
                Some(Step::Objects(_, Some(_)) | Step::Users(Some(_)) | Step::Others(_, Some(_)))
            ) {
                return Ok(Progress::More);
            }
        }
        Ok(Progress::Done)
    }
}

impl Listing {
    /// Answers about these, last first.
    pub(super) fn new(members: Members, is_owner: bool, steps: Vec<Step>) -> Self {
        Self { members, is_owner, is_for_mobile: false, steps }
    }

    /// Writes one, after reading what its properties need.
    async fn write_completed(&mut self, mut target: Target, out: &mut Writer) -> Result<(), DavError> {
        let home = match &target {
            Target::Home(_, home) => Some(*home),
            // What is here of another home fills that one.
            Target::Collection(sight) => Some(sight.source().home),
            _ => None,
        };
        if let Some(home) = home {
            self.members.plan.learn_usage(&self.members.server, home).await?;
        }
        let Members { server, who, plan, .. } = &self.members;
        match &mut target {
            Target::Principal(principal) => server.complete(who, principal, |name| plan.asks_for(name)).await?,
            Target::Collection(sight) => server.complete_sight(sight, |name| plan.asks_for(name)).await?,
            _ => {}
        }
        self.write(&target, out);
        Ok(())
    }

    fn write(&self, target: &Target, out: &mut Writer) {
        let (resource, href) = target.as_resource();
        self.members.write_at(&href, &resource, self.is_owner, out);
    }

    async fn write_users(&mut self, after: Option<UserId>, out: &mut Writer) -> Result<(), DavError> {
        if self.members.server.0.settings.principal_privacy {
            match &self.members.who {
                Tenant::User(user) => {
                    let user = (**user).clone();
                    self.write_completed(Target::Principal(Principal::user(user)), out).await?;
                    return Ok(());
                }
                Tenant::Holder(_) => return Ok(()),
                Tenant::Technical(_) => {}
            }
        }
        let users = self.members.server.0.directory.users(Some(self.members.who.domain()), after, PAGE).await?;
        if users.len() == PAGE {
            self.steps.push(Step::Users(users.last().map(|u| u.id)));
        }
        for user in users {
            self.write_completed(Target::Principal(Principal::user(user)), out).await?;
        }
        Ok(())
    }

    async fn write_others(
        &mut self,
        kind: PrincipalKind,
        after: Option<HomeId>,
        out: &mut Writer,
    ) -> Result<(), DavError> {
        let page = self.members.server.others(&self.members.who, kind, after, PAGE).await?;
        if let Some(next) = page.next {
            self.steps.push(Step::Others(kind, Some(next)));
        }
        for holder in page.holders {
            self.write_completed(Target::Principal(Principal::of(holder)), out).await?;
        }
        Ok(())
    }

    async fn write_collections(&mut self, space: Space, home: HomeId, out: &mut Writer) -> Result<(), DavError> {
        let Members { server, who, .. } = &self.members;
        for mut collection in server.sights(who, space, home, Need::Read).await? {
            if self.is_for_mobile {
                self.members.server.name_for_mobile(&mut collection).await?;
            }
            self.write_completed(Target::Collection(collection), out).await?;
        }
        Ok(())
    }

    async fn write_objects(
        &mut self,
        collection: Sight,
        after: Option<String>,
        out: &mut Writer,
    ) -> Result<(), DavError> {
        let store = &self.members.server.0.store;
        let limit = if self.members.plan.needs_data() { DATA_PAGE } else { PAGE };
        let mut metas = store.list(collection.id, after.as_deref(), limit).await?;
        let base = location_of(&collection).href();
        let mut is_last = metas.len() < limit;
        let mut objects = Vec::new();
        if self.members.plan.needs_data() {
            let names: Vec<String> = metas.iter().map(|m| m.name.clone()).collect();
            objects = self.members.server.0.objects_in(&collection, &names).await?;
            is_last &= objects.len() == metas.len();
            metas.truncate(objects.len());
        }
        for (index, meta) in metas.iter().enumerate() {
            let data = objects.get(index).and_then(|o| o.as_ref()).map(|o| o.data.as_str());
            let mut href = base.clone();
            push_segment(&mut href, &meta.name);
            self.members.write_at(&href, &Resource::Object(&collection, meta, data), self.is_owner, out);
            if out.len() > chunked::FULL && index + 1 < metas.len() {
                self.steps.push(Step::Objects(collection, Some(meta.name.clone())));
                return Ok(());
            }
        }
        if !is_last {
            self.steps.push(Step::Objects(collection, metas.pop().map(|meta| meta.name)));
        }
        Ok(())
    }
}
