//! Apps of X's developer console.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::Who;
use super::extract::{Body, Page, Params, Segment};
use super::problem::{FieldError, Kind, Problem};
use crate::domain::account::App;
use crate::flow::registry::Table;
use crate::flow::setup::Finding;
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
    /// Where deliveries are passed on to as they came, best effort; https, on this machine also http.
    mirror: Option<Vec<String>>,
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
    /// What the test against X found as it was saved; empty where all is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Vec<FindingView>>,
}

/// Something that is wrong with an app.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindingView {
    /// `KEYS_WRONG`, `PERMISSION_MISSING`, `PRODUCT_MISSING`, `ENVIRONMENT_UNKNOWN`, `CLOCK_OFF`,
    /// `APP_SUSPENDED`, or `UNCHECKED` where X could not be asked.
    code: &'static str,
    /// The setting that it concerns; empty where it concerns none.
    field: &'static str,
    sentence: String,
    fix: String,
    /// X's own words; empty where it said nothing.
    words: String,
}

impl From<Finding> for FindingView {
    fn from(finding: Finding) -> Self {
        Self {
            code: finding.code,
            field: finding.field,
            sentence: finding.sentence,
            fix: finding.fix,
            words: finding.words,
        }
    }
}

/// How to save an app.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Saving {
    /// Whether to test the keys against X first: `true` where absent. Keys that X does not know are
    /// not saved then.
    check: Option<bool>,
}

impl AppView {
    fn new(api: &Api, app: &App) -> Self {
        Self {
            settings: written::app(app),
            secrets: written::app_secrets(app),
            declared: api.directory.declares_app(&app.name),
            webhook_url: api.webhook_url(&app.name),
            check: None,
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

/// Make or change an app. Its keys are tested against X; where X cannot be asked it is saved, too.
#[utoipa::path(put, path = "/apps/{name}", operation_id = "put_app", tag = "apps",
    params(("name" = String, Path, description = "The `{app}` of the webhook URL"), Saving),
    request_body = AppSettings,
    responses((status = 200, description = "As it is now", body = AppView))
)]
pub(super) async fn put(
    api: Data<Api>,
    who: Who,
    name: Segment<String>,
    saving: Params<Saving>,
    body: Body<Table>,
) -> Result<HttpResponse, Problem> {
    let mut table = body.0;
    table.insert("name".to_owned(), Value::String(name.0));
    let check = match saving.0.check {
        Some(false) => None,
        None | Some(true) => {
            let app = api.directory.read_app(table.clone()).await?;
            Some(api.setup.check_app(&app).await)
        }
    };
    let findings = check.iter().flatten();
    let wrong: Vec<_> = findings.filter(|it| it.is_wrong_key()).collect();
    if !wrong.is_empty() {
        return Err(keys_wrong(&wrong));
    }
    let app = api.directory.put_app(who.0.actor(), table).await?;
    let check = check.map(|found| found.into_iter().map(FindingView::from).collect());
    let view = AppView::new(&api, &app);
    Ok(HttpResponse::Ok().json(AppView { check, ..view }))
}

/// The values are secret: only X's words say what it thinks of them.
pub(crate) fn keys_wrong(wrong: &[&Finding]) -> Problem {
    let told = |it: &Finding| match it.words.as_str() {
        "" => format!("{} {}", it.sentence, it.fix),
        words => format!("{} X says: {words}. {}", it.sentence, it.fix),
    };
    let details: Vec<_> = wrong.iter().map(|it| told(it)).collect();
    let mut problem = Problem::new(Kind::Invalid, details.join(" "));
    problem.errors = wrong
        .iter()
        .map(|it| FieldError {
            field: it.field.to_owned(),
            value: String::new(),
            expected: told(it),
        })
        .collect();
    problem
}

/// Test the keys of an app against X.
#[utoipa::path(post, path = "/apps/{name}/check", operation_id = "check_app", tag = "apps",
    params(("name" = String, Path, description = "Name of the app")),
    responses((status = 200, description = "What is wrong", body = Page<FindingView>))
)]
pub(super) async fn check(api: Data<Api>, name: Segment<String>) -> Result<HttpResponse, Problem> {
    let app = api.app(&name.0)?;
    let found = api.setup.check_app(&app).await;
    Ok(HttpResponse::Ok().json(Page {
        items: found.into_iter().map(FindingView::from).collect(),
        next: None,
    }))
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
