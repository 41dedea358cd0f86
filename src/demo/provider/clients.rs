//! The two programs that the provider knows.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq as _;
use url::{Host, Url};

use super::ProviderError;
use super::keys::write_secret;
use super::params::Params;
use crate::clock::Env;

/// The public client: a web page, a script, a calendar program. Without a secret, hence with PKCE.
pub const PUBLIC_CLIENT: &str = "convoke-demo";
/// The confidential client: the program that is called with access tokens and asks what they are worth. Also the audience
/// of access tokens.
pub const RESOURCE_CLIENT: &str = "convoke";

/// The secret of the confidential client, random for each data folder.
pub(super) struct Secret(String);

impl Secret {
    /// Reads the secret, and makes it where there is none.
    pub(super) fn open(dir: &Path, env: &Env) -> Result<Self, ProviderError> {
        let path = dir.join("client-secret");
        match fs::read_to_string(&path) {
            Ok(secret) if !secret.trim().is_empty() => Ok(Self(secret.trim().to_owned())),
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(ProviderError::File { path, source }),
            _ => {
                let secret = env.token(256);
                write_secret(&path, &secret)?;
                Ok(Self(secret))
            }
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the request is of the confidential client: by HTTP Basic with form-encoded parts, or in the form (RFC 6749
    /// §2.3.1).
    pub(super) fn authenticates(&self, authorization: Option<&str>, params: &Params) -> bool {
        let from_form = || Some((params.get("client_id")?.to_owned(), params.get("client_secret")?.to_owned()));
        let given = match authorization {
            Some(header) => decode_basic(header),
            None => from_form(),
        };
        given.is_some_and(|(id, secret)| {
            bool::from(id.as_bytes().ct_eq(RESOURCE_CLIENT.as_bytes()) & secret.as_bytes().ct_eq(self.0.as_bytes()))
        })
    }
}

fn decode_basic(header: &str) -> Option<(String, String)> {
    let decoded = BASE64_STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (id, secret) = text.split_once(':')?;
    let form_decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8().map(|text| text.into_owned()).ok()
    };
    Some((form_decode(id)?, form_decode(secret)?))
}

/// Whether it is an address of this machine, with any port and path. People are sent back to no other (RFC 8252 §7.3); the
/// token endpoint then wants the very same text again.
pub(super) fn is_loopback_url(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    let loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    matches!(url.scheme(), "http" | "https") && loopback && plain && !uri.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_sent_back_to_this_machine_only() {
        for good in
            ["http://127.0.0.1:9/callback", "http://localhost:5173/", "http://[::1]:8080/a?b=c", "https://localhost/x"]
        {
            assert!(is_loopback_url(good), "{good}");
        }
        for bad in [
            "",
            "/callback",
            "https://example.org/callback",
            "http://127.0.0.1.example.org/",
            "http://localhost.example.org/",
            "http://127.0.0.1@example.org/",
            "http://alice@127.0.0.1/",
            "http://127.0.0.1/#fragment",
            "javascript:alert(1)",
            "data:text/html,x",
        ] {
            assert!(!is_loopback_url(bad), "{bad}");
        }
    }

    #[test]
    fn the_secret_is_made_once_and_wanted_whole() {
        let dir = tempfile::tempdir().unwrap();
        let secret = Secret::open(dir.path(), &Env::system()).unwrap();
        assert_eq!(Secret::open(dir.path(), &Env::system()).unwrap().as_str(), secret.as_str());
        let basic = |id: &str, secret: &str| format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")));
        let none = Params::default();
        assert!(secret.authenticates(Some(&basic(RESOURCE_CLIENT, secret.as_str())), &none));
        let form = format!("client_id={RESOURCE_CLIENT}&client_secret={}", secret.as_str());
        let form = Params::parse(form.as_bytes()).unwrap();
        assert!(secret.authenticates(None, &form));
        assert!(!secret.authenticates(Some("Bearer x"), &form), "the header decides where there is one");
        for (id, text) in [(RESOURCE_CLIENT, ""), (RESOURCE_CLIENT, "x"), (PUBLIC_CLIENT, secret.as_str())] {
            assert!(!secret.authenticates(Some(&basic(id, text)), &none));
        }
        assert!(!secret.authenticates(None, &none));
    }
}
