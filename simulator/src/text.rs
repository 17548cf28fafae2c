//! How X writes a post's text: short links, entities, offsets in code points, HTML escapes.

use crate::model::{Post, PostId, User, UserId, World};

/// A post's text as X delivers it, with all that was found in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Composed {
    /// Escaped, links shortened.
    pub(crate) text: String,
    /// The part people see: without inherited mentions and without the links at the end.
    pub(crate) shown: (usize, usize),
    /// In order of appearance; offsets count code points of `text`.
    pub(crate) entities: Vec<Entity>,
}

/// Something found in a text.
#[derive(Clone, Debug)]
pub(crate) struct Entity {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: EntityKind,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum EntityKind {
    Mention(UserId),
    Hashtag(String),
    Cashtag(String),
    Link(Link),
    /// The link to the post's own media.
    Media(Link),
}

/// A link in its three spellings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Link {
    pub(crate) short: String,
    pub(crate) expanded: String,
    pub(crate) display: String,
}

impl Link {
    pub(crate) fn to(short: String, expanded: String) -> Self {
        Self {
            short,
            display: display_form(&expanded),
            expanded,
        }
    }
}

/// Whether the link to a quoted post is part of the text: in v2 it is, in v1.1 it depends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuoteLink {
    Omitted,
    Appended,
}

/// The address of a post.
pub(crate) fn permalink(world: &World, post: &Post) -> String {
    let author = world.user(post.author).map_or("i", |user| &user.username);
    format!("https://x.com/{author}/status/{}", post.id)
}

/// The text of a post that is not a repost.
pub(crate) fn compose(world: &World, post: &Post, quote_link: QuoteLink) -> Composed {
    let mut writer = Writer::default();
    for user in post
        .inherited_mentions
        .iter()
        .filter_map(|id| world.user(*id).ok())
    {
        writer.entity(&format!("@{}", user.username), EntityKind::Mention(user.id));
        writer.plain(" ");
    }
    let start = writer.length;
    writer.tokens(world, &post.text, &format!("post/{}", post.id));
    let end = writer.length;
    if let (Some(quoted), QuoteLink::Appended) = (post.quote, quote_link) {
        let link = quote_permalink(world, post.id, quoted);
        writer.tail(EntityKind::Link(link));
    }
    if let Some(link) = media_link(world, post) {
        writer.tail(EntityKind::Media(link));
    }
    writer.finish((start, end))
}

/// The text of a direct message.
pub(crate) fn compose_message(
    world: &World,
    text: &str,
    link_key: &str,
    media: Option<Link>,
) -> Composed {
    let mut writer = Writer::default();
    writer.tokens(world, text, link_key);
    let end = writer.length;
    if let Some(link) = media {
        writer.tail(EntityKind::Link(link));
    }
    writer.finish((0, end))
}

/// The text of a repost: "RT @name: " and the original, cut at 140.
pub(crate) fn compose_repost(original: &Composed, author: &User) -> Composed {
    let mut writer = Writer::default();
    writer.plain("RT ");
    writer.entity(
        &format!("@{}", author.username),
        EntityKind::Mention(author.id),
    );
    writer.plain(": ");
    let shift = writer.length;
    writer.text.push_str(&original.text);
    writer.length += length(&original.text);
    writer
        .entities
        .extend(original.entities.iter().map(|found| Entity {
            start: found.start + shift,
            end: found.end + shift,
            kind: found.kind.clone(),
        }));
    let whole = (0, writer.length);
    writer.finish(whole).cut_to(140, "")
}

/// The link under which X shows the quoted post.
pub(crate) fn quote_permalink(world: &World, post: PostId, quoted: PostId) -> Link {
    let expanded = world
        .any_post(quoted)
        .map_or_else(String::new, |quoted| permalink(world, quoted));
    Link::to(
        world.short_link(&format!("post/{post}/quote/{quoted}")),
        expanded,
    )
}

fn media_link(world: &World, post: &Post) -> Option<Link> {
    let first = post.media.first()?;
    let kind = match first.kind {
        crate::model::MediaKind::Video => "video",
        _ => "photo",
    };
    let short = world.short_link(&format!("post/{}/media", post.id));
    let display = short.replace("https://t.co/", "pic.x.com/");
    Some(Link {
        short,
        expanded: format!("{}/{kind}/1", permalink(world, post)),
        display,
    })
}

impl Composed {
    /// Length in code points.
    pub(crate) fn length(&self) -> usize {
        length(&self.text)
    }

    /// Everybody mentioned, inherited or typed.
    pub(crate) fn mentions(&self) -> impl Iterator<Item = UserId> {
        self.entities.iter().filter_map(|found| match found.kind {
            EntityKind::Mention(user) => Some(user),
            _ => None,
        })
    }

    /// Whether the author typed this mention; inherited ones stand before what is shown.
    pub(crate) fn mentions_explicitly(&self, user: UserId) -> bool {
        self.entities
            .iter()
            .any(|found| found.kind == EntityKind::Mention(user) && found.start >= self.shown.0)
    }

    /// Without the links at the end.
    pub(crate) fn without_tail(&self) -> Self {
        let end = self.shown.1;
        Self {
            text: self.text.chars().take(end).collect(),
            shown: self.shown,
            entities: self.entities_before(end),
        }
    }

    /// The short form: cut so that with an ellipsis and a link to the post it fills `limit`.
    pub(crate) fn shortened(&self, limit: usize, own: Link) -> Self {
        let mut cut = self.cut_to(limit - 1 - length(&own.short), " ");
        let start = cut.length();
        let end = start + length(&own.short);
        cut.text.push_str(&own.short);
        cut.entities.push(Entity {
            start,
            end,
            kind: EntityKind::Link(own),
        });
        cut.shown = (self.shown.0.min(start), end);
        cut
    }

    /// At most `limit` code points, with an ellipsis and `after` when something was cut.
    fn cut_to(&self, limit: usize, after: &str) -> Self {
        if self.length() <= limit {
            return self.clone();
        }
        let kept: String = self.text.chars().take(self.safe_cut(limit - 1)).collect();
        let kept = kept.trim_end();
        let end = length(kept);
        Self {
            text: format!("{kept}…{after}"),
            shown: (self.shown.0.min(end), end + 1),
            entities: self.entities_before(end),
        }
    }

    /// The greatest cut up to `at` that splits neither an entity nor an HTML escape.
    fn safe_cut(&self, at: usize) -> usize {
        let before_entity = self
            .entities
            .iter()
            .find(|found| found.start < at && at < found.end)
            .map_or(at, |found| found.start);
        let kept: Vec<char> = self.text.chars().take(before_entity).collect();
        match kept.iter().rposition(|c| *c == '&') {
            Some(open) if !kept.iter().skip(open).any(|c| *c == ';') => open,
            _ => before_entity,
        }
    }

    fn entities_before(&self, end: usize) -> Vec<Entity> {
        self.entities
            .iter()
            .filter(|found| found.end <= end)
            .cloned()
            .collect()
    }
}

/// X counts most alphabets once and the rest twice; over 280 a post is a long one.
pub(crate) fn is_long(text: &str) -> bool {
    let weight = |c: char| match c as u32 {
        0..=0x10ff | 0x2000..=0x200d | 0x2010..=0x201f | 0x2032..=0x2037 => 1,
        _ => 2,
    };
    text.chars().map(weight).sum::<u32>() > 280
}

/// Puts a text together and keeps count of code points.
#[derive(Default)]
struct Writer {
    text: String,
    length: usize,
    entities: Vec<Entity>,
}

impl Writer {
    fn plain(&mut self, raw: &str) {
        let escaped = escape(raw);
        self.length += length(&escaped);
        self.text.push_str(&escaped);
    }

    fn entity(&mut self, shown: &str, kind: EntityKind) {
        let start = self.length;
        self.plain(shown);
        self.entities.push(Entity {
            start,
            end: self.length,
            kind,
        });
    }

    /// A link at the end, which is no part of what people see.
    fn tail(&mut self, kind: EntityKind) {
        let (EntityKind::Link(link) | EntityKind::Media(link)) = &kind else {
            return;
        };
        let short = link.short.clone();
        if self.length > 0 {
            self.plain(" ");
        }
        self.entity(&short, kind);
    }

    fn tokens(&mut self, world: &World, raw: &str, link_key: &str) {
        for token in tokens(raw) {
            match token {
                Token::Plain(text) => self.plain(text),
                Token::Link(url) => {
                    let short = world.short_link(&format!("{link_key}/{url}"));
                    self.entity(
                        &short.clone(),
                        EntityKind::Link(Link::to(short, url.to_owned())),
                    );
                }
                Token::Mention(name) => match world.user_named(name.trim_start_matches('@')) {
                    Some(user) => self.entity(name, EntityKind::Mention(user.id)),
                    None => self.plain(name),
                },
                Token::Hashtag(tag) => self.entity(tag, EntityKind::Hashtag(without_sign(tag))),
                Token::Cashtag(tag) => self.entity(tag, EntityKind::Cashtag(without_sign(tag))),
            }
        }
    }

    fn finish(self, shown: (usize, usize)) -> Composed {
        Composed {
            text: self.text,
            shown,
            entities: self.entities,
        }
    }
}

/// A piece of a text as typed.
#[derive(Debug, PartialEq)]
enum Token<'a> {
    Plain(&'a str),
    Link(&'a str),
    Mention(&'a str),
    Hashtag(&'a str),
    Cashtag(&'a str),
}

impl Token<'_> {
    /// In bytes.
    fn size(&self) -> usize {
        match self {
            Self::Plain(text)
            | Self::Link(text)
            | Self::Mention(text)
            | Self::Hashtag(text)
            | Self::Cashtag(text) => text.len(),
        }
    }
}

fn tokens(mut rest: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (plain, after) = rest.split_at(plain_length(rest));
        if !plain.is_empty() {
            found.push(Token::Plain(plain));
        }
        rest = match special(after) {
            Some(token) => {
                let rest = after.split_at(token.size()).1;
                found.push(token);
                rest
            }
            None => after,
        };
    }
    found
}

/// How many bytes pass before something special begins at the start of a word.
fn plain_length(text: &str) -> usize {
    let mut word_before = false;
    for (at, c) in text.char_indices() {
        if !word_before && special(text.split_at(at).1).is_some() {
            return at;
        }
        word_before = c.is_alphanumeric() || c == '_';
    }
    text.len()
}

/// The special piece that `text` begins with.
fn special(text: &str) -> Option<Token<'_>> {
    match text.chars().next()? {
        'h' => link(text).map(Token::Link),
        '@' => run(text, 15, |c| c.is_ascii_alphanumeric() || c == '_').map(Token::Mention),
        '#' => run(text, 100, |c| c.is_alphanumeric() || c == '_')
            .filter(|tag| tag.chars().any(char::is_alphabetic))
            .map(Token::Hashtag),
        '$' => run(text, 6, |c| c.is_ascii_alphabetic()).map(Token::Cashtag),
        _ => None,
    }
}

/// The link that `text` begins with; a full stop after it is none of it.
fn link(text: &str) -> Option<&str> {
    if !text.starts_with("https://") && !text.starts_with("http://") {
        return None;
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    Some(
        text.split_at(end)
            .0
            .trim_end_matches(['.', ',', '!', '?', ')', '"']),
    )
}

/// A sign and the run of fitting characters after it, if there are any.
fn run(text: &str, limit: usize, fits: fn(char) -> bool) -> Option<&str> {
    let size: usize = text
        .chars()
        .skip(1)
        .take_while(|c| fits(*c))
        .map(char::len_utf8)
        .sum();
    (1..=limit)
        .contains(&size)
        .then(|| text.split_at(size + 1).0)
}

fn without_sign(tag: &str) -> String {
    tag.chars().skip(1).collect()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// X escapes three characters in text, and only those.
pub(crate) fn escape(raw: &str) -> String {
    raw.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn display_form(url: &str) -> String {
    let bare = url
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    let bare = bare.trim_start_matches("www.").trim_end_matches('/');
    let host = bare.find('/').unwrap_or(bare.len());
    let (host, path) = bare.split_at(host);
    if length(path) <= 15 {
        return bare.to_owned();
    }
    let path: String = path.chars().take(15).collect();
    format!("{host}{path}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_falls_into_words_links_and_tags() {
        assert_eq!(
            tokens("hi @ann, me@mail.com #X1 #1 $ACME https://a.b/c?d=e. Ok"),
            [
                Token::Plain("hi "),
                Token::Mention("@ann"),
                Token::Plain(", me@mail.com "),
                Token::Hashtag("#X1"),
                Token::Plain(" #1 "),
                Token::Cashtag("$ACME"),
                Token::Plain(" "),
                Token::Link("https://a.b/c?d=e"),
                Token::Plain(". Ok"),
            ]
        );
    }

    #[test]
    fn a_cut_splits_neither_entity_nor_escape() {
        let mut writer = Writer::default();
        writer.plain("ab&");
        writer.entity("@ann", EntityKind::Mention(UserId(1)));
        let whole = writer.finish((0, 11));
        assert_eq!(whole.text, "ab&amp;@ann");
        assert_eq!(whole.safe_cut(5), 2);
        assert_eq!(whole.safe_cut(9), 7);
        assert_eq!(whole.cut_to(10, "").text, "ab&amp;…");
        assert!(whole.cut_to(10, "").entities.is_empty());
    }

    #[test]
    fn long_paths_are_shown_short() {
        assert_eq!(display_form("https://www.a.com/"), "a.com");
        assert_eq!(
            display_form("https://dev.to/twitterdev/understanding"),
            "dev.to/twitterdev/und…"
        );
    }

    #[test]
    fn wide_characters_count_twice() {
        assert!(!is_long(&"a".repeat(280)));
        assert!(is_long(&"語".repeat(141)));
    }
}
