//! The keys that tokens are signed with: RS256, kept in the data folder, rotated.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use rsa::rand_core::{CryptoRng, Error as RngError, RngCore};
use rsa::traits::PublicKeyParts as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::ProviderError;
use super::clients::PUBLIC_CLIENT;
use crate::clock::Env;

const BITS: usize = 2048;
/// Keys that stay known: the one that signs and those before it, for tokens that are still good.
const KEPT: usize = 3;

/// The keys, oldest first; the last one signs.
pub(super) struct KeyRing {
    dir: PathBuf,
    env: Env,
    keys: RwLock<Vec<Arc<Key>>>,
}

struct Key {
    /// Counts up; the highest signs.
    number: u32,
    kid: String,
    signer: EncodingKey,
    /// Public half as a JWK.
    jwk: Value,
}

impl KeyRing {
    /// Reads the keys of a folder, and makes the first one where there is none.
    pub(super) fn open(dir: &Path, env: Env) -> Result<Self, ProviderError> {
        let wrap = |source| ProviderError::File { path: dir.to_owned(), source };
        let mut keys = Vec::new();
        for entry in fs::read_dir(dir).map_err(wrap)? {
            keys.extend(Key::read(&entry.map_err(wrap)?.path())?.map(Arc::new));
        }
        keys.sort_by_key(|key| key.number);
        let ring = Self { dir: dir.to_owned(), env, keys: RwLock::new(keys) };
        if ring.read().is_empty() {
            ring.rotate()?;
        }
        Ok(ring)
    }

    /// Makes a new key to sign with. The keys before it stay known for a while. Takes a good part of a second.
    pub(super) fn rotate(&self) -> Result<(), ProviderError> {
        let number = self.read().last().map_or(1, |key| key.number + 1);
        let key = Key::generate(&self.dir, number, &self.env)?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.push(Arc::new(key));
        while keys.len() > KEPT {
            let old = keys.remove(0);
            let path = old.path(&self.dir);
            fs::remove_file(&path).map_err(|source| ProviderError::File { path, source })?;
        }
        Ok(())
    }

    /// Signs claims; `typ` goes into the header.
    pub(super) fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, ProviderError> {
        let key = self.read().last().cloned().ok_or(ProviderError::Key("there is no key".to_owned()))?;
        let mut header = Header::new(Algorithm::RS256);
        header.typ = Some(typ.to_owned());
        header.kid = Some(key.kid.clone());
        jsonwebtoken::encode(&header, claims, &key.signer).map_err(|e| ProviderError::Key(e.to_string()))
    }

    /// The session that an ID token of ours is about, whether it expired or not; `None` for any other token.
    pub(super) fn session_of(&self, id_token: &str, issuer: &str) -> Option<String> {
        let kid = jsonwebtoken::decode_header(id_token).ok()?.kid?;
        let key = self.read().iter().find(|key| key.kid == kid).cloned()?;
        let component = |name: &str| key.jwk[name].as_str().unwrap_or_default();
        let public = DecodingKey::from_rsa_components(component("n"), component("e")).ok()?;
        let mut checks = Validation::new(Algorithm::RS256);
        checks.validate_exp = false;
        checks.set_issuer(&[issuer]);
        checks.set_audience(&[PUBLIC_CLIENT]);
        let claims = jsonwebtoken::decode::<Value>(id_token, &public, &checks).ok()?.claims;
        Some(claims["sid"].as_str()?.to_owned())
    }

    /// The public keys as a JWK set (RFC 7517 §5).
    pub(super) fn jwks(&self) -> Value {
        let keys = self.read();
        json!({ "keys": keys.iter().rev().map(|key| &key.jwk).collect::<Vec<_>>() })
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<Key>>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    /// Reads `key-{number}.{kid}.pem`; `None` for other files.
    fn read(path: &Path) -> Result<Option<Self>, ProviderError> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(name) = name.strip_prefix("key-").and_then(|name| name.strip_suffix(".pem")) else { return Ok(None) };
        let Some((number, kid)) = name.split_once('.') else { return Ok(None) };
        let broken = |why: &dyn std::fmt::Display| ProviderError::Key(format!("{}: {why}", path.display()));
        let number = number.parse().map_err(|e| broken(&e))?;
        let pem = fs::read_to_string(path).map_err(|source| ProviderError::File { path: path.to_owned(), source })?;
        Self::from_pem(number, kid, &pem).map(Some).map_err(|e| broken(&e))
    }

    fn generate(dir: &Path, number: u32, env: &Env) -> Result<Self, ProviderError> {
        let broken = |why: &dyn std::fmt::Display| ProviderError::Key(why.to_string());
        let secret = RsaPrivateKey::new(&mut Rng(env), BITS).map_err(|e| broken(&e))?;
        let pem = secret.to_pkcs8_pem(LineEnding::LF).map_err(|e| broken(&e))?;
        let key = Self::from_pem(number, &env.token(96), &pem).map_err(|e| broken(&e))?;
        write_secret(&key.path(dir), &pem)?;
        Ok(key)
    }

    fn from_pem(number: u32, kid: &str, pem: &str) -> Result<Self, rsa::pkcs8::Error> {
        let public = RsaPrivateKey::from_pkcs8_pem(pem)?.to_public_key();
        let signer = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| rsa::pkcs8::Error::KeyMalformed)?;
        let jwk = json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
            "n": BASE64_URL_SAFE_NO_PAD.encode(public.n().to_bytes_be()),
            "e": BASE64_URL_SAFE_NO_PAD.encode(public.e().to_bytes_be()),
        });
        Ok(Self { number, kid: kid.to_owned(), signer, jwk })
    }

    fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("key-{}.{}.pem", self.number, self.kid))
    }
}

/// The program's generator as the `rsa` crate wants it.
struct Rng<'a>(&'a Env);

impl RngCore for Rng<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), RngError> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Rng<'_> {}

/// Makes the folder for secrets, for its owner only.
pub(super) fn make_secret_dir(dir: &Path) -> Result<(), ProviderError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| ProviderError::File { path: dir.to_owned(), source })
}

/// Writes a file for its owner only, whole or not at all.
pub(super) fn write_secret(path: &Path, text: &str) -> Result<(), ProviderError> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| ProviderError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn kids(ring: &KeyRing) -> Vec<String> {
        let jwks = ring.jwks();
        jwks["keys"].as_array().unwrap().iter().map(|k| k["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn keys_are_made_once_kept_for_the_owner_and_rotated_with_the_old_ones_known() {
        let dir = tempfile::tempdir().unwrap();
        let ring = KeyRing::open(dir.path(), Env::system()).unwrap();
        let first = kids(&ring);
        assert_eq!(first.len(), 1);
        for entry in fs::read_dir(dir.path()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }

        let ring = KeyRing::open(dir.path(), Env::system()).unwrap();
        assert_eq!(kids(&ring), first, "a second start keeps the key");
        ring.rotate().unwrap();
        let second = kids(&ring);
        assert_eq!(second.len(), 2);
        assert_eq!(second[1], first[0], "the old key is still known");

        let token = ring.sign("at+jwt", &json!({})).unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!((header.kid.as_deref(), header.typ.as_deref()), (Some(second[0].as_str()), Some("at+jwt")));

        for _ in 0..2 {
            ring.rotate().unwrap();
        }
        assert_eq!(kids(&ring).len(), KEPT);
        let reopened = KeyRing::open(dir.path(), Env::system()).unwrap();
        assert_eq!(kids(&reopened), kids(&ring), "the newest signs after a restart too");
    }

    #[test]
    fn a_broken_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("key-1.abc.pem"), "nonsense").unwrap();
        let error = KeyRing::open(dir.path(), Env::system()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("key-1.abc.pem"), "{error}");
    }
}
