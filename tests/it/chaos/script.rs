//! Who is there, and what the core sends.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use simulator::{NewMessage, NewPost, NewUser, PostId, Simulator, UserId};

use crate::support::desk::Noted;
use crate::support::service::Setup;
use crate::support::stage::{send_message, send_post};

/// Conversations of an account.
const THREADS: usize = 2;
const PEOPLE: usize = 2;
/// After a restart the service counts what it has sent against X's own table: 15 in 15 minutes.
const MESSAGES: usize = 13;
/// Said more than once.
const THANKS: &str = "Thank you.";
const SAYINGS: [&str; 7] = [
    "We look into it & tell you <soon>.",
    "See https://acme.example/help?a=1&b=2 for more, please.",
    "Cafe\u{301} 👩‍👩‍👧‍👦 ありがとうございます",
    "\"quoted\" &amp; literal",
    "#help is here",
    "Call us.\nOr write.",
    "  blanks  kept  inside",
];

/// Our accounts and their customers.
pub(super) struct Town {
    pub(super) accounts: Vec<UserId>,
    threads: Vec<Thread>,
    people: Vec<UserId>,
    /// A post that its author has deleted, for each account.
    gone: Vec<PostId>,
    messages: Vec<usize>,
    deleted: Vec<String>,
}

/// A customer's post that can be answered.
struct Thread {
    account: UserId,
    mention: PostId,
    /// It stands below a post of ours, so it can be hidden.
    below_ours: bool,
}

impl Town {
    fn name(place: usize) -> String {
        format!("brand{place}")
    }

    fn account(place: usize) -> UserId {
        UserId(7_000_000 + place as u64)
    }

    /// Two accounts for each app.
    pub(super) fn setup(accounts: usize) -> Setup {
        (0..accounts).fold(Setup::unfiltered(), |setup, place| {
            let (app, name) = (format!("app{}", place / 2), Self::name(place));
            let setup = match place % 2 {
                0 => setup.app(&app, ""),
                _ => setup,
            };
            let setup = setup.account(&app, Self::account(place), &name, "");
            let words = ["direct_messages", "mentions", "replies"];
            words.iter().fold(setup, |setup, word| {
                let filter =
                    format!("account = \"{name}\"\nmatch = \"{word}\"\ngroup = \"support\"");
                setup.filter(&filter)
            })
        })
    }

    pub(super) fn build(simulator: &Simulator, accounts: usize) -> Self {
        let person = |place| simulator.add_user(NewUser::named(&format!("customer{place}")));
        let people: Vec<_> = (0..PEOPLE).map(|place| person(place).unwrap()).collect();
        let mut town = Self {
            accounts: (0..accounts).map(Self::account).collect(),
            threads: Vec::new(),
            people,
            gone: Vec::new(),
            messages: vec![0; accounts],
            deleted: Vec::new(),
        };
        for place in 0..accounts {
            town.settle(simulator, place);
        }
        town
    }

    fn settle(&mut self, simulator: &Simulator, place: usize) {
        let (account, name) = (Self::account(place), Self::name(place));
        let post = |post: NewPost| simulator.post(post).unwrap();
        for number in 0..THREADS {
            let author = self.people[number % self.people.len()];
            let mention = post(NewPost::by(author, &format!("@{name} question {number}")));
            self.threads.push(Thread {
                account,
                mention,
                below_ours: false,
            });
        }
        let news = post(NewPost::by(account, &format!("News from {name}")));
        let answer = NewPost::by(self.people[0], &format!("@{name} good news")).replying_to(news);
        self.threads.push(Thread {
            account,
            mention: post(answer),
            below_ours: true,
        });
        let gone = post(NewPost::by(self.people[0], &format!("@{name} never mind")));
        self.gone.push(gone);
        for person in &self.people {
            let message = NewMessage::between(*person, account, "Hello?");
            simulator.direct_message(message).unwrap();
        }
        simulator.delete(gone).unwrap();
    }

    /// What the service has to have heard first.
    pub(super) fn mentions(&self) -> Vec<String> {
        let mentions = self.threads.iter().map(|thread| thread.mention.to_string());
        mentions.collect()
    }

    pub(super) fn app_of(&self, account: UserId) -> String {
        let place = self.accounts.iter().position(|other| *other == account);
        format!("app{}", place.unwrap() / 2)
    }
}

/// What a command is about, for those who look at what became of it.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A post or several, each with the command's mark, below this one.
    Posts(PostId),
    /// A message with the command's mark.
    Message,
    /// A message with the same words as others.
    Thanks,
    Delete(String),
    Hide(PostId, bool),
    /// It has to fail with this code.
    Fails(&'static str),
}

/// A command that was sent.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) id: String,
    pub(super) account: UserId,
    /// The conversation that it belongs to.
    pub(super) lane: String,
    pub(super) what: What,
    pub(super) command: Value,
}

impl Planned {
    /// Stands in every text of the command.
    pub(super) fn mark(&self) -> String {
        mark_of(&self.id)
    }
}

fn mark_of(id: &str) -> String {
    format!("{id}x")
}

/// Writes commands.
pub(super) struct Script {
    dice: StdRng,
    number: usize,
    /// Those that can be deleted: message, account and conversation.
    written: Vec<Planned>,
}

impl Script {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: StdRng::seed_from_u64(seed ^ 0x5eed),
            number: 0,
            written: Vec::new(),
        }
    }

    /// The next command.
    pub(super) fn next(&mut self, town: &mut Town, noted: &Noted) -> Planned {
        self.number += 1;
        let id = format!("k{}", self.number);
        let place = self.dice.random_range(0..town.accounts.len());
        let planned = match self.dice.random_range(0..100) {
            0..52 => self.post(town, place, id, 1),
            52..64 => self.post(town, place, id, 3),
            64..82 => self.message(town, place, id),
            82..90 => match self.delete(town, noted, &id) {
                Some(planned) => planned,
                None => self.post(town, place, id, 1),
            },
            90..96 => self.hide(town, place, id),
            96..98 => self.too_long(town, place, id),
            _ => self.gone(town, place, id),
        };
        if matches!(planned.what, What::Posts(_) | What::Message) {
            self.written.push(planned.clone());
        }
        planned
    }

    fn thread<'t>(&mut self, town: &'t Town, place: usize) -> &'t Thread {
        let own = THREADS + 1;
        &town.threads[place * own + self.dice.random_range(0..own)]
    }

    fn saying(&mut self) -> &'static str {
        SAYINGS[self.dice.random_range(0..SAYINGS.len())]
    }

    fn post(&mut self, town: &Town, place: usize, id: String, parts: usize) -> Planned {
        let (account, mention) = {
            let thread = self.thread(town, place);
            (thread.account, thread.mention)
        };
        let (mark, saying) = (mark_of(&id), self.saying());
        let text = match parts {
            1 => format!("{mark} {saying}"),
            // Every word bears the mark.
            _ => (0..70).fold(String::new(), |text, word| format!("{text}{mark}{word} ")),
        };
        let mut command = send_post(&id, account, text.trim_end(), &mention.to_string());
        command["send_post"]["when_too_long"] = json!("SPLIT");
        Planned {
            id,
            account,
            lane: format!("{account} post {mention}"),
            what: What::Posts(mention),
            command,
        }
    }

    fn message(&mut self, town: &mut Town, place: usize, id: String) -> Planned {
        if town.messages[place] == MESSAGES {
            return self.post(town, place, id, 1);
        }
        town.messages[place] += 1;
        let account = town.accounts[place];
        let person = town.people[self.dice.random_range(0..town.people.len())];
        let thanks = self.dice.random_bool(0.4);
        let text = match thanks {
            true => THANKS.to_owned(),
            false => format!("{} {}", mark_of(&id), self.saying()),
        };
        Planned {
            command: send_message(&id, account, person, &text),
            id,
            account,
            lane: format!("{account} messages {person}"),
            what: if thanks { What::Thanks } else { What::Message },
        }
    }

    /// One that is there by now, and was not deleted before.
    fn delete(&mut self, town: &mut Town, noted: &Noted, id: &str) -> Option<Planned> {
        let (written, message) = self.written.iter().find_map(|written| {
            let outcome = noted.outcome(&written.id)?;
            let message = outcome["messages"][0]["id"].as_str()?.to_owned();
            let fresh = !town.deleted.contains(&message);
            fresh.then_some((written, message))
        })?;
        town.deleted.push(message.clone());
        Some(Planned {
            id: id.to_owned(),
            account: written.account,
            lane: written.lane.clone(),
            command: json!({
                "command_id": id,
                "account_id": written.account.to_string(),
                "delete_message": {"message_id": message},
            }),
            what: What::Delete(message),
        })
    }

    fn hide(&mut self, town: &Town, place: usize, id: String) -> Planned {
        let account = town.accounts[place];
        let mut threads = town.threads.iter();
        let thread = threads.find(|thread| thread.account == account && thread.below_ours);
        let (mention, hidden) = (thread.unwrap().mention, self.dice.random_bool(0.5));
        Planned {
            command: json!({
                "command_id": id,
                "account_id": account.to_string(),
                "hide_reply": {"message_id": mention.to_string(), "hidden": hidden},
            }),
            id,
            account,
            lane: format!("{account} post {mention}"),
            what: What::Hide(mention, hidden),
        }
    }

    fn too_long(&mut self, town: &Town, place: usize, id: String) -> Planned {
        let mut planned = self.post(town, place, id, 3);
        planned.command["send_post"]["when_too_long"] = json!("REJECT");
        planned.what = What::Fails("TEXT_TOO_LONG");
        planned
    }

    fn gone(&mut self, town: &Town, place: usize, id: String) -> Planned {
        let (account, gone) = (town.accounts[place], town.gone[place]);
        let text = format!("{} {}", mark_of(&id), self.saying());
        Planned {
            command: send_post(&id, account, &text, &gone.to_string()),
            id,
            account,
            lane: format!("{account} post {gone}"),
            what: What::Fails("DELETED"),
        }
    }
}
