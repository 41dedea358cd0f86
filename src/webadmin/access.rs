//! Who may administrate (webadmin §1.2): whoever knows the password; without one, whoever is on this machine and is no
//! web page.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use http::{Method, StatusCode};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

const PASSWORD: HeaderName = HeaderName::from_static("password");

/// What a caller must show. Only a hash of the password is kept.
#[derive(Clone)]
pub(super) enum Access {
    Password([u8; 32]),
    Loopback,
}

impl Access {
    pub(super) fn new(password: Option<&str>) -> Self {
        match password {
            Some(password) => Self::Password(digest(password.as_bytes())),
            None => Self::Loopback,
        }
    }

    fn check(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        match self {
            Self::Password(expected) => {
                let shown = shown_password(headers).ok_or((StatusCode::UNAUTHORIZED, "No Password in header."))?;
                // Hashes have one length: the time tells nothing of the password's.
                match bool::from(digest(shown).ct_eq(expected)) {
                    true => Ok(()),
                    false => Err((StatusCode::UNAUTHORIZED, "Wrong password.")),
                }
            }
            Self::Loopback if !peer.is_some_and(|ip| ip.to_canonical().is_loopback()) => {
                Err((StatusCode::UNAUTHORIZED, "No Password in header."))
            }
            // A page in a browser on this machine can reach us, under a name of its own choosing too (DNS rebinding).
            Self::Loopback if headers.contains_key(ORIGIN) || !is_loopback_name(headers) => {
                Err((StatusCode::FORBIDDEN, "Insufficient permissions for this operation."))
            }
            Self::Loopback => Ok(()),
        }
    }
}

fn digest(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn shown_password(headers: &HeaderMap) -> Option<&[u8]> {
    match headers.get(PASSWORD) {
        Some(password) => Some(password.as_bytes()),
        None => headers.get(AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer "),
    }
}

fn is_loopback_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|h| h.to_str().ok()) else { return true };
    if let Ok(addr) = host.parse::<SocketAddr>() {
        return addr.ip().is_loopback();
    }
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(n, _)| n);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(super) async fn require(State(access): State<Access>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    match access.check(peer, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(_) if request.method() == Method::OPTIONS => StatusCode::OK.into_response(),
        // Plain text, as administrators' scripts know it.
        Err((status, text)) => {
            let mut response = Response::new(Body::from(text));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: Option<&str>, peer: &str, headers: &[(&'static str, &str)]) -> Result<(), u16> {
        let headers = headers.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect();
        Access::new(password).check(Some(peer.parse().unwrap()), &headers).map_err(|(status, _)| status.as_u16())
    }

    #[test]
    fn the_password_opens_and_nothing_else() {
        for (headers, outcome) in [
            (&[("password", "s3cret")][..], Ok(())),
            (&[("authorization", "Bearer s3cret")], Ok(())),
            (&[("password", "s3cret ")], Err(401)),
            (&[("password", "")], Err(401)),
            (&[("password", "wrong"), ("authorization", "Bearer s3cret")], Err(401)),
            (&[("authorization", "Basic s3cret")], Err(401)),
            (&[], Err(401)),
        ] {
            assert_eq!(check(Some("s3cret"), "127.0.0.1", headers), outcome, "{headers:?}");
        }
    }

    #[test]
    fn without_a_password_only_this_machine_and_no_page() {
        for (peer, headers, outcome) in [
            ("127.0.0.1", &[("host", "127.0.0.1:8000")][..], Ok(())),
            ("127.0.0.1", &[("host", "localhost:8000")], Ok(())),
            ("::1", &[("host", "[::1]:8000")], Ok(())),
            ("::ffff:127.0.0.1", &[("host", "localhost")], Ok(())),
            ("10.0.0.1", &[("host", "localhost")], Err(401)),
            ("127.0.0.1", &[("host", "rebound.example:8000")], Err(403)),
            ("127.0.0.1", &[("host", "localhost"), ("origin", "https://elsewhere.example")], Err(403)),
        ] {
            assert_eq!(check(None, peer, headers), outcome, "{peer} {headers:?}");
        }
    }
}
