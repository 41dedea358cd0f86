//! COPY and MOVE of files and folders within a home (RFC 4918 §9.8, §9.9).

use http::{Response, StatusCode};

use super::{Decision, FileRequest, Sight, done, no_parent};
use crate::dav::error::DavError;
use crate::dav::path::Location;
use crate::dav::server::call::Depth;
use crate::dav::server::copy_move::must_not_overwrite;
use crate::dav::upstream::Body;
use crate::store::files::{FileLock, FileOp, FilePath, Found};

/// What is to happen.
struct Relocation {
    is_move: bool,
    /// With all that is in it.
    deep: bool,
    to: FilePath,
    overwrite: bool,
}

impl FileRequest {
    /// Copies or moves what is at the place of the request.
    pub(super) async fn copy_or_move(self) -> Result<Response<Body>, DavError> {
        let is_move = self.call.method.as_str() == "MOVE";
        let deep = match self.call.strict_depth()? {
            None | Some(Depth::Infinity) => true,
            Some(Depth::Zero) => false,
            Some(Depth::One) => return Err(DavError::bad_request("Depth is 0 or infinity here")),
        };
        let overwrite = self.call.overwrites()?;
        let to = match self.call.destination()? {
            Location::File { home, path } if home == self.home => path,
            _ => return Err(DavError::forbidden("Files stay in their home")),
        };
        self.check_depth(&to)?;
        let relocation = Relocation { is_move, deep, to, overwrite };
        let also: Vec<FilePath> = relocation.to.parent().into_iter().chain([relocation.to.clone()]).collect();
        self.change(&also, |sight| self.relocate(sight, &relocation)).await
    }

    fn relocate(&self, sight: &Sight, relocation: &Relocation) -> Result<Decision, DavError> {
        let Relocation { is_move, deep, to, overwrite } = relocation;
        let node = self.existing(sight)?;
        if *is_move && node.is_folder() && !deep {
            return Err(DavError::bad_request("A folder is moved with Depth infinity (RFC 4918 §9.9.2)"));
        }
        if *to == self.path {
            return Err(DavError::forbidden("Source and destination uri are identical."));
        }
        // A copy with all that is in it would hold itself, and what is overwritten would take the source along.
        if (to.is_below(&self.path) && (*is_move || *deep)) || self.path.is_below(to) {
            return Err(DavError::forbidden("Source and destination lie within each other"));
        }
        // Above everything is the home itself, within which every source lies.
        let parent = to.parent().ok_or_else(no_parent)?;
        let parent = sight.at(&parent).and_then(Found::node).filter(|node| node.is_folder()).ok_or_else(no_parent)?;
        let replaced = sight.at(to).and_then(Found::node);
        self.check_conditions(sight)?;
        if replaced.is_some() && !overwrite {
            return Err(must_not_overwrite());
        }
        if *is_move {
            self.check_membership(sight, &self.path)?;
        }
        self.check_membership(sight, to)?;
        let below = if *is_move { self.locked_below(sight, &self.path) } else { None };
        if let Some(answer) = below.or_else(|| self.locked_below(sight, to)) {
            return Ok(Decision::Answer(answer));
        }
        let mut ops = Vec::from_iter(replaced.map(|node| FileOp::Remove(node.id)));
        let name = to.name().to_owned();
        let levels = self.call.inner().settings.files.depth.saturating_sub(to.segments().len());
        ops.push(if *is_move {
            FileOp::Move { node: node.id, parent: parent.id, name, levels }
        } else {
            let created = self.call.inner().env.now();
            FileOp::Copy { node: node.id, parent: parent.id, name, deep: *deep, levels, created }
        });
        let status = if replaced.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
        let locks = self.without_locks_at(sight, |lock| self.loses(lock, relocation));
        Ok(Decision::Write { ops, locks, answer: done(status) })
    }

    /// Whether a lock ends: those of what is moved stay behind (RFC 4918 §7.6), those of what is overwritten go with it,
    /// but for the lock on a destination that a copy is written to.
    fn loses(&self, lock: &FileLock, relocation: &Relocation) -> bool {
        let at_or_below = |path: &FilePath| lock.root == *path || lock.root.is_below(path);
        match relocation.is_move {
            true => at_or_below(&self.path) || at_or_below(&relocation.to),
            false => lock.root.is_below(&relocation.to),
        }
    }
}
