//! What filters look at in a message, as it is kept: of messages that nobody wanted, and of those
//! whose event does not show all of it. Of others the event shows enough.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::filter::{Candidate, Refusal, Relation, Route, Why};
use crate::domain::ids::{AccountId, ConversationId, MessageId};
use crate::domain::message::{Mention, Message, Person};
use crate::store::Decided;

/// One message as filters look at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sighting {
    /// X's id of it.
    pub id: String,
    kind: Kind,
    /// Milliseconds since 1970, as all times here.
    created_at: i64,
    pub conversation: String,
    /// Answers another post: it may follow its conversation.
    pub reply: bool,
    author: Author,
    text: String,
    hashtags: Vec<String>,
    /// Usernames.
    mentions: Vec<String>,
    /// Ids of those who are mentioned, which no filter looks at: whoever erases one of them has to
    /// find the handle.
    #[serde(default)]
    mentioned: Vec<String>,
    relations: Vec<Relation>,
    explicit_mention: bool,
    repost: bool,
    own_author: bool,
    blocked: bool,
    message_request: Option<bool>,
    /// Why it was not published, and the filter that would have taken it otherwise.
    pub why: Option<Why>,
    pub filter: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Post,
    DirectMessage,
    Encrypted,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Author {
    /// A string: who erases a person looks for its id in quotes.
    id: String,
    username: String,
    followers: Option<u32>,
    verified: Option<bool>,
    created_at: Option<i64>,
}

impl Sighting {
    /// Of a message in a conversation that is decided on now.
    pub(crate) fn of(
        candidate: &Candidate<'_>,
        conversation: &ConversationId,
        reply: bool,
        refusal: Option<Refusal<'_>>,
    ) -> Self {
        let message = candidate.message;
        let author = &message.author;
        Self {
            id: message.id.to_string(),
            kind: match message.id {
                MessageId::Post(_) => Kind::Post,
                MessageId::DirectMessage(_) => Kind::DirectMessage,
                MessageId::Encrypted(_) => Kind::Encrypted,
            },
            created_at: message.created_at.as_millisecond(),
            conversation: conversation.name(),
            reply,
            author: Author {
                id: author.id.to_string(),
                username: author.username.clone(),
                followers: author.followers_count,
                verified: author.verified,
                created_at: author.created_at.map(Timestamp::as_millisecond),
            },
            text: message.text.clone(),
            hashtags: message.hashtags.clone(),
            mentions: usernames(&message.mentions),
            mentioned: ids(&message.mentions),
            relations: own_relations(candidate.relations),
            explicit_mention: candidate.explicit_mention,
            repost: candidate.is_repost,
            own_author: candidate.own_author,
            blocked: candidate.blocked,
            message_request: candidate.message_request,
            why: refusal.map(|refusal| refusal.why),
            filter: refusal.and_then(|refusal| Some(refusal.filter?.to_owned())),
        }
    }

    /// What is remembered of a message; `None` where that is too little.
    pub(crate) fn read(decided: &Decided, account: AccountId) -> Option<Self> {
        match (&decided.sighting, &decided.event) {
            (Some(kept), _) => serde_json::from_slice(kept).ok(),
            (None, Some(event)) => Published::read(event)?.sighting(account),
            (None, None) => None,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // Cannot fail: it has no maps, and what it holds writes itself.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The message, as far as filters and people who look at a list care.
    pub(crate) fn message(&self) -> Option<Message> {
        let id = match self.kind {
            Kind::Post => MessageId::Post(self.id.parse().ok()?),
            Kind::DirectMessage => MessageId::DirectMessage(self.id.parse().ok()?),
            Kind::Encrypted => MessageId::Encrypted(self.id.clone()),
        };
        let mentions = self.mentions.iter().map(|username| Mention {
            id: None,
            username: username.clone(),
            name: String::new(),
            explicit: true,
        });
        Some(Message {
            id,
            created_at: Timestamp::from_millisecond(self.created_at).ok()?,
            author: Person {
                username: self.author.username.clone(),
                followers_count: self.author.followers,
                verified: self.author.verified,
                created_at: match self.author.created_at {
                    Some(millis) => Timestamp::from_millisecond(millis).ok(),
                    None => None,
                },
                ..Person::unknown(self.author.id.parse().ok()?)
            },
            text: self.text.clone(),
            lang: String::new(),
            mentions: mentions.collect(),
            hashtags: self.hashtags.clone(),
            links: Vec::new(),
            attachments: Vec::new(),
            possibly_sensitive: false,
            source_app: String::new(),
        })
    }

    /// What [`decide`](crate::domain::filter::decide) is asked.
    pub(crate) fn candidate<'a>(
        &'a self,
        account: AccountId,
        message: &'a Message,
        followed: Option<&'a Route>,
        blocked: bool,
        at: Timestamp,
    ) -> Candidate<'a> {
        Candidate {
            account,
            message,
            relations: &self.relations,
            explicit_mention: self.explicit_mention,
            is_repost: self.repost,
            own_author: self.own_author,
            blocked: self.blocked || blocked,
            message_request: self.message_request,
            followed: followed.filter(|_| self.reply),
            now: at,
        }
    }
}

fn ids(mentions: &[Mention]) -> Vec<String> {
    let ids = mentions.iter().filter_map(|it| it.id);
    ids.map(|id| id.to_string()).collect()
}

fn usernames(mentions: &[Mention]) -> Vec<String> {
    let mentions = mentions.iter();
    mentions.map(|mention| mention.username.clone()).collect()
}

/// Without those that only filters and conversations make.
fn own_relations(relations: &[Relation]) -> Vec<Relation> {
    let made = [Relation::Keyword, Relation::Thread];
    let relations = relations.iter().copied();
    relations.filter(|it| !made.contains(it)).collect()
}

/// What is read of the body of a message's event.
#[derive(Debug, Deserialize)]
pub(crate) struct Published {
    pub event: EventHead,
    pub route: Option<PublishedRoute>,
    account: PublishedAccount,
    conversation: PublishedConversation,
    message: PublishedMessage,
}

#[derive(Debug, Deserialize)]
pub(crate) struct EventHead {
    #[serde(rename = "type")]
    pub event_type: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PublishedRoute {
    pub group: String,
    pub filter: String,
}

#[derive(Debug, Deserialize)]
struct PublishedAccount {
    username: String,
}

#[derive(Debug, Deserialize)]
struct PublishedConversation {
    id: String,
}

#[derive(Debug, Deserialize)]
struct PublishedMessage {
    id: String,
    kind: String,
    relations: Vec<String>,
    text: String,
    created_at: String,
    author: PublishedAuthor,
    #[serde(default)]
    in_reply_to: Option<serde::de::IgnoredAny>,
    mentions: Vec<PublishedMention>,
    hashtags: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct PublishedAuthor {
    id: String,
    username: String,
    followers_count: u32,
    verified: bool,
    created_at: String,
    own: bool,
}

#[derive(Debug, Deserialize)]
struct PublishedMention {
    id: String,
    username: String,
    explicit: bool,
}

impl Published {
    /// `None` for events of another kind.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// Wanted for its conversation only.
    pub(crate) fn followed(&self) -> bool {
        self.message.relations.iter().any(|it| it == "THREAD")
    }

    fn sighting(self, account: AccountId) -> Option<Sighting> {
        let message = self.message;
        let relations: Vec<Relation> = message
            .relations
            .iter()
            .filter_map(|it| relation(it))
            .collect();
        let (our_id, our_name) = (account.to_string(), &self.account.username);
        let names_us = |it: &PublishedMention| match it.id.as_str() {
            "" => it.username.eq_ignore_ascii_case(our_name),
            id => id == our_id,
        };
        let mut mentions = message.mentions.iter();
        let explicit_mention = mentions.any(|it| it.explicit && names_us(it));
        let mentioned = message.mentions.iter().filter(|it| !it.id.is_empty());
        let author = message.author;
        // The event has zeros for what X left out. A profile has the time it was made.
        let known = !author.created_at.is_empty();
        Some(Sighting {
            id: message.id,
            kind: match message.kind.as_str() {
                "POST" => Kind::Post,
                "DIRECT_MESSAGE" => Kind::DirectMessage,
                "ENCRYPTED_MESSAGE" => Kind::Encrypted,
                _ => return None,
            },
            created_at: message.created_at.parse().ok().map(millis)?,
            conversation: self.conversation.id,
            reply: message.in_reply_to.is_some(),
            text: message.text,
            hashtags: message.hashtags,
            mentioned: mentioned.map(|it| it.id.clone()).collect(),
            mentions: message.mentions.into_iter().map(|it| it.username).collect(),
            repost: relations.contains(&Relation::Repost),
            relations: own_relations(&relations),
            explicit_mention,
            own_author: author.own,
            blocked: false,
            message_request: None,
            author: Author {
                id: author.id,
                username: author.username,
                followers: known.then_some(author.followers_count),
                verified: known.then_some(author.verified),
                created_at: author.created_at.parse().ok().map(millis),
            },
            why: None,
            filter: None,
        })
    }
}

fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

fn relation(name: &str) -> Option<Relation> {
    serde_json::from_value(name.to_lowercase().into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::filter::Condition;

    fn account() -> AccountId {
        AccountId("2975699229".parse().unwrap())
    }

    fn decided(event: Option<&[u8]>, sighting: Option<Vec<u8>>) -> Decided {
        Decided {
            sequence: 1,
            at: Timestamp::UNIX_EPOCH,
            wanted: event.is_some(),
            event: event.map(<[u8]>::to_vec),
            sighting,
        }
    }

    #[test]
    fn what_filters_look_at_is_the_same_after_it_was_kept() {
        let mut message = Message::saying("@acme #help");
        message.hashtags = vec!["help".to_owned()];
        message.author.followers_count = Some(3);
        let candidate = Candidate {
            account: account(),
            message: &message,
            relations: &[Relation::Mention, Relation::Keyword],
            explicit_mention: true,
            is_repost: false,
            own_author: false,
            blocked: false,
            message_request: Some(true),
            followed: None,
            now: Timestamp::UNIX_EPOCH,
        };
        let refusal = Refusal {
            why: Why::Spam(Condition::MinFollowers),
            filter: Some("mentions"),
        };
        let thread = ConversationId::Thread("7".parse().unwrap());
        let sighting = Sighting::of(&candidate, &thread, true, Some(refusal));
        let kept = decided(None, Some(sighting.encode()));
        let read = Sighting::read(&kept, account()).unwrap();
        assert_eq!(read, sighting);
        let again = read.message().unwrap();
        assert_eq!(again, message);
        let read = read.candidate(account(), &again, None, false, candidate.now);
        assert_eq!(read.relations, [Relation::Mention]);
        assert_eq!(read.message_request, Some(true));
        assert!(read.explicit_mention && !read.blocked);
    }

    #[test]
    fn a_published_message_is_seen_by_its_event() {
        let sample =
            include_bytes!("../../proto/helpdesk/twitter/v1/samples/message.received.reply.json");
        let event = Published::read(sample).unwrap();
        assert_eq!(event.event.event_type, "message.received");
        let sighting = Sighting::read(&decided(Some(sample), None), account()).unwrap();
        assert!(sighting.reply && !sighting.own_author);
        let message = sighting.message().unwrap();
        assert!(!message.text.is_empty());
        assert!(message.author.followers_count.is_some());
        assert_eq!(sighting.why, None);
    }

    #[test]
    fn events_of_another_kind_are_no_messages() {
        assert!(Published::read(br#"{"event":{"type":"account.health"}}"#).is_none());
    }
}
