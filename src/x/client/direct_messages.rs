//! Legacy direct messages: sent, deleted, and read again.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::auth::Auth;
use super::call::Call;
use super::error::{CallError, NotSent};
use super::posts::{data, done, id, included, listed, no_result, not_sent, within};
use super::send::{Request, Sent};
use super::vocabulary::{Detail, Fields};
use super::{Client, Page, PageToken, Reply, Resources, timelines};
use crate::domain::account::{Account, App};
use crate::domain::activity::{DirectMessage, Rejected};
use crate::domain::ids::{ConversationId, DirectMessageId, MediaId, Pair, UserId};
use crate::x::normalize::answers;
use crate::x::normalize::reads::{Item, Mark, Means};
use crate::x::wire::answer::{self, Envelope};

/// Fewest and most results of a page.
const PAGE: (u32, u32) = (1, 100);

/// To whom a message goes.
#[derive(Clone, Copy, Debug)]
pub enum DirectMessageTarget<'a> {
    /// Opens the conversation if there is none yet.
    Person(UserId),
    /// A direct message conversation, of two or of a group; any other cannot be asked of X.
    Conversation(&'a ConversationId),
}

/// What a message says: text, a file, or both.
#[derive(Clone, Copy, Debug, Default)]
pub struct DirectMessageContent<'a> {
    /// May be empty where there is a file.
    pub text: &'a str,
    /// One at most, uploaded in a category for direct messages.
    pub media_id: Option<MediaId>,
}

impl DirectMessageContent<'_> {
    fn body(&self) -> Value {
        let mut body = Map::new();
        if !self.text.is_empty() {
            body.insert("text".to_owned(), self.text.into());
        }
        if let Some(media_id) = self.media_id {
            let attachments = json!([{"media_id": media_id}]);
            body.insert("attachments".to_owned(), attachments);
        }
        body.into()
    }
}

/// A message that X sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectMessageSent {
    pub id: DirectMessageId,
    /// `None` if X's answer does not name it readably.
    pub conversation: Option<ConversationId>,
}

/// Messages of an answer, the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DirectMessagesFound {
    pub messages: Vec<DirectMessage>,
    /// What in the answer was no readable message; such an answer proves no absence.
    pub unreadable: Vec<Rejected>,
    /// Whether X has more than it was asked for.
    pub has_more: bool,
}

impl Client {
    /// Sends a message. Any error but `Uncertain` and `Unavailable` means that there is none.
    pub async fn send_direct_message(
        &self,
        auth: Auth<'_>,
        target: DirectMessageTarget<'_>,
        content: &DirectMessageContent<'_>,
    ) -> Reply<DirectMessageSent> {
        let request = match target {
            DirectMessageTarget::Person(person) => Request::new(
                Call::SendDirectMessageToPerson,
                Method::POST,
                format!("2/dm_conversations/with/{person}/messages"),
            ),
            DirectMessageTarget::Conversation(conversation) => {
                let call = Call::SendDirectMessageToConversation;
                match name_at_x(conversation) {
                    Ok(name) => Request::new(
                        call,
                        Method::POST,
                        format!("2/dm_conversations/{name}/messages"),
                    ),
                    Err(error) => return not_sent(call, error),
                }
            }
        };
        let sent = self.send(auth, &request.json(content.body())).await;
        sent.read(|answer, envelope| {
            let sent: Option<answer::DirectMessageSent<'_>> = data(envelope);
            let sent = sent.unwrap_or_default();
            let id = id(sent.dm_event_id).ok_or_else(|| no_result(answer, envelope))?;
            let conversation = answers::conversation_id(&sent.dm_conversation_id);
            Ok((DirectMessageSent { id, conversation }, Resources::default()))
        })
    }

    /// Removes a message that we sent from our own view; the other side keeps it.
    pub async fn delete_direct_message(&self, auth: Auth<'_>, id: DirectMessageId) -> Reply<()> {
        let path = format!("2/dm_events/{id}");
        let request = Request::new(Call::DeleteDirectMessage, Method::DELETE, path);
        let sent = self.send(auth, &request).await;
        done(sent, |done| *done.deleted == Some(true))
    }

    /// The newest messages with a person, at most `max_results` of the last 30 days.
    pub async fn direct_messages_with(
        &self,
        auth: Auth<'_>,
        person: UserId,
        max_results: u32,
        detail: Detail,
    ) -> Reply<DirectMessagesFound> {
        let path = format!("2/dm_conversations/with/{person}/dm_events");
        let request = page(Call::DirectMessagesWithPerson, path, max_results, detail);
        let account = auth.account().map(|account| account.id.0);
        let asked_for = account.map(|own| ConversationId::DirectMessage(Pair::new(own, person)));
        let sent = self.send(auth, &request).await;
        self.messages(sent, asked_for.as_ref())
    }

    /// The newest messages of a conversation, at most `max_results` of the last 30 days.
    pub async fn direct_messages_of(
        &self,
        auth: Auth<'_>,
        conversation: &ConversationId,
        max_results: u32,
        detail: Detail,
    ) -> Reply<DirectMessagesFound> {
        let call = Call::DirectMessagesOfConversation;
        let name = match name_at_x(conversation) {
            Ok(name) => name,
            Err(error) => return not_sent(call, error),
        };
        let path = format!("2/dm_conversations/{name}/dm_events");
        let request = page(call, path, max_results, detail);
        let sent = self.send(auth, &request).await;
        self.messages(sent, Some(conversation))
    }

    /// The newest messages of all conversations, of the last 30 days, as deliveries to the account.
    /// X takes neither a time nor an id to begin or end with: go on until what is known comes.
    pub async fn direct_message_events(
        &self,
        app: &App,
        account: &Account,
        from: Option<&PageToken>,
        max_results: u32,
        detail: Detail,
    ) -> Reply<Page> {
        let path = "2/dm_events".to_owned();
        let request = page(Call::DirectMessageEvents, path, max_results, detail).page(from);
        let auth = Auth::Account { app, account };
        let sent = self.send(auth, &request).await;
        let mark = Mark {
            means: Means::Lookup,
            item: Item::DirectMessage,
            for_user_id: Some(account.id.0),
        };
        sent.read(|answer, envelope| {
            self.refuse_errors_alone(answer, envelope)?;
            Ok((timelines::page(mark, envelope), resources(envelope)))
        })
    }

    /// One message by its id; none in the answer if that is an event of another kind.
    pub async fn direct_message(
        &self,
        auth: Auth<'_>,
        id: DirectMessageId,
        detail: Detail,
    ) -> Reply<DirectMessagesFound> {
        let path = format!("2/dm_events/{id}");
        let request = Request::new(Call::DirectMessageLookup, Method::GET, path)
            .fields(Fields::DirectMessages(detail));
        let sent = self.send(auth, &request).await;
        self.messages(sent, None)
    }

    fn messages(
        &self,
        sent: Sent,
        asked_for: Option<&ConversationId>,
    ) -> Reply<DirectMessagesFound> {
        sent.read(|answer, envelope| {
            self.refuse_errors_alone(answer, envelope)?;
            let read = answers::direct_messages(envelope.data, envelope.includes, asked_for);
            let meta = envelope.meta.as_ref();
            let found = DirectMessagesFound {
                messages: read.items,
                unreadable: read.unreadable,
                has_more: meta.is_some_and(|meta| !meta.next_token.is_empty()),
            };
            Ok((found, resources(envelope)))
        })
    }
}

fn page(call: Call, path: String, max_results: u32, detail: Detail) -> Request {
    Request::new(call, Method::GET, path)
        .query("max_results", within(max_results, PAGE))
        .query("event_types", "MessageCreate")
        .fields(Fields::DirectMessages(detail))
}

/// What X calls a conversation in its paths.
fn name_at_x(conversation: &ConversationId) -> Result<String, CallError> {
    match conversation {
        ConversationId::DirectMessage(pair) => Ok(pair.to_string()),
        ConversationId::DirectMessageGroup(id) if id.bytes().all(|it| it.is_ascii_digit()) => {
            Ok(id.clone())
        }
        other => {
            let why = format!("{other} is no conversation of direct messages");
            Err(NotSent::Unaskable(why).into())
        }
    }
}

fn resources(envelope: &Envelope<'_>) -> Resources {
    let (posts, users) = included(envelope);
    Resources {
        posts,
        users,
        direct_messages: listed(envelope.data),
    }
}
