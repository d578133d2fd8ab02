//! Plays the same cases against a real pyre, on a LAN of network namespaces that nobody else is on: what becomes of it, and
//! of the good peer beside it. It is started anew whenever a case has ended it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use zyre_interop_tests::netns::Lan;
use zyre_interop_tests::peer::{Mark, Peer, Spec};
use zyre_interop_tests::{Missing, or_return};

use super::attacker::{Attacker, Ground};
use super::case::{Case, Door};
use super::ours::groups;
use crate::common::{figure, is_long, meet};

/// How long pyre gets to take a case in, before it is asked whether it lives.
const DIGEST: Duration = Duration::from_millis(50);
/// How long it gets to answer that.
const ANSWER: Duration = Duration::from_secs(3);
/// Pyres that are attacked side by side, each on a LAN of its own: most of it is waiting.
const SIDE_BY_SIDE: usize = 4;
/// pyre's own beacon port.
const BEACONS: u16 = 5_670;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// It goes on, and its good peer stays.
    Unharmed,
    /// It goes on, and has told the EXIT of its good peer.
    DroppedGood,
    /// Its node has ended, or hears its good peer no more.
    Dead,
}

struct Stage<'a> {
    lan: &'a Lan,
    pyre: Peer,
    good: Peer,
    probes: u32,
}

impl<'a> Stage<'a> {
    fn new(lan: &'a Lan) -> Result<Self, Missing> {
        let good = Spec::ours("good").group("G").spawn(lan.host(2))?;
        let pyre = Self::pyre(lan, &good)?;
        Ok(Self { lan, pyre, good, probes: 0 })
    }

    fn pyre(lan: &Lan, good: &Peer) -> Result<Peer, Missing> {
        let pyre = Spec::pyre("pyre").group("G").group("all").spawn(lan.host(0))?;
        meet(&pyre, good);
        Ok(pyre)
    }

    fn play(&mut self, case: &Case) -> Fate {
        let before = self.pyre.mark();
        let mut struck = false;
        // At its second try nothing of the case before can be to blame.
        for _ in 0..2 {
            let ground = self.ground();
            struck = self.lan.host(1).enter(|| match Attacker::approach(&ground, case, None) {
                Ok(mut attacker) => {
                    attacker.strike(case);
                    std::thread::sleep(DIGEST);
                    attacker.leave();
                    true
                }
                Err(_) => false,
            });
            if struck {
                break;
            }
            self.start_anew();
        }
        assert!(struck, "{:?}, {}: pyre cannot be attacked", case.door, case.name);
        if !self.lives() {
            self.start_anew();
            return Fate::Dead;
        }
        let dropped = self.pyre.count_since(before, "EXIT", self.good.id()) > 0;
        if dropped { Fate::DroppedGood } else { Fate::Unharmed }
    }

    fn ground(&self) -> Ground {
        let address = self.lan.host(1).address();
        let [a, b, c, _] = address.octets();
        let at = |peer: &Peer| {
            peer.endpoint().strip_prefix("tcp://").and_then(|text| text.parse::<SocketAddr>().ok())
        };
        let port = |peer: &Peer| at(peer).expect("an endpoint").port();
        Ground {
            victim: self.pyre.id().parse().expect("a UUID"),
            victim_at: (IpAddr::from(self.lan.host(0).address()), port(&self.pyre)).into(),
            good: self.good.id().parse().expect("a UUID"),
            good_at: (IpAddr::from(self.lan.host(2).address()), port(&self.good)).into(),
            beacons: (Ipv4Addr::new(a, b, c, 255), BEACONS).into(),
            from: [address, elsewhere(address)],
            hub: None,
            key: None,
        }
    }

    /// Whether pyre still gives to its application what the good peer whispers, twice.
    fn lives(&mut self) -> bool {
        (0..2).all(|_| {
            self.probes += 1;
            let probe = format!("probe {}", self.probes).into_bytes();
            let since = self.pyre.mark();
            let begin = Instant::now();
            while begin.elapsed() < ANSWER {
                // It does not know a pyre that has dropped it, until the next beacon.
                let _ = self.good.try_call(serde_json::json!({
                    "cmd": "whisper", "peer": self.pyre.id(), "frames": [zyre_interop_tests::peer::hex(&probe)],
                }));
                let asked = Instant::now();
                while asked.elapsed() < ANSWER / 4 {
                    match self.heard(since, &probe) {
                        Some(lives) => return lives,
                        None => std::thread::sleep(Duration::from_millis(2)),
                    }
                }
            }
            false
        })
    }

    fn heard(&self, since: Mark, probe: &[u8]) -> Option<bool> {
        let died = |kind: &str| ["DIED", "ENDED"].contains(&kind);
        let events = self.pyre.events_since(Mark::START);
        if events.iter().any(|event| died(event.kind())) {
            return Some(false);
        }
        let events = self.pyre.events_since(since);
        events.iter().any(|event| event.is("WHISPER") && event.frames() == [probe]).then_some(true)
    }

    fn start_anew(&mut self) {
        self.pyre.kill();
        self.pyre = Self::pyre(self.lan, &self.good).expect("it could be started before");
    }
}

/// The attacker's other address.
fn elsewhere(address: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = address.octets();
    Ipv4Addr::new(a, b, c, 200)
}

fn lan() -> Result<Lan, Missing> {
    let lan = Lan::new(3)?;
    lan.host(1).ip(&format!("addr add {}/24 dev eth0", elsewhere(lan.host(1).address())));
    Ok(lan)
}

/// What an open node can be told: pyre has neither gossip, keys nor calls.
fn applies(case: &Case) -> bool {
    matches!(
        case.door,
        Door::Beacon
            | Door::Fresh
            | Door::Greeted
            | Door::Shaken
            | Door::Entered
            | Door::Second
            | Door::Elsewhere
    )
}

fn cases() -> Vec<(&'static str, Case)> {
    let open = groups().into_iter().filter(|(group, _)| !["calls", "secured"].contains(group));
    let cases = open.flat_map(|(group, tables)| {
        tables.into_iter().flat_map(|table| table.cases).map(move |case| (group, case))
    });
    cases.filter(|(_, case)| applies(case)).collect()
}

/// Plays all cases, several at a time.
fn play(cases: &[(&'static str, Case)], lans: &[Lan]) -> Vec<Fate> {
    let next = AtomicUsize::new(0);
    let fates = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for lan in lans {
            scope.spawn(|| {
                let mut stage = Stage::new(lan).expect("pyre is provided");
                while let Some((_, case)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let at = std::ptr::from_ref(case).addr();
                    let fate = stage.play(case);
                    fates.lock().expect("nobody panics with it").insert(at, fate);
                }
            });
        }
    });
    let fates = fates.into_inner().expect("nobody panicked");
    cases.iter().map(|(_, case)| fates[&std::ptr::from_ref(case).addr()]).collect()
}

/// The summary of docs/hardening.md.
fn summary(cases: &[(&'static str, Case)], fates: &[Fate]) -> String {
    let mut groups: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for ((group, _), fate) in cases.iter().zip(fates) {
        groups.entry(*group).or_default()[*fate as usize] += 1;
    }
    let mut text = String::from(
        "| group | cases | pyre unharmed | pyre drops its good peer | pyre dead |\n|---|---|---|---|---|\n",
    );
    for (group, [unharmed, dropped, dead]) in &groups {
        let _ =
            writeln!(text, "| {group} | {} | {unharmed} | {dropped} | {dead} |", unharmed + dropped + dead);
    }
    for (title, fate) in [("dead", Fate::Dead), ("drops its good peer", Fate::DroppedGood)] {
        let _ = writeln!(text, "\npyre {title}:");
        for ((group, case), _) in cases.iter().zip(fates).filter(|(_, is)| **is == fate) {
            let _ = writeln!(text, "- {group}, {:?}: {}", case.door, case.name);
        }
    }
    text
}

#[test]
fn what_moves_a_counter_here_ends_a_pyre() {
    let lan = or_return!(lan());
    // Known of pyre 0.3.4; the last is proper and shows that it is the case that ends it.
    let known = [
        ("a beacon of 21 bytes", Fate::Dead),
        ("JOIN that ends before its status", Fate::Dead),
        ("a group of a lone continuation byte", Fate::Dead),
        ("HTTP/1.1", Fate::Unharmed),
        ("a proper beacon", Fate::Unharmed),
    ];
    let mut sample: Vec<_> = cases();
    sample.retain(|(_, case)| known.iter().any(|(name, _)| *name == case.name));
    or_return!(Stage::new(&lan).map(drop));
    let fates = play(&sample, &[lan]);
    for ((_, case), fate) in sample.iter().zip(fates) {
        let expected = known.iter().find(|(name, _)| *name == case.name).map(|(_, fate)| *fate);
        assert_eq!(Some(fate), expected, "{}", case.name);
    }
}

/// `LONG=1`: it takes some minutes, since pyre is started anew after each death.
#[test]
fn the_whole_corpus_is_played_against_pyre() {
    if !is_long() {
        figure("corpus against pyre: only with LONG=1");
        return;
    }
    let lans = or_return!((0..SIDE_BY_SIDE).map(|_| lan()).collect::<Result<Vec<_>, _>>());
    let begin = Instant::now();
    let cases = cases();
    let fates = play(&cases, &lans);
    let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count();
    figure(&format!(
        "corpus against pyre: {} cases; unharmed {}, dropped its good peer {}, dead {}; {:.0} s\n{}",
        cases.len(),
        count(Fate::Unharmed),
        count(Fate::DroppedGood),
        count(Fate::Dead),
        begin.elapsed().as_secs_f64(),
        summary(&cases, &fates),
    ));
    assert!(count(Fate::Unharmed) > 0, "pyre survives most");
}
