//! What the work on a delivery is going to ask the store for, as far as the delivery tells.

use super::threads::nodes;
use super::work::accounts_for;
use crate::domain::account::Account;
use crate::domain::activity::{ActivityEvent, Normalized};
use crate::domain::event::message_event_id;
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::message::Post;
use crate::domain::registry::Registry;
use crate::store::Foresight;

/// Posts are what comes in crowds; all else is asked for when it is needed.
pub(super) fn foresee(registry: &Registry, app: &str, delivery: &Normalized) -> Foresight {
    let mut foresight = Foresight::default();
    for activity in &delivery.activities {
        if let ActivityEvent::Post(post) = &activity.event {
            let accounts = accounts_for(registry, app, &activity.recipient);
            let accounts = accounts.into_iter();
            accounts.for_each(|account| add(&mut foresight, account, post));
        }
    }
    foresight
}

fn add(foresight: &mut Foresight, account: &Account, post: &Post) {
    let (author, original) = (post.message.author.id, post.original_id());
    let own = author == account.id.0;
    let told = if own {
        "message.sent"
    } else {
        "message.received"
    };
    let object = MessageId::Post(original);
    let events = [told, "message.deleted"];
    let events = events.map(|event_type| message_event_id(account.id, event_type, &object));
    foresight.events.extend(events);
    foresight
        .posts
        .extend(nodes(post).map(|id| (account.id, id)));
    let parent = post.replied_to.as_ref().map(|parent| parent.id);
    let thread = ConversationId::Thread(post.root.or(parent).unwrap_or(original));
    foresight.conversations.push((account.id, thread));
    if !own {
        foresight.customers.push((account.id, author));
    }
}
