//! The live properties that only files and folders have.

use chrono::{DateTime, Utc};

use crate::dav::path::Location;
use crate::dav::server::properties::{Resource, Scene};
use crate::dav::xml::Writer;
use crate::ids::HomeId;
use crate::store::files::{FileLock, FileNode};

/// A file or folder as the table of properties sees it.
pub(in crate::dav::server) struct FileSight<'a> {
    /// Whose.
    pub(in crate::dav::server) home: HomeId,
    /// The file or folder.
    pub(in crate::dav::server) node: &'a FileNode,
    /// The locks on it.
    pub(super) locks: Vec<&'a FileLock>,
    /// Octets of all files of the home.
    pub(super) used: u64,
    /// Octets that there may be.
    pub(super) quota: u64,
}

fn file<'a>(resource: &'a Resource<'_>) -> Option<&'a FileSight<'a>> {
    match resource {
        Resource::File(file) => Some(file),
        _ => None,
    }
}

/// `creationdate` (RFC 4918 §15.1).
pub(in crate::dav::server) fn creation_date(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let Some(file) = file(r) else { return false };
    w.raw(&file.node.created.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    true
}

/// `lockdiscovery` (RFC 4918 §15.8).
pub(in crate::dav::server) fn lock_discovery(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let Some(file) = file(r) else { return false };
    let now = scene.server.env.now();
    for lock in &file.locks {
        write_lock(&scene.server.settings.base, file.home, now, lock, w);
    }
    true
}

/// `supportedlock` (RFC 4918 §15.10).
pub(in crate::dav::server) fn supported_lock(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let is_file = file(r).is_some();
    for scope in ["d:exclusive", "d:shared"].into_iter().filter(|_| is_file) {
        w.within("d:lockentry", |w| {
            w.within("d:lockscope", |w| w.empty(scope));
            w.within("d:locktype", |w| w.empty("d:write"));
        });
    }
    is_file
}

/// `quota-used-bytes` (RFC 4331 §4).
pub(in crate::dav::server) fn quota_used(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let Some(file) = file(r).filter(|f| f.node.is_folder()) else { return false };
    w.raw(&file.used.to_string());
    true
}

/// `quota-available-bytes` (RFC 4331 §3).
pub(in crate::dav::server) fn quota_available(_: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let Some(file) = file(r).filter(|f| f.node.is_folder()) else { return false };
    w.raw(&file.quota.saturating_sub(file.used).to_string());
    true
}

/// Writes an `activelock` (RFC 4918 §14.1).
pub(super) fn write_lock(base: &str, home: HomeId, now: DateTime<Utc>, lock: &FileLock, w: &mut Writer) {
    let mut root = format!("{base}{}", Location::File { home, path: lock.root.clone() }.href());
    if lock.on_folder && !root.ends_with('/') {
        root.push('/');
    }
    let left = (lock.expires - now).num_seconds().max(0);
    w.open("d:activelock");
    w.within("d:lockscope", |w| w.empty(if lock.shared { "d:shared" } else { "d:exclusive" }));
    w.within("d:locktype", |w| w.empty("d:write"));
    w.element("d:depth", if lock.deep { "infinity" } else { "0" });
    w.raw(&lock.owner);
    w.element("d:timeout", &format!("Second-{left}"));
    w.within("d:locktoken", |w| w.href(&lock.token));
    w.within("d:lockroot", |w| w.href(&root));
    w.close("d:activelock");
}
