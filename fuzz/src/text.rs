//! Texts of people: of a customer's post, and of an agent's answer.

use std::ops::Range;

use twitter_channel::domain::term::Term;
use twitter_channel::domain::text::{
    Added, DIRECT_MESSAGE_LIMIT, MAX_PARTS, POST_LIMIT, cashtags, hashtags, invalid_characters,
    is_blank, mentions, same_text, split, split_plain, urls, weigh,
};

/// A text: what is found lies in it, parts keep to the limit and nothing of it is lost.
pub(crate) fn read(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    for found in [urls(text), mentions(text), hashtags(text), cashtags(text)] {
        in_order(text, &found);
    }
    let length = text.chars().count();
    assert!(
        invalid_characters(text).iter().all(|it| it.at < length),
        "beyond the end"
    );
    assert!(same_text(text, text, Added::default()), "unlike itself");
    if let Ok(term) = Term::parse(text) {
        assert!(!is_blank(text), "a blank term: {term:?}");
    }
    // A limit below X's makes parts of short texts.
    let limit = 40 + u32::try_from(length % 240).unwrap_or_default();
    for limit in [limit, POST_LIMIT] {
        let measure = |part: &str| weigh(part).weight as usize;
        kept(text, split(text, "", limit).ok(), limit as usize, measure);
    }
    kept(text, split_plain(text).ok(), DIRECT_MESSAGE_LIMIT, |part| {
        part.chars().count()
    });
}

fn in_order(text: &str, found: &[Range<usize>]) {
    let mut end = 0;
    for range in found {
        assert!(range.start >= end, "{range:?} overlaps");
        assert!(
            text.get(range.clone()).is_some_and(|it| !it.is_empty()),
            "{range:?}"
        );
        end = range.end;
    }
}

fn kept(text: &str, parts: Option<Vec<String>>, limit: usize, measure: impl Fn(&str) -> usize) {
    let Some(parts) = parts else {
        return;
    };
    let total = parts.len();
    assert!((1..=MAX_PARTS).contains(&total), "{total} parts");
    assert!(
        parts.iter().all(|part| measure(part) <= limit),
        "too long: {parts:?}"
    );
    let bare = parts.iter().enumerate().map(|(index, part)| match total {
        1 => Some(part.as_str()),
        _ => part.strip_suffix(&format!(" {}/{total}", index + 1)),
    });
    let bare: Option<String> = bare.collect();
    assert_eq!(
        bare.as_deref().map(without_blanks),
        Some(without_blanks(text)),
        "lost"
    );
}

fn without_blanks(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}
