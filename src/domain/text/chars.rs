//! Character classes of X's own parser. Source: the regular expressions of twitter-text 3.1.0.

use unicode_normalization::char::is_combining_mark;

/// What X refuses in a post.
pub(super) fn is_invalid(c: char) -> bool {
    matches!(c, '\u{fffe}' | '\u{feff}' | '\u{ffff}')
}

fn is_directional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{180e}'
}

pub(super) fn is_punctuation(c: char) -> bool {
    matches!(
        c,
        '!' | '\'' | '#' | '%' | '&' | '(' | ')' | '*' | '+' | ',' | '\\' | '-' | '.' | '/'
    ) || matches!(
        c,
        ':' | ';' | '<' | '=' | '>' | '?' | '@' | '[' | ']' | '^' | '_'
    ) || matches!(c, '{' | '|' | '}' | '~' | '$')
}

/// Inside a label of a domain name, where `-` and `_` may stand too, though not at its ends.
pub(super) fn is_domain(c: char) -> bool {
    !is_punctuation(c) && !is_space(c) && !is_invalid(c) && !is_directional(c)
}

/// Latin letters with accents, and the accents.
pub(super) fn is_accented_latin(c: char) -> bool {
    matches!(c, '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
        || matches!(
            c,
            '\u{253}' | '\u{254}' | '\u{256}' | '\u{257}' | '\u{259}' | '\u{25b}' | '\u{263}'
        )
        || matches!(
            c,
            '\u{268}' | '\u{26f}' | '\u{272}' | '\u{289}' | '\u{28b}' | '\u{2bb}'
        )
        || matches!(c, '\u{300}'..='\u{36f}')
}

/// Inside a domain that is written without a protocol.
pub(super) fn is_plain_domain(c: char) -> bool {
    c == '-' || c.is_ascii_alphanumeric() || is_accented_latin(c)
}

/// A URL may follow it.
pub(super) fn may_precede_url(c: char) -> bool {
    !c.is_ascii_alphanumeric() && !matches!(c, '@' | '＠' | '$' | '#' | '＃') && !is_invalid(c)
}

/// A URL without a protocol may not follow it.
pub(super) fn spoils_plain_domain(c: char) -> bool {
    matches!(c, '-' | '_' | '.' | '/')
}

fn is_path_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || is_accented_latin(c) || matches!(c, '\u{400}'..='\u{4ff}')
}

pub(super) fn is_path(c: char) -> bool {
    is_path_letter(c)
        || matches!(
            c,
            '!' | '*' | '\'' | ';' | ':' | '=' | '+' | ',' | '.' | '$' | '/' | '%' | '#'
        )
        || matches!(c, '[' | ']' | '-' | '–' | '_' | '~' | '@' | '|' | '&')
}

/// A path may end in it, so that it leaves the full stop of a sentence alone.
pub(super) fn ends_path(c: char) -> bool {
    is_path_letter(c) || matches!(c, '+' | '-' | '=' | '_' | '#' | '/')
}

pub(super) fn is_query(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            '!' | '?' | '*' | '\'' | '@' | '(' | ')' | ';' | ':' | '&' | '=' | '+'
        )
        || matches!(
            c,
            '$' | '/' | '%' | '#' | '[' | ']' | '-' | '_' | '.' | ',' | '~' | '|'
        )
}

pub(super) fn ends_query(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '&' | '=' | '#' | '/')
}

pub(super) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// A mention may follow it.
pub(super) fn may_precede_mention(c: char) -> bool {
    !is_name(c) && !matches!(c, '!' | '#' | '$' | '%' | '&' | '*' | '@' | '＠')
}

/// Letters and marks: of them a hashtag needs one.
pub(super) fn is_hashtag_letter(c: char) -> bool {
    c.is_alphabetic() || is_combining_mark(c)
}

pub(super) fn is_hashtag(c: char) -> bool {
    is_hashtag_letter(c)
        || c.is_numeric()
        || matches!(
            c,
            '_' | '\u{200c}' | '\u{200d}' | '\u{a67e}' | '\u{5be}' | '\u{5f3}' | '\u{5f4}'
        )
        || matches!(
            c,
            '～' | '〜' | '゛' | '゜' | '゠' | '・' | '〃' | '\u{f0b}' | '\u{f0c}' | '·'
        )
}
