//! The network the other tests stand on.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use zyre_interop_tests::netns::{Host, Lan, Traffic};
use zyre_interop_tests::or_return;

const HEARD_WITHIN: Duration = Duration::from_secs(2);
const UNHEARD_FOR: Duration = Duration::from_millis(200);

fn listen(host: &Host) -> UdpSocket {
    host.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5670)).expect("a socket in the host"))
}

/// Broadcasts from one host; the socket's own reception by the other host is the test.
fn broadcast(from: &Host, word: &[u8]) {
    let [a, b, c, _] = from.address().octets();
    let to = SocketAddr::from((Ipv4Addr::new(a, b, c, 255), 5670));
    let socket = from.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket in the host"));
    socket.set_broadcast(true).expect("broadcast allowed");
    // A host whose cable is out refuses or swallows it; both mean that it is not heard.
    let _ = socket.send_to(word, to);
}

fn hears(socket: &UdpSocket, word: &[u8], within: Duration) -> bool {
    socket.set_read_timeout(Some(within)).expect("a timeout");
    let mut buffer = [0; 64];
    while let Ok(length) = socket.recv(&mut buffer) {
        if &buffer[..length] == word {
            return true;
        }
    }
    false
}

#[test]
fn hosts_hear_each_others_broadcasts_unless_cut_off() {
    let lan = or_return!(Lan::new(2));
    let (a, b) = (lan.host(0), lan.host(1));
    let socket = listen(b);
    // The bridge port may still be coming up, so the first word is said until it is heard.
    let heard = (0..50).any(|_| {
        broadcast(a, b"one");
        hears(&socket, b"one", Duration::from_millis(100))
    });
    assert!(heard, "no broadcast got through");

    lan.lose(Traffic::Udp, Some(0), Some(1), 1000);
    broadcast(a, b"two");
    assert!(!hears(&socket, b"two", UNHEARD_FOR), "a full loss lets nothing through");
    lan.heal();
    broadcast(a, b"three");
    assert!(hears(&socket, b"three", HEARD_WITHIN));

    lan.lose(Traffic::All, Some(1), None, 1000);
    broadcast(a, b"four");
    assert!(hears(&socket, b"four", HEARD_WITHIN), "loss in one direction spares the other");
    lan.heal();

    lan.unplug(0);
    broadcast(a, b"five");
    assert!(!hears(&socket, b"five", UNHEARD_FOR), "an unplugged host is not heard");
    lan.plug(0);
    let heard = (0..50).any(|_| {
        broadcast(a, b"six");
        hears(&socket, b"six", Duration::from_millis(100))
    });
    assert!(heard, "a host plugged in again is heard");

    a.interface_down();
    a.interface_up();
    let heard = (0..50).any(|_| {
        broadcast(a, b"seven");
        hears(&socket, b"seven", Duration::from_millis(100))
    });
    assert!(heard, "an interface that came back is heard");
}

#[test]
fn half_of_the_datagrams_get_lost_when_asked() {
    let lan = or_return!(Lan::new(2));
    let (a, b) = (lan.host(0), lan.host(1));
    let socket = listen(b);
    let reached = (0..50).any(|_| {
        broadcast(a, b"up");
        hears(&socket, b"up", Duration::from_millis(100))
    });
    assert!(reached, "no broadcast got through");
    lan.lose(Traffic::Udp, None, None, 500);
    // In small rounds, so that the receive buffer does not do the losing.
    let heard = (0..200u8).filter(|&number| {
        broadcast(a, &[number]);
        hears(&socket, &[number], Duration::from_millis(10))
    });
    let heard = heard.count();
    assert!((50..=150).contains(&heard), "{heard} of 200 arrived");
}

#[test]
fn namespaces_are_gone_after_a_panic() {
    let lan = or_return!(Lan::new(1));
    let ours = format!("zyrt{}-", std::process::id());
    let names = move || -> Vec<String> {
        let listed = Command::new("ip").args(["netns", "list"]).output().expect("ip runs").stdout;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        listed.split_whitespace().filter(|name| name.starts_with(&ours)).map(str::to_owned).collect()
    };
    let host = lan.host(0).enter(|| std::fs::read_link("/proc/thread-self/ns/net").expect("a namespace"));
    assert_ne!(host, std::fs::read_link("/proc/thread-self/ns/net").expect("a namespace"));
    let before = names();
    let mine: Vec<_> =
        before.iter().filter(|name| format!("{lan:?}").contains(&format!("\"{name}\""))).collect();
    assert_eq!(mine.len(), 2, "the bridge and the host: {before:?}");
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _lan = lan;
        panic!("on purpose");
    }));
    assert!(outcome.is_err());
    let after = names();
    assert!(mine.iter().all(|name| !after.contains(name)), "left behind: {after:?}");
}
