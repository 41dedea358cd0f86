//! Who acts for whom where something belongs to nobody: the administrators of a resource, the members of a team (dav §9,
//! §18.4, §18.10). What is theirs follows from what the default calendar of the home is shared as.

use std::sync::Arc;

use super::Server;
use super::call::Call;
use super::deliveries::Deliveries;
use super::tenant::Tenant;
use crate::dav::error::{Condition, DavError};
use crate::dav::path::Space;
use crate::dav::precondition::etag_of;
use crate::ical::{Component, Property};
use crate::ids::{HomeId, UserId};
use crate::itip::{self, Address, ItipMessage, Method, TEAM_CALENDAR};
use crate::store::{Access, Collection, CollectionKind, Holder, HolderKind, Instance, Object, Resource, Shared};

impl Server {
    /// Who decides about bookings of a resource: who may write in its calendar, and who is named with it, as far as they are
    /// still there and of its domain.
    pub(super) async fn administrators(&self, resource: &Resource) -> Result<Vec<UserId>, DavError> {
        let mut named = resource.administrators.clone();
        let home = HomeId::from(resource.id);
        if let Some(calendar) = self.find_collection(Space::Calendars, home, &home.to_string()).await? {
            let instances = self.instances(&calendar).await?;
            let writers = instances.iter().filter(|i| i.delegation().is_some_and(|given| given.access.writes()));
            named.extend(writers.map(|instance| UserId(instance.home.0)));
        }
        let mut found: Vec<UserId> = Vec::new();
        for id in named {
            if found.contains(&id) {
                continue;
            }
            let user = self.0.directory.user(id).await?;
            found.extend(user.filter(|user| user.domain == resource.domain).map(|user| user.id));
        }
        Ok(found)
    }

    /// What somebody may do at the address where a resource or a team has its calendar; `None` for what belongs to a person,
    /// and for who was given nothing.
    pub(super) async fn access_at_home(&self, who: &Tenant, source: &Collection) -> Result<Option<Access>, DavError> {
        let Some(id) = who.person() else { return Ok(None) };
        if !self.0.tenants.is_other(source.home) {
            return Ok(None);
        }
        let given = self.given(source, id.into()).await?;
        if given.is_some_and(Access::writes) {
            return Ok(given);
        }
        match self.0.tenants.holder(source.home).await?.as_deref() {
            Some(Holder { kind: HolderKind::Resource(resource), .. }) => {
                Ok(resource.administrators.contains(&id).then_some(Access::ReadWrite))
            }
            Some(Holder { kind: HolderKind::TeamCalendar(_), .. }) => Ok(given),
            _ => Ok(None),
        }
    }

    /// What the owner of a calendar gave to whoever has this home.
    async fn given(&self, source: &Collection, home: HomeId) -> Result<Option<Access>, DavError> {
        let instances = self.0.store.instances_for(source, home).await?;
        Ok(instances.iter().find_map(Instance::delegation).map(|given| given.access))
    }

    /// Whether somebody may write in the calendar of a team.
    async fn writes_for_team(&self, team: HomeId, person: &Holder) -> Result<bool, DavError> {
        if person.user().is_none() {
            return Ok(false);
        }
        let calendar = self.find_collection(Space::Calendars, team, &team.to_string()).await?;
        let Some(calendar) = calendar else { return Ok(false) };
        Ok(self.given(&calendar, person.home).await?.is_some_and(Access::writes))
    }
}

impl Call {
    /// In whose name scheduling happens in the calendar of a team: that of the organizer, if they may write there
    /// (mail-itip-alarms §5.3). Nobody is spoken for by somebody of whose team they are not.
    pub(super) async fn team_scheduler(
        &self,
        team: Arc<Holder>,
        objects: &[&Component],
    ) -> Result<Arc<Holder>, DavError> {
        let Some(organizer) = last_organizer(objects) else { return Ok(team) };
        let organizer = self.calendar_user(&organizer, team.domain).await?;
        match organizer {
            Some(person) if self.server.writes_for_team(team.home, &person).await? => Ok(person),
            _ => Ok(team),
        }
    }

    /// Step: what is in the calendar of a team says so, so that answers find it (dav §10.7).
    pub(super) fn name_team(&self, source: &Collection, calendar: &mut Component) {
        if !self.inner().tenants.is_team(source.home) {
            return;
        }
        for event in calendar.components_mut().filter(|c| itip::is_schedulable(c)) {
            event.set(Property::with_text(TEAM_CALENDAR, &source.home.to_string()));
        }
    }

    /// What comes into the calendar of a team is organized by one of its members, and says where it is (dav §10.5).
    pub(super) async fn arriving_in_team(&self, source: &Collection, object: Object) -> Result<Object, DavError> {
        if !self.inner().tenants.is_team(source.home) {
            return Ok(object);
        }
        let Ok(mut calendar) = Component::parse(&object.data) else { return Ok(object) };
        let scheduler = self.team_scheduler(self.owner_of(source).await?, &[&calendar]).await?;
        super::schedule::validate_organizer(self, None, &calendar, &scheduler).await?;
        self.name_team(source, &mut calendar);
        let mut arriving = object;
        let data = calendar.to_text();
        if data != arriving.data {
            arriving.meta.etag = etag_of(&data);
            arriving.meta.size = data.len() as u64;
            arriving.data = data;
        }
        Ok(arriving)
    }
}

/// The organizer, as it will be rather than as it was.
fn last_organizer(objects: &[&Component]) -> Option<Address> {
    let mut parts = objects.iter().rev().flat_map(|object| object.components());
    parts.find_map(|part| part.value("ORGANIZER")).map(Address::read)
}

/// 403: events of a team are organized by its members (observed §1.17).
pub(super) fn not_a_member() -> DavError {
    DavError::forbidden("The ORGANIZER must be a write-enabled team calendar member.")
        .because(Condition::Empty("cal:allowed-organizer-scheduling-object-change"))
}

impl Deliveries<'_> {
    /// The object of a team's calendar that an answer is about: in the team that it names, else in any in whose calendar the
    /// recipient may write. The recipient organizes it; a forged name leads nowhere (dav §11.1).
    pub(super) async fn team_copy(
        &mut self,
        recipient: &Holder,
        message: &ItipMessage,
    ) -> Result<Option<usize>, DavError> {
        if message.method != Method::Reply || recipient.user().is_none() {
            return Ok(None);
        }
        let named = message.calendar.components().find_map(|event| event.value(TEAM_CALENDAR));
        let teams = match named.and_then(|id| id.trim().parse::<HomeId>().ok()) {
            Some(home) => vec![home],
            // It was invited before the event came to the team.
            None => self.homes_written_in(recipient).await?,
        };
        for home in teams {
            let server = &self.call().server;
            let team = server.0.tenants.holder(home).await?;
            if team.is_none_or(|team| team.team().is_none() || team.domain != recipient.domain)
                || !server.writes_for_team(home, recipient).await?
            {
                continue;
            }
            let Some(copy) = self.call().copy_of(home, &message.uid).await? else { continue };
            let organizer = copy.calendar.components().find_map(|event| event.value("ORGANIZER"));
            if organizer.is_some_and(|organizer| Address::read(organizer).is_one_of(&recipient.emails)) {
                return Ok(Some(self.look_at(recipient, &message.uid, copy)));
            }
        }
        Ok(None)
    }

    /// The homes whose calendars somebody may write in because they were shared with them.
    async fn homes_written_in(&self, person: &Holder) -> Result<Vec<HomeId>, DavError> {
        let shared = self.call().inner().store.shared_in(person.home).await?;
        let writes = |shared: &Shared| shared.instance.delegation().is_some_and(|given| given.access.writes());
        let mut homes: Vec<HomeId> = Vec::new();
        for shared in shared.iter().filter(|shared| shared.source.kind == CollectionKind::Calendar && writes(shared)) {
            if !homes.contains(&shared.source.home) {
                homes.push(shared.source.home);
            }
        }
        Ok(homes)
    }
}
