//! Plain files below `/files/{home}/` (RFC 4918, class 2): attachments, and whatever else people put there.
//!
//! In come requests about files and folders of one home, whose owner acts. Each looks at what it is about, decides by what
//! it saw (`Sight`), and writes what follows under the revision that was seen; when somebody was faster it does so again. A
//! decision is a function of the request and the sight, so conditions, locks and quota are checked against exactly what is
//! changed. Content streams in and out piece by piece and is never held as a whole.

mod conditions;
mod content;
mod locking;
pub(super) mod properties;
mod propfind;
mod relocate;
mod tree;
mod upload;

use http::header::ALLOW;
use http::{Response, StatusCode};

use self::conditions::Conditions;
pub(super) use self::properties::FileSight;
pub(super) use self::upload::{UNKNOWN_TYPE, declared_size, receive};
use super::access::Relation;
use super::call::Call;
use crate::dav::error::DavError;
use crate::dav::options::FILE_METHODS;
use crate::dav::path::{Location, Space};
use crate::dav::upstream::Body;
use crate::ids::HomeId;
use crate::store::files::{
    FileLock, FileNode, FileOp, FilePath, FileView, FileWrite, FileWriteError, Found, Room, SharedFileStore,
};

/// How often a write is tried again when somebody else writes to the same home at the same time.
const ATTEMPTS: usize = 64;

impl Call {
    /// Answers a request about files.
    pub(super) async fn about_files(self) -> Result<Response<Body>, DavError> {
        let Some(store) = self.inner().files.get().cloned() else {
            return Err(DavError::no_node(&self.path));
        };
        let (home, path) = match &self.location {
            Location::File { home, path } => (*home, path.clone()),
            _ => return self.file_homes(&store).await,
        };
        match self.server.relation(&self.who, Space::Calendars, home).await? {
            Relation::Owner => {}
            Relation::Member | Relation::Colleague => return Err(self.server.needs(&self.location, "d:read")),
        }
        let conditions = Conditions::read(&self, home)?;
        let request = FileRequest { call: self, store, home, path, conditions };
        match request.call.method.as_str() {
            "GET" | "HEAD" => request.content().await,
            "PROPFIND" => request.propfind().await,
            "PUT" => request.put().await,
            "DELETE" => request.delete().await,
            "MKCOL" => request.make_folder().await,
            "PROPPATCH" => request.proppatch().await,
            "COPY" | "MOVE" => request.copy_or_move().await,
            "LOCK" => request.lock().await,
            "UNLOCK" => request.unlock().await,
            _ => Ok(not_allowed(&format!("{} is for calendars and address books", request.call.method))),
        }
    }
}

impl Call {
    /// Answers with what is in a file at this place, as if the request had named it. Who may ask is decided before.
    pub(super) async fn send_file(
        self,
        store: SharedFileStore,
        home: HomeId,
        path: FilePath,
    ) -> Result<Response<Body>, DavError> {
        let conditions = Conditions::read(&self, home)?;
        FileRequest { call: self, store, home, path, conditions }.content().await
    }
}

/// 405, with what is allowed.
fn not_allowed(message: &str) -> Response<Body> {
    let mut response = DavError::method_not_allowed(message).into_response();
    response.headers_mut().insert(ALLOW, FILE_METHODS);
    response
}

/// A request about a file or a folder, or a place where there is none.
struct FileRequest {
    call: Call,
    store: SharedFileStore,
    home: HomeId,
    path: FilePath,
    conditions: Conditions,
}

/// What a request saw: the places that it is about, and all locks of the home that hold.
struct Sight {
    paths: Vec<FilePath>,
    view: FileView,
}

impl Sight {
    /// What is at the place of the request.
    fn here(&self) -> &Found {
        self.view.found.first().unwrap_or(&Found::Nowhere)
    }

    /// What is at one of the places that were looked at.
    fn at(&self, path: &FilePath) -> Option<&Found> {
        let at = self.paths.iter().position(|p| p == path)?;
        self.view.found.get(at)
    }

    /// The locks on a place, its own and those from above.
    fn locks_on<'a>(&'a self, path: &'a FilePath) -> impl Iterator<Item = &'a FileLock> {
        self.view.home.locks.iter().filter(move |lock| lock.covers(path))
    }
}

/// What follows from a sight.
enum Decision {
    /// Nothing is changed.
    Answer(Response<Body>),
    /// This happens, and then it is answered.
    Write { ops: Vec<FileOp>, locks: Option<Vec<FileLock>>, answer: Response<Body> },
}

impl Decision {
    /// Changes of the tree, no lock among them.
    fn ops(ops: Vec<FileOp>, answer: Response<Body>) -> Self {
        Self::Write { ops, locks: None, answer }
    }
}

impl FileRequest {
    /// Looks at the place of the request, those that its conditions name, and these.
    async fn look(&self, also: &[FilePath]) -> Result<Sight, DavError> {
        let mut paths = vec![self.path.clone()];
        for path in also.iter().chain(self.conditions.tagged()) {
            if !paths.contains(path) {
                paths.push(path.clone());
            }
        }
        let mut view = self.store.look(self.home, &paths).await?;
        let now = self.call.inner().env.now();
        view.home.locks.retain(|lock| lock.expires > now);
        Ok(Sight { paths, view })
    }

    /// What is at the place of the request.
    fn existing<'s>(&self, sight: &'s Sight) -> Result<&'s FileNode, DavError> {
        sight.here().node().ok_or_else(|| DavError::no_node(&self.call.path))
    }

    /// Looks, decides and writes, until nobody was faster. What `decide` refuses is not written.
    async fn change(
        &self,
        also: &[FilePath],
        decide: impl Fn(&Sight) -> Result<Decision, DavError> + Send + Sync,
    ) -> Result<Response<Body>, DavError> {
        for _ in 0..ATTEMPTS {
            let sight = self.look(also).await?;
            let (ops, locks, answer) = match decide(&sight)? {
                Decision::Answer(answer) => return Ok(answer),
                Decision::Write { ops, locks, answer } => (ops, locks, answer),
            };
            let write =
                FileWrite { home: self.home, revision: sight.view.home.revision, ops, locks, room: self.room() };
            match self.store.write(write).await {
                Ok(()) => return Ok(answer),
                Err(FileWriteError::Changed) => {}
                Err(FileWriteError::NoRoom) => return Err(no_room()),
                Err(FileWriteError::TooDeep) => return Err(self.too_deep()),
                Err(FileWriteError::Store(error)) => return Err(error.into()),
            }
        }
        Err(DavError::conflict("The files keep being changed by somebody else"))
    }

    /// What the home may hold.
    fn room(&self) -> Room {
        let limits = &self.call.inner().settings.files;
        Room { octets: limits.quota_bytes, entries: limits.entries }
    }

    /// The href of a place in the home as clients see it.
    fn href(&self, path: &FilePath, is_folder: bool) -> String {
        let mut href = self.call.href(&Location::File { home: self.home, path: path.clone() });
        if is_folder && !href.ends_with('/') {
            href.push('/');
        }
        href
    }

    /// Refuses what is nested too deeply.
    fn check_depth(&self, path: &FilePath) -> Result<(), DavError> {
        let most = self.call.inner().settings.files.depth;
        if path.segments().len() > most { Err(self.too_deep()) } else { Ok(()) }
    }

    fn too_deep(&self) -> DavError {
        DavError::forbidden(format!("Folders are nested at most {} deep", self.call.inner().settings.files.depth))
    }
}

/// 507: the quota is used up (RFC 4331 §6).
fn no_room() -> DavError {
    DavError::insufficient_storage("There is not enough room left for these files")
        .because(crate::dav::error::Condition::Empty("d:quota-not-exceeded"))
}

/// 409: the folder that shall hold it is missing (RFC 4918 §9.3.1, §9.7.1, §9.8.5).
fn no_parent() -> DavError {
    DavError::conflict("The folder that it shall be in is not there")
}

/// An answer of this status without a body.
fn done(status: StatusCode) -> Response<Body> {
    super::answer::empty(status)
}
