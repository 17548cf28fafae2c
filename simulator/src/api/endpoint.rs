//! The calls there are: where, who may make them, how often.

use actix_web::http::Method;
use serde::{Deserialize, Serialize};

use super::windows::Limits;
use crate::model::Permission;

/// One call of X's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /2/tweets`
    CreatePost,
    /// `DELETE /2/tweets/{id}`
    DeletePost,
    /// `PUT /2/tweets/{id}/hidden`
    HideReply,
    /// `GET /2/tweets/{id}`
    GetPost,
    /// `GET /2/tweets`
    GetPosts,
    /// `GET /2/tweets/search/recent`
    SearchRecent,
    /// `GET /2/users/{id}/tweets`
    UserPosts,
    /// `GET /2/users/{id}/mentions`
    UserMentions,
    /// `GET /2/users/me`
    Me,
    /// `GET /2/users/{id}`
    GetUser,
    /// `GET /2/users`
    GetUsers,
    /// `GET /2/users/by/username/{username}`
    UserByUsername,
    /// `GET /2/users/by`
    UsersByUsername,
    /// `POST /2/dm_conversations/with/{participant_id}/messages`
    SendMessageTo,
    /// `POST /2/dm_conversations/{dm_conversation_id}/messages`
    SendMessageIn,
    /// `GET /2/dm_events`
    Messages,
    /// `GET /2/dm_conversations/with/{id}/dm_events`
    MessagesWith,
    /// `GET /2/dm_conversations/{id}/dm_events`
    MessagesIn,
    /// `GET /2/dm_events/{id}`
    GetMessage,
    /// `DELETE /2/dm_events/{id}`
    DeleteMessage,
    /// `POST /2/media/upload`
    MediaUpload,
    /// `POST /2/media/upload/initialize`
    MediaInitialize,
    /// `POST /2/media/upload/{id}/append`
    MediaAppend,
    /// `POST /2/media/upload/{id}/finalize`
    MediaFinalize,
    /// `GET /2/media/upload`
    MediaStatus,
    /// `POST /2/media/metadata`
    MediaMetadata,
    /// `POST /oauth/request_token`: OAuth 1.0a's first step
    RequestToken,
    /// `POST /oauth/access_token`: OAuth 1.0a's last step
    AccessToken,
    /// `POST /2/webhooks`
    CreateWebhook,
    /// `GET /2/webhooks`
    ListWebhooks,
    /// `PUT /2/webhooks/{id}`
    ValidateWebhook,
    /// `DELETE /2/webhooks/{id}`
    DeleteWebhook,
    /// `POST /2/account_activity/webhooks/{id}/subscriptions/all`
    SubscribeAccount,
    /// `GET /2/account_activity/webhooks/{id}/subscriptions/all`
    CheckAccount,
    /// `GET /2/account_activity/webhooks/{id}/subscriptions/all/list`
    ListAccounts,
    /// `DELETE /2/account_activity/webhooks/{id}/subscriptions/{user}/all`
    UnsubscribeAccount,
    /// `GET /2/account_activity/subscriptions/count`
    CountAccounts,
    /// `POST /2/activity/subscriptions`
    CreateActivity,
    /// `GET /2/activity/subscriptions`
    ListActivity,
    /// `PUT /2/activity/subscriptions/{id}`
    UpdateActivity,
    /// `DELETE /2/activity/subscriptions/{id}`
    DeleteActivity,
    /// `DELETE /2/activity/subscriptions`
    DeleteActivities,
    /// `POST /1.1/account_activity/all/{env}/webhooks.json`
    CreateWebhookV1,
    /// `GET /1.1/account_activity/all/{env}/webhooks.json`
    ListWebhooksV1,
    /// `PUT /1.1/account_activity/all/{env}/webhooks/{id}.json`
    ValidateWebhookV1,
    /// `DELETE /1.1/account_activity/all/{env}/webhooks/{id}.json`
    DeleteWebhookV1,
    /// `POST /1.1/account_activity/all/{env}/subscriptions.json`
    SubscribeV1,
    /// `GET /1.1/account_activity/all/{env}/subscriptions.json`
    CheckV1,
    /// `DELETE /1.1/account_activity/all/{env}/subscriptions.json`: for the user that signs
    UnsubscribeV1,
    /// `GET /1.1/account_activity/all/{env}/subscriptions/list.json`
    ListAccountsV1,
    /// `DELETE /1.1/account_activity/all/{env}/subscriptions/{user}.json`
    UnsubscribeUserV1,
    /// `GET /1.1/account_activity/subscriptions/count.json`
    CountAccountsV1,
    /// `GET /2/tweets/search/stream`
    Stream,
    /// `GET /2/tweets/search/stream/rules`
    Rules,
    /// `POST /2/tweets/search/stream/rules`
    ChangeRules,
    /// `GET /2/tweets/search/stream/rules/counts`
    RuleCounts,
    /// `POST /2/webhooks/replay`
    Replay,
    /// `POST /2/compliance/jobs`
    CreateComplianceJob,
    /// `GET /2/compliance/jobs`
    ComplianceJobs,
    /// `GET /2/compliance/jobs/{id}`
    ComplianceJob,
    /// `GET /2/usage/tweets`
    PostUsage,
    /// What `media_url_https` of a direct message says
    MessageMediaFile,
    /// `GET /2/dm_conversations/media/{dm_id}/{media_id}/{resource_id}`
    MessageMedia,
    /// `POST /oauth2/token`: the app's bearer token
    AppToken,
    /// `POST /2/oauth2/token`: a user's tokens of OAuth 2.0
    UserToken,
    /// `POST /2/oauth2/revoke`
    RevokeUserToken,
    /// `POST /1.1/oauth/invalidate_token`
    InvalidateToken,
}

/// Who may call.
pub(crate) struct Access {
    pub(crate) bearer: bool,
    pub(crate) oauth1: bool,
    pub(crate) oauth2: bool,
    /// What an OAuth 2.0 user token needs.
    pub(crate) scopes: &'static [&'static str],
    /// What an OAuth 1.0a token needs.
    pub(crate) permission: Permission,
}

impl Endpoint {
    /// Every one; those with fixed paths before those with ids in the same place.
    pub const ALL: [Self; 67] = [
        Self::CreatePost,
        Self::SearchRecent,
        Self::DeletePost,
        Self::HideReply,
        Self::GetPost,
        Self::GetPosts,
        Self::Me,
        Self::UsersByUsername,
        Self::UserByUsername,
        Self::UserPosts,
        Self::UserMentions,
        Self::GetUser,
        Self::GetUsers,
        Self::SendMessageTo,
        Self::MessagesWith,
        Self::SendMessageIn,
        Self::MessagesIn,
        Self::Messages,
        Self::GetMessage,
        Self::DeleteMessage,
        Self::MediaInitialize,
        Self::MediaAppend,
        Self::MediaFinalize,
        Self::MediaUpload,
        Self::MediaStatus,
        Self::MediaMetadata,
        Self::RequestToken,
        Self::AccessToken,
        Self::CreateWebhook,
        Self::ListWebhooks,
        Self::ValidateWebhook,
        Self::DeleteWebhook,
        Self::SubscribeAccount,
        Self::CheckAccount,
        Self::ListAccounts,
        Self::UnsubscribeAccount,
        Self::CountAccounts,
        Self::CreateActivity,
        Self::ListActivity,
        Self::UpdateActivity,
        Self::DeleteActivity,
        Self::DeleteActivities,
        Self::CreateWebhookV1,
        Self::ListWebhooksV1,
        Self::ValidateWebhookV1,
        Self::DeleteWebhookV1,
        Self::SubscribeV1,
        Self::CheckV1,
        Self::UnsubscribeV1,
        Self::ListAccountsV1,
        Self::UnsubscribeUserV1,
        Self::CountAccountsV1,
        Self::Stream,
        Self::RuleCounts,
        Self::Rules,
        Self::ChangeRules,
        Self::Replay,
        Self::CreateComplianceJob,
        Self::ComplianceJobs,
        Self::ComplianceJob,
        Self::PostUsage,
        Self::MessageMediaFile,
        Self::MessageMedia,
        Self::AppToken,
        Self::UserToken,
        Self::RevokeUserToken,
        Self::InvalidateToken,
    ];

    /// Method and path, with the names of its parts.
    pub(crate) fn route(self) -> (Method, &'static str) {
        match self {
            Self::CreatePost => (Method::POST, "/2/tweets"),
            Self::DeletePost => (Method::DELETE, "/2/tweets/{id}"),
            Self::HideReply => (Method::PUT, "/2/tweets/{id}/hidden"),
            Self::GetPost => (Method::GET, "/2/tweets/{id}"),
            Self::GetPosts => (Method::GET, "/2/tweets"),
            Self::SearchRecent => (Method::GET, "/2/tweets/search/recent"),
            Self::UserPosts => (Method::GET, "/2/users/{id}/tweets"),
            Self::UserMentions => (Method::GET, "/2/users/{id}/mentions"),
            Self::Me => (Method::GET, "/2/users/me"),
            Self::GetUser => (Method::GET, "/2/users/{id}"),
            Self::GetUsers => (Method::GET, "/2/users"),
            Self::UserByUsername => (Method::GET, "/2/users/by/username/{username}"),
            Self::UsersByUsername => (Method::GET, "/2/users/by"),
            Self::SendMessageTo => (Method::POST, "/2/dm_conversations/with/{id}/messages"),
            Self::SendMessageIn => (Method::POST, "/2/dm_conversations/{id}/messages"),
            Self::Messages => (Method::GET, "/2/dm_events"),
            Self::MessagesWith => (Method::GET, "/2/dm_conversations/with/{id}/dm_events"),
            Self::MessagesIn => (Method::GET, "/2/dm_conversations/{id}/dm_events"),
            Self::GetMessage => (Method::GET, "/2/dm_events/{id}"),
            Self::DeleteMessage => (Method::DELETE, "/2/dm_events/{id}"),
            Self::MediaUpload => (Method::POST, "/2/media/upload"),
            Self::MediaInitialize => (Method::POST, "/2/media/upload/initialize"),
            Self::MediaAppend => (Method::POST, "/2/media/upload/{id}/append"),
            Self::MediaFinalize => (Method::POST, "/2/media/upload/{id}/finalize"),
            Self::MediaStatus => (Method::GET, "/2/media/upload"),
            Self::MediaMetadata => (Method::POST, "/2/media/metadata"),
            Self::RequestToken => (Method::POST, "/oauth/request_token"),
            Self::AccessToken => (Method::POST, "/oauth/access_token"),
            Self::CreateWebhook => (Method::POST, "/2/webhooks"),
            Self::ListWebhooks => (Method::GET, "/2/webhooks"),
            Self::ValidateWebhook => (Method::PUT, "/2/webhooks/{id}"),
            Self::DeleteWebhook => (Method::DELETE, "/2/webhooks/{id}"),
            Self::SubscribeAccount => (
                Method::POST,
                "/2/account_activity/webhooks/{id}/subscriptions/all",
            ),
            Self::CheckAccount => (
                Method::GET,
                "/2/account_activity/webhooks/{id}/subscriptions/all",
            ),
            Self::ListAccounts => (
                Method::GET,
                "/2/account_activity/webhooks/{id}/subscriptions/all/list",
            ),
            Self::UnsubscribeAccount => (
                Method::DELETE,
                "/2/account_activity/webhooks/{id}/subscriptions/{user}/all",
            ),
            Self::CountAccounts => (Method::GET, "/2/account_activity/subscriptions/count"),
            Self::CreateActivity => (Method::POST, "/2/activity/subscriptions"),
            Self::ListActivity => (Method::GET, "/2/activity/subscriptions"),
            Self::UpdateActivity => (Method::PUT, "/2/activity/subscriptions/{id}"),
            Self::DeleteActivity => (Method::DELETE, "/2/activity/subscriptions/{id}"),
            Self::DeleteActivities => (Method::DELETE, "/2/activity/subscriptions"),
            Self::CreateWebhookV1 => (
                Method::POST,
                "/1.1/account_activity/all/{env}/webhooks.json",
            ),
            Self::ListWebhooksV1 => (Method::GET, "/1.1/account_activity/all/{env}/webhooks.json"),
            Self::ValidateWebhookV1 => (
                Method::PUT,
                "/1.1/account_activity/all/{env}/webhooks/{id}.json",
            ),
            Self::DeleteWebhookV1 => (
                Method::DELETE,
                "/1.1/account_activity/all/{env}/webhooks/{id}.json",
            ),
            Self::SubscribeV1 => (
                Method::POST,
                "/1.1/account_activity/all/{env}/subscriptions.json",
            ),
            Self::CheckV1 => (
                Method::GET,
                "/1.1/account_activity/all/{env}/subscriptions.json",
            ),
            Self::UnsubscribeV1 => (
                Method::DELETE,
                "/1.1/account_activity/all/{env}/subscriptions.json",
            ),
            Self::ListAccountsV1 => (
                Method::GET,
                "/1.1/account_activity/all/{env}/subscriptions/list.json",
            ),
            Self::UnsubscribeUserV1 => (
                Method::DELETE,
                "/1.1/account_activity/all/{env}/subscriptions/{user}.json",
            ),
            Self::CountAccountsV1 => (
                Method::GET,
                "/1.1/account_activity/subscriptions/count.json",
            ),
            Self::Stream => (Method::GET, "/2/tweets/search/stream"),
            Self::Rules => (Method::GET, "/2/tweets/search/stream/rules"),
            Self::ChangeRules => (Method::POST, "/2/tweets/search/stream/rules"),
            Self::RuleCounts => (Method::GET, "/2/tweets/search/stream/rules/counts"),
            Self::Replay => (Method::POST, "/2/webhooks/replay"),
            Self::CreateComplianceJob => (Method::POST, "/2/compliance/jobs"),
            Self::ComplianceJobs => (Method::GET, "/2/compliance/jobs"),
            Self::ComplianceJob => (Method::GET, "/2/compliance/jobs/{id}"),
            Self::PostUsage => (Method::GET, "/2/usage/tweets"),
            Self::MessageMediaFile => (Method::GET, "/1.1/ton/data/dm/{id}/{medium}/{file}"),
            Self::MessageMedia => (
                Method::GET,
                "/2/dm_conversations/media/{id}/{medium}/{file}",
            ),
            Self::AppToken => (Method::POST, "/oauth2/token"),
            Self::UserToken => (Method::POST, "/2/oauth2/token"),
            Self::RevokeUserToken => (Method::POST, "/2/oauth2/revoke"),
            Self::InvalidateToken => (Method::POST, "/1.1/oauth/invalidate_token"),
        }
    }

    /// The name in settings, faults and the control API.
    pub fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|name| name.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Whether it checks credentials of its own kind, costs nothing and has no window.
    pub(crate) fn is_about_tokens(self) -> bool {
        matches!(
            self,
            Self::RequestToken
                | Self::AccessToken
                | Self::AppToken
                | Self::UserToken
                | Self::RevokeUserToken
                | Self::InvalidateToken
        )
    }

    /// Account Activity v1.1: with labels, without envelopes.
    fn is_v1_activity(self) -> bool {
        self.route().1.starts_with("/1.1/account_activity")
    }

    fn is_about_webhooks(self) -> bool {
        matches!(
            self,
            Self::CreateWebhook | Self::ListWebhooks | Self::ValidateWebhook | Self::DeleteWebhook
        )
    }

    /// Lists and ends of subscriptions are the app's own, without its users.
    fn is_for_apps_alone(self) -> bool {
        matches!(
            self,
            Self::ListAccounts
                | Self::UnsubscribeAccount
                | Self::CountAccounts
                | Self::UpdateActivity
                | Self::DeleteActivity
                | Self::DeleteActivities
                | Self::ListAccountsV1
                | Self::UnsubscribeUserV1
                | Self::CountAccountsV1
        )
    }

    fn takes_oauth1(self) -> bool {
        // The pages give the list of webhooks to bearers alone, but not what is done to them.
        !self.is_for_apps_alone()
            && !self.is_of_app()
            && !matches!(
                self,
                Self::MediaMetadata | Self::MessageMedia | Self::ListWebhooks
            )
    }

    fn takes_oauth2(self) -> bool {
        !self.is_for_apps_alone()
            && !self.is_of_app()
            && !self.is_about_webhooks()
            && !self.is_v1_activity()
            && self != Self::MessageMediaFile
    }

    fn is_about_messages(self) -> bool {
        matches!(
            self,
            Self::SendMessageTo
                | Self::SendMessageIn
                | Self::Messages
                | Self::MessagesWith
                | Self::MessagesIn
                | Self::GetMessage
                | Self::DeleteMessage
                | Self::MessageMediaFile
                | Self::MessageMedia
        )
    }

    /// Whether it is the app's own matter, whoever uses it.
    fn is_of_app(self) -> bool {
        matches!(
            self,
            Self::Stream
                | Self::Rules
                | Self::ChangeRules
                | Self::RuleCounts
                | Self::Replay
                | Self::CreateComplianceJob
                | Self::ComplianceJobs
                | Self::ComplianceJob
                | Self::PostUsage
        )
    }

    pub(crate) fn access(self) -> Access {
        Access {
            bearer: self.takes_bearer(),
            oauth1: self.takes_oauth1(),
            oauth2: self.takes_oauth2(),
            scopes: self.scopes(),
            permission: match self {
                // What these need depends on what is asked, or is refused in v1.1's own words.
                Self::CreateActivity => Permission::Read,
                _ if self.is_about_webhooks() || self.is_v1_activity() => Permission::Read,
                Self::SubscribeAccount | Self::CheckAccount => Permission::ReadWriteMessages,
                _ if self.is_about_messages() => Permission::ReadWriteMessages,
                _ if self.route().0 == Method::GET => Permission::Read,
                _ => Permission::ReadWrite,
            },
        }
    }

    fn takes_bearer(self) -> bool {
        if self.is_for_apps_alone() || self.is_about_webhooks() || self.is_of_app() {
            return true;
        }
        matches!(
            self,
            Self::CreateActivity
                | Self::ListActivity
                | Self::ListWebhooksV1
                | Self::ValidateWebhookV1
                | Self::GetPost
                | Self::GetPosts
                | Self::SearchRecent
                | Self::UserPosts
                | Self::UserMentions
                | Self::GetUser
                | Self::GetUsers
                | Self::UserByUsername
                | Self::UsersByUsername
        )
    }

    fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::CreatePost | Self::DeletePost => &["tweet.write", "tweet.read", "users.read"],
            Self::HideReply => &["tweet.moderate.write", "tweet.read", "users.read"],
            Self::SendMessageTo | Self::SendMessageIn => &["dm.write", "tweet.read", "users.read"],
            Self::DeleteMessage => &["dm.write", "dm.read"],
            Self::Messages | Self::MessagesWith | Self::MessagesIn | Self::GetMessage => {
                &["dm.read", "tweet.read", "users.read"]
            }
            Self::MessageMedia => &["dm.read"],
            Self::MediaUpload
            | Self::MediaInitialize
            | Self::MediaAppend
            | Self::MediaFinalize
            | Self::MediaStatus
            | Self::MediaMetadata => &["media.write"],
            Self::SubscribeAccount | Self::CheckAccount => {
                &["dm.read", "dm.write", "tweet.read", "users.read"]
            }
            // By the event that is asked for.
            Self::CreateActivity => &[],
            Self::ListActivity => &["tweet.read"],
            _ => &["tweet.read", "users.read"],
        }
    }

    /// X's table of 2026-08; "each" is read as a window of its own.
    pub(crate) fn limits(self) -> Limits {
        match self {
            Self::CreatePost => Limits::of(None, Some(100)).daily(Some(10_000), None),
            Self::DeletePost | Self::HideReply => Limits::of(None, Some(50)),
            Self::GetPost => Limits::of(Some(450), Some(900)),
            Self::GetPosts => Limits::of(Some(3_500), Some(5_000)),
            Self::SearchRecent | Self::UserMentions => Limits::of(Some(450), Some(300)),
            Self::UserPosts => Limits::of(Some(10_000), Some(900)),
            Self::Me => Limits::of(None, Some(75)),
            Self::GetUser | Self::GetUsers | Self::UserByUsername | Self::UsersByUsername => {
                Limits::of(Some(300), Some(900))
            }
            Self::SendMessageTo | Self::SendMessageIn => {
                Limits::of(None, Some(15)).daily(Some(1_440), Some(1_440))
            }
            Self::Messages | Self::MessagesWith | Self::MessagesIn | Self::GetMessage => {
                Limits::of(None, Some(15))
            }
            Self::DeleteMessage => Limits::of(None, Some(300)).daily(Some(4_000), Some(1_500)),
            Self::MediaUpload | Self::MediaMetadata => {
                Limits::of(None, Some(500)).daily(Some(50_000), None)
            }
            Self::MediaStatus => Limits::of(None, Some(1_000)).daily(Some(100_000), None),
            Self::MediaInitialize | Self::MediaAppend | Self::MediaFinalize => {
                Limits::of(None, Some(1_875)).daily(Some(180_000), None)
            }
            Self::SubscribeAccount
            | Self::CheckAccount
            | Self::ListAccounts
            | Self::UnsubscribeAccount
            | Self::CountAccounts
            | Self::CreateActivity
            | Self::ListActivity
            | Self::UpdateActivity
            | Self::DeleteActivity
            | Self::DeleteActivities => Limits::of(Some(500), Some(500)),
            Self::SubscribeV1 | Self::CheckV1 | Self::UnsubscribeV1 | Self::UnsubscribeUserV1 => {
                Limits::of(Some(500), Some(500))
            }
            Self::ListAccountsV1 => Limits::of(Some(50), None),
            _ if self.is_about_webhooks() => Limits::of(Some(450), Some(450)),
            _ if self.is_v1_activity() => Limits::of(Some(15), Some(15)),
            Self::Stream | Self::PostUsage => Limits::of(Some(50), None),
            Self::Rules | Self::RuleCounts => Limits::of(Some(450), None),
            Self::ChangeRules | Self::Replay => Limits::of(Some(100), None),
            Self::CreateComplianceJob | Self::ComplianceJobs | Self::ComplianceJob => {
                Limits::of(Some(150), None)
            }
            _ => Limits::default(),
        }
    }
}
