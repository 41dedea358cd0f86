//! `/registeredUsers` (webadmin §5.1): list, look up, add.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::error::AdminError;
use super::params::Params;
use super::{Shared, WebAdmin};
use crate::ids::{Email, HomeId, UserId};
use crate::store::{StoreError, User};

/// Users read at once.
const PAGE: usize = 1_000;

#[derive(Serialize)]
struct RegisteredUser {
    email: Email,
    firstname: String,
    lastname: String,
    id: UserId,
}

impl From<User> for RegisteredUser {
    fn from(user: User) -> Self {
        Self { email: user.email().clone(), id: user.id, firstname: user.firstname, lastname: user.lastname }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    email: Email,
    firstname: Option<String>,
    lastname: Option<String>,
    /// Accepted, because answers have one, and ignored.
    #[serde(rename = "id")]
    _id: Option<String>,
}

fn email(text: &str) -> Result<Email, AdminError> {
    text.parse().map_err(|e: crate::ids::InvalidId| AdminError::argument(e.to_string()))
}

fn no_user() -> AdminError {
    AdminError::not_found("User does not exist")
}

/// `GET /registeredUsers`: all of them; with `email`, that one.
pub(super) async fn list(State(admin): State<Shared>, params: Params) -> Result<Response, AdminError> {
    if let Some(address) = params.get("email") {
        let user = admin.directory.user_by_email(&email(address)?).await?.ok_or_else(no_user)?;
        return Ok(Json(RegisteredUser::from(user)).into_response());
    }
    let mut all: Vec<RegisteredUser> = Vec::new();
    loop {
        let page = admin.directory.users(None, all.last().map(|u| u.id), PAGE).await?;
        let complete = page.len() < PAGE;
        all.extend(page.into_iter().map(RegisteredUser::from));
        if complete {
            return Ok(Json(all).into_response());
        }
    }
}

/// `HEAD /registeredUsers?email=` or `?id=`.
pub(super) async fn exists(State(admin): State<Shared>, params: Params) -> Result<StatusCode, AdminError> {
    let found = match (params.get("email"), params.get("id")) {
        (Some(address), None) => admin.directory.user_by_email(&email(address)?).await?,
        (None, Some(id)) => {
            let id = id.parse().map_err(|e: crate::ids::InvalidId| AdminError::argument(e.to_string()))?;
            admin.directory.user(id).await?
        }
        _ => return Ok(StatusCode::BAD_REQUEST),
    };
    found.map(|_| StatusCode::OK).ok_or_else(no_user)
}

/// `POST /registeredUsers`: 201. The new user has a home before the first request.
pub(super) async fn add(State(admin): State<Shared>, params: Params, body: Bytes) -> Result<StatusCode, AdminError> {
    if let Some(action) = params.get("action").filter(|a| !a.is_empty()) {
        return Err(AdminError::argument(format!("Invalid action: '{action}'. There are no actions here")));
    }
    let new: NewUser = serde_json::from_slice(&body).map_err(AdminError::json)?;
    let user = checked(&admin, new).await?;
    match admin.directory.add_user(&user).await {
        Ok(()) => {}
        Err(StoreError::Exists(_)) => return Err(AdminError::conflict(format!("{} already exists", user.email()))),
        Err(error) => return Err(error.into()),
    }
    admin.accounts.provision_home(HomeId::from(user.id)).await?;
    Ok(StatusCode::CREATED)
}

async fn checked(admin: &WebAdmin, new: NewUser) -> Result<User, AdminError> {
    let named = |name: Option<String>, missing: &str| {
        name.filter(|n| !n.trim().is_empty()).ok_or_else(|| AdminError::argument(missing))
    };
    let firstname = named(new.firstname, "Missing firstname")?;
    let lastname = named(new.lastname, "Missing lastname")?;
    let domain = new.email.domain();
    let Some(domain) = admin.directory.domain_by_name(&domain).await? else {
        return Err(AdminError::unknown(format!("{domain} does not exist")));
    };
    let id = UserId(admin.env.object_id());
    Ok(User { id, domain: domain.id, emails: vec![new.email], firstname, lastname })
}
