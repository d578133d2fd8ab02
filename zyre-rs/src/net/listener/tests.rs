use crate::net::connection::tests::{id, net, net_with, next, until};
use crate::zmtp::Limits;
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
