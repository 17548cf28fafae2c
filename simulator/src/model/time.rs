//! The simulator's clock, and the ids made from it.

use std::time::Duration;

use jiff::Timestamp;

/// The first millisecond of X's ids.
const SNOWFLAKE_EPOCH_MS: i64 = 1_288_834_974_657;
const SEQUENCE_BITS: u32 = 12;
const MACHINE_BITS: u32 = 10;

/// What time it is inside the simulator.
#[derive(Clone, Debug, PartialEq)]
pub enum Clock {
    /// The time of this machine.
    Wall,
    /// The time of this machine, so much earlier: what is advanced by that much is in the past for
    /// everybody else, and the clocks agree afterwards.
    Behind(Duration),
    /// A time of its own: starts at `start`, and everything that happens moves it on by `step`.
    Stepping {
        /// The time of the first thing that happens.
        start: Timestamp,
        /// The time from one thing to the next.
        step: Duration,
    },
}

impl Default for Clock {
    /// 2026-03-02 09:00 UTC, a second from one thing to the next.
    fn default() -> Self {
        Self::Stepping {
            start: Timestamp::from_second(1_772_442_000).unwrap_or(Timestamp::UNIX_EPOCH),
            step: Duration::from_secs(1),
        }
    }
}

/// Reads the clock and makes ids that grow with it.
pub(crate) struct Timekeeper {
    clock: Clock,
    /// Of a clock of its own: the time of the next thing. Of this machine's: how far it is ahead.
    now_ms: i64,
    last_id_ms: i64,
    sequence: u64,
    machine: u64,
}

impl Timekeeper {
    pub(crate) fn new(clock: Clock, seed: u64) -> Self {
        let now_ms = match &clock {
            Clock::Wall => 0,
            Clock::Behind(by) => milliseconds(*by).saturating_neg(),
            Clock::Stepping { start, .. } => start.as_millisecond(),
        };
        let machine = seed % (1 << MACHINE_BITS);
        Self {
            clock,
            now_ms,
            last_id_ms: 0,
            sequence: 0,
            machine,
        }
    }

    /// The time of the next thing that happens, in milliseconds since 1970.
    pub(crate) fn tick(&mut self) -> i64 {
        let now = self.now();
        if let Clock::Stepping { step, .. } = self.clock {
            self.advance(step);
        }
        now
    }

    /// The same without moving on: looking takes no time.
    pub(crate) fn now(&self) -> i64 {
        match self.clock {
            Clock::Wall | Clock::Behind(_) => Timestamp::now()
                .as_millisecond()
                .saturating_add(self.now_ms),
            Clock::Stepping { .. } => self.now_ms,
        }
    }

    /// How far each thing that happens moves the clock on from now on; what it was comes back.
    /// This machine's clock has no such step.
    pub(crate) fn set_step(&mut self, to: Duration) -> Duration {
        match &mut self.clock {
            Clock::Wall | Clock::Behind(_) => Duration::ZERO,
            Clock::Stepping { step, .. } => std::mem::replace(step, to),
        }
    }

    /// Lets time pass; of the wall clock that much is skipped.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.now_ms = self.now_ms.saturating_add(milliseconds(by));
    }

    /// An id that carries `at_ms`, greater than every id made before.
    pub(crate) fn id_at(&mut self, at_ms: i64) -> u64 {
        if at_ms > self.last_id_ms {
            self.last_id_ms = at_ms;
            self.sequence = 0;
        } else {
            self.sequence += 1;
        }
        if self.sequence >= 1 << SEQUENCE_BITS {
            self.last_id_ms += 1;
            self.sequence = 0;
        }
        snowflake(self.last_id_ms, self.machine, self.sequence)
    }
}

/// A time as the forms write it, from milliseconds since 1970.
pub(crate) fn format(at_ms: i64, pattern: &str) -> String {
    Timestamp::from_millisecond(at_ms)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .strftime(pattern)
        .to_string()
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn snowflake(at_ms: i64, machine: u64, sequence: u64) -> u64 {
    let since_epoch = u64::try_from(at_ms - SNOWFLAKE_EPOCH_MS).unwrap_or(0);
    (since_epoch << (MACHINE_BITS + SEQUENCE_BITS)) | (machine << SEQUENCE_BITS) | sequence
}

/// The time that an id carries, in milliseconds since 1970.
pub(crate) fn time_of(id: u64) -> i64 {
    let since_epoch = i64::try_from(id >> (MACHINE_BITS + SEQUENCE_BITS)).unwrap_or(i64::MAX);
    since_epoch.saturating_add(SNOWFLAKE_EPOCH_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_carries_its_time_machine_and_sequence() {
        let mut time = Timekeeper::new(Clock::default(), 5);
        let at = time.tick();
        let first = time.id_at(at);
        let second = time.id_at(at);
        assert_eq!(time_of(first), 1_772_442_000_000);
        assert_eq!((first >> 12) & 0x3ff, 5);
        assert_eq!(second, first + 1);
    }

    #[test]
    fn a_clock_that_is_behind_catches_up() {
        let hour = Duration::from_secs(3600);
        let mut time = Timekeeper::new(Clock::Behind(hour), 0);
        let behind = Timestamp::now().as_millisecond() - time.now();
        assert!(behind.abs_diff(3_600_000) < 60_000, "{behind}");
        time.advance(hour);
        assert!(Timestamp::now().as_millisecond().abs_diff(time.now()) < 60_000);
    }

    #[test]
    fn ids_grow_past_the_last_sequence_number_of_a_millisecond() {
        let mut time = Timekeeper::new(Clock::default(), 0);
        let ids: Vec<u64> = (0..5000).map(|_| time.id_at(1_772_442_000_000)).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
    }
}
