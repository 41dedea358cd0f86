//! The DAV protocol, once: XML, paths, properties, preconditions, and the upstream that both the remote client and the
//! built-in server are.

pub mod client;
pub mod upstream;

pub use upstream::{Actor, Body, BoxError, Upstream, UpstreamError};
