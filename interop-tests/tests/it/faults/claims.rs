//! Who one claims to be, where, and that one has gone.

use std::time::{Duration, Instant};

use zyre_interop_tests::netns::Lan;
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Peer, Spec};

use super::raw::{Beacons, Line, id_of, mailbox_of, on, random_id};
use crate::common::{DISCOVERED, figure, is_long, meet, meet_all, sessions, talk};

const GOODBYES: u32 = 100;
const HELLOS: u32 = 30;

/// The attacker has a host of its own (3); what a beacon says counts for more where its sender lives, so goodbyes are
/// also said on the hosts of those who do not leave.
#[test]
fn forged_goodbyes_stolen_names_and_places_exit_nobody() {
    let lan = or_return!(Lan::new(4));
    let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
    let good = or_return!(Spec::ours("good").group("G").spawn(lan.host(1)));
    let pyre = or_return!(Spec::pyre("pyre").group("G").spawn(lan.host(2)));
    meet_all(&[&ours, &good, &pyre]);
    let peers = [&good, &pyre];

    let places = [(3, &good), (3, &pyre), (1, &good), (2, &pyre)];
    let places = places.map(|(host, peer)| (Beacons::from(lan.host(host), &ours), id_of(peer)));
    for _ in 0..GOODBYES {
        for (beacons, id) in &places {
            beacons.beacon(*id, 0);
        }
        std::thread::sleep(Duration::from_millis(20));
    }

    let (here, attacker) = (mailbox_of(&ours), lan.host(3));
    on(attacker, async || {
        for peer in peers {
            // Their UUID, then their endpoint.
            let own = format!("tcp://{}:9", attacker.address());
            for (id, endpoint) in [(id_of(peer), own.as_str()), (random_id(), peer.endpoint())] {
                let mut line = Line::open(attacker.address(), here).await.expect("a connection");
                assert!(line.greet(id).await);
                line.say_hello(endpoint, "thief").await;
                line.closed().await;
            }
        }
        for endpoint in ["ipc:///tmp/thief", "inproc://thief", "tcp://localhost:9", "tcp://203.0.113.1:9"] {
            let mut line = Line::open(attacker.address(), here).await.expect("a connection");
            assert!(line.greet(random_id()).await);
            line.say_hello(endpoint, "thief").await;
            line.closed().await;
        }
    });

    let counters = ours.counters();
    let counter = |name: &str| counters[name].as_u64().unwrap_or_default();
    let mut exits = 0;
    for there in peers {
        talk(&ours, there);
        exits += ours.count_since(zyre_interop_tests::peer::Mark::START, "EXIT", there.id());
        assert_eq!(ours.wait_enter(there.id(), DISCOVERED).name(), there.name());
        assert_eq!(ours.address_of(there.id()), there.endpoint());
        assert_eq!(sessions(there, ours.id()), ["ENTER"], "at {}", there.name());
    }
    let thieves = ours.events().iter().filter(|event| event.name() == "thief").count();
    figure(&format!(
        "{} forged goodbyes ({} of strangers, {} denied), 2 hijacks ({} conflicts), 2 thefts and 4 wrong endpoints \
         ({} HELLOs refused): {exits} EXIT, {thieves} thieves entered",
        4 * GOODBYES,
        counter("goodbye_foreign_address"),
        counter("goodbyes_denied"),
        counter("identity_conflicts"),
        counter("hello_refused"),
    ));
    assert_eq!((exits, thieves), (0, 0));
    assert_eq!(counter("identity_conflicts"), 2);
    assert_eq!(counter("hello_refused"), 8);
}

/// Whoever speaks for pyre on its own host may restart its session, but not make two nodes answer each other for ever.
#[test]
fn thirty_hellos_in_a_row_in_the_name_of_pyre_start_no_storm() {
    let lan = or_return!(Lan::new(2));
    let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
    let pyre = or_return!(Spec::pyre("pyre").group("G").spawn(lan.host(1)));
    meet(&ours, &pyre);
    let host = lan.host(1);
    let begin = Instant::now();
    on(host, async || {
        let mut line = Line::open(host.address(), mailbox_of(&ours)).await.expect("a connection");
        assert!(line.greet(id_of(&pyre)).await);
        for number in 0..HELLOS {
            // No two are equal, so none is a mere answer to ours.
            line.say_hello(pyre.endpoint(), &format!("pyre{number}")).await;
        }
        // Long enough to be believed, then gone.
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
    let watched = Duration::from_secs(if is_long() { 60 } else { 12 });
    std::thread::sleep(watched.saturating_sub(begin.elapsed()));
    let exits =
        |here: &Peer, of: &Peer| sessions(here, of.id()).iter().filter(|kind| *kind == "EXIT").count();
    let (at_us, at_pyre) = (exits(&ours, &pyre), exits(&pyre, &ours));
    figure(&format!(
        "{HELLOS} HELLOs in the name of pyre: {at_us} EXIT at ours, {at_pyre} at pyre in {watched:?}"
    ));
    assert!(at_us <= 2 && at_pyre <= 2, "{at_us} EXIT at ours, {at_pyre} at pyre");
    talk(&ours, &pyre);
}
