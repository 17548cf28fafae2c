//! `GET /2/usage/tweets`: how many posts were read, day by day; not what they cost.

use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::problem;
use super::rules::known;
use super::serve::Call;
use crate::forms::json::with;
use crate::model::format;

const DAY_MS: i64 = 24 * 3600 * 1000;
/// X's cap of post reads a month for who pays per use.
const CAP: u64 = 3_000_000;

/// `read_on` tells how many posts the app has read on a day, counted from 1970.
pub(super) fn posts(call: Call<'_>, read_on: impl Fn(i64) -> u64) -> Outcome {
    known(&call, &["days", "usage.fields"])?;
    let days = days(&call)?;
    let asked = call.incoming.parameter("usage.fields").unwrap_or_default();
    let asks = |name| asked.split(',').any(|field| field == name);
    let today = call.world.now_ms().div_euclid(DAY_MS);
    let usage: Vec<Value> = (today - days + 1..=today)
        .map(|day| (day, read_on(day)))
        .filter(|(_, count)| *count > 0)
        .map(|(day, count)| json!({ "date": date(day), "usage": count.to_string() }))
        .collect();
    // The cap is of thirty days, whatever is asked for.
    let used: u64 = (today - 29..=today).map(&read_on).sum();
    let app = call
        .world
        .app(&call.caller.app)
        .map(|app| app.id.to_string());
    let app = app.map_err(|_gone| problem::unauthorized())?;
    let mut data = json!({
        "project_id": app,
        "project_usage": used.to_string(),
        "project_cap": CAP.to_string(),
        "cap_reset_day": 1,
    });
    if asks("daily_project_usage") {
        let project = json!({ "project_id": app, "usage": usage });
        data = with(data, "daily_project_usage", Some(project));
    }
    if asks("daily_client_app_usage") {
        let of_app = json!({
            "client_app_id": app, "usage": usage, "usage_result_count": usage.len(),
        });
        data = with(data, "daily_client_app_usage", Some(json!([of_app])));
    }
    Ok(Answer::ok(&json!({ "data": data })))
}

fn days(call: &Call<'_>) -> Result<i64, Box<Answer>> {
    let Some(given) = call.incoming.parameter("days") else {
        return Ok(7);
    };
    let days = given.parse().ok().filter(|days| (1..=90).contains(days));
    days.ok_or_else(|| problem::invalid("days", given, "`days` is not between 1 and 90"))
}

fn date(day: i64) -> String {
    format(day * DAY_MS, "%Y-%m-%dT%H:%M:%S.%3fZ")
}
