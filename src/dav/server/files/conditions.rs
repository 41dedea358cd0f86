//! What must hold for a request to be done: its conditional headers, and the locks that it must name.

use http::header::{HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::{Method, Response, StatusCode};

use super::{FileRequest, Sight};
use crate::dav::error::DavError;
use crate::dav::path::{Location, MOUNT};
use crate::dav::precondition::{ConditionError, Known, Preconditions};
use crate::dav::server::call::Call;
use crate::dav::upstream::Body;
use crate::dav::xml::{PROLOG, Writer};
use crate::ids::HomeId;
use crate::store::files::{FileLock, FilePath};

/// The conditional headers of a request about files.
pub(super) struct Conditions {
    conditions: Preconditions,
    base: String,
    tagged: Vec<FilePath>,
}

impl Conditions {
    pub(super) fn read(call: &Call, home: HomeId) -> Result<Self, DavError> {
        let conditions = Preconditions::read(&call.headers)?;
        let settings = &call.inner().settings;
        // Clients see the server below the mount of the proxy, too.
        let base = if settings.base.is_empty() { MOUNT.to_owned() } else { settings.base.clone() };
        let of_home = |location| match location {
            Location::File { home: tagged, path } if tagged == home => Some(path),
            _ => None,
        };
        let tagged: Vec<FilePath> = conditions.tagged(&base).filter_map(of_home).collect();
        // Each of them is looked up.
        if tagged.len() > settings.limits.conditions {
            return Err(DavError::bad_request(format!("If names more than {} resources", settings.limits.conditions)));
        }
        Ok(Self { conditions, base, tagged })
    }

    /// The places of the home that lists of `If` are about.
    pub(super) fn tagged(&self) -> &[FilePath] {
        &self.tagged
    }

    /// The tokens of `If`.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.conditions.tokens()
    }
}

impl FileRequest {
    /// Checks the conditional headers, in the order of RFC 9110 §13.2.2.
    ///
    /// # Errors
    /// 412, or 304 turned into [`ConditionError::IfNoneMatch`] by whoever reads.
    pub(super) fn check_conditions(&self, sight: &Sight) -> Result<(), DavError> {
        Ok(self.conditions_hold(sight)?)
    }

    fn conditions_hold(&self, sight: &Sight) -> Result<(), ConditionError> {
        let here = Location::File { home: self.home, path: self.path.clone() };
        let state = |location: &Location| match location {
            Location::File { home, path } if *home == self.home => {
                let node = sight.at(path).and_then(|found| found.node());
                Known {
                    exists: node.is_some(),
                    etag: node.and_then(|node| node.etag()),
                    tokens: sight.view.home.locks.iter().filter(|l| l.covers(path)).map(|l| l.token.as_str()).collect(),
                }
            }
            _ => Known::default(),
        };
        let headers = &self.call.headers;
        self.conditions.conditions.check_by(&here, &self.conditions.base, &state)?;
        let modified = sight.here().node().map(|node| node.modified);
        if !headers.contains_key(IF_MATCH)
            && let (Some(since), Some(modified)) = (date(headers, &IF_UNMODIFIED_SINCE), modified)
            && modified.timestamp() > since
        {
            return Err(ConditionError::IfUnmodifiedSince);
        }
        Ok(())
    }

    /// Checks the conditional headers of a request that only reads: some say that the client knows it all already.
    pub(super) fn is_known_already(&self, sight: &Sight) -> Result<bool, DavError> {
        let headers = &self.call.headers;
        match self.conditions_hold(sight) {
            Err(ConditionError::IfNoneMatch) if [Method::GET, Method::HEAD].contains(&self.call.method) => Ok(true),
            Err(error) => Err(error.into()),
            Ok(()) => {
                let modified = sight.here().node().map(|node| node.modified.timestamp());
                let since = date(headers, &IF_MODIFIED_SINCE).filter(|_| !headers.contains_key(IF_NONE_MATCH));
                Ok(matches!((since, modified), (Some(since), Some(modified)) if modified <= since))
            }
        }
    }

    /// The lock on a place that the request does not name; `None` where nothing is in the way. Of several shared locks one
    /// is enough, and only who took a lock may use it (RFC 4918 §6.4).
    pub(super) fn lock_in_the_way<'s>(&self, sight: &'s Sight, path: &'s FilePath) -> Option<&'s FileLock> {
        let principal = self.call.who.principal();
        let is_named =
            |lock: &&FileLock| lock.creator == principal && self.conditions.tokens().any(|token| token == lock.token);
        let first = sight.locks_on(path).next()?;
        if sight.locks_on(path).any(|lock| is_named(&lock)) { None } else { Some(first) }
    }

    /// Refuses where one of these places is locked, and the request does not name the lock.
    pub(super) fn check_locks(&self, sight: &Sight, paths: &[&FilePath]) -> Result<(), DavError> {
        match paths.iter().find_map(|path| self.lock_in_the_way(sight, path)) {
            Some(lock) => Err(DavError::locked(&self.href(&lock.root, lock.on_folder))),
            None => Ok(()),
        }
    }

    /// Refuses to add a member to a folder, or to take one away, where either is locked (RFC 4918 §7.4).
    pub(super) fn check_membership(&self, sight: &Sight, path: &FilePath) -> Result<(), DavError> {
        let parent = path.parent();
        self.check_locks(sight, &Vec::from_iter([Some(path), parent.as_ref()].into_iter().flatten()))
    }

    /// A 207 with the locks below a place that are in the way; `None` where none is. Nothing is done then (RFC 4918
    /// §9.6.1).
    pub(super) fn locked_below(&self, sight: &Sight, path: &FilePath) -> Option<Response<Body>> {
        let below = sight.view.home.locks.iter().filter(|lock| lock.root.is_below(path));
        let in_the_way: Vec<&FileLock> =
            below.filter(|lock| self.lock_in_the_way(sight, &lock.root).is_some()).collect();
        if in_the_way.is_empty() {
            return None;
        }
        let mut w = Writer::starting(PROLOG);
        for lock in in_the_way {
            let href = self.href(&lock.root, lock.on_folder);
            w.open("d:response");
            w.href(&href);
            w.status(StatusCode::LOCKED);
            w.within("d:error", |w| w.within("d:lock-token-submitted", |w| w.href(&href)));
            w.close("d:response");
        }
        w.close("d:multistatus");
        Some(multistatus(w))
    }
}

/// A 207 that is written already.
pub(super) fn multistatus(mut w: Writer) -> Response<Body> {
    let mut response = Response::new(Body::from(w.take()));
    *response.status_mut() = StatusCode::MULTI_STATUS;
    response.headers_mut().insert(http::header::CONTENT_TYPE, crate::dav::error::XML_TYPE);
    response
}

/// The instant in a header, as a unix timestamp; one that cannot be read is no condition (RFC 9110 §13.1.3).
pub(super) fn date(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    let text = headers.get(name)?.to_str().ok()?;
    chrono::DateTime::parse_from_rfc2822(text.trim()).ok().map(|date| date.timestamp())
}
