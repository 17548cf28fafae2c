//! The apps registered at X and our accounts that are linked through them.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use url::Url;

use super::ids::{AccountId, UserId};
use super::money::Usd;

/// Which subscriptions we keep at X. Any app's webhook takes every form of delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// X Activity API.
    Activity,
    /// Account Activity v2.
    AccountActivity,
    /// Account Activity v1.1 premium, which names its webhooks by dev environment.
    AccountActivityV1 { environment: String },
}

/// Which of X's rules and prices hold for an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    SelfServe,
    Enterprise,
}

/// An app of X's developer console.
#[derive(Clone, Debug)]
pub struct App {
    /// The `{app}` of the webhook URL.
    pub name: String,
    pub consumer_key: String,
    /// Signs CRC answers and is what deliveries are signed with.
    pub consumer_secret: SecretString,
    /// While rotating: deliveries signed with this one are still taken.
    pub previous_consumer_secret: Option<SecretString>,
    /// `None`: obtained from X with key and secret.
    pub bearer_token: Option<SecretString>,
    /// OAuth 2.0, where the app has it.
    pub client_id: Option<String>,
    pub client_secret: Option<SecretString>,
    /// Of the account that owns the app: X takes the v1.1 webhook calls from nobody else.
    pub owner_token: Option<AccessToken>,
    pub delivery: Delivery,
    pub tier: Tier,
    /// Where its deliveries are passed on to, as they came.
    pub mirror: Vec<Url>,
}

/// The stop switch for what leaves for X; ordered from the most to the least that goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sending {
    #[default]
    Live,
    /// Commands are accepted and wait.
    Hold,
    /// Commands fail at once.
    Refuse,
}

impl Sending {
    /// What holds where the service and an account are switched apart: the stricter.
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

/// Optional reads of X on the way in; each is charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enrich {
    /// The posts above a reply whose thread is not known.
    pub parents: bool,
    /// The author's profile where the delivery lacks it.
    pub profiles: bool,
}

/// How posts are found that fit a term of the account's filters: no webhook brings them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keywords {
    /// Only what X delivers for other reasons.
    #[default]
    None,
    /// A stream that we open, one for each app.
    Stream,
    /// Recent search, again and again.
    Search,
}

/// Whether the mentions timeline is read beside the webhooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PollMentions {
    /// Where X Activity delivers, which leaves out replies to replies.
    #[default]
    Auto,
    On,
    Off,
}

/// What is read of X beside its webhooks; each item is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feeds {
    pub keywords: Keywords,
    /// From one search to the next.
    pub search_every: Duration,
    pub poll_mentions: PollMentions,
    /// From one look at the mentions to the next, where something comes.
    pub mentions_every: Duration,
}

impl Default for Feeds {
    fn default() -> Self {
        Self {
            keywords: Keywords::default(),
            search_every: Duration::from_secs(60),
            poll_mentions: PollMentions::default(),
            mentions_every: Duration::from_secs(60),
        }
    }
}

impl Feeds {
    /// Whether the mentions timeline is read, of an account of an app with this delivery.
    pub fn polls_mentions(&self, delivery: &Delivery) -> bool {
        match self.poll_mentions {
            PollMentions::Auto => *delivery == Delivery::Activity,
            PollMentions::On => true,
            PollMentions::Off => false,
        }
    }
}

/// OAuth 1.0a user context.
#[derive(Clone, Debug)]
pub struct AccessToken {
    pub token: SecretString,
    pub secret: SecretString,
}

/// OAuth 2.0 user context, as X gave it last. A refresh token works once: the pair that replaces
/// this one has to be stored before it is used.
#[derive(Clone, Debug)]
pub struct TokenPair {
    pub access_token: SecretString,
    pub refresh_token: SecretString,
    /// When the access token ends; X gives it two hours.
    pub expires_at: Timestamp,
    /// As X lists them, apart by blanks; empty where X does not say.
    pub scopes: String,
}

/// How an account was linked by its owner's consent, not by the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linking {
    pub at: Timestamp,
    /// A pair of OAuth 2.0 tokens lies in the store.
    pub oauth2: bool,
}

/// One of our accounts at X.
#[derive(Clone, Debug)]
pub struct Account {
    /// Name of the [`App`] that it is linked through.
    pub app: String,
    pub id: AccountId,
    /// Without `@`.
    pub username: String,
    pub access_token: Option<AccessToken>,
    /// Seeds the rotated OAuth 2.0 pairs, which live in the store.
    pub oauth2_refresh_token: Option<SecretString>,
    /// `None`: by the configuration.
    pub linking: Option<Linking>,
    pub sending: Sending,
    /// People of whom this account wants nothing, whatever X's own block list says.
    pub blocked: BTreeSet<UserId>,
    /// What X may charge for it in a calendar month before optional reads stop.
    pub monthly_budget: Option<Usd>,
    /// Longest post, weighted characters; `None`: by the account's plan at X.
    pub max_post_length: Option<u32>,
    /// Which reads of X make events fuller.
    pub enrich: Enrich,
    /// Which reads of X bring what no webhook does.
    pub feeds: Feeds,
}

impl Account {
    /// Whether calls can be made in its name.
    pub fn has_credential(&self) -> bool {
        self.access_token.is_some() || self.has_oauth2()
    }

    /// Whether it has, or had once, a pair of OAuth 2.0 tokens.
    pub fn has_oauth2(&self) -> bool {
        self.oauth2_refresh_token.is_some() || self.linking.is_some_and(|it| it.oauth2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_are_polled_beside_x_activity_unless_told_otherwise() {
        let polls = |poll_mentions, delivery: Delivery| {
            let feeds = Feeds {
                poll_mentions,
                ..Feeds::default()
            };
            feeds.polls_mentions(&delivery)
        };
        assert!(polls(PollMentions::Auto, Delivery::Activity));
        assert!(!polls(PollMentions::Auto, Delivery::AccountActivity));
        assert!(polls(PollMentions::On, Delivery::AccountActivity));
        assert!(!polls(PollMentions::Off, Delivery::Activity));
    }

    #[test]
    fn the_stricter_of_two_stop_switches_holds() {
        assert_eq!(Sending::Live.and(Sending::Hold), Sending::Hold);
        assert_eq!(Sending::Refuse.and(Sending::Hold), Sending::Refuse);
        assert_eq!(Sending::Live.and(Sending::Live), Sending::Live);
    }
}
