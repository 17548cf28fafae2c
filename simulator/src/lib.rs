//! An X that runs on this machine.
//!
//! It has accounts, posts and messages, and tells subscribed apps of what happens as X does: in
//! four delivery forms, signed, with repeats and faults. Apps call its API, and what they do comes
//! back to them in the same way. It is driven from Rust ([`Simulator`]), by JSON (`/control`) and by a small web page (`/`).
//!
//! ```text
//! actions, control, page ─▶ simulator ─▶ model (what happens) ◀─ api (what apps do)
//!                                          │ Event
//!                                          ▼
//!                       dispatch (who is told) ─▶ forms (in which words)
//!                                          │ Letter
//!                                          ▼
//!                       outbox (order, copies) ─▶ deliver (attempts) ─▶ record
//! ```

mod actions;
mod api;
mod consent;
mod control;
mod crc;
mod deliver;
mod dispatch;
mod forms;
mod model;
mod outbox;
mod page;
mod photo;
mod record;
mod replay;
mod server;
mod settings;
mod shared;
mod signature;
mod simulator;
mod spec;
mod text;

pub use api::{
    ActivityAnswer, ApiCall, ApiSettings, Bill, BillLine, ConsentError, Credentials, Decision,
    Echo, EchoWhen, Endpoint, Fault, FaultKind, Limits, SecondStream, StreamFault, Tier, TokenSeen,
};
pub use crc::{CrcError, CrcFailure, CrcReport};
pub use model::{
    Clock, Form, Includes, MediaKind, MessageId, NewApp, NewMedia, NewMessage, NewPost, NewUser,
    Permission, PostId, ProfileField, Refused, ReplySettings, SigningSecret, Standing, UserId,
    Vocabulary,
};
pub use record::{Attempt, AttemptResult, Delivery, DeliveryState};
pub use settings::{CutPoint, Disturbances, MediaBase, Settings};
pub use signature::{SIGNATURE_HEADER, sign};
pub use simulator::{
    MessageSeen, Pace, PostSeen, RawSignature, SignedBody, Simulator, StartError, Storm,
    StreamSeen, SubscriptionSeen, Traffic, WebhookSeen, Written,
};
pub use spec::AppSpec;
