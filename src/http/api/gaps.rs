//! Times for which X may have events that we have not.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::extract::Page;
use super::problem::Problem;
use crate::flow::admin::ledgers;
use crate::store::Gap;

/// A gap that nothing has closed yet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapView {
    id: String,
    app: String,
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    to: String,
    /// `refused`: deliveries were answered 503; `downtime`: the service did not run;
    /// `undelivered`: X did not deliver.
    reason: String,
}

impl From<Gap> for GapView {
    fn from(gap: Gap) -> Self {
        Self {
            id: gap.id.to_string(),
            app: gap.app,
            from: gap.from.to_string(),
            to: gap.until.to_string(),
            reason: gap.reason,
        }
    }
}

/// Open gaps, oldest first.
#[utoipa::path(get, path = "/gaps", operation_id = "list_gaps", tag = "gaps", responses(
    (status = 200, description = "All that are open", body = Page<GapView>)
))]
pub(super) async fn list(api: Data<Api>) -> Result<HttpResponse, Problem> {
    let gaps = ledgers::gaps(&api.store).await?;
    Ok(HttpResponse::Ok().json(Page {
        items: gaps.into_iter().map(GapView::from).collect(),
        next: None,
    }))
}
