//! Names of calendars and address books for programs that show them as they come (dav §6.6): those on phones, and Thunderbird.
//! They know neither what `#default` stands for nor whose a shared calendar is.

use http::header::USER_AGENT;

use super::Server;
use super::call::Call;
use super::plan::Plan;
use super::rights::{Sight, Standing};
use crate::dav::announce::{DEFAULT_NAME, shown_name};
use crate::dav::error::DavError;
use crate::dav::xml::{DAV, Name};
use crate::store::CollectionKind;
use crate::store::home::{COLLECTED, CONTACTS};

/// What the names of these programs begin with, in lower case: DAVx5 has had two.
const PROGRAMS: [&str; 3] = ["davdroid", "davx", "thunderbird"];
const RESOURCE_TYPE: Name = Name::new(DAV, "resourcetype");

impl Call {
    /// Whether an answer that is planned so goes to such a program, which is looking for what there is.
    pub(super) fn is_for_mobile(&self, plan: &Plan) -> bool {
        let agent = self.headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let agent = agent.to_ascii_lowercase();
        PROGRAMS.iter().any(|program| agent.contains(program)) && plan.asks_for(&RESOURCE_TYPE)
    }
}

impl Server {
    /// Shows a collection of a home under a name that says enough by itself.
    pub(super) async fn name_for_mobile(&self, sight: &mut Sight) -> Result<(), DavError> {
        let is_own = sight.standing == Standing::Owner && sight.instance().is_none();
        let name = match sight.kind {
            CollectionKind::Calendar => name_of_calendar(sight, is_own),
            CollectionKind::AddressBook => name_of_book(sight, is_own),
            CollectionKind::Inbox | CollectionKind::Outbox => return Ok(()),
        };
        if is_own || sight.standing == Standing::Member {
            sight.rename(name);
            return Ok(());
        }
        let owner = self.0.tenants.holder(sight.source().home).await?;
        sight.rename(match owner {
            Some(owner) => format!("{name} - {}", owner.display_name()),
            None => name,
        });
        Ok(())
    }
}

fn name_of_calendar(sight: &Sight, is_own: bool) -> String {
    match shown_name(sight.shown()) {
        DEFAULT_NAME if is_own => "My agenda".to_owned(),
        DEFAULT_NAME => "Agenda".to_owned(),
        name => name.to_owned(),
    }
}

fn name_of_book(sight: &Sight, is_own: bool) -> String {
    let uri = sight.source().uri.as_str();
    let given = sight.props.displayname.as_deref().filter(|name| !name.trim().is_empty());
    // The second is what a web client calls it when it shares it.
    let is = |segment: &str, words: &str| match given {
        None => uri == segment,
        Some(name) => !is_own && name.eq_ignore_ascii_case(words),
    };
    if is(CONTACTS, "My contacts") {
        return if is_own { "My Contacts" } else { "Contacts" }.to_owned();
    }
    if is(COLLECTED, "Collected contacts") {
        return if is_own { "My Collected Contacts" } else { "Collected Contacts" }.to_owned();
    }
    given.unwrap_or(uri).to_owned()
}
