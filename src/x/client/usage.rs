//! How many posts X has counted against the project's cap. Counts, not money: X tells that nowhere.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use reqwest::Method;

use super::auth::Auth;
use super::call::Call;
use super::posts::{data, no_result};
use super::send::Request;
use super::{Client, Reply, Resources};
use crate::domain::account::App;
use crate::x::wire::answer;

const FIELDS: &str = "cap_reset_day,daily_project_usage,project_cap,project_usage";
/// Fewest and most days that X tells of.
const DAYS: (u32, u32) = (1, 90);

/// Posts read and delivered, of all apps of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Since the cap was last reset.
    pub used: Option<u64>,
    pub cap: Option<u64>,
    /// Day of the month.
    pub reset_day: Option<u32>,
    /// As X lists them; a day that X names unreadably is left out.
    pub days: Vec<UsageDay>,
}

/// One day, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageDay {
    pub date: Date,
    pub posts: u64,
}

impl Client {
    /// What was used, and how much of it on each of the last `days`, 1 to 90.
    pub async fn usage(&self, app: &App, days: u32) -> Reply<Usage> {
        let (least, most) = DAYS;
        let request = Request::new(Call::Usage, Method::GET, "2/usage/tweets")
            .query("days", days.clamp(least, most))
            .query("usage.fields", FIELDS);
        let sent = self.send(Auth::App(app), &request).await;
        sent.read(|answer, envelope| {
            self.refuse_errors_alone(answer, envelope)?;
            let usage: Option<answer::Usage<'_>> = data(envelope);
            let usage = usage.ok_or_else(|| no_result(answer, envelope))?;
            Ok((read(&usage), Resources::default()))
        })
    }
}

fn read(usage: &answer::Usage<'_>) -> Usage {
    let daily = usage.daily_project_usage.as_ref();
    let days = daily.map_or(&[][..], |daily| &daily.usage);
    Usage {
        used: usage.project_usage.0,
        cap: usage.project_cap.0,
        reset_day: *usage.cap_reset_day,
        days: days.iter().filter_map(day).collect(),
    }
}

fn day(day: &answer::UsageDay<'_>) -> Option<UsageDay> {
    let at: Timestamp = day.date.parse().ok()?;
    Some(UsageDay {
        date: TimeZone::UTC.to_datetime(at).date(),
        posts: day.usage.0?,
    })
}
