//! The API side by JSON: credentials, rules, faults, money, and what came of it all.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Query, ServiceConfig, delete, get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{ApiCall, ApiSettings, Bill, Endpoint, Fault, Limits};
use crate::model::{Refused, Standing, UserId};
use crate::simulator::{MessageSeen, PostSeen, Simulator};

pub(super) type Answer = Result<HttpResponse, NotFound>;

/// What was named is not there.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct NotFound(#[from] Refused);

impl actix_web::ResponseError for NotFound {
    fn error_response(&self) -> HttpResponse {
        let mut refusal = match self {
            Self(Refused::BadRule(_)) => HttpResponse::BadRequest(),
            Self(_) => HttpResponse::NotFound(),
        };
        refusal.json(json!({ "error": self.to_string() }))
    }
}

/// Those of its routes that stand before the actions.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/credentials", get().to(credentials))
        .route("/authorize", post().to(authorize))
        .route("/kill_tokens", post().to(kill_tokens))
        .route("/settings", get().to(settings))
        .route("/settings", post().to(change_settings))
        .route("/limits", post().to(limit))
        .route("/standing", get().to(standing))
        .route("/standing", post().to(change_standing))
        .route("/faults", get().to(faults))
        .route("/faults", post().to(order))
        .route("/faults", delete().to(clear))
        .route("/credit", post().to(credit))
        .route("/bill", get().to(bill))
        .route("/clock", get().to(clock))
        .route("/clock", post().to(advance))
        .route("/calls", get().to(calls))
        .route("/posts", get().to(posts))
        .route("/messages", get().to(messages));
}

/// An app and one of its accounts, by @name or id.
#[derive(Deserialize)]
struct Pair {
    app: String,
    account: String,
}

pub(super) fn user(simulator: &Simulator, named: &str) -> Result<UserId, Refused> {
    let name = named.trim_start_matches('@');
    let world = simulator.world().lock();
    let by_id = || name.parse().ok().and_then(|id| world.user(id).ok());
    let found = world.user_named(name).or_else(by_id);
    let found = found.ok_or_else(|| Refused::UnknownUser(name.to_owned()))?;
    Ok(found.id)
}

async fn credentials(simulator: Data<Simulator>, pair: Query<Pair>) -> Answer {
    let account = user(&simulator, &pair.account)?;
    let credentials = simulator.credentials(&pair.app, account)?;
    Ok(HttpResponse::Ok().json(credentials))
}

async fn authorize(simulator: Data<Simulator>, pair: Json<Pair>) -> Answer {
    let account = user(&simulator, &pair.account)?;
    let credentials = simulator.authorize(&pair.app, account)?;
    Ok(HttpResponse::Ok().json(credentials))
}

async fn kill_tokens(simulator: Data<Simulator>, pair: Json<Pair>) -> Answer {
    let account = user(&simulator, &pair.account)?;
    simulator.kill_tokens(&pair.app, account);
    Ok(done())
}

pub(super) fn done() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

async fn settings(simulator: Data<Simulator>) -> Json<ApiSettings> {
    Json(simulator.api_settings())
}

/// Those given replace those in force; the others stay.
async fn change_settings(simulator: Data<Simulator>, given: Json<Value>) -> HttpResponse {
    match laid_over(&simulator.api_settings(), &given) {
        Ok(changed) => {
            simulator.change_api(|settings| *settings = changed);
            HttpResponse::Ok().json(simulator.api_settings())
        }
        Err(error) => HttpResponse::BadRequest().json(json!({ "error": error.to_string() })),
    }
}

fn laid_over<T: Serialize + for<'de> Deserialize<'de>>(
    current: &T,
    given: &Value,
) -> Result<T, serde_json::Error> {
    let mut merged = serde_json::to_value(current)?;
    if let (Some(merged), Some(given)) = (merged.as_object_mut(), given.as_object()) {
        merged.extend(given.clone());
    }
    serde_json::from_value(merged)
}

#[derive(Deserialize)]
struct NewLimits {
    endpoint: Endpoint,
    #[serde(flatten)]
    limits: Limits,
}

async fn limit(simulator: Data<Simulator>, new: Json<NewLimits>) -> HttpResponse {
    simulator.limit(new.endpoint, new.limits);
    done()
}

#[derive(Deserialize)]
struct Account {
    account: String,
}

async fn standing(simulator: Data<Simulator>, of: Query<Account>) -> Answer {
    let account = user(&simulator, &of.account)?;
    Ok(HttpResponse::Ok().json(simulator.standing(account)?))
}

/// `account`, and those of the standing that change; `protected` too.
async fn change_standing(simulator: Data<Simulator>, mut given: Json<Value>) -> Answer {
    let mut taken = |key| {
        let fields = given.as_object_mut();
        fields
            .and_then(|fields| fields.remove(key))
            .unwrap_or_default()
    };
    let (named, protected) = (taken("account"), taken("protected").as_bool());
    let account = user(&simulator, named.as_str().unwrap_or_default())?;
    let changed: Standing = match laid_over(&simulator.standing(account)?, &given) {
        Ok(changed) => changed,
        Err(error) => {
            let error = json!({ "error": error.to_string() });
            return Ok(HttpResponse::BadRequest().json(error));
        }
    };
    simulator.change_standing(account, |standing| *standing = changed)?;
    if let Some(protected) = protected {
        simulator.set_protected(account, protected)?;
    }
    Ok(done())
}

async fn faults(simulator: Data<Simulator>) -> Json<Vec<Fault>> {
    Json(simulator.faults())
}

async fn order(simulator: Data<Simulator>, fault: Json<Fault>) -> HttpResponse {
    simulator.order(fault.into_inner());
    done()
}

async fn clear(simulator: Data<Simulator>) -> HttpResponse {
    simulator.clear_faults();
    done()
}

#[derive(Deserialize)]
struct Credit {
    app: String,
    /// Without end when absent.
    micro_usd: Option<i64>,
}

async fn credit(simulator: Data<Simulator>, credit: Json<Credit>) -> HttpResponse {
    simulator.set_credit(&credit.app, credit.micro_usd);
    done()
}

#[derive(Deserialize)]
struct OfApp {
    app: String,
}

async fn bill(simulator: Data<Simulator>, of: Query<OfApp>) -> Json<Bill> {
    Json(simulator.bill(&of.app))
}

#[derive(Deserialize)]
struct Passing {
    advance_s: u64,
}

async fn clock(simulator: Data<Simulator>) -> Json<Value> {
    Json(json!({ "now": simulator.now().to_string() }))
}

async fn advance(simulator: Data<Simulator>, passing: Json<Passing>) -> Json<Value> {
    simulator.advance(std::time::Duration::from_secs(passing.advance_s));
    clock(simulator).await
}

/// Which calls to list.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct WantedCalls {
    after: u64,
    endpoint: Option<Endpoint>,
}

async fn calls(simulator: Data<Simulator>, wanted: Query<WantedCalls>) -> Json<Vec<ApiCall>> {
    let mut calls = simulator.calls_after(wanted.after);
    let endpoint = wanted.endpoint;
    calls.retain(|call| endpoint.is_none_or(|endpoint| call.endpoint == endpoint));
    Json(calls)
}

/// Whose posts or messages to list, and with which text.
#[derive(Deserialize)]
struct Written {
    account: String,
    text: Option<String>,
}

async fn posts(simulator: Data<Simulator>, wanted: Query<Written>) -> Answer {
    let account = user(&simulator, &wanted.account)?;
    let mut posts: Vec<PostSeen> = simulator.posts_by(account);
    let text = wanted.text.as_ref();
    posts.retain(|post| text.is_none_or(|text| post.text == *text));
    Ok(HttpResponse::Ok().json(posts))
}

async fn messages(simulator: Data<Simulator>, wanted: Query<Written>) -> Answer {
    let account = user(&simulator, &wanted.account)?;
    let mut messages: Vec<MessageSeen> = simulator.messages_of(account);
    let text = wanted.text.as_ref();
    messages.retain(|message| text.is_none_or(|text| message.text == *text));
    Ok(HttpResponse::Ok().json(messages))
}
