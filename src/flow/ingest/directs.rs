//! Direct and encrypted messages, and what is around them: read, typing.

use jiff::Timestamp;

use super::echo::Made;
use super::work::{Outcome, Unwanted, Work};
use crate::domain::account::Account;
use crate::domain::activity::DirectMessage;
use crate::domain::event::{Customer, Described, Incoming, Outgoing, Payload, message_event_id};
use crate::domain::filter::{Candidate, Decision, Relation, Route, decide};
use crate::domain::ids::{ConversationId, DirectMessageId, MessageId, UserId};
use crate::domain::reply;
use crate::flow::reconcile::{Found, Target};
use crate::flow::sighting::Sighting;
use crate::store::StoreError;

impl Work<'_, '_> {
    /// A direct or encrypted message in either direction.
    pub(super) fn direct(
        &mut self,
        account: &Account,
        direct: &DirectMessage,
    ) -> Result<Outcome, StoreError> {
        let author = direct.message.author.id;
        if author == account.id.0 {
            return self.sent_direct(account, direct);
        }
        let candidate = Candidate {
            account: account.id,
            message: &direct.message,
            relations: &[Relation::Direct],
            explicit_mention: false,
            is_repost: false,
            own_author: self.context.registry().is_ours(author),
            blocked: account.blocked.contains(&author),
            message_request: direct.message_request,
            followed: None,
            now: self.at,
        };
        match decide(self.context.registry().filters(account.id), &candidate) {
            Decision::Wanted {
                route, relations, ..
            } => {
                let customer = Customer {
                    id: author,
                    username: direct.message.author.username.clone(),
                };
                let conversation =
                    self.conversation(account.id, direct.conversation.clone(), Some(customer))?;
                let payload = Payload::MessageReceived(Box::new(Incoming {
                    route: route.clone(),
                    conversation,
                    context: Vec::new(),
                    reply: reply::to_direct(&direct.message, &self.context.prices().calls)
                        .unless(self.context.rules().silenced(account)),
                    delivery: self.delivery(account, &direct.message),
                    message: self.describe_direct(account, direct, relations),
                }));
                // The event does not show that it was asked for.
                let requested = direct.message_request == Some(true);
                let beside =
                    requested.then(|| Sighting::of(&candidate, &direct.conversation, false, None));
                let route = route.clone();
                self.publish_direct(account, direct, payload, Some(route), beside)
            }
            Decision::Unwanted(refusal) => {
                let id = message_event_id(account.id, "message.received", &direct.message.id);
                let unwanted = Unwanted {
                    why: refusal.why,
                    sighting: Sighting::of(&candidate, &direct.conversation, false, Some(refusal)),
                };
                self.unwanted(account, &direct.message, id, &unwanted)
            }
        }
    }

    fn sent_direct(
        &mut self,
        account: &Account,
        direct: &DirectMessage,
    ) -> Result<Outcome, StoreError> {
        let command = match self.maker_of_direct(account, direct)? {
            Made::By(command) => Some(command),
            Made::Elsewhere => None,
            Made::Unclear => return self.wait(account),
        };
        let customer = direct
            .recipient_id
            .or_else(|| other_side(account, &direct.conversation));
        let shown = customer.map(|id| Customer {
            id,
            username: String::new(),
        });
        let payload = Payload::MessageSent(Box::new(Outgoing {
            conversation: self.conversation(account.id, direct.conversation.clone(), shown)?,
            delivery: self.delivery(account, &direct.message),
            message: self.describe_direct(account, direct, vec![Relation::Direct]),
            command,
        }));
        self.publish_direct(account, direct, payload, None, None)
    }

    fn maker_of_direct(
        &mut self,
        account: &Account,
        direct: &DirectMessage,
    ) -> Result<Made, StoreError> {
        let MessageId::DirectMessage(id) = direct.message.id else {
            return Ok(Made::Elsewhere);
        };
        let event = message_event_id(account.id, "message.sent", &direct.message.id);
        if self.tx.seen(event)?.is_some() {
            return Ok(Made::Elsewhere);
        }
        let found = Found {
            message: &direct.message,
            target: Target::Conversation(&direct.conversation),
        };
        self.maker(account, id.into(), &found)
    }

    fn publish_direct(
        &mut self,
        account: &Account,
        direct: &DirectMessage,
        payload: Payload,
        route: Option<Route>,
        beside: Option<Sighting>,
    ) -> Result<Outcome, StoreError> {
        let at = direct.message.created_at;
        let Some(appended) = self.append_unless_seen(account, at, payload)? else {
            return Ok(Outcome::Duplicate);
        };
        self.bill(account, &direct.message)?;
        if let Some(sighting) = beside {
            self.keep_sighting_beside(account.id, &appended, &sighting)?;
        }
        let id = &direct.conversation;
        let stored = self.tx.conversation(account.id, id)?;
        self.note_published(account.id, (id, stored), route, &appended)?;
        Ok(Outcome::Published)
    }

    fn describe_direct(
        &self,
        account: &Account,
        direct: &DirectMessage,
        relations: Vec<Relation>,
    ) -> Described {
        let mut message = direct.message.clone();
        let guarded = message.attachments.iter_mut();
        for attachment in guarded.filter(|attachment| attachment.requires_auth) {
            let urls = [&mut attachment.url, &mut attachment.preview_url];
            for url in urls.into_iter().filter(|url| !url.is_empty()) {
                *url = self.context.media().link(account.id, url);
            }
        }
        Described {
            original_id: message.id.clone(),
            relations,
            own: self.context.registry().is_ours(message.author.id),
            in_reply_to: None,
            quoted: None,
            quoted_own: false,
            edit_history: Vec::new(),
            message,
        }
    }

    /// Somebody has read a conversation up to a message.
    pub(super) fn read(
        &mut self,
        account: &Account,
        conversation: &ConversationId,
        reader_id: UserId,
        last_read: DirectMessageId,
        at: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let customer = customer_of(account, conversation, reader_id);
        let payload = Payload::ConversationRead {
            conversation: self.conversation(account.id, conversation.clone(), customer)?,
            reader_id,
            last_read,
            at,
        };
        self.append_new(account, at, payload)
    }

    /// Somebody is typing: told at once or not at all, so it is not journaled.
    pub(super) fn typing(
        &mut self,
        account: &Account,
        conversation: &ConversationId,
        author_id: UserId,
        at: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let customer = customer_of(account, conversation, author_id);
        let payload = Payload::ConversationTyping {
            conversation: self.conversation(account.id, conversation.clone(), customer)?,
            author_id,
            at,
        };
        let event = self.event(account, at, payload)?;
        self.report.typing.push(event);
        Ok(Outcome::Published)
    }
}

fn other_side(account: &Account, conversation: &ConversationId) -> Option<UserId> {
    match conversation {
        ConversationId::DirectMessage(pair) | ConversationId::Encrypted(pair) => {
            pair.other(account.id.0)
        }
        _ => None,
    }
}

fn customer_of(
    account: &Account,
    conversation: &ConversationId,
    actor: UserId,
) -> Option<Customer> {
    let id = if actor == account.id.0 {
        other_side(account, conversation)?
    } else {
        actor
    };
    Some(Customer {
        id,
        username: String::new(),
    })
}
