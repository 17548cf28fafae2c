//! What goes wrong, by order.

use rand::Rng as _;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;
use super::settings::Echo;
use crate::model::UserId;

/// One order: what goes wrong with which calls, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only with this call; with every one when absent.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
    /// Only when the body has this in it.
    #[serde(default)]
    pub text: Option<String>,
    /// Only for this account.
    #[serde(default)]
    pub account: Option<UserId>,
    /// With so many calls, then no more; with all when absent.
    #[serde(default)]
    pub next: Option<u32>,
    /// With this probability; always when absent. The dice are those of the simulator's seed.
    #[serde(default)]
    pub chance: Option<f64>,
    /// So long before the effect.
    #[serde(default)]
    pub before_ms: u64,
    /// So long after the effect, before the answer.
    #[serde(default)]
    pub after_ms: u64,
    /// What becomes of the echo, in place of what always does.
    #[serde(default)]
    pub echo: Option<Echo>,
    /// What goes wrong.
    pub what: FaultKind,
}

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// Nothing but the waits and the echo of the order.
    Nothing,
    /// The effect happens; the connection is closed without an answer.
    AnswerLost,
    /// The effect happens; the connection is reset without an answer.
    AnswerReset,
    /// The effect happens; of the answer, head and body, only so many bytes go out.
    AnswerCut {
        /// How many.
        at: usize,
    },
    /// The connection is reset once the head is read; no effect. Text and account are not known
    /// then, so they are not looked at.
    ResetBeforeReading,
    /// The connection is reset once all is read; no effect.
    ResetAfterReading,
    /// Any answer.
    Status {
        /// Its status.
        status: u16,
        /// Its body: JSON, or any text; a problem of that status when absent.
        #[serde(default)]
        body: Option<serde_json::Value>,
        /// Whether the effect happens all the same.
        #[serde(default)]
        effect: bool,
    },
    /// 429, no effect.
    RateLimited {
        /// Whether the headers of the window are there.
        #[serde(default)]
        headers: bool,
        /// When the window ends, from now.
        #[serde(default)]
        reset_in_s: u64,
    },
    /// 402, no effect.
    CreditsDepleted,
    /// 401, no effect, and the token lives on.
    Outage,
    /// The user's tokens for the app die for good, silently; 401.
    Revoked,
    /// 2xx, and a body that is not JSON.
    Garbage {
        /// Whether the effect happens.
        #[serde(default)]
        effect: bool,
    },
    /// The effect happens; the answer does not name it.
    NoId,
    /// The upload turns out to be unreadable while X processes it; only with `media_finalize` and
    /// `media_upload`.
    ProcessingFails,
}

impl Fault {
    /// With the next call of any kind.
    pub fn new(what: FaultKind) -> Self {
        Self {
            endpoint: None,
            text: None,
            account: None,
            next: Some(1),
            chance: None,
            before_ms: 0,
            after_ms: 0,
            echo: None,
            what,
        }
    }

    /// Only with this call.
    #[must_use]
    pub fn on(self, endpoint: Endpoint) -> Self {
        Self {
            endpoint: Some(endpoint),
            ..self
        }
    }

    /// Only when the body has `text` in it.
    #[must_use]
    pub fn with_text(self, text: &str) -> Self {
        Self {
            text: Some(text.to_owned()),
            ..self
        }
    }

    /// Only for this account.
    #[must_use]
    pub fn of(self, account: UserId) -> Self {
        Self {
            account: Some(account),
            ..self
        }
    }

    /// With the next `count` calls.
    #[must_use]
    pub fn next(self, count: u32) -> Self {
        Self {
            next: Some(count),
            ..self
        }
    }

    /// With every call until the faults are cleared.
    #[must_use]
    pub fn always(self) -> Self {
        Self { next: None, ..self }
    }

    /// With every call, with this probability, until the faults are cleared.
    #[must_use]
    pub fn with_chance(self, chance: f64) -> Self {
        Self {
            next: None,
            chance: Some(chance),
            ..self
        }
    }

    /// With waits before and after the effect, in milliseconds.
    #[must_use]
    pub fn slow(self, before_ms: u64, after_ms: u64) -> Self {
        Self {
            before_ms,
            after_ms,
            ..self
        }
    }

    /// With this echo.
    #[must_use]
    pub fn with_echo(self, echo: Echo) -> Self {
        Self {
            echo: Some(echo),
            ..self
        }
    }
}

impl FaultKind {
    /// Whether the call has its effect.
    pub(crate) fn lets_happen(&self) -> bool {
        match self {
            Self::Status { effect, .. } | Self::Garbage { effect } => *effect,
            Self::Nothing
            | Self::AnswerLost
            | Self::AnswerReset
            | Self::AnswerCut { .. }
            | Self::NoId
            | Self::ProcessingFails => true,
            Self::ResetBeforeReading
            | Self::ResetAfterReading
            | Self::RateLimited { .. }
            | Self::CreditsDepleted
            | Self::Outage
            | Self::Revoked => false,
        }
    }

    /// As the record shows it.
    pub(crate) fn name(&self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            Ok(serde_json::Value::Object(fields)) => fields.keys().cloned().collect(),
            _ => String::new(),
        }
    }
}

/// The orders, oldest first, and the dice.
pub(crate) struct Faults {
    orders: Vec<Fault>,
    dice: StdRng,
}

/// What is known of a call when its fault is chosen.
pub(crate) struct Subject<'a> {
    pub(crate) endpoint: Endpoint,
    /// Absent before the body is read.
    pub(crate) body: Option<&'a str>,
    pub(crate) account: Option<UserId>,
}

impl Faults {
    pub(crate) fn new(dice: StdRng) -> Self {
        Self {
            orders: Vec::new(),
            dice,
        }
    }

    pub(crate) fn order(&mut self, fault: Fault) {
        self.orders.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.orders.clear();
    }

    pub(crate) fn orders(&self) -> &[Fault] {
        &self.orders
    }

    /// The first order that fits and comes up; used up when it was the last of its kind.
    pub(crate) fn take(&mut self, subject: &Subject<'_>) -> Option<Fault> {
        for at in 0..self.orders.len() {
            let fault = self.orders.get_mut(at)?;
            if !fits(fault, subject) || !comes_up(fault.chance, &mut self.dice) {
                continue;
            }
            let taken = fault.clone();
            if let Some(left) = &mut fault.next {
                *left = left.saturating_sub(1);
            }
            if taken.next.is_some_and(|left| left <= 1) {
                self.orders.remove(at);
            }
            return Some(taken);
        }
        None
    }
}

fn fits(fault: &Fault, subject: &Subject<'_>) -> bool {
    let same_call = fault
        .endpoint
        .is_none_or(|endpoint| endpoint == subject.endpoint);
    let before_reading = fault.what == FaultKind::ResetBeforeReading;
    let Some(body) = subject.body else {
        return same_call && before_reading;
    };
    let same_text = fault.text.as_ref().is_none_or(|text| body.contains(text));
    let same_account = fault.account.is_none_or(|id| subject.account == Some(id));
    same_call && !before_reading && same_text && same_account && fault.next != Some(0)
}

fn comes_up(chance: Option<f64>, dice: &mut StdRng) -> bool {
    chance.is_none_or(|chance| dice.random_bool(chance.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn subject(body: &str) -> Subject<'_> {
        Subject {
            endpoint: Endpoint::CreatePost,
            body: Some(body),
            account: Some(UserId(1)),
        }
    }

    #[test]
    fn an_order_waits_for_what_it_is_meant_for_and_ends() {
        let mut faults = Faults::new(StdRng::seed_from_u64(1));
        let order = Fault::new(FaultKind::AnswerLost).on(Endpoint::CreatePost);
        faults.order(order.clone().with_text("this").next(2));
        faults.order(order.clone().of(UserId(2)));
        faults.order(order.on(Endpoint::DeletePost));
        assert!(faults.take(&subject("another")).is_none());
        assert!(faults.take(&subject("this one")).is_some());
        assert!(faults.take(&subject("this two")).is_some());
        assert!(faults.take(&subject("this three")).is_none());
        assert_eq!(faults.orders().len(), 2);
    }

    #[test]
    fn a_reset_before_reading_is_chosen_before_reading_only() {
        let mut faults = Faults::new(StdRng::seed_from_u64(1));
        faults.order(Fault::new(FaultKind::ResetBeforeReading));
        assert!(faults.take(&subject("")).is_none());
        let head = Subject {
            body: None,
            ..subject("")
        };
        assert!(faults.take(&head).is_some());
        assert!(faults.take(&head).is_none());
    }

    #[test]
    fn the_dice_fall_as_the_seed_says() {
        let fall = |seed| {
            let mut faults = Faults::new(StdRng::seed_from_u64(seed));
            faults.order(Fault::new(FaultKind::AnswerLost).with_chance(0.5));
            (0..64)
                .map(|_| faults.take(&subject("")).is_some())
                .collect::<Vec<bool>>()
        };
        assert_eq!(fall(7), fall(7));
        assert_ne!(fall(7), fall(8));
        let fallen = fall(7).into_iter().filter(|fell| *fell).count();
        assert!((16..=48).contains(&fallen), "{fallen}");
    }

    #[test]
    fn orders_are_written_in_json() {
        let json = r#"{"endpoint": "create_post", "next": 3, "after_ms": 50,
            "what": {"status": {"status": 503, "effect": true}}}"#;
        let fault: Fault = serde_json::from_str(json).unwrap();
        assert_eq!(fault.next, Some(3));
        assert_eq!(fault.what.name(), "status");
        let lost: Fault = serde_json::from_str(r#"{"what": "answer_lost"}"#).unwrap();
        assert_eq!(lost.what, FaultKind::AnswerLost);
        assert!(serde_json::from_str::<Fault>(r#"{"what": "no such"}"#).is_err());
    }
}
