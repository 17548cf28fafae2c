//! The text of a message as its reader sees it: links expanded, entities decoded, and without the
//! links at its end that X shows as a photo or a quoted post.

use std::ops::Range;

/// A link that X's entities list.
#[derive(Debug)]
pub(super) struct TextLink<'a> {
    /// Where in the text, in code points; X's own samples hold wrong ones.
    pub(super) span: Option<(usize, usize)>,
    /// As in the text.
    pub(super) url: &'a str,
    pub(super) expanded: &'a str,
    /// Leads to the message's own media or to the post it quotes.
    pub(super) own: bool,
}

/// A link that was found in the text.
struct Placed<'l, 'a> {
    bytes: Range<usize>,
    link: &'l TextLink<'a>,
}

/// The text for reading. `raw` is as X sent it: shortened, escaped.
pub(super) fn render(raw: &str, links: &[TextLink<'_>]) -> String {
    let placed = place(raw, links);
    let end = end_without_own(raw, &placed);
    let mut text = String::with_capacity(raw.len());
    let mut at = 0;
    for Placed { bytes, link } in placed.iter().take_while(|found| found.bytes.start < end) {
        push_unescaped(&mut text, slice(raw, at..bytes.start));
        text.push_str(if link.expanded.is_empty() {
            link.url
        } else {
            link.expanded
        });
        at = bytes.end;
    }
    push_unescaped(&mut text, slice(raw, at..end));
    text
}

/// Decodes HTML entities once.
pub(super) fn unescape(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    push_unescaped(&mut text, escaped);
    text
}

fn push_unescaped(text: &mut String, escaped: &str) {
    const ENTITIES: [(&str, char); 5] = [
        ("&amp;", '&'),
        ("&lt;", '<'),
        ("&gt;", '>'),
        ("&quot;", '"'),
        ("&#39;", '\''),
    ];
    let mut rest = escaped;
    while let Some((before, _)) = rest.split_once('&') {
        let from = slice(rest, before.len()..rest.len());
        let entity = ENTITIES.iter().find(|(name, _)| from.starts_with(name));
        let (name, character) = entity.copied().unwrap_or(("&", '&'));
        text.push_str(before);
        text.push(character);
        rest = slice(from, name.len()..from.len());
    }
    text.push_str(rest);
}

/// Finds the links in the text, in its order and apart from each other.
fn place<'l, 'a>(raw: &str, links: &'l [TextLink<'a>]) -> Vec<Placed<'l, 'a>> {
    let offsets = if links.is_empty() {
        Vec::new()
    } else {
        code_points(raw)
    };
    let mut placed: Vec<Placed<'l, 'a>> = Vec::with_capacity(links.len());
    for link in links.iter().filter(|link| !link.url.is_empty()) {
        let at_span = exact(raw, &offsets, link);
        let is_free = |bytes: &Range<usize>| {
            let overlaps = |other: &Placed<'_, '_>| {
                bytes.start < other.bytes.end && other.bytes.start < bytes.end
            };
            !placed.iter().any(overlaps)
        };
        // A span that fits but is taken is the same link listed twice, e.g. once per photo.
        let found = match at_span {
            Some(bytes) => Some(bytes).filter(is_free),
            None => occurrences(raw, link.url).find(is_free),
        };
        placed.extend(found.map(|bytes| Placed { bytes, link }));
    }
    placed.sort_unstable_by_key(|found| found.bytes.start);
    placed
}

/// Byte offsets of the code points, and of the end.
fn code_points(raw: &str) -> Vec<usize> {
    let starts = raw.char_indices().map(|(at, _)| at);
    starts.chain([raw.len()]).collect()
}

/// The bytes of a link's span, if the link is there.
fn exact(raw: &str, offsets: &[usize], link: &TextLink<'_>) -> Option<Range<usize>> {
    let (start, end) = link.span?;
    let bytes = *offsets.get(start)?..*offsets.get(end)?;
    (raw.get(bytes.clone()) == Some(link.url)).then_some(bytes)
}

/// Where a link stands in the text without going on.
fn occurrences<'a>(raw: &'a str, url: &'a str) -> impl Iterator<Item = Range<usize>> {
    raw.match_indices(url)
        .map(|(start, found)| start..start + found.len())
        .filter(|bytes| {
            let next = slice(raw, bytes.end..raw.len()).chars().next();
            !next.is_some_and(|next| next.is_ascii_alphanumeric())
        })
}

/// Where the text ends without own links, of which there may be several.
fn end_without_own(raw: &str, placed: &[Placed<'_, '_>]) -> usize {
    let mut end = raw.len();
    for Placed { bytes, link } in placed.iter().rev() {
        if !link.own || !slice(raw, bytes.end..end).trim().is_empty() {
            break;
        }
        end = slice(raw, 0..bytes.start).trim_end().len();
    }
    end
}

fn slice(text: &str, range: Range<usize>) -> &str {
    text.get(range).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(span: (usize, usize), url: &'static str, expanded: &'static str) -> TextLink<'static> {
        TextLink {
            span: Some(span),
            url,
            expanded,
            own: false,
        }
    }

    fn own(span: (usize, usize), url: &'static str) -> TextLink<'static> {
        TextLink {
            own: true,
            ..link(span, url, "https://x.com/a/status/1/photo/1")
        }
    }

    const ONE: &str = "https://t.co/1111111111";
    const TWO: &str = "https://t.co/2222222222";

    #[test]
    fn links_are_expanded_where_code_points_say() {
        let raw = format!("🥁 {ONE} & {ONE}");
        let links = [
            link((28, 51), ONE, "https://b.example"),
            link((2, 25), ONE, "https://a.example"),
        ];
        assert_eq!(
            render(&raw, &links),
            "🥁 https://a.example & https://b.example"
        );
    }

    #[test]
    fn links_with_wrong_offsets_are_looked_for() {
        let raw = format!("see {ONE}1 and {ONE}.");
        for span in [(0, 23), (900, 923), (30, 7), (usize::MAX, usize::MAX)] {
            let text = render(&raw, &[link(span, ONE, "https://a.example")]);
            assert_eq!(
                text,
                format!("see {ONE}1 and https://a.example."),
                "{span:?}"
            );
        }
        assert_eq!(
            render("gone", &[link((0, 4), ONE, "https://a.example")]),
            "gone"
        );
        assert_eq!(
            render("none", &[link((0, 0), "", "https://a.example")]),
            "none"
        );
    }

    #[test]
    fn own_links_are_dropped_from_the_end_only() {
        let raw = format!("look {ONE} {TWO}");
        let both = [own((5, 28), ONE), own((29, 52), TWO)];
        assert_eq!(render(&raw, &both), "look");
        assert_eq!(render(ONE, &[own((0, 23), ONE)]), "");
        assert_eq!(
            render(&format!("look {ONE} "), &[own((5, 28), ONE)]),
            "look"
        );

        let raw = format!("{ONE} and then {TWO}");
        let links = [own((0, 23), ONE), link((33, 56), TWO, "https://a.example")];
        assert_eq!(
            render(&raw, &links),
            "https://x.com/a/status/1/photo/1 and then https://a.example"
        );
    }

    #[test]
    fn a_link_listed_for_each_photo_is_dropped_once() {
        let raw = format!("four {ONE}");
        let links = [own((5, 28), ONE), own((5, 28), ONE)];
        assert_eq!(render(&raw, &links), "four");
    }

    #[test]
    fn entities_are_decoded_once_and_after_the_offsets_were_used() {
        let raw = format!("a &lt;b&gt; &amp;lt; &amp;amp; &copy; & {ONE}");
        let start = raw.find("https").unwrap();
        let links = [link(
            (start, start + 23),
            ONE,
            "https://a.example/?x=1&amp;y=2",
        )];
        assert_eq!(
            render(&raw, &links),
            "a <b> &lt; &amp; &copy; & https://a.example/?x=1&amp;y=2"
        );
        assert_eq!(unescape("&&amp;&quot;&#39;&"), "&&\"'&");
    }

    #[test]
    fn white_space_of_the_author_stays() {
        assert_eq!(render(" a\n\nb ", &[]), " a\n\nb ");
    }
}
