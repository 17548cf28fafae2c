//! Who may reply to what.

use serde_json::json;
use simulator::{NewPost, PostId, ReplySettings, Tier};

use super::client::Caller;

const NOT_ENGAGED: &str = "Reply to this conversation is not allowed because you have not been mentioned or otherwise engaged by the author of the post you are replying to.";

async fn refused(caller: &Caller, parent: PostId, detail: &str) {
    let answer = caller.reply(parent, &format!("about {parent}")).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.detail().contains(detail), "{}", answer.detail());
}

async fn allowed(caller: &Caller, parent: PostId, text: &str) -> PostId {
    let answer = caller.reply(parent, text).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.id()
}

#[actix_web::test]
async fn only_who_is_named_or_quoted_may_reply() {
    let caller = Caller::new().await;
    let (ann, stage) = (caller.stage.ann, &caller.stage);
    let named = stage.post(ann, "@acme my printer burns");
    let reply = allowed(&caller, named, "Oh no").await;
    let seen = &caller.simulator().posts_by(caller.acme())[0];
    assert_eq!((seen.parent, seen.conversation), (Some(named), named));
    refused(&caller, stage.post(ann, "nobody helps"), NOT_ENGAGED).await;
    let quoting = NewPost::by(ann, "look at that").quoting(reply);
    let quoting = caller.simulator().post(quoting).unwrap();
    allowed(&caller, quoting, "We did").await;
    caller
        .simulator()
        .change_api(|settings| settings.tier = Tier::Enterprise);
    allowed(&caller, stage.post(ann, "still nobody"), "We do").await;
}

#[actix_web::test]
async fn whether_an_inherited_name_summons_is_a_setting() {
    let caller = Caller::new().await;
    let stage = &caller.stage;
    let named = stage.post(stage.ann, "@acme my printer burns");
    let answer = allowed(&caller, named, "Which one?").await;
    let inherited = stage.reply(stage.ann, answer, "the big one");
    let typed = stage.reply(stage.ann, answer, "hello @acme ?");
    allowed(&caller, inherited, "We see").await;
    caller
        .simulator()
        .change_api(|settings| settings.inherited_mentions_summon = false);
    refused(&caller, inherited, NOT_ENGAGED).await;
    allowed(&caller, typed, "Yes?").await;
}

#[actix_web::test]
async fn whether_own_posts_may_be_answered_is_a_setting() {
    let caller = Caller::new().await;
    let first = caller.tweet("1/2").await.id();
    let second = allowed(&caller, first, "2/2").await;
    let posts = caller.simulator().posts_by(caller.acme());
    assert_eq!(posts[1].id, second);
    caller
        .simulator()
        .change_api(|settings| settings.replies_to_own_posts = false);
    refused(&caller, second, NOT_ENGAGED).await;
}

#[actix_web::test]
async fn what_is_gone_protected_or_blocked_cannot_be_answered() {
    let caller = Caller::new().await;
    let (ann, stage, simulator) = (caller.stage.ann, &caller.stage, caller.simulator());
    let post = stage.post(ann, "@acme hi");
    let gone = stage.post(ann, "@acme hi again");
    simulator.delete(gone).unwrap();
    refused(&caller, gone, "deleted or not visible to you").await;
    refused(&caller, PostId(17), "deleted or not visible to you").await;
    simulator.block(ann, stage.acme).unwrap();
    refused(&caller, post, "blocked").await;
    simulator.unblock(ann, stage.acme).unwrap();
    simulator.set_protected(ann, true).unwrap();
    refused(&caller, post, "not authorized to see this status").await;
    simulator.follow(stage.acme, ann).unwrap();
    allowed(&caller, post, "Hello friend").await;
    simulator
        .change_standing(ann, |standing| standing.suspended = true)
        .unwrap();
    refused(&caller, post, "deleted or not visible to you").await;
}

#[actix_web::test]
async fn an_author_can_restrict_who_replies() {
    let caller = Caller::new().await;
    caller
        .simulator()
        .change_api(|settings| settings.tier = Tier::Enterprise);
    let (ann, stage) = (caller.stage.ann, &caller.stage);
    let write = |text: &str, reply_settings| {
        let post = NewPost {
            reply_settings,
            ..NewPost::by(ann, text)
        };
        caller.simulator().post(post).unwrap()
    };
    let closed = write("listen", ReplySettings::MentionedUsers);
    refused(&caller, closed, "restricted who can reply").await;
    let named = write("@acme listen", ReplySettings::MentionedUsers);
    allowed(&caller, named, "We do").await;
    let friends = write("friends only", ReplySettings::Following);
    refused(&caller, friends, "restricted who can reply").await;
    caller.simulator().follow(ann, stage.acme).unwrap();
    allowed(&caller, friends, "Friends!").await;
    let path = format!("/2/tweets/{closed}");
    let read = caller
        .get(&path, &[("tweet.fields", "reply_settings")])
        .await;
    assert_eq!(read.body["data"]["reply_settings"], "mentionedUsers");
}

#[actix_web::test]
async fn people_can_be_left_out_of_a_reply() {
    let caller = Caller::new().await;
    let stage = &caller.stage;
    let parent = stage.post(stage.ann, "@acme and @bob, help");
    let body = json!({ "text": "Hello Ann", "reply": {
        "in_reply_to_tweet_id": parent,
        "exclude_reply_user_ids": [stage.bob],
        "auto_populate_reply_metadata": true,
    }});
    let made = caller.post("/2/tweets", &body).await;
    assert_eq!(made.body["data"]["text"], "@ann Hello Ann");
}
