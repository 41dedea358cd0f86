//! Calendars and address books as folders of files (the vdir layout that vdirsyncer, khal and khard have too): one folder a
//! collection, one file an object, and small files for what people set on it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use super::{Collection, Item, Kind, Looks, TransferError, split};
use crate::dav::precondition::etag_of;
use crate::ical::{self, Limits};

/// Octets of a file's name that file systems take, with room for what others append.
const LONGEST: usize = 200;

const NAME: &str = "displayname";
const DESCRIPTION: &str = "description";
const COLOR: &str = "color";
const ORDER: &str = "order";
const TIMEZONE: &str = "timezone";
const COMPONENTS: &str = "components";

/// Files that make a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// The collection that they make.
    pub(super) collection: Collection,
    /// Whether the folder says so, rather than the name of a single file.
    pub(super) is_folder: bool,
    /// The files, in order.
    pub(super) files: Vec<PathBuf>,
}

/// A place of files: a folder of collections, one collection, or one file.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The place.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// What is there.
    pub(super) async fn sources(&self) -> Result<Vec<Source>, TransferError> {
        let path = self.0.clone();
        let listed = tokio::task::spawn_blocking(move || {
            let mut sources = Vec::new();
            let is_folder = std::fs::metadata(&path).map_err(TransferError::file(&path))?.is_dir();
            if is_folder {
                walk(&path, &mut sources)?
            } else {
                sources.push(single(&path)?)
            }
            Ok(sources)
        });
        listed.await.unwrap_or_else(|e| Err(TransferError::file(&self.0)(std::io::Error::other(e))))
    }

    /// Makes the folder of a collection.
    pub(super) async fn begin(&self, collection: &Collection) -> Result<(), TransferError> {
        let folder = self.of(collection);
        tokio::fs::create_dir_all(&folder).await.map_err(TransferError::file(&folder))?;
        let looks = &collection.looks;
        let components = Some(looks.components.join(" ")).filter(|list| !list.is_empty());
        for (name, value) in [
            (NAME, &looks.name),
            (DESCRIPTION, &looks.description),
            (COLOR, &looks.color),
            (ORDER, &looks.order),
            (TIMEZONE, &looks.timezone),
            (COMPONENTS, &components),
        ] {
            if let Some(value) = value {
                write(&folder.join(name), value).await?;
            }
        }
        Ok(())
    }

    /// Writes an object into the folder of its collection, over a file of an earlier time. `written` are the names that were
    /// given to others of the collection, in lower case, for some file systems see no difference.
    pub(super) async fn write(
        &self,
        collection: &Collection,
        item: &Item,
        written: &mut HashSet<String>,
    ) -> Result<(), TransferError> {
        let ending = collection.kind.ending();
        let mut name = file_name(&item.name);
        if !name.to_ascii_lowercase().ends_with(ending) {
            name.push_str(ending);
        }
        if name.len() > LONGEST || !written.insert(name.to_lowercase()) {
            name = format!("{}{ending}", etag_of(&item.name));
            written.insert(name.clone());
        }
        write(&self.of(collection).join(name), &item.data).await
    }

    fn of(&self, collection: &Collection) -> PathBuf {
        self.0.join(collection.kind.folder()).join(file_name(&collection.uri))
    }
}

/// The objects in a file. A file of one object gives the object its name.
pub(super) async fn items(file: &Path, kind: Kind, limits: Limits) -> Result<Vec<Item>, TransferError> {
    let octets = tokio::fs::read(file).await.map_err(TransferError::file(file))?;
    let wrong = |reason: String| TransferError::Content { path: file.to_owned(), reason };
    let (text, _) = ical::decode(octets).map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
    // A file may hold a whole calendar: only its objects are limited.
    let limits = Limits { bytes: limits.bytes.max(text.len()), lines: usize::MAX, ..limits };
    let mut items = split::objects(kind, &text, limits).map_err(|e| wrong(e.to_string()))?;
    if items.is_empty() {
        return Err(wrong(match kind {
            Kind::Calendar => "there is no event, task or journal in it".to_owned(),
            Kind::AddressBook => "there is no card in it".to_owned(),
        }));
    }
    if let ([item], Some(name)) = (items.as_mut_slice(), file.file_name().and_then(|name| name.to_str())) {
        item.name = decoded(name);
    }
    Ok(items)
}

async fn write(path: &Path, text: &str) -> Result<(), TransferError> {
    tokio::fs::write(path, text).await.map_err(TransferError::file(path))
}

/// Finds the collections below a folder.
fn walk(folder: &Path, sources: &mut Vec<Source>) -> Result<(), TransferError> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(TransferError::file(folder))? {
        entries.push(entry.map_err(TransferError::file(folder))?.path());
    }
    entries.sort();
    let hidden = |path: &PathBuf| path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    entries.retain(|path| !hidden(path));
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.into_iter().partition(|path| path.is_dir());
    let parent = folder.parent().and_then(Path::file_name);
    for kind in [Kind::Calendar, Kind::AddressBook] {
        let of_kind: Vec<PathBuf> = files.iter().filter(|file| kind_of(file) == Some(kind)).cloned().collect();
        // An export holds empty collections too.
        let is_empty_one = files.iter().any(|file| file.ends_with(NAME)) && parent.is_some_and(|p| p == kind.folder());
        if !of_kind.is_empty() || is_empty_one {
            let uri = decoded(&folder.file_name().unwrap_or_default().to_string_lossy());
            let collection = Collection { kind, uri, looks: looks(folder)? };
            sources.push(Source { collection, is_folder: true, files: of_kind });
        }
    }
    folders.iter().try_for_each(|folder| walk(folder, sources))
}

fn single(file: &Path) -> Result<Source, TransferError> {
    let reason = "a name that ends in .ics or .vcf is expected".to_owned();
    let kind = kind_of(file).ok_or_else(|| TransferError::Content { path: file.to_owned(), reason })?;
    let uri = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Source {
        collection: Collection { kind, uri, looks: Looks::default() },
        is_folder: false,
        files: vec![file.to_owned()],
    })
}

fn kind_of(file: &Path) -> Option<Kind> {
    let ending = file.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "ics" | "ifb" | "ical" | "icalendar" => Some(Kind::Calendar),
        "vcf" | "vcard" => Some(Kind::AddressBook),
        _ => None,
    }
}

fn looks(folder: &Path) -> Result<Looks, TransferError> {
    let read = |name: &str| {
        let path = folder.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TransferError::File { path, error }),
        }
    };
    let components = read(COMPONENTS)?.unwrap_or_default();
    Ok(Looks {
        name: read(NAME)?,
        description: read(DESCRIPTION)?,
        color: read(COLOR)?,
        order: read(ORDER)?,
        timezone: read(TIMEZONE)?,
        components: components.split_whitespace().map(str::to_owned).collect(),
    })
}

/// A name that any file system takes and that comes back by [`decoded`].
fn file_name(name: &str) -> String {
    let mut file = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        let plain = c.is_alphanumeric() || "-_@+=,~ ".contains(c) || (c == '.' && at > 0);
        match plain {
            true => file.push(c),
            false => push_encoded(&mut file, c),
        }
    }
    file
}

fn push_encoded(file: &mut String, c: char) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        file.push_str(&format!("%{byte:02X}"));
    }
}

fn decoded(name: &str) -> String {
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_name_comes_back_from_its_file(name in "\\PC{1,40}") {
            let file = file_name(&name);
            prop_assert!(!file.contains('/') && !file.starts_with('.'), "{file}");
            prop_assert_eq!(decoded(&file), name);
        }
    }
}
