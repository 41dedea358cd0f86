//! The certificate that a server shows: whether it is good, and until when. Nothing is ever sent to a server by this way.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hyper_rustls::ConfigBuilderExt as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What a server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCertificate {
    /// When it ends.
    pub ends: DateTime<Utc>,
    /// Why it is not trusted, e.g. that it has expired or is another host's.
    pub problem: Option<String>,
}

/// How TLS begins on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// With the first octet.
    Tls,
    /// After STARTTLS in SMTP (RFC 3207).
    SmtpStartTls,
}

/// Looks at the certificate of a server, good or not. It is checked as always: against the authorities in `ca_pem`, or those
/// of the system.
///
/// # Errors
/// There is no connection, no TLS on it, or no certificate that can be read.
pub async fn shown_certificate(
    host: &str,
    port: u16,
    opening: Opening,
    ca_pem: Option<&[u8]>,
    time: Duration,
) -> io::Result<ShownCertificate> {
    let (host, ca_pem) = (host.to_owned(), ca_pem.map(<[u8]>::to_vec));
    let look = move || {
        let failure = match handshake(&host, port, opening, client_config(ca_pem.as_deref())?, time) {
            Ok(ends) => return Ok(ShownCertificate { ends, problem: None }),
            Err(error) => error,
        };
        let Some(problem) = certificate_problem(&failure) else { return Err(failure) };
        // Once more, trusting anything, to see what it is that is not trusted.
        let ends = handshake(&host, port, opening, trusting_config(), time)?;
        Ok(ShownCertificate { ends, problem: Some(problem) })
    };
    tokio::task::spawn_blocking(look).await.map_err(io::Error::other)?
}

/// When the certificate ends that a server shows on a port with TLS from the first octet.
///
/// # Errors
/// What went wrong, e.g. that the certificate is not trusted.
pub async fn certificate_end(
    host: &str,
    port: u16,
    ca_pem: Option<&[u8]>,
    time: Duration,
) -> io::Result<DateTime<Utc>> {
    match shown_certificate(host, port, Opening::Tls, ca_pem, time).await? {
        ShownCertificate { ends, problem: None } => Ok(ends),
        ShownCertificate { problem: Some(problem), .. } => Err(io::Error::other(problem)),
    }
}

fn handshake(
    host: &str,
    port: u16,
    opening: Opening,
    config: ClientConfig,
    time: Duration,
) -> io::Result<DateTime<Utc>> {
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
    let mut stream = connect(host, port, time)?;
    if opening == Opening::SmtpStartTls {
        start_tls(&mut stream)?;
    }
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    let end = connection.peer_certificates().and_then(<[_]>::first).and_then(|der| end_of(der));
    end.ok_or_else(|| io::Error::other("the certificate does not say when it ends"))
}

fn connect(host: &str, port: u16, time: Duration) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in (host.trim_matches(['[', ']']), port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, time) {
            Ok(stream) => {
                stream.set_read_timeout(Some(time))?;
                stream.set_write_timeout(Some(time))?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The commands up to TLS (RFC 3207 §4).
fn start_tls(stream: &mut TcpStream) -> io::Result<()> {
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut answer = |expected: &str| -> io::Result<()> {
        // Long answers have a "-" behind the code of all lines but the last. No server needs more of them.
        for _ in 0..100 {
            let mut line = String::new();
            io::Read::take(&mut answers, 4_096).read_line(&mut line)?;
            if !line.starts_with(expected) {
                return Err(io::Error::other(format!("expected {expected}, the server says {:?}", line.trim_end())));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
        Err(io::Error::other("the server does not come to an end"))
    };
    answer("220")?;
    stream.write_all(b"EHLO [127.0.0.1]\r\n")?;
    answer("250")?;
    stream.write_all(b"STARTTLS\r\n")?;
    answer("220")
}

fn client_config(ca_pem: Option<&[u8]>) -> io::Result<ClientConfig> {
    super::use_ring();
    let builder = ClientConfig::builder();
    let Some(pem) = ca_pem else { return Ok(builder.with_native_roots()?.with_no_client_auth()) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn trusting_config() -> ClientConfig {
    let any = AnyCertificate(rustls::crypto::ring::default_provider());
    ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(any)).with_no_client_auth()
}

/// What rustls says against a certificate, if that is why the handshake failed.
fn certificate_problem(error: &io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(problem) => Some(problem.to_string()),
        _ => None,
    }
}

/// `notAfter` of a certificate in DER (RFC 5280 §4.1.2.5).
fn end_of(der: &[u8]) -> Option<DateTime<Utc>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)
}

/// Takes any certificate: it is looked at, not relied on.
#[derive(Debug)]
struct AnyCertificate(CryptoProvider);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_has_no_end() {
        for bytes in [&b""[..], b"0", b"-----BEGIN CERTIFICATE-----", &[0x30, 0x82, 0xff, 0xff]] {
            assert_eq!(end_of(bytes), None);
        }
    }
}
