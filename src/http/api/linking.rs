//! How accounts come and go: links at which they are linked, and their end.

use actix_web::HttpResponse;
use actix_web::web::Data;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::auth::Who;
use super::extract::{Body, Segment};
use super::problem::{Kind as ProblemKind, Problem};
use crate::domain::ids::{AccountId, UserId};
use crate::flow::link::{Kind, LinkError, Offered, Order};

/// By which of X's ways an account is linked.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// OAuth 1.0a: its tokens do not end.
    Oauth1,
    /// OAuth 2.0: alt texts and files of direct messages need it. An account may have both.
    Oauth2,
}

impl From<Way> for Kind {
    fn from(way: Way) -> Self {
        match way {
            Way::Oauth1 => Self::OAuth1,
            Way::Oauth2 => Self::OAuth2,
        }
    }
}

/// An account to link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLink {
    /// Name of the app.
    app: String,
    kind: Way,
    /// The account that is expected; another one is refused.
    username: Option<String>,
    /// Path below `private.url` to come back to, with `linked=<account id>`; without it a page
    /// says what came of it.
    back: Option<String>,
}

/// An account whose owner is asked to link it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvitation {
    /// Name of the app.
    app: String,
    kind: Way,
    /// The account; another one is refused.
    username: String,
}

/// A link that works once. Who has it can link an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LinkView {
    url: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

impl From<Offered> for LinkView {
    fn from(offered: Offered) -> Self {
        Self {
            url: offered.url.into(),
            expires_at: offered.expires_at.to_string(),
        }
    }
}

/// What became of an account that was linked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnlinkedView {
    /// What could not be ended at X, each in a sentence; its owner can end it there.
    left_at_x: Vec<String>,
}

/// Begin to link an account: a link for your own browser, good for ten minutes.
#[utoipa::path(post, path = "/accounts/link", operation_id = "link_account", tag = "accounts",
    request_body = NewLink,
    responses((status = 201, description = "Where to go", body = LinkView))
)]
pub(super) async fn begin(
    api: Data<Api>,
    who: Who,
    body: Body<NewLink>,
) -> Result<HttpResponse, Problem> {
    let wanted = body.0;
    let order = Order {
        app: wanted.app,
        kind: wanted.kind.into(),
        username: wanted.username,
        by: who.0.actor(),
        back: wanted.back,
    };
    let offered = api.linker.offer(order, Timestamp::now()).await?;
    Ok(HttpResponse::Created().json(LinkView::from(offered)))
}

/// Invite the owner of an account to link it: a link to send, good for a day.
#[utoipa::path(post, path = "/accounts/invitations", operation_id = "invite_account",
    tag = "accounts",
    request_body = NewInvitation,
    responses((status = 201, description = "What to send", body = LinkView))
)]
pub(super) async fn invite(
    api: Data<Api>,
    who: Who,
    body: Body<NewInvitation>,
) -> Result<HttpResponse, Problem> {
    let NewInvitation {
        app,
        kind,
        username,
    } = body.0;
    let (by, now) = (who.0.actor(), Timestamp::now());
    let offered = api
        .linker
        .invite(&app, kind.into(), &username, by, now)
        .await?;
    Ok(HttpResponse::Created().json(LinkView::from(offered)))
}

/// Unlink an account: it is unsubscribed, its credentials are revoked at X and forgotten. What it
/// has received and sent stays.
#[utoipa::path(delete, path = "/accounts/{id}", operation_id = "unlink_account", tag = "accounts",
    params(("id" = String, Path, description = "X's user id")),
    responses((status = 200, description = "Unlinked", body = UnlinkedView))
)]
pub(super) async fn unlink(
    api: Data<Api>,
    who: Who,
    id: Segment<UserId>,
) -> Result<HttpResponse, Problem> {
    let id = AccountId(id.0);
    let unlinked = api.linker.unlink(who.0.actor(), id).await?;
    Ok(HttpResponse::Ok().json(UnlinkedView {
        left_at_x: unlinked.left_at_x,
    }))
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        let detail = format!("{error} {}", error.fix());
        match error {
            LinkError::BadUsername(expected) => Self::field("username", "", expected),
            LinkError::BadReturn => Self::field("back", "", detail),
            LinkError::UnknownApp(name) => Self::field("app", &name, "the name of one of the apps"),
            LinkError::Store(error) => error.into(),
            // All else that an order can be refused for is in the way of it.
            _ => Self::new(ProblemKind::Conflict, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_the_field_or_what_is_in_the_way() {
        for (error, kind, field) in [
            (
                LinkError::UnknownApp("x".to_owned()),
                ProblemKind::Invalid,
                Some("app"),
            ),
            (LinkError::BadReturn, ProblemKind::Invalid, Some("back")),
            (LinkError::NoPublicUrl, ProblemKind::Conflict, None),
        ] {
            let problem = Problem::from(error);
            assert_eq!(problem.kind(), kind);
            assert_eq!(problem.errors.first().map(|it| &*it.field), field);
            assert!(!problem.detail.is_empty());
        }
    }
}
