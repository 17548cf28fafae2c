//! `POST /2/webhooks/replay`: delivers again what an app may have missed.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, Outcome};
use super::problem;
use super::rules::known;
use super::serve::Call;
use crate::model::{World, format};
pub(super) use crate::replay::ReplayJob;
use crate::simulator::Simulator;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// `from_date` is at least so old.
const YOUNGEST_FROM_MS: i64 = 31 * MINUTE_MS;
/// `to_date` is at least so old.
const YOUNGEST_TO_MS: i64 = 10 * MINUTE_MS;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    webhook_id: String,
    from_date: String,
    to_date: String,
}

/// `POST /2/webhooks/replay`; the answer waits for the CRC that X makes first.
pub(super) fn order(call: Call<'_>) -> Outcome {
    known(&call, &[])?;
    let order: Order = call.incoming.json()?;
    let app = call.caller.app.clone();
    let webhook = webhook(call.world, &app, &order.webhook_id).ok_or_else(|| {
        let message = "WebhookIdInvalid: There is no such webhook.";
        problem::invalid("webhook_id", &order.webhook_id, message)
    })?;
    let now_ms = call.world.now_ms();
    let from_ms = date("from_date", &order.from_date)?;
    let to_ms = date("to_date", &order.to_date)?;
    check_span(&order, (from_ms, to_ms), now_ms)?;
    if !call.state.replays.insert(order.webhook_id.clone()) {
        return Err(conflict(&order.webhook_id));
    }
    let job = ReplayJob {
        id: call.world.next_id(),
        app,
        webhook_id: order.webhook_id,
        webhook,
        from_ms,
        to_ms,
    };
    let created_at = format(now_ms, "%Y-%m-%dT%H:%M:%S.%3fZ");
    let data = json!({ "job_id": job.id.to_string(), "created_at": created_at });
    let answer = Answer::ok(&json!({ "data": data })).with_effect(job.id, None);
    Ok(Answer {
        replay: Some(job),
        ..answer
    })
}

/// The address of the app's webhook of that id.
fn webhook(world: &World, app: &str, id: &str) -> Option<String> {
    let webhook = world.webhook(id.parse().ok()?).ok()?;
    (webhook.app == app).then(|| webhook.url.clone())
}

/// Checks the webhook, then lets the job run; the job is void when the check fails.
pub(super) async fn begin(simulator: &Simulator, job: ReplayJob, answer: Answer) -> Answer {
    let checked = match job.webhook_id.parse() {
        Ok(webhook) => simulator.check_webhook(webhook).await,
        Err(_) => simulator.crc(&job.app).await,
    };
    if let Err(error) = checked {
        simulator.api().state().replays.remove(&job.webhook_id);
        let message = format!("CrcValidationFailed: {error}");
        return *problem::invalid("webhook_id", &job.webhook_id, &message);
    }
    let replay = simulator.clone();
    simulator
        .tasks()
        .spawn(async move { replay.replay(job).await });
    answer
}

fn date(name: &str, given: &str) -> Result<i64, Box<Answer>> {
    let invalid = || {
        let message = format!("QueryParamInvalid: {name} is not of the form yyyymmddhhmm");
        problem::invalid(name, given, &message)
    };
    let parsed = parse_date(given).ok_or_else(invalid)?;
    Ok(parsed.as_millisecond())
}

fn parse_date(given: &str) -> Option<Timestamp> {
    let is_well_formed = given.len() == 12 && given.bytes().all(|byte| byte.is_ascii_digit());
    let part = |from, to| given.get(from..to)?.parse::<i8>().ok();
    let year = given.get(0..4).filter(|_| is_well_formed)?.parse().ok()?;
    let (month, day) = (part(4, 6)?, part(6, 8)?);
    let (hour, minute) = (part(8, 10)?, part(10, 12)?);
    let time = DateTime::new(year, month, day, hour, minute, 0, 0).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

fn check_span(order: &Order, (from, to): (i64, i64), now_ms: i64) -> Result<(), Box<Answer>> {
    let refuse = |name, given: &str, message: &str| {
        let message = format!("QueryParamInvalid: {message}");
        Err(problem::invalid(name, given, &message))
    };
    if from < now_ms - DAY_MS {
        let message = "from_date must be within the last 24 hours";
        return refuse("from_date", &order.from_date, message);
    }
    if from > now_ms - YOUNGEST_FROM_MS {
        let message = "from_date must be at least 31 minutes ago";
        return refuse("from_date", &order.from_date, message);
    }
    if to > now_ms - YOUNGEST_TO_MS {
        let message = "to_date must be at least 10 minutes ago";
        return refuse("to_date", &order.to_date, message);
    }
    if to <= from {
        let message = "to_date must be after from_date";
        return refuse("to_date", &order.to_date, message);
    }
    Ok(())
}

/// X's status for it is not documented in v2; v1.1 had 409.
fn conflict(webhook_id: &str) -> Box<Answer> {
    let message = "ReplayConflictError: A replay job for this webhook is running.";
    let refused = problem::invalid("webhook_id", webhook_id, message);
    Box::new(Answer {
        status: 409,
        ..*refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_twelve_digits_of_a_minute_that_exists() {
        let parsed = parse_date("202603020905").unwrap();
        assert_eq!(parsed.to_string(), "2026-03-02T09:05:00Z");
        for wrong in [
            "",
            "20260302",
            "202613020905",
            "2026-3020905",
            "202603022460",
        ] {
            assert_eq!(parse_date(wrong), None, "{wrong}");
        }
    }
}
