//! Rights the broker user lacks: which one, on what.

use std::fmt;

use lapin::protocol::AMQPSoftError;

use super::connection::channel_fault;

/// An exchange or a queue, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entity {
    /// An exchange.
    Exchange(String),
    /// A queue.
    Queue(String),
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(name) => write!(f, "exchange {name}"),
            Self::Queue(name) => write!(f, "queue {name}"),
        }
    }
}

impl Entity {
    /// Its name alone.
    pub fn name(&self) -> &str {
        match self {
            Self::Exchange(name) | Self::Queue(name) => name,
        }
    }

    /// As RabbitMQ names it where it refuses something.
    fn quoted(&self) -> String {
        match self {
            Self::Exchange(name) => format!("exchange '{name}'"),
            Self::Queue(name) => format!("queue '{name}'"),
        }
    }
}

/// One of RabbitMQ's three permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To declare and delete.
    Configure,
    /// To publish, and to bind a queue.
    Write,
    /// To consume, and to bind to an exchange.
    Read,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        })
    }
}

/// The user lacks a right.
#[derive(Debug, thiserror::Error)]
#[error("the broker user lacks the right {right} on {on}")]
pub struct Denied {
    /// Which.
    pub right: Right,
    /// On what.
    pub on: Entity,
    /// The broker's words; they name user and virtual host.
    #[source]
    pub source: lapin::Error,
}

impl Denied {
    /// What is lacking where the broker refused a step; else the error as it is.
    ///
    /// A step can need several rights, the likeliest first. RabbitMQ names the exchange or queue,
    /// and only newer ones the right: "write access to queue 'q' in vhost ...".
    pub(super) fn of(
        source: lapin::Error,
        needed: impl IntoIterator<Item = (Right, Entity)>,
    ) -> Result<Self, lapin::Error> {
        if channel_fault(&source) != Some(&AMQPSoftError::ACCESSREFUSED) {
            return Err(source);
        }
        let words = source.to_string();
        match pick(&words, needed.into_iter().collect()) {
            Some((right, on)) => Ok(Self { right, on, source }),
            None => Err(source),
        }
    }
}

fn pick(words: &str, needed: Vec<(Right, Entity)>) -> Option<(Right, Entity)> {
    let named = |(right, on): &&(Right, Entity)| {
        let others = [Right::Configure, Right::Write, Right::Read];
        let mut others = others.iter().filter(|other| *other != right);
        let says_other = others.any(|other| words.contains(&format!("{other} access")));
        words.contains(&on.quoted()) && !says_other
    };
    let found = needed.iter().find(named).or(needed.first());
    found.cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue_with_dead_letters() -> Vec<(Right, Entity)> {
        let (queue, exchange) = (
            Entity::Queue("t".to_owned()),
            Entity::Exchange("t.dead".to_owned()),
        );
        vec![
            (Right::Configure, queue.clone()),
            (Right::Write, exchange),
            (Right::Read, queue),
        ]
    }

    #[test]
    fn the_named_exchange_tells_which_right_is_meant() {
        let words =
            "ACCESS_REFUSED - access to exchange 't.dead' in vhost '/' refused for user 'u'";
        let (right, on) = pick(words, queue_with_dead_letters()).unwrap();
        assert_eq!(
            (right, on.to_string().as_str()),
            (Right::Write, "exchange t.dead")
        );
    }

    #[test]
    fn a_newer_broker_names_the_right_itself() {
        let words = "ACCESS_REFUSED - read access to queue 't' in vhost '/' refused for user 'u'";
        let (right, _) = pick(words, queue_with_dead_letters()).unwrap();
        assert_eq!(right, Right::Read);
    }

    #[test]
    fn words_that_name_nothing_known_mean_the_likeliest() {
        let (right, _) = pick("ACCESS_REFUSED", queue_with_dead_letters()).unwrap();
        assert_eq!(right, Right::Configure);
    }
}
