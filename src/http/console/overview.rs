//! How things stand: health in sentences, traffic, costs, what waits.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::Data;
use askama::Template;
use jiff::Timestamp;

use super::page::{Refused, Shell, Visit, go, html};
use super::plot::Plot;
use super::words::{Shown, When, ago, handle, health_words, plural};
use crate::domain::ids::AccountId;
use crate::domain::money::Usd;
use crate::flow::admin::overview::{Overview, overview};
use crate::flow::rules::Rules;
use crate::flow::watch::{AccountHealth, Subject};
use crate::http::api::Api;
use crate::store::{CommandState, Cost, Hold};

/// An account in a sentence.
struct AccountLine {
    id: String,
    username: String,
    state: &'static str,
    class: &'static str,
    complete_until: Option<When>,
    can_receive: bool,
    can_send: bool,
    faults: Vec<Shown>,
}

impl From<&AccountHealth> for AccountLine {
    fn from(it: &AccountHealth) -> Self {
        let (state, class) = health_words(it.health.state);
        Self {
            id: it.account.id.map(|id| id.to_string()).unwrap_or_default(),
            username: it.account.username.clone(),
            state,
            class,
            complete_until: it.health.complete_until.map(When),
            can_receive: it.health.can_receive,
            can_send: it.health.can_send,
            faults: it.health.faults.iter().map(Shown::from).collect(),
        }
    }
}

/// A fault that is not of one account alone.
struct CommonFault {
    whose: String,
    fault: Shown,
}

/// This month's costs of an account.
struct AccountCosts {
    handle: String,
    total: String,
    budget: Option<String>,
    /// Hundredths of the budget, at most 100.
    percent: u64,
    kinds: Vec<(String, u64, String)>,
}

/// Something that waits, with where to look.
struct Waiting {
    words: String,
    path: String,
}

#[derive(Template)]
#[template(path = "console/overview.html")]
struct OverviewPage {
    shell: Shell,
    accounts: Vec<AccountLine>,
    common: Vec<CommonFault>,
    /// Nothing is linked yet.
    empty: bool,
    plot: Plot,
    costs: Vec<AccountCosts>,
    waiting: Vec<Waiting>,
}

pub(super) async fn show(api: Data<Api>, visit: Visit) -> Result<HttpResponse, Refused> {
    let now = Timestamp::now();
    let rules = api.rules.now();
    let seen = overview(&api.store, now).await?;
    let health = api.health.accounts();
    let common = api.health.faults().into_iter();
    let common = common.filter_map(|(subject, fault)| {
        let whose = match subject {
            Subject::App(app) => format!("App {app}"),
            Subject::Service => "Service".to_owned(),
            Subject::Account(_) => return None,
        };
        let fault = Shown::from(&fault);
        Some(CommonFault { whose, fault })
    });
    let common: Vec<_> = common.collect();
    let mut accounts: Vec<_> = health.iter().map(AccountLine::from).collect();
    for account in &mut accounts {
        // Those of the app and the service stand above.
        let is_common = |own: &Shown| common.iter().any(|it| it.fault.sentence == own.sentence);
        account.faults.retain(|fault| !is_common(fault));
    }
    let hours = seen
        .traffic
        .iter()
        .map(|(_, hour, counts)| (*hour, *counts));
    let page = OverviewPage {
        shell: visit.shell("overview"),
        empty: rules.registry.accounts().next().is_none(),
        plot: Plot::new(seen.hour, hours),
        costs: costs(&rules, &seen.costs),
        waiting: waiting(&seen, now),
        accounts,
        common,
    };
    Ok(html(&page))
}

fn costs(rules: &Rules, costs: &[Cost]) -> Vec<AccountCosts> {
    let mut accounts: BTreeMap<AccountId, Vec<&Cost>> = BTreeMap::new();
    for account in rules.registry.accounts() {
        accounts.entry(account.id).or_default();
    }
    for cost in costs {
        accounts.entry(cost.account).or_default().push(cost);
    }
    let one = |(id, costs): (AccountId, Vec<&Cost>)| {
        let total: Usd = costs.iter().map(|cost| cost.amount).sum();
        let budget = rules
            .registry
            .account(id.0)
            .and_then(|account| account.monthly_budget);
        AccountCosts {
            handle: handle(rules, id),
            percent: budget.map_or(0, |budget| percent(total, budget)),
            total: total.to_string(),
            budget: budget.map(|budget| budget.to_string()),
            kinds: costs
                .iter()
                .map(|cost| (cost.kind.clone(), cost.count, cost.amount.to_string()))
                .collect(),
        }
    };
    accounts.into_iter().map(one).collect()
}

fn percent(part: Usd, whole: Usd) -> u64 {
    match whole.micros() {
        0 => 100,
        whole => (part.micros().saturating_mul(100) / whole).min(100),
    }
}

fn waiting(seen: &Overview, now: Timestamp) -> Vec<Waiting> {
    let mut waiting = Vec::new();
    let mut add = |words: String, path: &str| {
        waiting.push(Waiting {
            words,
            path: path.to_owned(),
        });
    };
    for gap in &seen.gaps {
        add(
            format!(
                "App {}: X may have messages of {} that are not here yet.",
                gap.app,
                ago(gap.from, gap.until)
            ),
            "/gaps?state=open",
        );
    }
    for (state, hold, count, oldest) in &seen.commands {
        let path = match (state, hold) {
            (CommandState::Uncertain, _) => "/commands?state=uncertain",
            (_, Hold::None | Hold::Files | Hold::Erasing) => "/commands?state=pending",
            _ => "/commands?state=held",
        };
        let what = match (state, hold) {
            (CommandState::Uncertain, _) => "uncertain",
            (CommandState::Sending, _) => "on the way to X",
            (_, Hold::None | Hold::Files | Hold::Erasing) => "waiting",
            _ => "held",
        };
        let words = plural(*count, "command");
        add(
            format!("{words} {what}, the oldest for {}.", ago(*oldest, now)),
            path,
        );
    }
    let kept: u64 = seen.quarantine.iter().map(|(_, count)| count).sum();
    if kept > 0 {
        add(
            format!("{} in quarantine.", plural_of_deliveries(kept)),
            "/quarantine",
        );
    }
    if seen.held > 0 {
        let words = plural(seen.held, "message");
        add(format!("{words} held back in storms."), "/conversations");
    }
    if seen.unpublished > 0 {
        let words = plural(seen.unpublished, "event");
        add(
            format!("{words} that the broker does not have yet."),
            "/events",
        );
    }
    waiting
}

fn plural_of_deliveries(count: u64) -> String {
    match count {
        1 => "1 delivery".to_owned(),
        _ => format!("{count} deliveries"),
    }
}

/// Has `account.health` published for every account.
pub(super) async fn snapshot(api: Data<Api>) -> HttpResponse {
    api.health.request_snapshot();
    go("/?done=snapshot")
}
