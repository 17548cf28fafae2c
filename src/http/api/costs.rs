//! What X has charged.

use actix_web::HttpResponse;
use actix_web::web::Data;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{Params, parsed};
use super::problem::Problem;
use crate::domain::ids::{AccountId, UserId};
use crate::domain::money::Usd;
use crate::flow::admin::ledgers;
use crate::store::DayCost;

/// Longest time that is told at once, days.
const MOST_DAYS: i32 = 366;

/// Which costs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// First UTC day; the first of this month where absent.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")]
    from: Option<Date>,
    /// Last UTC day; today where absent. At most 366 days in all.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")]
    to: Option<Date>,
    /// Of this account.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^([1-9][0-9]{0,18})?$")]
    account: Option<UserId>,
}

impl Listing {
    /// First and last day, in order.
    fn days(&self, now: Timestamp) -> Result<(Date, Date), Problem> {
        let today = TimeZone::UTC.to_datetime(now).date();
        let to = self.to.unwrap_or(today);
        let from = self.from.unwrap_or(to.first_of_month());
        let value = from.to_string();
        if from > to {
            return Err(Problem::field("from", &value, format!("a day up to {to}")));
        }
        let earliest = to.saturating_sub(Span::new().days(MOST_DAYS - 1));
        if from < earliest {
            let expected = format!("a day from {earliest} on: {MOST_DAYS} days at most");
            return Err(Problem::field("from", &value, expected));
        }
        Ok((from, to))
    }
}

/// What X charged for one kind of thing on one day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CostView {
    account_id: String,
    /// UTC.
    #[schema(format = Date)]
    day: String,
    /// As the price list names it.
    kind: String,
    count: u64,
    amount_usd: String,
}

impl From<DayCost> for CostView {
    fn from(it: DayCost) -> Self {
        Self {
            account_id: it.cost.account.to_string(),
            day: it.day.to_string(),
            kind: it.cost.kind,
            count: it.cost.count,
            amount_usd: it.cost.amount.to_string(),
        }
    }
}

/// Costs of some days.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Costs {
    #[schema(format = Date)]
    from: String,
    #[schema(format = Date)]
    to: String,
    total_usd: String,
    items: Vec<CostView>,
}

/// What X has charged by the price list, by day, account and kind.
#[utoipa::path(get, path = "/costs", operation_id = "list_costs", tag = "costs", params(Listing),
    responses((status = 200, description = "All of these days", body = Costs))
)]
pub(super) async fn list(
    api: Data<Api>,
    listing: Params<Listing>,
) -> Result<HttpResponse, Problem> {
    let (from, to) = listing.0.days(Timestamp::now())?;
    let account = listing.0.account.map(AccountId);
    let costs = ledgers::costs(&api.store, account, from..=to).await?;
    let total: Usd = costs.iter().map(|it| it.cost.amount).sum();
    Ok(HttpResponse::Ok().json(Costs {
        from: from.to_string(),
        to: to.to_string(),
        total_usd: total.to_string(),
        items: costs.into_iter().map(CostView::from).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(from: Option<&str>, to: Option<&str>) -> Result<(String, String), Problem> {
        let day = |raw: &str| raw.parse().unwrap();
        let listing = Listing {
            from: from.map(day),
            to: to.map(day),
            account: None,
        };
        let now = "2026-11-25T20:00:00Z".parse().unwrap();
        let (from, to) = listing.days(now)?;
        Ok((from.to_string(), to.to_string()))
    }

    #[test]
    fn the_month_up_to_now_is_told_where_nothing_is_said() {
        let expected = ("2026-11-01".to_owned(), "2026-11-25".to_owned());
        assert_eq!(days(None, None).unwrap(), expected);
    }

    #[test]
    fn days_have_to_be_in_order_and_no_more_than_a_year() {
        assert!(days(Some("2026-11-26"), None).is_err());
        assert!(days(Some("2025-11-25"), None).is_ok());
        assert!(days(Some("2025-11-24"), None).is_err());
        assert!(days(Some("2020-02-01"), Some("2020-02-29")).is_ok());
        assert!(days(Some("-009999-01-01"), Some("-009999-01-01")).is_ok());
    }
}
