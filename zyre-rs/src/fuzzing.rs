//! What `fuzz/` reaches of the private parts: the table of gossip and a leaf's registration.

use crate::PeerId;
use crate::proto::gossip::{Learned, LinkNo, MAX_TUPLES, Registration, Say, Table};
use crate::wire::Endpoint;
use crate::wire::gossip::{Message, Publish};
use crate::zmtp::curve::PublicKey;
use std::collections::BTreeSet;

/// One thing that happens to a node that gossips.
#[derive(Clone, Debug)]
pub enum GossipStep {
    /// A frame on this link, which is to a hub if odd.
    Frame(u64, Vec<u8>),
    /// A peer has a session, or no longer.
    Alive(PeerId, bool),
    /// A link has ended.
    Closed(u64),
    /// We are somewhere else.
    Moved(Endpoint),
    /// It is time for a sign of life to the hub.
    Beat,
}

/// Lets a table live through all that; panics if it breaks a promise.
pub fn gossip(
    own: PeerId,
    endpoint: Endpoint,
    key: Option<PublicKey>,
    steps: impl IntoIterator<Item = GossipStep>,
) {
    let mut table = Table::new(own, endpoint, key);
    let mut leaf = Registration::default();
    let mut greeted = false;
    let link = |number: u64| LinkNo { number, upstream: number % 2 == 1 };
    for step in steps {
        let before = table.revision();
        match step {
            GossipStep::Frame(number, frame) => {
                let Ok(message) = Message::decode(&frame) else { continue };
                if let Message::Publish(tuple) = &message {
                    publish(&mut table, link(number), tuple);
                }
                if let Some(say) = leaf.on_message(&message) {
                    assert!(
                        say == Say::Greeting && !std::mem::replace(&mut greeted, true),
                        "greeted once per beat"
                    );
                }
            }
            GossipStep::Alive(peer, true) => table.alive(peer),
            GossipStep::Alive(peer, false) => table.forget(peer),
            GossipStep::Closed(number) => table.closed(link(number)),
            GossipStep::Moved(endpoint) => assert_eq!(table.set_own(endpoint), table.revision() > before),
            GossipStep::Beat => {
                assert_ne!(leaf.on_beat(), Say::Greeting);
                greeted = false;
            }
        }
        assert!(table.revision() >= before);
        is_sound(&table, own);
    }
}

fn publish(table: &mut Table, link: LinkNo, tuple: &Publish) {
    let before = table.revision();
    match table.publish(link, tuple) {
        Ok(Learned::Peer(peer, endpoint, key)) => {
            let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
            let named = key.map_or(endpoint.to_string(), |key| format!("{endpoint}|{key}"));
            let again = Publish::new(tuple.key(), named, 0).map(|tuple| table.publish(link, &tuple));
            assert!(matches!(again, Ok(Ok(Learned::Peer(..) | Learned::Nothing))), "{again:?}");
            assert_eq!(text(tuple.key()).parse(), Ok(peer));
        }
        Ok(Learned::Nothing) => assert_eq!(table.revision(), before),
        Ok(Learned::Unusable) => {}
        Err(refused) => {
            assert!(!refused.counter().is_empty());
            assert_eq!(table.revision(), before);
        }
    }
}

fn is_sound(table: &Table, own: PeerId) {
    let client = LinkNo { number: 0, upstream: false };
    let (mut last, mut keys) = (0, BTreeSet::new());
    for (revision, message) in table.news(client, 0) {
        assert!(revision > last && revision <= table.revision());
        last = revision;
        let is_new = matches!(message, Message::Publish(tuple) if keys.insert(tuple.key().to_vec()));
        assert!(is_new, "each tuple is told once");
    }
    assert!(keys.len() <= MAX_TUPLES && keys.contains(own.to_string().as_bytes()));
    assert!(table.own().is_some());
    assert!(table.news(client, table.revision()).next().is_none());
}
