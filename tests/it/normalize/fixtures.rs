//! Deliveries made up for tests, with all that the forms can hold.

use serde_json::{Value, json};

fn v1_user(id: &str) -> Value {
    json!({"id": 1, "id_str": id, "name": "A &amp; B", "screen_name": "ab", "url": "https://t.co/u",
        "description": "🥁", "followers_count": 3, "verified": true, "protected": false,
        "entities": {"url": {"urls": [{"url": "https://t.co/u", "expanded_url": "https://ab.example"}]}},
        "profile_image_url_https": "https://p.example/n.jpg", "created_at": "Sat Dec 14 04:35:55 +0000 2013"})
}

fn v1_media(kind: &str) -> Value {
    json!({"id_str": "31", "type": kind, "url": "https://t.co/m", "indices": [6, 20],
        "expanded_url": "https://x.com/ab/status/1/photo/1", "media_url_https": "https://p.example/m.jpg",
        "ext_alt_text": "a drum", "sizes": {"large": {"w": 10, "h": 20}},
        "video_info": {"duration_millis": 7, "variants": [
            {"bitrate": 1, "content_type": "video/mp4", "url": "https://v.example/1.mp4"},
            {"content_type": "application/x-mpegURL", "url": "https://v.example/1.m3u8"}]}})
}

fn v1_post(id: &str) -> Value {
    json!({"id": 1, "id_str": id, "created_at": "Wed Oct 10 20:19:24 +0000 2018", "text": "@us 🥁 #drum https://t.co/l",
        "display_text_range": [4, 30], "user": v1_user("200"), "lang": "en", "source": "<a href=\"#\">App</a>",
        "in_reply_to_status_id_str": "50", "in_reply_to_user_id_str": "100", "user_has_blocked": "false",
        "entities": {"hashtags": [{"text": "drum", "indices": [6, 11]}],
            "urls": [{"url": "https://t.co/l", "expanded_url": "https://l.example", "display_url": "l.example", "indices": [12, 26]}],
            "user_mentions": [{"id_str": "100", "screen_name": "us", "name": "Us", "indices": [0, 3]}]}})
}

/// A reply, a long quote with media, and a repost of it.
pub(super) fn v1_posts() -> Vec<Value> {
    let mut long = v1_post("61");
    long["extended_tweet"] = json!({"full_text": "look: https://t.co/m", "display_text_range": [0, 5],
        "entities": {"media": [v1_media("photo")]}, "extended_entities": {"media": [v1_media("video"), v1_media("photo")]}});
    long["quoted_status_id_str"] = json!("62");
    long["quoted_status"] = v1_post("62");
    long["quoted_status_permalink"] =
        json!({"url": "https://t.co/q", "expanded": "https://x.com/ab/status/62"});
    long["edit_history"] = json!({"edit_tweet_ids": ["60", "61"]});
    let mut repost = v1_post("63");
    repost["retweeted_status"] = long.clone();
    vec![v1_post("59"), long, repost]
}

/// One each way, with media and as a quick reply.
pub(super) fn direct_messages() -> Vec<Value> {
    let message = |id: &str, from: &str, to: &str, data: Value| {
        json!({"type": "message_create", "id": id, "created_timestamp": "1516403560557",
            "message_create": {"target": {"recipient_id": to}, "sender_id": from, "message_data": data}})
    };
    let media = json!({"text": "look: https://t.co/m", "entities": {"urls": [
            {"url": "https://t.co/m", "expanded_url": "https://x.com/messages/media/71", "indices": [6, 20]}]},
        "attachment": {"type": "media", "media": v1_media("photo")}});
    let chosen =
        json!({"text": "", "quick_reply_response": {"type": "options", "metadata": "yes"}});
    vec![
        message("71", "200", "100", media),
        message("72", "100", "200", chosen),
    ]
}

/// As they stand beside direct messages.
pub(super) fn users() -> Value {
    json!({"100": {"id": "100", "screen_name": "us", "created_timestamp": "1422556069340"},
        "200": {"data": {"id": "200", "username": "ab", "public_metrics": {"followers_count": 3}}}})
}

fn v2_post(id: &str) -> Value {
    json!({"id": id, "author_id": "200", "created_at": "2026-07-24T21:23:23.000Z", "conversation_id": "50",
        "text": "@us 🥁 short… https://t.co/l https://t.co/m", "display_text_range": [4, 27], "lang": "en",
        "edit_history_tweet_ids": [id], "reply_settings": "everyone", "in_reply_to_user_id": "100",
        "referenced_tweets": [{"type": "replied_to", "id": "50"}, {"type": "quoted", "id": "80"}],
        "attachments": {"media_keys": ["3_1"]},
        "entities": {"mentions": [{"start": 0, "end": 3, "username": "us", "id": "100"}],
            "hashtags": [{"start": 6, "end": 11, "tag": "drum"}],
            "urls": [{"start": 13, "end": 27, "url": "https://t.co/l", "expanded_url": "https://x.com/ab/status/80"},
                {"start": 28, "end": 42, "url": "https://t.co/m", "expanded_url": "https://x.com/ab/status/81/photo/1", "media_key": "3_1"}]}})
}

/// A reply that quotes, one as a note, and a repost.
pub(super) fn v2_posts() -> Vec<Value> {
    let mut note = v2_post("82");
    note["note_tweet"] = json!({"text": "@us 🥁 long &amp; whole https://t.co/l",
        "entities": {"urls": [{"start": 23, "end": 37, "url": "https://t.co/l", "expanded_url": "https://l.example"}]}});
    let mut repost = v2_post("83");
    repost["text"] = json!("RT @ab: words");
    repost["referenced_tweets"] = json!([{"type": "retweeted", "id": "80"}]);
    vec![v2_post("81"), note, repost]
}

pub(super) fn includes() -> Value {
    json!({"users": [{"id": "100", "username": "us", "name": "Us"}, users()["200"]],
        "media": [{"media_key": "3_1", "type": "photo", "url": "https://p.example/m.jpg", "width": 10, "height": 20}],
        "tweets": [v2_post("80")]})
}

/// An event of each kind that is read.
pub(super) fn activities() -> Vec<Value> {
    let event = |kind: &str, payload: Value| json!({"event_uuid": "-1", "filter": {"user_id": "100"}, "event_type": kind, "payload": payload, "includes": includes()});
    let indication = json!([{"created_timestamp": "1518452444662", "sender_id": "200",
        "target": {"recipient_id": "100"}, "last_read_event_id": "71"}]);
    let chat = json!({"id": "e4f4", "conversation_id": "200:100", "sender_id": "200", "created_at_msec": "1784841183370"});
    let mut events: Vec<_> = v2_posts()
        .into_iter()
        .map(|post| event("post.mention.create", post))
        .collect();
    events.extend([
        event("post.delete", json!({"id": "81", "author_id": "100"})),
        event(
            "dm.received",
            json!({"direct_message_events": direct_messages(), "users": users()}),
        ),
        event(
            "dm.read",
            json!({"direct_message_mark_read_events": indication}),
        ),
        event(
            "dm.indicate_typing",
            json!({"direct_message_indicate_typing_events": indication}),
        ),
        event("chat.received", chat),
        event(
            "oauth.revoke",
            json!({"date_time": "2026-07-23T21:44:05+00:00", "user_id": "100"}),
        ),
    ]);
    events
}
