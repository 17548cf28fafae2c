//! The rules of this X where its pages are silent or contradict each other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the API side behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiSettings {
    /// What the apps have bought.
    pub tier: Tier,
    /// Whether the names that X itself puts before a reply summon whom they name.
    pub inherited_mentions_summon: bool,
    /// Whether a self-serve app may reply to posts of its own account.
    pub replies_to_own_posts: bool,
    /// How long a text of the same account counts as a duplicate.
    pub duplicate_window_s: u64,
    /// In weighted characters, for who pays nothing.
    pub post_limit: usize,
    /// The same for who pays.
    pub premium_post_limit: usize,
    /// In characters.
    pub message_limit: usize,
    /// How old the newest post is that a search finds.
    pub search_lag_s: u64,
    /// How far an OAuth 1.0a time stamp may be off.
    pub oauth_leeway_s: u64,
    /// How long an OAuth 2.0 access token lives.
    pub access_token_life_s: u64,
    /// How long an OAuth 2.0 authorization code lives.
    pub code_life_s: u64,
    /// How many webhooks a developer account has; as the tier says when absent.
    pub webhook_limit: Option<usize>,
    /// How many accounts an app has in Account Activity; as the tier says when absent.
    pub account_activity_limit: Option<usize>,
    /// How many subscriptions an app has in X Activity; as the tier says when absent.
    pub activity_limit: Option<usize>,
    /// How a new subscription of X Activity is told.
    pub activity_answer: ActivityAnswer,
    /// How long an upload can be used.
    pub media_life_s: u64,
    /// After so many looks a video or GIF is processed; 0: at once.
    pub processing_looks: u32,
    /// What X says of how long to wait before the next look.
    pub check_after_s: u32,
    /// Whether windows are counted at all.
    pub enforce_limits: bool,
    /// What becomes of deliveries of what the API did.
    pub echo: Echo,
    /// How many calls the record keeps.
    pub kept_calls: usize,
    /// The time without a post after which the stream sends a blank line.
    pub stream_heartbeat_ms: u64,
    /// What becomes of an app's second connection to the stream.
    pub second_stream: SecondStream,
    /// After so many looks a compliance job is complete, counted from its upload.
    pub compliance_looks: u32,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            tier: Tier::SelfServe,
            inherited_mentions_summon: true,
            replies_to_own_posts: true,
            duplicate_window_s: 24 * 3600,
            post_limit: 280,
            premium_post_limit: 25_000,
            message_limit: 10_000,
            search_lag_s: 30,
            oauth_leeway_s: 300,
            access_token_life_s: 7200,
            code_life_s: 30,
            webhook_limit: None,
            account_activity_limit: None,
            activity_limit: None,
            activity_answer: ActivityAnswer::default(),
            media_life_s: 24 * 3600,
            processing_looks: 2,
            check_after_s: 1,
            enforce_limits: true,
            echo: Echo::default(),
            kept_calls: 10_000,
            stream_heartbeat_ms: 20_000,
            second_stream: SecondStream::Refused,
            compliance_looks: 1,
        }
    }
}

impl ApiSettings {
    /// X's page of Account Activity: "5+" for who pays by contract.
    pub(crate) fn webhooks(&self) -> usize {
        let usual = self.tier.choose(1, 5);
        self.webhook_limit.unwrap_or(usual)
    }

    /// The same page.
    pub(crate) fn account_activity(&self) -> usize {
        let usual = self.tier.choose(3, 5_000);
        self.account_activity_limit.unwrap_or(usual)
    }

    /// X's page of X Activity.
    pub(crate) fn activity(&self) -> usize {
        let usual = self.tier.choose(1_500, 75_000);
        self.activity_limit.unwrap_or(usual)
    }
}

/// How a new subscription of X Activity is told: X's pages and its specification have three ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivityAnswer {
    /// `data` is the subscription.
    #[default]
    Object,
    /// `data` is an array of it.
    Array,
    /// `data.subscription` is it.
    Wrapped,
}

/// What an app has bought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Pay per use: replies only where summoned, no quotes, one cashtag.
    #[default]
    SelfServe,
    /// None of these rules.
    Enterprise,
}

impl Tier {
    fn choose(self, self_serve: usize, enterprise: usize) -> usize {
        match self {
            Self::SelfServe => self_serve,
            Self::Enterprise => enterprise,
        }
    }
}

/// What becomes of an app's second connection to the stream; X's pages say both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondStream {
    /// 429, `TooManyConnections`.
    #[default]
    Refused,
    /// It is taken, and the first one ends.
    ReplacesFirst,
}

/// What becomes of the deliveries of what an app did by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Echo {
    /// When they go out.
    pub when: EchoWhen,
    /// How much later than that.
    pub delay_ms: u64,
}

impl Echo {
    /// At the moment of the effect; the answer may be faster or slower.
    pub const AT_ONCE: Self = Self {
        when: EchoWhen::WithEffect,
        delay_ms: 0,
    };
    /// The answer waits until the first attempt of every delivery is over.
    pub const BEFORE_ANSWER: Self = Self {
        when: EchoWhen::BeforeAnswer,
        delay_ms: 0,
    };
    /// X tells nobody.
    pub const NEVER: Self = Self {
        when: EchoWhen::Never,
        delay_ms: 0,
    };

    /// That much after the effect.
    pub fn after(delay: Duration) -> Self {
        Self {
            when: EchoWhen::WithEffect,
            delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// When deliveries of what an app did go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EchoWhen {
    /// At the moment of the effect.
    #[default]
    WithEffect,
    /// At the moment of the effect; the answer waits for the first attempts to be over.
    BeforeAnswer,
    /// Never.
    Never,
}
