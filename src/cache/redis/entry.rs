//! A token as the fields of a hash (storage §6.1).

use std::collections::HashMap;

use chrono::DateTime;

use crate::cache::CachedToken;

/// Between audiences.
const SEPARATOR: char = ';';

/// The fields of a token's hash. `None` for a token that the fields cannot tell: one without an audience, which would be
/// read as nothing, or with an audience that would be read as two.
pub(super) fn fields(token: &CachedToken) -> Option<[(&'static str, String); 4]> {
    if token.audience.iter().any(|a| a.trim().is_empty() || a.contains(SEPARATOR)) || token.audience.is_empty() {
        return None;
    }
    Some([
        ("email", token.user.to_string()),
        ("exp", token.expires.timestamp().to_string()),
        ("aud", token.audience.join(&SEPARATOR.to_string())),
        ("sid", token.sid.clone().unwrap_or_default()),
    ])
}

/// The token that the fields tell of, whoever wrote them. `None` when there are none; an error says which one is wrong.
pub(super) fn token(fields: &HashMap<String, String>) -> Result<Option<CachedToken>, &'static str> {
    if fields.is_empty() {
        return Ok(None);
    }
    let field = |name: &str| fields.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let user = field("email").and_then(|email| email.parse().ok()).ok_or("email")?;
    let expires = field("exp").and_then(|exp| exp.parse().ok()).ok_or("exp")?;
    let expires = DateTime::from_timestamp(expires, 0).ok_or("exp")?;
    let audience: Vec<String> =
        field("aud").ok_or("aud")?.split(SEPARATOR).filter(|a| !a.is_empty()).map(str::to_owned).collect();
    if audience.is_empty() {
        return Err("aud");
    }
    Ok(Some(CachedToken { user, sid: field("sid").map(str::to_owned), expires, audience }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[(&str, &str)]) -> HashMap<String, String> {
        text.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn alice() -> CachedToken {
        CachedToken {
            user: "alice@example.org".parse().unwrap(),
            sid: Some("S-77".to_owned()),
            expires: DateTime::from_timestamp(1_764_000_000, 0).unwrap(),
            audience: vec!["calendar".to_owned(), "mail".to_owned()],
        }
    }

    const ALICE: [(&str, &str); 4] =
        [("email", "alice@example.org"), ("exp", "1764000000"), ("aud", "calendar;mail"), ("sid", "S-77")];

    #[test]
    fn a_token_is_written_as_the_reference_does_and_read_back() {
        assert_eq!(fields(&alice()).unwrap(), ALICE.map(|(k, v)| (k, v.to_owned())));
        assert_eq!(token(&written(&ALICE)), Ok(Some(alice())));
        let without_session = CachedToken { sid: None, ..alice() };
        let text = fields(&without_session).unwrap();
        assert_eq!(text[3], ("sid", String::new()));
        assert_eq!(token(&text.map(|(k, v)| (k.to_owned(), v)).into()), Ok(Some(without_session)));
    }

    #[test]
    fn what_cannot_be_read_is_a_miss() {
        assert_eq!(token(&HashMap::new()), Ok(None));
        for (i, bad) in [(0, ""), (0, " "), (0, "nobody"), (1, ""), (1, "soon"), (2, ""), (2, ";")] {
            let mut fields = ALICE;
            fields[i].1 = bad;
            assert_eq!(token(&written(&fields)), Err(ALICE[i].0), "{bad:?}");
            assert_eq!(token(&written(&[&ALICE[..i], &ALICE[i + 1..]].concat())), Err(ALICE[i].0));
        }
        assert_eq!(token(&written(&ALICE[..3])), Ok(Some(CachedToken { sid: None, ..alice() })));
    }

    #[test]
    fn an_audience_that_would_be_read_as_another_is_not_written() {
        for audience in [vec![], vec![""], vec!["other;calendar"], vec!["calendar", " "]] {
            let audience = audience.into_iter().map(str::to_owned).collect();
            assert_eq!(fields(&CachedToken { audience, ..alice() }), None);
        }
    }
}
