//! The DAV proxy: `/dav/**` and, for calendar programs, the DAV collections at the root (rest-api §16, auth §10).
//!
//! In come requests of web clients and calendar programs; out go the same requests, as the user who was recognised, to the
//! DAV server, and its answers back. Any method passes, and both bodies stream: nothing is read that need not be looked
//! at. [`stack`] is the whole story, top to bottom.
//!
//! It must never let a client choose whom it acts as, show a client what is between us and the server, or send a request
//! on that the two of us could read differently.
//!
//! A 401 of the server is answered with 502: the caller did log in, and asking them to do so again would neither help nor
//! stop. It means that the server does not take our credentials, or does not know the user. A program is told 401 by the built-in
//! server: it named somebody who is nobody here, and is not the one who logged in.

mod body;
mod error;
mod exchange;
mod gate;
mod headers;
mod path;
mod unread;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::middleware::Next;
use axum::routing::any;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri};
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

pub use error::ProxyError;
pub use path::{MOUNT, PathError, PublicAddress, dav_path};

use self::body::Bounds;
use self::exchange::{AnswerFailures, ByProgram};
use self::gate::Gate;
use crate::auth::{Program, RequireUser, Session};
use crate::config::Config;
use crate::dav::options::Area;
use crate::dav::{Actor, Upstream, UpstreamError, options};
use crate::net::Cors;

const DESTINATION: HeaderName = HeaderName::from_static("destination");
const X_HTTP_METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// A request on its way in, an answer on its way out; never an error.
pub type Proxy = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// The proxy in front of a DAV server, top to bottom.
pub fn stack(upstream: Upstream, require_user: RequireUser, config: &Config) -> Proxy {
    let is_builtin = config.upstream.url == "builtin";
    let bounds = Bounds {
        octets: config.proxy.body_bytes,
        // The built-in server has a limit of its own for files.
        file_octets: if is_builtin { config.files.file_bytes } else { 0 }.max(config.proxy.body_bytes),
        attachment_octets: if is_builtin { config.files.attachment_bytes } else { 0 }.max(config.proxy.body_bytes),
        idle: Duration::from_secs(config.proxy.idle_timeout_s),
    };
    let address = Arc::new(PublicAddress::new(&config.server.public_url));
    let mounts_redirects = !config.proxy.at_root && config.upstream.script_name.is_none();

    let service = ServiceBuilder::new()
        // Browsers ask before they call, without credentials, and may read what comes back.
        .layer(Cors::new(&config.proxy.cors_origins).layer())
        // What could be read in two ways, or would be too much, is refused before anyone reads on.
        .layer(Gate(refuse_echoing_methods))
        .layer(Gate(enter))
        .layer(Gate(move |request: &mut Request<Body>| refuse_declared_excess(request, bounds)))
        // Nobody's body is asked for (RFC 9110 §10.1.1) before we know who it is.
        .layer(axum::middleware::from_fn(move |request, next| answer_options(is_builtin, request, next)))
        .layer(require_user)
        .layer(Gate(move |request: &mut Request<Body>| impersonate(request, is_builtin)))
        // `Destination` is a path of the DAV server, as the request's own is by now.
        .layer(Gate(move |request: &mut Request<Body>| rewrite_destination(request, &address)))
        // Identity, connection and cookies from outside end here.
        .map_request(keep_known_headers)
        // Logins, cookies and connection of the server end here.
        .map_response(move |response| clean(response, mounts_redirects))
        // Silence, excess and failure become answers.
        .layer(AnswerFailures(bounds))
        .service(upstream);
    Proxy::new(service)
}

/// The proxy with its routes: `/dav/**`, the well-known addresses (RFC 6764 §5), and the collections at the root where
/// the configuration says so.
pub fn router(upstream: Upstream, require_user: RequireUser, config: &Config) -> Router {
    let proxy = stack(upstream, require_user, config);
    let mut router = Router::new();
    for path in [MOUNT, "/dav/", "/dav/{*path}"] {
        router = router.route_service(path, proxy.clone());
    }
    if config.proxy.at_root {
        for path in [
            "/",
            "/principals",
            "/principals/",
            "/principals/{*path}",
            "/calendars",
            "/calendars/",
            "/calendars/{*path}",
            "/addressbooks",
            "/addressbooks/",
            "/addressbooks/{*path}",
            // What the JSON API has beside them.
            "/calendars.json",
            "/addressbooks.json",
            "/query",
            "/query.json",
            "/itip",
        ] {
            router = router.route_service(path, proxy.clone());
        }
        if config.upstream.url == "builtin" {
            for path in ["/files", "/files/", "/files/{*path}", "/attachments/{*path}", "/trash/{*path}"] {
                router = router.route_service(path, proxy.clone());
            }
        }
    }
    let root = discovery_root(config);
    for path in ["/.well-known/caldav", "/.well-known/caldav/", "/.well-known/carddav", "/.well-known/carddav/"] {
        let root = root.clone();
        router = router.route(path, any(async move || moved_permanently(root)));
    }
    router.layer(axum::middleware::from_fn(unread::finish))
}

/// Where the hrefs of the server's answers start, so that a program which discovers us stays where they lead.
fn discovery_root(config: &Config) -> HeaderValue {
    let root = match &config.upstream.script_name {
        Some(name) => format!("/{}/", name.trim_matches('/')),
        None if config.proxy.at_root => "/".to_owned(),
        None => format!("{MOUNT}/"),
    };
    HeaderValue::try_from(root).unwrap_or(HeaderValue::from_static("/"))
}

fn moved_permanently(location: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(LOCATION, location);
    response
}

/// TRACE echoes a request, ours with its credentials; a tunnel is none of a DAV server's business.
fn refuse_echoing_methods(request: &mut Request<Body>) -> Result<(), ProxyError> {
    let echoes = |method: &[u8]| [&b"TRACE"[..], b"TRACK", b"CONNECT"].iter().any(|m| m.eq_ignore_ascii_case(method));
    let mut overrides = request.headers().get_all(X_HTTP_METHOD_OVERRIDE).iter();
    match echoes(request.method().as_str().as_bytes()) || overrides.any(|m| echoes(m.as_bytes().trim_ascii())) {
        true => Err(ProxyError::Method),
        false => Ok(()),
    }
}

/// From here on the request is for a path of the DAV server, and the address it came by is forgotten but for `Host`.
fn enter(request: &mut Request<Body>) -> Result<(), ProxyError> {
    let path = dav_path(request.uri().path())?;
    let inside = match request.uri().query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path.as_ref()),
    };
    let inside = Uri::from(inside.map_err(|_| PathError::BadEncoding)?);
    // HTTP/2 names the host there.
    let authority = request.uri().authority().filter(|_| !request.headers().contains_key(HOST));
    if let Some(host) = authority.and_then(|a| HeaderValue::from_str(a.as_str()).ok()) {
        request.headers_mut().insert(HOST, host);
    }
    *request.uri_mut() = inside;
    Ok(())
}

fn refuse_declared_excess(request: &mut Request<Body>, bounds: Bounds) -> Result<(), ProxyError> {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    match declared {
        Some(octets) if octets > bounds.of(request) => Err(ProxyError::TooLarge(bounds.of(request))),
        _ => Ok(()),
    }
}

/// What there is to ask is no secret: OPTIONS needs no login (dav §1.1). Whoever is recognised hears it from the server.
async fn answer_options(is_builtin: bool, request: Request<Body>, next: Next) -> Response<Body> {
    let path = (request.method() == Method::OPTIONS).then(|| request.uri().path().to_owned());
    let response = next.run(request).await;
    match path {
        // A 401 of the server never gets here.
        Some(path) if response.status() == StatusCode::UNAUTHORIZED => {
            let area = if is_builtin { Area::of(&path) } else { Area::Groupware };
            options::answer(&path, area)
        }
        _ => response,
    }
}

/// Who was recognised, or on whose behalf a program was, is whom the request acts as; nobody else can be.
fn impersonate(request: &mut Request<Body>, is_builtin: bool) -> Result<(), ProxyError> {
    let extensions = request.extensions_mut();
    let program = extensions.remove::<Program>();
    if is_builtin && program.is_some() {
        extensions.insert(ByProgram);
    }
    let actor = match (program, extensions.remove::<Session>()) {
        (Some(Program::ActsAs(user)), _) => Actor::User(user),
        (Some(Program::ForDomain(domain)), _) => Actor::Technical(domain),
        (None, Some(session)) => Actor::User(session.email().clone()),
        (None, None) => return Err(UpstreamError::NoActor.into()),
    };
    if let Actor::User(user) = &actor {
        tracing::Span::current().record("user", user.as_str());
    }
    extensions.insert(actor);
    Ok(())
}

fn rewrite_destination(request: &mut Request<Body>, address: &PublicAddress) -> Result<(), ProxyError> {
    let headers = request.headers();
    let mut named = headers.get_all(DESTINATION).iter();
    let Some(destination) = named.next() else { return Ok(()) };
    if named.next().is_some() {
        // The server might take the other one.
        return Err(PathError::NoDestination.into());
    }
    let host = headers.get(HOST).and_then(|h| h.to_str().ok());
    let destination = destination.to_str().map_err(|_| PathError::NoDestination)?;
    let inside = address.destination(destination.trim(), host)?;
    let inside = HeaderValue::try_from(inside).map_err(|_| PathError::NoDestination)?;
    request.headers_mut().insert(DESTINATION, inside);
    Ok(())
}

fn keep_known_headers(mut request: Request<Body>) -> Request<Body> {
    let sent: HeaderMap = std::mem::take(request.headers_mut());
    *request.headers_mut() = headers::for_upstream(sent);
    request
}

fn clean(mut response: Response<Body>, mounts_redirects: bool) -> Response<Body> {
    let is_redirect = response.status().is_redirection();
    headers::for_client(response.headers_mut(), is_redirect, mounts_redirects);
    response
}
