//! `oidc.*` of `configuration.properties` (auth §4): one provider, asked at two addresses. convoke wants the issuer, from
//! which it finds every address itself.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use toml::{Table, Value};

use super::draft::{PROVIDERS, has_placeholder};
use super::source::{Given, Source};
use super::values::Unit;

pub fn read(source: &mut Source<'_>) {
    let userinfo = source.url("oidc.userInfo.url");
    let introspection = source.url("oidc.introspect.url");
    let mut provider = Table::new();
    let issuer = [&userinfo, &introspection].into_iter().find_map(|given| match given {
        Given::Known(url) => Some(issuer_of(url)),
        Given::Later(text) => Some(text.clone()),
        Given::Absent | Given::Wrong => None,
    });
    let known = issuer.is_some();
    if let Some(issuer) = issuer {
        provider.insert("issuer".to_owned(), Value::from(issuer));
    }
    let audience = source.list("oidc.audience");
    let audience = if audience.is_empty() { vec!["tcalendar".to_owned()] } else { audience };
    provider.insert("audience".to_owned(), Value::from(audience));
    credentials(source, &introspection, &mut provider);
    match source.text("oidc.claim") {
        Given::Known(claim) | Given::Later(claim) if claim != "email" => {
            provider.insert("claim".to_owned(), Value::from(claim));
        }
        _ => {}
    }
    if known {
        carry(source, &userinfo, provider);
    } else {
        source.remark(
            "oidc.userInfo.url",
            "not there: nobody can sign in with a token until an [[auth.oidc]] names the issuer of your provider",
        );
        for key in ["oidc.audience", "oidc.claim"] {
            source.remark_if_there(key, "not carried: there is no provider that it belongs to");
        }
    }
    let lifetime = source.duration("oidc.token.cache.expiration", Unit::Ms, false);
    source.carry_duration("oidc.token.cache.expiration", "auth.token_cache_s", lifetime);
    let size = source.integer("oidc.token.cache.maxSize", 1);
    source.carry_given(
        "oidc.token.cache.maxSize",
        "auth.token_cache_size",
        match size {
            Given::Known(size) => Given::Known(Value::Integer(size)),
            Given::Later(text) => Given::Later(text),
            _ => Given::Absent,
        },
    );
}

fn carry(source: &mut Source<'_>, userinfo: &Given<String>, provider: Table) {
    let issuer = provider.get("issuer").and_then(Value::as_str).unwrap_or_default().to_owned();
    let key = if userinfo.is_there() { "oidc.userInfo.url" } else { "oidc.introspect.url" };
    for other in ["oidc.introspect.url", "oidc.audience", "oidc.claim"] {
        if other != key {
            source.part_of(other, PROVIDERS);
        }
    }
    source.carry(key, PROVIDERS, Value::Array(vec![Value::Table(provider)]));
    let guess = if has_placeholder(&issuer) {
        "put the issuer there, not the address for user information".to_owned()
    } else {
        format!(
            "the issuer {issuer} was guessed from the address: compare it with \"issuer\" of the provider's \
             /.well-known/openid-configuration; `convoke doctor` does"
        )
    };
    source.remark(key, guess);
}

/// `Basic …` holds a client and its secret.
fn credentials(source: &mut Source<'_>, introspection: &Given<String>, provider: &mut Table) {
    const KEY: &str = "oidc.introspect.credentials";
    let given = source.text(KEY);
    if given.is_there() && !introspection.is_there() {
        source.remark(KEY, "not needed: without oidc.introspect.url Twake Calendar does not use it");
        return;
    }
    match given {
        Given::Known(header) => match client_of(&header) {
            Some((id, secret)) => {
                provider.insert("client_id".to_owned(), Value::from(id));
                provider.insert("client_secret".to_owned(), Value::from(secret));
                source.remark(KEY, "carried to client_id and client_secret in auth.oidc");
            }
            None => source.remark(
                KEY,
                "no equivalent: convoke introspects as a client with a secret; set client_id and client_secret in auth.oidc",
            ),
        },
        Given::Later(text) => source.remark(
            KEY,
            format!("comes from the environment, {text}: put the client and its secret, without \"Basic\" and base64, into \
                     client_id and client_secret of auth.oidc"),
        ),
        Given::Absent | Given::Wrong => {}
    }
}

fn client_of(header: &str) -> Option<(String, String)> {
    let (scheme, pair) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64_STANDARD.decode(pair.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':').filter(|(id, secret)| !id.is_empty() && !secret.is_empty())?;
    Some((id.to_owned(), secret.to_owned()))
}

/// The issuer that usually belongs to an address: Keycloak has its realms below `/realms/`, LemonLDAP::NG and most others
/// are the root.
fn issuer_of(address: &str) -> String {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let path_at = address.find("://").and_then(|at| address[at + 3..].find('/').map(|slash| at + 3 + slash));
    let (origin, path) = path_at.map_or((address, ""), |at| address.split_at(at));
    match path.find("/protocol/openid-connect/") {
        Some(end) => format!("{origin}{}", &path[..end]),
        None => {
            // What stands before "/oauth2/userinfo" and the like is part of the issuer.
            let ends = ["/oauth2/", "/oidc/", "/userinfo", "/introspect", "/me", "/token/introspection"];
            let end = ends.iter().filter_map(|e| path.find(e)).min().unwrap_or(0);
            format!("{origin}{}", &path[..end])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_is_guessed_from_what_providers_usually_do() {
        for (address, issuer) in [
            ("https://sso.example.org/oauth2/userinfo", "https://sso.example.org"),
            ("https://sso.example.org/userinfo", "https://sso.example.org"),
            ("https://sso.example.org/portal/oauth2/introspect", "https://sso.example.org/portal"),
            ("https://id.example.org/realms/a/protocol/openid-connect/userinfo", "https://id.example.org/realms/a"),
            (
                "https://id.example.org/auth/realms/a/protocol/openid-connect/token/introspect",
                "https://id.example.org/auth/realms/a",
            ),
            ("http://127.0.0.1:9000/me", "http://127.0.0.1:9000"),
            ("https://sso.example.org", "https://sso.example.org"),
        ] {
            assert_eq!(issuer_of(address), issuer, "{address}");
        }
    }

    #[test]
    fn credentials_hold_a_client_and_its_secret() {
        let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
        assert_eq!(client_of(&basic("convoke:a:b")), Some(("convoke".to_owned(), "a:b".to_owned())));
        assert_eq!(client_of(&basic("convoke")), None);
        assert_eq!(client_of("Bearer x"), None);
        assert_eq!(client_of("Basic ?"), None);
    }
}
