//! What else than URLs X finds in a text. Translations of the regular expressions of twitter-text
//! 3.1.0.

use std::ops::Range;

use super::chars::{
    is_accented_latin, is_hashtag, is_hashtag_letter, is_name, is_punctuation, is_space,
    may_precede_mention,
};
use super::{before, rest, run, slice, urls};

const LONGEST_NAME: usize = 20;
const LONGEST_LIST: usize = 25;
const LONGEST_SYMBOL: usize = 6;
const LONGEST_CLASS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Url,
    Mention,
    Hashtag,
    Cashtag,
}

/// Where people and lists are mentioned, `@` included, as byte ranges in order.
pub fn mentions(text: &str) -> Vec<Range<usize>> {
    of_kind(text, Kind::Mention)
}

/// Where hashtags are, `#` included, as byte ranges in order.
pub fn hashtags(text: &str) -> Vec<Range<usize>> {
    of_kind(text, Kind::Hashtag)
}

/// Where cashtags are, `$` included, as byte ranges in order. A self-serve app may write one in a
/// post.
pub fn cashtags(text: &str) -> Vec<Range<usize>> {
    of_kind(text, Kind::Cashtag)
}

/// Everything that must not be torn, as byte ranges in order and apart from each other.
pub(super) fn entities(text: &str) -> Vec<Range<usize>> {
    let all = with_kinds(text).into_iter();
    all.map(|(range, _)| range).collect()
}

fn of_kind(text: &str, wanted: Kind) -> Vec<Range<usize>> {
    let all = with_kinds(text).into_iter();
    all.filter(|(_, kind)| *kind == wanted)
        .map(|(range, _)| range)
        .collect()
}

/// Of those that overlap, the first one counts.
fn with_kinds(text: &str) -> Vec<(Range<usize>, Kind)> {
    let kinds = [
        (urls(text), Kind::Url),
        (all(text, &['@', '＠'], mention_end), Kind::Mention),
        (all(text, &['#', '＃'], hashtag_end), Kind::Hashtag),
        (all(text, &['$'], cashtag_end), Kind::Cashtag),
    ];
    let mut found: Vec<_> = kinds
        .into_iter()
        .flat_map(|(ranges, kind)| ranges.into_iter().map(move |range| (range, kind)))
        .collect();
    found.sort_by_key(|(range, _)| range.start);
    let mut end = 0;
    found.retain(|(range, _)| {
        let is_apart = range.start >= end;
        end = if is_apart { range.end } else { end };
        is_apart
    });
    found
}

/// The result of looking at one sign.
enum Seen {
    Entity(usize),
    /// Nothing, and the text up to here is done with.
    Spoiled(usize),
    Nothing,
}

/// Looks at each of the signs; `look` gets the text, where the sign ends and up to where the text
/// is done with.
fn all(
    text: &str,
    signs: &[char],
    look: impl Fn(&str, usize, Range<usize>) -> Seen,
) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut done = 0;
    for (start, sign) in text.match_indices(signs) {
        if start < done {
            continue;
        }
        match look(text, done, start..start + sign.len()) {
            Seen::Entity(end) => {
                found.push(start..end);
                done = end;
            }
            Seen::Spoiled(end) => done = end,
            Seen::Nothing => {}
        }
    }
    found
}

fn mention_end(text: &str, done: usize, sign: Range<usize>) -> Seen {
    let name = run(rest(text, sign.end), is_name).min(LONGEST_NAME);
    if name == 0 || !may_hold_mention(text, done, sign.start) {
        return Seen::Nothing;
    }
    let end = sign.end + name;
    let end = end + list(rest(text, end));
    let after = rest(text, end);
    let goes_on = |c: char| matches!(c, '@' | '＠') || is_accented_latin(c);
    if after.starts_with(goes_on) || after.starts_with("://") {
        return Seen::Spoiled(end);
    }
    Seen::Entity(end)
}

fn may_hold_mention(text: &str, done: usize, at: usize) -> bool {
    match before(text, at) {
        None => true,
        Some(c) if at - c.len_utf8() >= done && may_precede_mention(c) => true,
        Some(_) => follows_retweet(slice(text, done..at), done == 0),
    }
}

/// `RT@name` and `RT:@name` mention too.
fn follows_retweet(before: &str, at_start: bool) -> bool {
    let before = before.strip_suffix(':').unwrap_or(before);
    let word = before.len().checked_sub(2);
    let (head, word) = match word.and_then(|at| before.split_at_checked(at)) {
        Some(halves) => halves,
        None => return false,
    };
    let is_free = |c: char| !is_name(c) && !matches!(c, '+' | '~' | '.' | '-');
    let boundary = head.chars().next_back().map_or(at_start, is_free);
    word.eq_ignore_ascii_case("rt") && boundary
}

/// Bytes of the list a text starts with, slash included.
fn list(text: &str) -> usize {
    let Some(name) = text.strip_prefix('/') else {
        return 0;
    };
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return 0;
    }
    1 + run(name, |c| is_name(c) || c == '-').min(LONGEST_LIST)
}

fn hashtag_end(text: &str, done: usize, sign: Range<usize>) -> Seen {
    let is_free = |c: char| {
        let is_selector = matches!(c, '\u{fe0e}' | '\u{fe0f}');
        sign.start - c.len_utf8() >= done && (is_selector || !(is_hashtag(c) || c == '&'))
    };
    let tag = run(rest(text, sign.end), is_hashtag);
    let tag = slice(text, sign.end..sign.end + tag);
    let is_keycap = tag.starts_with(['\u{fe0f}', '\u{20e3}']);
    if is_keycap
        || !tag.contains(is_hashtag_letter)
        || !before(text, sign.start).is_none_or(is_free)
    {
        return Seen::Nothing;
    }
    let end = sign.end + tag.len();
    let after = rest(text, end);
    if after.starts_with(['#', '＃']) || after.starts_with("://") {
        return Seen::Spoiled(end);
    }
    Seen::Entity(end)
}

fn cashtag_end(text: &str, _: usize, sign: Range<usize>) -> Seen {
    let letters = |text: &str| run(text, |c| c.is_ascii_alphabetic());
    let ends = |at: usize| {
        let next = rest(text, at).chars().next();
        next.is_none_or(|c| is_space(c) || is_punctuation(c))
    };
    let symbol = letters(rest(text, sign.end));
    let end = sign.end + symbol;
    let is_free = before(text, sign.start).is_none_or(is_space);
    if !is_free || !(1..=LONGEST_SYMBOL).contains(&symbol) || !ends(end) {
        return Seen::Nothing;
    }
    let class = match rest(text, end).strip_prefix(['.', '_']) {
        Some(class) => letters(class),
        None => 0,
    };
    let longer = end + 1 + class;
    let has_class = (1..=LONGEST_CLASS).contains(&class) && ends(longer);
    Seen::Entity(if has_class { longer } else { end })
}
