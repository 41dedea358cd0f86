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
use crate::store::files::{FileContent, FileNode, FileOp, FileWrite, FileWriteError, property_octets};

/// Octets that the properties of a row count.
const PROPERTY_OCTETS: &str = "CASE dead WHEN '{}' THEN 0 ELSE length(CAST(dead AS BLOB)) END";

/// What the changes take of a home, or give back.
#[derive(Default)]
struct Taken {
    octets: i64,
    entries: i64,
}

/// A node of a tree, without what is only copied.
struct Leaf {
    id: FileId,
    parent: Option<FileId>,
    name: String,
    content: Option<ContentId>,
    /// Of the content and the properties.
    octets: i64,
    depth: usize,
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
                taken.octets += (node.size() + property_octets(&json(&node.dead)?)) as i64;
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
            FileOp::Move { node, parent, name, levels } => {
                self.check_height(*node, *levels)?;
                self.tx
                    .prepare_cached("UPDATE file_nodes SET parent = ?2, name = ?3 WHERE id = ?1")?
                    .execute(params![node.blob(), parent.blob(), name])?;
            }
            FileOp::Copy { node, parent, name, deep, levels, created } => {
                if *deep {
                    self.check_height(*node, *levels)?;
                }
                self.copy(*node, (*parent, name), *deep, *created, taken)?;
            }
            FileOp::SetProps { node, dead } => {
                let dead = json(dead)?;
                let before: Option<i64> = self
                    .tx
                    .prepare_cached(&format!("SELECT {PROPERTY_OCTETS} FROM file_nodes WHERE id = ?1"))?
                    .query_row([node.blob()], |row| row.get(0))
                    .optional()?;
                taken.octets += property_octets(&dead) as i64 - before.unwrap_or_default();
                self.tx
                    .prepare_cached("UPDATE file_nodes SET dead = ?2 WHERE id = ?1")?
                    .execute(params![node.blob(), dead])?;
            }
        }
        Ok(())
    }

    fn remove(&self, node: FileId, taken: &mut Taken) -> Result<(), FileWriteError> {
        for leaf in self.tree(node, true)? {
            self.tx.prepare_cached("DELETE FROM file_nodes WHERE id = ?1")?.execute([leaf.id.blob()])?;
            if let Some(content) = leaf.content {
                self.unlink(content)?;
            }
            taken.octets -= leaf.octets;
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
        for leaf in self.tree(node, deep)? {
            let copy = FileId(self.env.object_id());
            copies.insert(leaf.id, copy);
            let (parent, name) = match leaf.parent.filter(|_| leaf.id != node).and_then(|p| copies.get(&p)) {
                Some(parent) => (*parent, leaf.name.as_str()),
                None => to,
            };
            if let Some(content) = leaf.content {
                self.link_again(content)?;
            }
            // Properties go from row to row: all of them together may be more than memory should hold.
            self.tx
                .prepare_cached(
                    "INSERT INTO file_nodes (id, parent, name, content, size, etag, media_type, created, modified, dead)
                     SELECT ?2, ?3, ?4, content, size, etag, media_type, ?5, ?5, dead FROM file_nodes WHERE id = ?1",
                )?
                .execute(params![leaf.id.blob(), copy.blob(), parent.blob(), name, created.timestamp()])?;
            taken.octets += leaf.octets;
            taken.entries += 1;
        }
        Ok(())
    }

    /// A node, and what is below it, folders before what they hold.
    fn tree(&self, top: FileId, deep: bool) -> Result<Vec<Leaf>, FileWriteError> {
        let found = self
            .tx
            .prepare_cached(&format!(
                "WITH RECURSIVE below (id, depth) AS (
                     SELECT ?1, 0 UNION ALL
                     SELECT n.id, depth + 1 FROM below b CROSS JOIN file_nodes n ON n.parent = b.id WHERE ?2)
                 SELECT n.id, parent, name, content, size + {PROPERTY_OCTETS}, depth
                 FROM below b CROSS JOIN file_nodes n ON n.id = b.id ORDER BY depth"
            ))?
            .query_map(params![top.blob(), deep], |row| {
                Ok(Leaf {
                    id: super::id(row, 0)?,
                    parent: row.get::<_, Option<[u8; 12]>>(1)?.map(|_| super::id(row, 1)).transpose()?,
                    name: row.get(2)?,
                    content: row.get::<_, Option<[u8; 12]>>(3)?.map(|_| super::id(row, 3)).transpose()?,
                    octets: row.get(4)?,
                    depth: row.get::<_, i64>(5)? as usize,
                })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        if found.is_empty() { Err(FileWriteError::Changed) } else { Ok(found) }
    }

    /// Refuses what has more levels below it.
    fn check_height(&self, node: FileId, levels: usize) -> Result<(), FileWriteError> {
        let height = self.tree(node, true)?.last().map_or(0, |deepest| deepest.depth);
        if height > levels { Err(FileWriteError::TooDeep) } else { Ok(()) }
    }

    /// One file more refers to a content that some file refers to.
    fn link_again(&self, content: ContentId) -> Result<(), FileWriteError> {
        let linked = self
            .tx
            .prepare_cached("UPDATE file_contents SET links = links + 1, until = NULL WHERE id = ?1")?
            .execute([content.blob()])?;
        match linked {
            0 => Err(StoreError::Missing("the content of the file".to_owned()).into()),
            _ => Ok(()),
        }
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
