//! Terms that posts are searched for: `#tag`, `@name`, words and phrases, in any script.
//!
//! Term and text are compared *folded*: composed (NFC), upper and lower case alike, invisible
//! signs dropped, any run of white space one blank. What is found must stand on token edges, see
//! `is_edge`.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use super::message::Message;

/// Signs that X takes as part of a hashtag beside letters, marks, digits and `_`.
const TAG_SIGNS: &str = "\u{a67e}\u{5be}\u{5f3}\u{5f4}～〜゛゜゠・〃\u{f0b}\u{f0c}·";

/// Why a string is no term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTerm {
    #[error("expected #tag, @name, a word or a phrase, not an empty term")]
    Empty,
    #[error("expected at least two signs: one sign alone fits nearly every post")]
    OneSign,
    #[error("expected letters, digits and _ behind {sign}, not `{found}`")]
    SignInName { sign: char, found: char },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Hashtag,
    Mention,
    Words,
}

/// One term, ready to be searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    written: String,
    kind: Kind,
    /// With the `#` or `@`.
    folded: String,
}

impl Term {
    /// Reads a term as an administrator writes it.
    pub fn parse(written: &str) -> Result<Self, InvalidTerm> {
        let folded = fold(written).trim().to_owned();
        let kind = match folded.chars().next() {
            None => return Err(InvalidTerm::Empty),
            Some('#') => Kind::Hashtag,
            Some('@') => Kind::Mention,
            Some(_) => Kind::Words,
        };
        if visible_signs(written) < 2 {
            return Err(InvalidTerm::OneSign);
        }
        kind.check_name(&folded)?;
        Ok(Self {
            written: written.trim().to_owned(),
            kind,
            folded,
        })
    }

    /// Whether the post has this term. `#x` fits the hashtag only, `@x` the mention only, a word
    /// also a hashtag or mention that consists of it.
    pub fn fits(&self, post: &Searchable) -> bool {
        let entities: &[String] = match self.kind {
            Kind::Hashtag => &post.hashtags,
            Kind::Mention => &post.mentions,
            Kind::Words => &[],
        };
        entities.contains(&self.folded) || self.occurs_in(&post.text)
    }

    /// The term in X's query language; `None` where X's tokens cannot say it: of words, one without
    /// a letter or digit.
    pub fn query(&self) -> Option<String> {
        let name = self.written.trim_start_matches(['#', '＃', '@', '＠']);
        match self.kind {
            Kind::Hashtag => Some(format!("#{name}")),
            Kind::Mention => Some(format!("@{name}")),
            Kind::Words => {
                let plain = self.written.replace(['"', '\\'], " ");
                let words: Vec<_> = plain.split_whitespace().collect();
                let can_be_said = plain.chars().any(char::is_alphanumeric);
                can_be_said.then(|| format!("\"{}\"", words.join(" ")))
            }
        }
    }

    fn occurs_in(&self, folded_text: &str) -> bool {
        let step = self.folded.chars().next().map_or(1, char::len_utf8);
        let mut from = 0;
        while let Some(found) = folded_text.get(from..).and_then(|t| t.find(&self.folded)) {
            let start = from + found;
            if self.stands_free(folded_text, start) {
                return true;
            }
            // Not behind the occurrence: the next may overlap it ("x x" in "ax x x").
            from = start + step;
        }
        false
    }

    fn stands_free(&self, text: &str, start: usize) -> bool {
        let (before, from_here) = text.split_at_checked(start).unwrap_or(("", text));
        let after = from_here.strip_prefix(self.folded.as_str()).unwrap_or("");
        let starts = match (before.chars().next_back(), self.folded.chars().next()) {
            (Some(before), Some(first)) => self.kind.may_begin(before, first),
            _ => true,
        };
        let ends = match (self.folded.chars().next_back(), after.chars().next()) {
            (Some(last), Some(after)) => self.kind.may_end(last, after),
            _ => true,
        };
        starts && ends
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Kind {
    fn check_name(self, folded: &str) -> Result<(), InvalidTerm> {
        let mut signs = folded.chars();
        let allowed: fn(char) -> bool = match self {
            Self::Words => return Ok(()),
            Self::Hashtag => is_tag_sign,
            Self::Mention => is_name_sign,
        };
        let sign = signs.next().unwrap_or_default();
        match signs.find(|c| !allowed(*c)) {
            Some(found) => Err(InvalidTerm::SignInName { sign, found }),
            None => Ok(()),
        }
    }

    /// X's own rules for hashtags and mentions, and `/` for both: a link's fragment or path is
    /// neither.
    fn may_begin(self, before: char, first: char) -> bool {
        match self {
            Self::Hashtag => !is_tag_sign(before) && !"&/".contains(before),
            Self::Mention => !is_name_sign(before) && !"!#$%&*@/".contains(before),
            Self::Words => is_edge(before, first),
        }
    }

    fn may_end(self, last: char, after: char) -> bool {
        match self {
            Self::Hashtag => !is_tag_sign(after),
            // `@name@host` is somebody elsewhere.
            Self::Mention => after != '@' && is_edge(last, after),
            Self::Words => is_edge(last, after),
        }
    }
}

/// What of a post is searched, folded once for any number of terms.
#[derive(Clone, Debug)]
pub struct Searchable {
    text: String,
    /// With `#`, as X found them.
    hashtags: Vec<String>,
    /// With `@`, as X found them.
    mentions: Vec<String>,
}

impl Searchable {
    /// Folds a message's text, hashtags and mentions.
    pub fn new(message: &Message) -> Self {
        let tags = message.hashtags.iter();
        let mentions = message.mentions.iter();
        Self {
            text: fold(&message.text),
            hashtags: tags.map(|tag| fold(&format!("#{tag}"))).collect(),
            mentions: mentions
                .map(|m| fold(&format!("@{}", m.username)))
                .collect(),
        }
    }
}

fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.nfc().filter(|c| !is_invisible(*c)) {
        if !is_blank(c) {
            folded.extend(fold_char(c));
        } else if !folded.ends_with(' ') {
            folded.push(' ');
        }
    }
    folded.nfc().collect()
}

/// Through upper to lower case: so `ß` is `ss` and both small sigmas are one.
fn fold_char(c: char) -> impl Iterator<Item = char> {
    let plain = match c {
        '＃' => '#',
        '＠' => '@',
        // Lower case would leave a loose dot, and nobody writes that in a term.
        'İ' => 'i',
        other => other,
    };
    plain.to_uppercase().flat_map(char::to_lowercase)
}

/// Zero-width space too: it separates words where nothing else does.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{200b}'
}

/// Joiners, marks of writing direction, soft hyphens and variation selectors: a reader does not
/// see them, so they must not hide a term.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{e0000}'..='\u{e01ef}')
}

fn visible_signs(text: &str) -> usize {
    let shows = |c: char| !is_blank(c) && !is_invisible(c);
    // What alone would be a text of nothing shows nothing here either: control characters.
    let visible = |sign: &&str| sign.chars().any(shows) && !super::text::is_blank(sign);
    text.graphemes(true).filter(visible).count()
}

fn is_word_sign(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || is_combining_mark(c)
}

fn is_tag_sign(c: char) -> bool {
    is_word_sign(c) || TAG_SIGNS.contains(c)
}

fn is_name_sign(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether a token may end between two neighbours: unless both are letters, marks, digits or `_`.
/// Scripts without blanks between words have an edge between any two letters, so a term in them
/// (`京都` in `東京都`) fits wherever its letters stand. An accent is never cut off its letter.
fn is_edge(before: char, after: char) -> bool {
    if is_combining_mark(after) {
        return before.is_whitespace();
    }
    let joins = |c| is_word_sign(c) && !is_of_unspaced_script(c);
    !(joins(before) && joins(after))
}

/// Han, kana, Thai, Lao, Tibetan, Burmese and Khmer. Hangul too: Korean has blanks, but glues
/// particles to its words (`애크미는` is about `애크미`).
fn is_of_unspaced_script(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{fff}' | '\u{1000}'..='\u{109f}' | '\u{a9e0}'..='\u{a9ff}'
        | '\u{aa60}'..='\u{aa7f}' | '\u{1780}'..='\u{17ff}'
        | '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7ff}'
        | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::message::{Mention, Message};
    use super::*;

    fn fits(term: &str, text: &str) -> bool {
        Term::parse(term)
            .unwrap()
            .fits(&Searchable::new(&Message::saying(text)))
    }

    #[rstest]
    #[case::word("acme", "why, Acme!")]
    #[case::possessive("acme", "ACME's fault")]
    #[case::word_in_a_tag("acme", "love #acme")]
    #[case::phrase_over_lines("acme help", "Acme \n\t help, please")]
    #[case::ideographic_blank("acme help", "acme\u{3000}help")]
    #[case::tag("#acmehelp", "please #AcmeHelp.")]
    #[case::tag_between_signs("#acmehelp", "(#acmehelp)")]
    #[case::full_width_tag("#acmehelp", "＃acmehelp")]
    #[case::full_width_term("＃acmehelp", "#acmehelp")]
    #[case::name("@acme", ".@ACME hi")]
    #[case::name_before_kana("@acme", "これは@acmeです")]
    #[case::overlapping_occurrence("x x", "ax x x")]
    #[case::not_the_first_occurrence("acme", "acmes acme")]
    #[case::signs_only(":-(", "no:-(no")]
    #[case::plus("C++", "i like C++, really")]
    #[case::han("京都", "東京都に住む")]
    #[case::kana_around_latin("acme", "これはacmeです")]
    #[case::thai("กาแฟ", "ดื่มกาแฟเย็น")]
    #[case::korean_particle("애크미", "애크미는 좋다")]
    #[case::sharp_s("strasse", "STRAßE 5")]
    #[case::final_sigma("ΟΔΟΣ", "η οδος εδώ")]
    #[case::decomposed_text("café", "cafe\u{301} au lait")]
    #[case::decomposed_term("cafe\u{301}", "CAFÉ!")]
    #[case::turkish_dot("istanbul", "İSTANBUL")]
    #[case::cyrillic("привет мир", "ПРИВЕТ   МИР")]
    #[case::hidden_by_joiners("acme", "ac\u{200d}\u{2060}me")]
    #[case::persian_non_joiner("می\u{200c}خواهم", "من میخواهم")]
    #[case::right_to_left_marks("#acme", "\u{202b}#acme\u{202c}")]
    #[case::family("👨‍👩‍👧 acme", "the 👨‍👩‍👧 acme!")]
    fn a_term_fits(#[case] term: &str, #[case] text: &str) {
        assert!(fits(term, text), "{term} in {text}");
    }

    #[rstest]
    #[case::part_of_a_word("acme", "acmes and placme")]
    #[case::underscore_joins("acme", "acme_corp")]
    #[case::digit_joins("acme", "acme2")]
    #[case::accent_is_of_the_letter("cafe", "cafe\u{301}")]
    #[case::tag_not_the_bare_word("#acme", "acme")]
    #[case::tag_not_a_longer_tag("#acme", "#acmehelp")]
    #[case::han_tag_not_a_longer_tag("#東京", "#東京都")]
    #[case::tag_not_within_a_word("#acme", "foo#acme")]
    #[case::tag_not_a_fragment("#acme", "see https://x.example/#acme")]
    #[case::tag_not_an_entity("#39acme", "&#39acme")]
    #[case::name_not_the_bare_word("@acme", "acme #acme")]
    #[case::name_not_a_longer_name("@acme", "@acmehelp @acme_")]
    #[case::name_not_a_mail_address("@acme", "jo@acme.example")]
    #[case::name_not_on_another_host("@acme", "@acme@social.example")]
    #[case::phrase_broken("acme help", "acme, help")]
    #[case::empty_text("acme", "")]
    fn a_term_does_not_fit(#[case] term: &str, #[case] text: &str) {
        assert!(!fits(term, text), "{term} in {text}");
    }

    #[rstest]
    #[case("", InvalidTerm::Empty)]
    #[case(" \u{3000}\n", InvalidTerm::Empty)]
    #[case("\u{200b}\u{feff}", InvalidTerm::Empty)]
    #[case("\u{0}\u{11}\u{0}", InvalidTerm::OneSign)]
    #[case("#", InvalidTerm::OneSign)]
    #[case("＠", InvalidTerm::OneSign)]
    #[case(" # ", InvalidTerm::OneSign)]
    #[case("#\u{200d}", InvalidTerm::OneSign)]
    #[case("a", InvalidTerm::OneSign)]
    #[case("ß", InvalidTerm::OneSign)]
    #[case("e\u{301}", InvalidTerm::OneSign)]
    #[case("猫", InvalidTerm::OneSign)]
    #[case("👨‍👩‍👧", InvalidTerm::OneSign)]
    #[case("##", InvalidTerm::SignInName { sign: '#', found: '#' })]
    #[case("#acme help", InvalidTerm::SignInName { sign: '#', found: ' ' })]
    #[case("@acme-help", InvalidTerm::SignInName { sign: '@', found: '-' })]
    fn a_bad_term_is_refused(#[case] term: &str, #[case] why: InvalidTerm) {
        assert_eq!(Term::parse(term), Err(why));
    }

    #[test]
    fn entities_that_x_found_count_even_where_the_text_does_not_show_them() {
        let mut message = Message::saying("cut off …");
        message.hashtags = vec!["AcmeHelp".into()];
        message.mentions = vec![Mention {
            id: None,
            username: "Acme".into(),
            name: String::new(),
            explicit: false,
        }];
        let post = Searchable::new(&message);
        assert!(Term::parse("#acmehelp").unwrap().fits(&post));
        assert!(Term::parse("@acme").unwrap().fits(&post));
        assert!(!Term::parse("acmehelp").unwrap().fits(&post));
    }

    #[rstest]
    #[case::tag(" ＃AcmeHelp", Some("#AcmeHelp"))]
    #[case::name("@acme", Some("@acme"))]
    #[case::word("acme", Some("\"acme\""))]
    #[case::phrase("acme  \"help\"", Some("\"acme help\""))]
    #[case::operator("OR", Some("\"OR\""))]
    #[case::signs(":-(", None)]
    fn a_term_is_said_in_x_s_language(#[case] term: &str, #[case] query: Option<&str>) {
        assert_eq!(Term::parse(term).unwrap().query().as_deref(), query);
    }

    #[test]
    fn a_term_is_shown_as_written() {
        assert_eq!(Term::parse(" #AcmeHelp ").unwrap().to_string(), "#AcmeHelp");
    }

    proptest! {
        #[test]
        fn no_text_and_no_term_panics(term in any::<String>(), text in any::<String>()) {
            if let Ok(term) = Term::parse(&term) {
                term.fits(&Searchable::new(&Message::saying(&text)));
            }
        }

        #[test]
        fn a_term_fits_itself_between_blanks(term in "\\PC{2,8}") {
            if let Ok(parsed) = Term::parse(&term) {
                let text = format!("hey {term} there");
                prop_assert!(parsed.fits(&Searchable::new(&Message::saying(&text))), "{term:?}");
            }
        }
    }
}
