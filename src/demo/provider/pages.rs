//! What people see: plain pages without scripts.

use std::sync::OnceLock;

use axum::body::Body;
use axum::extract::State;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use minijinja::{Environment, context};

use super::Provider;

/// What a handler answers.
pub(super) type Answer = Response<Body>;

const STYLE: &str = include_str!("style.css");

/// The log-in form.
pub(super) struct LoginPage<'a> {
    pub(super) ticket: &'a str,
    pub(super) mail: &'a str,
    /// What went wrong with the last attempt.
    pub(super) problem: Option<&'a str>,
    /// Where the browser goes afterwards: a form may lead there.
    pub(super) redirect_uri: &'a str,
}

impl LoginPage<'_> {
    pub(super) fn render(&self) -> Answer {
        let values = context! { ticket => self.ticket, mail => self.mail, problem => self.problem };
        page(StatusCode::OK, "login.html", values, Some(self.redirect_uri))
    }
}

/// Asks whether to log out.
pub(super) fn confirm_logout(params: &[(&str, &str)], redirect_uri: Option<&str>) -> Answer {
    page(
        StatusCode::OK,
        "logout.html",
        context! { params => minijinja::Value::from_pairs(params.iter().copied()) },
        redirect_uri,
    )
}

/// Says that somebody is logged out.
pub(super) fn logged_out() -> Answer {
    page(StatusCode::OK, "message.html", context! { title => "Logged out", text => "You are logged out." }, None)
}

/// Says what is wrong to a person whom the browser cannot be sent back to the application with.
pub(super) fn problem(status: StatusCode, text: &str) -> Answer {
    page(status, "message.html", context! { title => "This does not work", text => text }, None)
}

/// `GET /`.
pub(super) async fn start(State(provider): State<Provider>) -> Answer {
    let text = format!(
        "This is the OpenID provider of the convoke demo. Applications find it at {}/.well-known/openid-configuration.",
        provider.issuer()
    );
    page(StatusCode::OK, "message.html", context! { title => "convoke demo", text => text }, None)
}

/// `GET /style.css`.
pub(super) async fn style() -> Answer {
    let mut response = Response::new(Body::from(STYLE));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    response
}

fn page(status: StatusCode, template: &str, values: minijinja::Value, form_leads_to: Option<&str>) -> Answer {
    let rendered = templates().get_template(template).and_then(|template| template.render(values));
    let (status, html) = match rendered {
        Ok(html) => (status, html),
        Err(error) => {
            tracing::error!(template, %error, "a page of the demo provider cannot be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, String::new())
        }
    };
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("same-origin"));
    if let Ok(policy) = HeaderValue::from_str(&content_security_policy(form_leads_to)) {
        headers.insert(HeaderName::from_static("content-security-policy"), policy);
    }
    response
}

/// No scripts at all, no frames, and forms only to us; browsers apply `form-action` to redirects after the form too, so
/// the application's origin is named.
fn content_security_policy(form_leads_to: Option<&str>) -> String {
    let origin = form_leads_to.and_then(|uri| url::Url::parse(uri).ok()).map(|url| url.origin().ascii_serialization());
    let form_action = origin.map_or_else(|| "'self'".to_owned(), |origin| format!("'self' {origin}"));
    format!("default-src 'none'; style-src 'self'; form-action {form_action}; base-uri 'none'; frame-ancestors 'none'")
}

fn templates() -> &'static Environment<'static> {
    static TEMPLATES: OnceLock<Environment<'static>> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        // Values are escaped in templates whose names end in `.html`.
        let mut templates = Environment::new();
        for (name, source) in [
            ("frame.html", include_str!("frame.html")),
            ("login.html", include_str!("login.html")),
            ("logout.html", include_str!("logout.html")),
            ("message.html", include_str!("message.html")),
        ] {
            if let Err(error) = templates.add_template(name, source) {
                tracing::error!(name, %error, "a template of the demo provider is broken");
            }
        }
        templates
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn html(answer: Answer) -> String {
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_log_in_page_escapes_what_it_was_given_and_runs_no_script() {
        let page = LoginPage {
            ticket: "t1",
            mail: "\"><script>alert(1)</script>",
            problem: Some("Wrong e-mail address or password."),
            redirect_uri: "http://127.0.0.1:5173/callback?x=1",
        }
        .render();
        assert_eq!(
            page.headers()["content-security-policy"],
            "default-src 'none'; style-src 'self'; form-action 'self' http://127.0.0.1:5173; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        let html = html(page).await;
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("role=\"alert\""), "{html}");
        assert!(html.contains("value=\"t1\""), "{html}");
    }

    #[tokio::test]
    async fn every_template_renders() {
        for answer in [confirm_logout(&[("state", "a&b")], None), logged_out(), problem(StatusCode::BAD_REQUEST, "<x>")]
        {
            let html = html(answer).await;
            assert!(html.starts_with("<!doctype html>") && html.contains("</html>"), "{html}");
            assert!(!html.contains("<x>"), "{html}");
        }
    }
}
