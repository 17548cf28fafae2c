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
    for text in [text, text.trim_matches(is_break)] {
        let whole = with_suffix(text, suffix);
        if measure(&whole) <= limit {
            return Ok(vec![whole]);
        }
    }
    let packing = |most| Packing::new(&measure, text, suffix, limit, most).pack();
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

/// White space at which a line may be broken.
fn is_break(c: char) -> bool {
    c.is_whitespace() && !matches!(c, '\u{a0}' | '\u{2007}' | '\u{202f}')
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
    /// The suffix follows it, and is in its length.
    is_last: bool,
}

struct Packing<'a, F> {
    measure: &'a F,
    text: &'a str,
    suffix: &'a str,
    limit: usize,
    /// Parts there may be.
    most: usize,
    /// Pieces that have no part yet, the next one at the end.
    waiting: Vec<Piece>,
    /// Pieces of the part that is being filled.
    part: Vec<Piece>,
    parts: Vec<String>,
}

impl<'a, F: Fn(&str) -> usize> Packing<'a, F> {
    fn new(measure: &'a F, text: &'a str, suffix: &'a str, limit: usize, most: usize) -> Self {
        let mut packing = Self {
            measure,
            text,
            suffix,
            limit,
            most,
            waiting: Vec::new(),
            part: Vec::new(),
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
        let used = self.used();
        let gap = if self.part.is_empty() { 0 } else { piece.gap };
        if used + gap + piece.length <= self.room(0) {
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

    fn used(&self) -> usize {
        let gaps: usize = self.part.iter().skip(1).map(|piece| piece.gap).sum();
        let pieces: usize = self.part.iter().map(|piece| piece.length).sum();
        gaps + pieces
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
        while (self.measure)(&written) > self.room(0)
            && let Some(piece) = self.part.pop_if(|_| true)
        {
            self.waiting.push(piece);
            written = self.part_written();
        }
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
        let trimmed = self.text.trim_end_matches(is_break);
        let is_last = bytes.end >= trimmed.len();
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
        let mut end = 0;
        let mut word = 0..0;
        for (at, cluster) in self.text.grapheme_indices(true) {
            if !cluster.chars().all(is_break) {
                if word.is_empty() {
                    word = at..at;
                }
                word.end = at + cluster.len();
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

    /// The next smaller pieces of a piece; the first one keeps the white space before it.
    fn torn(&self, piece: &Piece) -> Vec<Piece> {
        let ranges = match piece.kind {
            Kind::Word => stretches(self.text, &piece.bytes),
            Kind::Stretch | Kind::Whole => clusters(self.text, &piece.bytes)
                .map(|(bytes, _)| (Kind::Whole, bytes))
                .collect(),
        };
        let pieces = ranges.into_iter().enumerate();
        pieces
            .map(|(index, (kind, bytes))| Piece {
                gap: if index == 0 { piece.gap } else { 0 },
                ..self.piece(kind, bytes, 0..0)
            })
            .collect()
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
fn stretches(text: &str, word: &Range<usize>) -> Vec<(Kind, Range<usize>)> {
    let entities = entities(slice(text, word.clone()));
    let mut entities = entities
        .into_iter()
        .map(|entity| word.start + entity.start..word.start + entity.end)
        .peekable();
    let mut found: Vec<(Kind, Range<usize>)> = Vec::new();
    for (bytes, cluster) in clusters(text, word) {
        while entities
            .next_if(|entity| entity.end <= bytes.start)
            .is_some()
        {}
        let entity = entities.peek().filter(|entity| entity.start < bytes.end);
        let kind = match entity {
            None if cluster.chars().all(is_of_spaced_script) => Kind::Stretch,
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
