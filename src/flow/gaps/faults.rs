//! What is told of gaps: those that stay open, and what is lost.

use jiff::{SignedDuration, Timestamp};

use super::Sight;
use crate::domain::account::Account;
use crate::domain::event::Effect;
use crate::domain::registry::Registry;
use crate::flow::watch::{Board, Subject, Trouble};
use crate::store::{Gap, GapMethod};

/// A gap that is open for so long is a fault: an hour is what X's replay takes at least.
const LATE_AFTER: SignedDuration = SignedDuration::from_hours(1);

const CODES: [&str; 3] = ["GAP_OPEN", "GAP_BUDGET", "GAP_LOST"];

/// Tells the board how the gaps stand.
pub(super) fn show(board: &Board, registry: &Registry, sight: &Sight, now: Timestamp) {
    for app in registry.apps() {
        let subject = Subject::App(app.name.clone());
        let own = |gap: &&Gap| gap.app == app.name && gap.account.is_none();
        let found = [late(sight, own, now), lost(sight, own)];
        board.set(&subject, &CODES, found.into_iter().flatten(), now);
    }
    for account in registry.accounts() {
        let subject = Subject::Account(account.id);
        let own = |gap: &&Gap| gap.app == account.app && gap.account == Some(account.id);
        let blocked = over_budget(sight, account);
        let found = [late(sight, own, now), lost(sight, own), blocked];
        board.set(&subject, &CODES, found.into_iter().flatten(), now);
    }
}

fn late(sight: &Sight, own: impl Fn(&&Gap) -> bool, now: Timestamp) -> Option<Trouble> {
    let late = |gap: &&Gap| now.duration_since(gap.noted) > LATE_AFTER;
    let gap = sight.gaps.iter().filter(own).find(late)?;
    let waits = match gap.note.as_str() {
        "" => String::new(),
        note => format!(" {note}"),
    };
    Some(Trouble {
        code: "GAP_OPEN",
        effect: Effect::Nothing,
        since: Some(gap.noted),
        sentence: format!(
            "What X had for us from {:.0} to {:.0} is not all here yet.{waits}",
            gap.rest(),
            gap.until
        ),
        fix: "It is tried again by itself; `gaps list` tells how far it is.".to_owned(),
        fix_url: String::new(),
    })
}

fn lost(sight: &Sight, own: impl Fn(&&Gap) -> bool) -> Option<Trouble> {
    let gap = sight.lost.iter().find(own)?;
    let at = gap.closed.map(|(at, _)| at);
    Some(Trouble {
        code: "GAP_LOST",
        effect: Effect::Nothing,
        since: at,
        sentence: format!(
            "Messages from {:.0} to {:.0} may be missing for good. {}",
            gap.from, gap.until, gap.note
        ),
        fix: format!(
            "Look at x.com for what came then. `gaps acknowledge {}` ends this notice, as does a day.",
            gap.id
        ),
        fix_url: String::new(),
    })
}

/// Optional reads stop at the budget, and these are such.
fn over_budget(sight: &Sight, account: &Account) -> Option<Trouble> {
    let waits = |gap: &&Gap| {
        gap.app == account.app
            && gap.is_open_for(account.id)
            && gap.method == Some(GapMethod::Reads)
    };
    let gap = sight.gaps.iter().find(waits)?;
    sight.over_budget.contains(&account.id).then(|| Trouble {
        code: "GAP_BUDGET",
        effect: Effect::Nothing,
        since: None,
        sentence: format!(
            "What X had for @{} from {:.0} to {:.0} is not read: its budget for this month is used up.",
            account.username,
            gap.rest(),
            gap.until
        ),
        fix: "Raise monthly_budget_usd within seven days of it; it is read by itself then.".to_owned(),
        fix_url: String::new(),
    })
}
