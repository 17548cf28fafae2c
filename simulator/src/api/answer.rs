//! An answer before it goes out.

use serde_json::Value;

use super::ledger::Charge;
use super::replay::ReplayJob;
use super::stream::Live;
use super::webhooks::Check;
use super::windows::Header;
use crate::model::Event;

/// What X says, and what came of the call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: &'static str,
    /// What the app pays for it.
    pub(crate) charges: Vec<Charge>,
    /// What was made or changed, by id.
    pub(crate) effect: Option<String>,
    /// What the world is to be told.
    pub(crate) event: Option<Event>,
    /// A webhook to be asked before anything is answered.
    pub(crate) check: Option<Check>,
    /// What goes on after the head, in place of `body`.
    pub(crate) live: Option<Live>,
    /// What X does before it answers so.
    pub(crate) replay: Option<ReplayJob>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            body: body.to_string().into_bytes(),
            content_type: "application/json; charset=utf-8",
            ..Self::default()
        }
    }

    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(200, body)
    }

    pub(crate) fn charging(mut self, charges: impl IntoIterator<Item = Charge>) -> Self {
        self.charges.extend(charges);
        self
    }

    pub(crate) fn with_effect(mut self, of: impl ToString, event: Option<Event>) -> Self {
        self.effect = Some(of.to_string());
        self.event = event;
        self
    }

    pub(crate) fn with_headers(mut self, headers: Vec<Header>) -> Self {
        self.headers.extend(headers);
        self
    }
}

/// An answer, or the one that says why not.
pub(crate) type Outcome = Result<Answer, Box<Answer>>;
