//! What X has charged by the price list.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use askama::Template;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::Deserialize;

use super::conversations::{Choice, account_of, choices};
use super::page::{Refused, Shell, Visit, html};
use super::words::handle;
use crate::domain::ids::AccountId;
use crate::domain::money::Usd;
use crate::flow::admin::ledgers;
use crate::http::api::Api;
use crate::http::api::problem::Problem;
use crate::store::DayCost;

/// Longest time shown at once, days.
const MOST_DAYS: i32 = 366;

/// Which costs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listing {
    from: String,
    to: String,
    account: String,
}

struct Row {
    day: String,
    account: String,
    kind: String,
    count: u64,
    amount: String,
}

struct Sum {
    account: String,
    kind: String,
    count: u64,
    amount: String,
}

#[derive(Template)]
#[template(path = "console/costs.html")]
struct CostsPage {
    shell: Shell,
    from: String,
    to: String,
    choices: Vec<Choice>,
    total: String,
    sums: Vec<Sum>,
    rows: Vec<Row>,
}

pub(super) async fn list(
    api: Data<Api>,
    visit: Visit,
    listing: Query<Listing>,
) -> Result<HttpResponse, Refused> {
    let (from, to) = days(&listing, Timestamp::now())?;
    let account = account_of(&listing.account)?;
    let costs = ledgers::costs(&api.store, account, from..=to).await?;
    let rules = api.rules.now();
    let total: Usd = costs.iter().map(|it| it.cost.amount).sum();
    let mut sums: BTreeMap<(AccountId, String), (u64, Usd)> = BTreeMap::new();
    for it in &costs {
        let sum = sums
            .entry((it.cost.account, it.cost.kind.clone()))
            .or_default();
        *sum = (sum.0 + it.cost.count, sum.1 + it.cost.amount);
    }
    let page = CostsPage {
        from: from.to_string(),
        to: to.to_string(),
        choices: choices(&api, &listing.account),
        total: total.to_string(),
        sums: sums
            .into_iter()
            .map(|((account, kind), (count, amount))| Sum {
                account: handle(&rules, account),
                kind,
                count,
                amount: amount.to_string(),
            })
            .collect(),
        rows: costs
            .into_iter()
            .rev()
            .map(|it| row(it, |id| handle(&rules, id)))
            .collect(),
        shell: visit.shell("costs"),
    };
    Ok(html(&page))
}

fn row(it: DayCost, name: impl Fn(AccountId) -> String) -> Row {
    Row {
        day: it.day.to_string(),
        account: name(it.cost.account),
        kind: it.cost.kind,
        count: it.cost.count,
        amount: it.cost.amount.to_string(),
    }
}

/// First and last day; this month where nothing is said.
fn days(listing: &Listing, now: Timestamp) -> Result<(Date, Date), Problem> {
    let today = TimeZone::UTC.to_datetime(now).date();
    let to = day("to", &listing.to)?.unwrap_or(today);
    let from = day("from", &listing.from)?.unwrap_or(to.first_of_month());
    let earliest = to.saturating_sub(Span::new().days(MOST_DAYS - 1));
    if from > to || from < earliest {
        let expected = format!("a day up to {to}, at most {MOST_DAYS} days before it");
        return Err(Problem::field("from", &listing.from, expected));
    }
    Ok((from, to))
}

fn day(name: &str, raw: &str) -> Result<Option<Date>, Problem> {
    match raw {
        "" => Ok(None),
        raw => {
            let read = raw.parse().map(Some);
            read.map_err(|_unread| Problem::field(name, raw, "a day, e.g. 2026-11-25"))
        }
    }
}
