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
    use crate::domain::ids::MessageId;
    use crate::domain::message::Person;
    use jiff::Timestamp;

    fn message(text: &str) -> Message {
        Message {
            id: MessageId::Post("1".parse().unwrap()),
            created_at: Timestamp::UNIX_EPOCH,
            author: Person::unknown("2".parse().unwrap()),
            text: text.to_owned(),
            lang: String::new(),
            mentions: vec![],
            hashtags: vec![],
            links: vec![],
            attachments: vec![],
            possibly_sensitive: false,
            source_app: String::new(),
        }
    }

    #[test]
    fn a_summary_is_one_line() {
        assert_eq!(summary(&message(" a\n\tb\u{0} c ")), "a b c");
    }

    #[test]
    fn a_long_text_is_cut_to_80_characters() {
        assert_eq!(summary(&message(&"🥁".repeat(80))).chars().count(), 80);
        let cut = summary(&message(&"word ".repeat(60)));
        assert_eq!(cut.chars().count(), 80);
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn a_summary_is_never_empty() {
        assert_eq!(summary(&message("\u{200b}\n")), "[no text]");
        assert_eq!(summary(&message("  ")), "[no text]");
    }

    #[test]
    fn blanks_and_marks_alone_are_a_blank_text() {
        assert!(is_blank("") && is_blank(" \n\u{200b}\u{a0}\u{0}\u{feff}"));
        assert!(!is_blank(" . ") && !is_blank("🥁"));
    }
}
