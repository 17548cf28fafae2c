//! Before a page: who asks, may they, does the form come from one of our pages. After it: headers
//! that keep a browser to what our pages are.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use jiff::Timestamp;
use tokio::time::timeout;

use super::fields::Fields;
use super::page::{Refused, Visit, error_page, plain_error};
use super::{login, page};
use crate::domain::access::Role;
use crate::flow::access::Principal;
use crate::http::api::Api;
use crate::http::api::auth::SESSION_COOKIE;
use crate::http::api::problem::{Kind, Problem};

/// Where X keeps pictures of profiles.
pub(super) const PICTURES: &str = "https://pbs.twimg.com/";
/// For the body of a form.
const FORM_WITHIN: Duration = Duration::from_secs(10);

/// What a page may load, and where its forms may go.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
                      img-src 'self' https://pbs.twimg.com; font-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// Adds what keeps a browser to what our pages are.
pub(super) fn add_headers(headers: &mut HeaderMap) {
    let fixed = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Around everything of the console.
pub(super) async fn secure(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut response = next.call(request).await?.map_into_boxed_body();
    add_headers(response.headers_mut());
    Ok(response)
}

/// Around what needs a login: lets through who may, and shows what was refused as a page.
pub(super) async fn check(
    role: Role,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(api) = request.app_data::<Data<Api>>().cloned() else {
        return Err(Refused::new(Kind::Broken, "The console is not wired.").into());
    };
    let principal = match api.principal(request.request(), Timestamp::now()).await {
        Ok(principal) => principal,
        Err(problem) => {
            let answer = turned_away(&api, request.request(), &problem);
            return Ok(request.into_response(answer));
        }
    };
    let visit = Visit::new(&principal, request.request(), api.health.attention());
    request.extensions_mut().insert(visit.clone());
    let request = match admit(role, &principal, request).await {
        Ok(request) => request,
        Err((request, problem)) => {
            let answer = error_page(&visit, &problem);
            return Ok(ServiceResponse::new(request, answer));
        }
    };
    let response = next.call(request).await?.map_into_boxed_body();
    Ok(as_page(&visit, response))
}

/// What a handler refused, as a page with the navigation.
fn as_page(visit: &Visit, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let error = response.response().error();
    let Some(problem) = error.and_then(|error| error.as_error::<Refused>()) else {
        return response;
    };
    let answer = error_page(visit, &problem.0);
    response.into_response(answer)
}

/// Whoever is not known gets the page to log in at.
fn turned_away(api: &Api, request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let comes_by_browser = !request.headers().contains_key(AUTHORIZATION);
    let mut answer = match comes_by_browser && problem.kind() == Kind::Unauthorized {
        true if is_return_from_elsewhere(request) => return page::going_on(request),
        true => {
            let said = request
                .cookie(SESSION_COOKIE)
                .map(|_| problem.detail.clone());
            login::page(api, request, said, 401)
        }
        false => {
            let title = "You cannot be let in.";
            plain_error(problem.status_code().as_u16(), title, &problem.detail)
        }
    };
    let headers = answer.headers_mut();
    if problem.kind() == Kind::Unauthorized {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let own = problem.error_response();
    if let Some(wait) = own.headers().get(RETRY_AFTER) {
        headers.insert(RETRY_AFTER, wait.clone());
    }
    answer
}

/// A browser that another site sends here (X, after consent) leaves a strict cookie at home; a page
/// of ours that goes to the same address has it sent.
fn is_return_from_elsewhere(request: &HttpRequest) -> bool {
    let site = request.headers().get("sec-fetch-site");
    request.method() == Method::GET
        && request.cookie(SESSION_COOKIE).is_none()
        && site.is_some_and(|site| site == "cross-site" || site == "same-site")
}

type Admitted = Result<ServiceRequest, (HttpRequest, Problem)>;

/// Whether they may, and whether a form came from one of our own pages.
async fn admit(role: Role, principal: &Principal, request: ServiceRequest) -> Admitted {
    let only_looks = [Method::GET, Method::HEAD].contains(request.method());
    let (request, payload) = request.into_parts();
    let payload = match only_looks {
        true => payload,
        false => match read_form(&request, payload, principal).await {
            Ok(fields) => {
                request.extensions_mut().insert(fields);
                Payload::None
            }
            Err(problem) => return Err((request, problem)),
        },
    };
    if principal.role < role {
        let problem = Problem::new(
            Kind::Forbidden,
            format!(
                "This needs the role {}; you are logged in with the role {}.",
                role.name(),
                principal.role.name()
            ),
        );
        return Err((request, problem));
    }
    Ok(ServiceRequest::from_parts(request, payload))
}

async fn read_form(
    request: &HttpRequest,
    mut payload: Payload,
    principal: &Principal,
) -> Result<Fields, Problem> {
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|it| it.to_str().ok()).unwrap_or_default();
    if !kind.is_empty() && !kind.starts_with("application/x-www-form-urlencoded") {
        let detail = "The console takes forms only; programs use /api/v1.";
        return Err(Problem::new(Kind::UnsupportedMediaType, detail));
    }
    let fields = body(request, &mut payload).await?;
    match &principal.session {
        Some(session) if !session.is_from_own_page(fields.raw("csrf")) => {
            let detail = "The form does not come from a page of this login, or the page is older \
                          than the login. Go back, load the page again and send it once more.";
            Err(Problem::new(Kind::Forbidden, detail))
        }
        _ => Ok(fields),
    }
}

/// The fields of a form; also without a login.
pub(super) async fn body(request: &HttpRequest, payload: &mut Payload) -> Result<Fields, Problem> {
    let bytes = timeout(FORM_WITHIN, Bytes::from_request(request, payload));
    let Ok(bytes) = bytes.await else {
        return Err(Problem::new(
            Kind::TooSlow,
            "The form did not come in time.",
        ));
    };
    let too_large = |_| Problem::new(Kind::TooLarge, "The form is too large, or was cut off.");
    Fields::parse(&bytes.map_err(too_large)?)
}
