//! The calls that apps make of X: checked as X checks them, with their effects in the same model
//! that deliveries come from, so that what an app posts comes back to it.
//!
//! ```text
//! wire ─▶ incoming ─▶ serve ─▶ auth ─▶ windows ─▶ ledger ─▶ posts, messages, media, users, ...
//!                       │ faults: before reading, before the effect, after it, in the answer
//!                       ▼
//!                     calls (what was asked and answered)
//! ```

mod answer;
mod auth;
mod calls;
mod compliance;
mod endpoint;
mod faults;
mod fields;
mod incoming;
mod ledger;
mod media;
mod message_media;
mod messages;
mod paging;
mod posts;
mod problem;
mod replay;
mod reply_rules;
mod rules;
mod search;
mod serve;
mod settings;
mod stream;
mod subscriptions;
mod timelines;
mod usage;
mod users;
mod webhooks;
mod windows;
mod wire;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::HttpRequest;
use actix_web::web::{Data, Payload, ServiceConfig, route};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

pub use auth::{ConsentError, Credentials, Decision, TokenSeen};
pub use calls::ApiCall;
pub use endpoint::Endpoint;
pub use faults::{Fault, FaultKind};
pub use ledger::{Bill, BillLine};
pub use settings::{ActivityAnswer, ApiSettings, Echo, EchoWhen, SecondStream, Tier};
pub use stream::StreamFault;
pub use windows::Limits;

pub(crate) use auth::{Consents, Prompt, Sent, Tokens, Wanted};
pub(crate) use calls::CallLog;
pub(crate) use faults::Faults;
pub(crate) use ledger::Ledger;
pub(crate) use messages::conversation_id;
pub(crate) use stream::{Streams, credits_are_used_up};
pub(crate) use windows::Windows;
pub(crate) use wire::Wire;

use crate::simulator::Simulator;

/// What the API side knows beside the world.
pub(crate) struct Api {
    /// Locked before the world, never after it.
    state: Mutex<State>,
    /// Locked last.
    ledger: Mutex<Ledger>,
    pub(crate) calls: CallLog,
    /// Locked after the world.
    pub(crate) streams: Arc<Streams>,
}

pub(crate) struct State {
    pub(crate) settings: ApiSettings,
    pub(crate) tokens: Tokens,
    pub(crate) consents: Consents,
    pub(crate) windows: Windows,
    pub(crate) faults: Faults,
    /// So many more uploads turn out to be unreadable.
    pub(crate) failing_uploads: u32,
    pub(crate) streams: Arc<Streams>,
    pub(crate) compliance: compliance::Jobs,
    /// The webhooks, by id, that something is being delivered to again.
    pub(crate) replays: HashSet<String>,
}

impl Api {
    pub(crate) fn new(settings: ApiSettings, seed: u64) -> Self {
        let calls = CallLog::new(settings.kept_calls);
        let streams = Arc::new(Streams::new());
        Self {
            state: Mutex::new(State {
                settings,
                tokens: Tokens::default(),
                consents: Consents::default(),
                windows: Windows::default(),
                faults: Faults::new(StdRng::seed_from_u64(seed)),
                failing_uploads: 0,
                streams: streams.clone(),
                compliance: compliance::Jobs::default(),
                replays: HashSet::new(),
            }),
            ledger: Mutex::new(Ledger::default()),
            calls,
            streams,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All routes of the API.
pub(crate) fn routes(config: &mut ServiceConfig) {
    for endpoint in Endpoint::ALL {
        let (method, path) = endpoint.route();
        let serve = move |simulator: Data<Simulator>, request: HttpRequest, payload: Payload| {
            serve::serve(endpoint, simulator, request, payload)
        };
        config.route(path, route().method(method).to(serve));
    }
    config.configure(compliance::routes);
}
