//! How long the certificate of a server is good for.

use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hyper_rustls::ConfigBuilderExt as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// When the certificate ends that a server shows on a port with TLS from the first byte. It is checked as always: against
/// the authorities in `ca_pem`, or those of the system.
///
/// # Errors
/// What went wrong, e.g. that the certificate is not trusted.
pub async fn certificate_end(
    host: &str,
    port: u16,
    ca_pem: Option<&[u8]>,
    time: Duration,
) -> Result<DateTime<Utc>, io::Error> {
    let config = client_config(ca_pem)?;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let place = (host.to_owned(), port);
    let look = move || {
        let address = place.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let mut stream = TcpStream::connect_timeout(&address, time)?;
        stream.set_read_timeout(Some(time))?;
        stream.set_write_timeout(Some(time))?;
        let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        let end = connection.peer_certificates().and_then(<[_]>::first).and_then(|der| end_of(der));
        end.ok_or_else(|| io::Error::other("the certificate does not say when it ends"))
    };
    tokio::task::spawn_blocking(look).await.map_err(io::Error::other)?
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

/// `notAfter` of a certificate in DER (RFC 5280 §4.1.2.5).
fn end_of(certificate: &[u8]) -> Option<DateTime<Utc>> {
    const SEQUENCE: u8 = 0x30;
    let mut whole = Der(certificate);
    let mut tbs = Der(Der(whole.take(SEQUENCE)?).take(SEQUENCE)?);
    // Version, where there is one, number, and two sequences: how it is signed, and by whom.
    while tbs.tag()? != SEQUENCE {
        tbs.next()?;
    }
    tbs.next()?;
    tbs.next()?;
    let mut validity = Der(tbs.take(SEQUENCE)?);
    validity.next()?;
    let (tag, text) = validity.next()?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // UTCTime has two digits of the year, those of 1950 to 2049.
        0x17 => format!("{}{text}", if text.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" }),
        0x18 => text.to_owned(),
        _ => return None,
    };
    chrono::NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok().map(|end| end.and_utc())
}

/// Elements of DER, one after the other.
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next element, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    fn next(&mut self) -> Option<(u8, &'d [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate with nothing in it but what leads to its end.
    fn certificate(version: bool, end: (u8, &str)) -> Vec<u8> {
        let element = |tag: u8, content: &[u8]| {
            let mut element = vec![tag, 0x82, 0, 0];
            element[2..4].copy_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
            element.extend_from_slice(content);
            element
        };
        let mut tbs = Vec::new();
        if version {
            tbs.extend(element(0xa0, &element(2, &[2])));
        }
        tbs.extend(element(2, &[7; 20]));
        tbs.extend(element(0x30, &element(6, &[42])));
        tbs.extend(element(0x30, b""));
        tbs.extend(element(0x30, &[element(0x17, b"250101000000Z"), element(end.0, end.1.as_bytes())].concat()));
        tbs.extend(element(0x30, &[9; 300]));
        element(0x30, &[element(0x30, &tbs), element(0x30, b"signature")].concat())
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let cases = [
            (true, (0x17, "261221123456Z"), "2026-12-21T12:34:56Z"),
            (false, (0x17, "990101000000Z"), "1999-01-01T00:00:00Z"),
            (true, (0x18, "20540701120000Z"), "2054-07-01T12:00:00Z"),
        ];
        for (version, end, expected) in cases {
            assert_eq!(end_of(&certificate(version, end)), Some(expected.parse().unwrap()));
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let good = certificate(true, (0x17, "261221123456Z"));
        for length in 0..good.len() {
            assert_eq!(end_of(&good[..length]), None, "cut off after {length}");
        }
        assert_eq!(end_of(&certificate(true, (0x17, "261321123456Z"))), None);
        assert_eq!(end_of(&certificate(true, (0x16, "261221123456Z"))), None);
    }
}
