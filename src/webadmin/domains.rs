//! `/domains` (webadmin §4.1).

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;

use super::Shared;
use super::error::AdminError;
use crate::ids::{DomainId, DomainName};
use crate::store::{Domain, StoreError};

fn parse(name: &str) -> Result<DomainName, AdminError> {
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    bare.parse().map_err(|_| AdminError::bad_request(format!("Invalid request for domain creation {name}")))
}

/// `GET /domains`: their names.
pub(super) async fn list(State(admin): State<Shared>) -> Result<Json<Vec<DomainName>>, AdminError> {
    let domains = admin.directory.domains().await?;
    Ok(Json(domains.into_iter().map(|d| d.name).collect()))
}

/// `GET /domains/{domain}` and `HEAD`: 204 when there is one.
pub(super) async fn exists(State(admin): State<Shared>, Path(name): Path<String>) -> Result<StatusCode, AdminError> {
    match admin.directory.domain_by_name(&parse(&name)?).await? {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(AdminError::unknown(format!("The domain list does not contain: {name}"))),
    }
}

/// `PUT /domains/{domain}`: 204, also when there is one already.
pub(super) async fn add(State(admin): State<Shared>, Path(name): Path<String>) -> Result<StatusCode, AdminError> {
    let domain = Domain { id: DomainId(admin.env.object_id()), name: parse(&name)? };
    match admin.directory.add_domain(&domain).await {
        Ok(()) | Err(StoreError::Exists(_)) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(error.into()),
    }
}
