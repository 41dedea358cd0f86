//! The JSON API of the Twake Calendar page, on the same resources as CalDAV and CardDAV (dav §8, §13).
//!
//! In comes a `Call` whose address ended in `.json`, whose `Accept` names a JSON type, or whose body is JSON; out goes the
//! answer that esn-sabre gives to it, or the call itself where it is none of this room's business. Bodies are written
//! straight into the answer, long ones page by page. This room parses, asks `access` whether the actor may, and writes
//! through the same steps as the other methods; it has no rules of its own about who may do what, and a body that is not
//! what it should be is a 400, whatever is wrong with it.

mod body;
mod books;
mod cards;
mod create;
mod entries;
mod events;
mod free_busy;
mod front;
mod list;
mod principal;
mod properties;
mod query;
mod remembered;
mod report;
mod rights;
mod sync;
mod text;

use http::Response;

use self::body::Object;
use super::call::Call;
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::dav::upstream::Body;
use crate::store::home::{INBOX, OUTBOX};

pub(super) use front::{Address, Manner};
pub(super) use remembered::RenderedEvents;

/// What became of a call.
pub(super) enum Routed {
    /// It was answered.
    Answered(Response<Body>),
    /// It is none of this room's business.
    Other(Box<Call>),
}

impl Call {
    /// Answers the call where it is one of the JSON API.
    pub(super) async fn json(mut self) -> Result<Routed, DavError> {
        self.find_events_alias().await?;
        let method = self.method.clone();
        let answered = match method.as_str() {
            "GET" | "HEAD" if self.wants_json() => self.get_json().await?,
            // What is posted to an object is an attachment or a message, and may be large: it is not looked into.
            "POST" if matches!(self.location, Location::Member { .. }) => None,
            "POST" | "REPORT" | "PROPPATCH" | "PROPFIND" | "ACL" if self.is_of_json() => self.with_json_body().await?,
            _ => None,
        };
        Ok(match answered {
            Some(response) => Routed::Answered(response),
            None => Routed::Other(Box::new(self)),
        })
    }

    async fn get_json(&mut self) -> Result<Option<Response<Body>>, DavError> {
        Ok(Some(match &self.location {
            Location::Homes(Space::Calendars) => self.all_calendars().await?,
            Location::Homes(Space::AddressBooks) => self.all_books().await?,
            Location::Home(Space::Calendars, _) => self.calendar_list().await?,
            Location::Home(Space::AddressBooks, _) => self.book_list().await?,
            Location::Collection { space: Space::Calendars, uri, .. } if uri != INBOX && uri != OUTBOX => {
                self.one_calendar().await?
            }
            Location::Collection { space: Space::AddressBooks, .. } => self.book_contents().await?,
            _ => return Ok(None),
        }))
    }

    async fn with_json_body(&mut self) -> Result<Option<Response<Body>>, DavError> {
        let body = self.json_body().await?;
        match (self.method.as_str(), body) {
            // XML is understood, whatever Accept says.
            (_, body::Sent::Other) => Ok(None),
            (_, body::Sent::Nothing) if !self.speaks_json() => Ok(None),
            ("PROPFIND", body::Sent::Nothing) => self.propfind_json(None).await,
            ("PROPFIND", body) => self.propfind_json(Some(body.object()?)).await,
            ("POST", body) => self.post_json(body.object()?).await,
            ("REPORT", body) => self.report_json(body.object()?).await.map(Some),
            ("PROPPATCH", body) => self.proppatch_json(body.object()?).await.map(Some),
            ("ACL", body) => self.acl_json(body.object()?).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn post_json(&mut self, body: Object) -> Result<Option<Response<Body>>, DavError> {
        Ok(Some(match &self.location {
            Location::Query => self.query_json(body).await?,
            Location::FreeBusy => self.bulk_free_busy(body).await?,
            Location::Home(Space::Calendars, _) => self.create_calendar(body).await?,
            Location::Home(Space::AddressBooks, _) => self.create_book(body).await?,
            Location::Collection { space: Space::Calendars, uri, .. } if uri != INBOX && uri != OUTBOX => {
                self.post_to_calendar(body).await?
            }
            Location::Collection { space: Space::AddressBooks, .. } => self.post_to_book(body).await?,
            _ => return Ok(None),
        }))
    }
}
