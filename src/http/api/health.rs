//! How well the accounts work, in sentences.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use crate::domain::event::{Fault, HealthState};
use crate::flow::watch::{AccountHealth, Subject};

/// Something that is wrong, with what mends it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FaultView {
    code: &'static str,
    #[schema(format = DateTime)]
    since: String,
    sentence: String,
    fix: String,
    fix_url: String,
}

impl From<Fault> for FaultView {
    fn from(fault: Fault) -> Self {
        Self {
            code: fault.code,
            since: fault.since.to_string(),
            sentence: fault.sentence,
            fix: fault.fix,
            fix_url: fault.fix_url,
        }
    }
}

/// An account, as `account.health` has it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountHealthView {
    id: String,
    username: String,
    /// `OK`, `DEGRADED` or `DOWN`.
    state: &'static str,
    can_receive: bool,
    can_send: bool,
    /// All that X had until then is here; empty where that is not known.
    complete_until: String,
    faults: Vec<FaultView>,
}

impl From<AccountHealth> for AccountHealthView {
    fn from(it: AccountHealth) -> Self {
        let id = it.account.id.map(|id| id.to_string());
        let until = it.health.complete_until.map(|at| at.to_string());
        Self {
            id: id.unwrap_or_default(),
            username: it.account.username,
            state: match it.health.state {
                HealthState::Ok => "OK",
                HealthState::Degraded => "DEGRADED",
                HealthState::Down => "DOWN",
            },
            can_receive: it.health.can_receive,
            can_send: it.health.can_send,
            complete_until: until.unwrap_or_default(),
            faults: it.health.faults.into_iter().map(FaultView::from).collect(),
        }
    }
}

/// A fault of an app, whether accounts are linked through it or not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppFaultView {
    app: String,
    fault: FaultView,
}

/// How things are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthView {
    accounts: Vec<AccountHealthView>,
    apps: Vec<AppFaultView>,
}

/// Every account and app as it was seen last.
#[utoipa::path(get, path = "/health", operation_id = "show_health", tag = "health", responses(
    (status = 200, description = "As it was seen last", body = HealthView)
))]
pub(super) async fn show(api: Data<Api>) -> HttpResponse {
    let accounts = api.health.accounts().into_iter();
    let faults = api.health.faults().into_iter();
    let apps = faults.filter_map(|(subject, fault)| match subject {
        Subject::App(app) => Some(AppFaultView {
            app,
            fault: fault.into(),
        }),
        Subject::Service | Subject::Account(_) => None,
    });
    HttpResponse::Ok().json(HealthView {
        accounts: accounts.map(AccountHealthView::from).collect(),
        apps: apps.collect(),
    })
}

/// Have `account.health` published for every account, with its whole state.
#[utoipa::path(post, path = "/health/snapshot", operation_id = "request_snapshot", tag = "health",
    responses((status = 202, description = "It comes within seconds"))
)]
pub(super) async fn snapshot(api: Data<Api>) -> HttpResponse {
    api.health.request_snapshot();
    HttpResponse::Accepted().finish()
}
