//! Who may come in: `[auth]` and `[auth.oidc]`.

use serde::{Deserialize, Serialize};

use crate::ids::DomainName;

/// Who may come in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Accept Basic credentials of accounts that convoke keeps itself.
    pub basic: bool,
    /// Failed Basic attempts per account and minute before answers are delayed.
    pub basic_failures_per_minute: u32,
    /// Take a password that was right without checking it again for this long, in seconds; 0 checks every time. A
    /// password that is changed by another process ends within this time.
    pub basic_cache_s: u64,
    /// Passwords checked at once; each check takes a processor and some 20 MiB for some 20 ms.
    pub password_checks: usize,
    /// OpenID providers.
    pub oidc: Vec<Oidc>,
    /// Programs that act on behalf of others on the DAV paths.
    pub programs: Programs,
    /// Remember a token for this long, in seconds.
    pub token_cache_s: u64,
    /// Tokens to remember.
    pub token_cache_size: u64,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            basic: true,
            basic_failures_per_minute: 10,
            basic_cache_s: 60,
            password_checks: 2,
            oidc: Vec::new(),
            programs: Programs::default(),
            token_cache_s: 300,
            token_cache_size: 10_000,
        }
    }
}

/// Programs that act on behalf of others on the DAV paths (dav §2). None by default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Programs {
    /// Name of who may act as anybody: Basic with the user name `NAME&mail` (`SABRE_ADMIN_LOGIN`).
    pub user: String,
    /// The password for it (`SABRE_ADMIN_PASSWORD`); without one nobody acts as somebody else.
    pub password: Option<String>,
    /// Where the technical tokens of `TwakeCalendarToken` are known: `…/api/technicalToken/introspect` of the side service;
    /// empty for none.
    pub introspection_url: String,
    /// Time to remember what is known of a technical token, in seconds; 0 asks every time.
    pub token_cache_s: u64,
}

impl Default for Programs {
    fn default() -> Self {
        Self { user: "admin".to_owned(), password: None, introspection_url: String::new(), token_cache_s: 30 }
    }
}

/// One OpenID provider (auth §4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Issuer, exactly as the provider writes it; discovery starts there. Required; checked with everything else.
    #[serde(default)]
    pub issuer: String,
    /// Audiences of which a token must name one. Required.
    #[serde(default)]
    pub audience: Vec<String>,
    /// Client for introspection.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Its secret.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// Claim that holds the user name.
    #[serde(default = "Oidc::default_claim")]
    pub claim: String,
    /// Domains whose users this provider vouches for; empty for any.
    #[serde(default)]
    pub domains: Vec<DomainName>,
    /// Refuse users whose address the provider did not verify: `email_verified` is there and anything but true.
    #[serde(default)]
    pub require_verified_email: bool,
    /// Where introspection names no audience, take the client that the token was issued to for one.
    #[serde(default)]
    pub audience_from_client_id: bool,
    /// Clock skew to tolerate, in seconds.
    #[serde(default = "Oidc::default_skew")]
    pub clock_skew_s: u64,
    /// Fetch the provider's metadata and keys again after this long, in seconds.
    #[serde(default = "Oidc::default_keys_max_age")]
    pub keys_max_age_s: u64,
    /// Fetch them at most this often when a token names a key that is not known, or after a failure, in seconds.
    #[serde(default = "Oidc::default_keys_min_age")]
    pub keys_min_age_s: u64,
}

impl Oidc {
    fn default_claim() -> String {
        "email".to_owned()
    }

    fn default_skew() -> u64 {
        30
    }

    fn default_keys_max_age() -> u64 {
        3_600
    }

    fn default_keys_min_age() -> u64 {
        10
    }

    /// A provider of which only the issuer and the audiences are known; everything else as in a file that leaves it out.
    pub fn new(issuer: impl Into<String>, audience: Vec<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience,
            client_id: None,
            client_secret: None,
            claim: Self::default_claim(),
            domains: Vec::new(),
            require_verified_email: false,
            audience_from_client_id: false,
            clock_skew_s: Self::default_skew(),
            keys_max_age_s: Self::default_keys_max_age(),
            keys_min_age_s: Self::default_keys_min_age(),
        }
    }
}
