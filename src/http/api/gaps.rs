//! Times for which X may have events that we have not: listed, filled on request, acknowledged.

use actix_web::HttpResponse;
use actix_web::web::Data;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::Who;
use super::extract::{Body, Limit, Page, Params, Segment, one, parsed};
use super::problem::Problem;
use crate::domain::ids::{AccountId, UserId};
use crate::flow::admin::gaps::{self as admin, Wanted};
use crate::store::{Gap, GapReason};

/// A gap, open or closed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapView {
    id: String,
    app: String,
    /// Of this account alone; absent where it concerns all of the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    to: String,
    /// `refused`: deliveries were answered 503; `downtime`: the service did not run; `undelivered`:
    /// X did not deliver; `by_hand`: somebody asked for it; `linking`: asked for when an account was linked.
    reason: &'static str,
    /// `open`, `replay` or `reads` (by which it was filled), or `lost`: a part of it cannot be had.
    state: &'static str,
    /// By what it is being filled: `replay` or `reads`; empty where nothing was begun.
    method: &'static str,
    /// From here on something may be missing.
    #[schema(format = DateTime)]
    missing_from: String,
    /// When more is done at the earliest; absent where that is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    next_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    closed_at: Option<String>,
    /// What it waits for, or how it ended; may be empty.
    note: String,
    /// What is lost of it was seen by somebody.
    acknowledged: bool,
}

impl From<Gap> for GapView {
    fn from(gap: Gap) -> Self {
        Self {
            id: gap.id.to_string(),
            account_id: gap.account.map(|id| id.to_string()),
            from: gap.from.to_string(),
            to: gap.until.to_string(),
            reason: gap.reason.name(),
            state: gap.closed.map_or("open", |(_, end)| end.name()),
            method: gap.method.map_or("", |method| method.name()),
            missing_from: gap.rest().to_string(),
            next_at: gap.next_at.map(|at| at.to_string()),
            closed_at: gap.closed.map(|(at, _)| at.to_string()),
            app: gap.app,
            note: gap.note,
            acknowledged: gap.acknowledged,
        }
    }
}

/// Which gaps.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// Only those that are open, or all; all where absent.
    #[serde(default)]
    #[param(inline)]
    state: Option<GapState>,
    /// How many at most: 1 to 200, 50 where absent.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `next` of the part before.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^[0-9]{0,18}$")]
    after: Option<u64>,
}

/// Whether something is still to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GapState {
    Open,
    All,
}

/// Gaps, newest first. Closed ones are kept as long as bodies of events.
#[utoipa::path(get, path = "/gaps", operation_id = "list_gaps", tag = "gaps", params(Listing),
    responses((status = 200, description = "A part of the list", body = Page<GapView>))
)]
pub(super) async fn list(
    api: Data<Api>,
    listing: Params<Listing>,
) -> Result<HttpResponse, Problem> {
    let Listing {
        state,
        limit,
        after,
    } = listing.0;
    let open = state == Some(GapState::Open);
    let page = admin::list(&api.store, open, after, limit.get()).await?;
    Ok(HttpResponse::Ok().json(Page::of(page, GapView::from)))
}

/// A time to fill.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fill {
    app: String,
    /// For this account alone; its messages are read then, which X charges.
    #[serde(default, deserialize_with = "parsed")]
    #[schema(value_type = Option<String>)]
    account_id: Option<UserId>,
    /// At most seven days ago.
    #[serde(deserialize_with = "one")]
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[serde(deserialize_with = "one")]
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
}

/// Have what X has of a time delivered again or read. What is here already does not come twice.
#[utoipa::path(post, path = "/gaps", operation_id = "fill_gap", tag = "gaps", request_body = Fill,
    responses((status = 202, description = "The gap that is being filled", body = GapView))
)]
pub(super) async fn fill(
    api: Data<Api>,
    who: Who,
    body: Body<Fill>,
) -> Result<HttpResponse, Problem> {
    let Fill {
        app,
        account_id,
        from,
        to,
    } = body.0;
    let wanted = Wanted {
        app,
        account: account_id.map(AccountId),
        from,
        until: to,
        reason: GapReason::ByHand,
    };
    let (rules, now) = (api.rules.now(), Timestamp::now());
    let gap = admin::fill(&api.store, &rules.registry, wanted, who.0.actor(), now).await?;
    Ok(HttpResponse::Accepted().json(GapView::from(gap)))
}

/// End the notice that something of a gap is lost.
#[utoipa::path(post, path = "/gaps/{id}/acknowledge", operation_id = "acknowledge_gap", tag = "gaps",
    params(("id" = String, Path, description = "Id of the gap")),
    responses((status = 204, description = "It is told no more"))
)]
pub(super) async fn acknowledge(
    api: Data<Api>,
    who: Who,
    id: Segment<u64>,
) -> Result<HttpResponse, Problem> {
    admin::acknowledge(&api.store, id.0, who.0.actor(), Timestamp::now()).await?;
    Ok(HttpResponse::NoContent().finish())
}
