//! Managed attachments (RFC 8607): what a calendar object refers to by `MANAGED-ID`, and what becomes of it when nobody does.
//!
//! They are plain files in the home of whoever owns the calendar, in a folder that no path of a client leads to, and so are in
//! its quota, in both engines and in every copy. An attachment never changes: another content is another attachment. It keeps
//! note of the objects that may refer to it, by home and UID, which stay the same when an object moves and when it comes back
//! from the trash. A note is made before the object is written and is only a hint: who asks looks at the object itself. So a
//! note too many does no harm, and one too few there is never.
//!
//! **What nothing refers to goes** ([`collect`]): neither an object that a note leads to, nor one in the trash of its home.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::files::{
    FileContent, FileNode, FileOp, FilePath, FileStore, FileWrite, FileWriteError, Found, Room, SharedFileStore,
};
use super::{DavStore, StoreError, TrashView, TrashedThing};
use crate::clock::Env;
use crate::ical::{Component, mentions};
use crate::ids::{FileId, HomeId, InvalidId, TrashId, Uid};

/// The folder of a home's attachments. No path of a client has such a segment.
pub const AREA: &str = "/attachments";
/// The parameter of ATTACH that names a managed attachment (RFC 8607 §4.3).
pub const MANAGED_ID: &str = "MANAGED-ID";

/// Name that people gave it, percent-encoded.
const FILE_NAME: &str = "{urn:convoke:attachment}name";
/// Notes: `home/uid`, the UID percent-encoded, separated by spaces.
const NOTES: &str = "{urn:convoke:attachment}notes";
/// Time in which an object may still be on its way that refers to a new attachment.
const ON_ITS_WAY: TimeDelta = TimeDelta::hours(1);
/// How often a write is tried again when somebody else writes to the same home at the same time.
const ATTEMPTS: usize = 64;
/// Attachments, or things of the trash, that are read at once.
const PAGE: usize = 200;
/// Texts of the trash that are read at once: they may be long.
const TEXTS: usize = 16;
/// What is noted of an attachment always finds room.
const ANY: Room = Room { octets: u64::MAX, entries: u64::MAX };

/// The value of `MANAGED-ID`: in whose home it is, and 32 hex digits that nobody guesses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttachmentId {
    home: HomeId,
    key: String,
}

impl AttachmentId {
    /// A new one in a home.
    pub fn new(home: HomeId, env: &Env) -> Self {
        Self { home, key: env.uuid().simple().to_string() }
    }

    /// The one in a home with this key.
    ///
    /// # Errors
    /// [`InvalidId`] when no attachment has such a key.
    pub fn in_home(home: HomeId, key: &str) -> Result<Self, InvalidId> {
        format!("{home}-{key}").parse()
    }

    /// In whose home it is.
    pub const fn home(&self) -> HomeId {
        self.home
    }

    /// What it is called in the home.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where it is among the files of the home.
    pub fn path(&self) -> FilePath {
        area().child(&self.key)
    }
}

impl fmt::Display for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.home, self.key)
    }
}

impl FromStr for AttachmentId {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId { expected: "the id of a managed attachment", value: s.chars().take(80).collect() };
        let (home, key) = s.split_once('-').ok_or_else(invalid)?;
        let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if key.len() != 32 || !key.bytes().all(is_digit) {
            return Err(invalid());
        }
        Ok(Self { home: home.parse()?, key: key.to_owned() })
    }
}

/// An object that may refer to an attachment, wherever in the home it is.
pub type Note = (HomeId, Uid);

/// An attachment.
#[derive(Debug, Clone, PartialEq)]
pub struct Attachment {
    /// Its id.
    pub id: AttachmentId,
    /// What people call it.
    pub name: String,
    /// What is in it.
    pub content: FileContent,
    /// When it was made, to the second.
    pub created: DateTime<Utc>,
    /// The objects that may refer to it.
    pub notes: BTreeSet<Note>,
}

impl Attachment {
    fn read(home: HomeId, node: &FileNode) -> Option<Self> {
        Some(Self {
            id: AttachmentId::in_home(home, &node.name).ok()?,
            name: percent_decode_str(within(node.dead.get(FILE_NAME)?)).decode_utf8_lossy().into_owned(),
            content: node.content.clone()?,
            created: node.created,
            notes: within(node.dead.get(NOTES)?).split(' ').filter_map(read_note).collect(),
        })
    }

    fn node(&self, env: &Env) -> FileNode {
        let dead = [(FILE_NAME, encoded(&self.name)), (NOTES, notes_text(&self.notes))];
        FileNode {
            id: FileId(env.object_id()),
            name: self.id.key.clone(),
            content: Some(self.content.clone()),
            created: self.created,
            modified: self.created,
            dead: dead.into_iter().map(|(name, text)| (name.to_owned(), element(&text))).collect(),
        }
    }
}

fn area() -> FilePath {
    FilePath::default().child(AREA)
}

/// Properties are kept as elements.
fn element(text: &str) -> String {
    format!("<v xmlns=\"urn:convoke:attachment\">{text}</v>")
}

fn within(element: &str) -> &str {
    let text = element.split_once('>').map_or("", |(_, rest)| rest);
    text.strip_suffix("</v>").unwrap_or(text)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn notes_text(notes: &BTreeSet<Note>) -> String {
    let mut text = String::new();
    for (home, uid) in notes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{home}/{}", if text.is_empty() { "" } else { " " }, encoded(&uid.0));
    }
    text
}

fn read_note(text: &str) -> Option<Note> {
    let (home, uid) = text.split_once('/')?;
    Some((home.parse().ok()?, Uid(percent_decode_str(uid).decode_utf8_lossy().into_owned())))
}

/// The attachments that the ATTACH properties of a calendar name.
pub fn referred(calendar: &Component) -> BTreeSet<AttachmentId> {
    let attached = calendar.components().flat_map(|component| component.all("ATTACH"));
    attached.filter_map(|attach| attach.get_param(MANAGED_ID)?.parse().ok()).collect()
}

/// The same of a text; nothing where it cannot be read.
pub fn referred_by(text: &str) -> BTreeSet<AttachmentId> {
    if !mentions(text, MANAGED_ID) {
        return BTreeSet::new();
    }
    Component::parse(text).map(|calendar| referred(&calendar)).unwrap_or_default()
}

/// Whether a text refers to an attachment. What cannot be read does, if it names it anywhere.
fn refers(text: &str, id: &AttachmentId) -> bool {
    match Component::parse(text) {
        _ if !mentions(text, MANAGED_ID) => false,
        Ok(calendar) => referred(&calendar).contains(id),
        Err(_) => text.replace("\r\n", "\n").replace("\n ", "").contains(&id.key),
    }
}

/// An attachment, if it is there.
///
/// # Errors
/// [`StoreError`] when the store fails.
pub async fn find(files: &dyn FileStore, id: &AttachmentId) -> Result<Option<Attachment>, StoreError> {
    let view = files.look(id.home, &[id.path()]).await?;
    Ok(view.found.first().and_then(Found::node).and_then(|node| Attachment::read(id.home, node)))
}

/// Keeps a new attachment, whose content was appended before.
///
/// # Errors
/// [`FileWriteError::NoRoom`] when the home is full.
pub async fn add(files: &dyn FileStore, new: &Attachment, room: Room, env: &Env) -> Result<(), FileWriteError> {
    let home = new.id.home;
    for _ in 0..ATTEMPTS {
        let view = files.look(home, &[FilePath::default(), area()]).await?;
        let mut ops = Vec::with_capacity(2);
        let folder = match view.found.as_slice() {
            [_, Found::Node(area)] => area.id,
            [Found::Node(root), _] => {
                let made = FileNode { name: AREA.to_owned(), id: FileId(env.object_id()), ..FileNode::root(home) };
                let folder = made.id;
                ops.push(FileOp::Create { parent: root.id, node: made });
                folder
            }
            _ => return Err(StoreError::Broken("the home of the files is nowhere".to_owned()).into()),
        };
        ops.push(FileOp::Create { parent: folder, node: new.node(env) });
        match write(files, home, view.home.revision, ops, room).await {
            Err(FileWriteError::Changed) => {}
            done => return done,
        }
    }
    Err(FileWriteError::Changed)
}

/// Notes that these objects may refer to an attachment; false when it is not there.
///
/// # Errors
/// [`FileWriteError::Changed`] when others keep writing to the home.
pub async fn note(files: &dyn FileStore, id: &AttachmentId, objects: &BTreeSet<Note>) -> Result<bool, FileWriteError> {
    for _ in 0..ATTEMPTS {
        let view = files.look(id.home, &[id.path()]).await?;
        let Some(node) = view.found.first().and_then(Found::node) else { return Ok(false) };
        let Some(known) = Attachment::read(id.home, node) else { return Ok(false) };
        if objects.is_subset(&known.notes) {
            return Ok(true);
        }
        let mut dead = node.dead.clone();
        dead.insert(NOTES.to_owned(), element(&notes_text(&known.notes.union(objects).cloned().collect())));
        let ops = vec![FileOp::SetProps { node: node.id, dead }];
        match write(files, id.home, view.home.revision, ops, ANY).await {
            Err(FileWriteError::Changed) => {}
            done => return done.map(|()| true),
        }
    }
    Err(FileWriteError::Changed)
}

/// Removes an attachment that nothing refers to, now; false when it stays.
///
/// # Errors
/// [`FileWriteError`] when a store fails, or others keep writing to the home.
pub async fn release(files: &dyn FileStore, dav: &dyn DavStore, id: &AttachmentId) -> Result<bool, FileWriteError> {
    for _ in 0..ATTEMPTS {
        // First of all: a note that is made after this makes the write fail.
        let view = files.look(id.home, &[id.path()]).await?;
        let Some(node) = view.found.first().and_then(Found::node) else { return Ok(false) };
        let Some(known) = Attachment::read(id.home, node) else { return Ok(false) };
        if is_referred_to(dav, &known).await? {
            return Ok(false);
        }
        let ops = vec![FileOp::Remove(node.id)];
        match write(files, id.home, view.home.revision, ops, ANY).await {
            Err(FileWriteError::Changed) => {}
            done => return done.map(|()| true),
        }
    }
    Err(FileWriteError::Changed)
}

async fn write(
    files: &dyn FileStore,
    home: HomeId,
    revision: u64,
    ops: Vec<FileOp>,
    room: Room,
) -> Result<(), FileWriteError> {
    files.write(FileWrite { home, revision, ops, locks: None, room }).await
}

/// Removes the attachments of a home that nothing refers to; how many it were.
///
/// # Errors
/// [`FileWriteError`] when a store fails; what was removed before is.
pub async fn collect(
    files: &SharedFileStore,
    dav: &dyn DavStore,
    home: HomeId,
    now: DateTime<Utc>,
) -> Result<u64, FileWriteError> {
    let mut gone = 0;
    let view = files.look(home, &[area()]).await?;
    let Some(folder) = view.found.first().and_then(Found::node).map(|folder| folder.id) else { return Ok(0) };
    let mut after: Option<String> = None;
    loop {
        let page = files.list(folder, after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(gone) };
        after = Some(last.name.clone());
        for node in page.iter().filter(|node| node.created + ON_ITS_WAY < now) {
            let Some(known) = Attachment::read(home, node) else { continue };
            if !is_referred_to(dav, &known).await? && release(&**files, dav, &known.id).await? {
                gone += 1;
            }
        }
    }
}

/// Whether an object refers to it, or one in the trash.
async fn is_referred_to(dav: &dyn DavStore, attachment: &Attachment) -> Result<bool, StoreError> {
    for (home, uid) in &attachment.notes {
        let found = dav.find_uid(*home, uid).await?;
        if found.iter().any(|(_, object)| refers(&object.data, &attachment.id)) {
            return Ok(true);
        }
    }
    let homes: BTreeSet<HomeId> = attachment.notes.iter().map(|(home, _)| *home).collect();
    for home in homes {
        if trash_refers(dav, home, attachment).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn trash_refers(dav: &dyn DavStore, home: HomeId, attachment: &Attachment) -> Result<bool, StoreError> {
    let is_noted = |uid: &Uid| attachment.notes.contains(&(home, uid.clone()));
    let mut views = vec![TrashView::Deleted];
    while let Some(view) = views.pop() {
        let mut after = None;
        loop {
            let page = dav.trash(home, view, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            let mut noted: Vec<TrashId> = Vec::new();
            for entry in &page {
                match &entry.what {
                    TrashedThing::Collection { .. } => views.push(TrashView::Of(entry.collection)),
                    TrashedThing::Object { meta, .. } if is_noted(&meta.uid) => noted.push(entry.id),
                    TrashedThing::Object { .. } => {}
                }
            }
            for some in noted.chunks(TEXTS) {
                if dav.trashed(home, some).await?.iter().any(|(_, text)| refers(text, &attachment.id)) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "65aa00000000000000000001-0123456789abcdef0123456789abcdef";

    #[test]
    fn an_id_says_whose_it_is_and_comes_back_from_its_text() {
        let id: AttachmentId = ID.parse().unwrap();
        assert_eq!((id.to_string().as_str(), id.home().to_string().as_str()), (ID, "65aa00000000000000000001"));
        assert_eq!(id.path().segments(), ["/attachments", "0123456789abcdef0123456789abcdef"]);
        for wrong in ["", "97S", &ID[1..], &ID.to_uppercase(), &format!("{ID}0"), &ID.replace('-', "/")] {
            assert!(wrong.parse::<AttachmentId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_attach_properties_refer() {
        let text = |line: &str| format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{line}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
        let id: AttachmentId = ID.parse().unwrap();
        let attached = text(&format!("ATTACH;MANAGED-ID={ID}:https://example.org/x"));
        assert_eq!(referred_by(&attached), BTreeSet::from([id.clone()]));
        assert!(referred_by(&text(&format!("DESCRIPTION:MANAGED-ID={ID}"))).is_empty());
        assert!(referred_by(&text("ATTACH;MANAGED-ID=97S:https://example.org/x")).is_empty());
        // What cannot be read keeps what it names.
        assert!(refers(&attached.replace("END:VCALENDAR\r\n", ""), &id));
    }

    #[test]
    fn notes_are_kept_whatever_is_in_a_uid() {
        let home: HomeId = "65aa00000000000000000001".parse().unwrap();
        let notes: BTreeSet<Note> =
            ["a b", "<x>&", "é/%20", ""].into_iter().map(|uid| (home, Uid(uid.to_owned()))).collect();
        let kept = element(&notes_text(&notes));
        assert_eq!(within(&kept).split(' ').filter_map(read_note).collect::<BTreeSet<_>>(), notes);
    }
}
