use super::batch::Piece;
use super::*;
use crate::ExitReason;
use crate::net::connection::tests::{PATIENCE, id, text, until};
use bytes::Bytes;
use tokio::time::timeout;

fn feed(inbox: &Inbox, peer: u8) -> (Feed, Share) {
    let feed = Feed::new(inbox.clone(), id(peer), "n".into(), Arc::default(), Arc::default());
    (feed, Share::new(inbox.clone()))
}

/// `count` whispers of `size` bytes.
fn batch(peer: u8, count: usize, size: usize) -> Box<Batch> {
    let piece = |n: usize| Piece {
        start: (n * size) as u32,
        length: size as u32,
        group: Piece::WHISPER,
        more: false,
    };
    let buffer = Bytes::from(vec![peer; count * size]);
    Box::new(Batch::new(id(peer), "n".into(), buffer, (0..count).map(piece).collect(), Vec::new()))
}

fn exit(peer: u8) -> Event {
    Event::Exit { peer: id(peer), name: "n".into(), reason: ExitReason::Goodbye }
}

#[test]
fn a_flooding_peer_lets_another_have_its_turn_after_64_messages_or_256_kib() {
    for (count, size, turn) in [(1_000, 10, 64), (20, 100_000, 3)] {
        let (inbox, mut events) = inbox(Arc::default(), 1 << 20);
        let ((mut flood, mut share), (mut slow, mut other)) = (feed(&inbox, 1), feed(&inbox, 2));
        assert_eq!(flood.try_push(batch(1, count, size), &mut share), Ok(true));
        assert_eq!(slow.try_push(batch(2, 1, size), &mut other), Ok(true));
        let taken: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
        assert_eq!(taken.len(), count + 1);
        assert_eq!(taken.iter().position(|event| event.peer() == id(2)), Some(turn));
        assert_eq!(inbox.used(), 0);
    }
}

#[test]
fn events_of_a_peer_stay_in_order_with_its_content_and_nothing_comes_after_exit() {
    let counters = Arc::<Counters>::default();
    let (inbox, mut events) = inbox(Arc::clone(&counters), 1 << 20);
    let (mut old, mut share) = feed(&inbox, 1);
    let evasive = Event::Evasive { peer: id(1), name: "n".into() };
    assert_eq!(old.try_push(batch(1, 1, 1), &mut share), Ok(true));
    inbox.push_event(id(1), evasive);
    assert_eq!(old.try_push(batch(1, 1, 1), &mut share), Ok(true));
    inbox.push_event(id(1), exit(1));
    assert_eq!(old.try_push(batch(1, 5, 1), &mut share), Err(Ended));
    drop(old);
    assert_eq!(counters.snapshot().get("events_discarded"), Some(&5));
    let (mut new, mut share) = feed(&inbox, 1);
    assert_eq!(new.try_push(batch(1, 1, 1), &mut share), Ok(true));
    let taken: Vec<_> = std::iter::from_fn(|| events.try_next()).map(|event| event.kind()).collect();
    assert_eq!(taken, ["WHISPER", "EVASIVE", "WHISPER", "EXIT", "WHISPER"]);
}

#[test]
fn small_frames_are_copied_and_large_ones_shared() {
    let (inbox, mut events) = inbox(Arc::default(), 1 << 20);
    let (mut feed, mut share) = feed(&inbox, 1);
    for (count, size, shared) in [(2, 1_024, false), (20, 2_000, false), (2, 30_000, true)] {
        let batch = batch(1, count, size);
        let buffer = batch.buffer.clone();
        assert_eq!(feed.try_push(batch, &mut share), Ok(true));
        for _ in 0..count {
            let event = events.try_next().unwrap();
            let frame = &event.message().unwrap()[0];
            assert_eq!(buffer.as_ptr_range().contains(&frame.as_ptr()), shared, "{size} bytes");
        }
    }
}

#[tokio::test]
async fn a_full_window_waits_and_one_message_of_any_size_fits_an_empty_one() {
    let (inbox, mut events) = inbox(Arc::default(), 64 << 20);
    let (mut feed, mut share) = feed(&inbox, 1);
    assert_eq!(feed.try_push(batch(1, 1, 64 << 20), &mut share), Ok(true));
    assert_eq!(feed.try_push(batch(1, 1, 1), &mut share), Ok(false));
    let waits = tokio::spawn(async move { feed.wait(&mut share).await });
    assert_eq!(timeout(PATIENCE, events.next()).await.unwrap().unwrap().message().unwrap().size(), 64 << 20);
    assert_eq!(timeout(PATIENCE, events.next()).await.unwrap().unwrap().message().unwrap().size(), 1);
    assert_eq!(waits.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn half_messages_never_block_each_other_for_ever_nor_pass_the_budget() {
    let (inbox, _events) = inbox(Arc::default(), 64 << 20);
    let mut halves = Vec::new();
    for _ in 0..8 {
        let inbox = inbox.clone();
        halves.push(tokio::spawn(async move {
            let mut share = Share::new(inbox.clone());
            for grown in 1..=16 {
                share.grow(grown * (4 << 20), None).await;
                assert!(inbox.used() <= BUDGET, "{} bytes", inbox.used());
                tokio::task::yield_now().await;
            }
        }));
    }
    for half in halves {
        timeout(PATIENCE, half).await.expect("a reader waits for ever").unwrap();
    }
    assert_eq!(inbox.used(), 0);
}

#[tokio::test]
async fn what_is_queued_is_delivered_after_close_and_then_none() {
    let (inbox, mut events) = inbox(Arc::default(), 1 << 20);
    let (mut feed, mut share) = feed(&inbox, 1);
    feed.try_push(batch(1, 3, 1), &mut share).unwrap();
    inbox.push_event(id(1), exit(1));
    inbox.close();
    assert_eq!(feed.try_push(batch(1, 3, 1), &mut share), Err(Ended));
    let mut got = Vec::new();
    assert_eq!(events.recv_many(&mut got, 100).await, 4);
    assert_eq!(got.last().map(text).as_deref(), Some("EXIT"));
    assert_eq!(events.recv_many(&mut got, 100).await, 0);
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_dropped_wait_for_events_loses_none_and_a_later_push_wakes_the_next() {
    let (inbox, mut events) = inbox(Arc::default(), 1 << 20);
    assert!(timeout(Duration::from_millis(1), events.next()).await.is_err());
    inbox.push_event(id(1), exit(1));
    let waiting = tokio::spawn(async move { (events.next().await, events.next().await) });
    until("the first is taken", || inbox.lock().reader.is_some()).await;
    inbox.push_event(id(2), exit(2));
    let (first, second) = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!((first.unwrap().peer(), second.unwrap().peer()), (id(1), id(2)));
}

#[tokio::test]
async fn a_reader_that_waits_when_the_events_are_dropped_goes_on() {
    let counters = Arc::<Counters>::default();
    let (inbox, events) = inbox(Arc::clone(&counters), 1 << 20);
    let (mut feed, mut share) = feed(&inbox, 1);
    assert_eq!(feed.try_push(batch(1, 1, 1 << 20), &mut share), Ok(true));
    assert_eq!(feed.try_push(batch(1, 2, 1), &mut share), Ok(false));
    let waits = tokio::spawn(async move { feed.wait(&mut share).await });
    drop(events);
    assert_eq!(timeout(PATIENCE, waits).await.unwrap().unwrap(), Ok(()));
    assert_eq!(counters.snapshot().get("events_discarded"), Some(&3));
}

#[tokio::test]
async fn a_wait_for_the_budget_is_flagged_as_a_stall_too() {
    let (inbox, mut events) = inbox(Arc::default(), 1 << 20);
    for peer in 0..4 {
        let (mut feed, mut share) = feed(&inbox, peer);
        assert_eq!(feed.try_push(batch(peer, 1, (64 << 20) - 1024), &mut share), Ok(true));
    }
    let line = Arc::<Line>::default();
    let (mut share, seen) = (Share::new(inbox.clone()), Arc::clone(&line));
    let waits = tokio::spawn(async move {
        share.grow(1 << 20, Some(&line)).await;
        share
    });
    until("stalled", || seen.is_stalled()).await;
    assert!(!waits.is_finished());
    while inbox.used() > 128 << 20 {
        assert!(events.next().await.is_some());
    }
    let share = timeout(PATIENCE, waits).await.unwrap().unwrap();
    assert!(!seen.is_stalled() && !share.is_none());
}
