//! The administration port: health, metrics, domains, registered users and dead letters (webadmin §1, §4, §5, §10, §11).
//!
//! In come requests of administrators and of monitoring; out go JSON and Prometheus text. Whoever reaches this port with
//! the password may do everything, so without a password it serves loopback only, and only callers that are not web pages.
//!
//! Dead letters have routes of our own:
//!
//! | Route | Answer |
//! |---|---|
//! | `GET /deadLetters?consumer=&before=&limit=` | 200, newest first, without payloads; `before` an id, `limit` 1 to 500, default 50 |
//! | `GET /deadLetters/{id}` | 200 with the payload; 404 |
//! | `POST /deadLetters/{id}/redelivery` | 204; 404 |
//! | `POST /deadLetters/redelivery?consumer=` | 200 `{"redelivered":n}`: all there are at that moment |
//! | `DELETE /deadLetters/{id}` | 204; 404 |

mod access;
mod checks;
mod dead_letters;
mod domains;
mod error;
mod health;
mod metrics;
mod params;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

pub use checks::{DavAnswers, DeadLettersAbsent, QueueAnswers, SearchAnswers, Started, StoreAnswers};
pub use metrics::{Metrics, MetricsError};

use self::access::Access;
use self::error::AdminError;
use crate::accounts::Accounts;
use crate::clock::Env;
use crate::config;
use crate::health::HealthCheck;
use crate::queue::SharedQueue;
use crate::store::SharedDirectory;

/// What the administration port works on.
pub struct WebAdmin {
    /// People and domains.
    pub directory: SharedDirectory,
    /// How people get their homes.
    pub accounts: Accounts,
    /// Where dead letters are.
    pub queue: SharedQueue,
    /// What `/healthcheck` asks.
    pub checks: Vec<Arc<dyn HealthCheck>>,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Ids and times.
    pub env: Env,
}

type Shared = Arc<WebAdmin>;

impl WebAdmin {
    /// The routes of the administration port. Without a password in the configuration callers must come over loopback.
    pub fn router(self, config: &config::WebAdmin) -> Router {
        let public = Router::new()
            .route("/healthcheck", get(health::all))
            .route("/healthcheck/checks", get(health::names))
            .route("/healthcheck/checks/{name}", get(health::one))
            .route("/metrics", get(metrics::render));
        let private = Router::new()
            .route("/domains", get(domains::list))
            .route("/domains/{domain}", get(domains::exists).put(domains::add))
            .route("/registeredUsers", get(users::list).head(users::exists).post(users::add))
            .route("/deadLetters", get(dead_letters::list))
            .route("/deadLetters/redelivery", post(dead_letters::redeliver_all))
            .route("/deadLetters/{id}", get(dead_letters::show).delete(dead_letters::discard))
            .route("/deadLetters/{id}/redelivery", post(dead_letters::redeliver))
            .fallback(no_route)
            .method_not_allowed_fallback(no_route)
            .layer(from_fn_with_state(Access::new(config.password.as_deref()), access::require));
        public.method_not_allowed_fallback(no_route).merge(private).with_state(Arc::new(self))
    }
}

async fn no_route(method: Method, uri: Uri) -> AdminError {
    AdminError::not_found(format!("{method} {} can not be found", uri.path()))
}
