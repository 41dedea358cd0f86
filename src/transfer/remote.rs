//! An account on a server elsewhere, signed in to with a password.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, HOST, HeaderValue, LOCATION};
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use tower::service_fn;
use url::Url;

use super::TransferError;
use crate::dav::{Body, BoxError, Upstream, UpstreamError};
use crate::net::{Client, ClientError};

/// Redirects that are followed for one request.
const REDIRECTS: usize = 5;

/// Who signs in.
#[derive(Clone)]
pub struct Credentials {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

/// A server as an [`Upstream`] for one person: every request goes there with these credentials (Basic), and follows redirects
/// that stay on the same host; others are the answer. The second value is the path of the URL.
///
/// # Errors
/// [`TransferError::Url`] when it is no `http:` or `https:` URL of a server, or holds credentials itself.
pub fn sign_in(client: Client, url: &str, credentials: &Credentials) -> Result<(Upstream, String), TransferError> {
    let wrong = |reason: &str| TransferError::Url(format!("{url:?} is not the URL of a server: {reason}"));
    let parsed = Url::parse(url).map_err(|e| wrong(&e.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host().is_none() {
        return Err(wrong("it does not begin with https://"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(wrong("it holds a password, which belongs elsewhere"));
    }
    let basic = BASE64.encode(format!("{}:{}", credentials.user, credentials.password));
    let mut authorization = HeaderValue::from_str(&format!("Basic {basic}")).map_err(|e| wrong(&e.to_string()))?;
    authorization.set_sensitive(true);
    let path = parsed.path().to_owned();
    let server = Arc::new(Server { root: parsed, authorization });
    let upstream = Upstream::new(service_fn(move |request| exchange(client.clone(), server.clone(), request)));
    Ok((upstream, path))
}

struct Server {
    root: Url,
    authorization: HeaderValue,
}

fn exchange(
    client: Client,
    server: Arc<Server>,
    request: Request<Body>,
) -> BoxFuture<'static, Result<Response<Body>, UpstreamError>> {
    Box::pin(async move {
        let (head, body) = request.into_parts();
        // Kept, for a redirect may want it once more.
        let body: Bytes = body.collect().await.map_err(|e| unreachable(e.to_string()))?.to_bytes();
        let mut path = head.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
        for _ in 0..=REDIRECTS {
            let url = server.url(&path);
            let mut request = Request::new(Body::from(body.clone()));
            *request.method_mut() = head.method.clone();
            *request.uri_mut() = url.as_str().parse::<Uri>().map_err(|e| unreachable(e.to_string()))?;
            *request.headers_mut() = head.headers.clone();
            request.headers_mut().remove(HOST);
            request.headers_mut().insert(AUTHORIZATION, server.authorization.clone());
            let answer = match client.send(request).await {
                Ok(answer) => answer,
                Err(ClientError::TimedOut(after)) => return Err(UpstreamError::TimedOut(after)),
                Err(error) => return Err(UpstreamError::Unreachable(error.into())),
            };
            let location = answer.headers().get(LOCATION).and_then(|l| l.to_str().ok());
            match location.filter(|_| answer.status().is_redirection()) {
                None => return Ok(answer),
                Some(location) => match server.followed(&url, location)? {
                    Some(followed) => path = followed,
                    None => return Ok(answer),
                },
            }
        }
        Err(unreachable("it redirects in circles".to_owned()))
    })
}

impl Server {
    /// The URL of a path of this server, whatever the path looks like: `//elsewhere/` is none of another one.
    fn url(&self, path: &str) -> Url {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = self.root.clone();
        url.set_path(path);
        url.set_query(query);
        url.set_fragment(None);
        url
    }

    /// The path that a redirect leads to; none where that is elsewhere: the password goes to nobody but the server that it is
    /// for.
    fn followed(&self, from: &Url, location: &str) -> Result<Option<String>, UpstreamError> {
        let to = from.join(location).map_err(|e| unreachable(e.to_string()))?;
        Ok((to.origin() == self.root.origin()).then(|| to[url::Position::BeforePath..].to_owned()))
    }
}

fn unreachable(reason: String) -> UpstreamError {
    UpstreamError::Unreachable(BoxError::from(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_stays_on_its_server() {
        let root = Url::parse("https://dav.example.org:8443/remote.php/dav/").unwrap();
        let server = Server { root, authorization: HeaderValue::from_static("Basic x") };
        for (path, url) in [
            ("/a/b.ics", "https://dav.example.org:8443/a/b.ics"),
            ("//elsewhere.example/a", "https://dav.example.org:8443//elsewhere.example/a"),
            ("/a%20b?x=1", "https://dav.example.org:8443/a%20b?x=1"),
        ] {
            assert_eq!(server.url(path).as_str(), url);
        }
        let from = server.url("/.well-known/caldav");
        let followed = |location| server.followed(&from, location).unwrap();
        assert_eq!(followed("/dav/?a").as_deref(), Some("/dav/?a"));
        assert_eq!(followed("https://dav.example.org:8443//elsewhere/").as_deref(), Some("//elsewhere/"));
        for elsewhere in ["//elsewhere.example/", "http://dav.example.org:8443/", "https://dav.example.org/"] {
            assert_eq!(followed(elsewhere), None, "{elsewhere}");
        }
    }
}
