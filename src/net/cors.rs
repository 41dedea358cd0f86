//! Cross-origin calls from browser pages (Fetch standard; auth §12, rest-api §1.9).
//!
//! Preflights are answered here, before anyone asks who is calling, because browsers send them without credentials. Every
//! other answer gets exactly one `Access-Control-Allow-Origin`, ours, whatever the application put there. Credentials
//! (cookies) are never allowed: pages send their token in `Authorization`.

use std::task::{Context, Poll};

use axum::body::Body;
use futures_util::FutureExt as _;
use futures_util::future::{Either, Map, Ready, ready};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use std::sync::Arc;
use tower::{Layer, Service};

/// Everything a page does to calendars and address books.
const METHODS: HeaderValue = HeaderValue::from_static(
    "GET, HEAD, POST, OPTIONS, PUT, PATCH, DELETE, REPORT, PROPFIND, PROPPATCH, MKCOL, MKCALENDAR, COPY, MOVE, LOCK, \
     UNLOCK, ACL, SEARCH, ITIP",
);
/// Request headers that pages may send. `Authorization` must be named: a wildcard does not cover it.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Origin, Content-Type, Content-Disposition, Authorization, Accept, Accept-Language, Cache-Control, Depth, Destination, If, If-Match, \
     If-None-Match, If-Schedule-Tag-Match, Lock-Token, Overwrite, Prefer, Range, Schedule-Reply, Timeout, \
     X-Http-Method-Override, X-Requested-With",
);
/// Answer headers that pages may read besides the safe-listed ones.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "ETag, Location, DAV, Allow, Schedule-Tag, Sync-Token, Lock-Token, Preference-Applied, Content-Disposition, \
     Content-Range, Cal-Managed-ID, X-Request-Id",
);
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Which origins may call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origins {
    /// None is told that it may; for deployments where a front server does this.
    Off,
    Any,
    These(Vec<String>),
}

/// What browsers are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors(Arc<Origins>);

impl Cors {
    /// `*` among the origins stands for any; no origin at all switches cross-origin answers off.
    pub fn new(origins: &[String]) -> Self {
        Self(Arc::new(if origins.iter().any(|o| o == "*") {
            Origins::Any
        } else if origins.is_empty() {
            Origins::Off
        } else {
            Origins::These(origins.iter().map(|o| o.trim_end_matches('/').to_ascii_lowercase()).collect())
        }))
    }

    /// The layer that does it.
    pub fn layer(&self) -> CorsLayer {
        CorsLayer(self.clone())
    }

    fn is_off(&self) -> bool {
        *self.0 == Origins::Off
    }

    /// The `Access-Control-Allow-Origin` for a caller's `Origin`.
    fn allowed(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        match &*self.0 {
            Origins::Off => None,
            Origins::Any => Some(HeaderValue::from_static("*")),
            Origins::These(list) => {
                let origin = origin?;
                let text = origin.to_str().ok()?;
                list.iter().any(|o| o.eq_ignore_ascii_case(text)).then(|| origin.clone())
            }
        }
    }

    fn preflight(&self, origin: Option<&HeaderValue>) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let Some(allowed) = self.allowed(origin) else {
            *response.status_mut() = StatusCode::FORBIDDEN;
            self.vary(response.headers_mut());
            return response;
        };
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        self.vary(headers);
        response
    }

    fn mark(&self, headers: &mut HeaderMap, allowed: Option<HeaderValue>) {
        for ours in [
            ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_HEADERS,
            ACCESS_CONTROL_EXPOSE_HEADERS,
            ACCESS_CONTROL_MAX_AGE,
        ] {
            headers.remove(ours);
        }
        if let Some(allowed) = allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
        self.vary(headers);
    }

    /// Where the answer depends on the origin, caches must know.
    fn vary(&self, headers: &mut HeaderMap) {
        if matches!(&*self.0, Origins::These(_)) {
            headers.append(VARY, HeaderValue::from_name(HeaderName::from_static("origin")));
        }
    }
}

/// Puts [`Cors`] around a service.
#[derive(Debug, Clone)]
pub struct CorsLayer(Cors);

impl<S> Layer<S> for CorsLayer {
    type Service = CorsService<S>;

    fn layer(&self, inner: S) -> CorsService<S> {
        CorsService { inner, cors: self.0.clone() }
    }
}

/// A service with [`Cors`] around it.
#[derive(Debug, Clone)]
pub struct CorsService<S> {
    inner: S,
    cors: Cors,
}

type Marked<E> = Box<dyn FnOnce(Result<Response<Body>, E>) -> Result<Response<Body>, E> + Send>;

impl<S, B> Service<Request<B>> for CorsService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<Body>, S::Error>>, Map<S::Future, Marked<S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let origin = request.headers().get(ORIGIN);
        let is_preflight = request.method() == Method::OPTIONS
            && origin.is_some()
            && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight && !self.cors.is_off() {
            return Either::Left(ready(Ok(self.cors.preflight(origin))));
        }
        // Callers that are not pages need none of this; the application's own marks are still taken off.
        let allowed = origin.and_then(|_| self.cors.allowed(origin));
        let cors = self.cors.clone();
        let mark: Marked<S::Error> = Box::new(move |outcome| {
            outcome.map(|mut response| {
                cors.mark(response.headers_mut(), allowed);
                response
            })
        });
        Either::Right(self.inner.call(request).map(mark))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::{ServiceBuilder, ServiceExt as _, service_fn};

    use super::*;

    async fn call(origins: &[&str], method: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        let app = service_fn(|_: Request<Body>| async {
            let response = Response::builder()
                .header(ACCESS_CONTROL_ALLOW_ORIGIN, "https://upstream.example.org")
                .header(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
            Ok::<_, Infallible>(response.body(Body::from("from the application")).unwrap())
        });
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let service = ServiceBuilder::new().layer(Cors::new(&origins).layer()).service(app);
        service.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    const PAGE: (&str, &str) = ("origin", "https://calendar.example.org");
    const WANTS_REPORT: (&str, &str) = ("access-control-request-method", "REPORT");

    #[tokio::test]
    async fn a_preflight_is_answered_without_the_application() {
        let response = call(&["*"], "OPTIONS", &[PAGE, WANTS_REPORT]).await;
        assert_eq!(response.status(), 204);
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        let allowed = response.headers()[ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap();
        for method in ["REPORT", "PROPPATCH", "MOVE", "ACL", "PATCH", "DELETE", "PUT"] {
            assert!(allowed.split(", ").any(|m| m == method), "{method}");
        }
        let allowed = response.headers()[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
        for header in
            ["Authorization", "Depth", "Destination", "Prefer", "If-Match", "Overwrite", "X-Http-Method-Override"]
        {
            assert!(allowed.split(", ").any(|h| h == header), "{header}");
        }
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }

    #[tokio::test]
    async fn options_of_a_dav_client_is_no_preflight() {
        let response = call(&["*"], "OPTIONS", &[]).await;
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    }

    #[tokio::test]
    async fn the_applications_own_marks_are_replaced_by_one_of_ours() {
        let response = call(&["*"], "GET", &[PAGE]).await;
        let all: Vec<_> = response.headers().get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter().collect();
        assert_eq!(all, ["*"]);
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        assert!(response.headers()[ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap().contains("Schedule-Tag"));
    }

    #[tokio::test]
    async fn listed_origins_only() {
        let listed = ["https://calendar.example.org"];
        let response = call(&listed, "GET", &[PAGE]).await;
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "https://calendar.example.org");
        assert_eq!(response.headers()[VARY], "origin");
        let other = ("origin", "https://calendar.example.org.evil.example");
        let response = call(&listed, "GET", &[other]).await;
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(call(&listed, "OPTIONS", &[other, WANTS_REPORT]).await.status(), 403);
        assert_eq!(call(&listed, "OPTIONS", &[PAGE, WANTS_REPORT]).await.status(), 204);
    }

    #[tokio::test]
    async fn without_origins_it_is_off() {
        let response = call(&[], "OPTIONS", &[PAGE, WANTS_REPORT]).await;
        assert_eq!(response.status(), 200, "the application answers");
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    }
}
