//! T2, T4, T5: sizes, and what a connection may cost before and after its HELLO.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};
use zyre_rs::Event;
use zyre_rs::wire::Command;

use super::raw::{Attacker, encode};
use super::stage::{PATIENCE, Stage};

const MIB: usize = 1 << 20;

/// The first frame of a whisper, then the header of a content frame that claims `size` bytes.
fn claim(size: u64) -> Vec<u8> {
    [&b"\x01\x06\xaa\xa1\x02\x02\x00\x02"[..], &[2], &size.to_be_bytes()].concat()
}

#[tokio::test]
async fn t2_a_frame_that_claims_16_gib_closes_the_connection_at_its_header() {
    let stage = Stage::new().await;
    let attacker = Attacker::at(&stage, 2).await;
    for (bytes, counter) in [
        (claim(16 << 30), "frame_message_too_large"),
        (claim((64 << 20) + 1_024), "frame_message_too_large"),
        (claim(u64::MAX), "frame_length_overflow"),
        (vec![0x80], "frame_reserved_flags"),
    ] {
        let before = stage.counter(counter);
        let mut line = attacker.enter(&stage).await;
        line.write(&bytes).await;
        line.closed().await;
        assert_eq!(stage.counter(counter), before + 1, "{counter}");
    }
    stage.finish().await;
}

/// 8 × 60 MiB is more than the node may hold. If a claim were reserved, nobody else could send anything large.
#[tokio::test]
async fn t2_claims_within_the_limit_reserve_nothing_that_others_need() {
    let stage = Stage::new().await;
    let mut claims = Vec::new();
    for last in 2..10 {
        let attacker = Attacker::at(&stage, last).await;
        let mut line = attacker.enter(&stage).await;
        line.write(&claim(60 << 20)).await;
        // The answer to a ZMTP PING after it would wait for the message's end, so nothing tells that it was read.
        claims.push((attacker, line));
    }
    stage.echoes_on().await;
    let large = Attacker::at(&stage, 20).await;
    let mut line = large.enter(&stage).await;
    line.say(&Command::Whisper, &[&vec![7; 8 * MIB]]).await;
    let is_it = |event: &Event| event.message().is_some_and(|message| message.size() == 8 * MIB);
    stage.until("8 MiB", |events| events.iter().any(is_it)).await;
    assert_eq!(stage.counter("receive_budget_full"), 0);
    stage.finish().await;
}

#[tokio::test]
async fn t4_endless_more_frames_end_at_1024_frames_or_at_the_message_limit() {
    let stage = Stage::with(|builder| builder.max_message(MIB)).await;
    let attacker = Attacker::at(&stage, 2).await;
    for (frame, counter) in [
        (vec![1, 0], "frame_too_many_frames"),
        ([&[1, 200][..], &[0; 200]].concat(), "frame_too_many_frames"),
    ] {
        let before = stage.counter(counter);
        let mut line = attacker.enter(&stage).await;
        line.write(&b"\x01\x06\xaa\xa1\x02\x02\x00\x02"[..]).await;
        line.write(&frame.repeat(2_000)).await;
        line.closed().await;
        assert_eq!(stage.counter(counter), before + 1);
    }
    let mut line = attacker.enter(&stage).await;
    line.write(&b"\x01\x06\xaa\xa1\x02\x02\x00\x02"[..]).await;
    let long = [&[3, 0, 0, 0, 0, 0, 1, 0, 0][..], &vec![0; 1 << 16]].concat();
    line.write(&long.repeat(17)).await;
    line.closed().await;
    assert_eq!(stage.counter("frame_message_too_large"), 1);
    stage.finish().await;
}

/// Unfinished messages may hold half of the node's 256 MiB, and one of them may go beyond.
#[tokio::test]
async fn t4_unfinished_messages_share_a_budget_and_small_ones_still_pass() {
    const SENT: usize = 60 * MIB;
    let stage = Stage::new().await;
    let block = vec![0; MIB];
    let mut lines = Vec::new();
    for last in 2..6 {
        let attacker = Attacker::at(&stage, last).await;
        let mut line = attacker.enter(&stage).await;
        line.write(&claim(62 << 20)).await;
        lines.push((attacker, line, 0_usize));
    }
    // Each in turn sends until it is done or not read for a while.
    let mut stuck = 0;
    for (_, line, sent) in &mut lines {
        while *sent < SENT {
            let wrote = timeout(Duration::from_millis(700), line.stream.write(&block)).await;
            let Ok(wrote) = wrote else {
                stuck += 1;
                break;
            };
            *sent += wrote.unwrap();
        }
    }
    assert!(stuck >= 1, "all four were read to their end");
    stage.counted("receive_budget_full", 1).await;
    stage.echoes_on().await;
    drop(lines);
    stage.finish().await;
}

#[tokio::test]
async fn t5_a_connection_that_never_says_hello_is_closed_after_ten_seconds() {
    let stage = Stage::new().await;
    let attacker = Attacker::at(&stage, 2).await;
    let (mut silent, mut chatty) = (attacker.connect().await, attacker.connect().await);
    let start = Instant::now();
    chatty.say(&Command::Ping, &[]).await;
    tokio::join!(silent.closed(), chatty.closed());
    let elapsed = start.elapsed().as_secs();
    assert!((9..=14).contains(&elapsed), "{elapsed} s");
    stage.counted("hello_timeout", 2).await;
    stage.finish().await;
}

#[tokio::test]
async fn t5_nothing_over_256_kib_is_taken_before_hello() {
    let stage = Stage::new().await;
    let attacker = Attacker::at(&stage, 2).await;
    let mut line = attacker.connect().await;
    line.write(&[2, 0, 0, 0, 0, 0, 4, 0, 1]).await;
    line.closed().await;
    assert_eq!(stage.counter("frame_message_too_large"), 1);
    let mut many = attacker.connect().await;
    let quarter = encode(&Command::Whisper, 1, &[&vec![0; 200 << 10], &vec![0; 100 << 10]]);
    many.write(&quarter).await;
    many.closed().await;
    assert_eq!(stage.counter("frame_message_too_large"), 2);
    timeout(PATIENCE, stage.finish()).await.unwrap();
}
