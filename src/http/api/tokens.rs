//! Tokens of the API.

use actix_web::HttpResponse;
use actix_web::web::Data;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::auth::Who;
use super::extract::{Body, Page, Segment};
use super::problem::{Kind, Problem};
use crate::domain::access::{Role, TokenName};
use crate::flow::access;
use crate::store::ApiToken;

/// A token, without itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenView {
    name: String,
    /// `read`, `core` or `admin`.
    role: &'static str,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<ApiToken> for TokenView {
    fn from(token: ApiToken) -> Self {
        Self {
            name: token.name.to_string(),
            role: token.role.name(),
            created_at: token.created_at.to_string(),
        }
    }
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// 1 to 64 letters, digits, `.`, `_` or `-`.
    #[serde(deserialize_with = "super::extract::one")]
    #[schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    name: TokenName,
    #[schema(value_type = RoleName)]
    #[serde(deserialize_with = "super::extract::one")]
    role: Role,
}

/// What a token may do; each does all that those before it do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoleName {
    /// Look at everything.
    Read,
    /// And check commands, test the way to the core, publish events again.
    Core,
    /// And change everything.
    Admin,
}

/// A token just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeToken {
    name: String,
    role: &'static str,
    /// The token itself, which is shown this once.
    token: String,
}

/// The named tokens.
#[utoipa::path(get, path = "/tokens", operation_id = "list_tokens", tag = "tokens", responses(
    (status = 200, description = "All of them, by name", body = Page<TokenView>)
))]
pub(super) async fn list(api: Data<Api>) -> Result<HttpResponse, Problem> {
    let tokens = access::tokens(&api.store).await?;
    Ok(HttpResponse::Ok().json(Page {
        items: tokens.into_iter().map(TokenView::from).collect(),
        next: None,
    }))
}

/// Make a token.
#[utoipa::path(post, path = "/tokens", operation_id = "create_token", tag = "tokens",
    request_body = NewToken,
    responses((status = 201, description = "The token, shown this once", body = MadeToken))
)]
pub(super) async fn create(
    api: Data<Api>,
    who: Who,
    body: Body<NewToken>,
) -> Result<HttpResponse, Problem> {
    let NewToken { name, role } = body.0;
    let now = Timestamp::now();
    let made = access::create_token(&api.store, name.clone(), role, who.0.actor(), now).await?;
    let Some(token) = made else {
        let detail = format!("There is a token {name} already; revoke it first.");
        return Err(Problem::new(Kind::Conflict, detail));
    };
    Ok(HttpResponse::Created().json(MadeToken {
        name: name.to_string(),
        role: role.name(),
        token: token.expose_secret().to_owned(),
    }))
}

/// Revoke a token, with the logins that it opened.
#[utoipa::path(delete, path = "/tokens/{name}", operation_id = "revoke_token", tag = "tokens",
    params(("name" = String, Path, description = "Name of the token")),
    responses((status = 204, description = "Revoked"))
)]
pub(super) async fn revoke(
    api: Data<Api>,
    who: Who,
    name: Segment<TokenName>,
) -> Result<HttpResponse, Problem> {
    let shown = name.0.to_string();
    let (actor, now) = (who.0.actor(), Timestamp::now());
    match access::revoke_token(&api.store, name.0, actor, now).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::not_found(format!("There is no token {shown}."))),
    }
}
