//! The composition root: chooses the engines, connects the rooms, and runs them until told to stop. The one place that
//! knows which engine is behind a port.

pub mod demo;
mod engines;
mod running;

pub use engines::{Engines, StartError, examinations};
pub use running::{Identity, Ports, Running, start, upstream};
