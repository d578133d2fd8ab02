//! Load that a node of ours makes by itself, so that no pipe to the test limits it: numbered messages as fast as the
//! link takes them, and round trips that are timed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use zyre_rs::{Node, PeerId, SendError};

/// Between two tries at a link that has refused.
const AFTER_REFUSAL: Duration = Duration::from_millis(1);
/// An echo that takes longer is lost.
const ECHO_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two round trips.
const PACE: Duration = Duration::from_millis(2);

/// Whispers numbered messages of `size` bytes (8 or more) for `time`, as fast as they are queued. A refused number is
/// tried again, so that what was queued is numbered without gaps.
///
/// Tells how many were `queued`, how often one was `refused` for want of space, how many the link `dropped` and why
/// it ended early.
pub async fn press(node: &Node, peer: PeerId, size: usize, time: Duration) -> Value {
    let end = Instant::now() + time;
    let (mut queued, mut refused, mut error) = (0_u64, 0_u64, None);
    while Instant::now() < end {
        let mut frame = queued.to_be_bytes().to_vec();
        frame.resize(size, 0);
        match node.whisper(peer, frame).await {
            Ok(()) => queued += 1,
            Err(SendError::Full { .. }) => {
                refused += 1;
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
            Err(other) => {
                error = Some(other.to_string());
                break;
            }
        }
    }
    let dropped = node.stats().links.get(&peer).map(|link| link.dropped);
    json!({"queued": queued, "refused": refused, "dropped": dropped, "error": error})
}

/// Whispers to a peer that echoes, one at a time, for `time`; the round trips' median, 99th percentile and maximum in
/// microseconds. `echoes` are the echoes' first frames.
///
/// # Errors
/// When an echo is lost.
pub async fn round_trips(
    node: &Node,
    peer: PeerId,
    time: Duration,
    mut echoes: mpsc::UnboundedReceiver<Vec<u8>>,
) -> Result<Value, Box<dyn std::error::Error>> {
    let end = Instant::now() + time;
    let mut taken = Vec::new();
    for number in 0_u64.. {
        let begin = Instant::now();
        if begin >= end {
            break;
        }
        node.whisper(peer, number.to_be_bytes().to_vec()).await?;
        loop {
            let echo = tokio::time::timeout(ECHO_TIMEOUT, echoes.recv()).await?.ok_or("no more events")?;
            if echo == number.to_be_bytes() {
                break;
            }
        }
        taken.push(begin.elapsed());
        tokio::time::sleep(PACE).await;
    }
    taken.sort_unstable();
    let at = |permille: usize| {
        let index = taken.len().saturating_sub(1) * permille / 1000;
        taken.get(index).map(Duration::as_micros).and_then(|micros| u64::try_from(micros).ok())
    };
    Ok(json!({"trips": taken.len(), "p50": at(500), "p99": at(990), "max": at(1000)}))
}
