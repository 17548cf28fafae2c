//! What X's developer console and a user's settings show and change, by JSON.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Query, ServiceConfig, get, post};
use serde::Deserialize;
use serde_json::json;

use super::api::{Answer, done, user};
use crate::api::Decision;
use crate::model::Permission;
use crate::simulator::{Simulator, SubscriptionSeen, WebhookSeen};
use crate::spec::AppSpec;

/// Those of its routes that stand before the actions.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/apps", post().to(add_app))
        .route("/permission", post().to(change_permission))
        .route("/owner", post().to(change_owner))
        .route("/webhooks", get().to(webhooks))
        .route("/webhooks", post().to(register_webhook))
        .route("/subscriptions", get().to(subscriptions))
        .route("/tokens", get().to(tokens))
        .route("/consent", post().to(consent));
}

async fn add_app(simulator: Data<Simulator>, spec: Json<AppSpec>) -> Answer {
    simulator.register(&spec)?;
    Ok(done())
}

#[derive(Deserialize)]
struct Level {
    app: String,
    permission: Permission,
}

async fn change_permission(simulator: Data<Simulator>, level: Json<Level>) -> Answer {
    simulator.set_app_permission(&level.app, level.permission)?;
    Ok(done())
}

#[derive(Deserialize)]
struct Owner {
    app: String,
    account: String,
}

async fn change_owner(simulator: Data<Simulator>, owner: Json<Owner>) -> Answer {
    let account = user(&simulator, &owner.account)?;
    simulator.set_owner(&owner.app, account);
    Ok(done())
}

/// Whose webhooks, subscriptions and tokens to list: everybody's when nobody is named.
#[derive(Deserialize)]
struct Whose {
    app: Option<String>,
    account: Option<String>,
}

impl Whose {
    fn is_of(&self, app: &str) -> bool {
        self.app.as_ref().is_none_or(|wanted| wanted == app)
    }
}

async fn webhooks(simulator: Data<Simulator>, whose: Query<Whose>) -> Json<Vec<WebhookSeen>> {
    let mut webhooks = simulator.webhooks();
    webhooks.retain(|webhook| whose.is_of(&webhook.app));
    Json(webhooks)
}

#[derive(Deserialize)]
struct NewWebhook {
    app: String,
    url: String,
    environment: Option<String>,
}

async fn register_webhook(simulator: Data<Simulator>, new: Json<NewWebhook>) -> Answer {
    let id = simulator.register_webhook(&new.app, &new.url, new.environment.as_deref())?;
    Ok(HttpResponse::Ok().json(json!({ "id": id.to_string() })))
}

async fn subscriptions(simulator: Data<Simulator>, whose: Query<Whose>) -> Answer {
    let account = whose.account.as_deref();
    let account = account.map(|named| user(&simulator, named)).transpose()?;
    let mut subscriptions: Vec<SubscriptionSeen> = simulator.subscriptions();
    subscriptions.retain(|kept| {
        whose.is_of(&kept.app) && account.is_none_or(|account| kept.account == account)
    });
    Ok(HttpResponse::Ok().json(subscriptions))
}

async fn tokens(simulator: Data<Simulator>, whose: Query<Whose>) -> Answer {
    let account = whose.account.as_deref();
    let account = account.map(|named| user(&simulator, named)).transpose()?;
    let mut tokens = simulator.all_tokens();
    tokens.retain(|token| {
        whose.is_of(&token.app) && account.is_none_or(|account| token.user == account)
    });
    Ok(HttpResponse::Ok().json(tokens))
}

/// What a user says at the page of that address.
#[derive(Deserialize)]
struct Said {
    page: String,
    account: String,
    decision: Decision,
}

async fn consent(simulator: Data<Simulator>, said: Json<Said>) -> Answer {
    let account = user(&simulator, &said.account)?;
    Ok(
        match simulator.consent(&said.page, account, said.decision) {
            Ok(leads_to) => HttpResponse::Ok().json(json!({ "leads_to": leads_to })),
            Err(error) => HttpResponse::BadRequest().json(json!({ "error": error.to_string() })),
        },
    )
}
