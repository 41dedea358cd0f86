//! expand-property (RFC 3253 §3.8): properties, and where they hold addresses, properties of what is there. Streamed: what is
//! still to be written is a stack of steps, and each of them writes a little.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Response, StatusCode};

use super::call::Call;
use super::chunked::{self, Pages, Progress};
use super::properties::{self, Scene};
use super::propfind::Target;
use crate::dav::error::DavError;
use crate::dav::path::Location;
use crate::dav::upstream::Body;
use crate::dav::xml::{DAV, Element, Name, Writer};

/// Addresses that one report follows; the others are answered as addresses.
const MOST: usize = 100;

/// A property that is asked for.
struct Wanted {
    name: Name,
    /// What is asked of the addresses in it; nothing where they are answered as addresses.
    inner: Vec<Arc<Wanted>>,
}

impl Wanted {
    /// The properties that an element asks for, each once, and those that they ask for in turn.
    fn read(element: &Element) -> Vec<Arc<Self>> {
        let mut names = HashSet::new();
        let properties = element.children(DAV, "property").filter_map(|property| {
            let ns = property.attribute("namespace").unwrap_or(DAV);
            let name = Name::read(ns, property.attribute("name").unwrap_or_default());
            names.insert(name.clone()).then(|| Arc::new(Self { name, inner: Self::read(property) }))
        });
        properties.collect()
    }
}

/// Something that is described.
struct Described {
    target: Target,
    is_owner: bool,
}

/// What is still to be written.
enum Step {
    /// Everything about something.
    Describe(Box<Described>, Vec<Arc<Wanted>>),
    /// One property.
    Property(Arc<Described>, Arc<Wanted>),
    /// What is at an address in a property.
    Follow(String, Arc<Wanted>),
    /// The end of a property whose addresses were followed.
    Close(Name),
    /// The end of a description, with the properties that are not there.
    End(Arc<Described>, Vec<Arc<Wanted>>),
}

struct Expansion {
    call: Call,
    minimal: bool,
    /// Addresses that may still be followed.
    left: usize,
    /// The next one last.
    steps: Vec<Step>,
}

impl Call {
    /// Answers with the properties of the location, expanded as far as the request says.
    pub(super) async fn expand_property(self, root: &Element) -> Result<Response<Body>, DavError> {
        let wanted = Wanted::read(root);
        let (target, is_owner) = self.target().await?;
        let steps = vec![Step::Describe(Box::new(Described { target, is_owner }), wanted)];
        let minimal = self.prefers("return=minimal");
        chunked::multistatus(Expansion { call: self, minimal, left: MOST, steps }, minimal).await
    }
}

#[async_trait]
impl Pages for Expansion {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        while let Some(step) = self.steps.pop() {
            match step {
                Step::Describe(described, wanted) => self.describe(described, wanted, out).await?,
                Step::Property(described, wanted) => self.write_property(&described, wanted, out),
                Step::Follow(href, wanted) => self.follow(href, &wanted, out).await?,
                Step::Close(name) => out.close_name(&name),
                Step::End(described, wanted) => self.end(&described, &wanted, out),
            }
            if out.len() > chunked::FULL && !self.steps.is_empty() {
                return Ok(Progress::More);
            }
        }
        Ok(Progress::Done)
    }
}

impl Expansion {
    async fn describe(
        &mut self,
        mut described: Box<Described>,
        wanted: Vec<Arc<Wanted>>,
        w: &mut Writer,
    ) -> Result<(), DavError> {
        let is_asked = |name: &Name| wanted.iter().any(|w| w.name == *name);
        match &mut described.target {
            Target::Principal(principal) => self.call.server.complete(&self.call.who, principal, is_asked).await?,
            Target::Collection(sight) => self.call.server.complete_sight(sight, is_asked).await?,
            _ => {}
        }
        w.raw("<d:response>");
        w.href(&format!("{}{}", self.call.inner().settings.base, described.target.as_resource().1));
        w.raw("<d:propstat><d:prop>");
        let described: Arc<Described> = Arc::from(described);
        let properties = wanted.iter().rev().map(|w| Step::Property(described.clone(), w.clone()));
        let properties: Vec<Step> = properties.collect();
        self.steps.push(Step::End(described, wanted));
        self.steps.extend(properties);
        Ok(())
    }

    /// Writes the value of a property; false, and nothing, where the resource has none of that name.
    fn write_value(&self, described: &Described, name: &Name, w: &mut Writer) -> bool {
        let scene = Scene { server: self.call.inner(), who: &self.call.who, is_owner: described.is_owner, data: None };
        properties::find(name).is_some_and(|row| row.write(&scene, &described.target.as_resource().0, w))
    }

    fn write_property(&mut self, described: &Described, wanted: Arc<Wanted>, w: &mut Writer) {
        let start = w.len();
        if !self.write_value(described, &wanted.name, w) || wanted.inner.is_empty() {
            return;
        }
        let hrefs: Vec<String> = w.since(start).split("<d:href>").skip(1).filter_map(until_end).collect();
        if hrefs.is_empty() {
            return;
        }
        w.truncate(start);
        w.open_name(&wanted.name);
        self.steps.push(Step::Close(wanted.name.clone()));
        self.steps.extend(hrefs.into_iter().rev().map(|href| Step::Follow(href, wanted.clone())));
    }

    /// Writes what is at an address, or where there is nothing, or nothing more to be followed, the address.
    async fn follow(&mut self, href: String, wanted: &Wanted, w: &mut Writer) -> Result<(), DavError> {
        let location = Location::parse_href(&href, &self.call.inner().settings.base).filter(|_| self.left > 0);
        if let Some(location) = location {
            self.left -= 1;
            match self.call.resolve(&location).await {
                Ok((target, is_owner)) => {
                    self.steps.push(Step::Describe(Box::new(Described { target, is_owner }), wanted.inner.clone()));
                    return Ok(());
                }
                Err(error) if error.status.is_server_error() => return Err(error),
                Err(_) => {}
            }
        }
        // It is XML already.
        w.raw("<d:href>");
        w.raw(&href);
        w.raw("</d:href>");
        Ok(())
    }

    fn end(&self, described: &Described, wanted: &[Arc<Wanted>], w: &mut Writer) {
        w.raw("</d:prop>");
        w.status(StatusCode::OK);
        w.raw("</d:propstat>");
        if !self.minimal {
            let mut scratch = Writer::default();
            let is_missing = |wanted: &&Arc<Wanted>| {
                scratch.truncate(0);
                !self.write_value(described, &wanted.name, &mut scratch)
            };
            let missing: Vec<&Arc<Wanted>> = wanted.iter().filter(is_missing).collect();
            if !missing.is_empty() {
                w.raw("<d:propstat><d:prop>");
                missing.iter().for_each(|wanted| w.empty_name(&wanted.name));
                w.raw("</d:prop>");
                w.status(StatusCode::NOT_FOUND);
                w.raw("</d:propstat>");
            }
        }
        w.raw("</d:response>");
    }
}

/// An address in a value that we wrote ourselves.
fn until_end(rest: &str) -> Option<String> {
    rest.split("</d:href>").next().map(str::to_owned)
}
