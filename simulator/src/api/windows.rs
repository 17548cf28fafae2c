//! Rate windows: fixed ones of 15 minutes and 24 hours that begin with the first call.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;
use crate::model::UserId;

const QUARTER_MS: i64 = 15 * 60 * 1000;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// How often one call may be made; absent is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// By an app with its bearer token, in 15 minutes.
    pub app_15min: Option<u32>,
    /// By an app for one user, in 15 minutes.
    pub user_15min: Option<u32>,
    /// By an app for all its users, in 24 hours.
    pub app_24h: Option<u32>,
    /// By an app for one user, in 24 hours.
    pub user_24h: Option<u32>,
}

impl Limits {
    /// In 15 minutes, by the app and for one user.
    pub fn of(app: Option<u32>, user: Option<u32>) -> Self {
        Self {
            app_15min: app,
            user_15min: user,
            ..Self::default()
        }
    }

    /// The same with limits for 24 hours.
    #[must_use]
    pub fn daily(self, app: Option<u32>, user: Option<u32>) -> Self {
        Self {
            app_24h: app,
            user_24h: user,
            ..self
        }
    }
}

/// A header and its value.
pub(crate) type Header = (String, String);

/// What is used of every window.
#[derive(Default)]
pub(crate) struct Windows {
    limits: HashMap<Endpoint, Limits>,
    used: HashMap<Key, Window>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    endpoint: Endpoint,
    app: String,
    user: Option<UserId>,
    daily: bool,
}

#[derive(Clone, Copy)]
struct Window {
    ends_ms: i64,
    used: u32,
}

/// One limit that applies to a call.
struct Rule {
    header: &'static str,
    key: Key,
    limit: u32,
}

impl Windows {
    pub(crate) fn limit(&mut self, endpoint: Endpoint, limits: Limits) {
        self.limits.insert(endpoint, limits);
    }

    pub(crate) fn limits(&self, endpoint: Endpoint) -> Limits {
        let changed = self.limits.get(&endpoint).copied();
        changed.unwrap_or_else(|| endpoint.limits())
    }

    /// Counts a call, unless a window is used up; the headers say what is left either way.
    pub(crate) fn count(
        &mut self,
        endpoint: Endpoint,
        app: &str,
        user: Option<UserId>,
        now_ms: i64,
    ) -> (bool, Vec<Header>) {
        let rules = self.rules(endpoint, app, user);
        let free = rules
            .iter()
            .all(|rule| self.window(rule, now_ms).used < rule.limit);
        let mut headers = Vec::new();
        for rule in &rules {
            let mut window = self.window(rule, now_ms);
            window.used += u32::from(free);
            self.used.insert(rule.key.clone(), window);
            headers.extend(describe(rule, window));
        }
        (free, headers)
    }

    fn rules(&self, endpoint: Endpoint, app: &str, user: Option<UserId>) -> Vec<Rule> {
        let limits = self.limits(endpoint);
        let rule = |header, user, daily, limit: Option<u32>| {
            limit.map(|limit| Rule {
                header,
                key: Key {
                    endpoint,
                    app: app.to_owned(),
                    user,
                    daily,
                },
                limit,
            })
        };
        // User and app windows are separate pools.
        let quarter = match user {
            Some(_) => rule("x-rate-limit", user, false, limits.user_15min),
            None => rule("x-rate-limit", None, false, limits.app_15min),
        };
        let app_day = rule("x-app-limit-24hour", None, true, limits.app_24h);
        let user_day = user.and_then(|_| rule("x-user-limit-24hour", user, true, limits.user_24h));
        [quarter, app_day, user_day].into_iter().flatten().collect()
    }

    fn window(&self, rule: &Rule, now_ms: i64) -> Window {
        let length = if rule.key.daily { DAY_MS } else { QUARTER_MS };
        let open = self.used.get(&rule.key).filter(|w| w.ends_ms > now_ms);
        open.copied().unwrap_or(Window {
            ends_ms: now_ms + length,
            used: 0,
        })
    }
}

fn describe(rule: &Rule, window: Window) -> [Header; 3] {
    let name = |end| format!("{}-{end}", rule.header);
    let left = rule.limit.saturating_sub(window.used);
    // Rounded up: at the second named the window is over.
    let reset = (window.ends_ms + 999).div_euclid(1000);
    [
        (name("limit"), rule.limit.to_string()),
        (name("remaining"), left.to_string()),
        (name("reset"), reset.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(headers: &[Header], name: &str) -> String {
        let found = headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    #[test]
    fn a_window_is_used_up_and_begins_anew() {
        let mut windows = Windows::default();
        let limits = Limits::of(None, Some(2)).daily(Some(3), None);
        windows.limit(Endpoint::CreatePost, limits);
        let mut call =
            |user, now_ms| windows.count(Endpoint::CreatePost, "acme", Some(UserId(user)), now_ms);
        assert!(call(1, 1_000).0);
        let (free, headers) = call(1, 2_000);
        assert!(free);
        assert_eq!(value(&headers, "x-rate-limit-remaining"), "0");
        assert_eq!(value(&headers, "x-rate-limit-reset"), "901");
        assert_eq!(value(&headers, "x-app-limit-24hour-remaining"), "1");
        assert!(!call(1, 900_999).0);
        assert!(call(2, 900_999).0, "the windows of users are apart");
        let (free, headers) = call(1, 901_000);
        assert!(!free, "the day of the app is used up");
        assert_eq!(value(&headers, "x-rate-limit-remaining"), "2");
    }
}
