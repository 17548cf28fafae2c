//! How much a text counts towards X's limit.

use unicode_normalization::UnicodeNormalization as _;
use unicode_segmentation::UnicodeSegmentation as _;

use super::tokens::{Token, tokens};

/// Whatever its length.
const ADDRESS: usize = 23;
const EMOJI: usize = 2;

/// The weighted length of a text as typed: most alphabets once, the rest and emoji twice, addresses
/// 23, all over the NFC form.
pub(crate) fn weight(text: &str) -> usize {
    let text: String = text.nfc().collect();
    tokens(&text)
        .iter()
        .map(|token| match token {
            Token::Link(_) => ADDRESS,
            Token::Plain(text)
            | Token::Mention(text)
            | Token::Hashtag(text)
            | Token::Cashtag(text) => text.graphemes(true).map(of_grapheme).sum(),
        })
        .sum()
}

/// An emoji counts the same whatever it is made of.
fn of_grapheme(grapheme: &str) -> usize {
    if grapheme.chars().nth(1).is_some() && emojis::get(grapheme).is_some() {
        return EMOJI;
    }
    grapheme.chars().map(of_character).sum()
}

fn of_character(c: char) -> usize {
    match c as u32 {
        0..=0x10ff | 0x2000..=0x200d | 0x2010..=0x201f | 0x2032..=0x2037 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_weigh_what_x_says() {
        for (text, expected) in [
            ("", 0),
            ("hello", 5),
            ("語語", 4),
            ("e\u{301}", 1),
            ("👍", 2),
            ("👍🏽", 2),
            ("👨‍👩‍👧‍👦", 2),
            ("🇩🇪", 2),
            ("1\u{fe0f}\u{20e3}", 2),
            ("❤\u{fe0f}", 2),
            ("☎", 2),
            ("see example.com", 27),
            ("https://example.com/a/very/long/path/indeed/it/is?x=y", 23),
            ("“quoted”", 8),
            ("a\u{200d}b", 3),
            ("ﷺ", 2),
            ("@acme #fun $ABC", 15),
        ] {
            assert_eq!(weight(text), expected, "{text:?}");
        }
        assert_eq!(weight(&"é".repeat(280)), 280);
    }
}
