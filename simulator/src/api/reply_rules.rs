//! Who may reply to what.

use super::answer::Answer;
use super::problem;
use super::serve::Call;
use super::settings::Tier;
use crate::model::{Post, PostId, ReplySettings, User, UserId, World};
use crate::text::{self, QuoteLink};

const NOT_ENGAGED: &str = "Reply to this conversation is not allowed because you have not been mentioned or otherwise engaged by the author of the post you are replying to.";
const RESTRICTED: &str = "The original Tweet author restricted who can reply to this Tweet.";
const GONE: &str = "You attempted to reply to a Tweet that is deleted or not visible to you.";
const PROTECTED: &str = "Sorry, you are not authorized to see this status.";
const BLOCKED: &str = "You have been blocked from the author of this Tweet.";

/// Whether `author` may reply to `parent`; true when it is a summoned reply.
pub(super) fn check(call: &Call<'_>, author: &User, parent: PostId) -> Result<bool, Box<Answer>> {
    let (world, settings) = (&*call.world, &call.state.settings);
    let refuse = |detail: &str| Err(problem::forbidden(detail));
    let Ok(parent) = world.visible_post(parent) else {
        return refuse(GONE);
    };
    let Ok(to) = world.user(parent.author) else {
        return refuse(GONE);
    };
    let own = to.id == author.id;
    if to.standing.is_closed() {
        return refuse(GONE);
    }
    if to.protected && !own && !world.follows(author.id, to.id) {
        return refuse(PROTECTED);
    }
    if world.blocks(to.id, author.id) {
        return refuse(BLOCKED);
    }
    let summoned = summons(world, parent, author.id, settings.inherited_mentions_summon);
    if settings.tier == Tier::SelfServe {
        let allowed = summoned || (own && settings.replies_to_own_posts);
        if !allowed {
            return refuse(NOT_ENGAGED);
        }
    }
    if !own && !settings_allow(world, parent, author) {
        return refuse(RESTRICTED);
    }
    Ok(summoned && !own)
}

/// The author of the parent names the account in it, or quotes one of its posts in it.
fn summons(world: &World, parent: &Post, account: UserId, inherited_counts: bool) -> bool {
    let quoted = parent.quote.and_then(|id| world.any_post(id));
    if quoted.is_some_and(|quoted| quoted.author == account) {
        return true;
    }
    let text = text::compose(world, parent, QuoteLink::Omitted);
    if inherited_counts {
        text.mentions().any(|user| user == account)
    } else {
        text.mentions_explicitly(account)
    }
}

/// The first post of a thread says who may reply in it; whom it names always may.
fn settings_allow(world: &World, parent: &Post, account: &User) -> bool {
    let first = world.any_post(parent.conversation).unwrap_or(parent);
    let mentions = |post: &Post| {
        let text = text::compose(world, post, QuoteLink::Omitted);
        text.mentions().any(|user| user == account.id)
    };
    match first.reply_settings {
        ReplySettings::Everyone => true,
        _ if first.author == account.id || mentions(first) => true,
        ReplySettings::Following => world.follows(first.author, account.id),
        ReplySettings::Verified => account.verified,
        ReplySettings::MentionedUsers | ReplySettings::Subscribers => false,
    }
}
