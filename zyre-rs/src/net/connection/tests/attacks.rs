use super::*;

#[tokio::test]
async fn a_connection_of_another_protocol_is_closed_at_its_first_bytes() {
    let (net, _events) = net().await;
    let stream = TcpStream::connect(net.address).await.unwrap();
    let mut peer = Peer { stream, sequence: 0 };
    peer.write(b"GET / HTTP/1.1\r\n").await;
    peer.closed().await;
}

#[tokio::test]
async fn an_identity_that_is_not_a_nodes_is_refused_and_another_prefix_is_only_counted() {
    let (net, mut events) = net().await;
    for (identity, refused) in [(vec![1; 16], true), (vec![7; 17], false)] {
        let mut stream = TcpStream::connect(net.address).await.unwrap();
        let mut handshake = Handshake::new(Role::Dealer { identity }, Mechanism::Null);
        stream.write_all(&handshake.take_output()).await.unwrap();
        let mut peer = Peer { stream, sequence: 0 };
        if refused {
            peer.closed().await;
        } else {
            peer.say(&hello(), &[]).await;
            assert_eq!(next(&mut events).await, "ENTER");
        }
    }
    assert_eq!((net.counted("handshake_not_a_node"), net.counted("identity_prefix")), (1, 1));
}

#[tokio::test]
async fn a_handshake_and_a_hello_have_a_deadline() {
    let (net, _events) = net().await;
    let stream = TcpStream::connect(net.address).await.unwrap();
    let mut silent = Peer { stream, sequence: 0 };
    let mut greeted = net.greet(id(2)).await;
    let start = Instant::now();
    silent.closed().await;
    assert!((4..=7).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    greeted.closed().await;
    assert!((9..=13).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert_eq!((net.counted("handshake_timeout"), net.counted("hello_timeout")), (1, 1));
}

#[tokio::test]
async fn a_claim_of_16_gib_or_endless_frames_close_the_connection_without_memory() {
    let (net, _events) = net().await;
    for (bytes, counter) in [
        ([&[2, 0, 0, 0, 4, 0, 0, 0, 0][..], b"x"].concat(), "frame_message_too_large"),
        ([1, 0].repeat(2_000), "frame_too_many_frames"),
        (vec![0x80], "frame_reserved_flags"),
    ] {
        for before_hello in [true, false] {
            let mut peer = if before_hello { net.greet(id(1)).await } else { net.enter(id(1)).await };
            peer.write(&bytes).await;
            peer.closed().await;
        }
        assert_eq!(net.counted(counter), 2, "{counter}");
    }
    assert!(net.inbox.used() < 1 << 20);
}

#[tokio::test]
async fn a_hello_over_256_kib_is_refused_before_it_is_read() {
    let (net, _events) = net().await;
    let mut peer = net.greet(id(1)).await;
    peer.write(&[2, 0, 0, 0, 0, 0, 4, 0, 1]).await;
    peer.closed().await;
    assert_eq!(net.counted("frame_message_too_large"), 1);
}

#[tokio::test]
async fn malformed_messages_count_in_the_sequence_and_are_otherwise_ignored() {
    let (net, mut events) = net().await;
    let mut peer = net.enter(id(1)).await;
    let mut bytes = Vec::new();
    // JOIN without its group, an id of the future: both numbered.
    put_message(&mut bytes, &[&b"\xaa\xa1\x04\x02\x00\x02"[..]]);
    put_message(&mut bytes, &[&b"\xaa\xa1\x63\x02\x00\x03"[..]]);
    // Not ZRE, ZRE 1: no number.
    put_message(&mut bytes, &[&b"hello"[..]]);
    put_message(&mut bytes, &[&b"\xaa\xa1\x06\x01\x00\x09"[..]]);
    peer.write(&bytes).await;
    peer.sequence = 3;
    peer.whisper("fine").await;
    assert_eq!(next(&mut events).await, "ENTER");
    assert_eq!(next(&mut events).await, "WHISPER fine");
    for name in ["message_truncated", "message_unknown_id", "message_bad_signature", "message_bad_version"] {
        assert_eq!(net.counted(name), 1, "{name}");
    }
}

#[tokio::test]
async fn more_than_a_thousand_protocol_errors_end_the_connection() {
    let (net, _events) = net().await;
    let mut peer = net.enter(id(1)).await;
    let mut bytes = Vec::new();
    (0..1_001).for_each(|_| put_message(&mut bytes, &[&b"nonsense"[..]]));
    peer.write(&bytes).await;
    peer.closed().await;
    assert!(net.script.has_seen(|input| matches!(input, Input::Misbehaved { .. })));
}

#[tokio::test]
async fn random_bytes_after_the_handshake_harm_nobody() {
    let (net, mut events) = net().await;
    let mut good = net.enter(id(200)).await;
    assert_eq!(next(&mut events).await, "ENTER");
    let mut random = 99_u64;
    for round in 0..60 {
        let mut peer = if round % 2 == 0 { net.greet(id(round)).await } else { net.enter(id(round)).await };
        let bytes: Vec<u8> = (0..2_000)
            .map(|n| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Mostly small values, so that headers are often plausible.
                let byte = (random >> 56) as u8;
                if n % 3 == 0 { byte & 3 } else { byte & 31 }
            })
            .collect();
        // It may be closed on at any time.
        let _ = peer.stream.write_all(&bytes).await;
    }
    good.whisper("still here").await;
    timeout(PATIENCE, async { while next(&mut events).await != "WHISPER still here" {} }).await.unwrap();
    assert_eq!(net.counted("conn_task_failed"), 0);
}
