//! The service over either store, one and three replicas of it, and what one would write in Node and in
//! Python: at full speed, by turns, each beside bare.

use clap::ValueEnum;

use super::*;
use crate::database::{Database, Server};
use crate::deliveries::Authors;
use crate::subject::processor_of;

/// Replicas on one database, where there are several.
const REPLICAS: usize = 3;
/// Customers who come again, where they do: of the deliveries of a run, each has a hundred.
const RETURNING: u64 = 200;

/// Who is compared with bare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    Sqlite,
    Postgres,
    /// The same with few customers, who write again and again.
    Returning,
    /// Three of the service on one database.
    Replicas,
    Node,
    Python,
    #[value(skip)]
    Bare,
}

/// The processes of one peer.
struct Fleet {
    subjects: Vec<Subject>,
    database: Option<Database>,
}

impl Fleet {
    fn addresses(&self) -> Vec<SocketAddr> {
        self.subjects.iter().map(|it| it.address).collect()
    }

    fn processor_time(&self) -> anyhow::Result<Duration> {
        self.subjects.iter().map(Subject::processor_time).sum()
    }

    async fn stop(self) -> anyhow::Result<()> {
        for subject in self.subjects {
            subject.stop().await?;
        }
        match self.database {
            Some(database) => database.drop().await,
            None => Ok(()),
        }
    }
}

/// One peer at full speed.
struct Speed {
    per_second: f64,
    /// Processor time for each delivery, microseconds: its own, and that of the database.
    processor: (f64, f64),
    /// Of the answers, microseconds.
    p99: u64,
}

impl Bench<'_> {
    /// Those asked for, all where none is, in each round.
    pub(crate) async fn peers(
        mut self,
        server: &Server,
        wanted: &[Peer],
    ) -> anyhow::Result<Vec<Figure>> {
        self.declare().await?;
        let wanted = match wanted {
            [] => Peer::value_variants(),
            some => some,
        };
        let peers = [&[Peer::Bare], wanted].concat();
        let mut rounds = Vec::new();
        for number in 1..=self.scale.rounds {
            let mut round = Vec::new();
            for &peer in &peers {
                let speed = self.speed(peer, server).await?;
                println!("round {number}: {}", told(peer, &speed));
                round.push(speed);
            }
            rounds.push(round);
        }
        let figures = peers.iter().enumerate().skip(1);
        Ok(figures
            .map(|(place, peer)| figure(*peer, place, &rounds))
            .chain(replicas(&peers, &rounds))
            .collect())
    }

    async fn speed(&mut self, peer: Peer, server: &Server) -> anyhow::Result<Speed> {
        let fleet = self.fleet(peer, server).await?;
        self.maker.by(match peer {
            Peer::Returning => Authors::Few(RETURNING),
            _ => Authors::New,
        });
        let to = fleet.addresses();
        self.settle_all(&to).await?;
        let deliveries = Rc::new(self.maker.make(self.scale.deliveries)?);
        let before = (fleet.processor_time()?, processor_of(server.pid)?);
        let answers = send(&to, &deliveries, Pace::Full).await?;
        let confirmed = self.confirmed(&deliveries).await?.max(answers.ended);
        let after = (fleet.processor_time()?, processor_of(server.pid)?);
        fleet.stop().await?;
        let count = deliveries.len() as f64;
        let each = |took: Duration| took.as_secs_f64() * 1e6 / count;
        Ok(Speed {
            per_second: count / (confirmed - answers.began).as_secs_f64(),
            processor: (
                each(after.0.saturating_sub(before.0)),
                each(after.1.saturating_sub(before.1)),
            ),
            p99: answers.latency.value_at_quantile(0.99),
        })
    }

    async fn fleet(&self, peer: Peer, server: &Server) -> anyhow::Result<Fleet> {
        let broker = self.broker.url();
        let mut database = None;
        let subjects = match peer {
            Peer::Bare => vec![Subject::bare(broker).await?],
            Peer::Node => vec![Subject::node(broker).await?],
            Peer::Python => vec![Subject::python(broker).await?],
            Peer::Sqlite => {
                let folder = empty_folder(&self.folder, "peer")?;
                vec![Subject::service(broker, &folder, Setup::default()).await?]
            }
            Peer::Postgres | Peer::Returning | Peer::Replicas => {
                let count = if peer == Peer::Replicas { REPLICAS } else { 1 };
                let made = Database::create(server).await?;
                let subjects = self.replicas(count, made.url()).await?;
                database = Some(made);
                subjects
            }
        };
        Ok(Fleet { subjects, database })
    }

    async fn replicas(&self, count: usize, store: &str) -> anyhow::Result<Vec<Subject>> {
        let mut subjects = Vec::new();
        for number in 1..=count {
            let folder = empty_folder(&self.folder, &format!("replica{number}"))?;
            let setup = Setup {
                store: Some(store),
                ..Setup::default()
            };
            subjects.push(Subject::service(self.broker.url(), &folder, setup).await?);
        }
        Ok(subjects)
    }
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Sqlite => "SQLite / bare",
            Self::Postgres => "PostgreSQL / bare",
            Self::Returning => "PostgreSQL, few customers / bare",
            Self::Replicas => "PostgreSQL, three replicas / bare",
            Self::Node => "Node (express, amqplib) / bare",
            Self::Python => "Python (FastAPI, aio-pika) / bare",
        }
    }
}

fn told(peer: Peer, speed: &Speed) -> String {
    let Speed {
        per_second,
        processor: (own, database),
        p99,
    } = speed;
    format!(
        "{}: {per_second:.0}/s, {own:.0} us of processor each and {database:.0} of the database, p99 {}",
        peer.name(),
        show(*p99)
    )
}

/// The median of a figure over all rounds.
fn of(rounds: &[Vec<Speed>], figure: impl Fn(&[Speed]) -> Option<f64>) -> f64 {
    median(rounds.iter().filter_map(|round| figure(round)))
}

fn figure(peer: Peer, place: usize, rounds: &[Vec<Speed>]) -> Figure {
    let own = |of: fn(&Speed) -> f64| move |round: &[Speed]| round.get(place).map(of);
    let ratio = |round: &[Speed]| Some(round.get(place)?.per_second / round.first()?.per_second);
    let (required, goal) = match peer {
        Peer::Postgres => (Some(Bound::AtLeast(0.6)), Some(Bound::AtLeast(0.8))),
        _ => (None, None),
    };
    Figure {
        name: peer.name(),
        absolute: format!(
            "{:.0}/s; {:.0} us of processor each and {:.0} of the database; p99 {}",
            of(rounds, own(|speed| speed.per_second)),
            of(rounds, own(|speed| speed.processor.0)),
            of(rounds, own(|speed| speed.processor.1)),
            show(of(rounds, own(|speed| speed.p99 as f64)) as u64)
        ),
        judged: of(rounds, ratio),
        required,
        goal,
    }
}

/// What three replicas take beside one.
fn replicas(peers: &[Peer], rounds: &[Vec<Speed>]) -> Option<Figure> {
    let place = |wanted| peers.iter().position(|peer| *peer == wanted);
    let (one, three) = (place(Peer::Postgres)?, place(Peer::Replicas)?);
    let ratio = |round: &[Speed]| Some(round.get(three)?.per_second / round.get(one)?.per_second);
    Some(Figure {
        name: "three replicas / one",
        absolute: "on the processors of one machine".to_owned(),
        judged: of(rounds, ratio),
        required: None,
        goal: None,
    })
}
