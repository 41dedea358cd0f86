//! The layer that surfaces put before handlers which need to know who is asking.

use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::FromRequestParts;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{Request, Response};
use tower::{Layer, Service};

use super::{AuthError, Authenticator, Challenges, Session, Surface};

/// Lets only requests through whose sender is known, with a [`Session`] among their extensions. Others are answered
/// before their body is read.
#[derive(Clone)]
pub struct RequireUser {
    authenticator: Authenticator,
    challenges: Challenges,
}

impl RequireUser {
    /// A layer for a surface.
    pub fn new(authenticator: Authenticator, surface: Surface) -> Self {
        let challenges = authenticator.challenges(surface);
        Self { authenticator, challenges }
    }
}

impl<S> Layer<S> for RequireUser {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Authenticated<S> {
        Authenticated { inner, authenticator: self.authenticator.clone(), challenges: self.challenges }
    }
}

/// A service behind [`RequireUser`].
#[derive(Clone)]
pub struct Authenticated<S> {
    inner: S,
    authenticator: Authenticator,
    challenges: Challenges,
}

impl<S, B> Service<Request<B>> for Authenticated<S>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready is the one to call.
        let unready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, unready);
        let (authenticator, challenges) = (self.authenticator.clone(), self.challenges);
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            match authenticator.authenticate(&head).await {
                Ok(identity) => {
                    head.extensions.insert(Session::new(identity));
                    inner.call(Request::from_parts(head, body)).await
                }
                Err(error) => Ok(error.into_response(&challenges, &head.headers)),
            }
        })
    }
}

/// A handler that asks for the [`Session`] cannot be reached without one: where [`RequireUser`] was forgotten, or let
/// somebody through unnamed, the answer is 401.
impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response<Body>> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            let challenges = Challenges { surface: Surface::Rest, basic: false };
            AuthError::Missing.into_response(&challenges, &parts.headers)
        })
    }
}
