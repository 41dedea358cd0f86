//! GET of what holds other things: a small plain page for people whose browser came here, and for programs that only ask
//! whether there is something (dav §1.5). It lists what a PROPFIND of depth 1 lists, and nothing more.

use http::Response;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};

use super::call::Call;
use super::chunked;
use super::plan::Plan;
use super::properties::{self, Resource, Scene};
use super::propfind::{Listing, steps};
use super::report::Members;
use crate::dav::error::DavError;
use crate::dav::upstream::Body;
use crate::dav::xml::{DAV, Name, Writer};

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width\">\n<title>Calendars and contacts</title>\n\
    <h1>Calendars and contacts</h1>\n<p>Calendar and contact programs find everything from the address of this server \
    alone.</p>\n<ul>\n";
const TAIL: &str = "</ul>\n</html>\n";
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// Names are written by people; nothing on the page may run or load anything.
const NOTHING_RUNS: HeaderValue = HeaderValue::from_static("default-src 'none'");

impl Call {
    /// Answers with a page that leads to what is here.
    pub(super) async fn browse(self) -> Result<Response<Body>, DavError> {
        let (target, is_owner) = self.target().await?;
        let steps = steps(target, true, &self.who, &self.homes_shown());
        let listing = Listing::new(Members::new(self.server, self.who, Plan::links(), None)?, is_owner, steps);
        let mut response = chunked::body(HEAD, listing, TAIL, HTML).await?;
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, NOTHING_RUNS);
        Ok(response)
    }
}

/// Writes a resource as an item of the list: its name where it has one, else its address.
pub(super) fn write_link(scene: &Scene<'_>, resource: &Resource<'_>, href: &str, w: &mut Writer) {
    const DISPLAY_NAME: Name = Name::new(DAV, "displayname");
    w.raw("<li><a href=\"");
    w.text(&scene.server.settings.base);
    w.text(href);
    w.raw("\">");
    let start = w.len();
    if !properties::find(&DISPLAY_NAME).is_some_and(|row| row.write_value(scene, resource, w)) || w.len() == start {
        w.truncate(start);
        w.text(href);
    }
    w.raw("</a></li>\n");
}
