//! What a browser does to sign in: authorization code with PKCE (RFC 6749, RFC 7636) through the provider's own pages.

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::clock::Env;
use crate::net::Client;

use super::Person;

/// The demo provider's public client.
const CLIENT_ID: &str = "convoke-demo";
/// Where the provider sends the browser back to; nothing listens there, the code is read off the redirect.
const REDIRECT_URI: &str = "http://127.0.0.1:9/callback";

/// What the provider gave.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Bearer token.
    pub access_token: String,
    /// Seconds until it ends.
    pub expires_in: u64,
}

/// Signs a person in as a browser does.
///
/// # Errors
/// When a step is answered otherwise than a provider answers it.
pub async fn sign_in(http: &Client, issuer: &str, person: Person, env: &Env) -> anyhow::Result<SignedIn> {
    let discovery = get_json(http, &format!("{issuer}/.well-known/openid-configuration")).await?;
    let endpoint = |name: &str| {
        discovery[name].as_str().map(str::to_owned).with_context(|| format!("the provider names no {name}"))
    };
    let (verifier, state) = (env.token(256), env.token(128));
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let query = form(&[
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", REDIRECT_URI),
        ("scope", "openid email profile"),
        ("state", &state),
        ("nonce", &env.token(128)),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    let mut url = format!("{}?{query}", endpoint("authorization_endpoint")?);
    let mut cookies = Vec::new();
    let mut request = get(&url)?;
    // Pages and redirects, until one leads back to us.
    for _ in 0..10 {
        let response = http.fetch(request).await?;
        cookies.extend(
            response
                .headers()
                .get_all(header::SET_COOKIE)
                .iter()
                .filter_map(|c| c.to_str().ok()?.split(';').next().map(str::to_owned)),
        );
        if let Some(location) = location(&response) {
            url = resolve(&url, &location)?;
            if let Some(answer) = url.strip_prefix(REDIRECT_URI) {
                let code = code_of(answer, &state)?;
                return redeem(http, &endpoint("token_endpoint")?, &code, &verifier).await;
            }
            request = with_cookies(Request::get(&url), &cookies).body(Bytes::new())?;
        } else {
            ensure!(response.status() == StatusCode::OK, "{url} answered {}", response.status());
            let page = String::from_utf8_lossy(response.body()).into_owned();
            let login = LoginForm::read(&page).with_context(|| format!("{url} shows no login form"))?;
            if let Some(action) = &login.action {
                url = resolve(&url, action)?;
            }
            request = with_cookies(Request::post(&url), &cookies)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::ORIGIN, origin_of(&url)?)
                .body(Bytes::from(login.filled_in(person)))?;
        }
    }
    bail!("the provider never sent the browser back")
}

async fn redeem(http: &Client, endpoint: &str, code: &str, verifier: &str) -> anyhow::Result<SignedIn> {
    let body = form(&[
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT_URI),
        ("client_id", CLIENT_ID),
        ("code_verifier", verifier),
    ]);
    let request = Request::post(endpoint)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(body))?;
    let response = http.fetch(request).await?;
    ensure!(response.status() == StatusCode::OK, "the token endpoint answered {}", response.status());
    let answer: Value = serde_json::from_slice(response.body())?;
    Ok(SignedIn {
        access_token: answer["access_token"].as_str().context("no access_token")?.to_owned(),
        expires_in: answer["expires_in"].as_u64().unwrap_or_default(),
    })
}

/// A form as the provider's page has it.
struct LoginForm {
    action: Option<String>,
    fields: Vec<(String, String, String)>,
}

impl LoginForm {
    /// Reads the first form with a password field.
    fn read(page: &str) -> Option<Self> {
        let form = page.split("<form").skip(1).find(|f| f.contains("type=\"password\""))?;
        let form = form.split("</form").next()?;
        let (tag, inner) = form.split_once('>')?;
        let fields = inner
            .split("<input")
            .skip(1)
            .filter_map(|input| {
                let tag = input.split('>').next()?;
                let kind = attribute(tag, "type").unwrap_or_else(|| "text".to_owned());
                Some((attribute(tag, "name")?, kind, attribute(tag, "value").unwrap_or_default()))
            })
            .collect();
        Some(Self { action: attribute(tag, "action"), fields })
    }

    fn filled_in(&self, person: Person) -> String {
        let pairs: Vec<(&str, &str)> = self
            .fields
            .iter()
            .map(|(name, kind, value)| match kind.as_str() {
                "password" => (name.as_str(), person.password),
                "text" | "email" => (name.as_str(), person.mail),
                _ => (name.as_str(), value.as_str()),
            })
            .collect();
        form(&pairs)
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let value = tag[start..].split('"').next()?;
    Some(
        value
            .replace("&quot;", "\"")
            .replace("&#x27;", "'")
            .replace("&#x2f;", "/")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
}

fn code_of(answer: &str, state: &str) -> anyhow::Result<String> {
    let pairs: Vec<(String, String)> = serde_urlencoded_pairs(answer.trim_start_matches('?'));
    let value = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    if let Some(error) = value("error") {
        bail!("the provider refused: {error} {}", value("error_description").unwrap_or_default());
    }
    ensure!(value("state").as_deref() == Some(state), "the provider changed the state");
    value("code").context("the provider gave no code")
}

fn serde_urlencoded_pairs(query: &str) -> Vec<(String, String)> {
    let decode = |s: &str| percent_encoding::percent_decode_str(&s.replace('+', " ")).decode_utf8_lossy().into_owned();
    query.split('&').filter_map(|p| p.split_once('=')).map(|(n, v)| (decode(n), decode(v))).collect()
}

/// `application/x-www-form-urlencoded`.
fn form(pairs: &[(&str, &str)]) -> String {
    let encode = |s: &str| percent_encoding::utf8_percent_encode(s, percent_encoding::NON_ALPHANUMERIC).to_string();
    pairs.iter().map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect::<Vec<_>>().join("&")
}

fn get(url: &str) -> anyhow::Result<Request<Bytes>> {
    Ok(Request::get(url).body(Bytes::new())?)
}

async fn get_json(http: &Client, url: &str) -> anyhow::Result<Value> {
    let response = http.fetch(get(url)?).await?;
    ensure!(response.status() == StatusCode::OK, "{url} answered {}", response.status());
    Ok(serde_json::from_slice(response.body())?)
}

fn location(response: &Response<Bytes>) -> Option<String> {
    let redirect = response.status().is_redirection();
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    redirect.then(|| location.to_owned())
}

fn origin_of(url: &str) -> anyhow::Result<String> {
    let uri: http::Uri = url.parse()?;
    let authority = uri.authority().context("a URL without a host")?;
    Ok(format!("{}://{authority}", uri.scheme_str().unwrap_or("http")))
}

fn resolve(base: &str, reference: &str) -> anyhow::Result<String> {
    if reference.starts_with("http://") || reference.starts_with("https://") {
        return Ok(reference.to_owned());
    }
    if let Some(query) = reference.strip_prefix('?') {
        return Ok(format!("{}?{query}", base.split('?').next().unwrap_or(base)));
    }
    if reference.is_empty() {
        return Ok(base.to_owned());
    }
    let path = if reference.starts_with('/') { reference.to_owned() } else { format!("/{reference}") };
    Ok(format!("{}{path}", origin_of(base)?))
}

fn with_cookies(request: http::request::Builder, cookies: &[String]) -> http::request::Builder {
    if cookies.is_empty() { request } else { request.header(header::COOKIE, cookies.join("; ")) }
}
