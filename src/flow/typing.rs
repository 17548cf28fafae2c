//! Typing notices, past the journal: each replica publishes those that X delivered to it, now or
//! never. The connection is made with the first one.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::relay::{attributes, seconds};
use crate::broker::messages;
use crate::broker::publisher::{Outgoing, Publisher};
use crate::domain::event::Event;
use crate::telemetry::chain;
use crate::telemetry::traces::TraceContext;

/// A notice older than this is nobody's business; also its AMQP expiration.
const EXPIRES: Duration = Duration::from_secs(30);

/// Publishes notices until `stop`. One that the broker does not take is lost.
pub async fn run(
    mut publisher: Publisher,
    mut notices: mpsc::Receiver<Event>,
    stop: CancellationToken,
) {
    while let Some(Some(event)) = stop.run_until_cancelled(notices.recv()).await {
        let age = Timestamp::now().duration_since(event.time);
        if age.unsigned_abs() > EXPIRES {
            continue;
        }
        let window = [notice(event)];
        // The first try may find a connection that has ended since the last notice.
        for _ in 0..2 {
            let publish = publisher.publish_window(&window);
            match stop.run_until_cancelled(publish).await {
                Some(Err(error)) => {
                    tracing::debug!(error = %chain(&error), "a typing notice was not published");
                }
                Some(Ok(_)) | None => break,
            }
        }
    }
    publisher.close().await;
}

fn notice(event: Event) -> Outgoing {
    let id = event.id();
    let event_type = event.payload.event_type();
    let account = event.account.key();
    Outgoing {
        message_id: id.to_string(),
        event_type: event_type.to_owned(),
        routing_key: event.routing_key(),
        correlation_id: event.correlation_id(),
        timestamp: seconds(event.time),
        attributes: attributes(&account, event_type, &event.subject(), event.time),
        traceparent: Some(TraceContext::of_event(id).traceparent()),
        tracestate: None,
        mandatory: false,
        expiration_ms: u32::try_from(EXPIRES.as_millis()).ok(),
        republished: false,
        body: messages::encode(id, event, 0),
    }
}
