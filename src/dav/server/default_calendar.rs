//! The calendar that invitations go to (RFC 6638 §9.2): the home's default calendar, unless its owner chose another one.
//! The choice is a property of the scheduling inbox.

use super::Server;
use super::call::Call;
use super::store_props::Refused;
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, Space};
use crate::dav::xml::{DAV, PropChange};
use crate::ids::HomeId;
use crate::store::home::INBOX;
use crate::store::{Collection, CollectionKind};

/// Component type of what comes by invitation.
const EVENT: &str = "VEVENT";

impl Server {
    /// The segment of the calendar that the owner of a home chose, if there is one.
    pub(super) async fn chosen_default(&self, home: HomeId) -> Result<Option<String>, DavError> {
        let inbox = self.find_collection(Space::Calendars, home, INBOX).await?;
        Ok(inbox.and_then(|inbox| inbox.props.default_calendar))
    }

    /// The calendar that invitations to the owner of a home go to.
    pub(super) async fn default_calendar(&self, home: HomeId) -> Result<Collection, DavError> {
        if let Some(uri) = self.chosen_default(home).await?
            && let Some(chosen) = self.find_collection(Space::Calendars, home, &uri).await?
            && takes_events(&chosen)
        {
            return Ok(chosen);
        }
        self.collection(Space::Calendars, home, &home.to_string()).await
    }

    /// Refuses to delete the calendar that invitations go to: another one must be chosen before.
    pub(super) async fn refuse_chosen_default(&self, calendar: &Collection) -> Result<(), DavError> {
        if calendar.kind == CollectionKind::Calendar
            && self.chosen_default(calendar.home).await?.as_deref() == Some(calendar.uri.as_str())
        {
            return Err(DavError::forbidden("Invitations go to this calendar: choose another one for them first")
                .because(Condition::Empty("cal:default-calendar-needed")));
        }
        Ok(())
    }
}

fn takes_events(calendar: &Collection) -> bool {
    let components = &calendar.props.components;
    calendar.kind == CollectionKind::Calendar && (components.is_empty() || components.iter().any(|c| c == EVENT))
}

impl Call {
    /// Reads a change of `schedule-default-calendar-URL` on an inbox: the segment of the calendar that is meant; `None`
    /// for the home's default calendar, also where the property is removed or left empty.
    pub(super) async fn choose_default(
        &self,
        inbox: &Collection,
        change: &PropChange,
    ) -> Result<Result<Option<String>, Refused>, DavError> {
        let PropChange::Set(element) = change else { return Ok(Ok(None)) };
        let Some(href) = element.child(DAV, "href").map(|e| e.text()).filter(|href| !href.trim().is_empty()) else {
            return Ok(Ok(None));
        };
        let invalid = Ok(Err(Refused::because("cal:valid-schedule-default-calendar-URL")));
        let uri = match Location::parse_href(&href, &self.inner().settings.base) {
            Some(Location::Collection { space: Space::Calendars, home, uri }) if home == inbox.home => uri,
            _ => return invalid,
        };
        match self.server.collection(Space::Calendars, inbox.home, &uri).await {
            Ok(calendar) if calendar.is_default() => Ok(Ok(None)),
            Ok(calendar) if takes_events(&calendar) => Ok(Ok(Some(calendar.uri))),
            Ok(_) => invalid,
            Err(error) if error.status.is_server_error() => Err(error),
            Err(_) => invalid,
        }
    }
}
