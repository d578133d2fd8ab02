//! What a user gets wrong: the error's text names the remedy, and nothing half-started remains.

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;
use zyre_rs::{
    ConnectError, GroupError, MemoryNetwork, Message, NetworkKey, Node, NodeBuilder, Overflow, PeerId,
    SendError, StartError,
};

use crate::attack::stage::beacon_port;

const PATIENCE: Duration = Duration::from_secs(20);

/// A node that would start, on ports of its own.
fn builder(udp: u16) -> NodeBuilder {
    Node::builder("user").interface("127.0.0.1").beacon_port(udp)
}

fn free_tcp_port() -> u16 {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port()
}

/// The start is refused with these words, and afterwards no task runs and both ports can be taken by a program that
/// does not share them.
async fn refused(setting: impl FnOnce(NodeBuilder) -> NodeBuilder, words: &[&str]) -> StartError {
    let (udp, tcp) = (beacon_port(), free_tcp_port());
    let error = setting(builder(udp).tcp_port(tcp)).start().await.map(drop).expect_err("it cannot start");
    says(&error.to_string(), words);
    nothing_remains().await;
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, udp)).expect("the UDP port is free again");
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, tcp)).expect("the TCP port is free again");
    error
}

fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in: {text}");
    }
}

/// Tasks end in their own turn when what they serve is dropped.
async fn nothing_remains() {
    let gone = async {
        while Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await
        }
    };
    timeout(PATIENCE, gone).await.expect("no task is left");
}

#[tokio::test]
async fn an_unknown_interface_is_refused_with_the_list_of_those_there_are() {
    let error = refused(|node| node.interface("eth99"), &["eth99", "there are:", "lo (127.0.0.1)"]).await;
    assert!(matches!(error, StartError::UnknownInterface(_)));
    refused(|node| node.interface("203.0.113.77"), &["203.0.113.77", "there are:"]).await;
}

#[tokio::test]
async fn a_secured_network_on_the_port_of_open_nodes_is_refused_unless_it_sends_no_beacons() {
    let secured = |node: NodeBuilder| node.network_key(NetworkKey::from_bytes([1; 32])).beacon_port(5670);
    let error = refused(secured, &["UDP port 5670", "pyre", "5669"]).await;
    assert!(matches!(error, StartError::OpenBeaconPort));
    let own_key = |node: NodeBuilder| {
        let key = zyre_rs::NodeKey::from_secret([1; 32]);
        node.node_key(key, zyre_rs::TrustedKeys::default()).beacon_port(5670)
    };
    let error = refused(own_key, &["UDP port 5670", "pyre", "5669"]).await;
    assert!(matches!(error, StartError::OpenBeaconPort));
    let (node, _events) =
        secured(builder(beacon_port())).beacon(false).start().await.expect("it is harmless");
    node.stop().await;
}

#[tokio::test]
async fn a_tcp_port_in_use_is_named_with_its_remedy_and_the_udp_port_is_given_back() {
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let words = [&*port.to_string(), "another program has this port", "choose another"];
    let error = refused(|node| node.tcp_port(port), &words).await;
    assert!(matches!(error, StartError::Mailbox { .. }));
    refused(|node| node.endpoint(format!("tcp://127.0.0.1:{port}")), &words).await;
    drop(taken);
    let udp = beacon_port();
    let (node, _events) = builder(udp).tcp_port(port).start().await.expect("free now");
    node.stop().await;
}

#[tokio::test]
async fn a_udp_port_held_by_a_program_that_does_not_share_it_is_named_with_its_remedy() {
    let taken = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let (udp, tcp) = (taken.local_addr().unwrap().port(), free_tcp_port());
    let error = builder(udp).tcp_port(tcp).start().await.map(drop).unwrap_err();
    assert!(matches!(error, StartError::BeaconPort { port, .. } if port == udp));
    says(&error.to_string(), &[&udp.to_string(), "stop that program", "choose another beacon port"]);
    nothing_remains().await;
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, tcp)).expect("the TCP port is free");
    drop(taken);
    let (node, _events) = builder(udp).tcp_port(tcp).start().await.expect("free now");
    node.stop().await;
}

#[tokio::test]
async fn names_that_peers_cannot_take_are_refused() {
    let too_long = "n".repeat(256);
    for (name, words) in [("", "0 bytes"), ("a\0b", "no NUL"), (&too_long, "256 bytes")] {
        let udp = beacon_port();
        let node = Node::builder(name).interface("127.0.0.1").beacon_port(udp);
        let error = node.start().await.map(drop).unwrap_err();
        says(&error.to_string(), &[words, "1 to 255 bytes", "choose another name"]);
        nothing_remains().await;
    }
    let udp = beacon_port();
    let longest = Node::builder("n".repeat(255)).interface("127.0.0.1").beacon_port(udp);
    longest.start().await.expect("255 bytes are fine").0.stop().await;
}

#[tokio::test]
async fn headers_that_peers_cannot_take_are_refused() {
    let long_key = "k".repeat(256);
    let long_value = "v".repeat((128 << 10) + 1);
    for (key, value, words) in [
        ("", "x", "choose another key"),
        (&*long_key, "x", "choose another key"),
        ("X-ZYRE-RS", "x", "choose another key"),
        ("a\0", "x", "leave it out"),
        ("a", "x\0", "leave it out"),
        ("a", &*long_value, "send larger data as a message"),
    ] {
        let error = refused(|node| node.header(key, value), &[words]).await;
        assert!(matches!(error, StartError::InvalidHeader { .. }), "{error:?}");
    }
    let heavy = "v".repeat(100 << 10);
    let all = |node: NodeBuilder| (0..3).fold(node, |node, n| node.header(n.to_string(), &*heavy));
    refused(all, &["256 KiB", "use fewer or shorter ones"]).await;
    let many = |node: NodeBuilder| (0..1_100).fold(node, |node, n| node.header(n.to_string(), ""));
    refused(many, &["header", "fewer"]).await;
}

#[tokio::test]
async fn groups_that_peers_cannot_take_are_refused() {
    let long = "g".repeat(256);
    refused(|node| node.join(&*long), &["256", "choose a shorter one"]).await;
    refused(|node| node.contest(&*long), &["256", "choose a shorter one"]).await;
    let many = |node: NodeBuilder| (0..1_025).fold(node, |node, n| node.join(n.to_string()));
    refused(many, &["1,024 groups", "use fewer"]).await;
}

#[tokio::test]
async fn endpoints_that_are_none_are_refused_wherever_they_are_given() {
    for text in
        ["", "127.0.0.1:80", "tcp://127.0.0.1", "tcp://127.0.0.1:0", "tcp://127.0.0.1:99999", "ipc:///x"]
    {
        let quoted = format!("{text:?}");
        for (what, setting) in [
            ("endpoint", NodeBuilder::endpoint as fn(NodeBuilder, String) -> NodeBuilder),
            ("advertised endpoint", NodeBuilder::advertise),
            ("endpoint to connect to", NodeBuilder::connect),
            ("gossip hub", NodeBuilder::gossip_connect),
        ] {
            let error = refused(|node| setting(node, text.to_owned()), &[what, &quoted]).await;
            assert!(matches!(error, StartError::InvalidEndpoint { .. }), "{error:?}");
            // Something a user can do or copy.
            says(&error.to_string(), &["tcp://"]);
        }
    }
    refused(|node| node.gossip_bind("nonsense"), &["gossip endpoint to bind", "tcp://"]).await;
    let elsewhere = "tcp://203.0.113.1:9000";
    refused(|node| node.endpoint(elsewhere), &["203.0.113.1", "advertise the public one"]).await;
}

#[tokio::test]
async fn a_gossip_port_in_use_stops_the_hubs_already_open() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let first = free_tcp_port();
    let two = |node: NodeBuilder| {
        node.gossip_bind(format!("tcp://127.0.0.1:{first}")).gossip_bind(format!("tcp://127.0.0.1:{port}"))
    };
    refused(two, &[&port.to_string(), "choose another port"]).await;
    TcpListener::bind((Ipv4Addr::LOCALHOST, first)).expect("the first hub's port is free again");
}

#[tokio::test]
async fn timeouts_that_contradict_each_other_are_refused() {
    const S: Duration = Duration::from_secs(1);
    refused(|node| node.interval(Duration::ZERO), &["longer than zero"]).await;
    refused(|node| node.evasive_timeout(Duration::ZERO), &["longer than zero"]).await;
    refused(|node| node.silent_timeout(S), &["silent", "must not be shorter"]).await;
    refused(|node| node.expired_timeout(S), &["shorten `evasive` or lengthen `expired`"]).await;
}

/// What is refused by a running node leaves it running.
async fn running<F: Future>(test: impl FnOnce(Node) -> F) {
    let (node, _events) = builder(beacon_port()).max_message(1 << 20).start().await.unwrap();
    test(node.clone()).await;
    assert_eq!(node.shout("g", "fine").await, Ok(0));
    node.stop().await;
}

#[tokio::test]
async fn messages_that_cannot_be_sent_are_refused_and_say_why() {
    running(|node| async move {
        let nobody = PeerId::from_bytes([9; 16]);
        let empty = || std::iter::empty::<Vec<u8>>().collect::<Message>();
        let large = vec![0; (1 << 20) + 1];
        let many = || (0..1_024).map(|_| "").collect::<Message>();

        let unknown = node.whisper(nobody, "x").await.unwrap_err();
        assert_eq!(unknown, SendError::UnknownPeer(nobody));
        says(&unknown.to_string(), &[&nobody.to_string(), "wait for its ENTER"]);
        assert_eq!(node.try_whisper(nobody, "x"), Err(SendError::UnknownPeer(nobody)));

        for error in [node.whisper(nobody, empty()).await.map(|()| 0), node.shout("g", empty()).await] {
            says(&error.unwrap_err().to_string(), &["send one empty frame"]);
        }
        for error in [node.shout("g", large).await, node.try_shout("g", many())] {
            let error = error.unwrap_err();
            assert!(matches!(error, SendError::TooLarge { .. }));
            says(&error.to_string(), &["split it or raise `max_message`"]);
        }
        let long = "g".repeat(256);
        says(&node.shout(&long, "x").await.unwrap_err().to_string(), &["256", "choose a shorter one"]);
    })
    .await;
}

/// The peer's application reads nothing, so sooner or later everything on the way to it is full.
#[tokio::test]
async fn the_send_that_cuts_a_full_link_says_so_whisper_and_shout_alike() {
    for by_shout in [false, true] {
        let network = MemoryNetwork::new();
        let start = |name| Node::builder(name).network(&network).join("G").overflow(Overflow::Disconnect);
        let (node, _events) = start("sender").start().await.unwrap();
        let (slow, _unread) = start("slow").start().await.unwrap();
        let peer = slow.id();
        let met = node.wait_until(|members| members.members("G").any(|member| member.id == peer));
        assert!(timeout(PATIENCE, met).await.unwrap());
        let pressing = async {
            loop {
                let frame = vec![0; 64 << 10];
                let sent = match by_shout {
                    true => node.shout("G", frame).await.map(drop),
                    false => node.whisper(peer, frame).await,
                };
                if let Err(error) = sent {
                    break error;
                }
            }
        };
        let error = timeout(PATIENCE, pressing).await.expect("it is full at some point");
        assert_eq!(error, SendError::Disconnected { peer }, "by shout: {by_shout}");
    }
}

#[tokio::test]
async fn groups_and_endpoints_given_to_a_running_node_are_checked_too() {
    running(|node| async move {
        let long = "g".repeat(256);
        for error in [node.join(&long).await, node.leave(&long).await, node.contest(&long).await] {
            let error = error.unwrap_err();
            assert!(matches!(error, GroupError::InvalidName(_)));
            says(&error.to_string(), &["256", "choose a shorter one"]);
        }
        for n in 0..1_024 {
            node.join(n.to_string()).await.unwrap();
        }
        let error = node.join("one more").await.unwrap_err();
        says(&error.to_string(), &["1,024", "leave one", "one more"]);
        let error = node.connect("nonsense").await.unwrap_err();
        assert!(matches!(error, ConnectError::InvalidEndpoint { .. }));
        says(&error.to_string(), &["nonsense", "tcp://192.168.1.5:9000"]);
    })
    .await;
}

#[tokio::test]
async fn a_stopped_node_says_that_it_has_stopped() {
    let (node, _events) = builder(beacon_port()).start().await.unwrap();
    node.stop().await;
    assert_eq!(node.join("late").await, Err(GroupError::Stopped));
    assert_eq!(node.leave("late").await, Err(GroupError::Stopped));
    assert_eq!(node.connect("tcp://127.0.0.1:9").await, Err(ConnectError::Stopped));
    timeout(PATIENCE, node.stop()).await.expect("stopping twice does nothing");
}
