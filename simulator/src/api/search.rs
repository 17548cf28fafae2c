//! Recent search: the part of X's query language that helpdesks use.

use super::answer::Outcome;
use super::ledger::Price;
use super::paging::{PARAMETERS, Wanted};
use super::problem;
use super::serve::Call;
use super::timelines;
use crate::model::{Post, PostId, User, World};
use crate::text::{self, EntityKind, QuoteLink};

const WEEK_MS: i64 = 7 * 24 * 3600 * 1000;
const MAX_QUERY: usize = 512;

/// `GET /2/tweets/search/recent`
pub(super) fn recent(call: Call<'_>) -> Outcome {
    let also: Vec<&str> = [&PARAMETERS[..], &["query", "sort_order"]].concat();
    let selection = call.selection(&also)?;
    let given = call.incoming.parameter("query").unwrap_or_default();
    let query = parse(given).map_err(|message| problem::invalid("query", given, &message))?;
    let mut wanted = Wanted::parse(call.incoming, (10, 100, 10))?;
    let now_ms = call.world.now_ms();
    let lag_ms = i64::try_from(call.state.settings.search_lag_s).unwrap_or(0) * 1000;
    let latest = now_ms.saturating_sub(lag_ms);
    wanted.until_ms = Some(wanted.until_ms.unwrap_or(latest));
    let world = &*call.world;
    let posts = candidates(&query, world)
        .take_while(|post| post.created_at_ms >= now_ms - WEEK_MS)
        // Since 2026-05 searches return no reposts.
        .filter(|post| post.repost_of.is_none() && query.holds(world, post));
    Ok(timelines::page(
        &call,
        &selection,
        wanted,
        posts,
        Price::PostRead,
    ))
}

/// Newest first; as few as the query lets us look at.
fn candidates<'a>(query: &Query, world: &'a World) -> Box<dyn Iterator<Item = &'a Post> + 'a> {
    let terms: &[Query] = match query {
        Query::All(terms) => terms,
        single => std::slice::from_ref(single),
    };
    for term in terms {
        match term {
            Query::Conversation(id) => return Box::new(world.posts_in(*id)),
            Query::From(name) => {
                return match named(world, name) {
                    Some(user) => Box::new(world.posts_by(user.id)),
                    None => Box::new(std::iter::empty()),
                };
            }
            _ => {}
        }
    }
    Box::new(world.posts().rev())
}

/// By @name or id.
fn named<'a>(world: &'a World, name: &str) -> Option<&'a User> {
    let by_id = || world.user(name.parse().ok()?).ok();
    world.user_named(name).or_else(by_id)
}

/// A query, read.
#[derive(Debug, PartialEq)]
enum Query {
    All(Vec<Query>),
    Any(Vec<Query>),
    Not(Box<Query>),
    Conversation(PostId),
    InReplyTo(PostId),
    From(String),
    To(String),
    Mention(String),
    Hashtag(String),
    /// Words in a row, in lower case.
    Words(Vec<String>),
    Is(Kind),
    Has(Part),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Reply,
    Quote,
    Repost,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Links,
    Mentions,
    Hashtags,
    Media,
}

impl Query {
    fn holds(&self, world: &World, post: &Post) -> bool {
        match self {
            Self::All(terms) => terms.iter().all(|term| term.holds(world, post)),
            Self::Any(terms) => terms.iter().any(|term| term.holds(world, post)),
            Self::Not(term) => !term.holds(world, post),
            Self::Conversation(id) => post.conversation == *id,
            Self::InReplyTo(id) => post.parent == Some(*id),
            Self::From(name) => named(world, name).is_some_and(|user| user.id == post.author),
            Self::To(name) => {
                let parent = post.parent.and_then(|id| world.any_post(id));
                let user = named(world, name);
                parent
                    .zip(user)
                    .is_some_and(|(parent, user)| parent.author == user.id)
            }
            Self::Words(words) => has_words(&post.text, words),
            Self::Is(Kind::Reply) => post.parent.is_some(),
            Self::Is(Kind::Quote) => post.quote.is_some(),
            Self::Is(Kind::Repost) => post.repost_of.is_some(),
            Self::Mention(name) => {
                let user = named(world, name).map(|user| user.id);
                has(world, post, |kind| match kind {
                    EntityKind::Mention(id) => user == Some(*id),
                    _ => false,
                })
            }
            Self::Hashtag(tag) => has(world, post, |kind| match kind {
                EntityKind::Hashtag(found) => found.to_lowercase() == *tag,
                _ => false,
            }),
            Self::Has(part) => has(world, post, |kind| {
                matches!(
                    (part, kind),
                    (Part::Links, EntityKind::Link(_))
                        | (Part::Mentions, EntityKind::Mention(_))
                        | (Part::Hashtags, EntityKind::Hashtag(_))
                        | (Part::Media, EntityKind::Media(_))
                )
            }),
        }
    }
}

fn has(world: &World, post: &Post, fits: impl Fn(&EntityKind) -> bool) -> bool {
    let text = text::compose(world, post, QuoteLink::Omitted);
    text.entities.iter().any(|found| fits(&found.kind))
}

fn has_words(text: &str, words: &[String]) -> bool {
    let tokens = words_of(text);
    tokens
        .windows(words.len().max(1))
        .any(|window| window == words)
}

fn words_of(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn parse(given: &str) -> Result<Query, String> {
    if given.trim().is_empty() {
        return Err("The 'query' parameter is required.".to_owned());
    }
    if given.chars().count() > MAX_QUERY {
        return Err(format!("The query has more than {MAX_QUERY} characters"));
    }
    let tokens = split(given)?;
    let mut parser = Parser { tokens, at: 0 };
    let query = parser.any()?;
    match parser.peek() {
        None => Ok(query),
        Some(left) => Err(format!("There is no place for {left}")),
    }
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
            '(' | ')' => {
                tokens.push(std::mem::take(&mut word));
                tokens.push(c.to_string());
            }
            // A minus before a bracket stays with it.
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
    if let Some(name) = token.strip_prefix('@') {
        return Ok(Query::Mention(name.to_owned()));
    }
    if let Some(tag) = token.strip_prefix('#') {
        return Ok(Query::Hashtag(tag.to_lowercase()));
    }
    if token.starts_with('"') {
        return Ok(Query::Words(words_of(token)));
    }
    match token.split_once(':') {
        Some((operator, value)) => operator_of(operator, value),
        None => Ok(Query::Words(words_of(token))),
    }
}

fn operator_of(operator: &str, value: &str) -> Result<Query, String> {
    let id = || {
        let parsed = value.parse();
        parsed.map_err(|_not_a_number| format!("{value} is not an id"))
    };
    let name = value.trim_start_matches('@').to_owned();
    match (operator, value) {
        ("conversation_id", _) => id().map(Query::Conversation),
        ("in_reply_to_tweet_id", _) => id().map(Query::InReplyTo),
        ("from", _) => Ok(Query::From(name)),
        ("to", _) => Ok(Query::To(name)),
        ("is", "reply") => Ok(Query::Is(Kind::Reply)),
        ("is", "quote") => Ok(Query::Is(Kind::Quote)),
        ("is", "retweet") => Ok(Query::Is(Kind::Repost)),
        ("has", "links") => Ok(Query::Has(Part::Links)),
        ("has", "mentions") => Ok(Query::Has(Part::Mentions)),
        ("has", "hashtags") => Ok(Query::Has(Part::Hashtags)),
        ("has", "media" | "images" | "videos") => Ok(Query::Has(Part::Media)),
        _ => Err(format!(
            "The operator {operator}:{value} is not served here"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_as_x_reads_them() {
        assert_eq!(
            parse("from:acme conversation_id:7"),
            Ok(Query::All(vec![
                Query::From("acme".into()),
                Query::Conversation(PostId(7)),
            ]))
        );
        assert_eq!(
            parse("@acme (to:ann OR -is:retweet)"),
            Ok(Query::All(vec![
                Query::Mention("acme".into()),
                Query::Any(vec![
                    Query::To("ann".into()),
                    Query::Not(Box::new(Query::Is(Kind::Repost))),
                ]),
            ]))
        );
        assert_eq!(
            parse("\"My Printer\""),
            Ok(Query::Words(vec!["my".into(), "printer".into()]))
        );
        for wrong in [
            "",
            "(a",
            "a OR",
            "\"a",
            "nonsense:x",
            "conversation_id:x",
            "-(a)",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_fit_whole_and_in_a_row() {
        let words = |text: &str| words_of(text);
        assert!(has_words("My printer, it burns", &words("printer it")));
        assert!(!has_words("My printers burn", &words("printer")));
    }
}
