//! By JSON: the stream, what no webhook is told of, and many people at once.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, ServiceConfig, get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Answer, done, user};
use crate::api::StreamFault;
use crate::model::{MessageId, PostId};
use crate::simulator::{Pace, Simulator, Storm, StreamSeen, Traffic, Written};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/streams", get().to(streams))
        .route("/stream", post().to(disturb))
        .route("/rules", post().to(add_rule))
        .route("/silence", post().to(silence))
        .route("/delete_silently", post().to(delete_post))
        .route("/edit_silently", post().to(edit_post))
        .route("/delete_message_silently", post().to(delete_message))
        .route("/scrub_geo", post().to(scrub_geo))
        .route("/storm", post().to(storm))
        .route("/traffic", post().to(traffic));
}

async fn streams(simulator: Data<Simulator>) -> Json<Vec<StreamSeen>> {
    Json(simulator.streams())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disturbance {
    app: String,
    what: StreamFault,
}

async fn disturb(simulator: Data<Simulator>, order: Json<Disturbance>) -> Answer {
    let met = simulator.disturb_stream(&order.app, &order.what)?;
    Ok(HttpResponse::Ok().json(json!({ "met": met })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRule {
    app: String,
    value: String,
    #[serde(default)]
    tag: String,
}

async fn add_rule(simulator: Data<Simulator>, rule: Json<NewRule>) -> Answer {
    let id = simulator.add_rule(&rule.app, &rule.value, &rule.tag)?;
    Ok(HttpResponse::Ok().json(json!({ "id": id.to_string() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Silence {
    on: bool,
}

async fn silence(simulator: Data<Simulator>, silence: Json<Silence>) -> HttpResponse {
    simulator.silence(silence.on);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPost {
    post: PostId,
    #[serde(default)]
    text: String,
}

async fn delete_post(simulator: Data<Simulator>, of: Json<OfPost>) -> Answer {
    simulator.delete_silently(of.post)?;
    Ok(done())
}

async fn edit_post(simulator: Data<Simulator>, of: Json<OfPost>) -> Answer {
    let id = simulator.edit_silently(of.post, &of.text)?;
    Ok(HttpResponse::Ok().json(json!({ "id": id })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfMessage {
    message: MessageId,
}

async fn delete_message(simulator: Data<Simulator>, of: Json<OfMessage>) -> Answer {
    simulator.delete_message_silently(of.message)?;
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfAccount {
    account: String,
}

async fn scrub_geo(simulator: Data<Simulator>, of: Json<OfAccount>) -> Answer {
    let account = user(&simulator, &of.account)?;
    simulator.scrub_geo(account)?;
    Ok(done())
}

/// Of the two spans at most one; none is as fast as can be.
#[derive(Deserialize)]
struct Span {
    /// On the simulator's clock.
    over_s: Option<u64>,
    real_s: Option<u64>,
}

impl Span {
    fn pace(&self) -> Pace {
        match (self.over_s, self.real_s) {
            (_, Some(seconds)) => Pace::Real(Duration::from_secs(seconds)),
            (Some(seconds), None) => Pace::Simulated(Duration::from_secs(seconds)),
            (None, None) => Pace::AtOnce,
        }
    }
}

#[derive(Deserialize)]
struct NewStorm {
    post: PostId,
    people: usize,
    #[serde(default = "outcry")]
    text: String,
    #[serde(flatten)]
    span: Span,
}

fn outcry() -> String {
    "Shame on you".to_owned()
}

async fn storm(simulator: Data<Simulator>, new: Json<NewStorm>) -> Answer {
    let storm = Storm {
        post: new.post,
        people: new.people,
        text: new.text.clone(),
        pace: new.span.pace(),
    };
    let replies = simulator.storm(&storm).await?;
    Ok(HttpResponse::Ok().json(json!({ "posts": replies })))
}

#[derive(Deserialize)]
struct NewTraffic {
    account: String,
    customers: Option<usize>,
    count: Option<usize>,
    #[serde(default)]
    seed: u64,
    #[serde(flatten)]
    span: Span,
}

/// What is left out is as in two hours of traffic, the time excepted.
async fn traffic(simulator: Data<Simulator>, new: Json<NewTraffic>) -> Answer {
    let usual = Traffic::of_two_hours(user(&simulator, &new.account)?);
    let traffic = Traffic {
        customers: new.customers.unwrap_or(usual.customers),
        count: new.count.unwrap_or(usual.count),
        pace: new.span.pace(),
        seed: new.seed,
        ..usual
    };
    let written = simulator.traffic(&traffic).await?;
    Ok(HttpResponse::Ok().json(written.iter().map(shown).collect::<Vec<Value>>()))
}

fn shown(written: &Written) -> Value {
    match written {
        Written::Post(id) => json!({ "post": id }),
        Written::Message(id) => json!({ "message": id }),
    }
}
