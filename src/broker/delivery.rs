//! What the consumer hands on, and what it wants to hear.

use bytes::Bytes;

/// One message of the commands queue.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// As it came; cheap to clone.
    pub body: Bytes,
    /// AMQP property.
    pub message_id: Option<String>,
    /// AMQP property.
    pub content_type: Option<String>,
    /// Handed out before, on a channel that ended without an answer.
    pub redelivered: bool,
    /// W3C trace context of the sender: the header `traceparent`.
    pub traceparent: Option<String>,
    /// What goes with it: the header `tracestate`.
    pub tracestate: Option<String>,
}

/// What becomes of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is durably stored: the broker may forget it.
    Accepted,
    /// Nothing can be made of it: it goes to the dead-letter queue, with both texts in its headers.
    Dead {
        /// For programs, and a metric's label: few different ones, such as `command-id-reused`.
        reason: &'static str,
        /// For people; may be empty.
        detail: String,
    },
    /// It cannot be stored at present: it is handed in again after a pause.
    Later,
}

/// Takes deliveries in.
pub trait Handler: Send + Sync {
    /// Takes a batch, in the order of the queue; one verdict for each, in the same order. For one
    /// that is missing, `Later` is assumed.
    ///
    /// A batch is meant to be one transaction: a delivery is never handed in before all earlier
    /// ones are accepted or dead, so that order survives a store that fails and comes back. Any
    /// delivery may come again, also after it was accepted. A call is never dropped half-way while
    /// the process lives. After three panics over the same delivery it goes to the dead-letter
    /// queue.
    fn handle(&self, batch: Vec<Delivery>) -> impl Future<Output = Vec<Verdict>> + Send;
}

impl<F, Fut> Handler for F
where
    F: Fn(Vec<Delivery>) -> Fut + Send + Sync,
    Fut: Future<Output = Vec<Verdict>> + Send,
{
    fn handle(&self, batch: Vec<Delivery>) -> impl Future<Output = Vec<Verdict>> + Send {
        self(batch)
    }
}
