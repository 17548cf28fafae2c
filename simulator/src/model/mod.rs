//! What X knows: apps, accounts, posts and messages. No form of delivery is known here.

mod app;
mod event;
mod ids;
mod media;
mod message;
mod post;
mod query;
mod rule;
mod subscription;
mod time;
mod upload;
mod user;
mod webhook;
mod world;

pub use app::{Form, Includes, NewApp, Permission, SigningSecret, Vocabulary};
pub use ids::{MessageId, PostId, UserId};
pub use media::{MediaKind, NewMedia};
pub use message::NewMessage;
pub use post::{NewPost, ReplySettings};
pub use time::Clock;
pub use user::{NewUser, ProfileField, Standing};
pub use world::Refused;

pub(crate) use app::App;
pub(crate) use event::{Event, Like, ProfileUpdate, Relation};
pub(crate) use ids::MediaId;
pub(crate) use media::{Media, MediaHosts};
pub(crate) use message::{ChatMessage, DirectMessage};
pub(crate) use post::Post;
pub(crate) use query::{Query, Reach, Subject, named};
pub(crate) use rule::Rule;
pub(crate) use subscription::{Interest, Subscription, Topic};
pub(crate) use time::{format, time_of};
pub(crate) use upload::{Category, Processing, Upload};
pub(crate) use user::User;
pub(crate) use webhook::{Place, Webhook};
pub(crate) use world::{NewSubscription, World};
