//! The endpoints of X that the service calls. Each has rate windows of its own.

use super::auth::Context;

/// One endpoint; also what [`super::Reply`] says it is the answer of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    CreatePost,
    DeletePost,
    HideReply,
    PostLookup,
    SearchRecent,
    UserPosts,
    UserLookup,
    Me,
    SendDirectMessageToPerson,
    SendDirectMessageToConversation,
    DirectMessagesWithPerson,
    DirectMessagesOfConversation,
    DirectMessageLookup,
    DeleteDirectMessage,
    MediaUpload,
    MediaInitialize,
    MediaAppend,
    MediaFinalize,
    MediaStatus,
    MediaMetadata,
    RegisterWebhook,
    Webhooks,
    ValidateWebhook,
    DeleteWebhook,
    ReplayWebhook,
    SubscribeAccount,
    AccountSubscription,
    AccountSubscribers,
    UnsubscribeAccount,
    AccountSubscriptionCount,
    V1RegisterWebhook,
    V1Webhooks,
    V1ValidateWebhook,
    V1DeleteWebhook,
    V1SubscribeAccount,
    V1AccountSubscription,
    V1AccountSubscribers,
    V1UnsubscribeAccount,
    V1AccountSubscriptionCount,
    SubscribeActivity,
    ActivitySubscriptions,
    UpdateActivitySubscription,
    DeleteActivitySubscriptions,
    AppBearer,
    RequestToken,
    AccessToken,
    InvalidateToken,
    ExchangeCode,
    RevokeToken,
    Mentions,
    DirectMessageEvents,
    StreamConnect,
    StreamRules,
    ChangeStreamRules,
    CreateComplianceJob,
    ComplianceJob,
    ComplianceJobs,
    DirectMessageMedia,
    Usage,
}

/// How many calls X allows before its headers say more; `None` where X names no limit.
///
/// Source: X's rate-limit table and, where a guide of X's differs, the lower of the two. The
/// guide's 300 posts in three hours fit no window here: X's headers and refusals tell of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartingLimits {
    pub per_15_min_user: Option<u32>,
    pub per_15_min_app: Option<u32>,
    pub per_day_user: Option<u32>,
    pub per_day_app: Option<u32>,
}

impl Call {
    /// Every endpoint, for tables of windows.
    pub const ALL: [Self; 59] = [
        Self::CreatePost,
        Self::DeletePost,
        Self::HideReply,
        Self::PostLookup,
        Self::SearchRecent,
        Self::UserPosts,
        Self::UserLookup,
        Self::Me,
        Self::SendDirectMessageToPerson,
        Self::SendDirectMessageToConversation,
        Self::DirectMessagesWithPerson,
        Self::DirectMessagesOfConversation,
        Self::DirectMessageLookup,
        Self::DeleteDirectMessage,
        Self::MediaUpload,
        Self::MediaInitialize,
        Self::MediaAppend,
        Self::MediaFinalize,
        Self::MediaStatus,
        Self::MediaMetadata,
        Self::RegisterWebhook,
        Self::Webhooks,
        Self::ValidateWebhook,
        Self::DeleteWebhook,
        Self::ReplayWebhook,
        Self::SubscribeAccount,
        Self::AccountSubscription,
        Self::AccountSubscribers,
        Self::UnsubscribeAccount,
        Self::AccountSubscriptionCount,
        Self::V1RegisterWebhook,
        Self::V1Webhooks,
        Self::V1ValidateWebhook,
        Self::V1DeleteWebhook,
        Self::V1SubscribeAccount,
        Self::V1AccountSubscription,
        Self::V1AccountSubscribers,
        Self::V1UnsubscribeAccount,
        Self::V1AccountSubscriptionCount,
        Self::SubscribeActivity,
        Self::ActivitySubscriptions,
        Self::UpdateActivitySubscription,
        Self::DeleteActivitySubscriptions,
        Self::AppBearer,
        Self::RequestToken,
        Self::AccessToken,
        Self::InvalidateToken,
        Self::ExchangeCode,
        Self::RevokeToken,
        Self::Mentions,
        Self::DirectMessageEvents,
        Self::StreamConnect,
        Self::StreamRules,
        Self::ChangeStreamRules,
        Self::CreateComplianceJob,
        Self::ComplianceJob,
        Self::ComplianceJobs,
        Self::DirectMessageMedia,
        Self::Usage,
    ];

    /// As in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreatePost => "create_post",
            Self::DeletePost => "delete_post",
            Self::HideReply => "hide_reply",
            Self::PostLookup => "post_lookup",
            Self::SearchRecent => "search_recent",
            Self::UserPosts => "user_posts",
            Self::UserLookup => "user_lookup",
            Self::Me => "me",
            Self::SendDirectMessageToPerson => "send_direct_message_to_person",
            Self::SendDirectMessageToConversation => "send_direct_message_to_conversation",
            Self::DirectMessagesWithPerson => "direct_messages_with_person",
            Self::DirectMessagesOfConversation => "direct_messages_of_conversation",
            Self::DirectMessageLookup => "direct_message_lookup",
            Self::DeleteDirectMessage => "delete_direct_message",
            Self::MediaUpload => "media_upload",
            Self::MediaInitialize => "media_initialize",
            Self::MediaAppend => "media_append",
            Self::MediaFinalize => "media_finalize",
            Self::MediaStatus => "media_status",
            Self::MediaMetadata => "media_metadata",
            Self::RegisterWebhook => "register_webhook",
            Self::Webhooks => "webhooks",
            Self::ValidateWebhook => "validate_webhook",
            Self::DeleteWebhook => "delete_webhook",
            Self::ReplayWebhook => "replay_webhook",
            Self::SubscribeAccount => "subscribe_account",
            Self::AccountSubscription => "account_subscription",
            Self::AccountSubscribers => "account_subscribers",
            Self::UnsubscribeAccount => "unsubscribe_account",
            Self::AccountSubscriptionCount => "account_subscription_count",
            Self::V1RegisterWebhook => "v1_register_webhook",
            Self::V1Webhooks => "v1_webhooks",
            Self::V1ValidateWebhook => "v1_validate_webhook",
            Self::V1DeleteWebhook => "v1_delete_webhook",
            Self::V1SubscribeAccount => "v1_subscribe_account",
            Self::V1AccountSubscription => "v1_account_subscription",
            Self::V1AccountSubscribers => "v1_account_subscribers",
            Self::V1UnsubscribeAccount => "v1_unsubscribe_account",
            Self::V1AccountSubscriptionCount => "v1_account_subscription_count",
            Self::SubscribeActivity => "subscribe_activity",
            Self::ActivitySubscriptions => "activity_subscriptions",
            Self::UpdateActivitySubscription => "update_activity_subscription",
            Self::DeleteActivitySubscriptions => "delete_activity_subscriptions",
            Self::AppBearer => "app_bearer",
            Self::RequestToken => "request_token",
            Self::AccessToken => "access_token",
            Self::InvalidateToken => "invalidate_token",
            Self::ExchangeCode => "exchange_code",
            Self::RevokeToken => "revoke_token",
            Self::Mentions => "mentions",
            Self::DirectMessageEvents => "direct_message_events",
            Self::StreamConnect => "stream_connect",
            Self::StreamRules => "stream_rules",
            Self::ChangeStreamRules => "change_stream_rules",
            Self::CreateComplianceJob => "create_compliance_job",
            Self::ComplianceJob => "compliance_job",
            Self::ComplianceJobs => "compliance_jobs",
            Self::DirectMessageMedia => "direct_message_media",
            Self::Usage => "usage",
        }
    }

    /// The windows to start with, before the first headers came.
    pub fn window(self) -> StartingLimits {
        match self {
            Self::CreatePost => user(100).a_day(None, Some(10_000)),
            Self::DeletePost | Self::HideReply => user(50),
            Self::PostLookup => user(5_000).app(3_500),
            Self::SearchRecent => user(300).app(450),
            Self::UserPosts => user(900).app(10_000),
            Self::UserLookup => user(900).app(300),
            Self::Me => user(75),
            // A guide says 1,000 a day and user where the table says 1,440.
            Self::SendDirectMessageToPerson | Self::SendDirectMessageToConversation => {
                user(15).a_day(Some(1_000), Some(1_440))
            }
            Self::DirectMessagesWithPerson
            | Self::DirectMessagesOfConversation
            | Self::DirectMessageLookup => user(15),
            Self::DeleteDirectMessage => user(300).a_day(Some(1_500), Some(4_000)),
            Self::MediaUpload | Self::MediaMetadata => user(500).a_day(None, Some(50_000)),
            Self::MediaStatus => user(1_000).a_day(None, Some(100_000)),
            Self::MediaInitialize | Self::MediaAppend | Self::MediaFinalize => {
                user(1_875).a_day(None, Some(180_000))
            }
            Self::RegisterWebhook
            | Self::Webhooks
            | Self::ValidateWebhook
            | Self::DeleteWebhook => app(450),
            Self::ReplayWebhook => app(100),
            // The figures of v1.1 are those of the last full text of its enterprise page.
            Self::V1RegisterWebhook
            | Self::V1Webhooks
            | Self::V1ValidateWebhook
            | Self::V1DeleteWebhook
            | Self::V1AccountSubscriptionCount => app(15),
            Self::V1SubscribeAccount | Self::V1AccountSubscription | Self::V1UnsubscribeAccount => {
                app(500)
            }
            Self::V1AccountSubscribers => app(50),
            Self::SubscribeActivity
            | Self::ActivitySubscriptions
            | Self::UpdateActivitySubscription
            | Self::DeleteActivitySubscriptions => app(500),
            // Not documented: X's headers tell.
            Self::SubscribeAccount
            | Self::AccountSubscription
            | Self::AccountSubscribers
            | Self::UnsubscribeAccount
            | Self::AccountSubscriptionCount
            | Self::AppBearer
            | Self::RequestToken
            | Self::AccessToken
            | Self::InvalidateToken
            | Self::ExchangeCode
            | Self::RevokeToken => StartingLimits::default(),
            Self::Mentions => user(300).app(450),
            Self::DirectMessageEvents => user(15),
            Self::StreamConnect | Self::Usage => app(50),
            Self::StreamRules => app(450),
            Self::ChangeStreamRules => app(100),
            Self::CreateComplianceJob | Self::ComplianceJob | Self::ComplianceJobs => app(150),
            Self::DirectMessageMedia => StartingLimits::default(),
        }
    }

    /// Whether it is a call of Account Activity v1.1, which is in no OpenAPI of X's.
    pub(super) fn is_v1(self) -> bool {
        matches!(
            self,
            Self::V1RegisterWebhook
                | Self::V1Webhooks
                | Self::V1ValidateWebhook
                | Self::V1DeleteWebhook
                | Self::V1SubscribeAccount
                | Self::V1AccountSubscription
                | Self::V1AccountSubscribers
                | Self::V1UnsubscribeAccount
                | Self::V1AccountSubscriptionCount
        )
    }

    /// Whether X's documents disagree which kind of a person's credential it takes, so that any
    /// refusal of one may be a matter of its kind.
    pub(super) fn takes_who_knows_what(self) -> bool {
        matches!(
            self,
            Self::SubscribeAccount | Self::AccountSubscription | Self::SubscribeActivity
        )
    }

    /// Whether X takes this kind of credential for it. Source: `security` of X's OpenAPI, and for
    /// v1.1 the pages that it once had.
    pub(super) fn takes(self, context: Context) -> bool {
        match context {
            Context::OAuth1 => {
                !self.is_for_bearers_only()
                    && !matches!(self, Self::MediaMetadata | Self::DirectMessageMedia)
            }
            Context::OAuth2 => !self.is_for_bearers_only() && !self.is_the_owners(),
            Context::Bearer => self.takes_bearer(),
        }
    }

    fn takes_bearer(self) -> bool {
        self.is_for_bearers_only()
            || matches!(
                self,
                Self::PostLookup
                    | Self::SearchRecent
                    | Self::UserPosts
                    | Self::UserLookup
                    | Self::Mentions
                    | Self::RegisterWebhook
                    | Self::ValidateWebhook
                    | Self::DeleteWebhook
                    | Self::V1Webhooks
                    | Self::V1ValidateWebhook
                    | Self::SubscribeActivity
            )
    }

    fn is_for_bearers_only(self) -> bool {
        matches!(
            self,
            Self::Webhooks
                | Self::ReplayWebhook
                | Self::AccountSubscribers
                | Self::UnsubscribeAccount
                | Self::AccountSubscriptionCount
                | Self::V1AccountSubscribers
                | Self::V1UnsubscribeAccount
                | Self::V1AccountSubscriptionCount
                | Self::ActivitySubscriptions
                | Self::UpdateActivitySubscription
                | Self::DeleteActivitySubscriptions
                | Self::StreamConnect
                | Self::StreamRules
                | Self::ChangeStreamRules
                | Self::CreateComplianceJob
                | Self::ComplianceJob
                | Self::ComplianceJobs
                | Self::Usage
        )
    }

    /// Nobody's OAuth 2.0 token will do.
    fn is_the_owners(self) -> bool {
        self.is_v1()
            || matches!(
                self,
                Self::RegisterWebhook
                    | Self::ValidateWebhook
                    | Self::DeleteWebhook
                    | Self::InvalidateToken
            )
    }
}

fn app(per_15_min: u32) -> StartingLimits {
    StartingLimits::default().app(per_15_min)
}

fn user(per_15_min: u32) -> StartingLimits {
    StartingLimits {
        per_15_min_user: Some(per_15_min),
        ..StartingLimits::default()
    }
}

impl StartingLimits {
    fn app(self, per_15_min: u32) -> Self {
        Self {
            per_15_min_app: Some(per_15_min),
            ..self
        }
    }

    fn a_day(self, user: Option<u32>, app: Option<u32>) -> Self {
        Self {
            per_day_user: user,
            per_day_app: app,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_call_has_a_name_of_its_own_and_some_credential() {
        let names: HashSet<_> = Call::ALL.iter().map(|call| call.name()).collect();
        assert_eq!(names.len(), Call::ALL.len());
        for call in Call::ALL {
            let contexts = [Context::OAuth1, Context::OAuth2, Context::Bearer];
            assert!(contexts.into_iter().any(|it| call.takes(it)), "{call:?}");
        }
    }

    #[test]
    fn what_commands_call_has_a_window_for_users_and_what_apps_call_one_for_apps() {
        for call in Call::ALL {
            let window = call.window();
            let expected = match call {
                Call::SubscribeActivity => (false, true),
                _ if call.is_v1() || call.is_for_bearers_only() => {
                    (false, window != StartingLimits::default())
                }
                Call::RegisterWebhook | Call::ValidateWebhook | Call::DeleteWebhook => {
                    (false, true)
                }
                _ if window == StartingLimits::default() => (false, false),
                _ => (true, window.per_15_min_app.is_some()),
            };
            let found = (
                window.per_15_min_user.is_some(),
                window.per_15_min_app.is_some(),
            );
            assert_eq!(found, expected, "{call:?}");
        }
    }

    #[test]
    fn the_lower_of_two_figures_holds() {
        let message = Call::SendDirectMessageToPerson.window();
        assert_eq!(
            (
                message.per_15_min_user,
                message.per_day_user,
                message.per_day_app
            ),
            (Some(15), Some(1_000), Some(1_440))
        );
        assert_eq!(Call::CreatePost.window().per_15_min_user, Some(100));
        assert_eq!(Call::UserLookup.window().per_15_min_app, Some(300));
    }
}
