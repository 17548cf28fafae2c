//! What holds for every text.

use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use super::entities::entities;
use super::{
    Added, CannotSplit, cashtags, invalid_characters, mentions, same_text, split, split_plain,
    urls, weigh,
};

/// What texts are made of, so that the random ones meet the rules.
fn piece() -> impl Strategy<Value = String> {
    let sample = |all: &'static [&'static str]| {
        proptest::sample::select(all)
            .prop_map(str::to_owned)
            .boxed()
    };
    prop_oneof![
        sample(&[
            "hello",
            "a",
            "Ünï",
            "привет",
            "שלום",
            "日本語",
            "한국어",
            "e\u{301}",
            "1.5",
            "…"
        ]),
        sample(&[
            "👍🏽",
            "👨‍👩‍👧‍👦",
            "🇩🇪",
            "🇩",
            "1️⃣",
            "❤️",
            "\u{200d}",
            "\u{fe0f}",
            "\u{308}",
            "\u{202e}"
        ]),
        sample(&[
            "https://example.com/a_(b)?c=d",
            "example.com",
            "t.co",
            "HTTP://x.",
            "a_b.",
            "com"
        ]),
        sample(&[
            "@jack",
            "@",
            "#tag",
            "＃",
            "$TWTR",
            "joe@example.com",
            "RT",
            ":",
            "/",
            "-",
            "_",
            "."
        ]),
        sample(&[" ", " ", "  ", "\n", "\r\n", "\u{a0}", "\u{3000}", "\t"]),
        "[a-z]{1,40}",
        "\\PC{0,6}",
        ".{0,3}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(piece(), 0..60).prop_map(|pieces| pieces.concat())
}

/// The parts without their numbers, and the last one without the suffix.
fn bare(parts: &[String], suffix: &str) -> Vec<String> {
    let total = parts.len();
    let mut bare: Vec<String> = parts.to_vec();
    if total > 1 {
        for (index, part) in bare.iter_mut().enumerate() {
            let counter = format!(" {}/{total}", index + 1);
            *part = part.strip_suffix(&counter).expect("a number").to_owned();
        }
    }
    if let Some(last) = bare.last_mut()
        && !suffix.is_empty()
    {
        let text = last.strip_suffix(suffix).expect("the suffix");
        *last = text.strip_suffix(' ').unwrap_or(text).to_owned();
    }
    bare
}

/// Where the parts are in the text, if it is these parts with nothing but white space between.
fn places(text: &str, parts: &[String]) -> Vec<std::ops::Range<usize>> {
    let mut at = 0;
    let mut found = Vec::new();
    for part in parts {
        let left = &text[at..];
        let blanks = left.len() - left.trim_start().len();
        let gap = (0..=blanks).find(|gap| {
            let after = left.get(*gap..);
            after.is_some_and(|after| after.starts_with(part.as_str()))
        });
        let gap = gap.unwrap_or_else(|| panic!("{part:?} in {left:?}"));
        found.push(at + gap..at + gap + part.len());
        at += gap + part.len();
    }
    assert!(text[at..].trim().is_empty(), "lost: {:?}", &text[at..]);
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn parts_give_the_text_back_and_keep_to_the_limit(
        text in text(),
        suffix in prop_oneof![Just(""), Just("^JB"), Just("– Jo at example.com")],
        limit in 40_u32..300,
    ) {
        let parts = match split(&text, suffix, limit) {
            Ok(parts) => parts,
            Err(CannotSplit::TooManyParts) => return Ok(()),
            Err(CannotSplit::PieceTooLong(piece)) => {
                prop_assert!(weigh(&piece).weight + 6 > limit, "{piece:?} would fit");
                return Ok(());
            }
        };
        prop_assert!(parts.len() <= 25);
        for part in &parts {
            prop_assert!(weigh(part).weight <= limit, "{} in {part:?}", weigh(part).weight);
        }
        let bare = bare(&parts, suffix);
        prop_assert!(parts.len() == 1 || bare.iter().all(|part| !part.trim().is_empty()));
        let places = places(&text, &bare);
        let clusters: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).collect();
        for place in places.iter().filter(|_| parts.len() > 1) {
            prop_assert!(clusters.contains(&place.start));
            prop_assert!(place.end == text.len() || clusters.contains(&place.end));
            for entity in entities(&text) {
                let is_torn = |at| entity.start < at && at < entity.end;
                prop_assert!(!is_torn(place.start) && !is_torn(place.end), "{entity:?} is torn");
            }
        }
    }

    #[test]
    fn weights_of_words_add_up(one in text(), other in text()) {
        // At the start of a text X takes a letter off some domains, so the blank goes with it.
        let other = format!(" {other}");
        let both = weigh(&format!("{one}{other}"));
        prop_assert_eq!(both.weight, weigh(&one).weight + weigh(&other).weight);
    }

    #[test]
    fn no_string_is_too_strange(text in any::<String>()) {
        weigh(&text);
        invalid_characters(&text);
        for ranges in [urls(&text), mentions(&text), cashtags(&text), entities(&text)] {
            prop_assert!(ranges.iter().all(|range| text.get(range.clone()).is_some()));
            prop_assert!(ranges.is_sorted_by(|one, next| one.end <= next.start));
        }
    }

    #[test]
    fn a_text_is_found_again_with_what_x_adds(text in text()) {
        let added = Added { mentions: true, link: true };
        prop_assert!(same_text(&text, &text, Added::default()));
        let found = format!("@jack @jill {} https://t.co/abc", text.trim());
        prop_assert!(same_text(&text, &found, added) || text.trim().starts_with(['@', '/', '＠']) || text.trim().is_empty());
        let longer = text + "x";
        prop_assert!(!same_text(&longer, &found, added));
    }
}

proptest! {
    // Long texts: few of them.
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn direct_messages_are_split_by_code_points(text in text(), times in 1_usize..400) {
        let text = format!("{text} ").repeat(times);
        if let Ok(parts) = split_plain(&text) {
            prop_assert!(parts.iter().all(|part| part.chars().count() <= 10_000));
            places(&text, &bare(&parts, ""));
        }
    }
}
