//! Who is asking: the credentials of a request become an [`Identity`], or an [`AuthError`] that each surface answers in its
//! own way.
//!
//! In come the head of a request and, by ports, what only others know: whether a password is right
//! ([`PasswordVerifier`]), whether a person that an OpenID provider vouches for may have an account ([`Admission`]). Out
//! goes an address, nothing else: no roles, no scopes, no session. This room never decides what somebody may see, never
//! trusts a claim it did not verify, and never writes a credential into a log.
//!
//! [`RequireUser`] is the layer that surfaces put before their handlers; handlers take the [`Session`] it leaves, which
//! answers 401 by itself where the layer was forgotten. On the DAV paths it may know [`Programs`], too, which act on behalf
//! of somebody.

mod authenticator;
mod basic;
mod error;
mod gate;
mod identity;
mod layer;
pub mod oidc;
mod programs;
mod single_flight;

pub use authenticator::{Authenticator, Credentials, MAX_AUTHORIZATION_BYTES, Strategy};
pub use basic::Basic;
pub use error::{AuthError, Challenges, Surface};
pub use gate::{PasswordGate, PasswordVerifier, VerifierError};
pub use identity::{Identity, Session, Via};
pub use layer::{Authenticated, RequireUser};
pub use oidc::{Admission, AdmissionError, Newcomer, OidcBearer};
pub use programs::{Program, Programs};
