use super::pending::{Pending, Place};
use super::*;
use crate::net::connection::tests::{id, net, net_with, next, until};
use crate::zmtp::Limits;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_flood_of_handshakes_drops_its_oldest_and_a_good_peer_gets_in() {
    let (net, mut events) = net().await;
    let mut flood = Vec::new();
    for _ in 0..200 {
        flood.push(TcpStream::connect(net.address).await.unwrap());
    }
    let _peer = net.enter(id(1)).await;
    assert_eq!(next(&mut events).await, "ENTER");
    // 32 per address: of 200 and the peer 169 had to go for another.
    until("evicted", || net.counted("handshake_evicted") == 169).await;
}

#[tokio::test]
async fn a_connection_to_a_foreign_interface_is_dropped_and_counted() {
    let (net, _events) = net_with(Limits::default(), |_, _| false).await;
    let _stream = TcpStream::connect(net.address).await.unwrap();
    until("counted", || net.counted("conn_foreign_interface") == 1).await;
}

#[tokio::test]
async fn the_end_of_the_listener_ends_its_connections_and_then_the_events_end() {
    let (net, mut events) = net().await;
    let mut peer = net.enter(id(1)).await;
    assert_eq!(next(&mut events).await, "ENTER");
    net.stop.pull();
    peer.closed().await;
    net.listener.await.unwrap();
    net.inbox.close();
    assert_eq!(events.next().await, None);
}

#[test]
fn at_most_256_handshakes_are_pending_and_the_oldest_of_all_goes_first() {
    let pending = Arc::<Pending>::default();
    let leashes: Vec<_> = (0..258).map(|_| Arc::<Leash>::default()).collect();
    for (n, leash) in leashes.iter().enumerate() {
        let address = [10, 0, 0, (n % 200) as u8].into();
        assert_eq!(pending.enter(ConnId(n as u64), address, Arc::clone(leash)), n >= 256, "{n}");
    }
    assert_eq!(pending.len(), 256);
    assert_eq!(leashes.iter().filter(|leash| leash.is_pulled()).count(), 2);
    assert!(leashes[0].is_pulled() && leashes[1].is_pulled());
    drop(Place { pending: Arc::clone(&pending), conn: ConnId(9) });
    assert_eq!(pending.len(), 255);
}

/// Says what accept(2) says when the process has no descriptor left.
struct Exhausted(Arc<AtomicUsize>);

impl Accept for Exhausted {
    async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        self.0.fetch_add(1, SeqCst);
        Err(io::Error::from_raw_os_error(24))
    }
}

#[tokio::test(start_paused = true)]
async fn without_descriptors_accepting_is_tried_ten_times_a_second_and_stops_when_told() {
    let (net, _events) = net().await;
    let (tries, stop) = (Arc::<AtomicUsize>::default(), Arc::<Leash>::default());
    let (door, told) = (Exhausted(Arc::clone(&tries)), Arc::clone(&stop));
    let task = tokio::spawn(run(door, net.mailbox, |_, _| true, told));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!((95..=105).contains(&tries.load(SeqCst)), "{tries:?}");
    assert_eq!(net.counters.snapshot().get("accept_failed"), Some(&(tries.load(SeqCst) as u64)));
    stop.pull();
    task.await.unwrap();
}
