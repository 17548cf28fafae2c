//! Settings of what the service does between its adapters.

use std::time::Duration;

use crate::domain::account::Sending;
use crate::flow::upkeep::Retention;
use crate::settings::declared::sending;
use crate::settings::reader::Reader;
use crate::settings::value::{self, BaseUrl, SecretKey};
use crate::telemetry::traces::TraceSettings;
use crate::telemetry::{LogFormat, LogSettings};

/// Keys of our own.
#[derive(Debug)]
pub struct Secrets {
    /// Encrypts credentials at rest; `None`: none can be kept.
    pub key: Option<SecretKey>,
}

/// How X is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XApi {
    pub base_url: BaseUrl,
    /// After it, whether X did it is uncertain.
    pub call_timeout: Duration,
    /// How often what X has set up is compared with what is wanted.
    pub keep_every: Duration,
    /// Whether webhooks and subscriptions are kept right; only ever where `public.url` is set.
    pub manage_webhooks: bool,
    /// How long after a post was made X's search knows it.
    pub search_lag: Duration,
}

/// When an uncertain post is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconcile {
    /// After the call ended.
    pub first_read: Duration,
    /// After the first read.
    pub second_read: Duration,
}

/// Whether X is asked once a day which published posts are to be shown no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compliance {
    pub check: ComplianceCheck,
    /// For apps that may not have jobs, posts are looked up by id, which X charges.
    pub look_up: bool,
}

/// By itself or on request only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComplianceCheck {
    Auto,
    Off,
}

/// How the service stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// For all of it; whole seconds.
    pub grace: Duration,
    /// At most so long connections are waited for that clients are asked to use no more.
    pub farewell: Duration,
}

/// How gaps are filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// A replay of X whose end has not come by then is ordered again.
    pub replay_end_within: Duration,
}

/// How replicas agree on who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// How long a leader leads that is not heard of any more.
    pub lease: Duration,
}

/// What holds for commands that do not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    pub expire_after: Duration,
    /// The stop switch of the service; see [`Sending::and`] for that of an account.
    pub sending: Sending,
}

pub(super) fn secrets(r: &mut Reader<'_>) -> Option<Secrets> {
    Some(Secrets {
        key: r.secret_as("key", value::secret_key),
    })
}

pub(super) fn x_api(r: &mut Reader<'_>) -> Option<XApi> {
    let base_url = r.required("base_url", value::base_url);
    let call_timeout = r.required("call_timeout", value::duration);
    let keep_every = r.required("keep_every", value::duration);
    let manage_webhooks = r.required("manage_webhooks", value::boolean);
    let search_lag = r.required("search_lag", value::duration);
    Some(XApi {
        base_url: base_url?,
        call_timeout: call_timeout?,
        search_lag: search_lag?,
        keep_every: keep_every?,
        manage_webhooks: manage_webhooks?,
    })
}

pub(super) fn replicas(r: &mut Reader<'_>) -> Option<Replicas> {
    Some(Replicas {
        lease: r.required("lease", value::duration)?,
    })
}

pub(super) fn reconcile(r: &mut Reader<'_>) -> Option<Reconcile> {
    let first_read = r.required("first_read", value::duration);
    let second_read = r.required("second_read", value::duration);
    Some(Reconcile {
        first_read: first_read?,
        second_read: second_read?,
    })
}

pub(super) fn compliance(r: &mut Reader<'_>) -> Option<Compliance> {
    let checks = [
        ("auto", ComplianceCheck::Auto),
        ("off", ComplianceCheck::Off),
    ];
    let check = r.required("check", value::one_of(&checks));
    let look_up = r.required("look_up", value::boolean);
    Some(Compliance {
        check: check?,
        look_up: look_up?,
    })
}

pub(super) fn stop(r: &mut Reader<'_>) -> Option<Stop> {
    let grace = r.required("grace", value::whole_seconds);
    let farewell = r.required("farewell", value::duration);
    Some(Stop {
        grace: grace?,
        farewell: farewell?,
    })
}

pub(super) fn gaps(r: &mut Reader<'_>) -> Option<Gaps> {
    let replay_end_within = r.required("replay_end_within", value::duration);
    Some(Gaps {
        replay_end_within: replay_end_within?,
    })
}

pub(super) fn commands(r: &mut Reader<'_>) -> Option<Commands> {
    let expire_after = r.required("expire_after", value::duration);
    let sending = r.required("sending", sending);
    Some(Commands {
        expire_after: expire_after?,
        sending: sending?,
    })
}

/// How long bodies are kept, and all else that holds words of people.
pub(super) fn retention(r: &mut Reader<'_>) -> Option<(Duration, Retention)> {
    let bodies = r.required("bodies", value::duration);
    let commands = r.required("commands", value::duration);
    let quarantine = r.required("quarantine", value::duration);
    let audit = r.required("audit", value::duration);
    let retention = Retention {
        commands: commands?,
        quarantine: quarantine?,
        audit: audit?,
    };
    Some((bodies?, retention))
}

pub(super) fn telemetry(r: &mut Reader<'_>) -> Option<TraceSettings> {
    let endpoint = r.optional("otlp_endpoint", value::base_url);
    let authorization = r.secret_as("otlp_authorization", value::header);
    let timeout = r.required("otlp_timeout", value::duration);
    let ratio = r.required("sample_ratio", value::ratio);
    let name = r.required("service_name", value::text);
    let instance = r.optional("instance", value::text);
    Some(TraceSettings {
        otlp_endpoint: endpoint.map(|url| url.as_url().clone()),
        otlp_authorization: authorization,
        otlp_timeout: timeout?,
        sample_ratio: ratio?,
        service_name: name?,
        instance,
    })
}

pub(super) fn log(r: &mut Reader<'_>) -> Option<LogSettings> {
    let formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
    let format = r.required("format", value::one_of(&formats));
    let level = r.required("level", value::log_level);
    Some(LogSettings {
        format: format?,
        level: level?,
    })
}
