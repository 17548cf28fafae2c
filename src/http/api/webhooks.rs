//! Webhooks that apps have at X.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::auth::Who;
use super::extract::{Body, Page, Segment};
use super::problem::{Kind, Problem};
use crate::domain::account::App;
use crate::domain::ids::WebhookId;
use crate::flow::setup::{Listed, Registered, SetupError};
use crate::x::client::Webhook;

/// A webhook, as X has it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookView {
    id: String,
    url: String,
    /// X delivers to it.
    valid: bool,
    /// It leads to this service.
    ours: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    created_at: Option<String>,
}

impl WebhookView {
    fn new(webhook: &Webhook, ours: bool) -> Self {
        Self {
            id: webhook.id.to_string(),
            url: webhook.url.clone(),
            valid: webhook.valid,
            ours,
            created_at: webhook.created_at.map(|at| at.to_string()),
        }
    }
}

impl From<Listed> for WebhookView {
    fn from(listed: Listed) -> Self {
        Self::new(&listed.webhook, listed.ours)
    }
}

/// How to register.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    /// Delete other webhooks of the app that are in the way.
    #[serde(default)]
    replace: bool,
}

/// The webhook that leads to this service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RegisteredView {
    webhook: WebhookView,
    /// It was there before.
    known: bool,
    /// What was deleted for it.
    deleted: Vec<WebhookView>,
}

impl From<Registered> for RegisteredView {
    fn from(done: Registered) -> Self {
        let deleted = done.deleted.iter();
        Self {
            webhook: WebhookView::new(&done.webhook, true),
            known: done.known,
            deleted: deleted.map(|it| WebhookView::new(it, false)).collect(),
        }
    }
}

/// Whether X uses a webhook now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValidView {
    valid: bool,
}

impl From<SetupError> for Problem {
    fn from(error: SetupError) -> Self {
        let kind = match &error {
            SetupError::Store(_) => None,
            SetupError::NoSuchWebhook(_) => Some(Kind::NotFound),
            error if error.is_for_now() => Some(Kind::Unavailable),
            _ => Some(Kind::Conflict),
        };
        match (kind, error) {
            (_, SetupError::Store(error)) => error.into(),
            (kind, error) => {
                let words = error.to_string();
                let end = if words.ends_with('.') { "" } else { "." };
                let detail = format!("{words}{end} {}", error.fix());
                Self::new(kind.unwrap_or(Kind::Conflict), detail)
            }
        }
    }
}

/// The webhooks of an app at X.
#[utoipa::path(get, path = "/apps/{name}/webhooks", operation_id = "list_webhooks",
    tag = "webhooks", params(("name" = String, Path, description = "Name of the app")),
    responses((status = 200, description = "All of the app's", body = Page<WebhookView>))
)]
pub(super) async fn list(api: Data<Api>, name: Segment<String>) -> Result<HttpResponse, Problem> {
    let app = api.app(&name.0)?;
    let listed = api.setup.webhooks(&app).await?;
    Ok(HttpResponse::Ok().json(Page {
        items: listed.into_iter().map(WebhookView::from).collect(),
        next: None,
    }))
}

/// Make this service the app's webhook. It is tried by ourselves first; what is in the way is
/// named, and nothing is deleted unless `replace` is set.
#[utoipa::path(post, path = "/apps/{name}/webhooks", operation_id = "register_webhook",
    tag = "webhooks", params(("name" = String, Path, description = "Name of the app")),
    request_body = NewWebhook,
    responses((status = 200, description = "As it is now", body = RegisteredView))
)]
pub(super) async fn register(
    api: Data<Api>,
    who: Who,
    name: Segment<String>,
    body: Body<NewWebhook>,
) -> Result<HttpResponse, Problem> {
    let (app, rules) = (api.app(&name.0)?, api.rules.now());
    let (by, apps) = (who.0.actor(), rules.registry.apps());
    let done = api.setup.register(&by, &app, apps, body.0.replace).await?;
    Ok(HttpResponse::Ok().json(RegisteredView::from(done)))
}

/// Have X challenge a webhook now, and use it again if it passes.
#[utoipa::path(post, path = "/apps/{name}/webhooks/{id}/validate",
    operation_id = "validate_webhook", tag = "webhooks",
    params(
        ("name" = String, Path, description = "Name of the app"),
        ("id" = String, Path, description = "X's id of the webhook"),
    ),
    responses((status = 200, description = "Whether it passed", body = ValidView))
)]
pub(super) async fn validate(
    api: Data<Api>,
    who: Who,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (app, id) = named(&api, &path)?;
    let valid = api.setup.validate(&who.0.actor(), &app, id).await?;
    Ok(HttpResponse::Ok().json(ValidView { valid }))
}

/// Take a webhook away, whoever made it. With it go the subscriptions of Account Activity.
#[utoipa::path(delete, path = "/apps/{name}/webhooks/{id}", operation_id = "delete_webhook",
    tag = "webhooks",
    params(
        ("name" = String, Path, description = "Name of the app"),
        ("id" = String, Path, description = "X's id of the webhook"),
    ),
    responses((status = 204, description = "Deleted"))
)]
pub(super) async fn delete(
    api: Data<Api>,
    who: Who,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (app, id) = named(&api, &path)?;
    api.setup.delete(&who.0.actor(), &app, id).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn named(api: &Api, path: &(String, String)) -> Result<(App, WebhookId), Problem> {
    let (name, id) = path;
    let app = api.app(name)?;
    let parsed = id.parse();
    let id = parsed.map_err(|_no_id| Problem::field("id", id, "X's id of a webhook, digits"))?;
    Ok((app, id))
}
