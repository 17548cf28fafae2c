//! A finished text, and how it is cut.

use super::{Link, length};
use crate::model::UserId;

/// A post's text as X delivers it, with all that was found in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Composed {
    /// Escaped, links shortened.
    pub(crate) text: String,
    /// The part people see: without inherited mentions and without the links at the end.
    pub(crate) shown: (usize, usize),
    /// In order of appearance; offsets count code points of `text`.
    pub(crate) entities: Vec<Entity>,
}

/// Something found in a text.
#[derive(Clone, Debug)]
pub(crate) struct Entity {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: EntityKind,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum EntityKind {
    Mention(UserId),
    Hashtag(String),
    Cashtag(String),
    Link(Link),
    /// The link to the post's own media.
    Media(Link),
}

impl Composed {
    /// Length in code points.
    pub(crate) fn length(&self) -> usize {
        length(&self.text)
    }

    /// Everybody mentioned, inherited or typed.
    pub(crate) fn mentions(&self) -> impl Iterator<Item = UserId> {
        self.entities.iter().filter_map(|found| match found.kind {
            EntityKind::Mention(user) => Some(user),
            _ => None,
        })
    }

    /// Whether the author typed this mention; inherited ones stand before what is shown.
    pub(crate) fn mentions_explicitly(&self, user: UserId) -> bool {
        self.entities
            .iter()
            .any(|found| found.kind == EntityKind::Mention(user) && found.start >= self.shown.0)
    }

    /// Without the links at the end.
    pub(crate) fn without_tail(&self) -> Self {
        let end = self.shown.1;
        Self {
            text: self.text.chars().take(end).collect(),
            shown: self.shown,
            entities: self.entities_before(end),
        }
    }

    /// The short form: cut so that with an ellipsis and a link to the post it fills `limit`.
    pub(crate) fn shortened(&self, limit: usize, own: Link) -> Self {
        let mut cut = self.cut_to(limit - 1 - length(&own.short), " ");
        let start = cut.length();
        let end = start + length(&own.short);
        cut.text.push_str(&own.short);
        cut.entities.push(Entity {
            start,
            end,
            kind: EntityKind::Link(own),
        });
        cut.shown = (self.shown.0.min(start), end);
        cut
    }

    /// At most `limit` code points, with an ellipsis and `after` when something was cut.
    pub(super) fn cut_to(&self, limit: usize, after: &str) -> Self {
        if self.length() <= limit {
            return self.clone();
        }
        let kept: String = self.text.chars().take(self.safe_cut(limit - 1)).collect();
        let kept = kept.trim_end();
        let end = length(kept);
        Self {
            text: format!("{kept}…{after}"),
            shown: (self.shown.0.min(end), end + 1),
            entities: self.entities_before(end),
        }
    }

    /// The greatest cut up to `at` that splits neither an entity nor an HTML escape.
    fn safe_cut(&self, at: usize) -> usize {
        let before_entity = self
            .entities
            .iter()
            .find(|found| found.start < at && at < found.end)
            .map_or(at, |found| found.start);
        let kept: Vec<char> = self.text.chars().take(before_entity).collect();
        match kept.iter().rposition(|c| *c == '&') {
            Some(open) if !kept.iter().skip(open).any(|c| *c == ';') => open,
            _ => before_entity,
        }
    }

    fn entities_before(&self, end: usize) -> Vec<Entity> {
        self.entities
            .iter()
            .filter(|found| found.end <= end)
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::Writer;
    use super::*;

    #[test]
    fn a_cut_splits_neither_entity_nor_escape() {
        let mut writer = Writer::default();
        writer.plain("ab&");
        writer.entity("@ann", EntityKind::Mention(UserId(1)));
        let whole = writer.finish((0, 11));
        assert_eq!(whole.text, "ab&amp;@ann");
        assert_eq!(whole.safe_cut(5), 2);
        assert_eq!(whole.safe_cut(9), 7);
        assert_eq!(whole.cut_to(10, "").text, "ab&amp;…");
        assert!(whole.cut_to(10, "").entities.is_empty());
    }
}
