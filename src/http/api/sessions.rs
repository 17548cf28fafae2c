//! Logins at the console.

use actix_web::HttpResponse;
use actix_web::web::Data;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::auth::Who;
use super::problem::Problem;
use crate::flow::access::{Principal, Session};

/// Who asks, and what they may do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionView {
    /// Name of the token.
    name: String,
    /// `read`, `core` or `admin`.
    role: &'static str,
    /// When the login ends; absent for a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// To be sent as `x-csrf-token` with every change; absent for a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
}

impl SessionView {
    fn new(principal: &Principal, session: Option<&Session>) -> Self {
        Self {
            name: principal.name.to_string(),
            role: principal.role.name(),
            expires_at: session.map(|session| session.expires_at.to_string()),
            csrf_token: session.map(|session| session.csrf.clone()),
        }
    }
}

/// Who asks, and what they may do.
#[utoipa::path(get, path = "/session", operation_id = "show_session", tag = "session", responses(
    (status = 200, description = "The holder of the credential", body = SessionView)
))]
pub(super) async fn show(who: Who) -> HttpResponse {
    let view = SessionView::new(&who.0, who.0.session.as_ref());
    HttpResponse::Ok().json(view)
}

/// Log in: the token that is sent opens a login of 12 hours, whose cookie comes with the answer.
#[utoipa::path(post, path = "/session", operation_id = "open_session", tag = "session", responses(
    (status = 201, description = "Logged in; sets the cookie", body = SessionView)
))]
pub(super) async fn open(api: Data<Api>, who: Who) -> Result<HttpResponse, Problem> {
    let login = api.access.log_in(&who.0, Timestamp::now()).await?;
    let view = SessionView::new(&who.0, Some(&login.session));
    Ok(HttpResponse::Created()
        .cookie(api.cookie(&login))
        .json(view))
}

/// Log out. Does nothing to a token.
#[utoipa::path(delete, path = "/session", operation_id = "close_session", tag = "session", responses(
    (status = 204, description = "Logged out; takes the cookie away")
))]
pub(super) async fn close(api: Data<Api>, who: Who) -> Result<HttpResponse, Problem> {
    api.access.log_out(&who.0, Timestamp::now()).await?;
    Ok(HttpResponse::NoContent().cookie(api.no_cookie()).finish())
}
