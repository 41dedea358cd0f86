//! `/healthcheck` (webadmin §10, storage §9).

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::error::AdminError;
use super::params::Params;
use super::{Shared, WebAdmin};
use crate::health::{Health, HealthCheck};

/// Time for one check.
const PATIENCE: Duration = Duration::from_secs(10);
/// What may stand in a path segment as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Healthy,
    Degraded,
    Unhealthy,
}

impl Status {
    fn http(self, strict: bool) -> StatusCode {
        match self {
            Self::Healthy => StatusCode::OK,
            Self::Degraded if !strict => StatusCode::OK,
            Self::Degraded | Self::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Component<'a> {
    component_name: &'a str,
    escaped_component_name: String,
}

impl<'a> Component<'a> {
    fn named(name: &'a str) -> Self {
        Self { component_name: name, escaped_component_name: utf8_percent_encode(name, SEGMENT).to_string() }
    }
}

#[derive(Serialize)]
struct Finding<'a> {
    #[serde(flatten)]
    component: Component<'a>,
    status: Status,
    cause: Option<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    status: Status,
    checks: Vec<Finding<'a>>,
}

async fn examine(check: &dyn HealthCheck) -> Finding<'_> {
    let health = match tokio::time::timeout(PATIENCE, check.check()).await {
        Ok(health) => health,
        Err(_) => Health::Unhealthy(format!("no answer within {PATIENCE:?}")),
    };
    let (status, cause) = match health {
        Health::Healthy => (Status::Healthy, None),
        Health::Degraded(cause) => (Status::Degraded, Some(cause)),
        Health::Unhealthy(cause) => (Status::Unhealthy, Some(cause)),
    };
    Finding { component: Component::named(check.component()), status, cause }
}

fn find<'a>(admin: &'a WebAdmin, name: &str) -> Result<&'a Arc<dyn HealthCheck>, AdminError> {
    let found = admin.checks.iter().find(|c| c.component() == name);
    found.ok_or_else(|| AdminError::not_found(format!("Component with name {name} cannot be found")))
}

/// `GET /healthcheck`: all components, or those named by `check`.
pub(super) async fn all(State(admin): State<Shared>, params: Params) -> Result<Response, AdminError> {
    let mut chosen = params.all("check").map(|name| find(&admin, name)).collect::<Result<Vec<_>, _>>()?;
    if chosen.is_empty() {
        chosen = admin.checks.iter().collect();
    }
    // All at once: there are fewer components than would be too many.
    let mut asked = Vec::with_capacity(chosen.len());
    for check in chosen {
        asked.push(examine(check.as_ref()));
    }
    let checks = join_all(asked).await;
    let status = checks.iter().map(|f| f.status).max().unwrap_or(Status::Healthy);
    Ok((status.http(params.get("strict").is_some()), Json(Report { status, checks })).into_response())
}

/// `GET /healthcheck/checks`: the components.
pub(super) async fn names(State(admin): State<Shared>) -> Response {
    Json(admin.checks.iter().map(|c| Component::named(c.component())).collect::<Vec<_>>()).into_response()
}

/// `GET /healthcheck/checks/{name}`: one component.
pub(super) async fn one(
    State(admin): State<Shared>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, AdminError> {
    let finding = examine(find(&admin, &name)?.as_ref()).await;
    Ok((finding.status.http(params.get("strict").is_some()), Json(finding)).into_response())
}
