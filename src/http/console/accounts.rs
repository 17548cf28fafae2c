//! Our accounts at X: how they do, what they may do, and their end.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde_json::Value;

use super::conversations::account_id;
use super::fields::{Fields, put, put_number};
use super::guard::PICTURES;
use super::page::{Refused, Shell, Visit, go, html, html_with, own_path};
use super::words::{Shown, When, health_words};
use crate::domain::ids::AccountId;
use crate::flow::link::{LinkState, Listed};
use crate::flow::registry::{ChangeError, Table};
use crate::http::api::Api;
use crate::http::api::problem::Kind;
use crate::settings::{SettingsFaults, written};

/// An account, as lists and its own page show it.
pub(super) struct AccountCard {
    pub id: String,
    pub username: String,
    pub name: String,
    pub avatar: String,
    pub app: String,
    pub state: &'static str,
    pub class: &'static str,
    pub since: Option<When>,
    pub ways: String,
    pub scopes: String,
    pub health: &'static str,
    pub health_class: &'static str,
    pub unconfirmed: bool,
    pub declared: bool,
    pub faults: Vec<Shown>,
}

impl AccountCard {
    fn new(api: &Api, listed: Listed) -> Self {
        let (state, class) = match listed.state {
            LinkState::Declared => ("In the configuration", "plain"),
            LinkState::Linked => ("Linked", "good"),
            LinkState::Unconfirmed => ("To be confirmed: nothing is routed yet", "warn"),
            LinkState::Revoked => ("X does not accept its credential: link it again", "bad"),
            LinkState::Unreadable => ("What is kept of it cannot be read", "bad"),
        };
        let all = api.health.accounts();
        let health = all.iter().find(|it| it.account.id == Some(listed.id));
        let (words, health_class) = match health {
            Some(it) => health_words(it.health.state),
            None => ("Not looked at yet", "plain"),
        };
        let ways = [("OAuth 1.0a", listed.oauth1), ("OAuth 2.0", listed.oauth2)];
        let ways = ways
            .into_iter()
            .filter_map(|(name, has)| has.then_some(name));
        Self {
            id: listed.id.to_string(),
            username: listed.username,
            name: listed.name,
            avatar: Some(listed.avatar_url)
                .filter(|url| url.starts_with(PICTURES))
                .unwrap_or_default(),
            app: listed.app,
            state,
            class,
            since: listed.since.map(When),
            ways: ways.collect::<Vec<_>>().join(" and "),
            scopes: listed.scopes.join(" "),
            health: words,
            health_class,
            unconfirmed: matches!(listed.state, LinkState::Unconfirmed),
            declared: matches!(listed.state, LinkState::Declared),
            faults: health
                .map(|it| it.health.faults.iter().map(Shown::from).collect())
                .unwrap_or_default(),
        }
    }
}

/// Every account.
pub(super) async fn cards(api: &Api) -> Result<Vec<AccountCard>, Refused> {
    let listed = api.linker.accounts().await?;
    Ok(listed
        .into_iter()
        .map(|it| AccountCard::new(api, it))
        .collect())
}

#[derive(Template)]
#[template(path = "console/accounts.html")]
struct ListPage {
    shell: Shell,
    cards: Vec<AccountCard>,
    apps: Vec<String>,
    /// The one that is chosen at first.
    app: String,
    /// Where linking comes back to.
    here: &'static str,
}

pub(super) async fn list(api: Data<Api>, visit: Visit) -> Result<HttpResponse, Refused> {
    let rules = api.rules.now();
    let page = ListPage {
        cards: cards(&api).await?,
        apps: rules
            .registry
            .apps()
            .iter()
            .map(|app| app.name.clone())
            .collect(),
        app: String::new(),
        here: "/accounts",
        shell: visit.shell("accounts"),
    };
    Ok(html(&page))
}

/// Settings of what is read of X beside its webhooks.
const FEEDS: [&str; 4] = [
    "keywords",
    "search_every",
    "poll_mentions",
    "mentions_every",
];

/// The settings of a form, as texts.
struct SettingsForm {
    sending: String,
    budget: String,
    longest: String,
    blocked: String,
    fetch_parents: bool,
    fetch_profiles: bool,
    keywords: String,
    search_every: String,
    poll_mentions: String,
    mentions_every: String,
    faults: Vec<(String, String)>,
}

impl SettingsForm {
    fn of(table: &Table) -> Self {
        let text = |key: &str| match table.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let is = |key: &str| table.get(key).and_then(Value::as_bool).unwrap_or(false);
        let blocked = table.get("blocked").and_then(Value::as_array);
        let blocked = blocked.into_iter().flatten().filter_map(Value::as_str);
        Self {
            sending: text("sending"),
            budget: text("monthly_budget_usd"),
            longest: text("max_post_length"),
            blocked: blocked.collect::<Vec<_>>().join("\n"),
            fetch_parents: is("fetch_parents"),
            fetch_profiles: is("fetch_profiles"),
            keywords: text("keywords"),
            search_every: text("search_every"),
            poll_mentions: text("poll_mentions"),
            mentions_every: text("mentions_every"),
            faults: Vec::new(),
        }
    }

    fn refused(fields: &Fields, faults: &SettingsFaults) -> Self {
        let own = |key: &str| fields.text(key).to_owned();
        Self {
            sending: own("sending"),
            budget: own("monthly_budget_usd"),
            longest: own("max_post_length"),
            blocked: fields.raw("blocked").to_owned(),
            fetch_parents: fields.has("fetch_parents"),
            fetch_profiles: fields.has("fetch_profiles"),
            keywords: own("keywords"),
            search_every: own("search_every"),
            poll_mentions: own("poll_mentions"),
            mentions_every: own("mentions_every"),
            faults: faults
                .0
                .iter()
                .map(|it| (field(&it.key), it.expected.clone()))
                .collect(),
        }
    }

    fn is_sending(&self, word: &str) -> bool {
        self.sending == word
    }

    fn is_keywords(&self, word: &str) -> bool {
        self.keywords == word
    }

    fn is_polling(&self, word: &str) -> bool {
        self.poll_mentions == word
    }

    fn fault(&self, key: &str) -> Option<&str> {
        let found = self.faults.iter().find(|(of, _)| of == key);
        found.map(|(_, expected)| expected.as_str())
    }
}

/// `blocked[2]` is the field `blocked`.
fn field(key: &str) -> String {
    key.split('[').next().unwrap_or_default().to_owned()
}

#[derive(Template)]
#[template(path = "console/account.html")]
struct AccountPage {
    shell: Shell,
    card: AccountCard,
    form: SettingsForm,
}

async fn page(
    api: &Api,
    visit: &Visit,
    id: AccountId,
    form: Option<SettingsForm>,
) -> Result<AccountPage, Refused> {
    let listed = api.linker.accounts().await?;
    let found = listed.into_iter().find(|it| it.id == id);
    let listed = found.ok_or_else(|| Refused::not_found("account"))?;
    let form = match form {
        Some(form) => form,
        None => SettingsForm::of(&settings(api, id).await),
    };
    Ok(AccountPage {
        card: AccountCard::new(api, listed),
        form,
        shell: visit.shell("accounts"),
    })
}

/// What an account is set to; empty for one whose settings cannot be read, which its card tells.
async fn settings(api: &Api, id: AccountId) -> Table {
    let rules = api.rules.now();
    if let Some(account) = rules.registry.account(id.0) {
        return written::account(account);
    }
    match api.directory.linked_account(id).await {
        Ok(Some(account)) => written::account(&account),
        Ok(None) => Table::new(),
        Err(error) => {
            tracing::warn!(%error, account.id = %id, "the settings of an account cannot be shown");
            Table::new()
        }
    }
}

pub(super) async fn show(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
) -> Result<HttpResponse, Refused> {
    let id = account_id(&id)?;
    Ok(html(&page(&api, &visit, id, None).await?))
}

/// Changes its settings.
pub(super) async fn change(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let id = account_id(&id)?;
    let changed = api
        .directory
        .set_account(visit.actor.clone(), id, table(&fields))
        .await;
    match changed {
        Ok(_) => Ok(go(&format!("/accounts/{id}?done=saved"))),
        Err(ChangeError::Invalid(faults)) => {
            let form = SettingsForm::refused(&fields, &faults);
            let page = page(&api, &visit, id, Some(form)).await?;
            Ok(html_with(StatusCode::BAD_REQUEST, &page))
        }
        Err(error) => Err(error.into()),
    }
}

/// The form as keys of `[[accounts]]`; what is empty is taken away.
fn table(fields: &Fields) -> Table {
    let mut table = Table::new();
    put(&mut table, "sending", fields.text("sending"));
    let (budget, longest) = (
        fields.text("monthly_budget_usd"),
        fields.text("max_post_length"),
    );
    for key in ["monthly_budget_usd", "max_post_length"] {
        table.insert(key.to_owned(), Value::Null);
    }
    put(&mut table, "monthly_budget_usd", budget);
    put_number(&mut table, "max_post_length", longest);
    for key in FEEDS {
        table.insert(key.to_owned(), Value::Null);
        put(&mut table, key, fields.text(key));
    }
    table.insert("blocked".to_owned(), fields.words("blocked").into());
    for key in ["fetch_parents", "fetch_profiles"] {
        table.insert(key.to_owned(), fields.has(key).into());
    }
    table
}

/// Lets its messages be routed.
pub(super) async fn confirm(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let id = account_id(&id)?;
    api.linker.confirm(visit.actor, id).await?;
    match fields.text("next") {
        "" => Ok(go(&format!("/accounts/{id}?done=confirmed"))),
        next => Ok(go(own_path(next))),
    }
}

#[derive(Template)]
#[template(path = "console/unlinked.html")]
struct UnlinkedPage {
    shell: Shell,
    left_at_x: Vec<String>,
}

/// Ends its credentials and forgets them.
pub(super) async fn unlink(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let id = account_id(&id)?;
    if !fields.has("sure") {
        let detail = "Tick that you are sure: the account has to be linked anew after this.";
        return Err(Refused::new(Kind::Invalid, detail));
    }
    let unlinked = api.linker.unlink(visit.actor.clone(), id).await?;
    if unlinked.left_at_x.is_empty() {
        return Ok(go("/accounts?done=unlinked"));
    }
    Ok(html(&UnlinkedPage {
        left_at_x: unlinked.left_at_x,
        shell: visit.shell("accounts"),
    }))
}
