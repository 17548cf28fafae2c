//! X's bill: what was used, by kind and price.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;

use crate::dispatch::Letter;
use crate::model::{Form, UserId};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// What costs, by X's price list of 2026-08.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Price {
    Post,
    /// Whatever it is beside: X's list has no price for a summoned reply with an address.
    PostWithUrl,
    SummonedReply,
    MessageSent,
    Delete,
    HideReply,
    MediaMetadata,
    PostRead,
    UserRead,
    MessageRead,
    OwnedRead,
    /// A delivery of X Activity, by the event's name.
    Event(&'static str, u64),
}

impl Price {
    fn name(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::PostWithUrl => "post_with_url",
            Self::SummonedReply => "summoned_reply",
            Self::MessageSent => "dm_sent",
            Self::Delete => "delete",
            Self::HideReply => "hide_reply",
            Self::MediaMetadata => "media_metadata",
            Self::PostRead => "post_read",
            Self::UserRead => "user_read",
            Self::MessageRead => "dm_read",
            Self::OwnedRead => "owned_read",
            Self::Event(name, _) => name,
        }
    }

    fn micro_usd(self) -> u64 {
        match self {
            Self::Post | Self::MessageSent => 15_000,
            Self::PostWithUrl => 200_000,
            Self::SummonedReply | Self::Delete | Self::UserRead | Self::MessageRead => 10_000,
            Self::HideReply | Self::MediaMetadata | Self::PostRead => 5_000,
            Self::OwnedRead => 1_000,
            Self::Event(_, price) => price,
        }
    }
}

/// Names and prices of the events that cost.
const EVENTS: [(&str, u64); 20] = [
    ("post.create", 5_000),
    ("post.mention.create", 5_000),
    ("post.reply.create", 5_000),
    ("post.quote.create", 5_000),
    ("post.repost.create", 5_000),
    ("dm.received", 10_000),
    ("chat.received", 10_000),
    ("follow.follow", 10_000),
    ("follow.unfollow", 10_000),
    ("profile.update.bio", 5_000),
    ("profile.update.screenname", 5_000),
    ("profile.update.handle", 5_000),
    ("profile.update.geo", 5_000),
    ("profile.update.url", 5_000),
    ("profile.update.profile_picture", 5_000),
    ("profile.update.banner_picture", 5_000),
    ("mute.mute", 1_000),
    ("mute.unmute", 1_000),
    ("block.block", 1_000),
    ("block.unblock", 1_000),
];

/// One thing that an app pays for.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    price: Price,
    /// What is paid for once a day, however often it is read or delivered.
    resource: Option<String>,
}

impl Charge {
    pub(crate) fn once(price: Price) -> Self {
        Self {
            price,
            resource: None,
        }
    }

    /// `kind` is that of the thing: `post`, `user`, `dm`.
    pub(crate) fn of(price: Price, kind: &str, id: impl std::fmt::Display) -> Self {
        Self {
            price,
            resource: Some(format!("{kind}/{id}")),
        }
    }
}

/// What one app has used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bill {
    /// By kind: `post`, `dm_sent`, `post_read`, `dm.received`, ...
    pub lines: BTreeMap<String, BillLine>,
    /// In millionths of a dollar.
    pub total_micro_usd: u64,
}

/// One kind of what an app has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BillLine {
    /// How often it was charged.
    pub count: u64,
    /// In millionths of a dollar, all together.
    pub micro_usd: u64,
}

/// The accounts of all apps.
#[derive(Default)]
pub(crate) struct Ledger {
    bills: HashMap<String, Bill>,
    credit: HashMap<String, i64>,
    /// What was paid for on a day.
    paid: HashSet<(String, i64, String)>,
    /// How many posts an app has read on a day.
    posts_read: HashMap<(String, i64), u64>,
}

impl Ledger {
    /// In millionths of a dollar; without a credit the app never runs out.
    pub(crate) fn set_credit(&mut self, app: &str, credit: Option<i64>) {
        match credit {
            Some(credit) => self.credit.insert(app.to_owned(), credit),
            None => self.credit.remove(app),
        };
    }

    pub(crate) fn credit(&self, app: &str) -> Option<i64> {
        self.credit.get(app).copied()
    }

    /// How many posts the app has read, or was told of, on a day counted from 1970.
    pub(crate) fn posts_read(&self, app: &str, day: i64) -> u64 {
        let read = self.posts_read.get(&(app.to_owned(), day));
        read.copied().unwrap_or_default()
    }

    pub(crate) fn bill(&self, app: &str) -> Bill {
        self.bills.get(app).cloned().unwrap_or_default()
    }

    pub(crate) fn charge(&mut self, app: &str, charges: &[Charge], now_ms: i64) {
        let day = now_ms.div_euclid(DAY_MS);
        for charge in charges {
            let is_new = charge
                .resource
                .as_ref()
                .is_none_or(|resource| self.paid.insert((app.to_owned(), day, resource.clone())));
            if is_new {
                let resource = charge.resource.as_deref().unwrap_or_default();
                if resource.starts_with("post/") {
                    let read = self.posts_read.entry((app.to_owned(), day));
                    *read.or_default() += 1;
                }
                self.add(app, charge.price);
            }
        }
    }

    fn add(&mut self, app: &str, price: Price) {
        let cost = price.micro_usd();
        let bill = self.bills.entry(app.to_owned()).or_default();
        bill.total_micro_usd += cost;
        let line = bill.lines.entry(price.name().to_owned()).or_default();
        line.count += 1;
        line.micro_usd += cost;
        if let Some(credit) = self.credit.get_mut(app) {
            *credit = credit.saturating_sub_unsigned(cost);
        }
    }

    /// Deliveries of X Activity cost by event, those of the filtered stream by post.
    pub(crate) fn charge_deliveries(&mut self, letters: &[Letter], now_ms: i64) {
        for letter in letters {
            let charges: Vec<Charge> = match letter.form {
                Form::Activity => letter
                    .body
                    .events
                    .iter()
                    .filter_map(|event| event_charge(event, letter.account, &letter.body.json))
                    .collect(),
                Form::FilteredStream => post_of(&letter.body.json, "/data/id")
                    .map(|id| Charge::of(Price::PostRead, "post", id))
                    .into_iter()
                    .collect(),
                Form::AccountActivity | Form::AccountActivityV1 => Vec::new(),
            };
            self.charge(&letter.app, &charges, now_ms);
        }
    }
}

/// Posts and messages are the things that reads return; of anything else each event counts.
fn event_charge(event: &str, account: UserId, body: &Value) -> Option<Charge> {
    let (name, price) = EVENTS.iter().find(|(name, _)| *name == event)?;
    let price = Price::Event(name, *price);
    let payload = body.pointer("/data/payload")?;
    if event.starts_with("post.") {
        let id = post_of(payload, "/id").or_else(|| post_of(payload, "/data/id"));
        return Some(id.map_or(Charge::once(price), |id| Charge::of(price, "post", id)));
    }
    if event == "dm.received" {
        let id = post_of(payload, "/direct_message_events/0/id")?;
        return Some(Charge::of(price, "dm", id));
    }
    tracing::trace!(event, account = account.0, "charged by the event");
    Some(Charge::once(price))
}

fn post_of(value: &Value, pointer: &str) -> Option<String> {
    Some(value.pointer(pointer)?.as_str()?.to_owned())
}
