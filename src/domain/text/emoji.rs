//! Emoji that are made of several code points.

use super::slice;

/// The longest ones are couples of two skin tones.
const LONGEST: usize = 10;

/// Bytes of the emoji of two or more code points that a text starts with. One of a single code
/// point needs no care: it weighs what every character outside the light ranges weighs, and `©`
/// and `®` are emoji only with a variation selector.
pub(super) fn sequence_at_start(text: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    let (_, first) = chars.next()?;
    let (_, second) = text.char_indices().nth(1)?;
    if !may_start(first) || !may_continue(second) {
        return None;
    }
    let ends: Vec<usize> = chars
        .take(LONGEST)
        .map(|(at, _)| at)
        .chain([text.len()])
        .skip(1)
        .take(LONGEST - 1)
        .collect();
    let is_emoji = |end: &usize| {
        let part = slice(text, 0..*end);
        // A digit with a selector alone is no keycap yet.
        emojis::get(part).is_some() && (!first.is_ascii() || part.ends_with('\u{20e3}'))
    };
    ends.into_iter().rev().find(is_emoji)
}

fn may_start(c: char) -> bool {
    matches!(c, '#' | '*' | '0'..='9' | '©' | '®' | '‼'..='〽' | '㊗' | '㊙' | '\u{1f000}'..='\u{1faff}')
}

/// Selector, joiner, keycap, skin tone, second half of a flag, tag.
fn may_continue(c: char) -> bool {
    matches!(
        c,
        '\u{fe0f}' | '\u{200d}' | '\u{20e3}' | '\u{1f3fb}'..='\u{1f3ff}'
    ) || matches!(c, '\u{1f1e6}'..='\u{1f1ff}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_taken_whole_and_nothing_else_is() {
        for sequence in ["👨‍👩‍👧‍👦", "👍🏽", "🇩🇪", "1️⃣", "#⃣", "❤️", "©️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🧑🏻‍❤️‍💋‍🧑🏿"]
        {
            let text = format!("{sequence} and more");
            assert_eq!(sequence_at_start(&text), Some(sequence.len()), "{sequence}");
            assert_eq!(sequence_at_start(sequence), Some(sequence.len()));
        }
        for other in [
            "",
            "a",
            "1",
            "12",
            "😀",
            "😀😀",
            "©",
            "🇩🇩",
            "☺\u{fe0e}",
            "本語",
            "1\u{fe0f}",
        ] {
            assert_eq!(sequence_at_start(other), None, "{other}");
        }
    }
}
