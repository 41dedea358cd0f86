//! The layer that surfaces put before handlers which need to know who is asking.

use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::FromRequestParts;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{Request, Response};
use tower::{Layer, Service};

use super::{AuthError, Authenticator, Challenges, Programs, Session, Surface};

/// Lets only requests through whose sender is known, with a [`Session`] among their extensions. Others are answered
/// before their body is read.
#[derive(Clone)]
pub struct RequireUser {
    authenticator: Authenticator,
    programs: Option<Programs>,
    challenges: Challenges,
}

impl RequireUser {
    /// A layer for a surface.
    pub fn new(authenticator: Authenticator, surface: Surface) -> Self {
        let challenges = authenticator.challenges(surface);
        Self { authenticator, programs: None, challenges }
    }

    /// The same layer, which lets these programs through, too, with a [`super::Program`] among the extensions in place of a
    /// [`Session`].
    #[must_use]
    pub fn or_programs(self, programs: Option<Programs>) -> Self {
        Self { programs, ..self }
    }
}

impl RequireUser {
    /// Leaves who sent a request among its extensions.
    async fn recognise(&self, head: &mut Parts) -> Result<(), AuthError> {
        if let Some(programs) = &self.programs {
            let recognised = programs.identify(head).await.inspect_err(AuthError::log)?;
            if let Some(program) = recognised {
                head.extensions.insert(program);
                return Ok(());
            }
        }
        let identity = self.authenticator.authenticate(head).await?;
        head.extensions.insert(Session::new(identity));
        Ok(())
    }
}

impl<S> Layer<S> for RequireUser {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Authenticated<S> {
        Authenticated { inner, require: self.clone() }
    }
}

/// A service behind [`RequireUser`].
#[derive(Clone)]
pub struct Authenticated<S> {
    inner: S,
    require: RequireUser,
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
        let require = self.require.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            match require.recognise(&mut head).await {
                Ok(()) => inner.call(Request::from_parts(head, body)).await,
                Err(error) => Ok(error.into_response(&require.challenges, &head.headers)),
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
