//! A person's principal by JSON (dav §4).

use http::{Response, StatusCode};
use serde::Serialize;

use super::text::respond;
use crate::dav::error::DavError;
use crate::dav::path::{Location, PrincipalKind};
use crate::dav::server::call::Call;
use crate::dav::server::principals::Principal;
use crate::dav::upstream::Body;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Person {
    #[serde(rename = "alternate-URI-set")]
    alternate_uri_set: Vec<String>,
    #[serde(rename = "principal-URL")]
    principal_url: String,
    group_member_set: [(); 0],
    group_membership: [String; 1],
}

impl Call {
    /// Answers with the four properties that the reference tells of a person, paths without a slash before them.
    pub(super) async fn principal_json(&self) -> Result<Response<Body>, DavError> {
        let Location::Principal(kind, id) = self.location else { return Err(DavError::no_node(&self.path)) };
        let Principal::User(person) = self.server.principal(&self.who, kind, id).await? else {
            return Err(DavError::no_node(&self.path));
        };
        let path = |location: Location| location.href().trim_start_matches('/').to_owned();
        let told = Person {
            alternate_uri_set: person.user.emails.iter().map(crate::ids::Email::to_calendar_address).collect(),
            principal_url: path(self.location.clone()),
            group_member_set: [],
            group_membership: [path(Location::Principal(PrincipalKind::Domain, person.user.domain.0))],
        };
        Ok(respond(StatusCode::OK, &told))
    }
}
