//! The endpoints of X that the service calls. Each has rate windows of its own.

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
    pub const ALL: [Self; 30] = [
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
            Self::Mentions => user(300).app(450),
            Self::DirectMessageEvents => user(15),
            Self::StreamConnect | Self::Usage => app(50),
            Self::StreamRules => app(450),
            Self::ChangeStreamRules => app(100),
            Self::CreateComplianceJob | Self::ComplianceJob | Self::ComplianceJobs => app(150),
            Self::DirectMessageMedia => StartingLimits::default(),
        }
    }

    /// Whether X takes OAuth 1.0a for it. Source: `security` of X's OpenAPI.
    pub(super) fn takes_oauth1(self) -> bool {
        !matches!(self, Self::MediaMetadata | Self::DirectMessageMedia) && !self.is_for_apps()
    }

    /// Whether X takes the app's bearer for it. Source: `security` of X's OpenAPI.
    pub(super) fn takes_bearer(self) -> bool {
        matches!(
            self,
            Self::PostLookup
                | Self::SearchRecent
                | Self::UserPosts
                | Self::UserLookup
                | Self::Mentions
        ) || self.is_for_apps()
    }

    /// Whether X takes the app's bearer and nothing else.
    fn is_for_apps(self) -> bool {
        matches!(
            self,
            Self::StreamConnect
                | Self::StreamRules
                | Self::ChangeStreamRules
                | Self::CreateComplianceJob
                | Self::ComplianceJob
                | Self::ComplianceJobs
                | Self::Usage
        )
    }
}

fn user(per_15_min: u32) -> StartingLimits {
    StartingLimits {
        per_15_min_user: Some(per_15_min),
        ..StartingLimits::default()
    }
}

fn app(per_15_min: u32) -> StartingLimits {
    StartingLimits::default().app(per_15_min)
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
    fn every_call_has_a_name_of_its_own_and_a_window_if_x_names_one() {
        let names: HashSet<_> = Call::ALL.iter().map(|call| call.name()).collect();
        assert_eq!(names.len(), Call::ALL.len());
        for call in Call::ALL {
            let window = call.window();
            let quarter = window.per_15_min_user.or(window.per_15_min_app);
            let is_named = call != Call::DirectMessageMedia;
            assert_eq!(quarter.is_some(), is_named, "{call:?}");
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
