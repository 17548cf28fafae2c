//! Our accounts at X, and the filters that make tickets of what they get.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::auth::Who;
use super::extract::{Body, Page, Segment};
use super::problem::Problem;
use crate::domain::account::Account;
use crate::domain::ids::{AccountId, UserId};
use crate::flow::registry::{ChangeError, Linked, Table};
use crate::settings::written;

/// The keys of `[[accounts]]`, credentials left out. Of a linked account `sending` and those below
/// it may be changed; `null` takes a value away.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what the reader of settings takes")]
pub(crate) struct AccountSettings {
    #[schema(read_only)]
    app: Option<String>,
    /// X's user id.
    #[schema(read_only)]
    id: Option<String>,
    /// Without `@`.
    #[schema(read_only)]
    username: Option<String>,
    /// `live`, `hold` or `refuse`.
    #[schema(pattern = "^(live|hold|refuse)$")]
    sending: Option<String>,
    /// User ids of whom this account wants nothing.
    blocked: Option<Vec<String>>,
    /// Weighted characters.
    max_post_length: Option<u32>,
    /// A decimal string.
    monthly_budget_usd: Option<String>,
    fetch_parents: Option<bool>,
    fetch_profiles: Option<bool>,
    /// How posts are found that fit a filter's term: `none`, `stream` or `search`.
    keywords: Option<String>,
    /// A duration: `60s`.
    search_every: Option<String>,
    /// Read the mentions timeline: `auto` (beside X Activity), `on` or `off`.
    poll_mentions: Option<String>,
    /// A duration: `60s`.
    mentions_every: Option<String>,
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountView {
    #[schema(value_type = AccountSettings)]
    settings: Table,
    /// Display name when it was linked; empty for declared ones.
    name: String,
    avatar_url: String,
    /// In the configuration; cannot be changed here.
    declared: bool,
    /// Its messages are routed; a linked account waits for an administrator to confirm it.
    confirmed: bool,
    /// Has a token of OAuth 1.0a.
    oauth1: bool,
    /// Has, or had, a pair of OAuth 2.0 tokens.
    oauth2: bool,
    #[schema(format = DateTime)]
    linked_at: Option<String>,
}

impl AccountView {
    fn declared(account: &Account) -> Self {
        Self {
            settings: written::account(account),
            name: String::new(),
            avatar_url: String::new(),
            declared: true,
            confirmed: true,
            oauth1: account.access_token.is_some(),
            oauth2: account.has_oauth2(),
            linked_at: None,
        }
    }
}

impl TryFrom<Linked> for AccountView {
    type Error = ChangeError;

    fn try_from(linked: Linked) -> Result<Self, ChangeError> {
        let account = linked.account?;
        Ok(Self {
            name: linked.row.name,
            avatar_url: linked.row.avatar_url,
            declared: false,
            confirmed: linked.row.confirmed_at.is_some(),
            linked_at: Some(linked.row.linked_at.to_string()),
            ..Self::declared(&account)
        })
    }
}

/// The accounts, declared and linked ones.
#[utoipa::path(get, path = "/accounts", operation_id = "list_accounts", tag = "accounts", responses(
    (status = 200, description = "All of them", body = Page<AccountView>)
))]
pub(super) async fn list(api: Data<Api>) -> Result<HttpResponse, Problem> {
    let declared = api.directory.declared().accounts.iter();
    let mut items: Vec<_> = declared.map(AccountView::declared).collect();
    let linked = api.directory.linked().await?;
    for one in linked {
        items.push(AccountView::try_from(one)?);
    }
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}

/// Change settings of a linked account.
#[utoipa::path(patch, path = "/accounts/{id}", operation_id = "change_account", tag = "accounts",
    params(("id" = String, Path, description = "X's user id")),
    request_body = AccountSettings,
    responses((status = 200, description = "Its settings now", body = AccountSettings))
)]
pub(super) async fn change(
    api: Data<Api>,
    who: Who,
    id: Segment<UserId>,
    body: Body<Table>,
) -> Result<HttpResponse, Problem> {
    let id = AccountId(id.0);
    let account = api.directory.set_account(who.0.actor(), id, body.0).await?;
    Ok(HttpResponse::Ok().json(written::account(&account)))
}

/// Let the messages of a linked account be routed.
#[utoipa::path(post, path = "/accounts/{id}/confirm", operation_id = "confirm_account",
    tag = "accounts",
    params(("id" = String, Path, description = "X's user id")),
    responses((status = 204, description = "Confirmed"))
)]
pub(super) async fn confirm(
    api: Data<Api>,
    who: Who,
    id: Segment<UserId>,
) -> Result<HttpResponse, Problem> {
    let id = AccountId(id.0);
    api.directory.confirm(who.0.actor(), id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The keys of `[[filters]]`, the account left out.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what the reader of settings takes")]
pub(crate) struct FilterSettings {
    /// `direct_messages`, `mentions`, `replies`, `quotes` or `term`.
    #[schema(pattern = "^(direct_messages|mentions|replies|quotes|term)$")]
    r#match: String,
    /// Only with `mentions`: not by the mentions that a reply inherits.
    explicit_only: Option<bool>,
    /// Only with `term`: `#tag`, `@name`, a word or a phrase.
    term: Option<String>,
    /// Shown as `route.filter`.
    name: Option<String>,
    group: String,
    tags: Option<Vec<String>>,
    /// Let reposts that fit through.
    reposts: Option<bool>,
    /// Let through what other accounts of ours write.
    own: Option<bool>,
    /// Only verified authors.
    verified: Option<bool>,
    min_followers: Option<u32>,
    /// A duration: `30d`.
    min_account_age: Option<String>,
    /// Take messages of people who are no contacts.
    message_requests: Option<bool>,
    /// Not with `direct_messages`: what a conversation brings beyond it waits.
    storm: Option<StormSettings>,
}

/// How many messages of one conversation are let through in a time.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what the reader of settings takes")]
pub(crate) struct StormSettings {
    #[schema(minimum = 1)]
    messages: u32,
    /// A duration from `1s` to `30d`: `1h`.
    per: String,
}

/// The filters of an account, in the order in which they are asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FiltersView {
    /// Of the configuration; asked first, cannot be changed here.
    #[schema(value_type = Vec<FilterSettings>)]
    declared: Vec<Table>,
    #[schema(value_type = Vec<FilterSettings>)]
    filters: Vec<Table>,
}

/// Filters to keep.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFilters {
    /// In the order in which they are asked.
    #[schema(value_type = Vec<FilterSettings>)]
    filters: Vec<Table>,
}

/// An account's filters.
#[utoipa::path(get, path = "/accounts/{id}/filters", operation_id = "list_filters", tag = "filters",
    params(("id" = String, Path, description = "X's user id")),
    responses((status = 200, description = "In order", body = FiltersView))
)]
pub(super) async fn filters(api: Data<Api>, id: Segment<UserId>) -> Result<HttpResponse, Problem> {
    let id = AccountId(id.0);
    let declared = api.directory.declared().filters.iter();
    let declared = declared.filter(|filter| filter.account == id);
    Ok(HttpResponse::Ok().json(FiltersView {
        declared: declared.map(written::filter).collect(),
        filters: api.directory.made_filters(id).await?,
    }))
}

/// Keep other filters for an account.
#[utoipa::path(put, path = "/accounts/{id}/filters", operation_id = "put_filters", tag = "filters",
    params(("id" = String, Path, description = "X's user id")),
    request_body = NewFilters,
    responses((status = 200, description = "As they are now", body = FiltersView))
)]
pub(super) async fn put_filters(
    api: Data<Api>,
    who: Who,
    id: Segment<UserId>,
    body: Body<NewFilters>,
) -> Result<HttpResponse, Problem> {
    let account = AccountId(id.0);
    let list = body.0.filters;
    api.directory
        .put_filters(who.0.actor(), account, list)
        .await?;
    filters(api, id).await
}
