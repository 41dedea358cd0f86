//! expand-property (RFC 3253 §3.8): properties, and where they hold addresses, properties of what is there.

use futures_util::future::BoxFuture;
use http::{Response, StatusCode};

use super::call::Call;
use super::chunked::{self, Written};
use super::properties::{self, Scene};
use super::propfind::Target;
use crate::dav::error::DavError;
use crate::dav::path::Location;
use crate::dav::upstream::Body;
use crate::dav::xml::{DAV, Element, Name, Writer};

/// Addresses that one report follows; the others are answered as addresses.
const MOST: usize = 100;

impl Call {
    /// Answers with the properties of the location, expanded as far as the request says.
    pub(super) async fn expand_property(self, root: &Element) -> Result<Response<Body>, DavError> {
        let target = self.target().await?;
        let mut w = Writer::default();
        let mut budget = MOST;
        self.write_expanded(root, target, &mut budget, &mut w).await?;
        chunked::multistatus(Written(w.take()), self.prefers("return=minimal")).await
    }

    /// What is at an address in a property, as long as there is budget to follow addresses.
    async fn followed(&self, href: &str, budget: &mut usize) -> Result<Option<(Target, bool)>, DavError> {
        let Some(location) = Location::parse_href(href, &self.inner().settings.base) else { return Ok(None) };
        if *budget == 0 {
            return Ok(None);
        }
        *budget -= 1;
        match self.resolve(&location).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.status.is_server_error() => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn write_expanded<'a>(
        &'a self,
        wanted: &'a Element,
        (mut target, is_owner): (Target, bool),
        budget: &'a mut usize,
        w: &'a mut Writer,
    ) -> BoxFuture<'a, Result<(), DavError>> {
        Box::pin(async move {
            let names: Vec<Name> = wanted.children(DAV, "property").map(name_of).collect();
            match &mut target {
                Target::Principal(principal) => {
                    self.server.complete(&self.who, principal, |name| names.contains(name)).await?;
                }
                Target::Collection(sight) => self.server.complete_sight(sight, |name| names.contains(name)).await?,
                _ => {}
            }
            let mut missing = Vec::new();
            let href = target.as_resource().1;
            w.raw("<d:response>");
            w.href(&format!("{}{href}", self.inner().settings.base));
            w.raw("<d:propstat><d:prop>");
            for (property, name) in wanted.children(DAV, "property").zip(names) {
                let mut value = Writer::default();
                let written = {
                    let scene = Scene { server: self.inner(), who: &self.who, is_owner, data: None };
                    properties::find(&name).is_some_and(|row| row.write(&scene, &target.as_resource().0, &mut value))
                };
                let value = value.take();
                let hrefs = hrefs_in(&value);
                if !written {
                    missing.push(name);
                } else if property.child(DAV, "property").is_none() || hrefs.is_empty() {
                    w.raw(&value);
                } else {
                    w.open_name(&name);
                    for href in hrefs {
                        match self.followed(href, budget).await? {
                            Some(inner) => self.write_expanded(property, inner, budget, w).await?,
                            // It is XML already.
                            None => w.raw(&format!("<d:href>{href}</d:href>")),
                        }
                    }
                    w.close_name(&name);
                }
            }
            w.raw("</d:prop>");
            w.status(StatusCode::OK);
            w.raw("</d:propstat>");
            if !missing.is_empty() && !self.prefers("return=minimal") {
                w.raw("<d:propstat><d:prop>");
                missing.iter().for_each(|name| w.empty_name(name));
                w.raw("</d:prop>");
                w.status(StatusCode::NOT_FOUND);
                w.raw("</d:propstat>");
            }
            w.raw("</d:response>");
            Ok(())
        })
    }
}

/// The property that a `property` element names; in `DAV:` where it names no namespace.
fn name_of(property: &Element) -> Name {
    Name::read(property.attribute("namespace").unwrap_or(DAV), property.attribute("name").unwrap_or_default())
}

/// The addresses in a value that we wrote ourselves.
fn hrefs_in(value: &str) -> Vec<&str> {
    value.split("<d:href>").skip(1).filter_map(|rest| rest.split("</d:href>").next()).collect()
}
