//! The embedded engines: one process, nothing outlives it.

mod bus;
mod tokens;

pub use bus::MemoryBus;
pub use tokens::MemoryTokenCache;
