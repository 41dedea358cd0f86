//! The one TLS provider of the process.

/// Makes ring the process's TLS provider, so that libraries that bring another one, or leave the choice, use it too. May be
/// called any number of times; one that was chosen before stays.
pub fn use_ring() {
    drop(rustls::crypto::ring::default_provider().install_default());
}
