//! A browser without scripts that signs in at any OpenID provider: follows redirects, keeps cookies, fills in forms.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use convoke::clock::Env;
use convoke::net::Client;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

/// Pages and redirects on the way through a provider, at most.
const STEPS: usize = 20;

/// A browser.
pub struct Browser {
    http: Client,
    pub cookies: BTreeMap<String, String>,
}

/// A public client of a provider.
#[derive(Debug, Clone)]
pub struct App {
    pub client_id: String,
    pub redirect_uri: String,
}

/// One request for authorization, with the secrets that only the application knows.
#[derive(Debug, Clone)]
pub struct Asking {
    pub params: Vec<(String, String)>,
    pub verifier: String,
    pub state: String,
    pub nonce: String,
}

/// Who signs in.
#[derive(Debug, Clone)]
pub struct Person {
    pub user: String,
    pub password: String,
    pub email: String,
}

/// What the provider showed or did.
#[derive(Debug)]
pub enum Seen {
    /// The browser was sent back to the application with these parameters.
    Back(BTreeMap<String, String>),
    /// A page.
    Page { status: StatusCode, url: Url, html: String },
}

impl Browser {
    pub fn new(http: Client) -> Self {
        Self { http, cookies: BTreeMap::new() }
    }

    /// Goes to an address, and follows redirects up to a page or back to the application.
    pub async fn go(&mut self, url: &Url, app: &App) -> Seen {
        self.follow(Method::GET, url.clone(), Bytes::new(), app).await
    }

    /// Sends the form of a page, filled in.
    pub async fn submit(&mut self, page: &Seen, person: &Person, app: &App) -> Seen {
        let Seen::Page { url, html, .. } = page else { panic!("no page to fill in: {page:?}") };
        let form = Form::of(html).unwrap_or_else(|| panic!("{url} shows no form: {html}"));
        let target = form.action.as_deref().map_or_else(|| url.clone(), |action| url.join(action).unwrap());
        self.follow(Method::POST, target, Bytes::from(form.filled_in(person)), app).await
    }

    /// Signs a person in: fills in whatever forms come until the browser is sent back.
    pub async fn sign_in(&mut self, url: &Url, person: &Person, app: &App) -> BTreeMap<String, String> {
        let mut seen = self.go(url, app).await;
        for _ in 0..STEPS {
            match seen {
                Seen::Back(params) => return params,
                page => seen = self.submit(&page, person, app).await,
            }
        }
        panic!("the provider never sent the browser back: {seen:?}");
    }

    pub async fn follow(&mut self, mut method: Method, mut url: Url, mut body: Bytes, app: &App) -> Seen {
        for _ in 0..STEPS {
            if let Some(query) = url.as_str().strip_prefix(&app.redirect_uri) {
                let pairs = form_urlencoded::parse(query.trim_start_matches('?').as_bytes()).into_owned();
                return Seen::Back(pairs.collect());
            }
            let response = self.exchange(&method, &url, body).await;
            let Some(location) = response.headers().get(LOCATION).filter(|_| response.status().is_redirection()) else {
                let html = String::from_utf8_lossy(response.body()).into_owned();
                return Seen::Page { status: response.status(), url, html };
            };
            url = url.join(location.to_str().unwrap()).unwrap();
            (method, body) = (Method::GET, Bytes::new());
        }
        panic!("redirected for ever, at last to {url}");
    }

    async fn exchange(&mut self, method: &Method, url: &Url, body: Bytes) -> Response<Bytes> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, cookies.join("; "));
        }
        if method == Method::POST {
            let origin = url.origin().ascii_serialization();
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").header(ORIGIN, origin);
        }
        let response = self.http.fetch(request.body(body).unwrap()).await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            self.keep(cookie.to_str().unwrap());
        }
        response
    }

    fn keep(&mut self, cookie: &str) {
        let mut parts = cookie.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let gone = parts.any(|attribute| {
            let attribute = attribute.to_ascii_lowercase();
            attribute == "max-age=0" || attribute.starts_with("expires=") && attribute.contains(" 1970 ")
        });
        match gone || value.is_empty() {
            true => self.cookies.remove(name),
            false => self.cookies.insert(name.to_owned(), value.to_owned()),
        };
    }
}

impl Asking {
    /// A request of this application, with fresh secrets.
    pub fn new(app: &App) -> Self {
        let env = Env::system();
        let (verifier, state, nonce) = (env.token(256), env.token(128), env.token(128));
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let params = [
            ("response_type", "code"),
            ("client_id", &app.client_id),
            ("redirect_uri", &app.redirect_uri),
            ("scope", "openid email profile"),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { params, verifier, state, nonce }
    }

    /// The same with another value; without the parameter when the value is empty.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.params.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.params.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub fn url(&self, endpoint: &str) -> Url {
        Url::parse_with_params(endpoint, &self.params).unwrap()
    }
}

/// Reads the discovery document.
pub async fn discover(http: &Client, issuer: &str) -> Value {
    let request = Request::get(format!("{issuer}/.well-known/openid-configuration")).body(Bytes::new()).unwrap();
    let response = http.fetch(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    serde_json::from_slice(response.body()).unwrap()
}

/// Sends a form and reads the JSON answer.
pub async fn post_form(http: &Client, url: &str, params: &[(&str, &str)]) -> (StatusCode, Value) {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    let request =
        Request::post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(Bytes::from(body)).unwrap();
    let response = http.fetch(request).await.unwrap();
    (response.status(), serde_json::from_slice(response.body()).unwrap_or_default())
}

/// Exchanges a code for tokens.
pub async fn redeem(http: &Client, endpoint: &str, app: &App, code: &str, verifier: &str) -> (StatusCode, Value) {
    let params = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", app.redirect_uri.as_str()),
        ("client_id", app.client_id.as_str()),
        ("code_verifier", verifier),
    ];
    post_form(http, endpoint, &params).await
}

/// Signs a person in with a fresh browser and gives what the token endpoint answered.
pub async fn sign_in(http: &Client, issuer: &str, app: &App, person: &Person) -> Value {
    let discovery = discover(http, issuer).await;
    let request = Asking::new(app);
    let url = request.url(discovery["authorization_endpoint"].as_str().unwrap());
    let back = Browser::new(http.clone()).sign_in(&url, person, app).await;
    assert_eq!(back.get("state"), Some(&request.state), "{back:?}");
    let endpoint = discovery["token_endpoint"].as_str().unwrap();
    let (status, tokens) = redeem(http, endpoint, app, &back["code"], &request.verifier).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    tokens
}

/// A form of a page.
struct Form {
    action: Option<String>,
    fields: Vec<(String, String, String)>,
}

impl Form {
    /// The form that asks for a password, else the first one.
    fn of(html: &str) -> Option<Self> {
        let forms: Vec<&str> = html.split("<form").skip(1).filter_map(|f| f.split("</form").next()).collect();
        let form = forms.iter().find(|f| f.contains("password")).or(forms.first())?;
        let (tag, inner) = form.split_once('>')?;
        let inputs = inner.split("<input").skip(1).filter_map(|input| input.split('>').next());
        let fields = inputs.filter_map(|tag| {
            let kind = attribute(tag, "type").unwrap_or_else(|| "text".to_owned());
            Some((attribute(tag, "name")?, kind, attribute(tag, "value").unwrap_or_default()))
        });
        Some(Self { action: attribute(tag, "action"), fields: fields.collect() })
    }

    fn filled_in(&self, person: &Person) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, kind, value) in &self.fields {
            match kind.as_str() {
                "password" => form.append_pair(name, &person.password),
                "text" | "email" => form.append_pair(name, &person.user),
                "checkbox" | "radio" => &mut form,
                _ => form.append_pair(name, value),
            };
        }
        form.finish()
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = format!(" {}", tag.split_whitespace().collect::<Vec<_>>().join(" "));
    let start = value.find(&format!(" {name}="))? + name.len() + 2;
    let quote = value[start..].chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let text = value[start + 1..].split(quote).next()?;
    let entities = [("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    Some(entities.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain)))
}
