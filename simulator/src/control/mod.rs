//! The control API: JSON in, JSON out.

mod api;
mod console;
mod reading;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query, ServiceConfig, get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actions::{self, Action, ActionError, Request};
use crate::crc::CrcError;
use crate::model::{App, World};
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
        .configure(console::routes)
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
    let world = simulator.world().lock();
    Json(world.apps().map(|one| app(&world, one)).collect())
}

/// With its oldest webhook.
fn app(world: &World, app: &App) -> Value {
    let webhook = world.webhook_of(&app.settings.name).ok();
    json!({
        "name": app.settings.name,
        "id": app.id.to_string(),
        "developer": app.settings.developer,
        "webhook": webhook.map(|webhook| &webhook.url),
        "webhook_id": webhook.map(|webhook| webhook.id.to_string()),
        "valid": webhook.map(|webhook| webhook.valid),
        "last_crc": webhook.map(|webhook| &webhook.last_crc),
        "forms": app.settings.forms,
        "permission": app.settings.permission,
        "callbacks": app.settings.callbacks,
        "environments": app.settings.environments,
        "suspended": app.suspended,
    })
}
