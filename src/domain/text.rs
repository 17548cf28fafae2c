//! Texts for people: how X counts and reads them, how a long one is split, and whether one found
//! at X is the one we sent.

mod chars;
mod emoji;
mod entities;
mod same;
mod split;
mod summary;
mod urls;
mod weight;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;

pub use entities::{cashtags, hashtags, mentions};
pub use same::{Added, same_text};
pub use split::{CannotSplit, MAX_PARTS, split, split_plain, with_suffix};
pub use summary::{is_blank, summary};
pub use urls::urls;
pub use weight::{
    DIRECT_MESSAGE_LIMIT, Invalid, LONG_POST_LIMIT, POST_LIMIT, Weighed, invalid_characters, weigh,
};

use std::fmt::{Display, Write};
use std::ops::Range;

/// What is shown, in a string with room for it (bytes) from the start: `to_string` begins with none,
/// and grows with each part.
pub fn written(room: usize, shown: impl Display) -> String {
    let mut text = String::with_capacity(room);
    // Writing to a string does not fail; what is shown here does not either.
    let _ = write!(text, "{shown}");
    text
}

/// The part of a text; nothing for a range that is not in it.
fn slice(text: &str, range: Range<usize>) -> &str {
    text.get(range).unwrap_or_default()
}

/// The text from `at` on.
fn rest(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or_default()
}

/// The character that ends at `at`.
fn before(text: &str, at: usize) -> Option<char> {
    text.get(..at)?.chars().next_back()
}

/// Bytes of the characters at the start of a text that `wanted` takes.
fn run(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c: char| !wanted(c)).unwrap_or(text.len())
}
