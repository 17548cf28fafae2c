//! What X's API answers, of either version and of its OAuth endpoints.

use serde::{Deserialize, Deserializer};

use super::{Lenient, List, Raw, Text};

/// The envelope of v2. Errors may stand beside data.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Envelope<'a> {
    pub(crate) data: Option<Raw<'a>>,
    pub(crate) includes: Option<Raw<'a>>,
    pub(crate) errors: List<Problem<'a>>,
    pub(crate) meta: Lenient<Meta<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Meta<'a> {
    /// Absent on the last page.
    pub(crate) next_token: Text<'a>,
    /// Present, if only as 0, wherever an answer is a list.
    pub(crate) result_count: Lenient<u32>,
    /// The youngest id of a page of posts.
    pub(crate) newest_id: Text<'a>,
    /// Of a change of the stream's rules.
    pub(crate) summary: Lenient<RulesSummary>,
}

/// How many rules of the filtered stream a change took.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RulesSummary {
    pub(crate) deleted: Lenient<u32>,
    pub(crate) not_deleted: Lenient<u32>,
}

/// A rule of the filtered stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct StreamRule<'a> {
    pub(crate) id: Option<Raw<'a>>,
    pub(crate) value: Text<'a>,
    pub(crate) tag: Text<'a>,
}

/// A refusal: v2's problem, v1.1's code and message, or an OAuth endpoint's error.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Problem<'a> {
    #[serde(rename = "type")]
    pub(crate) type_: Text<'a>,
    pub(crate) title: Text<'a>,
    pub(crate) detail: Text<'a>,
    pub(crate) code: Lenient<u32>,
    pub(crate) message: Text<'a>,
    pub(crate) error: Text<'a>,
    pub(crate) error_description: Text<'a>,
    /// What a type leaves open, in one word: `client-not-enrolled`.
    pub(crate) reason: Text<'a>,
    /// The id that an error beside data is about.
    pub(crate) resource_id: Text<'a>,
    pub(crate) value: Text<'a>,
    /// Of a rule that is there already.
    pub(crate) id: Text<'a>,
    /// What is wrong with a rule.
    pub(crate) details: List<Text<'a>>,
    pub(crate) errors: List<Problem<'a>>,
}

/// A post that was made.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Created<'a> {
    pub(crate) id: Option<Raw<'a>>,
}

/// A direct message that was sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct DirectMessageSent<'a> {
    pub(crate) dm_event_id: Option<Raw<'a>>,
    pub(crate) dm_conversation_id: Text<'a>,
}

/// What is done, where there is nothing else to say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Done {
    pub(crate) deleted: Lenient<bool>,
    pub(crate) hidden: Lenient<bool>,
    pub(crate) valid: Lenient<bool>,
}

/// A webhook as X has it; v1.1 sends it bare, v2 in an envelope.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Webhook<'a> {
    pub(crate) id: Option<Raw<'a>>,
    pub(crate) url: Text<'a>,
    pub(crate) valid: Lenient<bool>,
    pub(crate) created_at: Text<'a>,
}

/// How a subscription of Account Activity stands.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Subscribed {
    pub(crate) subscribed: Lenient<bool>,
}

/// Whom a webhook of Account Activity is for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Subscribers<'a> {
    pub(crate) subscriptions: Lenient<Vec<Raw<'a>>>,
}

/// One of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Subscriber<'a> {
    pub(crate) user_id: Option<Raw<'a>>,
}

/// Numbers of subscriptions, as strings.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct SubscriptionCount<'a> {
    pub(crate) provisioned_count: Text<'a>,
    pub(crate) subscriptions_count_all: Text<'a>,
    /// An older name of the same.
    pub(crate) subscriptions_count: Text<'a>,
}

/// A subscription of X Activity, or what became of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ActivitySubscription<'a> {
    pub(crate) subscription_id: Option<Raw<'a>>,
    pub(crate) event_type: Text<'a>,
    pub(crate) filter: Lenient<ActivityFilter<'a>>,
    pub(crate) tag: Text<'a>,
    pub(crate) webhook_id: Option<Raw<'a>>,
    pub(crate) created_at: Text<'a>,
    /// Only of one that was to be deleted.
    pub(crate) deleted: Lenient<bool>,
    /// Only of one that could not be.
    pub(crate) message: Text<'a>,
    pub(crate) reason: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ActivityFilter<'a> {
    pub(crate) user_id: Option<Raw<'a>>,
}

/// A replay that X has begun.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ReplayJob<'a> {
    pub(crate) job_id: Text<'a>,
    pub(crate) created_at: Text<'a>,
}

/// An upload, begun or ended.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Upload<'a> {
    pub(crate) id: Option<Raw<'a>>,
    pub(crate) expires_after_secs: Lenient<u32>,
    pub(crate) processing_info: Lenient<Processing<'a>>,
}

/// Where X is with a file; absent when there was nothing to do.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Processing<'a> {
    /// `pending`, `in_progress`, `succeeded` or `failed`.
    pub(crate) state: Text<'a>,
    pub(crate) check_after_secs: Lenient<u32>,
    pub(crate) error: Lenient<ProcessingError<'a>>,
}

/// Not in X's documents of v2; v1.1 had it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ProcessingError<'a> {
    pub(crate) name: Text<'a>,
    pub(crate) message: Text<'a>,
}

/// An answer of a token endpoint.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Token<'a> {
    pub(crate) access_token: Text<'a>,
    pub(crate) refresh_token: Text<'a>,
    pub(crate) expires_in: Lenient<u32>,
    pub(crate) scope: Text<'a>,
}

/// A direct message in the v2 form, which lookups carry.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct DirectMessageEvent<'a> {
    pub(crate) id: Option<Raw<'a>>,
    /// `MessageCreate`; joining and leaving are events too.
    pub(crate) event_type: Text<'a>,
    pub(crate) text: Text<'a>,
    pub(crate) sender_id: Option<Raw<'a>>,
    pub(crate) created_at: Text<'a>,
    pub(crate) dm_conversation_id: Text<'a>,
    pub(crate) entities: Lenient<super::v2::Entities<'a>>,
    pub(crate) attachments: Lenient<super::v2::Attachments<'a>>,
}

/// What a user object says of the one who asks.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Standing<'a> {
    pub(crate) receives_your_dm: Lenient<bool>,
    pub(crate) connection_status: List<Text<'a>>,
    pub(crate) subscription_type: Text<'a>,
}

/// Of the project that an app belongs to.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Usage<'a> {
    pub(crate) project_usage: Count,
    pub(crate) project_cap: Count,
    pub(crate) cap_reset_day: Lenient<u32>,
    pub(crate) daily_project_usage: Lenient<DailyUsage<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct DailyUsage<'a> {
    pub(crate) usage: List<UsageDay<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct UsageDay<'a> {
    pub(crate) date: Text<'a>,
    pub(crate) usage: Count,
}

/// A count, which X writes as a string and, by older pages, as a number.
#[derive(Debug, Default)]
pub(crate) struct Count(pub(crate) Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(deserializer)?.get();
        Ok(Self(raw.trim_matches('"').parse().ok()))
    }
}

/// A batch compliance job.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ComplianceJob<'a> {
    pub(crate) id: Option<Raw<'a>>,
    pub(crate) name: Text<'a>,
    pub(crate) status: Text<'a>,
    pub(crate) created_at: Text<'a>,
    pub(crate) upload_url: Text<'a>,
    pub(crate) upload_expires_at: Text<'a>,
    pub(crate) download_url: Text<'a>,
    pub(crate) download_expires_at: Text<'a>,
}

/// One line of a compliance job's results.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ComplianceResult<'a> {
    pub(crate) id: Option<Raw<'a>>,
    pub(crate) action: Text<'a>,
    pub(crate) reason: Text<'a>,
    pub(crate) created_at: Text<'a>,
    pub(crate) redacted_at: Text<'a>,
}
