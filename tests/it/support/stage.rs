//! The service as a process of its own, which can be killed, between a simulated X and a broker.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Clock, Endpoint, Limits, Simulator};

use super::broker::TestBroker;
use super::desk::Desk;
use super::process::ServiceProcess;
use super::service::Setup;

/// All of it, with a core at the broker.
pub(crate) struct Stage {
    pub(crate) simulator: Simulator,
    pub(crate) service: ServiceProcess,
    pub(crate) desk: Desk,
    /// Last, as its virtual host goes with it.
    pub(crate) broker: TestBroker,
}

/// Times of the service, short enough for a test.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) call: Duration,
    pub(crate) first_read: Duration,
    pub(crate) second_read: Duration,
}

impl Stage {
    /// Starts everything; X knows of our apps and accounts, and delivers. Calls to X go by way of
    /// `through` what is known once X's address is.
    pub(crate) async fn start(
        setup: Setup,
        times: Times,
        x: simulator::Settings,
        broker: TestBroker,
        through: impl AsyncFnOnce(&str) -> String,
    ) -> Self {
        // The service tells time by the wall.
        let clock = Clock::Wall;
        let simulator = Simulator::start(simulator::Settings { clock, ..x });
        let simulator = simulator.await.unwrap();
        let milliseconds = |time: Duration| format!("{}ms", time.as_millis());
        let setup = setup
            .set("X_API__BASE_URL", &through(simulator.url()).await)
            .set("X_API__CALL_TIMEOUT", &milliseconds(times.call))
            .set("RECONCILE__FIRST_READ", &milliseconds(times.first_read))
            .set("RECONCILE__SECOND_READ", &milliseconds(times.second_read))
            .set("BROKER__CONFIRM_TIMEOUT", "2s")
            .set("BROKER__CONNECT_TIMEOUT", "2s");
        // The windows of X's own tables would end a test after 15 messages.
        for endpoint in Endpoint::ALL {
            simulator.limit(endpoint, Limits::of(Some(100_000), Some(100_000)));
        }
        let mut service = ServiceProcess::stopped(&setup, &broker.url(), None);
        setup.tell(&simulator, |app| service.webhook_of(app));
        service.start_again().await;
        service.wait_for_part("broker: connected").await;
        Self {
            desk: Desk::at(&broker.url()),
            simulator,
            service,
            broker,
        }
    }
}

/// How many calls there were of each kind: what was called, what went wrong by order, what was
/// answered.
pub(crate) fn call_kinds(simulator: &Simulator) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for call in simulator.calls() {
        let (fault, status) = (call.fault.unwrap_or_default(), call.status.unwrap_or(0));
        let told = if (200..300).contains(&status) {
            ""
        } else {
            &call.answer
        };
        let kind = format!("{:?} {fault} {status} {told}", call.endpoint);
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// A command that posts a text.
pub(crate) fn send_post(id: &str, account: impl ToString, text: &str, parent: &str) -> Value {
    json!({
        "command_id": id,
        "account_id": account.to_string(),
        "send_post": {"text": text, "in_reply_to": parent},
    })
}

/// A command that writes a direct message.
pub(crate) fn send_message(
    id: &str,
    account: impl ToString,
    to: impl ToString,
    text: &str,
) -> Value {
    json!({
        "command_id": id,
        "account_id": account.to_string(),
        "send_direct_message": {"recipient_id": to.to_string(), "text": text},
    })
}
