//! Apps of X's developer console.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;
use super::auth::Who;
use super::extract::{Body, Page, Segment};
use super::problem::Problem;
use crate::domain::account::App;
use crate::flow::registry::Table;
use crate::settings::written;

/// The keys of `[[apps]]`. What is sent is trimmed; a credential that is left out stays as it is,
/// `null` takes it away.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what the reader of settings takes")]
pub(crate) struct AppSettings {
    /// The `{app}` of the webhook URL.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    name: String,
    /// "API key" in X's console.
    #[schema(write_only)]
    consumer_key: Option<String>,
    /// "API key secret".
    #[schema(write_only)]
    consumer_secret: Option<String>,
    /// While rotating, deliveries signed with it are taken too.
    #[schema(write_only)]
    previous_consumer_secret: Option<String>,
    #[schema(write_only)]
    bearer_token: Option<String>,
    client_id: Option<String>,
    #[schema(write_only)]
    client_secret: Option<String>,
    /// Of the account that owns the app; `account_activity_v1` only.
    #[schema(write_only)]
    owner_access_token: Option<String>,
    #[schema(write_only)]
    owner_access_token_secret: Option<String>,
    /// `activity`, `account_activity` or `account_activity_v1`.
    #[schema(pattern = "^(activity|account_activity|account_activity_v1)$")]
    delivery: Option<String>,
    /// Label of the dev environment; `account_activity_v1` needs it.
    environment: Option<String>,
    /// `self_serve` or `enterprise`.
    #[schema(pattern = "^(self_serve|enterprise)$")]
    tier: Option<String>,
}

/// An app, without its credentials.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppView {
    #[schema(value_type = AppSettings)]
    settings: Table,
    /// Keys of the credentials that it has.
    secrets: Vec<&'static str>,
    /// In the configuration; cannot be changed here.
    declared: bool,
    /// Where X delivers to; empty without `public.url`.
    webhook_url: String,
}

impl AppView {
    fn new(api: &Api, app: &App) -> Self {
        Self {
            settings: written::app(app),
            secrets: written::app_secrets(app),
            declared: api.directory.declares_app(&app.name),
            webhook_url: api.webhook_url(&app.name),
        }
    }
}

/// The apps in force.
#[utoipa::path(get, path = "/apps", operation_id = "list_apps", tag = "apps", responses(
    (status = 200, description = "All of them", body = Page<AppView>)
))]
pub(super) async fn list(api: Data<Api>) -> HttpResponse {
    let rules = api.rules.now();
    let apps = rules.registry.apps().iter();
    HttpResponse::Ok().json(Page {
        items: apps.map(|app| AppView::new(&api, app)).collect(),
        next: None,
    })
}

/// Make or change an app.
#[utoipa::path(put, path = "/apps/{name}", operation_id = "put_app", tag = "apps",
    params(("name" = String, Path, description = "The `{app}` of the webhook URL")),
    request_body = AppSettings,
    responses((status = 200, description = "As it is now", body = AppView))
)]
pub(super) async fn put(
    api: Data<Api>,
    who: Who,
    name: Segment<String>,
    body: Body<Table>,
) -> Result<HttpResponse, Problem> {
    let mut table = body.0;
    table.insert("name".to_owned(), Value::String(name.0));
    let app = api.directory.put_app(who.0.actor(), table).await?;
    Ok(HttpResponse::Ok().json(AppView::new(&api, &app)))
}

/// Forget an app that no account is linked through.
#[utoipa::path(delete, path = "/apps/{name}", operation_id = "remove_app", tag = "apps",
    params(("name" = String, Path, description = "Name of the app")),
    responses((status = 204, description = "Forgotten"))
)]
pub(super) async fn remove(
    api: Data<Api>,
    who: Who,
    name: Segment<String>,
) -> Result<HttpResponse, Problem> {
    api.directory.remove_app(who.0.actor(), &name.0).await?;
    Ok(HttpResponse::NoContent().finish())
}
