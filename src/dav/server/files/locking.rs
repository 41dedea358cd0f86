//! LOCK and UNLOCK (RFC 4918 §9.10, §9.11).

use chrono::TimeDelta;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::conditions::multistatus;
use super::{Decision, FileRequest, Sight, done, no_parent};
use crate::dav::error::{Condition, DavError, XML_TYPE};
use crate::dav::server::call::Depth;
use crate::dav::server::plan::write_status;
use crate::dav::upstream::Body;
use crate::dav::xml::{LockInfo, PROLOG, Writer, read_lock};
use crate::ids::ContentId;
use crate::store::files::{FileContent, FileLock, FileOp, Found};

const LOCK_TOKEN: HeaderName = HeaderName::from_static("lock-token");
/// Octets of what a client says about who holds a lock.
const MOST_OF_AN_OWNER: usize = 4096;

impl FileRequest {
    /// Takes a lock, or lets one last longer.
    pub(super) async fn lock(mut self) -> Result<Response<Body>, DavError> {
        let deep = match self.call.strict_depth()? {
            None | Some(Depth::Infinity) => true,
            Some(Depth::Zero) => false,
            Some(Depth::One) => return Err(DavError::bad_request("A lock has Depth 0 or infinity")),
        };
        match self.call.xml().await? {
            None => self.refresh().await,
            Some(root) => {
                let wanted = read_lock(&root)?;
                self.check_depth(&self.path)?;
                let lock = self.new_lock(&wanted, deep)?;
                self.change(&[], |sight| self.decide_lock(sight, &lock)).await
            }
        }
    }

    fn new_lock(&self, wanted: &LockInfo, deep: bool) -> Result<FileLock, DavError> {
        let mut w = Writer::default();
        if let Some(owner) = &wanted.owner {
            w.tree(owner);
        }
        let owner = w.take();
        if owner.len() > MOST_OF_AN_OWNER {
            return Err(DavError::too_large(format!("The owner of a lock has at most {MOST_OF_AN_OWNER} octets")));
        }
        let env = &self.call.inner().env;
        Ok(FileLock {
            token: format!("urn:uuid:{}", env.uuid()),
            root: self.path.clone(),
            on_folder: false,
            deep,
            shared: wanted.shared,
            owner,
            creator: self.call.who.principal(),
            expires: env.now() + self.duration(),
        })
    }

    /// How long a lock lasts (RFC 4918 §10.7): what the client asks for, within limits.
    fn duration(&self) -> TimeDelta {
        let limits = &self.call.inner().settings.files;
        let asked = self.call.headers.get("timeout").and_then(|v| v.to_str().ok());
        let first = asked.into_iter().flat_map(|v| v.split(',')).map(str::trim).find_map(|wanted| {
            match wanted.split_once('-') {
                _ if wanted.eq_ignore_ascii_case("infinite") => Some(limits.lock_most_s),
                Some((unit, seconds)) if unit.eq_ignore_ascii_case("second") => {
                    let is_number = !seconds.is_empty() && seconds.bytes().all(|b| b.is_ascii_digit());
                    is_number.then(|| seconds.parse().unwrap_or(u32::MAX))
                }
                _ => None,
            }
        });
        TimeDelta::seconds(first.unwrap_or(limits.lock_s).clamp(1, limits.lock_most_s).into())
    }

    fn decide_lock(&self, sight: &Sight, lock: &FileLock) -> Result<Decision, DavError> {
        let (mut ops, mut status, mut lock) = (Vec::new(), StatusCode::OK, lock.clone());
        self.check_conditions(sight)?;
        let conflicts = |other: &&FileLock| !(lock.shared && other.shared);
        if let Some(other) = sight.locks_on(&self.path).find(conflicts) {
            return Err(no_lock_beside(&self.href(&other.root, other.on_folder)));
        }
        match sight.here() {
            Found::Node(node) => lock.on_folder = node.is_folder(),
            Found::Nowhere => return Err(no_parent()),
            // RFC 4918 §7.3: an empty file.
            Found::Vacant(parent) => {
                self.check_membership(sight, &self.path)?;
                let env = &self.call.inner().env;
                let content = FileContent {
                    id: ContentId(env.object_id()),
                    size: 0,
                    etag: crate::dav::precondition::etag_of(""),
                    media_type: "application/octet-stream".to_owned(),
                };
                let node = self.new_node(Some(content));
                ops.push(FileOp::Create { parent: parent.id, node });
                status = StatusCode::CREATED;
            }
        }
        let locks = &sight.view.home.locks;
        let below = |other: &&FileLock| lock.deep && other.root.is_below(&self.path);
        if let Some(other) = locks.iter().filter(below).find(|other| !(lock.shared && other.shared)) {
            return Ok(Decision::Answer(self.locked_within(other)));
        }
        let limits = &self.call.inner().settings.files;
        let kept = locks.iter().chain([&lock]).map(FileLock::octets).sum::<usize>();
        if locks.len() >= limits.locks || kept > limits.lock_bytes {
            return Err(DavError::insufficient_storage("This home has as many locks as it may have"));
        }
        let mut locks = locks.clone();
        locks.push(lock);
        let last = locks.len() - 1;
        let mut answer = self.discovery(locks.iter().filter(|l| l.covers(&self.path)), status);
        if let Ok(token) = HeaderValue::from_str(&format!("<{}>", locks[last].token)) {
            answer.headers_mut().insert(LOCK_TOKEN, token);
        }
        Ok(Decision::Write { ops, locks: Some(locks), answer })
    }

    /// 207: something within is locked already (RFC 4918 §9.10.3).
    fn locked_within(&self, other: &FileLock) -> Response<Body> {
        let mut w = Writer::starting(PROLOG);
        write_status(&self.href(&other.root, other.on_folder), StatusCode::LOCKED, &mut w);
        write_status(&self.href(&self.path, true), StatusCode::FAILED_DEPENDENCY, &mut w);
        w.close("d:multistatus");
        multistatus(w)
    }

    /// Lets a lock last longer, whose token `If` names (RFC 4918 §9.10.2).
    async fn refresh(self) -> Result<Response<Body>, DavError> {
        if self.conditions.tokens().next().is_none() {
            return Err(DavError::bad_request("A LOCK without a body refreshes the lock that is named in If"));
        }
        let principal = self.call.who.principal();
        self.change(&[], |sight| {
            self.existing(sight)?;
            self.check_conditions(sight)?;
            let is_meant = |lock: &FileLock| {
                lock.covers(&self.path)
                    && lock.creator == principal
                    && self.conditions.tokens().any(|token| token == lock.token)
            };
            let mut locks = sight.view.home.locks.clone();
            let Some(lock) = locks.iter_mut().find(|lock| is_meant(lock)) else {
                return Err(no_such_lock(StatusCode::PRECONDITION_FAILED));
            };
            lock.expires = self.call.inner().env.now() + self.duration();
            let answer = self.discovery(locks.iter().filter(|l| l.covers(&self.path)), StatusCode::OK);
            Ok(Decision::Write { ops: Vec::new(), locks: Some(locks), answer })
        })
        .await
    }

    /// Gives a lock back.
    pub(super) async fn unlock(self) -> Result<Response<Body>, DavError> {
        let header = self.call.headers.get(LOCK_TOKEN).and_then(|v| v.to_str().ok()).map(str::trim);
        let token = header.and_then(|h| h.strip_prefix('<')?.strip_suffix('>'));
        let token = token.ok_or_else(|| DavError::bad_request("UNLOCK needs Lock-Token, in angle brackets"))?;
        let principal = self.call.who.principal();
        self.change(&[], |sight| {
            self.existing(sight)?;
            self.check_conditions(sight)?;
            let is_meant = |lock: &FileLock| lock.token == token && lock.covers(&self.path);
            let Some(lock) = sight.view.home.locks.iter().find(|lock| is_meant(lock)) else {
                return Err(no_such_lock(StatusCode::CONFLICT));
            };
            if lock.creator != principal {
                return Err(DavError::forbidden("The lock is somebody else's"));
            }
            let locks = self.without_locks_at(sight, is_meant);
            Ok(Decision::Write { ops: Vec::new(), locks, answer: done(StatusCode::NO_CONTENT) })
        })
        .await
    }

    /// The answer to LOCK: the locks on what it was about.
    fn discovery<'l>(&self, locks: impl Iterator<Item = &'l FileLock>, status: StatusCode) -> Response<Body> {
        let mut w = Writer::starting(&PROLOG.replacen("<d:multistatus ", "<d:prop ", 1));
        let inner = self.call.inner();
        w.within("d:lockdiscovery", |w| {
            for lock in locks {
                super::properties::write_lock(&inner.settings.base, self.home, inner.env.now(), lock, w);
            }
        });
        w.close("d:prop");
        let mut response = Response::new(Body::from(w.take()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, XML_TYPE);
        response
    }
}

/// 423: there is a lock beside which this one cannot be.
fn no_lock_beside(root: &str) -> DavError {
    DavError::locked(root).because(Condition::Href("d:no-conflicting-lock", root.to_owned()))
}

/// The token is not that of a lock on the resource.
fn no_such_lock(status: StatusCode) -> DavError {
    let exception = match status {
        StatusCode::CONFLICT => "Sabre\\DAV\\Exception\\LockTokenMatchesRequestUri",
        _ => "Sabre\\DAV\\Exception\\PreconditionFailed",
    };
    DavError::new(status, exception, "There is no such lock on this resource")
        .because(Condition::Empty("d:lock-token-matches-request-uri"))
}
