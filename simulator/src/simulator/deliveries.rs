//! Deliveries: disturbing, awaiting, inspecting and making them by hand.

use bytes::Bytes;

use super::Simulator;
use crate::deliver::Target;
use crate::forms::{self, View};
use crate::model::{Event, Form, MessageId, PostId, Refused, UserId};
use crate::record::{AttemptResult, Delivery};
use crate::settings::Disturbances;
use crate::signature::sign;

/// The signature on a delivery made by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawSignature {
    /// The right one.
    Correct,
    /// Whatever stands here.
    Header(String),
    /// None at all.
    Missing,
}

/// The bytes of a delivery and the header that goes with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBody {
    /// The JSON.
    pub body: Bytes,
    /// The value of [`SIGNATURE_HEADER`](crate::SIGNATURE_HEADER).
    pub signature: String,
}

impl SignedBody {
    fn new(secret: &str, json: String) -> Self {
        Self {
            signature: sign(secret, json.as_bytes()),
            body: json.into(),
        }
    }
}

impl Simulator {
    /// What goes wrong from now on.
    pub fn disturb(&self, disturbances: Disturbances) {
        self.inner.outbox.disturb(disturbances);
    }

    /// What goes wrong with the next thing that happens, in place of what always does.
    pub fn disturb_next(&self, disturbances: Disturbances) {
        self.inner.outbox.disturb_next(disturbances);
    }

    /// Sends what is gathered, however little it is.
    pub fn release(&self) {
        self.inner.outbox.release();
    }

    /// Sends what is gathered and waits until every delivery has been answered or given up.
    pub async fn settled(&self) {
        self.release();
        self.courier().record.settled().await;
    }

    /// The latest deliveries, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.courier().record.all()
    }

    /// Sends any bytes once, with any signature; what is wrong with them is the caller's wish.
    pub async fn deliver(
        &self,
        app: &str,
        body: impl Into<Bytes>,
        signature: RawSignature,
    ) -> Result<AttemptResult, Refused> {
        let body = body.into();
        let target = {
            let world = self.world().lock();
            let receiver = world.app(app)?;
            Target {
                webhook: world.webhook_of(app)?.url.clone(),
                signature: match signature {
                    RawSignature::Correct => Some(sign(receiver.delivery_secret(), &body)),
                    RawSignature::Header(value) => Some(value),
                    RawSignature::Missing => None,
                },
            }
        };
        Ok(self.courier().deliver_once(app, target, body).await)
    }

    /// What the app would get for a post, unsent: one body; in X Activity sometimes two; none
    /// where X stays silent.
    pub fn bodies_of(
        &self,
        post: PostId,
        app: &str,
        account: UserId,
        form: Form,
    ) -> Result<Vec<SignedBody>, Refused> {
        self.bodies(&Event::Posted(post), app, account, form)
    }

    /// The same for a direct message.
    pub fn bodies_of_message(
        &self,
        message: MessageId,
        app: &str,
        account: UserId,
        form: Form,
    ) -> Result<Vec<SignedBody>, Refused> {
        self.bodies(&Event::DirectMessage(message), app, account, form)
    }

    fn bodies(
        &self,
        event: &Event,
        app: &str,
        account: UserId,
        form: Form,
    ) -> Result<Vec<SignedBody>, Refused> {
        let world = self.world().lock();
        let app = world.app(app)?;
        let account = world.user(account)?;
        let view = View {
            world: &world,
            app,
            account,
        };
        let bodies = forms::bodies(view, event, form).into_iter();
        Ok(bodies
            .map(|body| SignedBody::new(app.delivery_secret(), body.json.to_string()))
            .collect())
    }
}
