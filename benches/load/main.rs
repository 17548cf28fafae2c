//! Load on the running service, beside the least service that could do the same. Every ratio is
//! taken between runs that follow each other, the median of several.

mod broker;
mod commands;
mod database;
mod deliveries;
mod http;
mod journal;
mod measure;
mod report;
mod rounds;
mod subject;
mod x;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use broker::Broker;
use commands::Commands;
use database::Server;
use report::Figure;
use rounds::{Bench, Peer, Scale};

/// Measures the service; `scripts/broker run DIR -- target/release/load` gives it a broker.
#[derive(Parser)]
struct Arguments {
    /// A look of half a minute, too short to judge by.
    #[arg(long)]
    quick: bool,
    /// Only this side of the service.
    #[arg(long, value_enum)]
    only: Option<Side>,
    /// With `--only peers`, beside bare only these.
    #[arg(long, value_enum)]
    peer: Vec<Peer>,
    /// Only the processor time of this many deliveries (or commands, with `--only commands`), by
    /// thread.
    #[arg(long, value_name = "COUNT")]
    processor: Option<usize>,
    /// Where journals and logs go: on the disk that is to be measured.
    #[arg(long, default_value = ".run/bench")]
    folder: PathBuf,
    /// AMQP URL of the broker.
    #[arg(long, env = "TWITTER_CHANNEL__BROKER__URL", hide_env_values = true)]
    broker: String,
    /// URL of the broker's management.
    #[arg(long, env = "BROKER_MANAGEMENT_URL", hide_env_values = true)]
    management: String,
    /// URL of a superuser of PostgreSQL.
    #[arg(long, env = "TWITTER_CHANNEL_TEST_POSTGRES", hide_env_values = true)]
    postgres: String,
    /// Its first process.
    #[arg(long, env = "POSTGRES_PID")]
    postgres_pid: u32,
}

/// What the service does.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Side {
    /// From X to the core.
    Deliveries,
    /// From the core to X.
    Commands,
    /// From X to the core, over either store, of several replicas, and of others.
    Peers,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let broker = Broker::prepare(&arguments.broker, &arguments.management).await?;
    let measured = measure(&arguments, &broker).await;
    broker.remove().await?;
    Ok(if report::print(&measured?) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn measure(arguments: &Arguments, broker: &Broker) -> anyhow::Result<Vec<Figure>> {
    let (scale, commands) = match arguments.quick {
        true => (Scale::QUICK, commands::Scale::QUICK),
        false => (Scale::FULL, commands::Scale::FULL),
    };
    let folder = &arguments.folder;
    let server = Server {
        url: arguments.postgres.clone(),
        pid: arguments.postgres_pid,
    };
    let bench = Bench::new(broker, folder.clone(), scale)?;
    let commands = Commands::new(broker, folder.clone(), commands)?;
    match (arguments.processor, arguments.only) {
        (Some(count), Some(Side::Commands)) => commands.processor(count).await.map(|()| Vec::new()),
        (Some(count), _) => bench.processor(count).await.map(|()| Vec::new()),
        (None, Some(Side::Commands)) => commands.run().await,
        (None, Some(Side::Deliveries)) => bench.run().await,
        (None, Some(Side::Peers)) => bench.peers(&server, &arguments.peer).await,
        (None, None) => {
            let mut figures = bench.run().await?;
            let peers = Bench::new(broker, folder.clone(), scale)?;
            figures.extend(peers.peers(&server, &[]).await?);
            figures.extend(commands.run().await?);
            Ok(figures)
        }
    }
}
