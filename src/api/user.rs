//! `GET /api/user` (rest-api §3.1).

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::{ApiError, Shared};
use crate::auth::Session;
use crate::config::Config;
use crate::store::{Settings, User};

/// The instant that stands for "long ago" where the reference keeps none.
const EPOCH: &str = "1970-01-01T00:00:00.000Z";

/// `GET /api/user`: the caller's profile and settings.
pub(super) async fn show(State(api): State<Shared>, session: Session) -> Result<Json<Value>, ApiError> {
    let user = api.directory.user_by_email(session.email()).await?;
    let user = user.ok_or_else(|| ApiError::NotFound("User not found".to_owned()))?;
    let settings = api.directory.settings(user.id).await?;
    Ok(Json(profile(&user, &settings, &api.config)))
}

fn profile(user: &User, settings: &Settings, config: &Config) -> Value {
    json!({
        "id": user.id,
        "_id": user.id,
        "objectType": "user",
        "preferredEmail": user.email(),
        "emails": user.emails,
        "firstname": user.firstname,
        "lastname": user.lastname,
        "domains": [{ "domain_id": user.domain, "joined_at": EPOCH }],
        "main_phone": "",
        "followings": 0,
        "following": false,
        "followers": 0,
        "state": [],
        "isPlatformAdmin": false,
        "login": { "success": EPOCH, "failures": [] },
        "accounts": [{
            "hosted": true,
            "preferredEmailIndex": 0,
            "type": "email",
            "emails": user.emails,
            "timestamps": { "creation": EPOCH },
        }],
        "configurations": { "modules": modules(settings, config) },
    })
}

/// Every known setting with its stored value or its default (rest-api §4.2); stored ones that are not known stay inside.
fn modules(settings: &Settings, config: &Config) -> Value {
    let stored = |module: &str, key: &str, default: Value| settings.get(module, key).cloned().unwrap_or(default);
    let setting = |name: &str, value: Value| json!({ "name": name, "value": value });
    let module = |name: &str, configurations: Vec<Value>| json!({ "name": name, "configurations": configurations });
    let dav = json!({ "url": format!("{}/dav", config.server.public_url) });
    let datetime = json!({ "timeZone": config.i18n.default_timezone, "use24hourFormat": true });
    let business_hours = json!([{ "start": "8:0", "end": "19:0", "daysOfWeek": [1, 2, 3, 4, 5] }]);
    json!([
        module(
            "core",
            vec![
                setting("davserver", json!({ "frontend": dav, "backend": dav })),
                setting("language", stored("core", "language", json!(config.i18n.default_language))),
                setting("datetime", stored("core", "datetime", datetime)),
                setting("businessHours", stored("core", "businessHours", business_hours)),
                setting("allowDomainAdminToManageUserEmails", Value::Null),
                setting("homePage", Value::Null),
            ]
        ),
        module(
            "linagora.esn.calendar",
            vec![
                setting("workingDays", stored("linagora.esn.calendar", "workingDays", Value::Null)),
                setting("hideDeclinedEvents", stored("linagora.esn.calendar", "hideDeclinedEvents", Value::Null)),
            ]
        ),
        module(
            "calendar",
            vec![
                setting("displayWeekNumbers", stored("calendar", "displayWeekNumbers", json!(true))),
                setting("alarmEmails", stored("calendar", "alarmEmails", json!(true))),
            ]
        ),
    ])
}
