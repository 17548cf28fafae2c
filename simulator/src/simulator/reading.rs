//! What apps read, and what happens without a word to any webhook.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::Simulator;
use crate::api::{StreamFault, credits_are_used_up};
use crate::model::{
    Category, Event, MessageId, NewMessage, PostId, Processing, Refused, Upload, UserId, World,
};
use crate::replay::{self, ReplayJob};

/// An open stream as a test looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamSeen {
    /// Another for each connection.
    #[serde(serialize_with = "as_string")]
    pub id: u64,
    /// The app that has connected.
    pub app: String,
    /// Since when, by the simulator's clock.
    #[serde(serialize_with = "as_string")]
    pub since: Timestamp,
    /// How many posts have gone out on it.
    pub sent: u64,
}

fn as_string<T: ToString, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

/// The filtered stream that apps connect to.
impl Simulator {
    /// The streams that are open, oldest first.
    pub fn streams(&self) -> Vec<StreamSeen> {
        let open = self.api().streams.open().into_iter();
        open.map(|open| StreamSeen {
            id: open.id,
            app: open.app,
            since: Timestamp::from_millisecond(open.since_ms).unwrap_or(Timestamp::UNIX_EPOCH),
            sent: open.sent,
        })
        .collect()
    }

    /// Waits until the app has a stream open.
    pub async fn stream_connected(&self, app: &str) {
        self.api().streams.connected(app).await;
    }

    /// Lets the app's stream go wrong, once; how many open streams that met.
    pub fn disturb_stream(&self, app: &str, fault: &StreamFault) -> Result<usize, Refused> {
        self.world().lock().app(app)?;
        Ok(self.api().streams.disturb(app, fault))
    }

    /// Still under the world's lock, so that posts leave in their order.
    pub(super) fn stream(&self, world: &World, event: &Event) {
        for (app, charges) in self.api().streams.publish(world, event) {
            let credit = {
                let mut ledger = self.api().ledger();
                ledger.charge(&app, &charges, world.now_ms());
                ledger.credit(&app)
            };
            if credit.is_some_and(|left| left <= 0) {
                self.api().streams.disturb(&app, &credits_are_used_up());
            }
        }
    }
}

fn category(media_type: &str) -> Category {
    match media_type {
        "video/mp4" => Category::DmVideo,
        "image/gif" => Category::DmGif,
        _ => Category::DmImage,
    }
}

/// What only shows to who looks for it: no webhook is told.
impl Simulator {
    /// From now on, or no longer, no webhook is told of anything, nor ever will be, by no replay
    /// either. The stream goes on.
    pub fn silence(&self, silent: bool) {
        self.inner.outbox.silence(silent);
    }

    /// The author removes a post with all its versions.
    pub fn delete_silently(&self, post: PostId) -> Result<(), Refused> {
        self.world().lock().delete(post)?;
        Ok(())
    }

    /// The author changes the text; the new version, which has a new id, goes to the stream alone.
    pub fn edit_silently(&self, post: PostId, text: &str) -> Result<PostId, Refused> {
        let mut world = self.world().lock();
        let id = world.edit(post, text)?;
        self.stream(&world, &Event::Posted(id));
        Ok(id)
    }

    /// A direct message with a file of one's own choice.
    pub fn direct_message_with(
        &self,
        message: NewMessage,
        media_type: &str,
        content: impl Into<Bytes>,
    ) -> Result<MessageId, Refused> {
        let content = content.into();
        let upload = {
            let mut world = self.world().lock();
            let id = world.next_media_id();
            world.keep_upload(Upload {
                id,
                owner: message.sender,
                other_owners: Vec::new(),
                category: category(media_type),
                media_type: media_type.to_owned(),
                total_bytes: content.len(),
                chunks: Default::default(),
                content,
                alt_text: String::new(),
                size: None,
                expires_at_ms: i64::MAX,
                processing: Processing::Done,
            });
            id
        };
        self.direct_message(NewMessage {
            upload: Some(upload.0),
            ..message
        })
    }

    /// The message is gone for both, and its file with it.
    pub fn delete_message_silently(&self, message: MessageId) -> Result<(), Refused> {
        self.world().lock().delete_message(message)
    }

    /// The owner closes the account, or opens it again.
    pub fn set_deactivated(&self, user: UserId, deactivated: bool) -> Result<(), Refused> {
        self.change_standing(user, |standing| standing.deactivated = deactivated)
    }

    /// X closes the account, or opens it again.
    pub fn set_suspended(&self, user: UserId, suspended: bool) -> Result<(), Refused> {
        self.change_standing(user, |standing| standing.suspended = suspended)
    }

    /// The owner has the places taken off all posts so far.
    pub fn scrub_geo(&self, user: UserId) -> Result<(), Refused> {
        self.world().lock().scrub_geo(user)
    }

    /// Delivers again what the job asks for.
    pub(crate) async fn replay(&self, job: ReplayJob) {
        let courier = self.courier();
        courier
            .stop
            .run_until_cancelled(replay::run(courier, &job))
            .await;
        self.api().state().replays.remove(&job.webhook_id);
    }
}
