//! The REST API of web clients (rest-api): each route parses, asks one capability, and renders.
//!
//! In come requests of people who were recognised; out go JSON answers in the shapes that existing clients know. JSON bodies
//! are read whatever their `Content-Type` says, because the web client sends them as `text/plain`. A path or method that
//! is not served is 404 with the error body, never 405 (rest-api §1.2). No rule of calendaring lives here.

mod calendars;
mod error;
mod event_search;
mod user;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, any, get, post};

pub use calendars::{CalendarSource, CalendarSources, OwnCalendars};
pub use error::ApiError;

use crate::auth::RequireUser;
use crate::config::Config;
use crate::net::Cors;
use crate::search::SharedEventIndex;
use crate::store::SharedDirectory;

/// What the REST API works on.
pub struct Api {
    /// People and their settings.
    pub directory: SharedDirectory,
    /// Which calendars somebody sees.
    pub calendars: Arc<dyn CalendarSources>,
    /// Full-text search.
    pub index: SharedEventIndex,
    /// What is advertised, and what bodies may cost.
    pub config: Config,
}

type Shared = Arc<Api>;

impl Api {
    /// The routes of the API. The fallback for everything else is [`not_found`].
    pub fn router(self, require_user: &RequireUser) -> Router {
        let cors = Cors::new(&self.config.proxy.cors_origins).layer();
        // `any` first: a method that is not served is not found, and no `Allow` tells of others.
        let users_only = |route: MethodRouter<Shared>| any(not_found).merge(route.layer(require_user.clone()));
        Router::new()
            .route("/api/user", users_only(get(user::show)))
            .route("/calendar/api/events/search", users_only(post(event_search::search)))
            .fallback(not_found)
            .layer(cors)
            .with_state(Arc::new(self))
    }
}

/// 404 with the error body (rest-api §17).
pub async fn not_found() -> ApiError {
    ApiError::NotFound("No such route".to_owned())
}
