//! Who has changed what.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use super::page::{Refused, Shell, Visit, html};
use super::words::When;
use crate::flow::admin::ledgers;
use crate::http::api::Api;
use crate::store::Audited;

/// Changes on a page.
const PAGE: usize = 100;

/// Which part of the list.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    after: Option<u64>,
}

struct Row {
    at: When,
    who: String,
    action: String,
    object: String,
    detail: String,
}

impl From<Audited> for Row {
    fn from(entry: Audited) -> Self {
        Self {
            at: When(entry.at),
            who: entry.who,
            action: entry.action,
            object: entry.object,
            detail: match entry.detail {
                Value::Object(detail) if !detail.is_empty() => {
                    let parts = detail.iter().map(|(key, value)| match value {
                        Value::String(text) => format!("{key}: {text}"),
                        other => format!("{key}: {other}"),
                    });
                    parts.collect::<Vec<_>>().join(", ")
                }
                _ => String::new(),
            },
        }
    }
}

#[derive(Template)]
#[template(path = "console/audit.html")]
struct AuditPage {
    shell: Shell,
    rows: Vec<Row>,
    next: Option<u64>,
}

pub(super) async fn list(
    api: Data<Api>,
    visit: Visit,
    listing: Query<Listing>,
) -> Result<HttpResponse, Refused> {
    let found = ledgers::audit(&api.store, listing.after, PAGE).await?;
    let page = AuditPage {
        rows: found.items.into_iter().map(Row::from).collect(),
        next: found.next,
        shell: visit.shell("audit"),
    };
    Ok(html(&page))
}
