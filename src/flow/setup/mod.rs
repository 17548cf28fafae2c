//! X's side of the set-up: whether an app's keys are right (`check`), its webhook (`webhooks`), for
//! whom X delivers (`subscriptions`), and all of it looked at and mended every few minutes
//! (`keeper`).

mod activity;
mod check;
mod keeper;
mod signatures;
mod subscriptions;
mod troubles;
mod webhooks;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Mutex, Notify};

use crate::domain::account::App;
use crate::flow::reply::result_name;
use crate::settings::BaseUrl;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics;
use crate::x::challenge::{ChallengeFault, Challenger, NoChallenger, Passed};
use crate::x::client::{AppCheck, CallError, Client, CrcFault, Obstacle, Reply, Webhook};
use crate::x::signature::WebhookSecret;

pub use check::{CHECKED, Finding, KEYS_WRONG, UNCHECKED};
pub use keeper::{Keeper, KeeperParts};
pub use signatures::Signatures;
pub use webhooks::{Found, Listed, Registered};

/// The longest webhook that X takes, characters.
const LONGEST_WEBHOOK: usize = 200;
/// The host of X itself, not of what stands in for it.
const X: &str = "api.x.com";

/// Sets things up at X, for whoever asks: the keeper, API, console and command line.
pub struct Setup {
    store: Store,
    client: Arc<Client>,
    own: Option<Own>,
    /// One change of webhooks at a time.
    changing: Mutex<()>,
    /// Something was changed: time to look.
    changed: Notify,
    /// By app.
    last: std::sync::Mutex<HashMap<String, LastSeen>>,
}

/// What was last found of an app at X, since the service was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastSeen {
    /// When its keys were tested, and what was wrong; `None`: they were not.
    pub keys: Option<(Timestamp, Vec<Finding>)>,
    /// Whether X lists our webhook, and as valid; `None`: it was not asked.
    pub stands: Option<bool>,
}

/// How X reaches us.
struct Own {
    url: BaseUrl,
    /// Its rules hold before X itself only.
    is_x_real: bool,
    challenger: Challenger,
}

/// Why something was not done at X.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// X could not reach us.
    #[error("public.url is not set: X does not know where to deliver")]
    NoPublicUrl,
    /// X takes no such webhook.
    #[error("X takes no webhook {url}: {rule}")]
    BadUrl { url: String, rule: &'static str },
    /// Our address does not answer us as X wants it.
    #[error("{url} cannot be a webhook: {fault}")]
    Unreachable { url: String, fault: ChallengeFault },
    /// Webhooks that are not this service's take the place; nothing was deleted.
    #[error("{}", webhooks::in_the_way(.app, .found))]
    InTheWay { app: String, found: Vec<Found> },
    /// These were deleted, but ours could not be registered.
    #[error("{} deleted, but then: {source}", webhooks::names(.deleted))]
    HalfDone {
        deleted: Vec<Webhook>,
        source: Box<SetupError>,
    },
    #[error("the app has no webhook {0}")]
    NoSuchWebhook(String),
    /// X did not do it.
    #[error("{doing}: {}", webhooks::why(.obstacle, .error))]
    X {
        doing: &'static str,
        obstacle: Option<Obstacle>,
        error: CallError,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SetupError {
    fn of<T>(doing: &'static str, reply: Reply<T>) -> Result<T, Self> {
        metrics::count_call(reply.call.name(), result_name(&reply.result));
        let obstacle = reply.obstacle();
        reply.result.map_err(|error| Self::X {
            doing,
            obstacle,
            error,
        })
    }

    /// What X said is in the way.
    pub fn obstacle(&self) -> Option<Obstacle> {
        match self {
            Self::X { obstacle, .. } => *obstacle,
            Self::HalfDone { source, .. } => source.obstacle(),
            _ => None,
        }
    }

    /// Whether X may do it later, unchanged.
    pub fn is_for_now(&self) -> bool {
        match self {
            Self::X { error, .. } => subscriptions::is_for_now(error),
            _ => false,
        }
    }

    /// What mends it, for who asked.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::NoPublicUrl => "Set public.url to the address at which X reaches this service.",
            Self::BadUrl { .. } => {
                "Give public.url https, no port, and a name short enough for 200 characters in all."
            }
            Self::Unreachable { fault, .. } => fix_of(fault),
            Self::InTheWay { .. } => {
                "Delete it yourself if it is not needed, or say --replace (in the API \"replace\": \
                 true): this app's webhooks that are listed are deleted then."
            }
            Self::HalfDone { source, .. } => source.fix(),
            Self::NoSuchWebhook(_) => {
                "List the app's webhooks: their ids change when they are made anew."
            }
            Self::X { obstacle, .. } => webhooks::fix(*obstacle),
            Self::Store(_) => "See the log, and the disk.",
        }
    }
}

fn fix_of(fault: &ChallengeFault) -> &'static str {
    match fault {
        ChallengeFault::Unreachable(_) | ChallengeFault::TooSlow => {
            "See name, firewall and proxy: public.url has to lead to public.listen, from here too."
        }
        ChallengeFault::Certificate(_) => {
            "Renew the certificate, and let the proxy send its whole chain."
        }
        ChallengeFault::Redirect(_) => {
            "Set public.url to the address itself: X takes a redirect for a broken webhook."
        }
        ChallengeFault::Status(_) | ChallengeFault::WrongAnswer => {
            "Something else answers at public.url: let the proxy pass /webhooks/twitter/ on, query \
             included, and see that no other deployment with other keys is behind it."
        }
    }
}

impl Setup {
    /// `public` is how X reaches us, `x` where X is.
    ///
    /// # Errors
    /// When our address is https and this machine has no root certificates.
    pub fn new(
        store: Store,
        client: Arc<Client>,
        public: Option<BaseUrl>,
        x: &BaseUrl,
    ) -> Result<Self, NoChallenger> {
        let is_x_real = x.host() == X;
        let own = public.map(|url| {
            let challenger = Challenger::new(url.as_url())?;
            Ok(Own {
                url,
                is_x_real,
                challenger,
            })
        });
        Ok(Self {
            store,
            client,
            own: own.transpose()?,
            changing: Mutex::default(),
            changed: Notify::new(),
            last: Default::default(),
        })
    }

    /// Whether X could be told where we are.
    pub fn has_public_url(&self) -> bool {
        self.own.is_some()
    }

    /// Tests an app's keys against X; nothing found means that what can be asked is right.
    pub async fn check_app(&self, app: &App) -> Vec<Finding> {
        let check = self.app_check(app).await;
        let found = check.faults.iter();
        found.map(|fault| check::finding(app, fault)).collect()
    }

    /// The same for an app as it is kept: what is found is remembered for [`Setup::last_seen`].
    pub async fn test_app(&self, app: &App) -> Vec<Finding> {
        let found = self.check_app(app).await;
        self.remember_check(&app.name, found.clone());
        found
    }

    /// Remembers what the keys were found to be as they were kept.
    pub fn remember_check(&self, app: &str, found: Vec<Finding>) {
        self.note(app, |last| last.keys = Some((now(), found)));
    }

    /// What was last found of an app, by whoever asked X.
    pub fn last_seen(&self, app: &str) -> LastSeen {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(app).cloned().unwrap_or_default()
    }

    fn note(&self, app: &str, change: impl FnOnce(&mut LastSeen)) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        change(last.entry(app.to_owned()).or_default());
    }

    /// What keeps our address from being a webhook of an app, as far as that is seen in it;
    /// [`Setup::try_address`] asks it.
    ///
    /// # Errors
    /// [`SetupError::NoPublicUrl`], [`SetupError::BadUrl`].
    pub fn check_address(&self, app: &str) -> Result<String, SetupError> {
        let own = self.own()?;
        let url = own.url.webhook(app);
        match own.broken_rule(&url) {
            Some(rule) => Err(SetupError::BadUrl { url, rule }),
            None => Ok(url),
        }
    }

    /// Challenges our address for an app, as X does.
    ///
    /// # Errors
    /// As [`Setup::check_address`], and [`SetupError::Unreachable`].
    pub async fn try_address(&self, app: &App) -> Result<Passed, SetupError> {
        let (_url, passed) = self.challenge(app).await?;
        Ok(passed)
    }

    async fn app_check(&self, app: &App) -> AppCheck {
        self.client.check_app(app, app.owner_token.as_ref()).await
    }

    fn own(&self) -> Result<&Own, SetupError> {
        self.own.as_ref().ok_or(SetupError::NoPublicUrl)
    }

    /// Our webhook, once it answers us as it has to answer X.
    async fn challenge(&self, app: &App) -> Result<(String, Passed), SetupError> {
        let url = self.check_address(&app.name)?;
        let own = self.own()?;
        let previous = app.previous_consumer_secret.iter();
        let secrets: Vec<_> = std::iter::once(&app.consumer_secret)
            .chain(previous)
            .map(|secret| WebhookSecret::new(secret.clone()))
            .collect();
        match own.challenger.challenge(&url, &secrets).await {
            Ok(passed) => Ok((url, passed)),
            Err(fault) => Err(SetupError::Unreachable { url, fault }),
        }
    }
}

impl Own {
    /// X's rules; they do not hold on this machine, nor before what stands in for X.
    fn broken_rule(&self, webhook: &str) -> Option<&'static str> {
        if self.url.is_loopback() || !self.is_x_real {
            return None;
        }
        if !self.url.has_https_and_no_port() {
            return Some("it has to begin with https:// and to name no port");
        }
        let is_long = webhook.chars().count() > LONGEST_WEBHOOK;
        is_long.then_some("it has more than 200 characters")
    }
}

/// Where the board says that a fault concerns the answer to X's challenge.
fn crc_words(fault: CrcFault) -> &'static str {
    match fault {
        CrcFault::WrongAnswer => "X was given a wrong answer to its challenge",
        CrcFault::TooSlow => "X's challenge was not answered within 3 seconds",
        CrcFault::Status => "X's challenge was answered with another status than 200",
        CrcFault::Unreachable => "X could not connect to our address",
        CrcFault::Unsaid => "our address did not pass X's challenge",
    }
}

/// The time by which a round's work is dated.
fn now() -> Timestamp {
    Timestamp::now()
}
