use super::*;
use crate::proto::sequence::{Flavour, Next, Outbound};
use crate::zmtp::put_ping;

#[tokio::test]
async fn events_come_in_the_order_enter_join_content_whatever_is_written_at_once() {
    let (net, mut events) = net().await;
    net.groups.replace(["G".try_into().unwrap()].into());
    let mut peer = net.greet(id(1)).await;
    let mut bytes = peer.bytes(&hello(), &[]);
    bytes.extend(peer.bytes(&Command::Whisper, &[b"a"]));
    bytes.extend(peer.bytes(&Command::Join { group: "G".try_into().unwrap(), status: 1 }, &[]));
    bytes.extend(peer.bytes(&shout("G"), &[b"b", b"", b"c"]));
    bytes.extend(peer.bytes(&shout("other"), &[b"not for us"]));
    bytes.extend(peer.bytes(&Command::Whisper, &[]));
    bytes.extend(peer.bytes(&Command::Whisper, &[b"end"]));
    peer.write(&bytes).await;
    for expected in ["ENTER", "WHISPER a", "JOIN G", "SHOUT G b||c", "WHISPER", "WHISPER end"] {
        assert_eq!(next(&mut events).await, expected);
    }
    assert_eq!(net.counted("shout_foreign"), 1);
}

#[tokio::test]
async fn messages_arrive_whole_however_the_stream_is_cut() {
    let (net, mut events) = net().await;
    let mut peer = net.enter(id(1)).await;
    peer.stream.set_nodelay(true).unwrap();
    assert_eq!(next(&mut events).await, "ENTER");
    let (mut bytes, mut sizes, mut random) = (Vec::new(), Vec::new(), 12_345_u64);
    let mut dice = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for n in 0..300_u64 {
        let size = if n % 50 == 0 { 200_000 + dice(300_000) } else { dice(3_000) } as usize;
        let content = vec![n as u8; size];
        bytes.extend(peer.bytes(&Command::Whisper, &[&content, b"tail"]));
        if n % 7 == 0 {
            bytes.extend(peer.bytes(&Command::PingOk, &[]));
        }
        sizes.push(size);
    }
    let mut stream = peer.stream;
    let cuts: Vec<usize> = (0..4_000).map(|_| 1 + dice(2_500) as usize).collect();
    let writer = tokio::spawn(async move {
        let mut rest = bytes.as_slice();
        for cut in cuts.into_iter().chain(std::iter::repeat(100_000)) {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            stream.write_all(now).await.unwrap();
            rest = later;
            if rest.is_empty() {
                return stream;
            }
            tokio::task::yield_now().await;
        }
        stream
    });
    for (n, size) in sizes.into_iter().enumerate() {
        let event = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
        let message = event.message().unwrap();
        assert_eq!((message[0].len(), &message[1][..]), (size, b"tail".as_slice()), "message {n}");
        assert!(message[0].iter().all(|byte| *byte == n as u8), "message {n}");
    }
    drop(writer.await.unwrap());
    assert_eq!(events.try_next(), None);
    assert_eq!(net.inbox.used(), 0);
}

#[tokio::test]
async fn nothing_is_lost_over_either_wrap_of_the_sequence() {
    for flavour in [Flavour::Uint16, Flavour::Mod65535] {
        let (net, mut events) = net().await;
        let mut peer = net.enter(id(1)).await;
        let writer = tokio::spawn(async move {
            let mut outbound = Outbound::after_hello();
            for chunk in 0..200_u32 {
                let mut bytes = Vec::new();
                for n in 0..1_000_u32 {
                    let Next::Number(number) = outbound.next(flavour) else {
                        panic!("a known flavour wraps")
                    };
                    let mut head = Vec::new();
                    Command::Whisper.encode(number, &mut head);
                    put_message(&mut bytes, &[&head[..], &(chunk * 1_000 + n).to_be_bytes()]);
                }
                peer.write(&bytes).await;
            }
            peer
        });
        assert_eq!(next(&mut events).await, "ENTER");
        let (mut got, mut expected) = (Vec::new(), 0_u32);
        while expected < 200_000 {
            timeout(PATIENCE, events.recv_many(&mut got, 5_000)).await.unwrap();
            for event in got.drain(..) {
                assert_eq!(event.message().unwrap()[0][..], expected.to_be_bytes());
                expected += 1;
            }
        }
        assert_eq!(net.script.line.flavour(), flavour);
        drop(writer.await.unwrap());
    }
}

#[tokio::test]
async fn a_gap_is_told_after_what_came_before_it_and_ends_the_connection() {
    let (net, mut events) = net().await;
    let mut peer = net.enter(id(1)).await;
    let mut bytes = peer.bytes(&Command::Whisper, &[b"before"]);
    peer.sequence += 3;
    bytes.extend(peer.bytes(&Command::Whisper, &[b"after"]));
    peer.write(&bytes).await;
    peer.closed().await;
    for expected in ["ENTER", "WHISPER before", "EXIT"] {
        assert_eq!(next(&mut events).await, expected);
    }
    assert!(net.script.has_seen(|input| matches!(input, Input::Gap { missing: 3, .. })));
    until("closed", || net.script.has_seen(|input| matches!(input, Input::ConnClosed { expected: 3, .. })))
        .await;
}

#[tokio::test]
async fn a_connection_that_goes_on_without_hello_asks_once_and_resumes_before_a_large_message_is_whole() {
    let (net, mut events) = net().await;
    let mut peer = net.greet(id(1)).await;
    peer.sequence = 41;
    let large = vec![b'x'; 3 << 20];
    let bytes = peer.bytes(&Command::Whisper, &[&large]);
    peer.write(&bytes[..100]).await;
    until("asked", || net.script.has_seen(|input| matches!(input, Input::Resume { sequence: 42, .. }))).await;
    peer.write(&bytes[100..]).await;
    peer.whisper("next").await;
    let event = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    assert_eq!(event.message().unwrap().size(), large.len());
    assert_eq!(next(&mut events).await, "WHISPER next");
}

#[tokio::test]
async fn what_comes_before_hello_is_ignored_and_counted() {
    let (net, mut events) = net().await;
    net.script.refuse_resume.store(true, Ordering::SeqCst);
    let mut peer = net.greet(id(1)).await;
    peer.sequence = 6;
    peer.whisper("early").await;
    peer.whisper("early").await;
    peer.sequence = 0;
    peer.say(&hello(), &[]).await;
    peer.whisper("now").await;
    assert_eq!(next(&mut events).await, "ENTER");
    assert_eq!(next(&mut events).await, "WHISPER now");
    assert_eq!(net.counted("before_hello"), 2);
    let asked = |input: &&Input| matches!(input, Input::Resume { .. });
    assert_eq!(net.script.seen.lock().unwrap().iter().filter(asked).count(), 1);
}

#[tokio::test]
async fn a_hello_in_the_stream_starts_the_count_anew() {
    let (net, mut events) = net().await;
    let mut peer = net.enter(id(1)).await;
    peer.whisper("a").await;
    peer.sequence = 0;
    peer.say(&hello(), &[]).await;
    peer.whisper("b").await;
    for expected in ["ENTER", "WHISPER a", "ENTER", "WHISPER b"] {
        assert_eq!(next(&mut events).await, expected);
    }
}

#[tokio::test]
async fn a_pulled_leash_closes_the_connection_and_its_end_is_told_with_the_next_number() {
    let (net, mut events) = net().await;
    let mut peer = net.enter(id(1)).await;
    peer.whisper("a").await;
    assert_eq!(next(&mut events).await, "ENTER");
    assert_eq!(next(&mut events).await, "WHISPER a");
    net.script.leashes.lock().unwrap()[0].pull();
    peer.closed().await;
    until("told", || net.script.has_seen(|input| matches!(input, Input::ConnClosed { expected: 3, .. })))
        .await;
}

#[tokio::test]
async fn a_zmtp_ping_is_answered_also_amid_a_message() {
    let (net, mut events) = net().await;
    let mut peer = net.enter(id(1)).await;
    let message = peer.bytes(&Command::Whisper, &[b"content"]);
    let (head, content) = message.split_at(8);
    let mut bytes = head.to_vec();
    put_ping(&mut bytes, 0);
    bytes.extend(content);
    peer.write(&bytes).await;
    let mut pong = [0; 7];
    timeout(PATIENCE, peer.stream.read_exact(&mut pong)).await.unwrap().unwrap();
    assert_eq!(&pong, b"\x04\x05\x04PONG");
    assert_eq!(next(&mut events).await, "ENTER");
    assert_eq!(next(&mut events).await, "WHISPER content");
}

#[tokio::test]
async fn an_application_that_takes_nothing_stalls_the_peer_in_bounded_memory_and_loses_nothing() {
    let (net, mut events) = net().await;
    let mut peer = net.enter(id(1)).await;
    let writer = tokio::spawn(async move {
        for n in 0..20_000_u32 {
            peer.say(&Command::Whisper, &[&n.to_be_bytes(), &[0; 4_000]]).await;
        }
        peer
    });
    until("stalled", || net.script.line.is_stalled()).await;
    assert!(net.inbox.used() <= 2 << 20, "{} bytes are held", net.inbox.used());
    assert!(!writer.is_finished(), "the peer must feel the pressure");
    assert_eq!(next(&mut events).await, "ENTER");
    for n in 0..20_000_u32 {
        let event = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
        assert_eq!(event.message().unwrap()[0][..], n.to_be_bytes());
    }
    drop(writer.await.unwrap());
    until("no longer stalled", || !net.script.line.is_stalled()).await;
}

#[tokio::test]
async fn a_flood_of_joins_is_held_back_like_one_of_content() {
    let (net, mut events) = net().await;
    let mut peer = net.enter(id(1)).await;
    let writer = tokio::spawn(async move {
        for n in 0..5_000_u32 {
            let group = n.to_string().as_str().try_into().unwrap();
            peer.say(&Command::Join { group, status: 1 }, &[]).await;
        }
        peer
    });
    until("stalled", || net.script.line.is_stalled()).await;
    assert!(net.script.seen.lock().unwrap().len() < 4_000);
    assert_eq!(next(&mut events).await, "ENTER");
    for n in 0..5_000_u32 {
        assert_eq!(next(&mut events).await, format!("JOIN {n}"));
    }
    drop(writer.await.unwrap());
    assert_eq!((events.try_next(), net.inbox.used()), (None, 0));
}

#[tokio::test]
async fn a_flooding_peer_delays_another_by_no_more_than_its_turn() {
    let (net, mut events) = net().await;
    let (mut flood, mut slow) = (net.enter(id(1)).await, net.enter(id(2)).await);
    let writer = tokio::spawn(async move {
        for _ in 0..40 {
            let bytes: Vec<u8> =
                (0..1_000).flat_map(|_| flood.bytes(&Command::Whisper, &[b"flood"])).collect();
            flood.write(&bytes).await;
        }
        flood
    });
    until("the flood has filled its window", || net.script.line.is_stalled()).await;
    until("both are there", || net.script.enters.load(Ordering::SeqCst) == 2).await;
    let before = net.inbox.used();
    slow.whisper("slow").await;
    until("the slow one's message is there", || net.inbox.used() > before).await;
    let mut waited = 0;
    while !next(&mut events).await.ends_with("slow") {
        waited += 1;
    }
    // Two ENTERs and a turn, and what the flood began before the slow one had entered.
    assert!(waited <= 2 + 2 * 64, "{waited} events came first");
    let rest = async {
        while waited < 40_001 {
            next(&mut events).await;
            waited += 1
        }
    };
    timeout(PATIENCE, rest).await.unwrap();
    drop(writer.await.unwrap());
}

#[tokio::test]
async fn events_nobody_wants_are_discarded_and_counted_and_the_peer_goes_on() {
    let (net, mut events) = net().await;
    let mut peer = net.enter(id(1)).await;
    assert_eq!(next(&mut events).await, "ENTER");
    drop(events);
    for _ in 0..5_000 {
        peer.say(&Command::Whisper, &[&[0; 1_000]]).await;
    }
    until("all are counted", || net.counted("events_discarded") == 5_000).await;
}

#[tokio::test]
async fn an_idle_connection_costs_little() {
    let (net, mut events) = net().await;
    let _peer = net.enter(id(1)).await;
    assert_eq!(next(&mut events).await, "ENTER");
    let connection = super::super::Connection {
        stream: TcpStream::connect(net.address).await.unwrap().into(),
        conn: crate::proto::ConnId(9),
        source: net.address,
        mailbox: net.mailbox,
        leash: Arc::default(),
    };
    let size = size_of_val(&super::super::run(Box::new(connection), || ()));
    assert!(size <= 896, "{size} bytes");
}
