//! The chain of strategies (auth §3): asked in order, the first that applies decides.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::{AuthError, Basic, Challenges, Identity, OidcBearer, PasswordGate, Surface};
use crate::cache::SharedTokenCache;
use crate::clock::Env;
use crate::config;
use crate::ids::Email;
use crate::net::Client;

/// Octets of an `Authorization` header that is looked at.
pub const MAX_AUTHORIZATION_BYTES: usize = 8 << 10;

/// What a request shows to prove who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    authorization: Option<(&'a str, &'a str)>,
    head: &'a Parts,
}

impl<'a> Credentials<'a> {
    /// Reads the head of a request. Each strategy looks for its own kind in it.
    ///
    /// # Errors
    /// [`AuthError::Malformed`] for several `Authorization` headers or one that is too long.
    pub fn of(head: &'a Parts) -> Result<Self, AuthError> {
        let mut values = head.headers.get_all(AUTHORIZATION).iter();
        let (first, second) = (values.next(), values.next());
        if second.is_some() {
            return Err(AuthError::Malformed("more than one Authorization header"));
        }
        if first.is_some_and(|v| v.len() > MAX_AUTHORIZATION_BYTES) {
            return Err(AuthError::Malformed("the Authorization header is too long"));
        }
        let authorization = first.and_then(|v| v.to_str().ok()).and_then(|v| v.split_once(' '));
        Ok(Self { authorization, head })
    }

    /// What follows the scheme in `Authorization`, where it is this scheme (in any case, RFC 9110 §11.1).
    pub fn with_scheme(&self, scheme: &str) -> Option<&'a str> {
        self.authorization.filter(|(found, _)| found.eq_ignore_ascii_case(scheme)).map(|(_, value)| value.trim())
    }

    /// The head of the request, for strategies that look at cookies or at the query.
    pub fn head(&self) -> &'a Parts {
        self.head
    }
}

/// One way to recognise people.
#[async_trait]
pub trait Strategy: Send + Sync + 'static {
    /// The authentication scheme, as in `WWW-Authenticate`.
    fn scheme(&self) -> &'static str;

    /// Who sent these credentials; `None` when they are of another kind. An error ends the chain: credentials that are
    /// wrong are never tried as something else.
    async fn identify(&self, credentials: &Credentials<'_>) -> Result<Option<Identity>, AuthError>;
}

/// Recognises the sender of a request. Clones share everything.
#[derive(Clone)]
pub struct Authenticator {
    chain: Arc<[Arc<dyn Strategy>]>,
}

impl Authenticator {
    /// An authenticator that asks these strategies in this order.
    pub fn new(chain: Vec<Arc<dyn Strategy>>) -> Self {
        Self { chain: chain.into() }
    }

    /// The strategies that the configuration asks for, in the order of auth §3.
    pub fn from_config(
        config: &config::Auth,
        passwords: Arc<PasswordGate>,
        admission: Arc<dyn super::Admission>,
        cache: SharedTokenCache,
        client: Client,
        env: Env,
    ) -> Self {
        let mut chain: Vec<Arc<dyn Strategy>> = Vec::new();
        if config.basic {
            chain.push(Arc::new(Basic::new(passwords)));
        }
        if !config.oidc.is_empty() {
            chain.push(Arc::new(OidcBearer::new(&config.oidc, admission, cache, client, env)));
        }
        Self::new(chain)
    }

    /// How clients of a surface are asked to log in.
    pub fn challenges(&self, surface: Surface) -> Challenges {
        Challenges { surface, basic: self.chain.iter().any(|s| s.scheme() == Basic::SCHEME) }
    }

    /// Who sent a request with this head.
    ///
    /// # Errors
    /// [`AuthError::Missing`] when no strategy applies, else what the first one that does says.
    pub async fn authenticate(&self, head: &Parts) -> Result<Identity, AuthError> {
        let started = Instant::now();
        let outcome = self.ask_chain(head).await;
        let label = match &outcome {
            Ok(identity) => identity.via.name(),
            Err(e) => e.name(),
        };
        metrics::histogram!("JMAP_authentication_filter", "outcome" => label).record(started.elapsed());
        if let Err(error) = &outcome {
            error.log();
        }
        outcome
    }

    async fn ask_chain(&self, head: &Parts) -> Result<Identity, AuthError> {
        let credentials = Credentials::of(head)?;
        for strategy in self.chain.iter() {
            if let Some(identity) = strategy.identify(&credentials).await? {
                return Ok(identity);
            }
        }
        Err(AuthError::Missing)
    }
}

/// A user name from outside: an address with a domain, without the colon that would end it in a Basic header (auth
/// §14.8).
pub(super) fn user_name(text: &str) -> Option<Email> {
    text.parse::<Email>().ok().filter(|email| !email.as_str().contains(':'))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::auth::Via;

    struct Always(&'static str, Result<Option<&'static str>, AuthError>);

    #[async_trait]
    impl Strategy for Always {
        fn scheme(&self) -> &'static str {
            self.0
        }

        async fn identify(&self, credentials: &Credentials<'_>) -> Result<Option<Identity>, AuthError> {
            if credentials.with_scheme(self.0).is_none() {
                return Ok(None);
            }
            let email = self.1.clone()?;
            Ok(email.map(|email| Identity { email: email.parse().unwrap(), via: Via::Bearer, sid: None }))
        }
    }

    fn head(authorization: &[&str]) -> Parts {
        let mut request = Request::builder();
        for value in authorization {
            request = request.header(AUTHORIZATION, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn chain() -> Authenticator {
        Authenticator::new(vec![
            Arc::new(Always("Basic", Err(AuthError::WrongPassword))),
            Arc::new(Always("Bearer", Ok(Some("alice@example.org")))),
        ])
    }

    #[tokio::test]
    async fn the_first_strategy_that_applies_decides() {
        let alice = chain().authenticate(&head(&["bearer x"])).await.unwrap();
        assert_eq!(alice.email.as_str(), "alice@example.org");
        assert_eq!(chain().authenticate(&head(&["Basic x"])).await, Err(AuthError::WrongPassword));
    }

    #[tokio::test]
    async fn nothing_that_applies_is_a_request_without_credentials() {
        for absent in [&[][..], &["Digest x"], &["Bearer"], &[""]] {
            assert_eq!(chain().authenticate(&head(absent)).await, Err(AuthError::Missing), "{absent:?}");
        }
    }

    #[tokio::test]
    async fn two_authorization_headers_are_not_a_choice() {
        let answer = chain().authenticate(&head(&["Bearer x", "Basic x"])).await;
        assert_eq!(answer, Err(AuthError::Malformed("more than one Authorization header")));
    }

    #[tokio::test]
    async fn an_oversize_header_is_not_looked_at() {
        let long = format!("Bearer {}", "x".repeat(MAX_AUTHORIZATION_BYTES));
        let answer = chain().authenticate(&head(&[&long])).await;
        assert_eq!(answer, Err(AuthError::Malformed("the Authorization header is too long")));
    }

    #[test]
    fn user_names_cannot_reach_into_a_basic_header() {
        assert_eq!(user_name("Alice@Example.ORG").unwrap().as_str(), "alice@example.org");
        for bad in ["alice", "a:b@example.org", "a\nb@example.org", "", "a@b@example.org"] {
            assert!(user_name(bad).is_none(), "{bad:?}");
        }
    }
}
