//! The engine of the store on MongoDB: documents that OpenPaaS, esn-sabre and the Twake Calendar side service read and write,
//! too (storage §2, dav §14). Fields that this program does not know stay as they are in every write.
//!
//! People are implemented on the handle, [`Mongo`], calendars on [`MongoDav`]; what every engine on MongoDB needs is in
//! `crate::mongo`. [`bootstrap::bootstrap`] comes first at every start.

pub mod bootstrap;
mod dav;
mod directory;
mod files;
pub mod migrate;
mod people;
mod resources;
mod settings;
mod tickets;

pub use dav::MongoDav;

pub use crate::mongo::Mongo;

use super::StoreError;
use crate::mongo::{Failure, Timed};

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Duplicate { index } => Self::Exists(format!("a document with that key in index {index}")),
            Failure::Unavailable(text) => Self::Unavailable(text),
            Failure::Broken(text) => Self::Broken(text),
        }
    }
}

impl From<Timed> for StoreError {
    fn from(error: Timed) -> Self {
        Failure::from(error).into()
    }
}
