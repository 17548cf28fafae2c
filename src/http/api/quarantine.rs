//! Deliveries of X that were kept because they were not understood or had no account yet.

use actix_web::HttpResponse;
use actix_web::web::Data;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::Who;
use super::events::Count;
use super::extract::{Body, Limit, Page, Params, Segment, parsed, parsed_all};
use super::problem::Problem;
use crate::flow::admin::quarantine as kept;
use crate::store::{KeptDelivery, Quarantined};

/// Ids that are taken at once.
const MOST_IDS: usize = 1000;

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

/// A kept delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryView {
    id: String,
    #[schema(format = DateTime)]
    received_at: String,
    app: String,
    /// `unknown_shape`, `malformed_event` or `account_not_linked`.
    reason: String,
    /// Where and why.
    detail: String,
    /// The account it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    bytes: u64,
    /// It was asked to be processed again.
    retry: bool,
}

impl From<KeptDelivery> for DeliveryView {
    fn from(kept: KeptDelivery) -> Self {
        Self {
            id: kept.id.to_string(),
            received_at: kept.at.to_string(),
            app: kept.app,
            reason: kept.reason,
            detail: kept.detail,
            account_id: kept.account.map(|id| id.to_string()),
            bytes: kept.bytes,
            retry: kept.retry,
        }
    }
}

/// A kept delivery, whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WholeDelivery {
    id: String,
    #[schema(format = DateTime)]
    received_at: String,
    app: String,
    reason: String,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    /// As X sent it.
    body: String,
}

impl From<Quarantined> for WholeDelivery {
    fn from(kept: Quarantined) -> Self {
        Self {
            id: kept.id.to_string(),
            received_at: kept.at.to_string(),
            app: kept.app,
            reason: kept.reason,
            detail: kept.detail,
            account_id: kept.account.map(|id| id.to_string()),
            body: String::from_utf8_lossy(&kept.body).into_owned(),
        }
    }
}

/// What is kept, oldest first.
#[utoipa::path(get, path = "/quarantine", operation_id = "list_quarantine", tag = "quarantine",
    params(Listing),
    responses((status = 200, description = "A part of the list", body = Page<DeliveryView>))
)]
pub(super) async fn list(
    api: Data<Api>,
    listing: Params<Listing>,
) -> Result<HttpResponse, Problem> {
    let Listing { limit, after } = listing.0;
    let page = kept::list(&api.store, after.unwrap_or(0), limit.get()).await?;
    Ok(HttpResponse::Ok().json(Page::of(page, DeliveryView::from)))
}

/// One kept delivery, whole.
#[utoipa::path(get, path = "/quarantine/{id}", operation_id = "show_quarantine",
    tag = "quarantine",
    params(("id" = String, Path, description = "Id of the delivery")),
    responses((status = 200, description = "The delivery", body = WholeDelivery))
)]
pub(super) async fn show(api: Data<Api>, id: Segment<u64>) -> Result<HttpResponse, Problem> {
    let found = kept::show(&api.store, id.0).await?;
    let missing = || Problem::not_found("No such delivery is in quarantine.");
    Ok(HttpResponse::Ok().json(WholeDelivery::from(found.ok_or_else(missing)?)))
}

/// What to process again: `ids`, or `all`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryDeliveries {
    #[serde(default, deserialize_with = "parsed_all")]
    #[schema(value_type = Vec<String>, max_items = 1000)]
    ids: Vec<u64>,
    #[serde(default)]
    all: bool,
}

/// Have kept deliveries processed again; what is already published is not published twice.
#[utoipa::path(post, path = "/quarantine/retry", operation_id = "retry_quarantine",
    tag = "quarantine", request_body = RetryDeliveries,
    responses((status = 202, description = "They will be processed again", body = Count))
)]
pub(super) async fn retry(
    api: Data<Api>,
    who: Who,
    body: Body<RetryDeliveries>,
) -> Result<HttpResponse, Problem> {
    let (RetryDeliveries { ids, all }, who, now) = (body.0, who.0.actor(), Timestamp::now());
    let count = match (all, ids.len()) {
        (true, 0) => kept::retry_all(&api.store, who, now).await?,
        (false, 1..=MOST_IDS) => kept::retry(&api.store, ids, who, now).await?,
        (_, found) => {
            let expected = format!("either all, or 1 to {MOST_IDS} ids");
            return Err(Problem::field("ids", &found.to_string(), expected));
        }
    };
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    Ok(HttpResponse::Accepted().json(Count { count }))
}
