//! Many people at once, and the traffic of an ordinary day.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::Simulator;
use crate::model::{MessageId, NewMessage, NewPost, NewUser, PostId, Refused, UserId};

/// After so many things whoever else has work to do gets a turn.
const TURN: usize = 16;

/// How fast things happen one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as this machine can, in no time on the simulator's clock.
    AtOnce,
    /// As fast as this machine can, evenly over so much time on the simulator's clock.
    Simulated(Duration),
    /// Evenly over so much real time.
    Real(Duration),
}

/// Many people reply to one post, each once.
#[derive(Clone, Debug)]
pub struct Storm {
    /// What they reply to.
    pub post: PostId,
    /// How many they are; they are the same people in every storm.
    pub people: usize,
    /// What each writes, with a number after it.
    pub text: String,
    /// How fast they come.
    pub pace: Pace,
}

/// What customers write to one account in the course of time: mentions, replies, direct messages.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// To whom.
    pub account: UserId,
    /// How many customers there are; they are the same people each time.
    pub customers: usize,
    /// How much they write all together.
    pub count: usize,
    /// How fast it comes.
    pub pace: Pace,
    /// The same seed gives the same mixture.
    pub seed: u64,
}

impl Traffic {
    /// Two hours on the simulator's clock: 240 posts and messages of 40 customers.
    pub fn of_two_hours(account: UserId) -> Self {
        Self {
            account,
            customers: 40,
            count: 240,
            pace: Pace::Simulated(Duration::from_secs(2 * 3600)),
            seed: 1,
        }
    }
}

/// One thing that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// A post.
    Post(PostId),
    /// A direct message.
    Message(MessageId),
}

impl Simulator {
    /// Lets the storm break; the replies come back in their order.
    pub async fn storm(&self, storm: &Storm) -> Result<Vec<PostId>, Refused> {
        let mut paced = Paced::begin(self, storm.pace, storm.people);
        let mut replies = Vec::with_capacity(storm.people);
        for number in 1..=storm.people {
            paced.wait().await;
            let person = self.one_of("crowd", number)?;
            let text = format!("{} {number}", storm.text);
            let reply = NewPost::by(person, &text).replying_to(storm.post);
            replies.push(self.post(reply)?);
        }
        paced.end().await;
        Ok(replies)
    }

    /// Lets customers write; what they wrote comes back in its order.
    pub async fn traffic(&self, traffic: &Traffic) -> Result<Vec<Written>, Refused> {
        let mut random = StdRng::seed_from_u64(traffic.seed);
        let mut paced = Paced::begin(self, traffic.pace, traffic.count);
        let mut written = Vec::with_capacity(traffic.count);
        for number in 1..=traffic.count {
            paced.wait().await;
            let customer = random.random_range(1..=traffic.customers.max(1));
            let customer = self.one_of("customer", customer)?;
            let share = random.random_range(0..100);
            written.push(self.write_one(traffic.account, customer, share, number)?);
        }
        paced.end().await;
        Ok(written)
    }

    /// Of a hundred, 20 are direct messages, 25 are replies if there is anything to reply to, the
    /// others mentions.
    fn write_one(
        &self,
        account: UserId,
        customer: UserId,
        share: u32,
        number: usize,
    ) -> Result<Written, Refused> {
        if share < 20 {
            let text = format!("My order {number} has not come");
            let message = NewMessage::between(customer, account, &text);
            return self.direct_message(message).map(Written::Message);
        }
        let (name, newest) = {
            let world = self.world().lock();
            let mut posts = world.posts_by(account);
            let newest = posts.find(|post| !post.deleted && post.repost_of.is_none());
            let newest = newest.map(|post| post.id);
            (world.user(account)?.username.clone(), newest)
        };
        let text = format!("@{name} where is my order {number}?");
        let post = NewPost::by(customer, &text);
        let post = match newest.filter(|_| share < 45) {
            Some(newest) => post.replying_to(newest),
            None => post,
        };
        self.post(post).map(Written::Post)
    }

    fn one_of(&self, people: &str, number: usize) -> Result<UserId, Refused> {
        let name = format!("{people}{number}");
        match self.user_id(&name) {
            Some(user) => Ok(user),
            None => self.add_user(NewUser::named(&name)),
        }
    }
}

/// Spreads things over time, on a clock that does not step by itself meanwhile.
struct Paced<'a> {
    simulator: &'a Simulator,
    pace: Pace,
    count: usize,
    done: usize,
    began: Instant,
    step: Duration,
}

impl<'a> Paced<'a> {
    fn begin(simulator: &'a Simulator, pace: Pace, count: usize) -> Self {
        Self {
            simulator,
            pace,
            count,
            done: 0,
            began: Instant::now(),
            step: simulator.world().lock().set_step(Duration::ZERO),
        }
    }

    /// Waits for the time of the next thing.
    async fn wait(&mut self) {
        self.pass().await;
        self.done += 1;
    }

    /// The last thing has its share of the time too.
    async fn end(mut self) {
        self.pass().await;
    }

    async fn pass(&mut self) {
        let Some(before) = self.done.checked_sub(1) else {
            return;
        };
        match self.pace {
            Pace::AtOnce => {}
            Pace::Simulated(over) => {
                let passing = self.share(over, self.done) - self.share(over, before);
                self.simulator.advance(passing);
            }
            Pace::Real(over) => {
                let due = self.began + self.share(over, self.done);
                tokio::time::sleep_until(due.into()).await;
            }
        }
        if self.done.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
    }

    /// What is over when so many things are done.
    fn share(&self, over: Duration, done: usize) -> Duration {
        let whole = over.as_millis().saturating_mul(done as u128);
        let passed = whole.checked_div(self.count as u128).unwrap_or_default();
        Duration::from_millis(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

impl Drop for Paced<'_> {
    fn drop(&mut self) {
        self.simulator.world().lock().set_step(self.step);
    }
}
