//! X's rate windows, obeyed before X has to refuse. Pure: time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::ids::AccountId;
use crate::x::client::{Call, LimitScope, Limits, Window};

const QUARTER: Duration = Duration::from_secs(15 * 60);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// X's clock and ours differ by a little; a call that comes too early is refused.
const MARGIN: SignedDuration = SignedDuration::from_secs(1);
/// First and longest wait after a refusal that names no time. Source: X's "Rate limits".
const BLIND_WAIT: (Duration, Duration) = (Duration::from_secs(60), QUARTER);

/// One window: how many calls are left until when.
#[derive(Clone, Debug)]
struct Pool {
    length: Duration,
    limit: u32,
    /// `None`: no call was made in it yet.
    reset: Option<Timestamp>,
    /// Calls begun in it.
    taken: u32,
    /// The fewest calls left that X told of in it.
    told: Option<u32>,
    /// Calls begun that are not answered.
    flying: u32,
    /// Refusals in a row that named no time.
    blind: u32,
}

impl Pool {
    fn new(limit: u32, length: Duration) -> Self {
        Self {
            length,
            limit,
            reset: None,
            taken: 0,
            told: None,
            flying: 0,
            blind: 0,
        }
    }

    fn left(&self) -> u32 {
        match self.told {
            Some(told) => told.saturating_sub(self.flying),
            None => self.limit.saturating_sub(self.taken),
        }
    }

    /// Since when it takes calls: `None`, at once.
    fn opens_at(&self, now: Timestamp) -> Option<Timestamp> {
        let reset = self.reset.filter(|reset| *reset > now)?;
        (self.left() == 0).then_some(reset)
    }

    fn take(&mut self, now: Timestamp) {
        if self.reset.is_none_or(|reset| reset <= now) {
            self.reset = now.checked_add(self.length).ok();
            // Those on their way may be counted in this window.
            self.taken = self.flying;
            self.told = None;
        }
        self.taken += 1;
        self.flying += 1;
    }

    /// A call was answered, with what X says of the window.
    fn answered(&mut self, heard: Option<Window>) {
        self.flying = self.flying.saturating_sub(1);
        let Some(heard) = heard else { return };
        let reset = heard.reset.saturating_add(MARGIN).unwrap_or(heard.reset);
        self.limit = heard.limit;
        match self.reset {
            // An answer that was overtaken by the next window.
            Some(known) if self.told.is_some() && reset < known => return,
            Some(known) if self.told.is_some() && reset == known => {
                self.told = self.told.map(|told| told.min(heard.remaining));
            }
            _ => self.told = Some(heard.remaining),
        }
        self.reset = Some(reset);
        self.blind = 0;
    }

    fn refused(&mut self, until: Option<Timestamp>, now: Timestamp) {
        let until = until.filter(|until| *until > now);
        let wait = BLIND_WAIT.0 * 2u32.saturating_pow(self.blind);
        self.blind = match until {
            Some(_) => 0,
            None => self.blind + 1,
        };
        let until = until
            .and_then(|until| until.checked_add(MARGIN).ok())
            .or_else(|| now.checked_add(wait.min(BLIND_WAIT.1)).ok());
        self.told = Some(0);
        self.reset = until;
    }
}

/// Every window of every account and app.
#[derive(Default)]
pub(super) struct Windows {
    pools: HashMap<(Owner, Call, Duration), Pool>,
}

/// Whose window it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Account(AccountId),
    App(String),
}

impl Windows {
    /// The pools of a call, made where they are new.
    fn keys(&mut self, account: AccountId, app: &str, call: Call) -> Vec<(Owner, Call, Duration)> {
        let start = call.window();
        let user = || Owner::Account(account);
        // Signed for a user, a call counts in no window of 15 minutes of the app's.
        // Source: X's "Application-only": user and app windows are separate pools.
        let pools = [
            (start.per_15_min_user, user(), QUARTER),
            (start.per_day_user, user(), DAY),
            (start.per_day_app, Owner::App(app.to_owned()), DAY),
        ];
        let mut keys = Vec::new();
        for (limit, owner, length) in pools {
            let Some(limit) = limit else { continue };
            let key = (owner, call, length);
            self.pools
                .entry(key.clone())
                .or_insert_with(|| Pool::new(limit, length));
            keys.push(key);
        }
        keys
    }

    /// When X takes this call: `None`, at once.
    pub(super) fn opens_at(
        &mut self,
        account: AccountId,
        app: &str,
        call: Call,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let keys = self.keys(account, app, call);
        let pools = keys.iter().filter_map(|key| self.pools.get(key));
        pools.filter_map(|pool| pool.opens_at(now)).max()
    }

    /// How many calls of a kind fit into the account's window of 15 minutes.
    pub(super) fn per_window(&mut self, account: AccountId, app: &str, call: Call) -> u32 {
        let keys = self.keys(account, app, call);
        let pool = keys.first().and_then(|key| self.pools.get(key));
        pool.map_or(u32::MAX, |pool| pool.limit.max(1))
    }

    /// A call begins.
    pub(super) fn take(&mut self, account: AccountId, app: &str, call: Call, now: Timestamp) {
        for key in self.keys(account, app, call) {
            if let Some(pool) = self.pools.get_mut(&key) {
                pool.take(now);
            }
        }
    }

    /// Calls of before a restart count.
    pub(super) fn taken_before(
        &mut self,
        account: AccountId,
        app: &str,
        call: Call,
        (quarter, day): (u32, u32),
        now: Timestamp,
    ) {
        for key in self.keys(account, app, call) {
            let taken = if key.2 == DAY { day } else { quarter };
            if let Some(pool) = self.pools.get_mut(&key)
                && taken > 0
            {
                pool.taken += taken;
                pool.reset = pool.reset.or_else(|| now.checked_add(pool.length).ok());
            }
        }
    }

    /// A call was answered, or is known not to be.
    pub(super) fn answered(&mut self, account: AccountId, app: &str, call: Call, limits: &Limits) {
        for key in self.keys(account, app, call) {
            let heard = match (&key.0, key.2) {
                (Owner::Account(_), QUARTER) => limits.window,
                (Owner::Account(_), _) => limits.user_day,
                (Owner::App(_), _) => limits.app_day,
            };
            if let Some(pool) = self.pools.get_mut(&key) {
                pool.answered(heard);
            }
        }
    }

    /// X refused a call for a limit.
    pub(super) fn refused(
        &mut self,
        account: AccountId,
        app: &str,
        call: Call,
        (scope, until): (LimitScope, Option<Timestamp>),
        now: Timestamp,
    ) {
        let wanted = match scope {
            LimitScope::Window => QUARTER,
            LimitScope::Day | LimitScope::Cap => DAY,
        };
        let keys = self.keys(account, app, call);
        let key = keys.iter().find(|key| key.2 == wanted).or(keys.first());
        if let Some(pool) = key.and_then(|key| self.pools.get_mut(key)) {
            pool.refused(until, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "acme";

    fn acme() -> AccountId {
        AccountId("1".parse().unwrap())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn heard(remaining: u32, reset: i64) -> Limits {
        Limits {
            window: Some(Window {
                limit: 15,
                remaining,
                reset: at(reset),
            }),
            ..Limits::default()
        }
    }

    const CALL: Call = Call::SendDirectMessageToPerson;

    fn opens(windows: &mut Windows, now: i64) -> Option<i64> {
        let opens = windows.opens_at(acme(), APP, CALL, at(now));
        opens.map(|at| at.as_second())
    }

    #[test]
    fn without_headers_the_table_holds() {
        let mut windows = Windows::default();
        for _ in 0..15 {
            assert_eq!(opens(&mut windows, 0), None);
            windows.take(acme(), APP, CALL, at(0));
            windows.answered(acme(), APP, CALL, &Limits::default());
        }
        assert_eq!(opens(&mut windows, 1), Some(900));
        assert_eq!(opens(&mut windows, 900), None);
    }

    #[test]
    fn headers_are_believed() {
        let mut windows = Windows::default();
        windows.take(acme(), APP, CALL, at(0));
        windows.answered(acme(), APP, CALL, &heard(0, 60));
        assert_eq!(opens(&mut windows, 1), Some(61));
        assert_eq!(opens(&mut windows, 61), None);
    }

    #[test]
    fn answers_that_overtake_each_other_open_nothing() {
        let mut windows = Windows::default();
        windows.take(acme(), APP, CALL, at(0));
        windows.take(acme(), APP, CALL, at(0));
        windows.answered(acme(), APP, CALL, &heard(0, 60));
        windows.answered(acme(), APP, CALL, &heard(1, 60));
        assert_eq!(opens(&mut windows, 1), Some(61));
    }

    #[test]
    fn calls_on_their_way_count() {
        let mut windows = Windows::default();
        windows.take(acme(), APP, CALL, at(0));
        windows.take(acme(), APP, CALL, at(0));
        windows.answered(acme(), APP, CALL, &heard(1, 60));
        assert_eq!(opens(&mut windows, 1), Some(61));
    }

    #[test]
    fn a_refusal_without_a_time_waits_longer_each_time() {
        let mut windows = Windows::default();
        let refused = (LimitScope::Window, None);
        windows.refused(acme(), APP, CALL, refused, at(0));
        assert_eq!(opens(&mut windows, 0), Some(60));
        windows.refused(acme(), APP, CALL, refused, at(60));
        assert_eq!(opens(&mut windows, 60), Some(180));
    }

    #[test]
    fn other_accounts_have_windows_of_their_own() {
        let mut windows = Windows::default();
        windows.refused(acme(), APP, CALL, (LimitScope::Window, Some(at(60))), at(0));
        let other = AccountId("2".parse().unwrap());
        assert_eq!(windows.opens_at(other, APP, CALL, at(0)), None);
        let post = windows.opens_at(acme(), APP, Call::CreatePost, at(0));
        assert_eq!(post, None);
    }

    #[test]
    fn what_was_sent_before_a_restart_counts() {
        let mut windows = Windows::default();
        windows.taken_before(acme(), APP, CALL, (15, 15), at(0));
        assert_eq!(opens(&mut windows, 1), Some(900));
    }
}
