//! One [`FileWrite`] in one transaction, change by change.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use super::super::AsBlob;
use super::{readers_end, state};
use crate::clock::Env;
use crate::ids::{ContentId, FileId};
use crate::sqlite::Tx;
use crate::store::StoreError;
use crate::store::files::{FileContent, FileNode, FileOp, FileWrite, FileWriteError};

/// What the changes take of a home, or give back.
#[derive(Default)]
struct Taken {
    octets: i64,
    entries: i64,
}

/// Does everything; the caller takes it back when this fails.
pub(super) fn apply(tx: &Tx<'_>, write: &FileWrite, env: &Env) -> Result<(), FileWriteError> {
    let home = write.home.blob();
    let mut before = match state(tx, write.home)? {
        Some(state) => state,
        None => {
            tx.prepare_cached(
                "INSERT INTO file_homes (home, revision, used, entries, locks) VALUES (?1, 0, 0, 0, '[]')",
            )?
            .execute([home])?;
            insert(tx, None, &FileNode::root(write.home))?;
            Default::default()
        }
    };
    if before.revision != write.revision {
        return Err(FileWriteError::Changed);
    }
    let changes = Changes { tx, env };
    let mut taken = Taken::default();
    for op in &write.ops {
        changes.run(op, &mut taken)?;
    }
    let used = before.used.saturating_add_signed(taken.octets);
    let entries = before.entries.saturating_add_signed(taken.entries);
    if (taken.octets > 0 && used > write.room.octets) || (taken.entries > 0 && entries > write.room.entries) {
        return Err(FileWriteError::NoRoom);
    }
    if let Some(locks) = &write.locks {
        before.locks.clone_from(locks);
    }
    tx.prepare_cached("UPDATE file_homes SET revision = ?2, used = ?3, entries = ?4, locks = ?5 WHERE home = ?1")?
        .execute(params![home, (before.revision + 1) as i64, used as i64, entries as i64, json(&before.locks)?])?;
    Ok(())
}

struct Changes<'t, 'c> {
    tx: &'t Tx<'c>,
    env: &'t Env,
}

impl Changes<'_, '_> {
    fn run(&self, op: &FileOp, taken: &mut Taken) -> Result<(), FileWriteError> {
        match op {
            FileOp::Create { parent, node } => {
                if let Some(content) = &node.content {
                    self.link(content)?;
                }
                insert(self.tx, Some(*parent), node)?;
                taken.octets += node.size() as i64;
                taken.entries += 1;
            }
            FileOp::Replace { node, content, modified } => {
                self.link(content)?;
                let old = self
                    .tx
                    .prepare_cached("SELECT content, size FROM file_nodes WHERE id = ?1 AND content IS NOT NULL")?
                    .query_row([node.blob()], |row| Ok((super::id::<ContentId>(row, 0)?, row.get::<_, i64>(1)?)))
                    .optional()?
                    .ok_or(FileWriteError::Changed)?;
                self.tx
                    .prepare_cached(
                        "UPDATE file_nodes SET content = ?2, size = ?3, etag = ?4, media_type = ?5, modified = ?6
                         WHERE id = ?1",
                    )?
                    .execute(params![
                        node.blob(),
                        content.id.blob(),
                        content.size as i64,
                        content.etag,
                        content.media_type,
                        modified.timestamp(),
                    ])?;
                self.unlink(old.0)?;
                taken.octets += content.size as i64 - old.1;
            }
            FileOp::Remove(node) => self.remove(*node, taken)?,
            FileOp::Move { node, parent, name } => {
                self.tx
                    .prepare_cached("UPDATE file_nodes SET parent = ?2, name = ?3 WHERE id = ?1")?
                    .execute(params![node.blob(), parent.blob(), name])?;
            }
            FileOp::Copy { node, parent, name, deep, created } => {
                self.copy(*node, (*parent, name), *deep, *created, taken)?;
            }
            FileOp::SetProps { node, dead } => {
                self.tx
                    .prepare_cached("UPDATE file_nodes SET dead = ?2 WHERE id = ?1")?
                    .execute(params![node.blob(), json(dead)?])?;
            }
        }
        Ok(())
    }

    fn remove(&self, node: FileId, taken: &mut Taken) -> Result<(), FileWriteError> {
        for (_, node) in self.tree(node, true)? {
            self.tx.prepare_cached("DELETE FROM file_nodes WHERE id = ?1")?.execute([node.id.blob()])?;
            if let Some(content) = &node.content {
                self.unlink(content.id)?;
            }
            taken.octets -= node.size() as i64;
            taken.entries -= 1;
        }
        Ok(())
    }

    fn copy(
        &self,
        node: FileId,
        to: (FileId, &str),
        deep: bool,
        created: DateTime<Utc>,
        taken: &mut Taken,
    ) -> Result<(), FileWriteError> {
        let mut copies: HashMap<FileId, FileId> = HashMap::new();
        for (parent, mut copy) in self.tree(node, deep)? {
            let from = std::mem::replace(&mut copy.id, FileId(self.env.object_id()));
            let is_top = from == node;
            if is_top {
                to.1.clone_into(&mut copy.name);
            }
            (copy.created, copy.modified) = (created, created);
            let parent = if is_top { Some(to.0) } else { parent.and_then(|p| copies.get(&p).copied()) };
            copies.insert(from, copy.id);
            if let Some(content) = &copy.content {
                self.link(content)?;
            }
            insert(self.tx, parent, &copy)?;
            taken.octets += copy.size() as i64;
            taken.entries += 1;
        }
        Ok(())
    }

    /// A node, and what is below it, folders before what they hold; each with the folder it is in.
    fn tree(&self, top: FileId, deep: bool) -> Result<Vec<(Option<FileId>, FileNode)>, FileWriteError> {
        let found = self
            .tx
            .prepare_cached(
                "WITH RECURSIVE below (id, depth) AS (
                     SELECT ?1, 0 UNION ALL
                     SELECT n.id, depth + 1 FROM below b CROSS JOIN file_nodes n ON n.parent = b.id WHERE ?2)
                 SELECT n.id, name, content, size, etag, media_type, created, modified, dead, parent
                 FROM below b CROSS JOIN file_nodes n ON n.id = b.id ORDER BY depth",
            )?
            .query_map(params![top.blob(), deep], |row| {
                let parent = row.get::<_, Option<[u8; 12]>>(9)?.map(|_| super::id(row, 9)).transpose()?;
                Ok((parent, super::node(row)?))
            })?
            .collect::<Result<Vec<_>, _>>()?;
        if found.is_empty() { Err(FileWriteError::Changed) } else { Ok(found) }
    }

    /// One file more refers to a content.
    fn link(&self, content: &FileContent) -> Result<(), FileWriteError> {
        if content.size == 0 {
            // Without pieces, nobody ever wrote a row for it.
            self.tx
                .prepare_cached("INSERT OR IGNORE INTO file_contents (id, octets, links) VALUES (?1, 0, 0)")?
                .execute([content.id.blob()])?;
        }
        let linked = self
            .tx
            .prepare_cached("UPDATE file_contents SET links = links + 1, until = NULL WHERE id = ?1 AND octets = ?2")?
            .execute(params![content.id.blob(), content.size as i64])?;
        match linked {
            0 => Err(StoreError::Missing("the content of the file".to_owned()).into()),
            _ => Ok(()),
        }
    }

    /// One file less does.
    fn unlink(&self, content: ContentId) -> Result<(), FileWriteError> {
        self.tx
            .prepare_cached(
                "UPDATE file_contents SET links = links - 1, until = CASE WHEN links <= 1 THEN ?2 END WHERE id = ?1",
            )?
            .execute(params![content.blob(), readers_end(self.env.now())])?;
        Ok(())
    }
}

fn insert(tx: &Tx<'_>, parent: Option<FileId>, node: &FileNode) -> Result<(), FileWriteError> {
    let content = node.content.as_ref();
    tx.prepare_cached(
        "INSERT INTO file_nodes (id, parent, name, content, size, etag, media_type, created, modified, dead)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        node.id.blob(),
        parent.map(|p| p.blob()),
        node.name,
        content.map(|c| c.id.blob()),
        node.size() as i64,
        content.map_or("", |c| c.etag.as_str()),
        content.map_or("", |c| c.media_type.as_str()),
        node.created.timestamp(),
        node.modified.timestamp(),
        json(&node.dead)?,
    ])?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Broken(e.to_string()))
}
