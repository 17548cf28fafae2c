//! What became of it all, by X's own record and by what the core heard.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde_json::Value;
use simulator::{DeliveryState, Endpoint, Simulator, UserId};

use super::CALL;
use super::script::{Planned, Town, What};
use crate::support::desk::Noted;

/// A seed as the table shows it.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) seed: u64,
    commands: usize,
    succeeded: usize,
    failed: BTreeMap<String, usize>,
    looks: usize,
    pub(super) kills: usize,
    pub(super) broker_restarts: usize,
    calls: usize,
    pub(super) faults: BTreeMap<String, usize>,
    at_x: usize,
    duplicates: usize,
    order_breaks: usize,
    echoed: usize,
    pub(super) seconds: u64,
    /// What is against the promise.
    pub(super) wrong: Vec<String>,
}

impl Row {
    pub(super) const HEAD: &'static str = "seed commands succeeded uncertain look-ups kills \
        broker calls faults at-X duplicates order-breaks echoed wrong seconds failed-by-code";
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uncertain = self.failed.get("UNCERTAIN").copied().unwrap_or(0);
        let faults: usize = self.faults.values().sum();
        write!(
            f,
            "{:4} {:8} {:9} {uncertain:9} {:8} {:5} {:6} {:5} {faults:6} {:4} {:10} {:12} {:6} \
             {:5} {:7} {:?}",
            self.seed,
            self.commands,
            self.succeeded,
            self.looks,
            self.kills,
            self.broker_restarts,
            self.calls,
            self.at_x,
            self.duplicates,
            self.order_breaks,
            self.echoed,
            self.wrong.len(),
            self.seconds,
            self.failed
        )
    }
}

/// A post or message of ours at X, made by the app.
#[derive(Clone, Debug)]
struct AtX {
    id: String,
    account: UserId,
    /// The conversation of direct messages; the post replied to.
    place: String,
    text: String,
    deleted: bool,
    is_message: bool,
}

/// Everything of ours at X that an app made, oldest first.
fn all_at_x(simulator: &Simulator, town: &Town) -> Vec<AtX> {
    let mut all = Vec::new();
    for account in &town.accounts {
        let app = Some(town.app_of(*account));
        let posts = simulator.posts_by(*account).into_iter();
        all.extend(posts.filter(|post| post.app == app).map(|post| {
            AtX {
                id: post.id.to_string(),
                account: *account,
                place: post
                    .parent
                    .map_or_else(String::new, |parent| parent.to_string()),
                text: post.text,
                deleted: post.deleted,
                is_message: false,
            }
        }));
        let messages = simulator.messages_of(*account).into_iter();
        let own = messages.filter(|message| message.sender == *account && message.app == app);
        all.extend(own.map(|message| AtX {
            id: message.id.to_string(),
            account: *account,
            place: message.recipient.to_string(),
            text: message.text,
            deleted: message.deleted_by_sender,
            is_message: true,
        }));
    }
    all
}

/// Ids of what the apps made and X delivered back to its account.
pub(super) fn echoed(simulator: &Simulator, town: &Town) -> Vec<String> {
    let ours: BTreeSet<_> = all_at_x(simulator, town)
        .into_iter()
        .map(|at_x| (at_x.account, at_x.id))
        .collect();
    let mut echoed = BTreeSet::new();
    for delivery in simulator.deliveries() {
        let (Some(account), DeliveryState::Delivered) = (delivery.account, delivery.state) else {
            continue;
        };
        let body: Value = serde_json::from_slice(&delivery.body).unwrap();
        let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
        let posts = list("tweet_create_events")
            .into_iter()
            .map(|it| it["id_str"].clone());
        let messages = list("direct_message_events")
            .into_iter()
            .map(|it| it["id"].clone());
        let ids = posts
            .chain(messages)
            .filter_map(|id| id.as_str().map(str::to_owned));
        echoed.extend(ids.filter(|id| ours.contains(&(account, id.clone()))));
    }
    echoed.into_iter().collect()
}

/// Holds everything against the promise.
pub(super) fn examine(
    simulator: &Simulator,
    town: &Town,
    planned: &[Planned],
    noted: &Noted,
    echoed: &[String],
) -> Row {
    let mut row = Row {
        commands: planned.len(),
        echoed: echoed.len(),
        wrong: noted.faults.clone(),
        ..Row::default()
    };
    count_calls(&mut row, simulator);
    let at_x = all_at_x(simulator, town);
    row.at_x = at_x.len();
    let makers = makers(&mut row, planned, noted, &at_x);
    for planned in planned {
        check_outcome(&mut row, planned, noted, &at_x);
    }
    check_thanks(&mut row, planned, noted, &at_x);
    check_order(&mut row, planned, &at_x, &makers);
    check_told(&mut row, town, noted, &at_x, &makers, echoed);
    check_hidden(&mut row, simulator, planned, noted);
    row
}

fn count_calls(row: &mut Row, simulator: &Simulator) {
    for call in simulator.calls() {
        row.calls += 1;
        if matches!(call.endpoint, Endpoint::UserPosts | Endpoint::MessagesWith) {
            row.looks += 1;
        }
        let fault = match call.fault {
            Some(name) if name == "nothing" && call.took > CALL => "slow".to_owned(),
            Some(name) if name != "nothing" => match call.status {
                Some(status) if name == "status" => format!("status {status}"),
                _ => name,
            },
            _ => continue,
        };
        *row.faults.entry(fault).or_default() += 1;
    }
}

/// The command of each message: by outcome, else by the mark in its text.
fn makers(
    row: &mut Row,
    planned: &[Planned],
    noted: &Noted,
    at_x: &[AtX],
) -> HashMap<String, usize> {
    let mut makers = HashMap::new();
    for (number, planned) in planned.iter().enumerate() {
        if !matches!(planned.what, What::Posts(_) | What::Message | What::Thanks) {
            continue;
        }
        let outcome = noted.outcome(&planned.id);
        let messages = outcome.and_then(|outcome| outcome["messages"].as_array());
        for message in messages.into_iter().flatten() {
            let id = message["id"].as_str().unwrap().to_owned();
            if let Some(other) = makers.insert(id.clone(), number) {
                row.wrong
                    .push(format!("{id} is named by {number} and {other}"));
            }
            if !at_x
                .iter()
                .any(|at_x| at_x.id == id && at_x.account == planned.account)
            {
                row.wrong
                    .push(format!("{} names {id}, which is not at X", planned.id));
            }
        }
    }
    for at_x in at_x {
        let mut marked = planned.iter();
        let marked = marked.position(|planned| bears(at_x, planned));
        if let Some(number) = marked {
            let known = *makers.entry(at_x.id.clone()).or_insert(number);
            if known != number {
                let told = format!("{} of command {number} is told as {known}'s", at_x.id);
                row.wrong.push(told);
            }
        }
    }
    makers
}

fn bears(at_x: &AtX, planned: &Planned) -> bool {
    at_x.account == planned.account && at_x.text.contains(&planned.mark())
}

fn check_outcome(row: &mut Row, planned: &Planned, noted: &Noted, at_x: &[AtX]) {
    let id = &planned.id;
    let Some(outcome) = noted.outcome(id) else {
        row.wrong
            .push(format!("{id} has no outcome: {}", planned.command));
        return;
    };
    if noted.outcomes[id].len() != 1 {
        row.wrong
            .push(format!("{id} has {} outcomes", noted.outcomes[id].len()));
    }
    let there: Vec<_> = at_x.iter().filter(|at_x| bears(at_x, planned)).collect();
    let texts: BTreeSet<_> = there.iter().map(|at_x| &at_x.text).collect();
    if texts.len() != there.len() {
        row.duplicates += there.len() - texts.len();
        row.wrong
            .push(format!("{id} is at X more than once: {there:?}"));
    }
    let code = outcome["code"].as_str().unwrap_or_default();
    let wanted = match planned.what {
        What::Fails(code) => code,
        _ => "",
    };
    if code != wanted {
        let text = format!(
            "{id}: {:?} ended as {outcome}, at X {there:?}",
            planned.what
        );
        row.wrong.push(text);
    }
    if code.is_empty() {
        row.succeeded += 1;
        check_success(row, planned, outcome, &there, at_x);
    } else {
        *row.failed.entry(code.to_owned()).or_default() += 1;
    }
}

fn check_success(row: &mut Row, planned: &Planned, outcome: &Value, there: &[&AtX], at_x: &[AtX]) {
    let named = outcome["messages"].as_array().unwrap();
    let holds = match &planned.what {
        What::Posts(parent) => {
            let ids = named
                .iter()
                .zip(there)
                .all(|(one, other)| one["id"] == other.id);
            let first = there
                .first()
                .is_some_and(|first| first.place == parent.to_string());
            ids && first && named.len() == there.len()
        }
        What::Message => there.len() == 1 && named.len() == 1 && named[0]["id"] == there[0].id,
        What::Thanks => named.len() == 1,
        What::Delete(id) => at_x.iter().any(|at_x| at_x.id == *id && at_x.deleted),
        What::Hide(post, _) => named.len() == 1 && named[0]["id"] == post.to_string(),
        What::Fails(_) => false,
    };
    if !holds {
        row.wrong.push(format!(
            "{}: {:?} told as {outcome}, at X {there:?}",
            planned.id, planned.what
        ));
    }
}

/// Messages with the same words: as many as commands that say so ended well.
fn check_thanks(row: &mut Row, planned: &[Planned], noted: &Noted, at_x: &[AtX]) {
    let mut wanted = BTreeMap::<(UserId, String, String), usize>::new();
    for planned in planned.iter().filter(|it| matches!(it.what, What::Thanks)) {
        let message = &planned.command["send_direct_message"];
        let place = message["recipient_id"].as_str().unwrap().to_owned();
        let text = message["text"].as_str().unwrap().to_owned();
        let outcome = noted.outcome(&planned.id);
        let well = outcome.is_some_and(|it| it["event"]["type"] == "command.succeeded");
        *wanted.entry((planned.account, place, text)).or_default() += usize::from(well);
    }
    for ((account, place, text), wanted) in wanted {
        let there = at_x.iter().filter(|at_x| at_x.is_message);
        let there =
            there.filter(|it| (it.account, &it.place, &it.text) == (account, &place, &text));
        let there = there.count();
        if there != wanted {
            row.duplicates += there.saturating_sub(wanted);
            let told = format!("{account} to {place}: {text:?} {there} times, {wanted} ended well");
            row.wrong.push(told);
        }
    }
}

/// What stands later at X is no earlier command of its conversation.
fn check_order(row: &mut Row, planned: &[Planned], at_x: &[AtX], makers: &HashMap<String, usize>) {
    let mut lanes = BTreeMap::<(&str, bool), Vec<(u64, usize)>>::new();
    for at_x in at_x {
        if let Some(number) = makers.get(&at_x.id) {
            let lane = (planned[*number].lane.as_str(), at_x.is_message);
            let id = at_x.id.parse().unwrap();
            lanes.entry(lane).or_default().push((id, *number));
        }
    }
    for ((lane, _), mut made) in lanes {
        made.sort_unstable();
        let breaks = made.windows(2).filter(|two| two[0].1 > two[1].1).count();
        if breaks > 0 {
            row.order_breaks += breaks;
            row.wrong.push(format!("{lane} is out of order: {made:?}"));
        }
    }
}

/// Nothing of ours is told as received; what X delivered back is told once, as its command's.
fn check_told(
    row: &mut Row,
    town: &Town,
    noted: &Noted,
    at_x: &[AtX],
    makers: &HashMap<String, usize>,
    echoed: &[String],
) {
    for event in noted.of_type("message.received") {
        let author = event["message"]["author"]["id"].as_str().unwrap();
        if town.accounts.iter().any(|own| own.to_string() == author) {
            row.wrong
                .push(format!("our own is told as received: {event}"));
        }
    }
    let mut told = HashMap::<&str, Vec<&str>>::new();
    for event in noted.of_type("message.sent") {
        let id = event["message"]["id"].as_str().unwrap();
        let command = event["command_id"].as_str().unwrap();
        told.entry(id).or_default().push(command);
    }
    for at_x in at_x {
        let told = told.get(at_x.id.as_str()).cloned().unwrap_or_default();
        let command = makers
            .get(&at_x.id)
            .map(|number| format!("k{}", number + 1));
        let command = command.unwrap_or_default();
        let wanted: &[&str] = match echoed.contains(&at_x.id) {
            true => &[&command],
            false => &[],
        };
        if told != wanted {
            row.wrong
                .push(format!("{at_x:?} is told as {told:?}, not {wanted:?}"));
        }
    }
}

/// Replies are hidden as the last command says.
fn check_hidden(row: &mut Row, simulator: &Simulator, planned: &[Planned], noted: &Noted) {
    let mut wanted = BTreeMap::new();
    for planned in planned {
        if let What::Hide(post, hidden) = planned.what
            && let Some(outcome) = noted.outcome(&planned.id)
            && outcome["event"]["type"] == "command.succeeded"
        {
            wanted.insert(post.to_string(), hidden);
        }
    }
    let customer = simulator.user_id("customer0").unwrap();
    for post in simulator.posts_by(customer) {
        let wanted = wanted.get(&post.id.to_string()).copied().unwrap_or(false);
        if post.hidden != wanted {
            let told = format!("{} hidden: {}, not {wanted}", post.id, post.hidden);
            row.wrong.push(told);
        }
    }
}
