//! From a command of the core to X, once, and back: its outcome.
//!
//! ```text
//! broker ─▶ intake ─▶ accept ─▶ ledger        one transaction, then the broker may forget it
//!                                 │ (files: attachments are fetched)
//!                                 ▼
//!           scheduler ─▶ planner (pure: whose turn, which windows are open)
//!                                 ▼
//!                      step ─▶ x::client ─▶ settle ─▶ outcome ─▶ journal
//! ```
//!
//! A step is a single call. What it may have done is on disk before its first byte goes out, and a
//! call whose end is not known is looked up (`super::reconcile`), never repeated blindly.

mod accept;
mod by_hand;
mod check;
mod compose;
mod erase;
#[cfg(test)]
mod errors;
pub(crate) mod files;
mod immediate;
mod intake;
mod outcome;
mod parent;
mod plan;
mod planner;
mod restored;
mod retry;
pub(crate) mod revoked;
mod scheduler;
pub(crate) mod settle;
mod step;
mod windows;

pub use by_hand::{cancel, release, retry};
pub use check::{Checked, CheckedText, check};
#[cfg(test)]
pub(crate) use errors::rules as rules_of_tests;
pub use immediate::republish;
pub use intake::Intake;
pub(crate) use outcome::{command_ref, trace_of};
pub(crate) use restored::{cannot_look, doubt, settle_restored};
pub use scheduler::{Paused, Replies};
pub(crate) use step::result_name;
