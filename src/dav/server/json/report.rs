//! REPORT with a JSON body: which one it is, in the order in which the reference decides (dav §8.5).

use http::Response;

use super::body::Object;
use super::text::nothing;
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::dav::server::call::Call;
use crate::dav::upstream::Body;

const FREE_BUSY: &str = "free-busy-query";

impl Call {
    /// Answers a REPORT.
    pub(super) async fn report_json(&self, body: Object) -> Result<Response<Body>, DavError> {
        let is_calendar = matches!(self.location, Location::Collection { space: Space::Calendars, .. });
        if is_calendar && body.text("type") == Some(FREE_BUSY) {
            return self.free_busy_of_calendar(&body).await;
        }
        match &self.location {
            Location::Collection { .. } if body.get("sync-token").is_some() => self.changes(&body).await,
            Location::Collection { space: Space::Calendars, .. } => self.matching_events(&body).await,
            Location::Member { space: Space::Calendars, .. } => self.matching_event(&body).await,
            Location::Home(Space::Calendars, _) => self.event_of_uid(&body).await,
            Location::Homes(Space::Calendars) => self.events_at(&body).await,
            // The cards of a book are listed by GET.
            Location::Collection { space: Space::AddressBooks, .. } => {
                self.readable_collection().await?;
                Err(DavError::bad_request("The body needs a sync-token"))
            }
            _ => {
                self.target().await?;
                Ok(nothing())
            }
        }
    }
}
