//! One line that stands for a message.

use crate::domain::message::{Message, MessageKind};

/// Longest summary, characters.
const SUMMARY: usize = 80;
/// Room for one with the word that is too much, bytes.
const ROOM: usize = 128;

/// One line of at most 80 characters, never empty: the text, else what there is instead of one.
pub fn summary(message: &Message) -> String {
    let mut words = message
        .text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    let (mut line, mut length) = (String::with_capacity(ROOM), 0);
    while length <= SUMMARY
        && let Some(word) = words.next()
    {
        if !line.is_empty() {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += word.chars().count();
    }
    if line.chars().all(is_invisible) {
        return instead_of_text(message);
    }
    if length > SUMMARY {
        let cut = line.char_indices().nth(SUMMARY - 1);
        line.truncate(cut.map_or(line.len(), |(at, _)| at));
        line.push('…');
    }
    line
}

/// Nothing in it can be seen.
pub fn is_blank(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_whitespace() || c.is_control() || is_invisible(c))
}

/// Joiners, marks and the like: alone they show nothing.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

fn instead_of_text(message: &Message) -> String {
    match (message.kind(), message.attachments.first()) {
        (MessageKind::EncryptedMessage, _) => "[encrypted]".to_owned(),
        (_, Some(attachment)) => format!("[{}]", attachment.kind.label()),
        (_, None) => "[no text]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_one_line() {
        assert_eq!(summary(&Message::saying(" a\n\tb\u{0} c ")), "a b c");
    }

    #[test]
    fn a_long_text_is_cut_to_80_characters() {
        assert_eq!(
            summary(&Message::saying(&"🥁".repeat(80))).chars().count(),
            80
        );
        let cut = summary(&Message::saying(&"word ".repeat(60)));
        assert_eq!(cut.chars().count(), 80);
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn a_summary_is_never_empty() {
        assert_eq!(summary(&Message::saying("\u{200b}\n")), "[no text]");
        assert_eq!(summary(&Message::saying("  ")), "[no text]");
    }

    #[test]
    fn blanks_and_marks_alone_are_a_blank_text() {
        assert!(is_blank("") && is_blank(" \n\u{200b}\u{a0}\u{0}\u{feff}"));
        assert!(!is_blank(" . ") && !is_blank("🥁"));
    }
}
