//! MKCOL, DELETE and PROPPATCH.

use std::collections::BTreeMap;

use http::{Response, StatusCode};

use super::{Decision, FileRequest, Sight, done, no_parent};
use crate::dav::error::{Condition, DavError};
use crate::dav::server::call::Depth;
use crate::dav::server::chunked::{self, Written};
use crate::dav::server::properties;
use crate::dav::server::proppatch::write_results;
use crate::dav::server::store_props::{Refused, change_dead};
use crate::dav::upstream::Body;
use crate::dav::xml::{DAV, PropChange, PropUpdate, Writer, read_creation, read_update};
use crate::store::files::{FileOp, Found};

impl FileRequest {
    /// Makes a folder, with properties where the body names some (RFC 5689).
    pub(super) async fn make_folder(mut self) -> Result<Response<Body>, DavError> {
        let update = self.creation().await?;
        let mut dead = BTreeMap::new();
        let refused = update.iter().find_map(|change| {
            // That it is a folder needs no property.
            let is_type = change.name().is(DAV, "resourcetype");
            if is_type { None } else { self.apply(&mut dead, change).err() }
        });
        if let Some(refused) = refused {
            let error = DavError::new(refused.status, "Sabre\\DAV\\Exception\\Forbidden", "A property cannot be set");
            return Err(refused.condition.into_iter().fold(error, DavError::because));
        }
        self.check_depth(&self.path)?;
        self.change(&[], |sight| {
            let parent = match sight.here() {
                Found::Node(_) => {
                    return Err(DavError::method_not_allowed("The resource you tried to create already exists")
                        .because(Condition::Empty("d:resource-must-be-null")));
                }
                Found::Nowhere => return Err(no_parent()),
                Found::Vacant(parent) => parent,
            };
            self.check_conditions(sight)?;
            self.check_membership(sight, &self.path)?;
            let mut node = self.new_node(None);
            node.dead.clone_from(&dead);
            Ok(Decision::ops(vec![FileOp::Create { parent: parent.id, node }], done(StatusCode::CREATED)))
        })
        .await
    }

    /// What the body of a MKCOL asks for. Anything but a `mkcol` of a plain folder is nothing that we know (RFC 4918 §9.3).
    async fn creation(&mut self) -> Result<PropUpdate, DavError> {
        let unknown = || DavError::unsupported_media_type("The body of this MKCOL is of a type that is not known here");
        let most = self.call.inner().settings.limits.xml_bytes;
        let body = self.call.body(most, DavError::too_large("The body is too large")).await?;
        if body.is_empty() {
            return Ok(PropUpdate::new());
        }
        let content_type = self.call.headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        if !content_type.is_some_and(|t| t.split(';').next().is_some_and(|t| t.trim().ends_with("xml"))) {
            return Err(unknown());
        }
        let root = self.call.read_xml(&body)?;
        if !root.as_ref().is_none_or(|root| root.name.is(DAV, "mkcol")) {
            return Err(unknown());
        }
        let update = read_creation(root.as_ref())?;
        let is_other = |change: &PropChange| match change {
            PropChange::Set(element) if element.name.is(DAV, "resourcetype") => {
                element.elements().any(|kind| !kind.name.is(DAV, "collection"))
            }
            _ => false,
        };
        if update.iter().any(is_other) {
            return Err(DavError::forbidden("Only plain folders can be made here")
                .because(Condition::Empty("d:valid-resourcetype")));
        }
        Ok(update)
    }

    /// Deletes a file, or a folder with all that is in it.
    pub(super) async fn delete(self) -> Result<Response<Body>, DavError> {
        let depth = self.call.strict_depth()?;
        self.change(&[], |sight| {
            if let Found::Vacant(_) | Found::Nowhere = sight.here() {
                self.check_conditions(sight)?;
            }
            let node = self.existing(sight)?;
            if self.path.is_root() {
                return Err(DavError::forbidden("The home itself cannot be deleted"));
            }
            if node.is_folder() && depth.is_some_and(|depth| depth != Depth::Infinity) {
                return Err(DavError::bad_request("A folder is deleted with Depth infinity (RFC 4918 §9.6.1)"));
            }
            self.check_conditions(sight)?;
            self.check_membership(sight, &self.path)?;
            if let Some(answer) = self.locked_below(sight, &self.path) {
                return Ok(Decision::Answer(answer));
            }
            let ops = vec![FileOp::Remove(node.id)];
            let locks = self.without_locks_at(sight, |lock| lock.root == self.path || lock.root.is_below(&self.path));
            Ok(Decision::Write { ops, locks, answer: done(StatusCode::NO_CONTENT) })
        })
        .await
    }

    /// All locks but those; `None` where nothing is to be changed.
    pub(super) fn without_locks_at(
        &self,
        sight: &Sight,
        goes: impl Fn(&crate::store::files::FileLock) -> bool,
    ) -> Option<Vec<crate::store::files::FileLock>> {
        let locks = &sight.view.home.locks;
        locks.iter().any(&goes).then(|| locks.iter().filter(|lock| !goes(lock)).cloned().collect())
    }

    /// Changes dead properties, all or none (RFC 4918 §9.2).
    pub(super) async fn proppatch(mut self) -> Result<Response<Body>, DavError> {
        let root = self.call.xml().await?;
        let update = read_update(root.as_ref())?;
        let mut failed = None;
        let mut dead = BTreeMap::new();
        let results: Vec<_> = update.iter().map(|change| self.apply(&mut dead, change)).collect();
        if results.iter().any(Result::is_err) {
            failed = Some(results);
        }
        let answer = self
            .change(&[], |sight| {
                let node = self.existing(sight)?;
                self.check_conditions(sight)?;
                self.check_locks(sight, &[&self.path])?;
                if failed.is_some() {
                    return Ok(Decision::Answer(done(StatusCode::FORBIDDEN)));
                }
                let mut dead = node.dead.clone();
                for change in &update {
                    // Also what is there already takes room.
                    if let Err(refused) = self.apply(&mut dead, change) {
                        return Ok(Decision::Answer(done(refused.status)));
                    }
                }
                Ok(Decision::ops(vec![FileOp::SetProps { node: node.id, dead }], done(StatusCode::OK)))
            })
            .await?;
        let results = failed.unwrap_or_else(|| match answer.status() {
            StatusCode::OK => update.iter().map(|_| Ok(())).collect(),
            status => update.iter().map(|_| Err(Refused { status, condition: None })).collect(),
        });
        let mut w = Writer::default();
        write_results(&self.call.path, &update, &results, &mut w);
        chunked::multistatus(Written(w.take()), false).await
    }

    /// Applies one change; live properties of files are protected, but for `displayname`, which is as dead as any.
    fn apply(&self, dead: &mut BTreeMap<String, String>, change: &PropChange) -> Result<(), Refused> {
        let name = change.name();
        if name.ns == DAV && name.local != "displayname" && properties::find(name).is_some() {
            return Err(Refused::protected());
        }
        change_dead(dead, change, self.call.inner().settings.files.property_bytes)
    }
}
