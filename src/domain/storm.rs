//! Storms: one post draws so many replies that the helpdesk is better told of them than given all.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::money::Usd;

/// Parts into which [`StormLimit::per`] is divided: how exactly a tally knows what is too old.
const SLOTS: i64 = 12;

/// How many messages of one conversation a filter lets through in a time; those beyond wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StormLimit {
    pub messages: NonZeroU32,
    /// At least [`StormLimit::SHORTEST`].
    pub per: Duration,
}

impl StormLimit {
    /// Below it a storm would be over before anybody has heard of it.
    pub const SHORTEST: Duration = Duration::from_secs(1);

    /// Length of a slot, milliseconds.
    fn slot(&self) -> i64 {
        let per = i64::try_from(self.per.as_millis()).unwrap_or(i64::MAX);
        (per / SLOTS).max(1)
    }

    fn number(&self, at: Timestamp) -> i64 {
        at.as_millisecond().div_euclid(self.slot())
    }
}

/// What came in a conversation of late.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Length of a slot, milliseconds: a filter may be given another time.
    slot: i64,
    /// Oldest first.
    slots: Vec<Slot>,
}

/// What came in one part of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    number: i64,
    /// When the first of it came, milliseconds since 1970.
    first: i64,
    messages: u32,
    /// Millionths of a USD.
    cost: u64,
}

/// The messages of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// When the first of them came.
    pub since: Timestamp,
    pub messages: u32,
    /// What X charged for them.
    pub cost: Usd,
}

impl Tally {
    /// Counts a message that came now.
    pub fn add(&mut self, limit: &StormLimit, cost: Usd, at: Timestamp) {
        if self.slot != limit.slot() {
            self.slot = limit.slot();
            self.slots.clear();
        }
        let newest = self.slots.last().map(|slot| slot.number);
        // A clock that was set back must not undo the order.
        let number = limit.number(at).max(newest.unwrap_or(i64::MIN));
        self.slots.retain(|slot| slot.number > number - SLOTS);
        if newest != Some(number) {
            self.slots.push(Slot {
                number,
                first: at.as_millisecond(),
                messages: 0,
                cost: 0,
            });
        }
        if let Some(slot) = self.slots.last_mut() {
            slot.messages = slot.messages.saturating_add(1);
            slot.cost = slot.cost.saturating_add(cost.micros());
        }
    }

    /// What came within the limit's time before `at`; the oldest twelfth of that time may be left
    /// out, so that nothing waits sooner than the filter says.
    pub fn drawn(&self, limit: &StormLimit, at: Timestamp) -> Drawn {
        let now = limit.number(at);
        let same = self.slot == limit.slot();
        let recent = self.slots.iter().filter(|slot| slot.number > now - SLOTS);
        let mut drawn = Drawn {
            since: at,
            messages: 0,
            cost: Usd::default(),
        };
        for slot in recent.filter(|_| same) {
            let first = Timestamp::from_millisecond(slot.first).unwrap_or(at);
            drawn.since = drawn.since.min(first);
            drawn.messages = drawn.messages.saturating_add(slot.messages);
            drawn.cost = drawn.cost + Usd::from_micros(slot.cost);
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CENT: Usd = Usd::from_micros(10_000);

    fn limit(messages: u32, minutes: u64) -> StormLimit {
        StormLimit {
            messages: NonZeroU32::new(messages).unwrap(),
            per: Duration::from_mins(minutes),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn what_came_is_counted_with_its_cost_since_the_first_of_it() {
        let (limit, mut tally) = (limit(200, 60), Tally::default());
        for second in [0, 1, 900] {
            tally.add(&limit, CENT, at(second));
        }
        let drawn = tally.drawn(&limit, at(901));
        assert_eq!(drawn.since, at(0));
        assert_eq!((drawn.messages, drawn.cost), (3, CENT.times(3)));
    }

    #[test]
    fn what_is_older_than_the_time_does_not_count() {
        let (limit, mut tally) = (limit(200, 60), Tally::default());
        tally.add(&limit, CENT, at(0));
        tally.add(&limit, CENT, at(1800));
        assert_eq!(tally.drawn(&limit, at(3000)).messages, 2);
        assert_eq!(tally.drawn(&limit, at(3601)).messages, 1);
        assert_eq!(tally.drawn(&limit, at(3601)).since, at(1800));
        assert_eq!(tally.drawn(&limit, at(9000)).messages, 0);
    }

    #[test]
    fn another_time_starts_the_count_anew() {
        let mut tally = Tally::default();
        tally.add(&limit(200, 60), CENT, at(0));
        assert_eq!(tally.drawn(&limit(200, 30), at(0)).messages, 0);
        tally.add(&limit(200, 30), CENT, at(1));
        assert_eq!(tally.drawn(&limit(200, 30), at(1)).messages, 1);
    }

    #[test]
    fn a_clock_set_back_loses_nothing() {
        let (limit, mut tally) = (limit(200, 60), Tally::default());
        tally.add(&limit, CENT, at(1000));
        tally.add(&limit, CENT, at(0));
        assert_eq!(tally.drawn(&limit, at(1000)).messages, 2);
    }

    #[test]
    fn it_reads_what_it_wrote() {
        let (limit, mut tally) = (limit(200, 60), Tally::default());
        tally.add(&limit, CENT, at(5));
        let written = serde_json::to_string(&tally).unwrap();
        assert_eq!(serde_json::from_str::<Tally>(&written).unwrap(), tally);
    }

    proptest! {
        #[test]
        fn it_never_counts_more_than_came_in_the_time(
            mut seconds in prop::collection::vec(0i64..20_000, 1..200)
        ) {
            seconds.sort_unstable();
            let (limit, mut tally) = (limit(10, 60), Tally::default());
            for second in &seconds {
                tally.add(&limit, CENT, at(*second));
                let in_time = |within: i64| seconds.iter()
                    .filter(|other| *other <= second && *second - **other < within)
                    .count();
                let counted = tally.drawn(&limit, at(*second)).messages as usize;
                // Those behind it in the list that came in the same second are not counted yet.
                prop_assert!(counted <= in_time(3600));
                prop_assert!(tally.slots.len() <= usize::try_from(SLOTS).unwrap());
            }
            let last = *seconds.last().unwrap();
            let surely = seconds.iter().filter(|other| last - **other <= 3600 * 11 / 12).count();
            prop_assert!(tally.drawn(&limit, at(last)).messages as usize >= surely);
        }
    }
}
