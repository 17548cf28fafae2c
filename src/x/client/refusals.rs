//! X's refusals of posts and messages, most of which only their text tells apart.

use serde::Deserialize;

use super::error::RefusalReason;

/// The texts as data: what was seen, what it means, and where it was seen.
const TABLE: &str = include_str!("refusals.json");

/// One text, known by a part of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// In lower case.
    part: String,
    reason: RefusalReason,
    #[expect(dead_code, reason = "for people: who saw it, and where")]
    source: String,
}

/// The table, in order: the first part that fits decides.
#[derive(Clone, Debug)]
pub(super) struct RefusalTexts(Vec<Row>);

impl RefusalTexts {
    /// # Errors
    /// When the compiled-in table is malformed, which a test keeps from happening.
    pub(super) fn compiled_in() -> Result<Self, serde_json::Error> {
        serde_json::from_str(TABLE).map(Self)
    }

    /// What a text of X's means, whatever its case; `None` where nobody wrote it down yet.
    pub(super) fn reason(&self, text: &str) -> Option<RefusalReason> {
        let text = text.to_lowercase();
        let row = self.0.iter().find(|row| text.contains(&row.part))?;
        Some(row.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_part_whatever_the_case() {
        let texts = RefusalTexts::compiled_in().unwrap();
        assert!(texts.0.len() > 20);
        for row in &texts.0 {
            assert_eq!(row.part, row.part.to_lowercase());
            assert!(row.part.len() >= 12, "too common: {}", row.part);
            let text = format!("X says: {}!", row.part.to_uppercase());
            assert_eq!(texts.reason(&text), Some(row.reason), "{text}");
        }
    }

    #[test]
    fn the_more_exact_of_two_texts_decides() {
        let texts = RefusalTexts::compiled_in().unwrap();
        let both = "Reply to this conversation is not allowed because you have not been mentioned or otherwise engaged by the author of the post you are replying to.";
        assert_eq!(texts.reason(both), Some(RefusalReason::NotSummoned));
        let only_restricted = "Reply to this conversation is not allowed.";
        assert_eq!(
            texts.reason(only_restricted),
            Some(RefusalReason::ReplyNotPermitted)
        );
    }

    #[test]
    fn a_text_that_nobody_saw_yet_means_nothing() {
        let texts = RefusalTexts::compiled_in().unwrap();
        for text in [
            "",
            "Forbidden",
            "You are not permitted to perform this action.",
        ] {
            assert_eq!(texts.reason(text), None, "{text}");
        }
    }
}
