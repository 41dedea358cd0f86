//! The embedded engine of the store: [`DavStore`](super::DavStore), [`DirectoryStore`](super::DirectoryStore),
//! [`TicketStore`](super::TicketStore) and [`FileStore`](super::files::FileStore) on the handle of `convoke.db`. Ids are blobs of 12 bytes, structured values JSON.

mod apply;
mod dav;
mod directory;
mod files;
mod instances;
mod resources;
mod span;
mod tickets;
mod upkeep;

pub use crate::sqlite::{OpenError, Sqlite};

use super::{StoreError, WriteError};
use crate::ids::{
    CollectionId, ContentId, DomainId, FileId, HomeId, ObjectId, ResourceId, TeamCalendarId, TrashId, UserId,
};
use crate::sqlite::DbError;

impl From<DbError> for StoreError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(text) => Self::Unavailable(text),
            DbError::Broken(text) => Self::Broken(text),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        DbError::from(error).into()
    }
}

impl From<DbError> for WriteError {
    fn from(error: DbError) -> Self {
        Self::Store(error.into())
    }
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// An id as the engine keeps it.
trait AsBlob {
    fn blob(&self) -> [u8; 12];
    fn of(id: ObjectId) -> Self;
}

impl AsBlob for ObjectId {
    fn blob(&self) -> [u8; 12] {
        *self.bytes()
    }

    fn of(id: ObjectId) -> Self {
        id
    }
}

macro_rules! as_blob {
    ($($id:ident),*) => {$(
        impl AsBlob for $id {
            fn blob(&self) -> [u8; 12] {
                *self.0.bytes()
            }

            fn of(id: ObjectId) -> Self {
                Self(id)
            }
        }
    )*};
}
as_blob!(CollectionId, ContentId, DomainId, FileId, HomeId, ResourceId, TeamCalendarId, TrashId, UserId);

/// Reads an id from a column.
fn id<T: AsBlob>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T> {
    row.get::<_, [u8; 12]>(column).map(|bytes| T::of(ObjectId::from_bytes(bytes)))
}

/// A column that holds what this program never writes.
fn unreadable(column: usize, what: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(what))
}
