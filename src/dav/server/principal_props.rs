//! The live properties of principals (RFC 3744 §4, RFC 4791 §6.2.1, RFC 6352 §7.1.1, RFC 6638 §2.4, dav §4, and those of
//! calendarserver's that clients ask for).

use super::members;
use super::principals::{Group, Person, Principal};
use super::properties::{Resource, Row, Scene, raw, row, text};
use super::tenant::principal_of;
use crate::dav::path::{Location, PrincipalKind, PrincipalPart, Space};
use crate::dav::xml::{CALDAV, CALENDARSERVER, CARDDAV, DAV, SABRE, Writer};
use crate::ids::{Email, HomeId};
use crate::store::home::{INBOX, OUTBOX};
use crate::store::{CollectionKind, HolderKind, User};

/// The rows, in the order in which answers list them.
pub(super) static ROWS: &[Row] = &[
    row(DAV, "principal-URL", |scene, r, w| principal(r).is_some_and(|p| scene.href(w, &p.href()))),
    row(DAV, "alternate-URI-set", |_, r, w| match principal(r) {
        Some(found @ (Principal::User(_) | Principal::Holder(..))) => addresses(emails(found), w),
        other => other.is_some(),
    }),
    row(DAV, "group-member-set", |scene, r, w| match principal(r) {
        Some(
            Principal::Domain(Group { members, .. }) | Principal::Holder(_, members) | Principal::Proxies(.., members),
        ) => members.iter().all(|user| scene.href(w, &principal_of(*user))),
        other => other.is_some(),
    }),
    row(DAV, "group-membership", |scene, r, w| match principal(r) {
        Some(Principal::User(person)) => {
            scene.href(w, &Location::Principal(PrincipalKind::Domain, person.user.domain.0).href());
            person.acts_for.groups.iter().all(|group| scene.href(w, group))
        }
        other => other.is_some(),
    }),
    row(SABRE, "email-address", |_, r, w| text(principal(r).and_then(|p| emails(p).first()).map(Email::as_str), w)),
    row(CALENDARSERVER, "email-address-set", |_, r, w| {
        home(r).is_some() && {
            let listed = principal(r).map(emails).unwrap_or_default();
            listed.iter().for_each(|email| w.element("cs:email-address", email.as_str()));
            true
        }
    }),
    row(CALENDARSERVER, "first-name", |_, r, w| text(user(r).map(|u| u.firstname.trim()).filter(|n| !n.is_empty()), w)),
    row(CALENDARSERVER, "last-name", |_, r, w| text(user(r).map(|u| u.lastname.trim()).filter(|n| !n.is_empty()), w)),
    row(CALDAV, "calendar-home-set", |scene, r, w| of_home(scene, r, w, |id| format!("/calendars/{id}/"))),
    row(CARDDAV, "addressbook-home-set", book_homes),
    row(CARDDAV, "principal-address", own_card),
    row(CALDAV, "schedule-inbox-URL", |scene, r, w| of_home(scene, r, w, |id| format!("/calendars/{id}/{INBOX}/"))),
    row(CALDAV, "schedule-outbox-URL", |scene, r, w| of_home(scene, r, w, |id| format!("/calendars/{id}/{OUTBOX}/"))),
    row(CALDAV, "calendar-user-address-set", |scene, r, w| {
        principal(r).filter(|_| home(r).is_some()).is_some_and(|p| {
            addresses(emails(p), w);
            scene.href(w, &p.href())
        })
    }),
    row(CALDAV, "schedule-default-calendar-URL", default_calendar),
    row(CALDAV, "calendar-user-type", |_, r, w| {
        text(
            principal(r).and_then(|p| match p {
                Principal::User(_) => Some("INDIVIDUAL"),
                Principal::Holder(holder, _) => Some(match &holder.kind {
                    HolderKind::Resource(resource) if resource.is_room => "ROOM",
                    HolderKind::Resource(_) => "RESOURCE",
                    HolderKind::TeamCalendar(_) => "GROUP",
                    HolderKind::User(_) => "INDIVIDUAL",
                }),
                Principal::Domain(_) => Some("GROUP"),
                Principal::Proxies(..) => None,
            }),
            w,
        )
    }),
    row(CALENDARSERVER, "calendar-proxy-read-for", |scene, r, w| {
        person(r).is_some_and(|p| p.acts_for.reading.iter().all(|principal| scene.href(w, principal)))
    }),
    row(CALENDARSERVER, "calendar-proxy-write-for", |scene, r, w| {
        person(r).is_some_and(|p| p.acts_for.writing.iter().all(|principal| scene.href(w, principal)))
    }),
    row(CALENDARSERVER, "notification-URL", |scene, r, w| {
        user(r).is_some_and(|u| scene.href(w, &Location::PrincipalPart(u.id.0, PrincipalPart::Notifications).href()))
    }),
];

fn principal<'a>(resource: &Resource<'a>) -> Option<&'a Principal> {
    match resource {
        Resource::Principal(principal) => Some(principal),
        _ => None,
    }
}

fn person<'a>(resource: &Resource<'a>) -> Option<&'a Person> {
    match principal(resource) {
        Some(Principal::User(person)) => Some(person),
        _ => None,
    }
}

fn user<'a>(resource: &Resource<'a>) -> Option<&'a User> {
    person(resource).map(|person| &person.user)
}

/// The addresses of a principal that can be invited.
pub(super) fn emails(principal: &Principal) -> &[Email] {
    match principal {
        Principal::User(person) => &person.user.emails,
        Principal::Holder(holder, _) => &holder.emails,
        Principal::Domain(_) | Principal::Proxies(..) => &[],
    }
}

/// The home of a principal that has one.
fn home(resource: &Resource<'_>) -> Option<HomeId> {
    match principal(resource)? {
        Principal::User(person) => Some(person.user.id.into()),
        Principal::Holder(holder, _) => Some(holder.home),
        Principal::Domain(_) | Principal::Proxies(..) => None,
    }
}

fn addresses(emails: &[Email], w: &mut Writer) -> bool {
    for email in emails {
        w.href(&email.to_calendar_address());
    }
    true
}

fn of_home(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer, href: fn(HomeId) -> String) -> bool {
    home(r).is_some_and(|home| scene.href(w, &href(home)))
}

/// The own home, and for a person and for the domain the one where the people of the domain are.
fn book_homes(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let is_there = of_home(scene, r, w, |id| format!("/addressbooks/{id}/"));
    let of_domain =
        scene.server.settings.members_book && matches!(principal(r), Some(Principal::User(_) | Principal::Domain(_)));
    if of_domain {
        scene.href(w, &format!("/addressbooks/{}/", scene.who.domain_home()));
    }
    is_there || of_domain
}

/// The card of the user in the address book of the domain (RFC 6352 §7.1.2).
fn own_card(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let Some(user) = user(r).filter(|_| scene.server.settings.members_book) else { return false };
    scene.href(w, &members::href_of(user))
}

fn default_calendar(scene: &Scene<'_>, r: &Resource<'_>, w: &mut Writer) -> bool {
    let (home, chosen) = match r {
        // RFC 6638 §9.2 puts it on the inbox.
        Resource::Collection(c) if c.kind == CollectionKind::Inbox => (c.home, c.props.default_calendar.as_deref()),
        _ => match person(r) {
            // What somebody calls their calendars is for nobody else to know.
            Some(person) if scene.who.acts_for(person.user.id.into()) => {
                (HomeId::from(person.user.id), person.default_calendar.as_deref())
            }
            _ => return false,
        },
    };
    let uri = chosen.map_or_else(|| home.to_string(), str::to_owned);
    scene.href(w, &Location::Collection { space: Space::Calendars, home, uri }.href())
}

/// The name a principal is shown by.
pub(super) fn display_name(principal: &Principal, w: &mut Writer) -> bool {
    match principal {
        Principal::User(person) => w.text(&person.user.display_name()),
        Principal::Holder(holder, _) => w.text(&holder.display_name()),
        Principal::Domain(group) => w.text(group.domain.name.as_str()),
        Principal::Proxies(_, part, _) => w.text(part.segment()),
    }
    true
}

/// What is within its `resourcetype`.
pub(super) fn resource_type(principal: &Principal, w: &mut Writer) -> bool {
    raw(
        w,
        match principal {
            Principal::User(_) | Principal::Holder(..) | Principal::Domain(_) => "<d:collection/><d:principal/>",
            Principal::Proxies(_, PrincipalPart::ProxyWrite, _) => {
                "<d:collection/><d:principal/><cs:calendar-proxy-write/>"
            }
            Principal::Proxies(..) => "<d:collection/><d:principal/><cs:calendar-proxy-read/>",
        },
    )
}
