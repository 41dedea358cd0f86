//! The folder of the embedded engines.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::octets;
use crate::health::{Examine, Finding};

/// Room below which an installation should not be left alone.
const LITTLE: u64 = 1 << 30;
/// Room below which writes soon fail.
const NONE: u64 = 64 << 20;
/// Share of files that may be in use.
const FILES_LEFT: u64 = 1_000;

/// `data.dir`: whether it is there, can be written, and has room.
pub struct DataFolder(pub PathBuf);

#[async_trait]
impl Examine for DataFolder {
    fn engine(&self) -> String {
        format!("Data folder {}", self.0.display())
    }

    async fn examine(&self) -> Vec<Finding> {
        let folder = self.0.clone();
        tokio::task::spawn_blocking(move || look(&folder)).await.unwrap_or_default()
    }
}

fn look(folder: &Path) -> Vec<Finding> {
    let place = match folder.metadata() {
        Ok(about) if about.is_dir() => folder.to_owned(),
        Ok(_) => return vec![Finding::bad("folder", "is a file", "set data.dir to a folder")],
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // It is made at the start, if its parent lets us.
            let parent = folder.ancestors().skip(1).find(|p| p.is_dir()).map(PathBuf::from);
            let parent = parent.unwrap_or_else(|| PathBuf::from("."));
            return match writable(&parent) {
                Ok(()) => {
                    vec![
                        Finding::good("folder", format!("is made at the start, in {}", parent.display())),
                        room(&parent),
                    ]
                }
                Err(error) => vec![Finding::bad(
                    "folder",
                    format!("is not there, and {} cannot be written: {error}", parent.display()),
                    "make it and give it to the user that runs convoke",
                )],
            };
        }
        Err(error) => {
            return vec![Finding::bad("folder", error.to_string(), "give it to the user that runs convoke")];
        }
    };
    let mut found = vec![match writable(&place) {
        Ok(()) => Finding::good("folder", "can be written"),
        Err(error) => {
            Finding::bad("folder", format!("cannot be written: {error}"), "give it to the user that runs convoke")
        }
    }];
    found.extend(open_to_others(&place));
    found.push(room(&place));
    found
}

/// Writes a file to the disk and takes it away again.
fn writable(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".convoke-doctor-{}", std::process::id()));
    let written = std::fs::File::create_new(&probe).and_then(|mut file| {
        file.write_all(b"convoke doctor")?;
        file.sync_all()
    });
    let removed = std::fs::remove_file(&probe);
    written.and(removed)
}

fn open_to_others(folder: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = folder.metadata().ok()?.permissions().mode();
    (mode & 0o002 != 0)
        .then(|| Finding::doubtful("permissions", "everybody on this machine may write there", "chmod o-w the folder"))
}

fn room(folder: &Path) -> Finding {
    let about = match rustix::fs::statvfs(folder) {
        Ok(about) => about,
        Err(error) => return Finding::doubtful("free space", error.to_string(), "look with `df`"),
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    if about.f_files > 0 && about.f_favail < FILES_LEFT {
        let advice = "remove files there, or make room for more (inodes)";
        return Finding::bad("free space", format!("room for {} files more", about.f_favail), advice);
    }
    let advice = "make room: writes are refused when the disk is full";
    if free < NONE {
        Finding::bad("free space", octets(free), advice)
    } else if free < LITTLE {
        Finding::doubtful("free space", octets(free), advice)
    } else {
        Finding::good("free space", octets(free))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Verdict;

    fn first(folder: PathBuf) -> Finding {
        look(&folder).remove(0)
    }

    #[test]
    fn a_folder_is_there_or_can_be_made_or_is_at_fault() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(first(dir.path().to_owned()), Finding::good("folder", "can be written"));
        assert!(matches!(first(dir.path().join("a/b")).verdict, Verdict::Good(found) if found.contains("is made")));
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(first(file.clone()).verdict, Verdict::Bad { .. }));
        assert!(matches!(first(file.join("below")).verdict, Verdict::Bad { .. }));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "something was left behind");
    }

    #[test]
    fn a_file_system_that_takes_nothing_is_found() {
        // Nobody, not even root, makes files in /proc.
        let found = look(&PathBuf::from("/proc"));
        assert!(
            matches!(&found[0].verdict, Verdict::Bad { found, .. } if found.contains("cannot be written")),
            "{found:?}"
        );
    }
}
