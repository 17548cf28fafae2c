//! Money, exact: X prices calls in fractions of a cent.

use std::fmt;
use std::str::FromStr;

const MICROS: u64 = 1_000_000;

/// An amount of US dollars that is not negative, to the millionth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd {
    micros: u64,
}

impl Usd {
    /// So many millionths of a dollar.
    pub const fn from_micros(micros: u64) -> Self {
        Self { micros }
    }

    /// In millionths of a dollar.
    pub const fn micros(self) -> u64 {
        self.micros
    }

    /// So many times the amount; the largest there is where that is too much.
    pub const fn times(self, count: u64) -> Self {
        Self {
            micros: self.micros.saturating_mul(count),
        }
    }
}

impl std::ops::Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            micros: self.micros.saturating_add(other.micros),
        }
    }
}

impl std::iter::Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), std::ops::Add::add)
    }
}

/// A string that is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an amount in USD as a string with at most 6 decimals, e.g. \"0.005\"")]
pub struct InvalidUsd;

impl FromStr for Usd {
    type Err = InvalidUsd;

    fn from_str(raw: &str) -> Result<Self, InvalidUsd> {
        let (whole, fraction) = raw.split_once('.').unwrap_or((raw, "0"));
        let digits = |part: &str, longest| {
            (1..=longest).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        // 12 digits of dollars keep the sum of millionths within 64 bits.
        if !digits(whole, 12) || !digits(fraction, 6) {
            return Err(InvalidUsd);
        }
        match (
            whole.parse::<u64>(),
            format!("{fraction:0<6}").parse::<u64>(),
        ) {
            (Ok(dollars), Ok(rest)) => Ok(Self {
                micros: dollars * MICROS + rest,
            }),
            _ => Err(InvalidUsd),
        }
    }
}

impl fmt::Display for Usd {
    /// At least three decimals, as X's own price list: `0.010`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = format!("{}.{:06}", self.micros / MICROS, self.micros % MICROS);
        let shortest = written.len() - 3;
        let kept = written.trim_end_matches('0').len().max(shortest);
        f.write_str(written.get(..kept).unwrap_or(&written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_back_with_at_least_three_decimals() {
        for (raw, shown) in [
            ("0", "0.000"),
            ("0.005", "0.005"),
            ("0.010", "0.010"),
            ("0.01", "0.010"),
            ("12.000001", "12.000001"),
            ("999999999999.999999", "999999999999.999999"),
        ] {
            assert_eq!(raw.parse::<Usd>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_plain_amount_is_refused() {
        for raw in [
            "",
            ".5",
            "5.",
            "-1",
            "+1",
            "1e3",
            "0.0000001",
            "1,5",
            "$1",
            "1000000000000",
        ] {
            assert_eq!(raw.parse::<Usd>(), Err(InvalidUsd), "{raw}");
        }
    }
}
