//! The URLs that X recognises in a text: it shortens them, counts 23 for each and asks more for
//! the post. A translation of `extractUrlsWithIndices` of twitter-text 3.1.0 with the top-level
//! domains of today.

use std::ops::Range;
use std::sync::LazyLock;

use super::chars::{
    ends_path, ends_query, is_domain, is_path, is_plain_domain, is_query, may_precede_url,
    spoils_plain_domain,
};
use super::{before, rest, run, slice};

/// Longest URL, UTF-16 units, its protocol counted twice as X does.
const LONGEST: usize = 4096;
const LONGEST_LABEL: usize = 63;
const LONGEST_TLD: usize = 24;
const LONGEST_TCO_SLUG: usize = 40;

/// Names X takes for top-level domains though the root zone does not hold them.
const TLDS_OF_X: [&str; 8] = ["an", "bl", "bq", "eh", "mf", "onion", "tp", "um"];

/// Top-level domains in scripts other than ASCII.
static UNICODE_TLDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let encoded = tld::TLD.iter().filter_map(|tld| tld.strip_prefix("xn--"));
    encoded
        .filter_map(idna::punycode::decode_to_string)
        .collect()
});

/// Where X sees URLs, as byte ranges in order.
pub fn urls(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if !text.contains('.') {
        return found;
    }
    let mut scan = Scan {
        text,
        chain: Chain::default(),
    };
    let mut at = 0;
    while let Some(c) = rest(text, at).chars().next() {
        let next = at + c.len_utf8();
        let after = Some(next).filter(|_| may_precede_url(c));
        let matched = after
            .and_then(|start| scan.candidate(start))
            .or_else(|| (at == 0).then(|| scan.candidate(0)).flatten());
        if let Some(candidate) = &matched {
            candidate.push_urls(text, &mut found);
        }
        at = matched.map_or(next, |candidate| candidate.end);
    }
    found
}

/// Something that looks like a URL.
#[derive(Debug)]
struct Candidate {
    start: usize,
    domain: Range<usize>,
    has_path: bool,
    end: usize,
}

impl Candidate {
    fn has_protocol(&self) -> bool {
        self.start < self.domain.start
    }

    /// Adds the URLs in it: more than one if its domain mixes scripts.
    fn push_urls(&self, text: &str, found: &mut Vec<Range<usize>>) {
        if !self.is_valid(text) {
            return;
        }
        if self.has_protocol() {
            found.extend(self.without_tail_of_tco(text));
            return;
        }
        if before(text, self.start).is_some_and(spoils_plain_domain) {
            return;
        }
        let mut plain = plain_domains(text, &self.domain);
        if let Some(last) = plain.last_mut()
            && self.has_path
        {
            last.end = self.end;
        }
        found.extend(plain);
    }

    fn is_valid(&self, text: &str) -> bool {
        let domain = slice(text, self.domain.clone());
        let protocol = match self.domain.start - self.start {
            0 => "https://".len(),
            length => length,
        };
        let length = slice(text, self.start..self.end).encode_utf16().count();
        let mixed = domain.starts_with("xn--") && plain_domains(text, &self.domain).is_empty();
        let fits = |label: &str| (1..=LONGEST_LABEL).contains(&encoded_length(label));
        !mixed && domain.split('.').all(fits) && protocol + length <= LONGEST
    }

    /// X's own short links end after the slug and the query; without a plausible slug there is
    /// none.
    fn without_tail_of_tco(&self, text: &str) -> Option<Range<usize>> {
        let whole = self.start..self.end;
        let path = slice(text, self.domain.end..self.end);
        let slug = match path.strip_prefix('/') {
            Some(path) if slice(text, self.domain.clone()).eq_ignore_ascii_case("t.co") => {
                run(path, |c| c.is_ascii_alphanumeric())
            }
            _ => 0,
        };
        match slug {
            0 => Some(whole),
            1..=LONGEST_TCO_SLUG => {
                let end = self.domain.end + 1 + slug;
                Some(self.start..end + query(rest(text, end)))
            }
            _ => None,
        }
    }
}

/// Length of a label as it goes into the domain name system.
fn encoded_length(label: &str) -> usize {
    let pieces = label.split(['。', '．', '｡']).map(|piece| {
        if piece.is_ascii() {
            piece.len()
        } else {
            idna::punycode::encode_str(piece).map_or(usize::MAX >> 8, |code| code.len() + 4)
        }
    });
    pieces.map(|length| length + 1).sum::<usize>() - 1
}

/// Labels with dots between, as far as they go.
#[derive(Debug, Default)]
struct Chain {
    bytes: Range<usize>,
    /// Labels before a top-level domain.
    names: Vec<Name>,
    /// The last of them without an underscore.
    last_plain: Option<Name>,
}

/// A label that a top-level domain follows.
#[derive(Clone, Copy, Debug)]
struct Name {
    end: usize,
    /// The end of its last underscore.
    underscore: Option<usize>,
    domain_end: usize,
}

impl Chain {
    fn at(text: &str, start: usize) -> Self {
        let mut names = Vec::new();
        let mut at = start;
        let stop = loop {
            let label = slice(text, at..at + run(rest(text, at), is_label));
            let end = at + label.len();
            if !label.starts_with(is_domain) {
                break at;
            }
            if !label.ends_with(is_domain) || !rest(text, end).starts_with('.') {
                break end;
            }
            names.extend(tld(rest(text, end + 1)).map(|tld| Name {
                end,
                underscore: label.rfind('_').map(|underscore| at + underscore + 1),
                domain_end: end + 1 + tld,
            }));
            at = end + 1;
        };
        Self {
            bytes: start..stop,
            last_plain: names
                .iter()
                .rfind(|name| name.underscore.is_none())
                .copied(),
            names,
        }
    }

    /// The end of the longest domain that starts at `start`. Only a subdomain may have an
    /// underscore, so a name that has one counts from behind it.
    fn domain_end(&self, start: usize) -> Option<usize> {
        let next = self.names.partition_point(|name| name.end <= start);
        let next = self.names.get(next);
        let behind = next.filter(|name| name.underscore.is_none_or(|end| end <= start));
        let plain = self.last_plain.filter(|name| name.end > start);
        plain.or(behind.copied()).map(|name| name.domain_end)
    }
}

struct Scan<'a> {
    text: &'a str,
    /// The last one looked at: what starts within it needs no second look.
    chain: Chain,
}

impl Scan<'_> {
    fn candidate(&mut self, start: usize) -> Option<Candidate> {
        let domain_start = start + protocol(rest(self.text, start));
        let domain_end = self.domain_end(domain_start)?;
        let port_end = domain_end + port(rest(self.text, domain_end));
        let path = path(rest(self.text, port_end));
        let path_end = port_end + path;
        Some(Candidate {
            start,
            domain: domain_start..domain_end,
            has_path: path > 0,
            end: path_end + query(rest(self.text, path_end)),
        })
    }

    fn domain_end(&mut self, start: usize) -> Option<usize> {
        if !rest(self.text, start).starts_with(is_domain) {
            return None;
        }
        if !self.chain.bytes.contains(&start) {
            self.chain = Chain::at(self.text, start);
        }
        self.chain.domain_end(start)
    }
}

fn is_label(c: char) -> bool {
    is_domain(c) || matches!(c, '-' | '_')
}

/// Bytes of the protocol a text starts with.
fn protocol(text: &str) -> usize {
    let leads = |protocol: &&&str| {
        text.get(..protocol.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(protocol))
    };
    let known = ["https://", "http://"];
    known.iter().find(leads).map_or(0, |found| found.len())
}

/// Bytes of the top-level domain a text starts with.
fn tld(text: &str) -> Option<usize> {
    let goes_on = |length: usize| {
        rest(text, length).starts_with(|c: char| c.is_ascii_alphanumeric() || "@+-".contains(c))
    };
    let ascii = run(text, |c| c.is_ascii_alphanumeric());
    let name = slice(text, 0..ascii.min(LONGEST_TLD + 1)).to_ascii_lowercase();
    if (tld::exist(&name) || TLDS_OF_X.contains(&name.as_str())) && !goes_on(ascii) {
        return Some(ascii);
    }
    unicode_tld(text)
        .filter(|length| !goes_on(*length))
        .or_else(|| punycode(text))
}

fn unicode_tld(text: &str) -> Option<usize> {
    if text.starts_with(|c: char| c.is_ascii()) {
        return None;
    }
    let start: String = text.chars().take(LONGEST_TLD).collect();
    let lower = start.to_lowercase();
    let fitting = UNICODE_TLDS.iter().filter(|tld| lower.starts_with(*tld));
    let longest = fitting.map(|tld| tld.chars().count()).max()?;
    Some(text.chars().take(longest).map(char::len_utf8).sum())
}

fn punycode(text: &str) -> Option<usize> {
    let prefix = text.get(..4)?;
    let code = run(rest(text, 4), |c| c == '-' || c.is_ascii_alphanumeric());
    (prefix.eq_ignore_ascii_case("xn--") && code > 0).then_some(4 + code)
}

/// The domains without other letters than Latin ones in a domain.
fn plain_domains(text: &str, domain: &Range<usize>) -> Vec<Range<usize>> {
    let name = slice(text, domain.clone());
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = rest(name, at).chars().next() {
        let end = plain_domain_end(name, at);
        found.extend(end.map(|end| domain.start + at..domain.start + end));
        at = end.unwrap_or(at + c.len_utf8());
    }
    found
}

fn plain_domain_end(name: &str, start: usize) -> Option<usize> {
    let mut end = None;
    let mut at = start;
    loop {
        let label = run(rest(name, at), is_plain_domain);
        if label == 0 || !rest(name, at + label).starts_with('.') {
            return end;
        }
        at += label + 1;
        end = tld(rest(name, at)).map(|tld| at + tld).or(end);
    }
}

/// Bytes of the port a text starts with.
fn port(text: &str) -> usize {
    let digits = text
        .strip_prefix(':')
        .map_or(0, |text| run(text, |c| c.is_ascii_digit()));
    if digits == 0 { 0 } else { 1 + digits }
}

/// Bytes of the path a text starts with.
fn path(text: &str) -> usize {
    if !text.starts_with('/') {
        return 0;
    }
    let mut end = 1;
    let mut at = 1;
    while let Some(c) = rest(text, at).chars().next() {
        let parentheses = balanced(rest(text, at));
        let step = if is_path(c) {
            c.len_utf8()
        } else {
            parentheses
        };
        if step == 0 {
            break;
        }
        at += step;
        if parentheses > 0 || ends_path(c) {
            end = at;
        }
    }
    end
}

/// Bytes of the parentheses a text starts with: with path characters in them, and at most one
/// more pair.
fn balanced(text: &str) -> usize {
    let Some(inner) = text.strip_prefix('(') else {
        return 0;
    };
    let first = run(inner, is_path);
    let after = rest(inner, first);
    let nested = match after.strip_prefix('(') {
        Some(nested) => {
            let length = run(nested, is_path);
            if length == 0 || !rest(nested, length).starts_with(')') {
                return 0;
            }
            length + 2 + run(rest(nested, length + 1), is_path)
        }
        None if first == 0 => return 0,
        None => 0,
    };
    match rest(after, nested).starts_with(')') {
        true => 1 + first + nested + 1,
        false => 0,
    }
}

/// Bytes of the query a text starts with.
fn query(text: &str) -> usize {
    let Some(query) = text.strip_prefix('?') else {
        return 0;
    };
    let all = slice(query, 0..run(query, is_query));
    match all.rfind(ends_query) {
        Some(last) => 1 + last + 1,
        None => 0,
    }
}
