//! Whether what comes to a webhook is signed with the secret that we know.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Fewer wrong signatures than this may be a stranger's.
const LEAST: u32 = 3;
/// Wrong ones that are older are over.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(15);

/// Wrong signatures since the last right one, for each app; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Signatures(Arc<Mutex<HashMap<String, Failing>>>);

#[derive(Clone, Copy, Debug)]
struct Failing {
    count: u32,
    since: Timestamp,
    last: Timestamp,
}

impl Signatures {
    /// A delivery was signed rightly.
    pub fn passed(&self, app: &str) {
        self.lock().remove(app);
    }

    /// A delivery to an app of ours bore a signature that fits none of its secrets.
    pub fn failed(&self, app: &str, at: Timestamp) {
        let mut apps = self.lock();
        let new = Failing {
            count: 0,
            since: at,
            last: at,
        };
        match apps.get_mut(app) {
            Some(failing) => failing.more(at),
            None => apps.entry(app.to_owned()).or_insert(new).more(at),
        }
    }

    /// Since when none passes where some fail; `None` where that is not so.
    pub(super) fn failing_since(&self, app: &str, now: Timestamp) -> Option<Timestamp> {
        let failing = *self.lock().get(app)?;
        let is_recent = now.duration_since(failing.last) <= REMEMBERED;
        (failing.count >= LEAST && is_recent).then_some(failing.since)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failing {
    fn more(&mut self, at: Timestamp) {
        if at.duration_since(self.last) > REMEMBERED {
            (self.count, self.since) = (0, at);
        }
        self.count = self.count.saturating_add(1);
        self.last = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[test]
    fn wrong_signatures_without_a_right_one_are_told() {
        let signatures = Signatures::default();
        for at in 0..2 {
            signatures.failed("acme", minute(at));
        }
        assert_eq!(signatures.failing_since("acme", minute(2)), None);
        signatures.failed("acme", minute(2));
        let since = signatures.failing_since("acme", minute(2));
        assert_eq!(since, Some(minute(0)));
        assert_eq!(signatures.failing_since("other", minute(2)), None);
        signatures.passed("acme");
        assert_eq!(signatures.failing_since("acme", minute(2)), None);
    }

    #[test]
    fn a_stranger_now_and_then_is_no_fault() {
        let signatures = Signatures::default();
        for at in [0, 20, 40, 60] {
            signatures.failed("acme", minute(at));
        }
        assert_eq!(signatures.failing_since("acme", minute(60)), None);
    }
}
