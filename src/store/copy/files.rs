//! Plain files with their properties, octet by octet. Locks stay behind: they end within a day anyway.

use std::collections::{BTreeMap, BTreeSet};

use super::{Compared, Copied, CopyError, End, Options, Watch, patiently};
use crate::ids::{FileId, HomeId};
use crate::store::StoreError;
use crate::store::files::{FileContent, FileNode, FileOp, FilePath, FileView, FileWrite, FileWriteError, Found, Room};

/// Homes read at once, and members of a folder.
const PAGE: usize = 500;
/// Attempts at a write that somebody else is in the way of.
const ATTEMPTS: u32 = 5;
/// The source had room for it.
const ANY: Room = Room { octets: u64::MAX, entries: u64::MAX };

/// All of a home, folders before what they hold.
type Tree = BTreeMap<FilePath, FileNode>;

pub(super) async fn copy(
    from: &End,
    to: Option<&End>,
    options: Options,
    watch: &dyn Watch,
) -> Result<Copied, CopyError> {
    let ours = all(from).await.map_err(CopyError::Source)?;
    let theirs = match to.filter(|_| options.resume) {
        Some(to) => all(to).await.map_err(CopyError::Target)?,
        None => BTreeSet::new(),
    };
    watch.begin("files", ours.union(&theirs).count() as u64);
    let mut copied = Copied::default();
    for home in ours.union(&theirs) {
        Home { from, to, options, home: *home, copied: &mut copied }.copy().await?;
        watch.step(1);
    }
    Ok(copied)
}

/// Compares the files of both sides.
pub(super) async fn compare(from: &End, to: &End, compared: &mut Compared) -> Result<(), CopyError> {
    let ours = all(from).await.map_err(CopyError::Source)?;
    let theirs = all(to).await.map_err(CopyError::Target)?;
    for home in ours.union(&theirs) {
        let ours = tree(from, *home).await.map_err(CopyError::Source)?;
        let theirs = tree(to, *home).await.map_err(CopyError::Target)?;
        compared.source.files += count(&ours);
        compared.target.files += count(&theirs);
        for (path, node) in &ours {
            match theirs.get(path) {
                None => compared.differences.add(format!("{} is not in the target", place(*home, path))),
                Some(other) if !is_same(node, other) => {
                    compared.differences.add(format!("{} differs in the target", place(*home, path)));
                }
                Some(_) => {}
            }
        }
        for path in theirs.keys().filter(|path| !ours.contains_key(path)) {
            compared.differences.add(format!("{} is not in the source", place(*home, path)));
        }
    }
    Ok(())
}

/// Homes that hold files.
async fn all(end: &End) -> Result<BTreeSet<HomeId>, StoreError> {
    let (mut all, mut after) = (BTreeSet::new(), None);
    loop {
        let page = patiently(async || end.files.homes(after, PAGE).await).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(*last);
        all.extend(page);
    }
}

async fn tree(end: &End, home: HomeId) -> Result<Tree, StoreError> {
    let root = FilePath::default();
    let view = look(end, home, &root).await?;
    let mut tree = Tree::new();
    let Some(node) = view.found.first().and_then(Found::node) else { return Ok(tree) };
    let mut folders = vec![(root.clone(), node.id)];
    tree.insert(root, node.clone());
    while let Some((path, folder)) = folders.pop() {
        let mut after: Option<String> = None;
        loop {
            let page = patiently(async || end.files.list(folder, after.as_deref(), PAGE).await).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            for node in page {
                let path = path.child(&node.name);
                if node.is_folder() {
                    folders.push((path.clone(), node.id));
                }
                tree.insert(path, node);
            }
        }
    }
    Ok(tree)
}

async fn look(end: &End, home: HomeId, path: &FilePath) -> Result<FileView, StoreError> {
    patiently(async || end.files.look(home, std::slice::from_ref(path)).await).await
}

/// Files and folders, the home itself not counted.
fn count(tree: &Tree) -> u64 {
    tree.len().saturating_sub(1) as u64
}

fn place(home: HomeId, path: &FilePath) -> String {
    format!("/files/{home}/{}", path.segments().join("/"))
}

/// Whether two nodes hold the same; when they were made is all the same for the home itself.
fn is_same(one: &FileNode, other: &FileNode) -> bool {
    let what = |content: &Option<FileContent>| content.as_ref().map(|c| (c.size, c.etag.clone(), c.media_type.clone()));
    what(&one.content) == what(&other.content)
        && one.dead == other.dead
        && (one.name.is_empty() || (one.created == other.created && one.modified == other.modified))
}

struct Home<'a> {
    from: &'a End,
    to: Option<&'a End>,
    options: Options,
    home: HomeId,
    copied: &'a mut Copied,
}

impl Home<'_> {
    async fn copy(mut self) -> Result<(), CopyError> {
        let ours = tree(self.from, self.home).await.map_err(CopyError::Source)?;
        let mut theirs = match self.to.filter(|_| self.options.resume) {
            Some(to) => tree(to, self.home).await.map_err(CopyError::Target)?,
            None => Tree::new(),
        };
        self.remove_what_differs(&ours, &mut theirs).await?;
        for (path, node) in &ours {
            let is_root = path.is_root();
            match theirs.get(path) {
                Some(other) if is_same(node, other) => self.copied.present.files += u64::from(!is_root),
                Some(_) if is_root => self.copy_root(node).await?,
                // Told already.
                Some(_) => {}
                None if is_root => self.copy_root(node).await?,
                None => self.make(path, node).await?,
            }
        }
        Ok(())
    }

    /// Removes from the target what is not like that in the source, where it may be; leaves and tells it otherwise.
    async fn remove_what_differs(&mut self, ours: &Tree, theirs: &mut Tree) -> Result<(), CopyError> {
        let differs = |path: &FilePath, node: &FileNode| ours.get(path).is_none_or(|ours| !is_same(ours, node));
        let differing: Vec<(FilePath, FileId)> = theirs
            .iter()
            .filter(|(path, node)| !path.is_root() && differs(path, node))
            .map(|(path, node)| (path.clone(), node.id))
            .collect();
        let mut removed: Vec<FilePath> = Vec::new();
        for (path, node) in differing {
            if !self.options.replace {
                self.copied.left.add(format!("{} differs in the target", place(self.home, &path)));
                continue;
            }
            self.copied.replaced.files += 1;
            if removed.iter().any(|folder| path.is_below(folder)) {
                continue;
            }
            if let Some(to) = self.to.filter(|_| !self.options.dry_run) {
                self.write(to, FileOp::Remove(node)).await.map_err(target)?;
            }
            theirs.retain(|other, _| *other != path && !other.is_below(&path));
            removed.push(path);
        }
        Ok(())
    }

    /// The properties of the home itself.
    async fn copy_root(&mut self, node: &FileNode) -> Result<(), CopyError> {
        let Some(to) = self.to.filter(|_| !self.options.dry_run && !node.dead.is_empty()) else { return Ok(()) };
        let op = FileOp::SetProps { node: node.id, dead: node.dead.clone() };
        self.write(to, op).await.map_err(target)
    }

    async fn make(&mut self, path: &FilePath, node: &FileNode) -> Result<(), CopyError> {
        if let Some(to) = self.to.filter(|_| !self.options.dry_run) {
            let above = path.parent().unwrap_or_default();
            let view = look(to, self.home, &above).await.map_err(CopyError::Target)?;
            let parent = view.found.first().and_then(Found::node).filter(|parent| parent.is_folder());
            let Some(parent) = parent.map(|parent| parent.id) else {
                self.copied.left.add(format!("{} has no folder in the target", place(self.home, path)));
                return Ok(());
            };
            let create = || FileOp::Create { parent, node: node.clone() };
            // A copy of what is there already needs no upload.
            let made = match (self.write(to, create()).await, &node.content) {
                (Err(FileWriteError::Store(StoreError::Missing(_))), Some(content)) => {
                    self.upload(to, content).await?;
                    self.write(to, create()).await
                }
                (made, _) => made,
            };
            if matches!(made, Err(FileWriteError::Changed)) {
                self.copied.left.add(format!("{} is somewhere else in the target", place(self.home, path)));
                return Ok(());
            }
            made.map_err(target)?;
        }
        self.copied.written.files += 1;
        Ok(())
    }

    async fn upload(&self, to: &End, content: &FileContent) -> Result<(), CopyError> {
        for n in 0.. {
            let piece = patiently(async || self.from.files.piece(content.id, n).await).await;
            let Some(piece) = piece.map_err(CopyError::Source)? else { break };
            to.files.append(content.id, n, piece).await.map_err(CopyError::Target)?;
        }
        Ok(())
    }

    async fn write(&self, to: &End, op: FileOp) -> Result<(), FileWriteError> {
        for attempt in 1.. {
            let view = look(to, self.home, &FilePath::default()).await?;
            let write = FileWrite {
                home: self.home,
                revision: view.home.revision,
                ops: vec![op.clone()],
                locks: None,
                room: ANY,
            };
            match to.files.write(write).await {
                Err(FileWriteError::Changed) if attempt < ATTEMPTS => {}
                done => return done,
            }
        }
        Err(FileWriteError::Changed)
    }
}

fn target(error: FileWriteError) -> CopyError {
    match error {
        FileWriteError::Store(error) => CopyError::Target(error),
        other => CopyError::Target(StoreError::Unavailable(other.to_string())),
    }
}
