//! The names of what reads ask for. X's pages and its OpenAPI call them differently; the pages'
//! names are sent until X refuses one.

use std::sync::atomic::{AtomicBool, Ordering};

/// How much a read brings. Each post and person that comes along is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The items themselves.
    Plain,
    /// With authors, media, and the posts that are replied to or quoted.
    Whole,
}

/// What a read asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fields {
    Posts(Detail),
    DirectMessages(Detail),
    /// As our account sees them.
    Users,
    /// As anybody sees them.
    PublicUsers,
    /// The account itself, with its plan.
    OwnUser,
}

/// Which names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vocabulary {
    /// Those of X's pages: `tweet.fields`.
    Pages,
    /// Those of X's OpenAPI since 2026-08-07: `post.fields`.
    OpenApi,
}

const MEDIA: &str =
    "media_key,url,preview_image_url,variants,type,width,height,alt_text,duration_ms";
const PUBLIC_USER: &str = "created_at,description,entities,location,name,profile_image_url,\
                           protected,public_metrics,url,username,verified,verified_type";

struct Names {
    /// Parameter and value.
    posts: (&'static str, &'static str),
    plain_posts: &'static str,
    whole_posts: &'static str,
    direct_messages: &'static str,
    plain_direct_messages: &'static str,
    whole_direct_messages: &'static str,
    /// Words that only this vocabulary has.
    own: &'static [&'static str],
}

const PAGES: Names = Names {
    posts: (
        "tweet.fields",
        "created_at,author_id,conversation_id,in_reply_to_user_id,referenced_tweets,entities,\
         attachments,note_tweet,lang,possibly_sensitive,reply_settings,edit_controls,\
         display_text_range",
    ),
    plain_posts: "",
    whole_posts: "author_id,referenced_tweets.id,referenced_tweets.id.author_id,\
                  attachments.media_keys,entities.mentions.username",
    direct_messages: "id,text,event_type,created_at,dm_conversation_id,sender_id,attachments,\
                      entities",
    plain_direct_messages: "",
    whole_direct_messages: "sender_id,attachments.media_keys",
    own: &["tweet.fields", "note_tweet", "referenced_tweets"],
};

/// What the pages call fields are expansions here: without them no post tells its author.
const OPEN_API: Names = Names {
    posts: (
        "post.fields",
        "created_at,conversation_id,entities,attachments,note_post,lang,possibly_sensitive,\
         reply_settings,edit_controls,display_text_range",
    ),
    plain_posts: "author_id,referenced_posts",
    whole_posts: "author_id,referenced_posts,in_reply_to_user_id,attachments.media_keys,\
                  entities.mentions.username",
    direct_messages: "id,text,event_type,created_at,dm_conversation_id,attachments,entities",
    plain_direct_messages: "sender_id",
    whole_direct_messages: "sender_id,attachments.media_keys",
    own: &["post.fields", "note_post", "referenced_posts"],
};

impl Vocabulary {
    fn names(self) -> &'static Names {
        match self {
            Self::Pages => &PAGES,
            Self::OpenApi => &OPEN_API,
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Pages => Self::OpenApi,
            Self::OpenApi => Self::Pages,
        }
    }

    /// Whether a refusal names a word that only this vocabulary has.
    pub(super) fn is_refused_by(self, body: &str) -> bool {
        self.names().own.iter().any(|word| body.contains(word))
    }

    /// The query parameters that ask for these fields.
    pub(super) fn parameters(self, fields: Fields) -> Vec<(&'static str, String)> {
        let names = self.names();
        let parameters = match fields {
            Fields::Posts(Detail::Plain) => vec![names.posts, ("expansions", names.plain_posts)],
            Fields::Posts(Detail::Whole) => vec![
                names.posts,
                ("expansions", names.whole_posts),
                ("user.fields", PUBLIC_USER),
                ("media.fields", MEDIA),
            ],
            Fields::DirectMessages(Detail::Plain) => vec![
                ("dm_event.fields", names.direct_messages),
                ("expansions", names.plain_direct_messages),
            ],
            Fields::DirectMessages(Detail::Whole) => vec![
                ("dm_event.fields", names.direct_messages),
                ("expansions", names.whole_direct_messages),
                ("user.fields", PUBLIC_USER),
                ("media.fields", MEDIA),
            ],
            Fields::Users => return user("receives_your_dm,connection_status"),
            Fields::PublicUsers => vec![("user.fields", PUBLIC_USER)],
            Fields::OwnUser => return user("subscription_type"),
        };
        let asked = parameters
            .into_iter()
            .filter(|(_, value)| !value.is_empty());
        asked
            .map(|(name, value)| (name, value.to_owned()))
            .collect()
    }
}

fn user(more: &str) -> Vec<(&'static str, String)> {
    vec![("user.fields", format!("{PUBLIC_USER},{more}"))]
}

/// The vocabulary that X took last.
#[derive(Debug, Default)]
pub(super) struct InUse {
    is_open_api: AtomicBool,
}

impl InUse {
    pub(super) fn get(&self) -> Vocabulary {
        if self.is_open_api.load(Ordering::Relaxed) {
            Vocabulary::OpenApi
        } else {
            Vocabulary::Pages
        }
    }

    pub(super) fn set(&self, vocabulary: Vocabulary) {
        let is_open_api = vocabulary == Vocabulary::OpenApi;
        self.is_open_api.store(is_open_api, Ordering::Relaxed);
    }
}
