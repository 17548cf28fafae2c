//! What X takes for a web address, as twitter-text describes it: a domain under a real top-level
//! domain, with or without a scheme, and what follows it.

/// The address that `text` begins with, after the character `before`.
pub(super) fn address(before: char, text: &str) -> Option<&str> {
    if matches!(before, '@' | '$' | '#' | '＠' | '＃') {
        return None;
    }
    match scheme_length(text) {
        0 if matches!(before, '-' | '_' | '.' | '/') => None,
        0 => bare(text),
        scheme => {
            let host = host_length(text.get(scheme..)?, char::is_alphanumeric)?;
            text.get(..with_rest(text, scheme + host))
        }
    }
}

/// Whether X finds an address anywhere in a text.
pub(crate) fn has_address(text: &str) -> bool {
    super::tokens::tokens(text)
        .iter()
        .any(|token| matches!(token, super::tokens::Token::Link(_)))
}

fn scheme_length(text: &str) -> usize {
    ["https://", "http://"]
        .into_iter()
        .find(|scheme| {
            text.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })
        .map_or(0, str::len)
}

/// Without a scheme, a name directly under a country needs a path, except in two countries.
fn bare(text: &str) -> Option<&str> {
    let host = host_length(text, |c| c.is_ascii_alphanumeric())?;
    let end = with_rest(text, host);
    let labels: Vec<&str> = text.get(..host)?.split('.').collect();
    let short = match labels.as_slice() {
        [_, last] => last.len() == 2 && !matches!(*last, "co" | "tv"),
        _ => false,
    };
    let has_path = text.get(host..)?.starts_with('/');
    (!short || has_path).then(|| text.get(..end)).flatten()
}

/// The length of the longest domain at the start whose end is a top-level domain.
fn host_length(text: &str, is_letter: fn(char) -> bool) -> Option<usize> {
    let run = text
        .find(|c| !is_letter(c) && c != '-' && c != '.')
        .unwrap_or(text.len());
    let run = text.get(..run)?;
    let ends = run
        .match_indices('.')
        .map(|(at, _)| at)
        .chain([run.len()])
        .rev();
    ends.filter(|end| is_domain(run.get(..*end).unwrap_or_default()))
        .find(|end| {
            let after = text.get(*end..).and_then(|rest| rest.chars().next());
            !after.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '@' | '+' | '-'))
        })
}

fn is_domain(host: &str) -> bool {
    let Some((name, top)) = host.rsplit_once('.') else {
        return false;
    };
    let labels_fit = name
        .split('.')
        .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
    labels_fit && tld::exist(&top.to_lowercase())
}

/// Port, path and query, without the punctuation that follows the address.
fn with_rest(text: &str, host: usize) -> usize {
    let port = port_length(text.get(host..).unwrap_or_default());
    let start = host + port;
    let rest = text.get(start..).unwrap_or_default();
    if !rest.starts_with(['/', '?']) {
        return start;
    }
    let run = rest.find(|c| !is_path_character(c)).unwrap_or(rest.len());
    let path = rest.get(..run).unwrap_or_default();
    start + balanced(path.trim_end_matches(|c| !may_end(c))).len()
}

fn port_length(text: &str) -> usize {
    let Some(digits) = text.strip_prefix(':') else {
        return 0;
    };
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 { 0 } else { count + 1 }
}

fn is_path_character(c: char) -> bool {
    is_european(c) || "!*';:=+,.$/%#[]-–_~@|&?()".contains(c)
}

fn may_end(c: char) -> bool {
    is_european(c) || "=_#/+-&)".contains(c)
}

/// ASCII, Latin with accents, Cyrillic.
fn is_european(c: char) -> bool {
    c.is_ascii_alphanumeric() || (c.is_alphabetic() && matches!(c, '\u{c0}'..='\u{4ff}'))
}

/// Without a closing bracket at the end that was not opened.
fn balanced(path: &str) -> &str {
    let mut kept = path;
    while kept.matches(')').count() > kept.matches('(').count() {
        let Some(shorter) = kept.strip_suffix(')') else {
            break;
        };
        kept = shorter.trim_end_matches(|c| !may_end(c));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&str> {
        address(' ', text)
    }

    #[test]
    fn a_domain_under_a_real_end_is_an_address() {
        for (text, address) in [
            ("https://example.com", "https://example.com"),
            ("HTTPS://Example.COM/a", "HTTPS://Example.COM/a"),
            ("http://localhost/a", ""),
            ("https://a.b/c", ""),
            ("example.com is ours", "example.com"),
            ("example.comテスト", "example.com"),
            ("example.com.", "example.com"),
            ("acme.co.uk", "acme.co.uk"),
            ("it.so", ""),
            ("it.so/yes", "it.so/yes"),
            ("t.co", "t.co"),
            ("Ende.Und weiter", ""),
            (
                "https://a.io:8080/x?y=1&z=ü.",
                "https://a.io:8080/x?y=1&z=ü",
            ),
            ("https://a.io/wiki/X_(y))", "https://a.io/wiki/X_(y)"),
            ("https://a.io/语言", "https://a.io/"),
            ("https://münchen.de/x", "https://münchen.de/x"),
        ] {
            assert_eq!(found(text).unwrap_or_default(), address, "{text}");
        }
    }

    #[test]
    fn what_stands_before_can_forbid_it() {
        assert_eq!(address('@', "example.com"), None);
        assert_eq!(address('/', "example.com"), None);
        assert_eq!(address('/', "https://a.io"), Some("https://a.io"));
        assert!(!has_address("me@example.com"));
        assert!(has_address("(see example.com)"));
    }
}
