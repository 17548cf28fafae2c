//! Length of a text as X counts it.

use unicode_normalization::UnicodeNormalization;

use super::{chars, emoji, rest, urls};

/// Longest post of an account without Premium, weighted characters.
/// Source: X's "Counting characters".
pub const POST_LIMIT: u32 = 280;
/// Longest post of an account with Premium, weighted characters.
/// Source: X's changelog of 2024-08-20.
pub const LONG_POST_LIMIT: u32 = 25_000;
/// Longest direct message, code points.
pub const DIRECT_MESSAGE_LIMIT: usize = 10_000;

// Source: configuration v3 of twitter-text, which X's "Counting characters" calls the authority.
const SCALE: u32 = 100;
const LIGHT: u32 = 100;
const HEAVY: u32 = 200;
const URL: u32 = 2_300;

/// What X makes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// Weighted characters of the text in form NFC.
    pub weight: u32,
    /// X recognises a URL, which raises the price of a post.
    pub has_url: bool,
}

/// Weighs a text as a post. Every mention that we write counts; those that X adds to a reply are
/// no part of the text.
pub fn weigh(text: &str) -> Weighed {
    let text: String = text.nfc().collect();
    let urls = urls(&text);
    let mut weight = 0;
    let mut at = 0;
    for url in &urls {
        weight += plain_weight(text.get(at..url.start).unwrap_or_default()) + URL;
        at = url.end;
    }
    weight += plain_weight(rest(&text, at));
    Weighed {
        weight: weight / SCALE,
        has_url: !urls.is_empty(),
    }
}

/// Weight of a text without URLs, in hundredths.
fn plain_weight(text: &str) -> u32 {
    let mut weight = 0;
    let mut left = text;
    while let Some(c) = left.chars().next() {
        let emoji = emoji::sequence_at_start(left);
        weight += emoji.map_or_else(|| character_weight(c), |_| HEAVY);
        left = rest(left, emoji.unwrap_or(c.len_utf8()));
    }
    weight
}

fn character_weight(c: char) -> u32 {
    match c {
        '\u{0}'..='\u{10ff}'
        | '\u{2000}'..='\u{200d}'
        | '\u{2010}'..='\u{201f}'
        | '\u{2032}'..='\u{2037}' => LIGHT,
        _ => HEAVY,
    }
}

/// A character that X refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Where in the text, code points before it.
    pub at: usize,
    pub character: char,
    /// As Unicode calls it.
    pub name: &'static str,
}

/// The characters for which X refuses a text. Source: twitter-text 3.1.0, which lets marks of
/// direction pass.
pub fn invalid_characters(text: &str) -> Vec<Invalid> {
    let invalid = text
        .chars()
        .enumerate()
        .filter(|(_, c)| chars::is_invalid(*c));
    invalid
        .map(|(at, character)| Invalid {
            at,
            character,
            name: match character {
                '\u{feff}' => "ZERO WIDTH NO-BREAK SPACE",
                _ => "noncharacter",
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_characters_are_told_by_position_and_name() {
        let found = invalid_characters("ä\u{feff}b\u{ffff}\u{fffe}");
        let told: Vec<_> = found.iter().map(|it| (it.at, it.name)).collect();
        assert_eq!(
            told,
            [
                (1, "ZERO WIDTH NO-BREAK SPACE"),
                (3, "noncharacter"),
                (4, "noncharacter")
            ]
        );
        assert_eq!(invalid_characters("\u{202e}right to left\u{202c} 🥁"), []);
    }
}
