//! Splitting a text that is too long into numbered parts.

use std::ops::Range;

use thiserror::Error;
use unicode_segmentation::UnicodeSegmentation;

use super::entities::entities;
use super::{DIRECT_MESSAGE_LIMIT, slice, weigh};

/// A text may become this many parts.
pub const MAX_PARTS: usize = 25;

/// Why a text cannot be split.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CannotSplit {
    #[error("the text needs more than {MAX_PARTS} parts")]
    TooManyParts,
    /// A URL, a mention, a hashtag, a character with its marks, or the last of them with the
    /// suffix: none of them is torn.
    #[error("`{0}` does not fit in a part")]
    PieceTooLong(String),
}

/// The text, then the suffix after a blank.
pub fn with_suffix(text: &str, suffix: &str) -> String {
    match (text, suffix) {
        (_, "") => text.to_owned(),
        ("", _) => suffix.to_owned(),
        _ => format!("{text} {suffix}"),
    }
}

/// Splits a text into posts of `limit` weighted characters at most, each ending in a blank and
/// `1/3`, `2/3` and so on; the suffix comes before the number of the last one: `text ^JB 3/3`.
///
/// A text that fits is one part, as it was written, without a number. Otherwise parts end where
/// there is white space, which is dropped there and at both ends of the text. All other
/// characters stay. Only a word that is longer than a part is torn: between its URLs, mentions,
/// hashtags and stretches of letters, or, where one of the latter is too long itself, between
/// characters as readers see them.
pub fn split(text: &str, suffix: &str, limit: u32) -> Result<Vec<String>, CannotSplit> {
    let measure = |text: &str| usize::try_from(weigh(text).weight).unwrap_or(usize::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    split_by(measure, text, suffix, limit)
}

/// Splits a text into direct messages in the same way, by code points.
pub fn split_plain(text: &str) -> Result<Vec<String>, CannotSplit> {
    split_by(|text| text.chars().count(), text, "", DIRECT_MESSAGE_LIMIT)
}

fn split_by(
    measure: impl Fn(&str) -> usize,
    text: &str,
    suffix: &str,
    limit: usize,
) -> Result<Vec<String>, CannotSplit> {
    let inner = without_blank_ends(text);
    for text in [text, slice(text, inner.clone())] {
        let whole = with_suffix(text, suffix);
        if measure(&whole) <= limit {
            return Ok(vec![whole]);
        }
    }
    let packing = |most| Packing::new(&measure, text, inner.clone(), suffix, limit, most).pack();
    // A two-digit total leaves less room in each part, so it comes second.
    let parts = match packing(9) {
        Err(CannotSplit::TooManyParts) => packing(MAX_PARTS)?,
        parts => parts?,
    };
    let total = parts.len();
    let numbered = parts.iter().enumerate();
    Ok(numbered
        .map(|(index, part)| format!("{part} {}/{total}", index + 1))
        .collect())
}

/// Where the text is without the white space around it.
fn without_blank_ends(text: &str) -> Range<usize> {
    let mut shown = text
        .grapheme_indices(true)
        .filter(|(_, cluster)| !is_blank(cluster));
    let Some((start, first)) = shown.next() else {
        return 0..0;
    };
    let (last, cluster) = shown.next_back().unwrap_or((start, first));
    start..last + cluster.len()
}

fn is_blank(cluster: &str) -> bool {
    cluster.chars().all(char::is_whitespace)
}

/// White space at which a line may be broken.
fn is_break(cluster: &str) -> bool {
    is_blank(cluster) && !cluster.contains(['\u{a0}', '\u{2007}', '\u{202f}'])
}

/// How a piece may be torn further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What stands between white space.
    Word,
    /// Letters of scripts that part words by blanks, punctuation, digits.
    Stretch,
    /// Not at all.
    Whole,
}

/// A piece of the text, to be put into a part.
#[derive(Clone, Debug)]
struct Piece {
    kind: Kind,
    bytes: Range<usize>,
    length: usize,
    /// Length of the white space before it.
    gap: usize,
    /// It ends the text: the suffix follows it and is in its length.
    is_last: bool,
}

struct Packing<'a, F> {
    measure: &'a F,
    text: &'a str,
    /// The text without the white space around it.
    inner: Range<usize>,
    /// What must not be torn. In order.
    entities: Vec<Range<usize>>,
    suffix: &'a str,
    limit: usize,
    /// Parts there may be.
    most: usize,
    /// Pieces that have no part yet, the next one at the end.
    waiting: Vec<Piece>,
    /// Pieces of the part that is being filled.
    part: Vec<Piece>,
    /// Length of these with the white space between them.
    used: usize,
    parts: Vec<String>,
}

impl<'a, F: Fn(&str) -> usize> Packing<'a, F> {
    fn new(
        measure: &'a F,
        text: &'a str,
        inner: Range<usize>,
        suffix: &'a str,
        limit: usize,
        most: usize,
    ) -> Self {
        let mut packing = Self {
            measure,
            text,
            inner,
            entities: entities(text),
            suffix,
            limit,
            most,
            waiting: Vec::new(),
            part: Vec::new(),
            used: 0,
            parts: Vec::new(),
        };
        packing.waiting = packing.words();
        packing.waiting.reverse();
        packing
    }

    fn pack(mut self) -> Result<Vec<String>, CannotSplit> {
        while let Some(piece) = self.waiting.pop() {
            self.place(piece)?;
            if self.waiting.is_empty() {
                self.close()?;
            }
        }
        Ok(self.parts)
    }

    /// Puts a piece into this part, or the next one, or tears it.
    fn place(&mut self, piece: Piece) -> Result<(), CannotSplit> {
        let gap = if self.part.is_empty() { 0 } else { piece.gap };
        let used = self.used + gap + piece.length;
        if used <= self.room(0) {
            self.used = used;
            self.part.push(piece);
        } else if !self.part.is_empty() && piece.length <= self.room(1) {
            self.waiting.push(piece);
            self.close()?;
        } else if piece.kind == Kind::Whole {
            return Err(CannotSplit::PieceTooLong(
                self.written(&piece.bytes, piece.is_last),
            ));
        } else {
            let mut pieces = self.torn(&piece);
            pieces.reverse();
            self.waiting.append(&mut pieces);
        }
        Ok(())
    }

    /// What fits into this part, or the one that is `ahead` of it, beside the number.
    fn room(&self, ahead: usize) -> usize {
        let digits = |number: usize| if number < 10 { 1 } else { 2 };
        let number = self.parts.len() + ahead + 1;
        let counter = " /".len() + digits(number) + digits(self.most);
        self.limit.saturating_sub(counter)
    }

    /// Ends the part. Where a word was torn X may see a URL that was none before, so the part is
    /// measured as it will be sent.
    fn close(&mut self) -> Result<(), CannotSplit> {
        if self.parts.len() == self.most {
            return Err(CannotSplit::TooManyParts);
        }
        let mut written = self.part_written();
        while self.part.len() > 1 && (self.measure)(&written) > self.room(0) {
            self.waiting.extend(self.part.pop());
            written = self.part_written();
        }
        self.used = 0;
        self.part.clear();
        self.parts.push(written);
        Ok(())
    }

    fn part_written(&self) -> String {
        match (self.part.first(), self.part.last()) {
            (Some(first), Some(last)) => {
                self.written(&(first.bytes.start..last.bytes.end), last.is_last)
            }
            _ => String::new(),
        }
    }

    fn written(&self, bytes: &Range<usize>, is_last: bool) -> String {
        let text = slice(self.text, bytes.clone());
        with_suffix(text, if is_last { self.suffix } else { "" })
    }

    fn piece(&self, kind: Kind, bytes: Range<usize>, gap: Range<usize>) -> Piece {
        let is_last = bytes.end == self.inner.end;
        Piece {
            kind,
            length: (self.measure)(&self.written(&bytes, is_last)),
            bytes,
            gap: (self.measure)(slice(self.text, gap)),
            is_last,
        }
    }

    fn words(&self) -> Vec<Piece> {
        let mut words: Vec<Piece> = Vec::new();
        let mut end = self.inner.start;
        let mut word = 0..0;
        for (bytes, cluster) in clusters(self.text, &self.inner) {
            if !is_break(cluster) {
                if word.is_empty() {
                    word = bytes.clone();
                }
                word.end = bytes.end;
            } else if !word.is_empty() {
                words.push(self.piece(Kind::Word, word.clone(), end..word.start));
                end = word.end;
                word = 0..0;
            }
        }
        if !word.is_empty() {
            words.push(self.piece(Kind::Word, word.clone(), end..word.start));
        }
        words
    }

    /// The next smaller pieces of a piece; the first one keeps the white space before it. White
    /// space that holds words together is such between pieces.
    fn torn(&self, piece: &Piece) -> Vec<Piece> {
        let ranges = match piece.kind {
            Kind::Word => stretches(self.text, &piece.bytes, &self.entities),
            Kind::Stretch | Kind::Whole => clusters(self.text, &piece.bytes)
                .map(|(bytes, _)| (Kind::Whole, bytes))
                .collect(),
        };
        let mut gap = piece.gap;
        let mut pieces = Vec::new();
        for (kind, bytes) in ranges {
            let smaller = self.piece(kind, bytes, 0..0);
            if is_blank(slice(self.text, smaller.bytes.clone())) {
                gap += smaller.length;
                continue;
            }
            pieces.push(Piece { gap, ..smaller });
            gap = 0;
        }
        pieces
    }
}

/// Characters as readers see them.
fn clusters<'a>(
    text: &'a str,
    bytes: &Range<usize>,
) -> impl Iterator<Item = (Range<usize>, &'a str)> {
    let start = bytes.start;
    slice(text, bytes.clone())
        .grapheme_indices(true)
        .map(move |(at, cluster)| (start + at..start + at + cluster.len(), cluster))
}

/// What a word consists of.
fn stretches(
    text: &str,
    word: &Range<usize>,
    entities: &[Range<usize>],
) -> Vec<(Kind, Range<usize>)> {
    let first = entities.partition_point(|entity| entity.end <= word.start);
    let mut entities = entities.iter().skip(first).peekable();
    let mut found: Vec<(Kind, Range<usize>)> = Vec::new();
    for (bytes, cluster) in clusters(text, word) {
        while entities
            .next_if(|entity| entity.end <= bytes.start)
            .is_some()
        {}
        let entity = entities.peek().filter(|entity| entity.start < bytes.end);
        let kind = match entity {
            None if cluster.chars().all(is_of_spaced_script) && !is_blank(cluster) => Kind::Stretch,
            _ => Kind::Whole,
        };
        match (found.last_mut(), entity) {
            // An entity may end within a cluster, which is then part of it.
            (Some((Kind::Whole, last)), Some(entity)) if entity.start < last.end => {
                last.end = bytes.end;
            }
            (Some((Kind::Stretch, last)), None) if kind == Kind::Stretch => last.end = bytes.end,
            _ => found.push((kind, bytes)),
        }
    }
    found
}

/// Below the scripts of East Asia, which know no blanks between words.
fn is_of_spaced_script(c: char) -> bool {
    c < '\u{1100}'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, suffix: &str, limit: u32) -> Vec<String> {
        split(text, suffix, limit).unwrap()
    }

    #[test]
    fn a_text_that_fits_stays_as_it_was_written() {
        assert_eq!(texts(" a\n b ", "", 280), [" a\n b "]);
        assert_eq!(texts("a b", "^JB", 7), ["a b ^JB"]);
        assert_eq!(texts("", "^JB", 7), ["^JB"]);
        assert_eq!(texts("", "", 7), [""]);
        assert_eq!(texts("ab     ", "", 4), ["ab"]);
    }

    #[test]
    fn parts_break_at_words_and_end_in_their_number() {
        assert_eq!(
            texts(" one  two\nthree\n\nfour ", "", 14),
            ["one  two 1/3", "three 2/3", "four 3/3"]
        );
    }

    #[test]
    fn the_suffix_comes_before_the_last_number_and_never_alone() {
        assert_eq!(
            texts("one two three four", "^JB", 16),
            ["one two 1/3", "three 2/3", "four ^JB 3/3"]
        );
        assert_eq!(
            texts("abcdefghijklm", "^JB", 14),
            ["abcdefghij 1/2", "klm ^JB 2/2"]
        );
    }

    #[test]
    fn a_long_word_is_torn_where_it_hurts_least() {
        assert_eq!(
            texts("字字字joe@a.com字字字 x", "", 18),
            ["字字字 1/3", "joe@a.com字字 2/3", "字 x 3/3"]
        );
        assert_eq!(
            texts("one\u{a0}two\u{a0}three", "", 11),
            ["one\u{a0}two 1/2", "three 2/2"]
        );
        assert_eq!(
            texts("ok aaaaaaaaaaaaaaaa", "", 15),
            ["ok aaaaaaaa 1/2", "aaaaaaaa 2/2"]
        );
        assert_eq!(
            texts(&"👩‍🚀".repeat(5), "", 9),
            ["👩‍🚀👩‍🚀 1/3", "👩‍🚀👩‍🚀 2/3", "👩‍🚀 3/3"]
        );
    }

    #[test]
    fn a_url_that_tearing_makes_counts_in_full() {
        let text = format!("{}.com/{}", "x".repeat(70), "y".repeat(40));
        for part in texts(&text, "", 40) {
            assert!(weigh(&part).weight <= 40, "{part}");
        }
    }

    #[test]
    fn what_cannot_be_split_is_named() {
        assert_eq!(
            split("see https://example.com/a for more of it", "", 24),
            Err(CannotSplit::PieceTooLong(
                "https://example.com/a".to_owned()
            ))
        );
        assert_eq!(
            split(&"a ".repeat(1_000), "", 20),
            Err(CannotSplit::TooManyParts)
        );
        assert_eq!(
            split("some words and more", "", 3).map_err(|error| error.to_string()),
            Err("`s` does not fit in a part".to_owned())
        );
    }

    #[test]
    fn direct_messages_have_parts_of_10_000_code_points() {
        let parts = split_plain(&"字".repeat(10_001)).unwrap();
        let lengths: Vec<_> = parts.iter().map(|part| part.chars().count()).collect();
        assert_eq!(lengths, [10_000, 9]);
        assert_eq!(split_plain(&"字".repeat(10_000)).unwrap().len(), 1);
    }
}
