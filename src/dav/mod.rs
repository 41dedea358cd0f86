//! The DAV protocol, once: XML, paths, properties, preconditions, and the upstream that both the remote client and the
//! built-in server are.

pub mod announce;
pub mod client;
pub mod collation;
pub mod error;
mod examine;
pub mod options;
pub mod path;
pub mod precondition;
pub mod server;
pub mod upstream;
pub mod xml;

pub use examine::DavUpstream;
pub use upstream::{Actor, Body, BoxError, Imported, Upstream, UpstreamError};
