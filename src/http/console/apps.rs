//! Apps of X's developer console: their keys are entered here and never shown.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;

use super::fields::{Fields, put};
use super::page::{Refused, Shell, Visit, go, html, html_with, own_path};
use crate::domain::account::App;
use crate::flow::registry::{ChangeError, Table};
use crate::http::api::Api;
use crate::http::api::apps::keys_wrong;
use crate::http::api::problem::Problem;
use crate::settings::{Fault, SettingsFaults, written};

struct Row {
    name: String,
    delivery: &'static str,
    tier: String,
    accounts: usize,
    declared: bool,
    rotating: bool,
}

#[derive(Template)]
#[template(path = "console/apps.html")]
struct ListPage {
    shell: Shell,
    rows: Vec<Row>,
}

/// A form of delivery in words.
fn delivery_words(name: &str) -> &'static str {
    match name {
        "account_activity" => "Account Activity v2",
        "account_activity_v1" => "Account Activity v1.1 premium",
        _ => "X Activity",
    }
}

fn text(table: &Table, key: &str) -> String {
    let value = table.get(key).and_then(Value::as_str);
    value.unwrap_or_default().to_owned()
}

pub(super) async fn list(api: Data<Api>, visit: Visit) -> HttpResponse {
    let rules = api.rules.now();
    let rows = rules.registry.apps().iter().map(|app| {
        let settings = written::app(app);
        Row {
            name: app.name.clone(),
            delivery: delivery_words(&text(&settings, "delivery")),
            tier: text(&settings, "tier"),
            accounts: rules.registry.accounts_of(&app.name).count(),
            declared: api.directory.declares_app(&app.name),
            rotating: app.previous_consumer_secret.is_some(),
        }
    });
    html(&ListPage {
        rows: rows.collect(),
        shell: visit.shell("apps"),
    })
}

/// A credential of the form.
pub(super) struct Secret {
    pub key: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    /// One is stored.
    pub is_set: bool,
    pub fault: Option<String>,
}

/// Key, label and where X shows it.
const SECRETS: [(&str, &str, &str); 6] = [
    (
        "consumer_key",
        "API key",
        "In X's console: Keys and tokens, Consumer keys. Also called consumer key.",
    ),
    (
        "consumer_secret",
        "API key secret",
        "Beside it. It signs everything that X sends us.",
    ),
    (
        "bearer_token",
        "Bearer token",
        "May stay empty: it is then fetched with the two keys above.",
    ),
    (
        "client_secret",
        "Client secret",
        "Under OAuth 2.0, for confidential clients.",
    ),
    (
        "owner_access_token",
        "Access token of the app's owner",
        "Only for Account Activity v1.1 premium.",
    ),
    (
        "owner_access_token_secret",
        "Its secret",
        "Only for Account Activity v1.1 premium.",
    ),
];

/// What a form of an app shows; also part of the set-up.
pub(super) struct AppForm {
    pub name: String,
    /// It is there already: the name cannot be changed.
    pub exists: bool,
    pub declared: bool,
    pub rotating: bool,
    pub client_id: String,
    pub delivery: String,
    pub environment: String,
    pub tier: String,
    pub secrets: Vec<Secret>,
    /// What is wrong, by field.
    pub faults: Vec<(String, String)>,
    /// Where to go on.
    pub next: String,
}

impl AppForm {
    /// An empty one, or that of an app.
    pub(super) fn new(api: &Api, app: Option<&App>, next: &str) -> Self {
        let settings = app.map(written::app).unwrap_or_default();
        let has = app.map(written::app_secrets).unwrap_or_default();
        Self {
            name: text(&settings, "name"),
            exists: app.is_some(),
            declared: app.is_some_and(|app| api.directory.declares_app(&app.name)),
            rotating: app.is_some_and(|app| app.previous_consumer_secret.is_some()),
            client_id: text(&settings, "client_id"),
            delivery: text(&settings, "delivery"),
            environment: text(&settings, "environment"),
            tier: text(&settings, "tier"),
            secrets: SECRETS
                .into_iter()
                .map(|(key, label, hint)| Secret {
                    key,
                    label,
                    hint,
                    is_set: has.contains(&key),
                    fault: None,
                })
                .collect(),
            faults: Vec::new(),
            next: next.to_owned(),
        }
    }

    /// As it was sent, with what is wrong. Secrets are not sent back.
    fn refused(mut self, fields: &Fields, faults: &SettingsFaults) -> Self {
        self.name = fields.text("name").to_owned();
        self.client_id = fields.text("client_id").to_owned();
        self.delivery = fields.text("delivery").to_owned();
        self.environment = fields.text("environment").to_owned();
        self.tier = fields.text("tier").to_owned();
        for fault in &faults.0 {
            let secret = self.secrets.iter_mut().find(|it| it.key == fault.key);
            if let Some(secret) = secret {
                secret.fault = Some(fault.expected.clone());
            }
            self.faults
                .push((fault.key.clone(), fault.expected.clone()));
        }
        self
    }

    pub(super) fn is_delivery(&self, name: &str) -> bool {
        self.delivery == name
    }

    pub(super) fn is_tier(&self, name: &str) -> bool {
        self.tier == name
    }

    /// What is wrong with a field.
    pub(super) fn fault(&self, key: &str) -> Option<&str> {
        let found = self.faults.iter().find(|(of, _)| of == key);
        found.map(|(_, expected)| expected.as_str())
    }
}

#[derive(Template)]
#[template(path = "console/app.html")]
struct AppPage {
    shell: Shell,
    form: AppForm,
    webhook_url: String,
    callback_url: String,
    accounts: Vec<(String, String)>,
}

/// Where a form goes on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Next {
    next: String,
}

fn page(api: &Api, visit: &Visit, form: AppForm) -> AppPage {
    let rules = api.rules.now();
    let accounts = rules.registry.accounts_of(&form.name);
    AppPage {
        webhook_url: if form.exists {
            api.webhook_url(&form.name)
        } else {
            String::new()
        },
        callback_url: api.callback_url(),
        accounts: accounts
            .map(|account| (account.id.to_string(), format!("@{}", account.username)))
            .collect(),
        form,
        shell: visit.shell("apps"),
    }
}

/// One app, or under the name `new` the form for another.
pub(super) async fn show(
    api: Data<Api>,
    visit: Visit,
    name: Path<String>,
    next: Query<Next>,
) -> Result<HttpResponse, Refused> {
    let rules = api.rules.now();
    let app = rules.registry.apps().iter().find(|app| app.name == *name);
    if app.is_none() && *name != "new" {
        return Err(Refused::not_found("app"));
    }
    let form = AppForm::new(&api, app, &next.next);
    Ok(html(&page(&api, &visit, form)))
}

/// Makes or changes one. A secret that is left empty stays as it is.
pub(super) async fn save(
    api: Data<Api>,
    visit: Visit,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let name = fields.text("name").to_owned();
    let rules = api.rules.now();
    let app = rules.registry.apps().iter().find(|app| app.name == name);
    if app.is_some() && fields.has("new") {
        let detail = "There is an app of this name already; choose another.";
        return Err(Problem::field("name", &name, detail).into());
    }
    let (table, rotates) = table(&fields, app);
    let read = match fields.has("unchecked") {
        true => None,
        // What cannot be read is told by saving it.
        false => api.directory.read_app(table.clone()).await.ok(),
    };
    let mut checked = None;
    if let Some(read) = read {
        let found = api.setup.check_app(&read).await;
        let wrong: Vec<_> = found.iter().filter(|it| it.is_wrong_key()).collect();
        if !wrong.is_empty() {
            let problem = keys_wrong(&wrong);
            let faults = problem.errors.into_iter().map(|it| Fault {
                key: it.field,
                value: None,
                expected: it.expected,
            });
            let form = AppForm::new(&api, app, fields.text("next"));
            let form = form.refused(&fields, &SettingsFaults(faults.collect()));
            let page = page(&api, &visit, form);
            return Ok(html_with(StatusCode::BAD_REQUEST, &page));
        }
        checked = Some(found);
    }
    match api.directory.put_app(visit.actor.clone(), table).await {
        Ok(app) => {
            if let Some(found) = checked {
                api.setup.remember_check(&app.name, found);
            }
            let next = match fields.text("next") {
                "" => format!(
                    "/apps/{}?done={}",
                    app.name,
                    if rotates { "rotated" } else { "app-saved" }
                ),
                next => own_path(next).replace("{app}", &app.name),
            };
            Ok(go(&next))
        }
        Err(ChangeError::Invalid(faults)) => {
            let form = AppForm::new(&api, app, fields.text("next"));
            let page = page(&api, &visit, form.refused(&fields, &faults));
            Ok(html_with(StatusCode::BAD_REQUEST, &page))
        }
        Err(error) => Err(error.into()),
    }
}

/// The form as keys of `[[apps]]`, and whether a new secret takes the place of another, which is
/// kept as the previous one.
fn table(fields: &Fields, app: Option<&App>) -> (Table, bool) {
    let mut table = Table::new();
    for key in ["name", "delivery", "tier"] {
        put(&mut table, key, fields.text(key));
    }
    for (key, _, _) in SECRETS {
        put(&mut table, key, fields.text(key));
    }
    for key in ["client_id", "environment"] {
        match fields.text(key) {
            "" => drop(table.insert(key.to_owned(), Value::Null)),
            text => put(&mut table, key, text),
        }
    }
    // The form does not show it; it is kept.
    let mirror = app.iter().flat_map(|app| &app.mirror);
    let mirror: Vec<_> = mirror.map(|url| url.as_str().into()).collect();
    table.insert("mirror".to_owned(), Value::Array(mirror));
    let new = fields.text("consumer_secret");
    let old = app.map(|app| app.consumer_secret.expose_secret());
    let replaced = old.filter(|old| !new.is_empty() && *old != new && fields.has("rotate"));
    if let Some(old) = replaced {
        put(&mut table, "previous_consumer_secret", old);
    }
    (table, replaced.is_some())
}

/// From now on only the new secret is taken.
pub(super) async fn end_rotation(
    api: Data<Api>,
    visit: Visit,
    name: Path<String>,
) -> Result<HttpResponse, Refused> {
    let rules = api.rules.now();
    let app = rules.registry.apps().iter().find(|app| app.name == *name);
    // Settings that are left out go; only credentials stay.
    let mut table = written::app(app.ok_or_else(|| Refused::not_found("app"))?);
    table.retain(|_, value| value != "");
    table.insert("previous_consumer_secret".to_owned(), Value::Null);
    let app = api.directory.put_app(visit.actor, table).await?;
    Ok(go(&format!("/apps/{}?done=rotation-ended", app.name)))
}

/// Forgets one that no account is linked through.
pub(super) async fn remove(
    api: Data<Api>,
    visit: Visit,
    name: Path<String>,
) -> Result<HttpResponse, Refused> {
    api.directory.remove_app(visit.actor, &name).await?;
    Ok(go("/apps?done=app-removed"))
}
