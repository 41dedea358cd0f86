//! Calendar user addresses that lead to people, resources and teams of this server (RFC 6638 §2.4.1): mail addresses, and the addresses of
//! principals as paths, as URLs, and as `urn:uuid:` with the id.

use std::sync::Arc;

use super::call::Call;
use crate::dav::error::DavError;
use crate::dav::path::{Location, PrincipalKind};
use crate::ical::Component;
use crate::ids::{DomainId, HomeId, ObjectId};
use crate::itip::{self, Address};
use crate::store::Holder;

/// What a URN that names a principal begins with.
const URN: &str = "urn:uuid:";

impl Call {
    /// Who is invited by that address, if they are of this domain. Nobody of another domain is ever found: whether they exist is not
    /// this domain's business.
    pub(super) async fn calendar_user(
        &self,
        address: &Address,
        domain: DomainId,
    ) -> Result<Option<Arc<Holder>>, DavError> {
        let tenants = &self.inner().tenants;
        let found = match (address.email(), self.principal_named(address)) {
            (Some(email), _) => tenants.invited_as(&email).await?,
            (None, Some(home)) => tenants.holder(home).await?,
            (None, None) => None,
        };
        Ok(found.filter(|holder| holder.domain == domain))
    }

    /// The home of whoever has the principal that this is the address of.
    fn principal_named(&self, address: &Address) -> Option<HomeId> {
        if let Some(id) = address.as_str().strip_prefix(URN) {
            return id.to_ascii_lowercase().parse::<ObjectId>().ok().map(HomeId);
        }
        let base = &self.inner().settings.base;
        match Location::parse_href(address.as_str(), base)? {
            Location::Principal(PrincipalKind::User | PrincipalKind::Resource | PrincipalKind::TeamCalendar, id) => {
                Some(HomeId(id))
            }
            _ => None,
        }
    }

    /// Step: organizers and attendees that are named by principal are written by mail address, the one form that everybody
    /// who gets the object understands. Addresses that lead to nobody stay as they are.
    pub(super) async fn name_by_mail(&self, calendar: &mut Component, domain: DomainId) -> Result<(), DavError> {
        let is_party = |p: &crate::ical::Property| p.is("ORGANIZER") || p.is("ATTENDEE");
        let mut known = std::collections::HashMap::new();
        for property in calendar.components().filter(|c| itip::is_schedulable(c)).flat_map(Component::properties) {
            let address = Address::read(property.value());
            if is_party(property) && address.email().is_none() && !known.contains_key(&address) {
                let user = self.calendar_user(&address, domain).await?;
                known.insert(address, user);
            }
        }
        known.retain(|_, user| user.is_some());
        if known.is_empty() {
            return Ok(());
        }
        let components = calendar.components_mut().filter(|c| itip::is_schedulable(c));
        for property in components.flat_map(Component::properties_mut).filter(|p| is_party(p)) {
            if let Some(Some(holder)) = known.get(&Address::read(property.value()))
                && let Some(email) = holder.emails.first()
            {
                property.set_value(email.to_calendar_address());
            }
        }
        Ok(())
    }
}
