//! Reads the configuration folder of a Twake Calendar side service and writes the equivalent convoke configuration
//! (storage §8).
//!
//! In comes a folder: `configuration.properties`, `rabbitmq.properties`, `redis.properties`, `opensearch.properties`,
//! `webadmin.properties`, `healthcheck.properties`, `usersrepository.xml`, `logback.xml`, `jvm.properties`,
//! `extensions.properties` and the key files. Out come a TOML text and a remark about every key: where it went, or why it
//! could not go anywhere and what to do. What the reference would refuse at its start (storage §8.10) is told apart, all of
//! it at once. Nothing but the folder is read, and nothing is written: not the environment either, so that the secrets in
//! `${env:…}` stay where they are.

mod calendar;
mod documented;
mod draft;
mod ldap;
mod oidc;
mod opensearch;
mod others;
mod properties;
mod rabbitmq;
mod redis;
mod source;
mod values;
mod webadmin;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use draft::Remark;

use self::documented::Documented;
use self::draft::Draft;
use self::source::SystemProperties;
use super::Config;

/// A file larger than this is none of these.
const LARGEST: u64 = 1 << 20;

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The folder cannot be listed.
    #[error("{path}: {error}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// How to import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Leave secrets out of the text and say which variables to set.
    pub secrets_as_env: bool,
    /// Write what can be written although something is refused.
    pub lenient: bool,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The configuration. `None` when something is refused and nobody was lenient.
    pub toml: Option<String>,
    /// About every key, in the order of the files.
    pub remarks: Vec<Remark>,
}

impl Import {
    /// What the reference would refuse to start with.
    pub fn refused(&self) -> impl Iterator<Item = &Remark> {
        self.remarks.iter().filter(|remark| remark.refused)
    }
}

/// Reads the folder.
///
/// # Errors
/// [`ImportError`] when it cannot be listed.
pub fn import(dir: &Path, options: Options) -> Result<Import, ImportError> {
    let mut folder = Folder::read(dir)?;
    let mut draft = Draft::new(Documented::read(), options.secrets_as_env);
    for (name, problem) in std::mem::take(&mut folder.unreadable) {
        draft.remark(&name, "", problem);
    }
    let system = folder.take(others::SYSTEM).map(|text| others::system(&text, &mut draft)).unwrap_or_default();
    files(&mut folder, &system, &mut draft);
    let toml = Documented::write(&draft);
    check(&toml, &mut draft);
    let refused = draft.remarks.iter().any(|remark| remark.refused);
    let toml = (options.lenient || !refused).then_some(toml);
    Ok(Import { toml, remarks: draft.remarks })
}

fn files(folder: &mut Folder, system: &SystemProperties, draft: &mut Draft) {
    let facts = match folder.take(calendar::FILE) {
        Some(text) => calendar::read(folder, &text, system, draft),
        None => {
            draft.refuse(calendar::FILE, "", "missing");
            calendar::Facts::default()
        }
    };
    match folder.take(rabbitmq::FILE) {
        Some(text) => rabbitmq::read(&text, facts, system, draft),
        None => draft.refuse(rabbitmq::FILE, "", "missing"),
    }
    if let Some(text) = folder.take(redis::FILE) {
        redis::read(&text, system, draft);
    }
    if let Some(text) = folder.take(opensearch::FILE) {
        opensearch::read(&text, system, draft);
    }
    match folder.take(webadmin::FILE) {
        Some(text) => webadmin::read(&text, system, draft),
        None => webadmin::absent(draft),
    }
    if let Some(text) = folder.take(others::HEALTH) {
        others::health(&text, system, draft);
    }
    if let Some(text) = folder.take(ldap::FILE) {
        ldap::read(&text, draft);
    }
    for (name, text) in std::mem::take(&mut folder.files) {
        others::other(&name, &text, draft);
    }
}

/// The text must load: what convoke refuses although the folder may hold it is told like what Twake Calendar refuses. Keys
/// that the environment will hold cannot be judged yet.
fn check(toml: &str, draft: &mut Draft) {
    let Err(error) = Config::check(toml, "convoke.toml") else { return };
    // What is missing because something was refused is no fault of its own.
    let refused = draft.remarks.iter().any(|remark| remark.refused);
    let below =
        |key: &str, other: &str| key.strip_prefix(other).is_some_and(|r| r.is_empty() || r.starts_with(['[', '.']));
    for mistake in error.0 {
        if draft.variables.iter().any(|variable| below(&mistake.key, variable)) {
            continue;
        }
        let origin =
            draft.values.iter().find(|(key, _)| below(&mistake.key, key)).map(|(_, carried)| carried.origin.clone());
        let (file, key) = match origin.as_deref().map(|o| o.split_once(": ").unwrap_or((o, ""))) {
            Some((file, key)) => (file.to_owned(), key.to_owned()),
            None => ("convoke.toml".to_owned(), mistake.key.clone()),
        };
        let text = format!("convoke does not take {}: {}", mistake.key, mistake.problem);
        match refused {
            true => draft.remark(&file, &key, text),
            false => draft.refuse(&file, &key, text),
        }
    }
}

/// The files of the folder that have a name and a size that they may have.
#[derive(Debug, Default)]
struct Folder {
    /// Text by name.
    files: BTreeMap<String, String>,
    /// What is said about files that could not be read as they are.
    unreadable: Vec<(String, String)>,
}

impl Folder {
    fn read(dir: &Path) -> Result<Self, ImportError> {
        let wrong = |error| ImportError::Folder { path: dir.to_owned(), error };
        let mut folder = Self::default();
        for entry in std::fs::read_dir(dir).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Follows links: Kubernetes mounts every file as one.
            let Ok(about) = std::fs::metadata(entry.path()) else {
                folder.unreadable.push((name, "cannot be read".to_owned()));
                continue;
            };
            if !about.is_file() || name.starts_with('.') {
                continue;
            }
            folder.add(name, &entry.path(), about.len());
        }
        folder.unreadable.sort();
        Ok(folder)
    }

    fn add(&mut self, name: String, path: &Path, size: u64) {
        let bytes = match std::fs::read(path) {
            Ok(bytes) if size <= LARGEST => bytes,
            Ok(_) => return self.unreadable.push((name, "not read: too large for a configuration".to_owned())),
            Err(error) => return self.unreadable.push((name, format!("cannot be read: {error}"))),
        };
        let text = match String::from_utf8(bytes) {
            Ok(text) => {
                if !text.is_ascii() && name.ends_with(".properties") {
                    let said = "has characters beyond ASCII, which Twake Calendar reads as ISO 8859-1 and convoke as UTF-8: \
                                look at the values that have some";
                    self.unreadable.push((name.clone(), said.to_owned()));
                }
                text
            }
            // Every octet is a character of ISO 8859-1.
            Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
        };
        self.files.insert(name, text);
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.files.remove(name)
    }

    /// The text of a file that stays where it is.
    fn text(&self, name: &str) -> Option<String> {
        self.files.get(name).cloned()
    }
}
