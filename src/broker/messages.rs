//! Events of the domain as the contract writes them: ProtoJSON of `proto/helpdesk/twitter/v1`.

use std::cell::RefCell;

use bytes::Bytes;
use jiff::Timestamp;

use super::{outcomes, proto};
use crate::domain::activity::Via;
use crate::domain::event::{
    AccountRef, Conversation, Customer, Deleted, Delivery, Described, DetectedBy, Edited, Event,
    Fault, GoneBecause, Health, HealthState, Incoming, Outgoing, Payload, Permission, ReplyAdvice,
    Storm,
};
use crate::domain::filter::{Relation, Route};
use crate::domain::ids::{ConversationId, EventId, MessageId, UserId};
use crate::domain::message::{
    Attachment, AttachmentKind, Link, Mention, MessageKind, Person, Quoted,
};
use crate::domain::text::{summary, written};

/// Largest body the contract allows, bytes.
const MAX_BODY: usize = 256 * 1024;
/// Room kept for the next body, bytes: usual ones take a thirtieth of it, grown from nothing each
/// would be copied five times.
const KEPT_ROOM: usize = 64 * 1024;
/// What a text that would exceed it is cut to, bytes: JSON may write one as six.
const CUT_TEXT: usize = 24 * 1024;

/// The body of `event` at its place in the journal.
pub fn encode(id: EventId, event: Event, sequence: u64) -> Bytes {
    let body = write(id, &event, sequence);
    if body.len() <= MAX_BODY {
        return body;
    }
    // The context goes first.
    let event = without_context(event);
    let body = write(id, &event, sequence);
    if body.len() <= MAX_BODY {
        return body;
    }
    write(id, &shorten(event), sequence)
}

fn without_context(mut event: Event) -> Event {
    if let Payload::MessageReceived(incoming) = &mut event.payload {
        incoming.context.clear();
    }
    event
}

/// The body of an event that is larger than the contract allows: texts are what makes it so.
fn shorten(mut event: Event) -> Event {
    let message = match &mut event.payload {
        Payload::MessageReceived(incoming) => Some(&mut incoming.message),
        Payload::MessageSent(outgoing) => Some(&mut outgoing.message),
        Payload::MessageEdited(edited) => {
            cut(&mut edited.previous_text);
            Some(&mut edited.message)
        }
        _ => None,
    };
    if let Some(described) = message {
        let message = &mut described.message;
        cut(&mut message.text);
        if let Some(quoted) = &mut described.quoted {
            quoted.text.clear();
        }
        message.mentions.truncate(100);
        message.hashtags.truncate(100);
        message.links.truncate(50);
    }
    event
}

fn cut(text: &mut String) {
    if text.len() > CUT_TEXT {
        text.truncate(text.floor_char_boundary(CUT_TEXT));
        text.push('…');
    }
}

fn write(id: EventId, event: &Event, sequence: u64) -> Bytes {
    let head = Some(proto::Event {
        id: written(32, id),
        r#type: event.payload.event_type().to_owned(),
        time: time(event.time),
        sequence,
        backfilled: event.backfilled,
        test: matches!(event.payload, Payload::TestMessage(_)),
    });
    let account = Some(account(&event.account));
    match &event.payload {
        Payload::MessageReceived(incoming) | Payload::TestMessage(incoming) => {
            json(&received(head, account, incoming))
        }
        Payload::MessageSent(outgoing) => json(&sent(head, account, outgoing)),
        Payload::MessageEdited(it) => json(&edited(head, account, it)),
        Payload::MessageDeleted(it) => json(&deleted(head, account, it)),
        Payload::ConversationRead {
            conversation: of,
            reader_id,
            last_read,
            at,
        } => json(&proto::ConversationRead {
            event: head,
            account,
            conversation: Some(conversation(of)),
            reader: person_ref(*reader_id),
            last_read_message_id: last_read.to_string(),
            read_at: time(*at),
        }),
        Payload::ConversationTyping {
            conversation: of,
            author_id,
            at,
        } => json(&proto::ConversationTyping {
            event: head,
            account,
            conversation: Some(conversation(of)),
            author: person_ref(*author_id),
            at: time(*at),
        }),
        Payload::ConversationMerged { survivor, merged } => json(&proto::ConversationMerged {
            event: head,
            account,
            conversation: Some(conversation(survivor)),
            merged: vec![merged.to_string()],
        }),
        Payload::AccountLinked {
            app,
            scopes,
            reason,
            at,
            held_commands,
        } => json(&proto::AccountLinked {
            event: head,
            account,
            app: app.clone(),
            scopes: scopes.clone(),
            reason: reason.clone(),
            at: time(*at),
            held_commands: u32::try_from(*held_commands).unwrap_or(u32::MAX),
        }),
        Payload::ConversationStorm(it) => json(&storm(head, account, it)),
        Payload::AccountRevoked {
            app,
            reason,
            at,
            held_commands,
        } => json(&proto::AccountRevoked {
            event: head,
            account,
            app: app.clone(),
            scopes: Vec::new(),
            reason: reason.clone(),
            at: time(*at),
            held_commands: u32::try_from(*held_commands).unwrap_or(u32::MAX),
        }),
        Payload::AccountHealth(it) => json(&health(head, account, it)),
        Payload::CommandSucceeded(it) => json(&outcomes::succeeded(head, account, it)),
        Payload::CommandFailed(it) => json(&outcomes::failed(head, account, it)),
        Payload::CommandDeferred(it) => json(&outcomes::deferred(head, account, it)),
    }
}

/// As long as its content: bodies wait in memory for the broker.
pub(super) fn json(message: &impl serde::Serialize) -> Bytes {
    thread_local! {
        static ROOM: RefCell<Vec<u8>> = RefCell::default();
    }
    ROOM.with_borrow_mut(|room| {
        room.clear();
        // Writing generated messages into memory cannot fail: their map keys are strings.
        let _ = serde_json::to_writer(&mut *room, message);
        let body = Bytes::copy_from_slice(room);
        room.shrink_to(KEPT_ROOM);
        body
    })
}

fn received(
    event: Option<proto::Event>,
    account: Option<proto::Account>,
    incoming: &Incoming,
) -> proto::MessageReceived {
    let account_id = account.as_ref().map(|account| account.id.clone());
    proto::MessageReceived {
        event,
        route: Some(route(&incoming.route)),
        conversation: Some(conversation(&incoming.conversation)),
        message: Some(described(&incoming.message, &incoming.conversation.id)),
        context: incoming
            .context
            .iter()
            .map(|above| described(above, &incoming.conversation.id))
            .collect(),
        reply: Some(reply(
            &incoming.reply,
            account_id.unwrap_or_default(),
            &incoming.conversation,
            &incoming.message,
        )),
        delivery: Some(delivery(&incoming.delivery)),
        account,
    }
}

fn sent(
    event: Option<proto::Event>,
    account: Option<proto::Account>,
    outgoing: &Outgoing,
) -> proto::MessageSent {
    let command = outgoing.command.as_ref();
    let metadata = command.map(|command| command.metadata.clone());
    proto::MessageSent {
        event,
        account,
        conversation: Some(conversation(&outgoing.conversation)),
        message: Some(described(&outgoing.message, &outgoing.conversation.id)),
        context: Vec::new(),
        delivery: Some(delivery(&outgoing.delivery)),
        command_id: command
            .map(|command| command.id.to_string())
            .unwrap_or_default(),
        metadata: metadata.into_iter().flatten().collect(),
        agent: command
            .and_then(|command| command.agent.as_ref())
            .map(outcomes::agent),
    }
}

fn edited(
    event: Option<proto::Event>,
    account: Option<proto::Account>,
    edited: &Edited,
) -> proto::MessageEdited {
    let account_id = account.as_ref().map(|account| account.id.clone());
    let incoming = edited.incoming.as_ref();
    proto::MessageEdited {
        event,
        route: incoming.map(|(to, _)| route(to)),
        conversation: Some(conversation(&edited.conversation)),
        message: Some(described(&edited.message, &edited.conversation.id)),
        context: Vec::new(),
        reply: incoming.map(|(_, advice)| {
            reply(
                advice,
                account_id.unwrap_or_default(),
                &edited.conversation,
                &edited.message,
            )
        }),
        delivery: Some(delivery(&edited.delivery)),
        previous: Some(proto::message_edited::PreviousVersion {
            message_id: edited.previous_id.to_string(),
            text: edited.previous_text.clone(),
        }),
        account,
    }
}

fn deleted(
    event: Option<proto::Event>,
    account: Option<proto::Account>,
    deleted: &Deleted,
) -> proto::MessageDeleted {
    proto::MessageDeleted {
        event,
        account,
        conversation: Some(conversation(&deleted.conversation)),
        message: Some(proto::message_deleted::DeletedMessage {
            id: deleted.id.to_string(),
            original_id: deleted.original_id.to_string(),
            kind: kind(deleted.original_id.kind()).into(),
            author: deleted.author_id.and_then(person_ref),
        }),
        reason: reason(deleted.reason).into(),
        detected_by: detected_by(deleted.detected_by).into(),
        redact_by: time(deleted.redact_by),
    }
}

fn reason(because: GoneBecause) -> proto::message_deleted::Reason {
    use proto::message_deleted::Reason;
    match because {
        GoneBecause::Deleted => Reason::Deleted,
        GoneBecause::Protected => Reason::Protected,
        GoneBecause::Suspended => Reason::Suspended,
        GoneBecause::Erased => Reason::Erased,
    }
}

fn detected_by(by: DetectedBy) -> proto::message_deleted::DetectedBy {
    use proto::message_deleted::DetectedBy as Written;
    match by {
        DetectedBy::Webhook => Written::Webhook,
        DetectedBy::Compliance => Written::Compliance,
        DetectedBy::Lookup => Written::Lookup,
        DetectedBy::Send => Written::Send,
        DetectedBy::Request => Written::Request,
    }
}

fn storm(
    event: Option<proto::Event>,
    account: Option<proto::Account>,
    storm: &Storm,
) -> proto::ConversationStorm {
    proto::ConversationStorm {
        event,
        account,
        conversation: Some(conversation(&storm.conversation)),
        messages: storm.drawn.messages,
        held: u32::try_from(storm.held).unwrap_or(u32::MAX),
        cost_usd: storm.drawn.cost.to_string(),
        since: time(storm.drawn.since),
    }
}

fn health(
    event: Option<proto::Event>,
    account: Option<proto::Account>,
    health: &Health,
) -> proto::AccountHealth {
    let state = match health.state {
        HealthState::Ok => proto::account_health::State::Ok,
        HealthState::Degraded => proto::account_health::State::Degraded,
        HealthState::Down => proto::account_health::State::Down,
    };
    proto::AccountHealth {
        event,
        account,
        state: state.into(),
        can_receive: health.can_receive,
        can_send: health.can_send,
        complete_until: health.complete_until.map(time).unwrap_or_default(),
        snapshot: health.snapshot,
        faults: health.faults.iter().map(fault).collect(),
    }
}

fn fault(fault: &Fault) -> proto::account_health::Fault {
    proto::account_health::Fault {
        code: fault.code.to_owned(),
        since: time(fault.since),
        sentence: fault.sentence.clone(),
        fix: fault.fix.clone(),
        fix_url: fault.fix_url.clone(),
    }
}

/// RFC 3339, UTC, milliseconds.
pub(super) fn time(at: Timestamp) -> String {
    written(24, format_args!("{at:.3}"))
}

fn account(account: &AccountRef) -> proto::Account {
    proto::Account {
        id: account.id.map(|id| id.to_string()).unwrap_or_default(),
        username: account.username.clone(),
    }
}

fn person_ref(id: UserId) -> Option<proto::PersonRef> {
    Some(proto::PersonRef { id: id.to_string() })
}

fn route(route: &Route) -> proto::Route {
    proto::Route {
        group: route.group.clone(),
        filter: route.filter.clone(),
        tags: route.tags.clone(),
    }
}

pub(super) fn conversation(conversation: &Conversation) -> proto::Conversation {
    use proto::conversation::Kind;
    let kind = match conversation.id {
        ConversationId::Thread(_) => Kind::PostThread,
        ConversationId::DirectMessage(_) | ConversationId::DirectMessageGroup(_) => {
            Kind::DirectMessage
        }
        ConversationId::Encrypted(_) | ConversationId::EncryptedGroup(_) => Kind::EncryptedMessage,
    };
    proto::Conversation {
        id: conversation.id.name(),
        kind: kind.into(),
        case_id: conversation.case_id(),
        customer: conversation.customer.as_ref().map(customer),
        related: conversation
            .related
            .iter()
            .map(ConversationId::name)
            .collect(),
    }
}

fn customer(customer: &Customer) -> proto::Customer {
    proto::Customer {
        id: customer.id.to_string(),
        username: customer.username.clone(),
    }
}

fn described(described: &Described, conversation: &ConversationId) -> proto::Message {
    let message = &described.message;
    proto::Message {
        id: message.id.to_string(),
        original_id: described.original_id.to_string(),
        kind: kind(message.kind()).into(),
        relation: described
            .relations
            .first()
            .map_or(0, |it| relation(*it).into()),
        relations: described
            .relations
            .iter()
            .map(|it| relation(*it).into())
            .collect(),
        url: url(&message.id, conversation),
        summary: summary(message),
        text: message.text.clone(),
        lang: message.lang.clone(),
        created_at: time(message.created_at),
        author: Some(author(&message.author, described.own)),
        in_reply_to: described
            .in_reply_to
            .as_ref()
            .map(|parent| proto::MessageRef {
                message_id: parent.id.to_string(),
                author_id: optional(parent.author_id),
            }),
        quoted: described
            .quoted
            .as_ref()
            .map(|it| quoted(it, described.quoted_own)),
        mentions: message.mentions.iter().map(mention).collect(),
        hashtags: message.hashtags.clone(),
        urls: message.links.iter().map(link).collect(),
        attachments: message.attachments.iter().map(attachment).collect(),
        possibly_sensitive: message.possibly_sensitive,
        source_app: message.source_app.clone(),
        edit_history: described
            .edit_history
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

fn optional(id: Option<UserId>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

/// Links by id only: a handle may change.
fn url(id: &MessageId, conversation: &ConversationId) -> String {
    match id {
        MessageId::Post(id) => written(48, format_args!("https://x.com/i/status/{id}")),
        MessageId::DirectMessage(_) | MessageId::Encrypted(_) => conversation_url(conversation),
    }
}

pub(super) fn conversation_url(conversation: &ConversationId) -> String {
    let name = conversation.to_string();
    let name = name.split_once(':').map_or("", |(_, name)| name);
    format!("https://x.com/messages/{name}")
}

fn kind(kind: MessageKind) -> proto::message::Kind {
    match kind {
        MessageKind::Post => proto::message::Kind::Post,
        MessageKind::DirectMessage => proto::message::Kind::DirectMessage,
        MessageKind::EncryptedMessage => proto::message::Kind::EncryptedMessage,
    }
}

fn relation(relation: Relation) -> proto::message::Relation {
    use proto::message::Relation as Wire;
    match relation {
        Relation::Repost => Wire::Repost,
        Relation::Reply => Wire::Reply,
        Relation::Quote => Wire::Quote,
        Relation::Mention => Wire::Mention,
        Relation::Keyword => Wire::Keyword,
        Relation::Thread => Wire::Thread,
        Relation::Direct => Wire::Direct,
    }
}

fn author(person: &Person, own: bool) -> proto::Author {
    proto::Author {
        id: person.id.to_string(),
        username: person.username.clone(),
        name: person.name.clone(),
        avatar_url: person.avatar_url.clone(),
        location: person.location.clone(),
        description: person.description.clone(),
        url: person.url.clone(),
        followers_count: person.followers_count.unwrap_or(0),
        verified: person.verified.unwrap_or(false),
        protected: person.protected,
        created_at: person.created_at.map(time).unwrap_or_default(),
        own,
    }
}

fn quoted(quoted: &Quoted, own: bool) -> proto::Quoted {
    let known = quoted.author.as_ref().map(|person| author(person, own));
    proto::Quoted {
        message_id: quoted.reference.id.to_string(),
        text: quoted.text.clone(),
        author: known.or_else(|| {
            let id = quoted.reference.author_id?;
            Some(author(&Person::unknown(id), own))
        }),
    }
}

fn mention(mention: &Mention) -> proto::Mention {
    proto::Mention {
        id: optional(mention.id),
        username: mention.username.clone(),
        name: mention.name.clone(),
        explicit: mention.explicit,
    }
}

fn link(link: &Link) -> proto::Url {
    proto::Url {
        url: link.url.clone(),
        expanded_url: link.expanded_url.clone(),
        display_url: link.display_url.clone(),
    }
}

fn attachment(attachment: &Attachment) -> proto::Attachment {
    use proto::attachment::Kind;
    let kind = match attachment.kind {
        AttachmentKind::Photo => Kind::Photo,
        AttachmentKind::Video => Kind::Video,
        AttachmentKind::AnimatedGif => Kind::AnimatedGif,
    };
    proto::Attachment {
        id: attachment.id.clone(),
        kind: kind.into(),
        url: attachment.url.clone(),
        preview_url: attachment.preview_url.clone(),
        content_type: attachment.content_type.clone(),
        filename: attachment.filename.clone(),
        width: attachment.width,
        height: attachment.height,
        size_bytes: attachment.size_bytes,
        duration_ms: attachment.duration_ms,
        alt_text: attachment.alt_text.clone(),
        requires_auth: attachment.requires_auth,
    }
}

fn delivery(delivery: &Delivery) -> proto::Delivery {
    use proto::delivery::Via as Wire;
    let via = match delivery.via {
        Via::AccountActivity => Wire::AccountActivity,
        Via::Activity => Wire::Activity,
        Via::FilteredStream => Wire::FilteredStream,
        Via::Search => Wire::Search,
        Via::Lookup => Wire::Lookup,
    };
    proto::Delivery {
        via: via.into(),
        received_at: time(delivery.received_at),
        cost_usd: delivery.cost.to_string(),
    }
}

fn reply(
    advice: &ReplyAdvice,
    account_id: String,
    conversation: &Conversation,
    described: &Described,
) -> proto::Reply {
    use proto::reply::Permission as Wire;
    let (permission, reason) = match advice.permission {
        Permission::Allowed => (Wire::Allowed, None),
        Permission::Refused(because) => (Wire::Refused, Some(because)),
        Permission::Unknown(because) => (Wire::Unknown, because),
    };
    proto::Reply {
        permission: permission.into(),
        reason: reason
            .map(|because| because.name().to_owned())
            .unwrap_or_default(),
        max_length: advice.max_length,
        estimated_cost_usd: advice.estimated_cost.to_string(),
        estimated_cost_with_link_usd: advice.estimated_cost_with_link.to_string(),
        command: answer(account_id, conversation, described),
    }
}

/// The command that answers a message: copy it, add id and text, send. None for what cannot be
/// answered from here.
fn answer(
    account_id: String,
    conversation: &Conversation,
    described: &Described,
) -> Option<proto::Command> {
    use proto::command::Action as Kind;
    let command = match &described.message.id {
        MessageId::Post(id) => Kind::SendPost(proto::SendPost {
            in_reply_to: id.to_string(),
            ..Default::default()
        }),
        MessageId::DirectMessage(_) => Kind::SendDirectMessage(proto::SendDirectMessage {
            conversation_id: conversation.id.to_string(),
            ..Default::default()
        }),
        MessageId::Encrypted(_) => return None,
    };
    Some(proto::Command {
        account_id,
        action: Some(command),
        ..Default::default()
    })
}
