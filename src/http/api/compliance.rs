//! Checks of published posts against X.

use actix_web::HttpResponse;
use actix_web::web::Data;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::auth::Who;
use super::extract::Segment;
use super::problem::Problem;
use crate::flow::admin::compliance;
use crate::flow::compliance::Requested;

/// A check that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ComplianceCheckView {
    app: String,
    /// `begins` within seconds; or `under_way` already.
    state: &'static str,
    /// Since when, of one under way; else empty.
    since: String,
}

/// Ask X which published posts are to be shown no more.
#[utoipa::path(post, path = "/apps/{name}/compliance", operation_id = "check_compliance",
    tag = "apps",
    params(("name" = String, Path, description = "Name of the app")),
    responses((status = 202, description = "It begins, or is under way", body = ComplianceCheckView))
)]
pub(super) async fn run(
    api: Data<Api>,
    who: Who,
    name: Segment<String>,
) -> Result<HttpResponse, Problem> {
    let (registry, now) = (&api.rules.now().registry, Timestamp::now());
    let requested = compliance::request(&api.store, registry, &name.0, who.0.actor(), now);
    let (state, since) = match requested.await? {
        Requested::Begins => ("begins", String::new()),
        Requested::UnderWay(since) => ("under_way", since.to_string()),
    };
    Ok(HttpResponse::Accepted().json(ComplianceCheckView {
        app: name.0,
        state,
        since,
    }))
}
