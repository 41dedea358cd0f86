//! All integration tests in one binary, so that linking stays cheap. One module per room or surface.

mod config_file;
mod contracts;
mod dav;
mod floors;
