//! Who is let in with which key, and what the application has to say.

use super::*;
use std::sync::Mutex;

fn key(n: u8) -> PublicKey {
    PublicKey::from_bytes([n; 32])
}

fn trusting(keys: &[u8]) -> TrustedKeys {
    keys.iter().map(|n| key(*n)).collect()
}

/// A node with key 100 that trusts keys 1 to 9.
fn secured() -> Bench {
    let trust = Trust::Nodes { own: key(100), trusted: trusting(&[1, 2, 3, 4, 5, 6, 7, 8, 9]) };
    Bench::with(Config { id: PeerId::of_key(&key(100)), trust, ..config() })
}

fn network() -> Bench {
    Bench::with(Config { trust: Trust::Network([key(1), key(2)].into()), ..config() })
}

impl Bench {
    fn keyed_beacon(&mut self, id: PeerId, source: &str, key: Option<PublicKey>) -> Vec<Output> {
        let beacon = Beacon { id, port: 5_000, key: key.map(|key| *key.as_bytes()) };
        self.tell(Input::Beacon { source: at(source), beacon })
    }

    fn keyed_hello(&mut self, conn: u64, id: PeerId, source: &str, key: Option<PublicKey>) -> Vec<Output> {
        let ip = at(source).ip();
        let hello = hello(&format!("tcp://{ip}:5000"), &[], true);
        self.tell(Input::Hello { conn: ConnId(conn), peer: id, source: at(source), hello, key })
    }

    fn gossip(&mut self, id: PeerId, endpoint: &str, key: Option<PublicKey>) -> Vec<Output> {
        let endpoint = Endpoint::new(at(endpoint)).expect("good");
        self.tell(Input::Gossip { peer: id, endpoint, key })
    }
}

/// The keys by which links were opened.
fn opened_for(outputs: &[Output]) -> Vec<Option<PublicKey>> {
    let key = |output: &Output| match output {
        Output::Open { key, .. } => Some(*key),
        _ => None,
    };
    outputs.iter().filter_map(key).collect()
}

fn mismatches(outputs: &[Output]) -> usize {
    count(outputs, |output| matches!(output, Output::Emit(Event::KeyMismatch { .. })))
}

#[test]
fn beacons_are_heard_in_their_own_mode_and_of_welcome_keys_only() {
    for (mut bench, shown, counter) in [
        (Bench::new(), Some(key(1)), Some("beacon_secured")),
        (Bench::new(), None, None),
        (network(), None, Some("beacon_unsecured")),
        (network(), Some(key(3)), Some("beacon_wrong_key")),
        (network(), Some(key(2)), None),
        (secured(), None, Some("beacon_unsecured")),
        (secured(), Some(key(10)), Some("beacon_untrusted_key")),
        (secured(), Some(key(2)), None),
    ] {
        let outputs = bench.keyed_beacon(id(1), "10.0.0.1:5670", shown);
        assert_eq!(opened_for(&outputs), if counter.is_some() { vec![] } else { vec![shown] }, "{outputs:?}");
        assert!(counter.is_none_or(|counter| counted(&outputs, counter)), "{outputs:?}");
    }
    let mut bench = secured();
    let own = bench.keyed_beacon(PeerId::of_key(&key(100)), "10.0.0.100:5670", Some(key(100)));
    assert!(
        own.iter().all(|output| !matches!(output, Output::Count(_))),
        "our own beacon comes back: {own:?}"
    );
}

#[test]
fn b5_where_keys_are_proven_a_goodbye_datagram_ends_nothing_until_the_connection_closes() {
    let mut bench = network();
    bench.keyed_beacon(id(1), "10.0.0.1:5670", Some(key(1)));
    bench.keyed_hello(1, id(1), "10.0.0.1:40000", Some(key(1)));
    let forged = Beacon { id: id(1), port: 0, key: Some(*key(1).as_bytes()) };
    let forged =
        |bench: &mut Bench| bench.tell(Input::Beacon { source: at("10.0.0.1:5670"), beacon: forged });
    assert!(counted(&forged(&mut bench), "goodbye_unproven"));
    assert!(exits(&bench.pass(2_000)).is_empty(), "it has said nothing itself");
    forged(&mut bench);
    let closed = bench.tell(Input::ConnClosed { conn: ConnId(1), peer: id(1), expected: 9 });
    assert_eq!(exits(&closed), [ExitReason::Goodbye]);
}

#[test]
fn b5_where_keys_are_proven_a_link_that_never_came_up_makes_no_goodbye_true() {
    let mut bench = network();
    bench.keyed_beacon(id(1), "10.0.0.1:5670", Some(key(1)));
    bench.keyed_hello(1, id(1), "10.0.0.1:40000", Some(key(1)));
    bench.tell(Input::LinkFailed { link: bench.link(1), refused: false });
    bench.pass(1_500);
    let forged = Beacon { id: id(1), port: 0, key: Some(*key(1).as_bytes()) };
    let outputs = bench.tell(Input::Beacon { source: at("10.0.0.1:5670"), beacon: forged });
    assert!(counted(&outputs, "goodbye_unproven") && exits(&outputs).is_empty(), "{outputs:?}");
}

#[test]
fn gossip_names_the_key_or_at_least_a_peer_whose_key_is_known() {
    let bound = PeerId::of_key(&key(1));
    for (mut bench, peer, named, expected) in [
        (Bench::new(), id(1), Some(key(1)), Err("gossip_needs_curve")),
        (Bench::new(), id(1), None, Ok(None)),
        (network(), id(1), None, Ok(None)),
        (network(), id(1), Some(key(2)), Ok(Some(key(2)))),
        (network(), id(1), Some(key(3)), Err("gossip_wrong_key")),
        (secured(), id(1), None, Err("gossip_no_key")),
        (secured(), bound, None, Ok(Some(key(1)))),
        (secured(), id(1), Some(key(2)), Ok(Some(key(2)))),
        (secured(), id(1), Some(key(10)), Err("gossip_untrusted_key")),
        (secured(), bound, Some(key(2)), Err("key_mismatch")),
    ] {
        let outputs = bench.gossip(peer, "10.0.0.1:5000", named);
        match expected {
            Ok(key) => assert_eq!(opened_for(&outputs), [key], "{outputs:?}"),
            Err(counter) => assert!(counted(&outputs, counter) && opens(&outputs) == 0, "{outputs:?}"),
        }
    }
}

#[test]
fn the_uuid_of_a_trusted_key_is_taken_with_that_key_only() {
    let mut bench = secured();
    let owned = PeerId::of_key(&key(1));
    let outputs = bench.keyed_beacon(owned, "10.0.0.2:5670", Some(key(2)));
    assert!(counted(&outputs, "key_mismatch") && opens(&outputs) == 0 && mismatches(&outputs) == 1);
    let outputs = bench.keyed_hello(1, owned, "10.0.0.2:40000", Some(key(2)));
    assert!(refused(&outputs, 1) && enters(&outputs) == 0 && mismatches(&outputs) == 0, "one report in 10 s");
    bench.pass(10_000);
    let resume = Input::Resume {
        conn: ConnId(2),
        peer: owned,
        source: at("10.0.0.2:40001"),
        sequence: 7,
        key: Some(key(2)),
    };
    let outputs = bench.tell(resume);
    assert!(refused(&outputs, 2) && mismatches(&outputs) == 1, "{outputs:?}");
    let outputs = bench.keyed_hello(3, owned, "10.0.0.1:40000", Some(key(1)));
    assert!(accepted(&outputs, 3) && enters(&outputs) == 1, "{outputs:?}");
    assert_eq!(opened_for(&outputs), [Some(key(1))]);
    let outputs = bench.keyed_hello(4, PeerId::of_key(&key(100)), "10.0.0.2:40000", Some(key(2)));
    assert!(refused(&outputs, 4) && counted(&outputs, "key_mismatch"), "our own: {outputs:?}");
}

#[test]
fn any_other_uuid_stays_with_the_key_that_proved_it_first() {
    let mut bench = secured();
    bench.keyed_hello(1, id(1), "10.0.0.1:40000", Some(key(1)));
    for (conn, source) in [(2, "10.0.0.1:40001"), (3, "10.0.0.2:40001")] {
        let outputs = bench.keyed_hello(conn, id(1), source, Some(key(2)));
        assert!(refused(&outputs, conn) && counted(&outputs, "key_mismatch"), "{outputs:?}");
        assert!(exits(&outputs).is_empty());
    }
    let outputs = bench.keyed_beacon(id(1), "10.0.0.2:5670", Some(key(2)));
    assert!(counted(&outputs, "key_mismatch") && opens(&outputs) == 0);
    assert_eq!(bench.node.peers().count(), 1);
}

#[test]
fn until_a_key_is_proven_the_latest_beacon_counts() {
    let mut bench = secured();
    assert_eq!(opened_for(&bench.keyed_beacon(id(1), "10.0.0.1:5670", Some(key(2)))), [Some(key(2))]);
    bench.keyed_beacon(id(1), "10.0.0.1:5670", Some(key(1)));
    assert_eq!(opened_for(&bench.pass(1_000)), [Some(key(1))]);
    let outputs = bench.keyed_hello(1, id(1), "10.0.0.1:40000", Some(key(1)));
    assert!(enters(&outputs) == 1 && !counted(&outputs, "key_mismatch"), "{outputs:?}");
}

#[test]
fn a_peer_that_contradicts_its_beacon_is_refused_and_a_slandered_one_takes_its_own_link() {
    let mut bench = secured();
    bench.keyed_beacon(id(1), "10.0.0.1:5670", Some(key(2)));
    let outputs = bench.keyed_hello(1, id(1), "10.0.0.1:40000", Some(key(1)));
    assert!(refused(&outputs, 1) && mismatches(&outputs) == 1, "{outputs:?}");
    bench.keyed_beacon(id(1), "10.0.0.2:5670", Some(key(2)));
    let slander = bench.node.peers.get(&id(1)).and_then(|peer| peer.link.as_ref()).expect("a link").id;
    let outputs = bench.keyed_hello(2, id(1), "10.0.0.1:40000", Some(key(1)));
    assert!(accepted(&outputs, 2) && counted(&outputs, "key_mismatch"), "{outputs:?}");
    assert_eq!(count(&outputs, |output| matches!(output, Output::Close(link) if *link == slander)), 1);
    assert_eq!(opened_for(&outputs), [Some(key(1))]);
}

#[test]
fn what_gossip_says_of_a_key_keeps_nobody_out_who_proves_another() {
    let mut bench = secured();
    bench.gossip(id(1), "10.0.0.1:5000", Some(key(2)));
    let outputs = bench.keyed_hello(1, id(1), "10.0.0.1:40000", Some(key(1)));
    assert!(accepted(&outputs, 1) && counted(&outputs, "key_mismatch"), "{outputs:?}");
    let mut bench = secured();
    bench.keyed_beacon(id(1), "10.0.0.1:5670", Some(key(1)));
    bench.gossip(id(1), "10.0.0.1:5000", Some(key(2)));
    let outputs = bench.keyed_hello(1, id(1), "10.0.0.1:40000", Some(key(1)));
    assert!(accepted(&outputs, 1) && !counted(&outputs, "key_mismatch"), "{outputs:?}");
}

#[test]
fn an_endpoint_is_dialled_anew_for_another_key() {
    let mut bench = secured();
    let endpoint = Endpoint::new(at("10.0.0.1:5000")).expect("good");
    for (n, expected) in [(1, vec![Some(key(1))]), (2, vec![Some(key(2))]), (2, vec![])] {
        assert_eq!(opened_for(&bench.tell(Input::Dial { endpoint, key: Some(key(n)) })), expected);
    }
}

#[test]
fn a_dial_is_taken_for_the_link_of_a_peer_only_if_the_keys_agree() {
    for (proven, adopted) in [(1, 1), (2, 0)] {
        let mut bench = secured();
        let endpoint = Endpoint::new(at("10.0.0.1:5000")).expect("good");
        let outputs = bench.tell(Input::Dial { endpoint, key: Some(key(1)) });
        assert_eq!(opened_for(&outputs), [Some(key(1))]);
        let outputs = bench.keyed_hello(1, id(1), "10.0.0.1:40000", Some(key(proven)));
        assert_eq!(enters(&outputs), 1);
        let adopts = count(&outputs, |output| matches!(output, Output::Adopt { .. }));
        assert_eq!(adopts, adopted, "{outputs:?}");
        assert_eq!(opened_for(&outputs), if adopted == 1 { vec![] } else { vec![Some(key(proven))] });
    }
}

#[test]
fn a_new_list_drops_those_who_are_not_in_it_and_lets_the_new_ones_in() {
    let mut bench = secured();
    bench.keyed_hello(1, id(1), "10.0.0.1:40000", Some(key(1)));
    bench.keyed_hello(2, id(2), "10.0.0.2:40000", Some(key(2)));
    bench.keyed_beacon(id(3), "10.0.0.3:5670", Some(key(3)));
    let outputs = bench.tell(Input::Trust(trusting(&[2, 10])));
    assert_eq!(exits(&outputs), [ExitReason::Untrusted]);
    assert!(refused(&outputs, 1) && !refused(&outputs, 2), "{outputs:?}");
    assert_eq!(bench.node.peers.len(), 1, "the one that had not entered is gone too");
    let outputs = bench.keyed_hello(3, id(1), "10.0.0.1:40000", Some(key(1)));
    assert!(refused(&outputs, 3) && counted(&outputs, "curve_untrusted_key"), "its handshake was in time");
    let outputs = bench.keyed_hello(4, id(10), "10.0.0.10:40000", Some(key(10)));
    assert_eq!(enters(&outputs), 1);
}

#[test]
fn in_a_network_with_one_key_for_all_a_key_says_nothing_of_who_it_is() {
    let mut bench = network();
    assert_eq!(opened_for(&bench.keyed_beacon(id(1), "10.0.0.1:5670", Some(key(1)))), [Some(key(1))]);
    let outputs = bench.keyed_hello(1, id(1), "10.0.0.1:40000", Some(key(2)));
    assert!(accepted(&outputs, 1) && !counted(&outputs, "key_mismatch"), "changed in between: {outputs:?}");
    let header = (b"X-PUBLICKEY".to_vec(), key(1).to_string().into_bytes());
    let mut fields = hello("tcp://10.0.0.2:5000", &[], true).into_fields();
    fields.headers.push(header);
    let hello = Hello::new(fields).expect("small");
    let source = at("10.0.0.2:40000");
    let outputs = bench.tell(Input::Hello { conn: ConnId(2), peer: id(2), source, hello, key: Some(key(2)) });
    assert!(refused(&outputs, 2) && counted(&outputs, "key_mismatch"), "but it may not lie: {outputs:?}");
}

#[test]
fn a_peer_that_the_application_refuses_is_neither_asked_about_nor_greeted_for_a_while() {
    let asked = Arc::new(Mutex::new(0));
    let asking = asked.clone();
    let authorize = Authorize::new(move |applicant| {
        *asking.lock().expect("no panic") += 1;
        assert_eq!(applicant.source, at("10.0.0.1:40000"));
        Err("not today".to_owned())
    });
    let mut bench = Bench::with(Config { authorize: Some(authorize), ..config() });
    bench.beacon(1, "10.0.0.1:5670", 5_000);
    bench.tell(Input::LinkUp { link: bench.link(1) });
    let greeting = |bench: &mut Bench, conn| {
        bench.hello(conn, 1, "10.0.0.1:40000", hello("tcp://10.0.0.1:5000", &["g"], true))
    };
    let outputs = greeting(&mut bench, 1);
    let turned_away =
        |output: &Output| matches!(output, Output::TurnAway { reason, .. } if reason == "not today");
    assert_eq!((count(&outputs, turned_away), enters(&outputs), opens(&outputs)), (1, 0, 0), "{outputs:?}");
    assert_eq!(count(&outputs, |output| matches!(output, Output::Close(_))), 1);
    for conn in 2..10 {
        bench.beacon(1, "10.0.0.1:5670", 5_000);
        bench.beacon(1, "10.0.0.9:5670", 5_000);
        let outputs = greeting(&mut bench, conn);
        assert!(refused(&outputs, conn) && counted(&outputs, "authorization_refused"), "{outputs:?}");
        assert_eq!(opens(&bench.pass(100)), 0);
    }
    assert_eq!(*asked.lock().expect("no panic"), 1);
    bench.pass(2_000);
    greeting(&mut bench, 10);
    assert_eq!(*asked.lock().expect("no panic"), 2, "it may ask again");
}

#[test]
fn an_application_that_panics_over_a_peer_refuses_it() {
    let authorize = Authorize::new(|_| unreachable!("a bug of the application"));
    let mut bench = Bench::with(Config { authorize: Some(authorize), ..config() });
    let outputs = bench.hello(1, 1, "10.0.0.1:40000", hello("tcp://10.0.0.1:5000", &[], true));
    assert!(counted(&outputs, "authorization_refused") && enters(&outputs) == 0, "{outputs:?}");
}

#[test]
fn a_restart_is_a_new_session_and_asked_about_anew() {
    let open = Arc::new(Mutex::new(true));
    let gate = open.clone();
    let authorize =
        Authorize::new(move |_| if *gate.lock().expect("no panic") { Ok(()) } else { Err(String::new()) });
    let mut bench = Bench::with(Config { authorize: Some(authorize), ..config() });
    bench.ready(1, true);
    *open.lock().expect("no panic") = false;
    bench.live(10, &[1], &[]);
    let mut outputs = bench.hello(2, 1, "10.0.0.1:40001", hello("tcp://10.0.0.1:5000", &["h"], true));
    outputs.extend(bench.pass(5_000));
    assert_eq!((exits(&outputs), enters(&outputs)), (vec![ExitReason::Restarted], 0), "{outputs:?}");
    assert_eq!(bench.node.peers().count(), 0);
}

#[test]
fn a_hello_that_was_held_back_does_not_bring_an_older_key_back() {
    let mut bench = network();
    let opened = bench.keyed_beacon(id(1), "10.0.0.1:5670", Some(key(1)));
    let link = opened.iter().find_map(|output| match output {
        Output::Open { link, .. } => Some(*link),
        _ => None,
    });
    let link = link.expect("a link");
    bench.tell(Input::LinkUp { link });
    bench.keyed_hello(9, id(1), "10.0.0.1:40009", Some(key(1)));
    let outdated = bench.keyed_hello(8, id(1), "10.0.0.1:40008", Some(key(2)));
    assert!(counted(&outdated, "hello_outdated"), "{outdated:?}");
    let mut outputs = bench.tell(Input::LinkLost { link, cause: LinkLoss::Closed });
    outputs.extend(bench.pass(5_000));
    let keys = opened_for(&outputs);
    assert!(!keys.is_empty() && keys.iter().all(|opened| *opened == Some(key(1))), "{keys:?}");
}
