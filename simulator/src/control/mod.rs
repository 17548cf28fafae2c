//! The control API: JSON in, JSON out.

mod api;
mod reading;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query, ServiceConfig, get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actions::{self, Action, ActionError, Request};
use crate::crc::CrcError;
use crate::model::App;
use crate::record::Delivery;
use crate::settings::Disturbances;
use crate::simulator::Simulator;

/// Which deliveries to list.
#[derive(Deserialize)]
struct Wanted {
    /// Only those after this number.
    #[serde(default)]
    after: u64,
}

/// All that is below `/control`.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/deliveries", get().to(deliveries))
        .route("/apps", get().to(apps))
        .route("/users", get().to(users))
        .route("/disturbances", post().to(disturb))
        .configure(api::routes)
        .configure(reading::routes)
        .route("/{action}", post().to(act));
}

async fn act(
    simulator: Data<Simulator>,
    action: Path<Action>,
    request: Json<Request>,
) -> HttpResponse {
    match actions::run(&simulator, *action, &request).await {
        Ok(done) => HttpResponse::Ok().json(done),
        Err(error) => refusal(&error).json(json!({ "error": error.to_string() })),
    }
}

fn refusal(error: &ActionError) -> actix_web::HttpResponseBuilder {
    match error {
        ActionError::Refused(_)
        | ActionError::NothingToReplyTo(_)
        | ActionError::Crc(CrcError::Refused(_)) => HttpResponse::NotFound(),
        ActionError::Missing(_) | ActionError::PostId(_) => HttpResponse::BadRequest(),
        ActionError::Crc(CrcError::Failed(_)) => HttpResponse::BadGateway(),
    }
}

async fn deliveries(simulator: Data<Simulator>, wanted: Query<Wanted>) -> Json<Vec<Delivery>> {
    let mut deliveries = simulator.deliveries();
    deliveries.retain(|delivery| delivery.id > wanted.after);
    Json(deliveries)
}

async fn disturb(simulator: Data<Simulator>, disturbances: Json<Disturbances>) -> HttpResponse {
    simulator.disturb(disturbances.into_inner());
    HttpResponse::NoContent().finish()
}

async fn users(simulator: Data<Simulator>) -> Json<Vec<Value>> {
    let world = simulator.world().lock();
    let users = world.users();
    Json(
        users
            .map(|user| json!({ "id": user.id, "username": user.username, "name": user.name }))
            .collect(),
    )
}

async fn apps(simulator: Data<Simulator>) -> Json<Vec<Value>> {
    Json(simulator.world().lock().apps().map(app).collect())
}

fn app(app: &App) -> Value {
    json!({
        "name": app.settings.name,
        "webhook": app.settings.webhook,
        "webhook_id": app.webhook_id.to_string(),
        "valid": app.valid,
        "last_crc": app.last_crc,
        "forms": app.settings.forms,
    })
}
