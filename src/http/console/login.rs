//! Logging in and out.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload as BodyOf;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use subtle::ConstantTimeEq;

use super::guard;
use super::page::{Refused, go, html_with, own_path};
use crate::flow::access::Principal;
use crate::http::api::Api;
use crate::http::api::auth::SESSION_COOKIE;
use crate::http::api::problem::{Kind, Problem};

/// Ties the form to the browser that loaded it: there is no login yet to tie it to.
const FORM_COOKIE: &str = "twitter_channel_form";

#[derive(Template)]
#[template(path = "console/login.html")]
struct LoginPage<'a> {
    /// Sent along with the form, as in the cookie.
    key: &'a str,
    next: &'a str,
    said: Option<String>,
}

#[derive(Template)]
#[template(path = "console/closed.html")]
struct ClosedPage;

/// The page to log in at, which goes on to where the browser wanted to. Without `private.token`
/// there is none: the console stays closed.
pub(super) fn page(
    api: &Api,
    request: &HttpRequest,
    said: Option<String>,
    status: u16,
) -> HttpResponse {
    let uri = request.uri();
    let wanted = uri.path_and_query().map_or("/", |it| it.as_str());
    let next = match uri.path() {
        "/login" | "/logout" => "/",
        _ => own_path(wanted),
    };
    page_to(api, request, next, said, status)
}

fn page_to(
    api: &Api,
    request: &HttpRequest,
    next: &str,
    said: Option<String>,
    status: u16,
) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    if !api.access.is_set_up() {
        return html_with(status, &ClosedPage);
    }
    let known = request.cookie(FORM_COOKIE);
    let known = known.map(|cookie| cookie.value().to_owned());
    let key = known.filter(|key| is_key(key)).unwrap_or_else(new_key);
    let mut answer = html_with(
        status,
        &LoginPage {
            key: &key,
            next,
            said,
        },
    );
    let cookie = Cookie::build(FORM_COOKIE, key)
        .path("/login")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(api.secure_cookies)
        .finish();
    if let Err(error) = answer.add_cookie(&cookie) {
        tracing::error!(%error, "the login page cannot set its cookie");
    }
    answer
}

fn new_key() -> String {
    let bits: [u8; 32] = rand::random();
    URL_SAFE_NO_PAD.encode(bits)
}

fn is_key(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    key.len() == 43 && key.bytes().all(plain)
}

/// The page to log in at.
pub(super) async fn show(api: Data<Api>, request: HttpRequest) -> HttpResponse {
    page(&api, &request, None, 200)
}

/// Opens a login with a token.
pub(super) async fn log_in(
    api: Data<Api>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Refused> {
    let mut payload: BodyOf = payload.into_inner();
    let fields = guard::body(&request, &mut payload).await?;
    let next = own_path(fields.text("next"));
    if !is_from_our_form(&request, fields.raw("key")) {
        let said = "The page was too old. Enter the token once more.".to_owned();
        return Ok(page_to(&api, &request, next, Some(said), 403));
    }
    let token = Some(fields.text("token")).filter(|token| !token.is_empty());
    match api.holder(&request, token).await {
        Ok(holder) => {
            let login = api.access.log_in(&holder, Timestamp::now()).await?;
            let mut answer = go(next);
            let set = answer.add_cookie(&api.cookie(&login));
            set.map_err(|_unread| Refused::new(Kind::Broken, "The cookie cannot be set."))?;
            Ok(answer)
        }
        Err(problem) => Ok(refused(&api, &request, next, &problem)),
    }
}

/// A login page with what was wrong.
fn refused(api: &Api, request: &HttpRequest, next: &str, problem: &Problem) -> HttpResponse {
    let status = problem.status_code().as_u16();
    let own = problem.error_response();
    let wait = own.headers().get(RETRY_AFTER).cloned();
    let said = match wait.as_ref().and_then(|wait| wait.to_str().ok()) {
        Some(wait) => format!("{} Try again in {wait} s.", problem.detail),
        None => problem.detail.clone(),
    };
    let mut answer = page_to(api, request, next, Some(said), status);
    if let Some(wait) = wait {
        answer.headers_mut().insert(RETRY_AFTER, wait);
    }
    answer
}

fn is_from_our_form(request: &HttpRequest, key: &str) -> bool {
    let cookie = request.cookie(FORM_COOKIE);
    cookie.is_some_and(|cookie| {
        is_key(key) && bool::from(cookie.value().as_bytes().ct_eq(key.as_bytes()))
    })
}

/// Ends the login.
pub(super) async fn log_out(api: Data<Api>, request: HttpRequest) -> Result<HttpResponse, Refused> {
    let cookie = request.cookie(SESSION_COOKIE);
    let now = Timestamp::now();
    let holder: Option<Principal> = match cookie {
        Some(cookie) => api.access.by_session(cookie.value(), now).await?,
        None => None,
    };
    if let Some(holder) = holder {
        api.access.log_out(&holder, now).await?;
    }
    let mut answer = go("/login");
    let set = answer.add_cookie(&api.no_cookie());
    set.map_err(|_unread| Refused::new(Kind::Broken, "The cookie cannot be taken away."))?;
    Ok(answer)
}
