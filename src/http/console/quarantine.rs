//! Deliveries that were kept because a part of them was not understood, or has no account yet.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::page::{Refused, Shell, Visit, go, html};
use super::words::When;
use crate::flow::admin::quarantine;
use crate::http::api::Api;
use crate::store::KeptDelivery;

/// Deliveries on a page.
const PAGE: usize = 50;
/// Most of a body that is shown, bytes.
const SHOWN: usize = 64 * 1024;

/// Which part of the list.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    after: Option<u64>,
}

struct Row {
    id: u64,
    at: When,
    app: String,
    reason: &'static str,
    detail: String,
    bytes: u64,
    retry: bool,
}

impl From<KeptDelivery> for Row {
    fn from(kept: KeptDelivery) -> Self {
        Self {
            id: kept.id,
            at: When(kept.at),
            app: kept.app,
            reason: reason(&kept.reason),
            detail: kept.detail,
            bytes: kept.bytes,
            retry: kept.retry,
        }
    }
}

fn reason(word: &str) -> &'static str {
    match word {
        "account_not_linked" => "For an account that is not linked; it is taken in once it is",
        _ => "A part of it was not understood",
    }
}

#[derive(Template)]
#[template(path = "console/quarantine.html")]
struct ListPage {
    shell: Shell,
    rows: Vec<Row>,
    next: Option<u64>,
}

pub(super) async fn list(
    api: Data<Api>,
    visit: Visit,
    listing: Query<Listing>,
) -> Result<HttpResponse, Refused> {
    let found = quarantine::list(&api.store, listing.after.unwrap_or(0), PAGE).await?;
    let page = ListPage {
        rows: found.items.into_iter().map(Row::from).collect(),
        next: found.next,
        shell: visit.shell("quarantine"),
    };
    Ok(html(&page))
}

#[derive(Template)]
#[template(path = "console/delivery.html")]
struct DeliveryPage {
    shell: Shell,
    id: u64,
    at: When,
    app: String,
    reason: &'static str,
    detail: String,
    body: String,
    cut: bool,
}

pub(super) async fn show(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
) -> Result<HttpResponse, Refused> {
    let id = parsed(&id)?;
    let found = quarantine::show(&api.store, id).await?;
    let kept = found.ok_or_else(|| Refused::not_found("delivery"))?;
    let (body, cut) = shown(&kept.body);
    let page = DeliveryPage {
        id: kept.id,
        at: When(kept.at),
        app: kept.app,
        reason: reason(&kept.reason),
        detail: kept.detail,
        body,
        cut,
        shell: visit.shell("quarantine"),
    };
    Ok(html(&page))
}

/// JSON laid out for people, up to a length.
pub(super) fn shown(body: &[u8]) -> (String, bool) {
    let mut text = match serde_json::from_slice::<Value>(body) {
        Ok(value) => format!("{value:#}"),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let cut = text.len() > SHOWN;
    if cut {
        text.truncate(text.floor_char_boundary(SHOWN));
    }
    (text, cut)
}

fn parsed(id: &str) -> Result<u64, Refused> {
    id.parse().map_err(|_unread| Refused::not_found("delivery"))
}

/// Has one tried again.
pub(super) async fn retry(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
) -> Result<HttpResponse, Refused> {
    let ids = vec![parsed(&id)?];
    quarantine::retry(&api.store, ids, visit.actor, Timestamp::now()).await?;
    Ok(go("/quarantine?done=quarantine-retried"))
}

/// Has all of them tried again.
pub(super) async fn retry_all(api: Data<Api>, visit: Visit) -> Result<HttpResponse, Refused> {
    quarantine::retry_all(&api.store, visit.actor, Timestamp::now()).await?;
    Ok(go("/quarantine?done=quarantine-retried"))
}
