//! Finds links, names and tags in a text as typed.

use super::addresses::address;

/// A piece of a text as typed.
#[derive(Debug, PartialEq)]
pub(super) enum Token<'a> {
    Plain(&'a str),
    Link(&'a str),
    Mention(&'a str),
    Hashtag(&'a str),
    Cashtag(&'a str),
}

impl Token<'_> {
    /// In bytes.
    fn size(&self) -> usize {
        match self {
            Self::Plain(text)
            | Self::Link(text)
            | Self::Mention(text)
            | Self::Hashtag(text)
            | Self::Cashtag(text) => text.len(),
        }
    }
}

pub(super) fn tokens(mut rest: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (plain, after) = rest.split_at(plain_length(rest));
        if !plain.is_empty() {
            found.push(Token::Plain(plain));
        }
        let before = plain.chars().next_back().unwrap_or(' ');
        rest = match special(before, after) {
            Some(token) => {
                let rest = after.split_at(token.size()).1;
                found.push(token);
                rest
            }
            None => after,
        };
    }
    found
}

/// How many bytes pass before something special begins at the start of a word.
fn plain_length(text: &str) -> usize {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let word_before = before.is_alphanumeric() || before == '_';
        if !word_before && special(before, text.split_at(at).1).is_some() {
            return at;
        }
        before = c;
    }
    text.len()
}

/// The special piece that `text` begins with.
fn special(before: char, text: &str) -> Option<Token<'_>> {
    match text.chars().next()? {
        c if c.is_alphanumeric() => address(before, text).map(Token::Link),
        '@' => run(text, 15, |c| c.is_ascii_alphanumeric() || c == '_').map(Token::Mention),
        '#' => run(text, 100, |c| c.is_alphanumeric() || c == '_')
            .filter(|tag| tag.chars().any(char::is_alphabetic))
            .map(Token::Hashtag),
        '$' => run(text, 6, |c| c.is_ascii_alphabetic()).map(Token::Cashtag),
        _ => None,
    }
}

/// How many cashtags a text has.
pub(crate) fn cashtags(text: &str) -> usize {
    let found = tokens(text);
    found
        .iter()
        .filter(|token| matches!(token, Token::Cashtag(_)))
        .count()
}

/// A sign and the run of fitting characters after it, if there are any.
fn run(text: &str, limit: usize, fits: fn(char) -> bool) -> Option<&str> {
    let size: usize = text
        .chars()
        .skip(1)
        .take_while(|c| fits(*c))
        .map(char::len_utf8)
        .sum();
    (1..=limit)
        .contains(&size)
        .then(|| text.split_at(size + 1).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_falls_into_words_links_and_tags() {
        assert_eq!(
            tokens("hi @ann, me@mail.com #X1 #1 $ACME https://a.io/c?d=e. Ok"),
            [
                Token::Plain("hi "),
                Token::Mention("@ann"),
                Token::Plain(", me@mail.com "),
                Token::Hashtag("#X1"),
                Token::Plain(" #1 "),
                Token::Cashtag("$ACME"),
                Token::Plain(" "),
                Token::Link("https://a.io/c?d=e"),
                Token::Plain(". Ok"),
            ]
        );
    }
}
