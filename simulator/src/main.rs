//! The simulator as a program: starts, says where it is, and runs until it is told to stop.

mod config;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use simulator::Simulator;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Flags};

#[tokio::main]
async fn main() -> Result<()> {
    let log_level = EnvFilter::new("warn");
    tracing_subscriber::fmt()
        .with_env_filter(log_level)
        .with_writer(std::io::stderr)
        .init();
    let config = Flags::parse().into_config()?;
    let simulator = Simulator::start(config.settings()).await?;
    populate(&simulator, config)?;
    println!("{}", simulator.url());
    told_to_stop().await?;
    simulator.stop().await;
    Ok(())
}

fn populate(simulator: &Simulator, config: Config) -> Result<()> {
    for user in config.users {
        simulator.add_user(user.into())?;
    }
    for app in config.apps {
        let registered = simulator.register(&app);
        registered.with_context(|| format!("app {}", app.name))?;
    }
    Ok(())
}

async fn told_to_stop() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
