//! Which implementation of cryptography TLS uses.

/// Makes rustls use ring in this process. Several are linked into the program by its dependencies; a library that asks
/// rustls for the one to use, and finds none chosen, panics. To be called before any of them connects; more than once does
/// no harm.
pub fn choose_tls_provider() {
    // It fails when it was chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
