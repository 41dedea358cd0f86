//! PUT: a content comes in piece by piece, and becomes that of a file when all of it is there.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use md5::{Digest as _, Md5};

use super::{Decision, FileRequest, Sight, done, no_parent, no_room};
use crate::dav::error::DavError;
use crate::dav::precondition::quoted;
use crate::dav::upstream::Body;
use crate::ids::{ContentId, FileId};
use crate::store::files::{FileContent, FileNode, FileOp, Found, PIECE, SharedFileStore};

/// The type of what came without one.
pub(in crate::dav::server) const UNKNOWN_TYPE: &str = "application/octet-stream";
/// Octets of a media type that is kept.
const MOST_OF_A_TYPE: usize = 255;

/// Octets that a request says its body has.
pub(in crate::dav::server) fn declared_size(headers: &HeaderMap) -> u64 {
    let declared = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    declared.unwrap_or(0)
}

/// Refuses a file that is too large, or that there is no room left for.
fn check_size(size: u64, most: u64, left: u64) -> Result<(), DavError> {
    if size > most {
        return Err(DavError::too_large(format!("A file has at most {most} octets")));
    }
    if size > left { Err(no_room()) } else { Ok(()) }
}

/// Keeps a content as it comes. `check` refuses so many octets.
pub(in crate::dav::server) async fn receive(
    store: &SharedFileStore,
    body: &mut Body,
    id: ContentId,
    headers: &HeaderMap,
    check: impl Fn(u64) -> Result<(), DavError> + Send,
) -> Result<FileContent, DavError> {
    let mut hash = Md5::new();
    let (mut size, mut n) = (0, 0);
    let mut piece = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| DavError::bad_request(format!("The body broke off: {error}")))?;
        let Ok(mut data) = frame.into_data() else { continue };
        size += data.len() as u64;
        check(size)?;
        hash.update(&data);
        while !data.is_empty() {
            let taken: Bytes = data.split_to(data.len().min(PIECE - piece.len()));
            piece.extend_from_slice(&taken);
            if piece.len() == PIECE {
                store.append(id, n, piece.split().freeze()).await?;
                n += 1;
            }
        }
    }
    if !piece.is_empty() {
        store.append(id, n, piece.freeze()).await?;
    }
    Ok(FileContent { id, size, etag: hex::encode(hash.finalize()), media_type: media_type(headers) })
}

/// The media type as the client gave it.
fn media_type(headers: &HeaderMap) -> String {
    let given = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::trim);
    let usable = |given: &&str| given.contains('/') && given.len() <= MOST_OF_A_TYPE;
    given.filter(usable).unwrap_or(UNKNOWN_TYPE).to_owned()
}

impl FileRequest {
    /// Makes a file, or replaces what is in it.
    pub(super) async fn put(mut self) -> Result<Response<Body>, DavError> {
        if self.call.headers.contains_key(CONTENT_RANGE) {
            // RFC 9110 §14.5: the part would be taken for the whole.
            return Err(DavError::bad_request("A part of a file cannot be put"));
        }
        if self.call.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            // It would be told as what it is not.
            return Err(DavError::unsupported_media_type("A file is put as it is, not packed"));
        }
        self.check_depth(&self.path)?;
        // What is refused anyway is refused before it is sent.
        let sight = self.look(&[]).await?;
        self.check_put(&sight, declared_size(&self.call.headers))?;
        let mut body = self.call.take_body();
        let id = ContentId(self.call.inner().env.object_id());
        let (most, left) = (self.call.inner().settings.files.file_bytes, self.left(&sight));
        let check = |size| check_size(size, most, left);
        let outcome = match receive(&self.store, &mut body, id, &self.call.headers, check).await {
            Ok(content) => self.change(&[], |sight| self.decide_put(sight, &content)).await,
            Err(error) => Err(error),
        };
        if !outcome.as_ref().is_ok_and(|answer| answer.status().is_success())
            && let Err(error) = self.store.discard(id).await
        {
            tracing::debug!(%error, "an upload that failed is cleared away later");
        }
        outcome
    }

    /// Refuses what may not be put here, as far as that can be told by its size.
    fn check_put(&self, sight: &Sight, size: u64) -> Result<(), DavError> {
        self.check_conditions(sight)?;
        match sight.here() {
            Found::Nowhere => return Err(no_parent()),
            Found::Node(node) if node.is_folder() => {
                return Err(DavError::method_not_allowed("There is a folder at this place"));
            }
            Found::Node(_) => self.check_locks(sight, &[&self.path])?,
            Found::Vacant(_) => self.check_membership(sight, &self.path)?,
        }
        check_size(size, self.call.inner().settings.files.file_bytes, self.left(sight))
    }

    /// Octets that the file may have by the quota of its home.
    fn left(&self, sight: &Sight) -> u64 {
        let replaced = sight.here().node().map_or(0, FileNode::size);
        self.room().octets.saturating_sub(sight.view.home.used.saturating_sub(replaced))
    }

    fn decide_put(&self, sight: &Sight, content: &FileContent) -> Result<Decision, DavError> {
        self.check_put(sight, content.size)?;
        let now = self.call.inner().env.now();
        let (status, op) = match sight.here() {
            Found::Node(node) => {
                let op = FileOp::Replace { node: node.id, content: content.clone(), modified: now };
                (StatusCode::NO_CONTENT, op)
            }
            Found::Vacant(parent) => {
                let node = self.new_node(Some(content.clone()));
                (StatusCode::CREATED, FileOp::Create { parent: parent.id, node })
            }
            Found::Nowhere => return Err(no_parent()),
        };
        let mut answer = done(status);
        if let Ok(etag) = HeaderValue::from_str(&quoted(&content.etag)) {
            answer.headers_mut().insert(ETAG, etag);
        }
        Ok(Decision::ops(vec![op], answer))
    }

    /// A node that is made at the place of the request.
    pub(super) fn new_node(&self, content: Option<FileContent>) -> FileNode {
        let env = &self.call.inner().env;
        let now = env.now();
        FileNode {
            id: FileId(env.object_id()),
            name: self.path.name().to_owned(),
            content,
            created: now,
            modified: now,
            dead: Default::default(),
        }
    }
}
