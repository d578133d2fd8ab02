//! A sensor: says what it measures in its headers and shouts its readings as JSON. Twin: `python/shout_json.py`;
//! `recv_group` listens to it.

use clap::Parser;
use std::time::Duration;
use zyre_examples::{Failure, NodeArgs};

/// Shouts a JSON reading to a group every second, once somebody is in it.
#[derive(Parser)]
struct Cli {
    /// The group
    #[arg(default_value = "sensors")]
    group: String,
    #[command(flatten)]
    node: NodeArgs,
    /// End after this many readings; without it, on Ctrl-C
    #[arg(long)]
    count: Option<u64>,
    /// Milliseconds between two readings
    #[arg(long, default_value_t = 1000)]
    every_ms: u64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    let builder =
        cli.node.builder("sensor-rust").header("X-SENSOR", "temperature").header("X-UNIT", "celsius");
    let (node, mut events) = builder.start().await?;
    // A node that does not read its events makes its peers wait.
    tokio::spawn(async move { while events.next().await.is_some() {} });

    let readings = async {
        for n in 1..=cli.count.unwrap_or(u64::MAX) {
            node.wait_until(|now| now.members(&cli.group).next().is_some()).await;
            let reading = serde_json::json!({"n": n, "value": 20.0 + (n % 10) as f64 / 2.0});
            let heard_by = node.shout(&cli.group, reading.to_string()).await?;
            println!("{reading} to {heard_by}");
            tokio::time::sleep(Duration::from_millis(cli.every_ms)).await;
        }
        Ok::<_, Failure>(())
    };
    tokio::select! {
        done = readings => done?,
        _ = tokio::signal::ctrl_c() => {}
    }
    node.stop().await;
    Ok(())
}
