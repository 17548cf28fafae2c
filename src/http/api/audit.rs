//! Who has changed what.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{Limit, Page, Params, parsed};
use super::problem::Problem;
use crate::flow::admin::ledgers;
use crate::store::Audited;

/// A change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditView {
    id: String,
    #[schema(format = DateTime)]
    at: String,
    /// `token:NAME`, `session:NAME`, `command-line`, `service` or `invitation`.
    who: String,
    /// Kind of object and what was done: `token.create`.
    action: String,
    /// Id or name of what was changed; empty where there is none.
    object: String,
    /// More about it; no secrets.
    #[schema(value_type = Object)]
    detail: Value,
}

impl From<Audited> for AuditView {
    fn from(entry: Audited) -> Self {
        Self {
            id: entry.id.to_string(),
            at: entry.at.to_string(),
            who: entry.who,
            action: entry.action,
            object: entry.object,
            detail: entry.detail,
        }
    }
}

/// A part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// How many at most: 1 to 200, 50 where absent.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `next` of the part before.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^[0-9]{0,18}$")]
    after: Option<u64>,
}

/// Changes, newest first.
#[utoipa::path(get, path = "/audit", operation_id = "list_audit", tag = "audit", params(Listing),
    responses((status = 200, description = "A part of the list", body = Page<AuditView>))
)]
pub(super) async fn list(
    api: Data<Api>,
    listing: Params<Listing>,
) -> Result<HttpResponse, Problem> {
    let Listing { limit, after } = listing.0;
    let page = ledgers::audit(&api.store, after, limit.get()).await?;
    Ok(HttpResponse::Ok().json(Page::of(page, AuditView::from)))
}
