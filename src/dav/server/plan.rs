//! Which properties an answer holds, decided once per request and written for every resource.

use std::collections::BTreeMap;

use http::StatusCode;

use super::browse;
use super::properties::{self, Resource, Row, Scene};
use super::quota::HomesInUse;
use crate::dav::xml::{DAV, Name, PropRequest, Wanted, Writer};

/// One property asked for.
enum Column {
    /// One of the table.
    Live(&'static Row),
    /// One that a client may have left on a collection.
    Dead(Name),
}

/// What is written for each resource.
pub(super) struct Plan {
    columns: Vec<Column>,
    /// How absent properties and dead ones nobody named are treated.
    mode: Mode,
    /// Absent properties are not mentioned (RFC 8144 `return=minimal`).
    minimal: bool,
    /// `getetag` was named beside `allprop`.
    names_etag: bool,
    /// What is in homes, where somebody wants to know.
    pub(super) usage: HomesInUse,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    These,
    All,
    Names,
    Links,
}

impl Plan {
    /// The plan for a request.
    pub(super) fn new(wanted: &Wanted, minimal: bool) -> Self {
        let column = |name: &Name| match properties::find(name) {
            Some(row) => Column::Live(row),
            None => Column::Dead(name.clone()),
        };
        let (columns, mode) = match wanted {
            Wanted::These(names) => (names.iter().map(column).collect(), Mode::These),
            Wanted::Names => (properties::all().map(Column::Live).collect(), Mode::Names),
            Wanted::All(include) => {
                let usual = properties::all().filter(|row| row.in_allprop).map(Column::Live);
                let more = include.iter().map(column);
                let more = more.filter(|c| !matches!(c, Column::Live(row) if row.in_allprop));
                (usual.chain(more).collect(), Mode::All)
            }
        };
        let named = |name: &Name| name.is(DAV, "getetag");
        let names_etag = matches!(wanted, Wanted::All(include) if include.iter().any(named));
        Self { columns, mode, minimal, names_etag, usage: HomesInUse::default() }
    }

    /// No property at all: each resource becomes an item of an HTML list, by its name.
    pub(super) fn links() -> Self {
        Self { columns: Vec::new(), mode: Mode::Links, minimal: false, names_etag: false, usage: HomesInUse::default() }
    }

    /// The plan for a report, whose properties clients name.
    pub(super) fn for_request(request: &PropRequest, minimal: bool) -> Self {
        Self::new(&request.wanted, minimal)
    }

    /// Whether the answer holds the value of this property.
    pub(super) fn asks_for(&self, name: &Name) -> bool {
        self.mode != Mode::Names
            && self.columns.iter().any(|column| matches!(column, Column::Live(row) if row.name == *name))
    }

    /// Whether absent properties are passed over in silence.
    pub(super) fn is_minimal(&self) -> bool {
        self.minimal
    }

    /// Whether the data of objects is needed.
    pub(super) fn needs_data(&self) -> bool {
        self.columns.iter().any(|c| matches!(c, Column::Live(row) if row.needs_data))
    }

    /// Writes what the plan says about a resource: a `d:response`, or a link.
    pub(super) fn write(&self, scene: &Scene<'_>, resource: &Resource<'_>, href: &str, w: &mut Writer) {
        if self.mode == Mode::Links {
            return browse::write_link(scene, resource, href, w);
        }
        w.raw("<d:response><d:href>");
        w.raw(&scene.server.settings.base);
        w.raw(href);
        w.raw("</d:href>");
        let before = w.len();
        w.raw("<d:propstat><d:prop>");
        let mut found = 0;
        let mut missing = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            let start = w.len();
            let written = match column {
                Column::Live(row) if self.is_quiet_about(row, resource) => continue,
                // What is live elsewhere may be dead here.
                Column::Live(row) => {
                    row.write(scene, resource, w)
                        || self.usage.write(&row.name, resource, w)
                        || (self.mode == Mode::These && write_dead(resource, &row.name, w))
                }
                Column::Dead(name) => write_dead(resource, name, w),
            };
            if written && self.mode == Mode::Names {
                w.truncate(start);
                w.empty_name(self.name(index));
            }
            match written {
                true => found += 1,
                false if self.mode == Mode::These && !self.minimal => missing.push(index),
                false => {}
            }
        }
        if let (Some(dead), Mode::All | Mode::Names) = (dead_of(resource), self.mode) {
            found += self.write_all_dead(dead, w);
        }
        // A response needs a propstat even when there is nothing to say.
        if found > 0 || missing.is_empty() {
            if found == 0 {
                w.truncate(before);
                w.raw("<d:propstat><d:prop/>");
            } else {
                w.raw("</d:prop>");
            }
            w.status(StatusCode::OK);
            w.raw("</d:propstat>");
        } else {
            w.truncate(before);
        }
        if !missing.is_empty() {
            w.raw("<d:propstat><d:prop>");
            missing.into_iter().for_each(|index| w.empty_name(self.name(index)));
            w.raw("</d:prop>");
            w.status(StatusCode::NOT_FOUND);
            w.raw("</d:propstat>");
        }
        w.raw("</d:response>");
    }

    fn is_quiet_about(&self, row: &Row, resource: &Resource<'_>) -> bool {
        self.mode == Mode::All && !self.names_etag && row.is_quiet(resource)
    }

    fn name(&self, index: usize) -> &Name {
        match &self.columns[index] {
            Column::Live(row) => &row.name,
            Column::Dead(name) => name,
        }
    }

    fn write_all_dead(&self, dead: &BTreeMap<String, String>, w: &mut Writer) -> usize {
        for (clark, xml) in dead {
            match (self.mode, clark.strip_prefix('{').and_then(|c| c.rsplit_once('}'))) {
                (Mode::Names, Some((ns, local))) => w.empty_name(&Name::read(ns, local)),
                _ => w.raw(xml),
            }
        }
        dead.len()
    }
}

/// Writes a `d:response` that says only how it went with this address.
pub(super) fn write_status(href: &str, status: StatusCode, w: &mut Writer) {
    w.raw("<d:response>");
    w.href(href);
    w.status(status);
    w.raw("</d:response>");
}

/// Writes a `d:response` that says which condition did not hold for this address (RFC 4918 §14.24).
pub(super) fn write_failure(href: &str, status: StatusCode, condition: &str, description: &str, w: &mut Writer) {
    w.raw("<d:response>");
    w.href(href);
    w.status(status);
    w.within("d:error", |w| w.empty(condition));
    w.element("d:responsedescription", description);
    w.raw("</d:response>");
}

/// Writes the `d:response` that says that there are more results than are told (RFC 6578 §3.6, RFC 6352 §8.6.2).
pub(super) fn write_truncated(href: &str, w: &mut Writer) {
    w.raw("<d:response>");
    w.href(href);
    w.status(StatusCode::INSUFFICIENT_STORAGE);
    w.raw("<d:error><d:number-of-matches-within-limits/></d:error></d:response>");
}

/// The dead properties that clients left on a resource; `None` where they can leave none.
fn dead_of<'a>(resource: &'a Resource<'_>) -> Option<&'a BTreeMap<String, String>> {
    match resource {
        Resource::Collection(c) => Some(&c.props.dead),
        Resource::File(file) => Some(&file.node.dead),
        _ => None,
    }
}

fn write_dead(resource: &Resource<'_>, name: &Name, w: &mut Writer) -> bool {
    let Some(xml) = dead_of(resource).and_then(|dead| dead.get(&name.to_string())) else { return false };
    w.raw(xml);
    true
}
