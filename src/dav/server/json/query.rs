//! `POST /query`: what takes place in several calendars (dav §8.2).

use async_trait::async_trait;
use http::Response;
use serde_json::Value;

use super::body::Object as Json;
use super::events::Found;
use super::list::beginning;
use super::text::{JSON_TYPE, append};
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::dav::server::calendar_query::check_range;
use crate::dav::server::call::Call;
use crate::dav::server::chunked::{self, Pages, Progress};
use crate::dav::server::rights::Need;
use crate::dav::upstream::Body;
use crate::dav::xml::Writer;

/// Calendars that one request asks about at most.
pub(super) const MOST: usize = 1_000;

impl Call {
    /// Answers with calendars and what takes place in each of them.
    pub(super) async fn query_json(&self, body: Json) -> Result<Response<Body>, DavError> {
        let scope = body.get("scope").and_then(|scope| scope.get("calendars")).and_then(Value::as_array);
        let scope = scope.ok_or_else(|| DavError::bad_request("The body needs a scope with calendars"))?;
        if scope.len() > MOST {
            return Err(DavError::bad_request(format!("A query asks about at most {MOST} calendars")));
        }
        let range = body.range()?;
        check_range(range, &self.inner().settings.limits)?;
        let mut calendars = Vec::with_capacity(scope.len());
        for place in scope {
            let place = super::create::source_of(place, &self.inner().settings.base, Space::Calendars);
            let place = place.ok_or_else(|| DavError::bad_request("The scope holds addresses of calendars"))?;
            let calendar = self.server.see(&self.who, &place, Need::Read).await?;
            let entry = self.calendar_entry(&calendar, false).await?;
            calendars.push((self.found(calendar, range), entry));
        }
        calendars.reverse();
        let href = format!("{}.json", self.href(&Location::Query));
        let pages = Several { calendars, current: None, has_written: false };
        chunked::body(&beginning(&href, "dav:calendar"), pages, "]}}", JSON_TYPE).await
    }
}

struct Several {
    /// Calendars that were not yet begun, the next one last, with what is told of them.
    calendars: Vec<(Found, String)>,
    current: Option<Found>,
    has_written: bool,
}

#[async_trait]
impl Pages for Several {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        if self.current.is_none() {
            let Some((found, entry)) = self.calendars.pop() else { return Ok(Progress::Done) };
            if std::mem::replace(&mut self.has_written, true) {
                out.raw(",");
            }
            // The object of the calendar goes on behind its own keys.
            out.raw(entry.strip_suffix('}').unwrap_or(&entry));
            out.raw(",\"_embedded\":{");
            append(out, "dav:item");
            out.raw(":[");
            self.current = Some(found);
        }
        if let Some(found) = &mut self.current
            && found.write_items(out).await? == Progress::Done
        {
            out.raw("]}}");
            self.current = None;
        }
        let is_done = self.current.is_none() && self.calendars.is_empty();
        Ok(if is_done { Progress::Done } else { Progress::More })
    }
}
