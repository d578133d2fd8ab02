//! On loopback only, each test on a port of its own.

use std::net::{Ipv4Addr, UdpSocket as StdSocket};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::*;
use crate::net::interface::{enumerate, example};

const LO_BROADCAST: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);
const LO: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn lo() -> InterfaceAddr {
    example("lo", 1, "127.0.0.1/8")
}

/// An address of documentation (RFC 5737) that no host has: binding to it fails and nothing is sent.
fn vanished() -> InterfaceAddr {
    example("gone0", 99, "203.0.113.5/24")
}

fn open(port: u16, interfaces: &[InterfaceAddr]) -> BeaconSockets {
    BeaconSockets::open(BeaconChannel::on_port(port), interfaces).unwrap()
}

async fn next(sockets: &BeaconSockets) -> (Vec<u8>, Datagram) {
    let mut buffer = [0; MAX_DATAGRAM];
    let wait = tokio::time::timeout(Duration::from_secs(5), sockets.recv(&mut buffer));
    let datagram = wait.await.expect("a datagram within five seconds").unwrap();
    (buffer[..datagram.length].to_vec(), datagram)
}

async fn next_bytes(sockets: &BeaconSockets) -> Vec<u8> {
    next(sockets).await.0
}

/// A socket as other implementations open it.
fn foreign(ip: Ipv4Addr, port: u16, reuse_port: bool) -> StdSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(reuse_port).unwrap();
    socket.set_broadcast(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.bind(&SocketAddr::from((ip, port)).into()).unwrap();
    socket.into()
}

#[tokio::test]
async fn two_nodes_in_one_process_hear_each_other_and_themselves() {
    let mut one = open(0, &[lo()]);
    let mut two = open(one.port(), &[lo()]);
    for (sender, text) in [(&mut one, b"one"), (&mut two, b"two")] {
        assert_eq!(sender.send(|interface| [text.to_vec(), interface.ip.to_string().into()].concat()), 1);
    }
    for node in [&one, &two] {
        for expected in ["one127.0.0.1", "two127.0.0.1"] {
            let (bytes, datagram) = next(node).await;
            assert_eq!(bytes, expected.as_bytes());
            assert_eq!(datagram.source, (LO, one.port()).into(), "sent from the beacon port");
            assert_eq!(datagram.local, Some(LO));
        }
    }
}

#[tokio::test]
async fn a_datagram_longer_than_a_beacon_never_has_the_length_of_one() {
    let node = open(0, &[lo()]);
    let sender = foreign(Ipv4Addr::LOCALHOST, 0, false);
    for (sent, seen) in [(0, 0), (22, 22), (54, 54), (63, 63), (64, 64), (65, 64), (300, 64), (9000, 64)] {
        sender.send_to(&vec![b'Z'; sent], (LO_BROADCAST, node.port())).unwrap();
        assert_eq!(next(&node).await.1.length, seen, "{sent} bytes");
    }
}

#[tokio::test]
async fn sockets_like_those_of_pyre_and_zyre_js_share_the_port_in_either_start_order() {
    let early = open(0, &[lo()]);
    let port = early.port();
    let pyre = foreign(LO_BROADCAST, port, true);
    let zyre_js = foreign(Ipv4Addr::UNSPECIFIED, port, false);
    let mut late = open(port, &[lo()]);

    let mut buffer = [0; 64];
    assert_eq!(late.send(|_| b"ours"), 1);
    for other in [&pyre, &zyre_js] {
        let (length, _) = other.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"ours");
    }
    zyre_js.send_to(b"theirs", (LO_BROADCAST, port)).unwrap();
    for node in [&early, &late] {
        assert_eq!(next_bytes(node).await, b"ours");
        assert_eq!(next_bytes(node).await, b"theirs");
    }
}

#[tokio::test]
async fn a_unicast_datagram_is_heard_although_it_lands_in_the_sender() {
    let node = open(0, &[lo()]);
    let sender = foreign(Ipv4Addr::LOCALHOST, 0, false);
    sender.send_to(b"unicast", (LO, node.port())).unwrap();
    assert_eq!(next_bytes(&node).await, b"unicast");
}

#[tokio::test]
async fn a_waiter_that_gives_up_loses_nothing() {
    let mut node = open(0, &[lo()]);
    let mut buffer = [0; MAX_DATAGRAM];
    tokio::select! {
        biased;
        _ = node.recv(&mut buffer) => panic!("nobody has sent"),
        () = std::future::ready(()) => {}
    }
    for text in [b"a", b"b", b"c"] {
        node.send(|_| text);
    }
    for text in [b"a", b"b", b"c"] {
        assert_eq!(next_bytes(&node).await, text);
    }
}

#[tokio::test]
async fn the_receiver_outlives_its_interfaces_and_knows_who_is_near() {
    let mut node = open(0, &[lo()]);
    let other = foreign(Ipv4Addr::LOCALHOST, 0, false);
    node.update(&[]).unwrap();
    assert_eq!(node.send(|_| b"to nobody"), 0);
    other.send_to(b"from afar", (LO_BROADCAST, node.port())).unwrap();
    let (bytes, datagram) = next(&node).await;
    assert_eq!((bytes.as_slice(), datagram.local), (&b"from afar"[..], None));

    node.update(&[lo()]).unwrap();
    assert_eq!(node.send(|_| b"back"), 1);
    let (bytes, datagram) = next(&node).await;
    assert_eq!((bytes.as_slice(), datagram.local), (&b"back"[..], Some(LO)));
    assert_eq!(node.failed_sends(), 0);
}

#[tokio::test]
async fn an_interface_that_is_gone_is_counted_and_does_not_stop_the_others() {
    let mut node = open(0, &[vanished(), lo()]);
    for round in 1..=3 {
        assert_eq!(node.send(|interface| interface.name.clone()), 1);
        assert_eq!(node.failed_sends(), round);
        assert_eq!(next_bytes(&node).await, b"lo");
    }
    node.update(&[lo()]).unwrap();
    assert_eq!(node.send(|_| b"alone"), 1);
    assert_eq!(node.failed_sends(), 3);
}

#[tokio::test]
async fn a_send_that_fails_closes_the_socket_and_the_next_one_opens_it_again() {
    let mut node = open(0, &[lo()]);
    // Longer than any UDP datagram: the system refuses it.
    assert_eq!(node.send(|_| vec![0; 70_000]), 0);
    assert!(node.lanes[0].failing && node.lanes[0].socket.is_none());
    assert_eq!(node.send(|_| b"again".to_vec()), 1);
    assert!(!node.lanes[0].failing);
    assert_eq!(next_bytes(&node).await, b"again");
    assert_eq!(node.failed_sends(), 1);
}

#[tokio::test]
async fn a_scout_hears_and_never_sends() {
    let mut scout = BeaconSockets::listen_only(BeaconChannel::on_port(0), &[lo()]).unwrap();
    let mut node = open(scout.port(), &[lo()]);
    scout.update(&[lo()]).unwrap();
    assert_eq!(scout.send(|_| b"never"), 0);
    assert_eq!(node.send(|_| b"node"), 1);
    for listener in [&scout, &node] {
        assert_eq!(next(listener).await.0, b"node");
    }
    assert_eq!(scout.failed_sends(), 0);
}

#[tokio::test]
async fn a_port_that_is_not_shared_is_refused_with_the_remedy() {
    let holder = StdSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = holder.local_addr().unwrap().port();
    let error = BeaconSockets::open(BeaconChannel::on_port(port), &[lo()]).unwrap_err();
    assert!(matches!(error, BeaconError::PortInUse { port: named } if named == port));
    assert!(error.to_string().contains("choose another port"));
}

#[tokio::test]
async fn a_sender_whose_port_is_taken_sends_from_another() {
    let holder = StdSocket::bind((LO, 0)).unwrap();
    let port = holder.local_addr().unwrap().port();
    let sender = socket::sender(&lo(), port).unwrap();
    assert_ne!(sender.local_addr().unwrap().port(), port);
}

#[tokio::test]
#[ignore = "sends on the first interface with an IPv6 link-local address; run it in a network of its own"]
async fn ipv6_nodes_hear_each_other_through_the_group() {
    let interface =
        enumerate().unwrap().into_iter().find(|found| found.ip.is_ipv6() && found.is_link_local());
    let interface = interface.expect("an IPv6 link-local address");
    let mut one = open(0, &[lo()]);
    let two = open(one.port(), std::slice::from_ref(&interface));
    one.update(&[lo(), interface.clone()]).unwrap();
    assert_eq!(one.send(|interface| interface.ip.to_string()), 2);
    assert_eq!(one.failed_sends(), 0);
    let mut heard = [next(&two).await, next(&two).await];
    heard.sort_by_key(|(_, datagram)| datagram.source.is_ipv6());
    assert_eq!(heard[0].1.local, None, "IPv4 loopback is not among its interfaces");
    assert_eq!(heard[1].0, interface.ip.to_string().as_bytes());
    assert_eq!(heard[1].1.local, Some(interface.ip));
}

#[tokio::test]
async fn a_beacon_to_the_group_of_gyre_is_heard() {
    let node = open(0, &[lo()]);
    let gyre = foreign(Ipv4Addr::LOCALHOST, 0, false);
    socket2::SockRef::from(&gyre).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    gyre.send_to(b"gyre", (Ipv4Addr::new(224, 0, 0, 250), node.port())).unwrap();
    let (bytes, datagram) = next(&node).await;
    assert_eq!((bytes.as_slice(), datagram.local), (&b"gyre"[..], Some(LO)));
}
