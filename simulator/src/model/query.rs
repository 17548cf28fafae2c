//! X's query language, as far as helpdesks use it: for searches and for rules of the stream.

use std::cell::OnceCell;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::ids::{PostId, UserId};
use super::post::Post;
use super::user::User;
use super::world::World;
use crate::text::{self, EntityKind, QuoteLink};

/// Where a query is used; X reads it a little differently in each place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Looks into the post alone, accents aside.
    Search,
    /// Looks into the quoted post too; accents count, and a hashtag is a word of its own.
    Stream,
}

/// A query, read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Query {
    All(Vec<Query>),
    Any(Vec<Query>),
    Not(Box<Query>),
    Conversation(PostId),
    InReplyTo(PostId),
    From(String),
    To(String),
    Mention(String),
    Hashtag(String),
    /// Words in a row, as typed but in lower case.
    Words(String),
    Is(Kind),
    Has(Part),
    /// X's code of the language.
    Lang(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Reply,
    Quote,
    Repost,
    Verified,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Part {
    Links,
    Mentions,
    Hashtags,
    Media,
}

/// A post that queries are held against; what they look at is found when it is first needed.
pub(crate) struct Subject<'a> {
    world: &'a World,
    post: &'a Post,
    reach: Reach,
    words: OnceCell<Vec<String>>,
    entities: OnceCell<Vec<EntityKind>>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(world: &'a World, post: &'a Post, reach: Reach) -> Self {
        Self {
            world,
            post,
            reach,
            words: OnceCell::new(),
            entities: OnceCell::new(),
        }
    }

    /// The post, what it reposts in its place, and what it quotes where that counts.
    fn parts(&self) -> impl Iterator<Item = &'a Post> {
        let original = self.post.repost_of.and_then(|id| self.world.any_post(id));
        let wanted = self.post.quote.filter(|_| self.reach == Reach::Stream);
        let quoted = wanted.and_then(|id| self.world.visible_post(id).ok());
        [original.or(Some(self.post)), quoted].into_iter().flatten()
    }

    fn words(&self) -> &[String] {
        self.words.get_or_init(|| {
            let parts = self.parts();
            // The empty word keeps a phrase from running on into the next post.
            parts
                .flat_map(|post| {
                    words_of(&post.text, self.reach)
                        .into_iter()
                        .chain([String::new()])
                })
                .collect()
        })
    }

    fn entities(&self) -> &[EntityKind] {
        self.entities.get_or_init(|| {
            let parts = self.parts();
            let composed = parts.map(|post| text::compose(self.world, post, QuoteLink::Omitted));
            let original = self.post.repost_of.and_then(|id| self.world.any_post(id));
            // A repost begins with the name of whom it reposts.
            let reposted = original.map(|original| EntityKind::Mention(original.author));
            composed
                .flat_map(|text| text.entities)
                .map(|found| found.kind)
                .chain(reposted)
                .collect()
        })
    }

    fn has(&self, fits: impl Fn(&EntityKind) -> bool) -> bool {
        self.entities().iter().any(fits)
    }

    fn user(&self, name: &str) -> Option<UserId> {
        named(self.world, name).map(|user| user.id)
    }

    fn author(&self) -> Option<&User> {
        self.world.user(self.post.author).ok()
    }
}

/// By @name or id.
pub(crate) fn named<'a>(world: &'a World, name: &str) -> Option<&'a User> {
    let by_id = || world.user(name.parse().ok()?).ok();
    world.user_named(name).or_else(by_id)
}

impl Query {
    /// What is wrong with it, in words, where it cannot be used.
    pub(crate) fn parse(given: &str) -> Result<Self, String> {
        let tokens = split(given)?;
        let mut parser = Parser { tokens, at: 0 };
        let query = parser.any()?;
        if let Some(left) = parser.peek() {
            return Err(format!("There is no place for {left}"));
        }
        if !query.stands_alone() {
            return Err(
                "Rules must contain a non-negated, standalone operator, such as a keyword"
                    .to_owned(),
            );
        }
        Ok(query)
    }

    /// Whether something in it needs no other operator beside it.
    fn stands_alone(&self) -> bool {
        match self {
            Self::All(terms) => terms.iter().any(Self::stands_alone),
            Self::Any(terms) => terms.iter().all(Self::stands_alone),
            Self::Not(_) | Self::Is(_) | Self::Has(_) | Self::Lang(_) => false,
            _ => true,
        }
    }

    pub(crate) fn holds(&self, subject: &Subject<'_>) -> bool {
        let post = subject.post;
        match self {
            Self::All(terms) => terms.iter().all(|term| term.holds(subject)),
            Self::Any(terms) => terms.iter().any(|term| term.holds(subject)),
            Self::Not(term) => !term.holds(subject),
            Self::Conversation(id) => post.conversation == *id,
            Self::InReplyTo(id) => post.parent == Some(*id),
            Self::From(name) => subject.user(name) == Some(post.author),
            Self::To(name) => {
                let parent = post.parent.and_then(|id| subject.world.any_post(id));
                parent.is_some_and(|parent| subject.user(name) == Some(parent.author))
            }
            Self::Words(words) => {
                let words = words_of(words, subject.reach);
                has_words(subject.words(), &words)
            }
            Self::Is(kind) => is(*kind, subject),
            Self::Mention(name) => {
                let user = subject.user(name);
                subject.has(|kind| matches!(kind, EntityKind::Mention(id) if user == Some(*id)))
            }
            Self::Hashtag(tag) => subject.has(
                |kind| matches!(kind, EntityKind::Hashtag(found) if found.to_lowercase() == *tag),
            ),
            Self::Has(part) => subject.has(|kind| is_part(*part, kind)),
            Self::Lang(code) => post.lang == *code,
        }
    }
}

fn is(kind: Kind, subject: &Subject<'_>) -> bool {
    match kind {
        Kind::Reply => subject.post.parent.is_some(),
        Kind::Quote => subject.post.quote.is_some(),
        Kind::Repost => subject.post.repost_of.is_some(),
        Kind::Verified => subject.author().is_some_and(|author| author.verified),
    }
}

fn is_part(part: Part, kind: &EntityKind) -> bool {
    matches!(
        (part, kind),
        (Part::Links, EntityKind::Link(_))
            | (Part::Mentions, EntityKind::Mention(_))
            | (Part::Hashtags, EntityKind::Hashtag(_))
            | (Part::Media, EntityKind::Media(_))
    )
}

fn has_words(tokens: &[String], words: &[String]) -> bool {
    tokens
        .windows(words.len().max(1))
        .any(|window| window == words)
}

fn words_of(text: &str, reach: Reach) -> Vec<String> {
    let is_separator = |c: char| match reach {
        Reach::Search => !(c.is_alphanumeric() || c == '_' || is_combining_mark(c)),
        Reach::Stream => !(c.is_alphanumeric() || c == '_' || c == '#' || is_combining_mark(c)),
    };
    text.split(is_separator)
        .filter(|word| !word.is_empty())
        .map(|word| match reach {
            Reach::Search => without_accents(word),
            Reach::Stream => word.nfc().collect::<String>().to_lowercase(),
        })
        .collect()
}

fn without_accents(word: &str) -> String {
    let bare: String = word.nfd().filter(|c| !is_combining_mark(*c)).collect();
    bare.to_lowercase()
}

/// Words, quoted words with their quotes, and brackets.
fn split(given: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in given.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.push(c);
            }
            _ if quoted => word.push(c),
            // A minus before a bracket is a token of its own, which is refused.
            '(' | ')' => {
                tokens.push(std::mem::take(&mut word));
                tokens.push(c.to_string());
            }
            c if c.is_whitespace() => tokens.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    if quoted {
        return Err("A quotation mark is missing".to_owned());
    }
    tokens.push(word);
    tokens.retain(|token| !token.is_empty());
    Ok(tokens)
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Option<String> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn any(&mut self) -> Result<Query, String> {
        let mut terms = vec![self.all()?];
        while self.peek() == Some("OR") {
            self.at += 1;
            terms.push(self.all()?);
        }
        Ok(one_or(terms, Query::Any))
    }

    fn all(&mut self) -> Result<Query, String> {
        let mut terms = Vec::new();
        while self
            .peek()
            .is_some_and(|token| token != "OR" && token != ")")
        {
            terms.push(self.term()?);
        }
        if terms.is_empty() {
            return Err("A term is missing".to_owned());
        }
        Ok(one_or(terms, Query::All))
    }

    fn term(&mut self) -> Result<Query, String> {
        let token = self.next().unwrap_or_default();
        match token.as_str() {
            "(" => {
                let inner = self.any()?;
                match self.next().as_deref() {
                    Some(")") => Ok(inner),
                    _ => Err("A bracket is missing".to_owned()),
                }
            }
            "-" => Err("Groups cannot be negated".to_owned()),
            token => match token.strip_prefix('-') {
                Some(denied) => Ok(Query::Not(Box::new(single(denied)?))),
                None => single(token),
            },
        }
    }
}

fn one_or(mut terms: Vec<Query>, many: fn(Vec<Query>) -> Query) -> Query {
    match terms.len() {
        1 => terms.remove(0),
        _ => many(terms),
    }
}

fn single(token: &str) -> Result<Query, String> {
    let query = if let Some(name) = token.strip_prefix('@') {
        Query::Mention(name.to_owned())
    } else if let Some(tag) = token.strip_prefix('#') {
        Query::Hashtag(tag.to_lowercase())
    } else if let (false, Some((operator, value))) = (token.starts_with('"'), token.split_once(':'))
    {
        operator_of(operator, value)?
    } else {
        Query::Words(token.trim_matches('"').to_lowercase())
    };
    let is_empty = match &query {
        Query::Mention(name) | Query::Hashtag(name) => name.is_empty(),
        Query::Words(words) => words_of(words, Reach::Stream).is_empty(),
        _ => false,
    };
    if is_empty {
        return Err(format!("There is nothing to look for in {token}"));
    }
    Ok(query)
}

fn operator_of(operator: &str, value: &str) -> Result<Query, String> {
    let id = || {
        let parsed = value.parse();
        parsed.map_err(|_not_a_number| format!("{value} is not an id"))
    };
    let name = value.trim_start_matches('@').to_owned();
    match (operator, value) {
        (_, "") => Err(format!("The operator {operator} needs a value")),
        ("conversation_id", _) => id().map(Query::Conversation),
        ("in_reply_to_tweet_id", _) => id().map(Query::InReplyTo),
        ("from", _) => Ok(Query::From(name)),
        ("to", _) => Ok(Query::To(name)),
        ("is", "reply") => Ok(Query::Is(Kind::Reply)),
        ("is", "quote") => Ok(Query::Is(Kind::Quote)),
        ("is", "retweet") => Ok(Query::Is(Kind::Repost)),
        ("is", "verified") => Ok(Query::Is(Kind::Verified)),
        ("has", "links") => Ok(Query::Has(Part::Links)),
        ("has", "mentions") => Ok(Query::Has(Part::Mentions)),
        ("has", "hashtags") => Ok(Query::Has(Part::Hashtags)),
        ("has", "media" | "images" | "videos") => Ok(Query::Has(Part::Media)),
        ("lang", code) => Ok(Query::Lang(code.to_owned())),
        _ => Err(format!(
            "The operator {operator}:{value} is not served here"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Query {
        Query::Words(text.to_owned())
    }

    #[test]
    fn queries_are_read_as_x_reads_them() {
        assert_eq!(
            Query::parse("from:acme conversation_id:7"),
            Ok(Query::All(vec![
                Query::From("acme".into()),
                Query::Conversation(PostId(7)),
            ]))
        );
        assert_eq!(
            Query::parse("@acme (to:ann OR -is:retweet)"),
            Ok(Query::All(vec![
                Query::Mention("acme".into()),
                Query::Any(vec![
                    Query::To("ann".into()),
                    Query::Not(Box::new(Query::Is(Kind::Repost))),
                ]),
            ]))
        );
        assert_eq!(Query::parse("\"My Printer\""), Ok(words("my printer")));
        assert_eq!(
            Query::parse("a b OR c"),
            Ok(Query::Any(vec![
                Query::All(vec![words("a"), words("b")]),
                words("c"),
            ])),
            "AND binds closer than OR"
        );
    }

    #[test]
    fn what_x_refuses_is_refused() {
        for wrong in [
            "",
            "(a",
            "a)",
            "a OR",
            "\"a",
            "#",
            "@",
            "from:",
            "nonsense:x",
            "conversation_id:x",
            "a -(b c)",
            "is:reply",
            "-a",
            "lang:de OR a",
            "has:links -is:retweet",
        ] {
            assert!(Query::parse(wrong).is_err(), "{wrong}");
        }
        for right in ["a -is:retweet", "(lang:de a) OR b", "#tag has:links"] {
            assert!(Query::parse(right).is_ok(), "{right}");
        }
    }

    #[test]
    fn words_fit_whole_and_in_a_row() {
        let fits = |text: &str, words: &str, reach| {
            has_words(&words_of(text, reach), &words_of(words, reach))
        };
        assert!(fits("My printer, it burns", "printer it", Reach::Search));
        assert!(!fits("My printers burn", "printer", Reach::Search));
        assert!(fits("Café", "cafe", Reach::Search));
        assert!(!fits("Café", "cafe", Reach::Stream), "accents count");
        assert!(!fits("#printer", "printer", Reach::Stream));
    }
}
