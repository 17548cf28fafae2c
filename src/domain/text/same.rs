//! Whether a text found at X is the one we sent.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use url::Url;

use super::{mentions, rest, slice, urls};

/// What X may have added to a text of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Names before it: it is a reply.
    pub mentions: bool,
    /// A link after it: it has media, or quotes a post.
    pub link: bool,
}

/// Whether `found` is what X makes of `sent`. Both are texts for reading: without HTML entities,
/// with links in full. White space at the ends does not count, nor how lines end, nor the form of
/// Unicode; of URLs neither the protocol nor a slash at the end. Everything else does: a wrong yes
/// would lose an answer.
pub fn same_text(sent: &str, found: &str, added: Added) -> bool {
    let (sent, found) = (plain(sent), plain(found));
    let ends = [found.as_str(), without_link(&found)];
    let ends = ends.iter().take(if added.link { 2 } else { 1 });
    ends.flat_map(|found| without_mentions(found).take(if added.mentions { usize::MAX } else { 1 }))
        .any(|found| are_equal(&sent, found))
}

fn plain(text: &str) -> String {
    let text: String = text.replace("\r\n", "\n").nfc().collect();
    text.trim().to_owned()
}

/// The text without none, one, two, ... of the mentions it begins with.
fn without_mentions(text: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(text), |text| {
        let first = mentions(text).into_iter().next()?;
        (first.start == 0).then(|| rest(text, first.end).trim_start())
    })
}

/// The text without a link at its end that leads to the post's own media or a quoted post.
fn without_link(text: &str) -> &str {
    match urls(text).pop() {
        Some(last) if last.end == text.len() && is_of_x(slice(text, last.clone())) => {
            slice(text, 0..last.start).trim_end()
        }
        _ => text,
    }
}

fn is_of_x(link: &str) -> bool {
    let Some(link) = parsed(link) else {
        return false;
    };
    let host = link.host_str().unwrap_or_default();
    let host = host.strip_prefix("www.").unwrap_or(host);
    match host {
        "t.co" => true,
        "x.com" | "twitter.com" => link.path().contains("/status/"),
        "pic.x.com" | "pic.twitter.com" => true,
        _ => false,
    }
}

/// Same URLs in the same text.
fn are_equal(sent: &str, found: &str) -> bool {
    let (ours, theirs) = (urls(sent), urls(found));
    let between = |text, urls: &[Range<usize>]| -> Vec<String> {
        let ends = urls.iter().map(|url| url.end);
        let starts = urls.iter().map(|url| url.start).chain([usize::MAX]);
        [0].into_iter()
            .chain(ends)
            .zip(starts)
            .map(|(from, to)| part(text, from, to).to_owned())
            .collect()
    };
    ours.len() == theirs.len()
        && between(sent, &ours) == between(found, &theirs)
        && ours.iter().zip(&theirs).all(|(ours, theirs)| {
            lead_alike(slice(sent, ours.clone()), slice(found, theirs.clone()))
        })
}

fn part(text: &str, from: usize, to: usize) -> &str {
    slice(text, from..to.min(text.len()))
}

fn lead_alike(ours: &str, theirs: &str) -> bool {
    let key = |link| {
        let link = parsed(link)?;
        let path = link.path().trim_end_matches('/').to_owned();
        Some((
            link.host_str()?.to_owned(),
            link.port().filter(|port| !matches!(port, 80 | 443)),
            path,
            link.query().map(str::to_owned),
            link.fragment().map(str::to_owned),
        ))
    };
    ours == theirs || key(ours).is_some_and(|ours| key(theirs) == Some(ours))
}

fn parsed(link: &str) -> Option<Url> {
    let has_protocol = link
        .get(..4)
        .is_some_and(|it| it.eq_ignore_ascii_case("http"))
        && link.contains("://");
    match has_protocol {
        true => Url::parse(link).ok(),
        false => Url::parse(&format!("http://{link}")).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: Added = Added {
        mentions: true,
        link: false,
    };
    const MEDIA: Added = Added {
        mentions: false,
        link: true,
    };

    #[test]
    fn the_same_text_is_found_in_another_form() {
        for (sent, found) in [
            ("Grüße", "Gru\u{308}ße"),
            (" a\r\nb\n", "a\nb"),
            ("see example.com", "see http://example.com"),
            ("see Example.com/.", "see https://example.com."),
            (
                "see http://müller.de/ä",
                "see https://xn--mller-kva.de/%C3%A4",
            ),
            ("詳細example.com/aです", "詳細http://example.com/aです"),
            ("a & b < c", "a & b < c"),
        ] {
            assert!(same_text(sent, found, Added::default()), "{sent} / {found}");
        }
    }

    #[test]
    fn names_before_a_reply_do_not_count_unless_they_are_ours() {
        assert!(same_text("thanks", "@jack @jill thanks", REPLY));
        assert!(same_text("@jill thanks", "@jack @jill thanks", REPLY));
        assert!(same_text("@jack thanks", "@jack thanks", REPLY));
        assert!(!same_text("@jack thanks", "@jill thanks", REPLY));
        assert!(!same_text("@jack thanks", "thanks", REPLY));
        assert!(!same_text("thanks", "@jack thanks", Added::default()));
        assert!(!same_text("thanks", "hi @jack thanks", REPLY));
    }

    #[test]
    fn a_link_to_the_posts_own_media_does_not_count() {
        for link in [
            "https://t.co/abc",
            "https://x.com/acme/status/1/photo/1",
            "https://twitter.com/i/status/1",
            "pic.x.com/abc",
        ] {
            let found = format!("look {link}");
            assert!(same_text("look", &found, MEDIA), "{link}");
            assert!(!same_text("look", &found, REPLY), "{link}");
            assert!(same_text(&found, &found, MEDIA), "{link}");
        }
        assert!(!same_text("look", "look https://example.com", MEDIA));
        assert!(!same_text("look", "look https://x.com/acme", MEDIA));
        assert!(!same_text("look", "https://t.co/abc look", MEDIA));
        assert!(same_text("", "https://t.co/abc", MEDIA));
    }

    #[test]
    fn everything_else_counts() {
        for (sent, found) in [
            ("a b", "a  b"),
            ("a b", "A b"),
            ("a", "a 1/2"),
            ("a", "a."),
            ("a", ""),
            ("see example.com/a", "see example.com/A"),
            ("see example.com/a?b=1", "see example.com/a?b=2"),
            ("see example.com", "see example.org"),
            ("see example.com", "see example.com:8080"),
            ("example.com a example.org", "example.org a example.com"),
        ] {
            let added = Added {
                mentions: true,
                link: true,
            };
            assert!(!same_text(sent, found, added), "{sent} / {found}");
        }
    }
}
