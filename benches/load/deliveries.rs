//! Deliveries as X sends them: a mention each, signed, all made before the clock runs.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;
use twitter_channel::domain::ids::{TweetId, UserId};

/// Name of the app in the webhook's URL.
pub(crate) const APP: &str = "bench";
/// What deliveries are signed with.
pub(crate) const SECRET: &str = "bench-consumer-secret";
/// The account that is mentioned.
pub(crate) const ACCOUNT: &str = "2305278770";
pub(crate) const USERNAME: &str = "acme";

/// Size of a body, bytes.
const BODY_BYTES: usize = 3 * 1024;
/// Stand for the digits of the ids; each is as long as what it stands for.
const POST: &str = "POSTPOSTPOSTPOSTPOS";
const AUTHOR: &str = "AUTHORAUTH";
/// The first post: a snowflake of these years.
const FIRST_POST: u64 = 1_900_000_000_000_000_000;

/// Whole HTTP requests, one after the other in one piece of memory.
pub(crate) struct Deliveries {
    requests: Vec<u8>,
    size: usize,
}

impl Deliveries {
    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        self.requests.chunks_exact(self.size).nth(index)
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len() / self.size
    }
}

/// Makes deliveries that X never sent before.
pub(crate) struct Maker {
    next: u64,
    authors: Authors,
    key: Hmac<Sha256>,
}

/// Who writes the mentions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Authors {
    /// Each by a person who never wrote before.
    #[default]
    New,
    /// So many people, by turns: after some thousand deliveries each has many conversations.
    Few(u64),
}

impl Maker {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            next: 0,
            authors: Authors::New,
            key: Hmac::new_from_slice(SECRET.as_bytes()).context("the secret")?,
        })
    }

    /// Number of the next post.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// By whom those are that are made next.
    pub(crate) fn by(&mut self, authors: Authors) {
        self.authors = authors;
    }

    /// Leaves posts out that were made some other way.
    pub(crate) fn skip(&mut self, count: u64) {
        self.next += count;
    }

    /// `count` new ones, written now.
    pub(crate) fn make(&mut self, count: usize) -> anyhow::Result<Deliveries> {
        let template = template(Timestamp::now())?;
        let mut requests = Vec::new();
        let mut size = 0;
        for _ in 0..count {
            let (post, new) = ids(self.next).context("no more ids")?;
            let author = match self.authors {
                Authors::New => new,
                Authors::Few(count) => ids(self.next % count).context("no such author")?.1,
            };
            self.next += 1;
            let body = template.replace(POST, &post.to_string());
            let body = body.replace(AUTHOR, &author.to_string());
            let request = self.request(&body);
            size = request.len();
            if requests.is_empty() {
                requests.reserve_exact(size * count);
            }
            requests.extend(request);
        }
        Ok(Deliveries { requests, size })
    }

    fn request(&self, body: &str) -> Vec<u8> {
        let signature = self.key.clone().chain_update(body).finalize().into_bytes();
        let (signature, length) = (STANDARD.encode(signature), body.len());
        format!(
            "POST /webhooks/twitter/{APP} HTTP/1.1\r\nhost: localhost\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\
             x-twitter-webhooks-signature: sha256={signature}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

/// Ids of the post with this number and of its author: posts in order, authors in none.
pub(crate) fn ids(number: u64) -> Option<(TweetId, UserId)> {
    let author = 1_000_000_000 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 9_000_000_000;
    TweetId::from_number(FIRST_POST + number).zip(UserId::from_number(author))
}

/// An Account Activity delivery of exactly [`BODY_BYTES`].
fn template(now: Timestamp) -> anyhow::Result<String> {
    let bare = delivery(now, "").to_string();
    let room = BODY_BYTES
        .checked_sub(bare.len())
        .context("the delivery is too long")?;
    Ok(delivery(now, &"x".repeat(room)).to_string())
}

fn delivery(now: Timestamp, filling: &str) -> Value {
    let text = format!(
        "@{USERNAME} my parcel 4711 was due on Monday and has still not come, the shop says that \
         it left on Friday. Where is it? https://t.co/Xx0Yy1Zz2A"
    );
    json!({
        "for_user_id": ACCOUNT,
        "user_has_blocked": false,
        "tweet_create_events": [{
            "created_at": now.strftime("%a %b %d %H:%M:%S +0000 %Y").to_string(),
            "id": 1.9e18,
            "id_str": POST,
            "text": text,
            "source": "<a href=\"https://mobile.x.com\" rel=\"nofollow\">X Web App</a>",
            "truncated": false,
            "in_reply_to_status_id": null,
            "in_reply_to_status_id_str": null,
            "in_reply_to_user_id": 2_305_278_770_u64,
            "in_reply_to_user_id_str": ACCOUNT,
            "in_reply_to_screen_name": USERNAME,
            "user": author(filling),
            "geo": null,
            "coordinates": null,
            "place": null,
            "contributors": null,
            "is_quote_status": false,
            "quote_count": 0,
            "reply_count": 0,
            "retweet_count": 0,
            "favorite_count": 0,
            "entities": entities(text.len()),
            "favorited": false,
            "retweeted": false,
            "possibly_sensitive": false,
            "filter_level": "low",
            "lang": "en",
            "timestamp_ms": now.as_millisecond().to_string(),
        }],
    })
}

fn entities(text: usize) -> Value {
    json!({
        "hashtags": [],
        "symbols": [],
        "urls": [{
            "url": "https://t.co/Xx0Yy1Zz2A",
            "expanded_url": "https://parcels.example/track/4711?from=shop",
            "display_url": "parcels.example/track/4711",
            "indices": [text - 23, text],
        }],
        "user_mentions": [{
            "screen_name": USERNAME,
            "name": "Acme",
            "id": 2_305_278_770_u64,
            "id_str": ACCOUNT,
            "indices": [0, 5],
        }],
    })
}

/// `filling` goes where nobody looks: the service passes on what a core can use.
fn author(filling: &str) -> Value {
    json!({
        "id": 1.9e9,
        "id_str": AUTHOR,
        "name": "Ann Example",
        "screen_name": "ann_example",
        "location": "Harlem, New York",
        "url": "https://t.co/Aa0Bb1Cc2D",
        "description": "Reads, rides and writes. Opinions are mine, parcels are mostly late.",
        "translator_type": "none",
        "protected": false,
        "verified": false,
        "followers_count": 1234,
        "friends_count": 567,
        "listed_count": 8,
        "favourites_count": 9012,
        "statuses_count": 3456,
        "created_at": "Tue Feb 03 10:11:12 +0000 2015",
        "utc_offset": null,
        "time_zone": null,
        "geo_enabled": false,
        "lang": null,
        "contributors_enabled": false,
        "is_translator": false,
        "profile_background_color": "F5F8FA",
        "profile_background_image_url": filling,
        "profile_background_image_url_https": "",
        "profile_background_tile": false,
        "profile_link_color": "1DA1F2",
        "profile_sidebar_border_color": "C0DEED",
        "profile_sidebar_fill_color": "DDEEF6",
        "profile_text_color": "333333",
        "profile_use_background_image": true,
        "profile_image_url": "http://pbs.twimg.com/profile_images/851526626785480705/cW4WTi7C_normal.jpg",
        "profile_image_url_https": "https://pbs.twimg.com/profile_images/851526626785480705/cW4WTi7C_normal.jpg",
        "default_profile": true,
        "default_profile_image": false,
        "following": null,
        "follow_request_sent": null,
        "notifications": null,
    })
}
