//! All integration tests in one binary, so that linking stays cheap. One module per room or surface.

mod itip;
mod itip_properties;
