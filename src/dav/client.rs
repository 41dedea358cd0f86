//! A DAV server on the other side of a connection, as an [`Upstream`]: pooled, streamed, and told by credentials on whose
//! behalf each request is (auth §10).
//!
//! Whoever is above sees the same server as the built-in one: paths start at the server's root, `Destination` and
//! `Location` are such paths too, and no credentials ever come back. Ours go to the configured server only, and never to
//! where it redirects.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, PROXY_AUTHORIZATION};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use tower::service_fn;

use super::{Actor, Body, Upstream, UpstreamError};
use crate::config::{self, Impersonation};
use crate::ids::{DomainId, Email};
use crate::net::{Client, ClientError, ClientLimits};

/// Carries a technical token to esn-sabre (auth §10.1).
pub const TWAKE_CALENDAR_TOKEN: HeaderName = HeaderName::from_static("twakecalendartoken");
/// Path prefix that the server puts before its hrefs (Radicale).
pub const X_SCRIPT_NAME: HeaderName = HeaderName::from_static("x-script-name");
/// RFC 4918 §10.3.
const DESTINATION: HeaderName = HeaderName::from_static("destination");

/// Separates the administrator from the user in the name of Basic credentials (auth §10).
const ACTS_AS: char = '&';

/// The configuration names no usable server.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// `url` is not the root URL of a server.
    #[error("[upstream] url = {url:?}: {expected} is expected")]
    Url {
        /// What is configured.
        url: String,
        /// What should be.
        expected: &'static str,
    },
    /// `admin_user` or `admin_password` cannot be used.
    #[error("[upstream] {key}: {expected} is expected")]
    Admin {
        /// The key.
        key: &'static str,
        /// What should be.
        expected: &'static str,
    },
    /// `user_header` or `script_name` cannot be sent.
    #[error("[upstream] {0} cannot be sent in a header")]
    Header(&'static str),
    /// There is no way to make TLS connections.
    #[error("the trust anchors of this system cannot be read: {0}")]
    TrustAnchors(#[source] std::io::Error),
}

/// Signs the tokens by which a server acts on behalf of a domain (auth §10.1).
pub trait TechnicalTokens: Send + Sync + 'static {
    /// A fresh token for the domain.
    fn sign(&self, domain: DomainId) -> HeaderValue;
}

/// The remote server of the configuration. `idle` is the time without an octet of an answer's body; without `tokens`
/// requests of [`Actor::Technical`] fail with [`UpstreamError::CannotActAs`].
///
/// # Errors
/// [`RemoteError`] says which key is wrong.
pub fn remote(
    config: &config::Upstream,
    idle: Duration,
    tokens: Option<Arc<dyn TechnicalTokens>>,
) -> Result<Upstream, RemoteError> {
    let limits = ClientLimits {
        connect: Duration::from_millis(config.connect_timeout_ms),
        answer: Duration::from_millis(config.timeout_ms),
        idle,
        ..ClientLimits::default()
    };
    let client = Client::new(limits).map_err(RemoteError::TrustAnchors)?;
    let remote = Arc::new(Remote {
        root: Root::parse(&config.url)?,
        credentials: Credentials::new(config, tokens)?,
        script_name: script_name(config)?,
    });
    Ok(Upstream::new(service_fn(move |request| exchange(client.clone(), remote.clone(), request))))
}

fn exchange(
    client: Client,
    remote: Arc<Remote>,
    mut request: Request<Body>,
) -> BoxFuture<'static, Result<Response<Body>, UpstreamError>> {
    Box::pin(async move {
        remote.address(&mut request)?;
        match client.send(request).await {
            Ok(mut response) => {
                remote.localise(response.headers_mut());
                Ok(response)
            }
            Err(ClientError::TimedOut(after)) => Err(UpstreamError::TimedOut(after)),
            Err(error) => Err(UpstreamError::Unreachable(error.into())),
        }
    })
}

/// A server and how to speak to it.
struct Remote {
    root: Root,
    credentials: Credentials,
    script_name: Option<(HeaderValue, String)>,
}

impl Remote {
    /// Turns a request for a path of the DAV server into one that the remote server takes from us.
    fn address(&self, request: &mut Request<Body>) -> Result<(), UpstreamError> {
        let actor = request.extensions_mut().remove::<Actor>().ok_or(UpstreamError::NoActor)?;
        *request.uri_mut() = self.root.uri(request.uri())?;
        let headers = request.headers_mut();
        for outside in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, TWAKE_CALENDAR_TOKEN, X_SCRIPT_NAME] {
            headers.remove(outside);
        }
        headers.insert(HOST, self.root.host.clone());
        self.credentials.show(&actor, headers)?;
        if let Some((name, _)) = &self.script_name {
            headers.insert(X_SCRIPT_NAME, name.clone());
        }
        if let Some(destination) = headers.get(DESTINATION) {
            let there = self.destination(destination.as_bytes());
            headers.insert(DESTINATION, there.map_err(|e| UpstreamError::Unreachable(e.into()))?);
        }
        Ok(())
    }

    /// A path of the DAV server as an absolute URL of the remote one: Radicale takes nothing else, sabre/dav both.
    fn destination(&self, path: &[u8]) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
        let prefix = self.script_name.as_ref().map_or(self.root.prefix.as_str(), |(_, name)| name);
        let (scheme, host) = (self.root.scheme.as_str().as_bytes(), self.root.host.as_bytes());
        HeaderValue::from_bytes(&[scheme, b"://", host, prefix.as_bytes(), path].concat())
    }

    /// A URL of the remote server in `Location` becomes a path; one of another server stays.
    fn localise(&self, headers: &mut HeaderMap) {
        let Some(location) = headers.get(LOCATION).and_then(|l| l.to_str().ok()) else { return };
        let path = match location.parse::<Uri>() {
            Ok(uri) if uri.authority().is_some_and(|a| a.as_str().as_bytes() == self.root.host.as_bytes()) => {
                uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned()
            }
            _ if location.starts_with('/') && !location.starts_with("//") => location.to_owned(),
            _ => return,
        };
        let path = match path.strip_prefix(self.root.prefix.as_str()) {
            Some(inside) if inside.starts_with('/') => inside,
            _ => &path,
        };
        if let Ok(path) = HeaderValue::from_str(path) {
            headers.insert(LOCATION, path);
        }
    }
}

fn script_name(config: &config::Upstream) -> Result<Option<(HeaderValue, String)>, RemoteError> {
    let Some(name) = &config.script_name else { return Ok(None) };
    let name = format!("/{}", name.trim_matches('/'));
    let value = HeaderValue::from_str(&name).map_err(|_| RemoteError::Header("script_name"))?;
    Ok(Some((value, name)))
}

/// Where the server's root is.
struct Root {
    scheme: Scheme,
    authority: Authority,
    /// `authority` as the `Host` header.
    host: HeaderValue,
    /// Path of the root without a trailing `/`; usually empty.
    prefix: String,
}

impl Root {
    fn parse(url: &str) -> Result<Self, RemoteError> {
        let wrong = |expected| RemoteError::Url { url: without_password(url), expected };
        let parts = url.parse::<Uri>().map_err(|_| wrong("the root URL of a DAV server"))?.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(wrong("`builtin`, or a URL such as `http://sabre.example.org`"));
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(wrong("http or https"));
        }
        if authority.as_str().contains('@') {
            return Err(wrong("a URL without user name and password"));
        }
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        if path.query().is_some() {
            return Err(wrong("a URL without a query"));
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| wrong("a host name"))?;
        Ok(Self { scheme, authority, host, prefix: path.path().trim_end_matches('/').to_owned() })
    }

    fn uri(&self, asked: &Uri) -> Result<Uri, UpstreamError> {
        let asked = asked.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let path = match self.prefix.as_str() {
            "" => Ok(asked),
            prefix => PathAndQuery::try_from(format!("{prefix}{asked}")),
        };
        let builder = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        let uri = path.map_err(http::Error::from).and_then(|path| builder.path_and_query(path).build());
        uri.map_err(|e| UpstreamError::Unreachable(e.into()))
    }
}

fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}

/// How the server is told who acts.
struct Credentials {
    users: UserCredentials,
    tokens: Option<Arc<dyn TechnicalTokens>>,
}

enum UserCredentials {
    /// Basic `admin&user` with the administrator's password.
    Admin { user: String, password: String },
    /// A header with the user's address.
    Header(HeaderName),
}

impl Credentials {
    fn new(config: &config::Upstream, tokens: Option<Arc<dyn TechnicalTokens>>) -> Result<Self, RemoteError> {
        let users = match config.impersonation {
            Impersonation::Admin => {
                let (user, password) = (&config.admin_user, &config.admin_password);
                if user.is_empty() || user.contains([':', ACTS_AS]) || user.contains(char::is_control) {
                    return Err(RemoteError::Admin { key: "admin_user", expected: "a name without `:` and `&`" });
                }
                // A server that takes an empty password takes everybody.
                if password.is_empty() {
                    return Err(RemoteError::Admin { key: "admin_password", expected: "the administrator's password" });
                }
                UserCredentials::Admin { user: user.clone(), password: password.clone() }
            }
            Impersonation::Header => {
                let name = config.user_header.parse().map_err(|_| RemoteError::Header("user_header"))?;
                UserCredentials::Header(name)
            }
        };
        Ok(Self { users, tokens })
    }

    fn show(&self, actor: &Actor, headers: &mut HeaderMap) -> Result<(), UpstreamError> {
        if let UserCredentials::Header(name) = &self.users {
            headers.remove(name);
        }
        match actor {
            Actor::User(user) => self.users.show(user, headers),
            Actor::Technical(domain) => {
                let tokens = self.tokens.as_ref().ok_or_else(|| UpstreamError::CannotActAs {
                    actor: format!("the domain {domain}"),
                    reason: "no technical tokens are configured",
                })?;
                headers.insert(TWAKE_CALENDAR_TOKEN, tokens.sign(*domain));
                Ok(())
            }
        }
    }
}

impl UserCredentials {
    fn show(&self, user: &Email, headers: &mut HeaderMap) -> Result<(), UpstreamError> {
        let cannot = |reason| UpstreamError::CannotActAs { actor: user.to_string(), reason };
        match self {
            Self::Admin { user: admin, password } => {
                // A colon ends the name in Basic credentials (RFC 7617 §2): what follows would be taken for a password.
                if user.as_str().contains(':') {
                    return Err(cannot("a colon cannot be in the name of Basic credentials"));
                }
                let pair = BASE64.encode(format!("{admin}{ACTS_AS}{user}:{password}"));
                let value = HeaderValue::from_str(&format!("Basic {pair}"));
                let mut value = value.map_err(|_| cannot("the credentials cannot be written"))?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            Self::Header(name) => {
                let value = HeaderValue::from_bytes(user.as_str().as_bytes());
                headers.insert(name, value.map_err(|_| cannot("the address cannot be sent in a header"))?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
