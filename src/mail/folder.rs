//! A folder of `.eml` files: the transport of small installations, of the demo and of tests.
//!
//! One mail is one file, named by the second it was composed and by its Message-ID, so that a mail sent twice is kept
//! once. A file appears whole or not at all (written aside, synced, renamed).

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{Archive, MailName, OutgoingMail, Page, SendError, Transport};
use crate::clock::Env;

/// The outbox folder. Clones share it.
#[derive(Debug, Clone)]
pub struct OutboxFolder {
    dir: Arc<PathBuf>,
    env: Env,
    unfinished: Arc<AtomicU64>,
}

impl OutboxFolder {
    /// Opens the folder and makes it when it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(dir: impl Into<PathBuf>, env: Env) -> io::Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir)?;
        Ok(Self { dir: Arc::new(dir), env, unfinished: Arc::default() })
    }

    fn write(&self, name: &MailName, mime: &str) -> io::Result<()> {
        let target = self.dir.join(name.as_str());
        if target.try_exists()? {
            return Ok(());
        }
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let aside = self.dir.join(format!(".{name}.{}.{number}", std::process::id()));
        let written = (|| {
            let mut file = fs::File::create(&aside)?;
            file.write_all(mime.as_bytes())?;
            file.sync_all()?;
            fs::rename(&aside, &target)?;
            fs::File::open(self.dir.as_path())?.sync_all()
        })();
        if written.is_err() {
            // Best effort: what matters is the first error.
            let _ = fs::remove_file(&aside);
        }
        written
    }
}

#[async_trait]
impl Transport for OutboxFolder {
    async fn send(&self, mail: &OutgoingMail) -> Result<(), SendError> {
        let name = name_of(mail, self.env.now());
        let (folder, mime) = (self.clone(), mail.mime.clone());
        let dir = self.dir.display().to_string();
        let sent = blocking(move || folder.write(&name, &mime)).await;
        // A full disk or a folder that someone moved is mended by an administrator; the mail is not at fault.
        sent.map_err(|e| SendError::Transient(format!("cannot write into {dir}: {e}")))
    }
}

#[async_trait]
impl Archive for OutboxFolder {
    // Other files are not seen.
    async fn list(&self, offset: usize, limit: usize) -> io::Result<Page> {
        let dir = Arc::clone(&self.dir);
        blocking(move || {
            let mut names = Vec::new();
            for entry in fs::read_dir(dir.as_path())? {
                names.extend(entry?.file_name().to_str().and_then(|name| name.parse::<MailName>().ok()));
            }
            names.sort_unstable_by(|a, b| b.cmp(a));
            let total = names.len();
            Ok(Page { names: names.into_iter().skip(offset).take(limit).collect(), total })
        })
        .await
    }

    async fn read(&self, name: &MailName) -> io::Result<Option<Vec<u8>>> {
        let path = self.dir.join(name.as_str());
        blocking(move || match fs::read(path) {
            Ok(mail) => Ok(Some(mail)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}

fn name_of(mail: &OutgoingMail, now: DateTime<Utc>) -> MailName {
    // The Date header does not change between attempts, the clock does.
    let composed = date_header(&mail.mime).unwrap_or(now);
    let hash = hex::encode(Sha256::digest(mail.message_id.as_bytes()));
    MailName(format!("{}-{}.eml", composed.format(MailName::STAMP), &hash[..MailName::DIGITS]))
}

/// When the message says it was composed.
fn date_header(mime: &str) -> Option<DateTime<Utc>> {
    let head = mime.split("\r\n\r\n").next()?;
    let value = head.lines().find_map(|line| line.strip_prefix("Date: "))?;
    DateTime::parse_from_rfc2822(value.trim()).ok().map(|date| date.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{CountingEntropy, ManualClock};

    #[test]
    fn only_names_it_could_have_written_are_names() {
        assert!("20260305T130000-0123456789abcdef0123.eml".parse::<MailName>().is_ok());
        for bad in [
            "",
            "../../etc/passwd",
            "20260305T130000-0123456789abcdef0123.eml/../x",
            "20260305T130000-../../../../../etc/p.eml",
            "20260305T130000-0123456789ABCDEF0123.eml",
            "20269905T130000-0123456789abcdef0123.eml",
            "20260305T130000-0123456789abcdef0123",
            "+2026035T130000-0123456789abcdef0123.eml",
            "20260305T130000-0123456789abcdef01é.eml",
        ] {
            assert!(bad.parse::<MailName>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn files_that_are_not_mails_are_not_listed() {
        let dir = tempfile::tempdir().unwrap();
        let now = "2026-03-05T13:00:00Z".parse().unwrap();
        let folder =
            OutboxFolder::open(dir.path(), Env::new(ManualClock::at(now), CountingEntropy::default())).unwrap();
        std::fs::write(dir.path().join("notes.txt"), "x").unwrap();
        std::fs::write(dir.path().join(".20260305T130000-0123456789abcdef0123.eml.1.1"), "half").unwrap();
        std::fs::write(dir.path().join("20260305T130000-0123456789abcdef0123.eml"), "a").unwrap();
        std::fs::write(dir.path().join("20260306T130000-0123456789abcdef0123.eml"), "b").unwrap();
        let page = folder.list(0, 10).await.unwrap();
        let names: Vec<_> = page.names.iter().map(MailName::as_str).collect();
        assert_eq!(names, ["20260306T130000-0123456789abcdef0123.eml", "20260305T130000-0123456789abcdef0123.eml"]);
        assert_eq!(folder.list(1, 10).await.unwrap().names.len(), 1);
        assert_eq!(folder.list(1, 10).await.unwrap().total, 2);
    }
}
