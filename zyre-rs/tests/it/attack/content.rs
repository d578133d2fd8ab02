//! T12–T17: what arrives in a session.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::time::timeout;
use zyre_rs::wire::{Command, HelloFields};
use zyre_rs::{Event, ExitReason};

use super::raw::{Attacker, encode, group, hello};
use super::stage::{PATIENCE, Stage};

#[tokio::test]
async fn t12_a_gap_is_told_with_its_size_and_ends_the_session() {
    let stage = Stage::new().await;
    let peer = Attacker::at(&stage, 2).await;
    let mut line = peer.enter(&stage).await;
    line.whisper("before").await;
    line.sequence += 5;
    line.whisper("after").await;
    line.closed().await;
    stage.exits(peer.id, ExitReason::MessagesLost { count: 5 }).await;
    assert_eq!(stage.counter("sequence_gap"), 1);
    assert_eq!(stage.events(peer.id, "WHISPER"), 1, "what comes behind a gap is not delivered");
    stage.finish().await;
}

#[tokio::test]
async fn t12_both_wraps_of_the_sequence_are_passed_without_a_gap() {
    let stage = Stage::new().await;
    for (last, flavour, around) in
        [(2, "pyre's", &[65_534, 0, 1][..]), (3, "zyre's", &[65_534, 65_535, 0, 1])]
    {
        let peer = Attacker::at(&stage, last).await;
        let mut line = peer.enter(&stage).await;
        let numbers = (2..65_534).chain(around.iter().copied());
        let bytes: Vec<u8> = numbers.flat_map(|n| encode(&Command::Whisper, n, &[b""])).collect();
        line.write(&bytes).await;
        line.sequence = 1;
        line.whisper(flavour).await;
        stage.hears(peer.id, flavour).await;
        assert_eq!(stage.events(peer.id, "WHISPER"), 65_532 + around.len() + 1);
    }
    assert_eq!(stage.counter("sequence_gap"), 0);
    stage.finish().await;
}

#[tokio::test]
async fn t13_a_wrong_status_byte_is_counted_and_not_enforced() {
    let stage = Stage::new().await;
    let peer = Attacker::at(&stage, 2).await;
    let mut line = peer.connect().await;
    line.say_hello(HelloFields { status: 254, ..peer.hello() }).await;
    stage.enters(peer.id).await;
    let join = |name: &str, status| Command::Join { group: group(name.as_bytes()), status };
    // Right by both ways of counting: 254, 255, 0 and zyre.js's 254, 0.
    line.say(&join("a", 255), &[]).await;
    line.say(&join("b", 0), &[]).await;
    line.say(&Command::Leave { group: group(b"a"), status: 1 }, &[]).await;
    line.say(&join("c", 77), &[]).await;
    line.say(&Command::Leave { group: group(b"b"), status: 77 }, &[]).await;
    line.say(&join("d", 78), &[]).await;
    line.whisper("still here").await;
    stage.hears(peer.id, "still here").await;
    assert_eq!(stage.counter("status_mismatch"), 2);
    let groups = stage.victim.peer(peer.id).unwrap().groups;
    assert_eq!(*groups, [group(b"c"), group(b"d")].into());
    stage.finish().await;
}

#[tokio::test]
async fn t14_bytes_that_are_no_text_are_kept_inside_and_shown_escaped() {
    const ODD: &[u8] = b"\xff\x1b[2J\0";
    let stage = Stage::new().await;
    stage.victim.join("all").await.unwrap();
    let peer = Attacker::at(&stage, 2).await;
    let mut line = peer.connect().await;
    let headers = vec![(b"X-\xff".to_vec(), ODD.to_vec())];
    let fields = HelloFields { name: ODD.to_vec(), groups: vec![group(ODD)], headers, ..peer.hello() };
    line.say_hello(fields).await;
    line.say(&Command::Join { group: group(b"\0\xfe"), status: 1 }, &[]).await;
    line.say(&Command::Shout { group: group(b"all") }, &[ODD]).await;
    let shouted = |event: &Event| event.message().is_some_and(|message| message.frames() == [ODD]);
    stage.until("the shout", |events| events.iter().any(shouted)).await;
    let seen = stage.victim.peer(peer.id).unwrap();
    assert_eq!(&*seen.name, "\u{fffd}\u{1b}[2J\0");
    assert_eq!(seen.headers.get_bytes("X-\u{fffd}").unwrap(), ODD);
    assert!(seen.groups.iter().map(zyre_rs::GroupName::as_bytes).eq([b"\0\xfe", ODD]));
    let shown: String = seen.groups.iter().map(ToString::to_string).collect();
    assert!(!shown.chars().any(char::is_control), "{shown}");
    assert_eq!(zyre_rs::printable(&seen.name), "\u{fffd}\\u{1b}[2J\\u{0}");
    stage.finish().await;
}

#[tokio::test]
async fn t15_a_flood_that_the_application_does_not_read_is_not_read_from_the_socket() {
    const FLOOD: usize = 64 << 20;
    let stage = Stage::new().await;
    let flooder = Attacker::at(&stage, 2).await;
    let mut line = flooder.enter(&stage).await;
    stage.read(false);
    let block: Vec<u8> = (2..1_002).flat_map(|n| encode(&Command::Whisper, n, &[&[0; 1_024]])).collect();
    let mut sent = 0;
    while sent < FLOOD {
        let from = sent % block.len();
        // It goes on with wrong numbers after the first block, which nobody reads while the node holds back.
        match timeout(Duration::from_millis(700), line.stream.write(&block[from..])).await {
            Ok(Ok(wrote)) => sent += wrote,
            Ok(Err(_)) | Err(_) => break,
        }
    }
    // 8 MiB at most in the node; the rest is what the kernel keeps for both sides.
    assert!(sent < FLOOD / 2, "the node took {sent} bytes");
    stage.counted("reader_stalled", 1).await;
    assert_eq!(stage.counter("sequence_gap"), 0, "it read on");
    stage.read(true);
    stage.finish().await;
}

#[tokio::test]
async fn t15_a_flooder_has_64_messages_before_another_peers_turn() {
    let stage = Stage::new().await;
    let flooder = Attacker::at(&stage, 2).await;
    let mut line = flooder.enter(&stage).await;
    stage.read(false);
    let flood: Vec<u8> = (2..60_000).flat_map(|n| encode(&Command::Whisper, n, &[b"flood"])).collect();
    let writer = tokio::spawn(async move {
        line.write(&flood).await;
        line
    });
    // The good peer's next request is in the queue long before the flooder's reader has stalled.
    stage.counted("reader_stalled", 1).await;
    let start = stage.log_len();
    stage.read(true);
    let between = stage.before_next_echo(start).await;
    assert!(between <= 2 * 64 + 2, "{between} messages of the flooder before one of the good peer");
    let _line = writer.await.unwrap();
    stage.finish().await;
}

#[tokio::test]
async fn t16_a_shout_to_a_group_we_are_not_in_is_dropped_unless_wanted() {
    for wanted in [false, true] {
        let stage = Stage::with(|builder| builder.foreign_shouts(wanted)).await;
        let peer = Attacker::at(&stage, 2).await;
        let mut line = peer.enter(&stage).await;
        line.say(&Command::Shout { group: group(b"theirs") }, &[b"foreign"]).await;
        line.say(&Command::Shout { group: group(b"all") }, &[b"ours"]).await;
        stage.hears(peer.id, "ours").await;
        assert_eq!(stage.events(peer.id, "SHOUT"), if wanted { 2 } else { 1 });
        assert_eq!(stage.counter("shout_foreign"), u64::from(!wanted));
        stage.finish().await;
    }
}

#[tokio::test]
async fn t17_content_before_hello_is_counted_and_not_delivered() {
    let stage = Stage::new().await;
    let peer = Attacker::at(&stage, 2).await;
    let mut line = peer.connect().await;
    line.say(&Command::Whisper, &[b"too early"]).await;
    line.say(&Command::Shout { group: group(b"all") }, &[b"too early"]).await;
    line.say(&Command::Join { group: group(b"all"), status: 1 }, &[]).await;
    stage.counted("before_hello", 3).await;
    assert!(stage.victim.peer(peer.id).is_none());
    line.say_hello(peer.hello()).await;
    line.whisper("now").await;
    stage.hears(peer.id, "now").await;
    assert_eq!((stage.events(peer.id, "WHISPER"), stage.events(peer.id, "SHOUT")), (1, 0));
    stage.finish().await;
}

#[tokio::test]
async fn t17_unknown_ids_and_broken_messages_count_in_the_sequence_and_others_are_passed_over() {
    let stage = Stage::new().await;
    let peer = Attacker::at(&stage, 2).await;
    let mut line = peer.enter(&stage).await;
    line.say(&Command::Unknown { id: 99 }, &[b"more", b"frames"]).await;
    line.message(&[b"\xaa\xa1\x04\x02\x00\x03"]).await;
    line.message(&[b"not ZRE at all"]).await;
    line.message(&[b"\xaa\xa1\x06\x01\x00\x63"]).await;
    line.message(&[b""]).await;
    line.sequence = 3;
    // No content frame is one that is empty.
    line.say(&Command::Whisper, &[]).await;
    line.whisper("in order").await;
    stage.hears(peer.id, "in order").await;
    for (counter, expected) in [
        ("message_unknown_id", 1),
        ("message_truncated", 2),
        ("message_bad_signature", 1),
        ("message_bad_version", 1),
        ("sequence_gap", 0),
    ] {
        assert_eq!(stage.counter(counter), expected, "{counter}");
    }
    assert_eq!((stage.events(peer.id, "WHISPER"), stage.events(peer.id, "EXIT")), (2, 0));
    stage.finish().await;
}

#[tokio::test]
async fn t17_a_thousand_protocol_errors_end_the_session() {
    let stage = Stage::new().await;
    let peer = Attacker::at(&stage, 2).await;
    let mut line = peer.enter(&stage).await;
    for _ in 0..1_000 {
        line.message(&[b"nonsense"]).await;
    }
    line.whisper("not yet").await;
    stage.hears(peer.id, "not yet").await;
    line.message(&[b"nonsense"]).await;
    line.closed().await;
    stage.exits(peer.id, ExitReason::ProtocolErrors).await;
    assert_eq!((stage.counter("message_bad_signature"), stage.counter("misbehaved")), (1_001, 1));
    stage.finish().await;
}

/// The answers go nowhere: the attacker's mailbox takes connections and says nothing.
#[tokio::test]
async fn t17_a_flood_of_pings_whose_answers_are_not_taken_ends_in_exit() {
    let stage = Stage::new().await;
    let mute = TcpSocket::new_v4().unwrap();
    mute.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mute = mute.listen(8).unwrap();
    let endpoint = format!("tcp://{}", mute.local_addr().unwrap());
    let peer = Attacker::at(&stage, 2).await;
    let mut line = peer.connect().await;
    line.say_hello(hello(&endpoint)).await;
    stage.enters(peer.id).await;
    let pings: Vec<u8> = (2..12_100).flat_map(|n| encode(&Command::Ping, n, &[])).collect();
    line.write(&pings).await;
    stage.exits(peer.id, ExitReason::LinkFull).await;
    stage.counted("link_full", 1).await;
    timeout(PATIENCE, stage.finish()).await.unwrap();
}
