//! Rules of the filtered stream: the part of X's language that helpdesks use.

use super::ids::PostId;

/// A rule and its label.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: u64,
    pub(crate) value: String,
    pub(crate) tag: String,
}

/// What a rule is held against.
pub(crate) struct Candidate {
    /// The text and the quoted text.
    pub(crate) text: String,
    pub(crate) author: String,
    pub(crate) replied_to: Option<String>,
    pub(crate) mentions: Vec<String>,
    pub(crate) conversation: PostId,
    pub(crate) is_repost: bool,
}

impl Rule {
    /// Whether one of its alternatives (between `OR`s) holds in all its terms.
    pub(crate) fn matches(&self, post: &Candidate) -> bool {
        self.value.split(" OR ").any(|alternative| {
            let mut terms = alternative.split_whitespace().peekable();
            terms.peek().is_some() && terms.all(|term| holds(term, post))
        })
    }
}

fn holds(term: &str, post: &Candidate) -> bool {
    if let Some(denied) = term.strip_prefix('-') {
        return !holds(denied, post);
    }
    if let Some(name) = term.strip_prefix('@') {
        return post.mentions.iter().any(|mention| same(mention, name));
    }
    match term.split_once(':') {
        Some(("from", name)) => same(&post.author, name),
        Some(("to", name)) => post.replied_to.as_deref().is_some_and(|to| same(to, name)),
        Some(("conversation_id", id)) => id == post.conversation.to_string(),
        Some(("is", "retweet")) => post.is_repost,
        _ => post.text.split(is_separator).any(|token| same(token, term)),
    }
}

/// Hashtags are tokens of their own, so `#` does not separate.
fn is_separator(c: char) -> bool {
    !(c.is_alphanumeric() || c == '_' || c == '#')
}

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(value: &str) -> bool {
        let rule = Rule {
            id: 1,
            value: value.into(),
            tag: String::new(),
        };
        rule.matches(&Candidate {
            text: "My #Printer is broken, again".into(),
            author: "ann".into(),
            replied_to: Some("acme".into()),
            mentions: vec!["acme".into()],
            conversation: PostId(7),
            is_repost: false,
        })
    }

    #[test]
    fn every_term_of_an_alternative_has_to_hold() {
        assert!(matches("@ACME broken"));
        assert!(matches("from:bob OR to:acme"));
        assert!(matches("#printer -is:retweet conversation_id:7"));
        assert!(!matches("@acme fine"));
        assert!(!matches("printer"));
        assert!(!matches("-from:ann OR brok"));
        assert!(!matches(""));
    }
}
