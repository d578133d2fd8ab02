use super::*;

const CURVE_KEY: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
const KEYED: &str = "tcp://10.0.0.2:2|Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
const OWN: PeerId = PeerId::from_bytes([0; 16]);
const CLIENT: LinkNo = LinkNo { number: 1, upstream: false };
const OTHER: LinkNo = LinkNo { number: 2, upstream: false };
const HUB: LinkNo = LinkNo { number: 3, upstream: true };

fn peer(number: u8) -> PeerId {
    PeerId::from_bytes([number; 16])
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint::new(([10, 0, 0, 1], port).into()).unwrap()
}

fn table() -> Table {
    Table::new(OWN, endpoint(1), None)
}

fn say(table: &mut Table, link: LinkNo, key: impl ToString, value: &str) -> Result<Learned, Refused> {
    table.publish(link, &Publish::new(key.to_string(), value, 0).unwrap())
}

fn heard(table: &Table, link: LinkNo, after: u64) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let news = table.news(link, after).map(|(_, message)| match message {
        Message::Publish(publish) => (text(publish.key()), text(publish.value())),
        other => panic!("{other:?} is no tuple"),
    });
    news.collect()
}

#[test]
fn a_newcomer_hears_everything_and_others_only_what_is_new() {
    let mut table = table();
    let seen = table.revision();
    say(&mut table, CLIENT, peer(0xAB), "tcp://10.0.0.2:2").unwrap();
    let new = ("AB".repeat(16), "tcp://10.0.0.2:2".to_owned());
    assert_eq!(heard(&table, OTHER, seen), std::slice::from_ref(&new));
    assert_eq!(heard(&table, CLIENT, seen), std::slice::from_ref(&new), "the sender too");
    assert_eq!(heard(&table, OTHER, 0), [("00".repeat(16), "tcp://10.0.0.1:1".to_owned()), new]);
}

#[test]
fn a_tuple_is_learned_by_what_it_says() {
    use Learned::*;
    use Refused::{Key, Value};
    let key = peer(2).to_string();
    for (key, value, expected) in [
        (key.as_str(), "tcp://10.0.0.2:2", Ok(Peer(peer(2), "tcp://10.0.0.2:2".parse().unwrap(), None))),
        (&key.to_lowercase(), "tcp://fd77::1:2", Ok(Peer(peer(2), "tcp://fd77::1:2".parse().unwrap(), None))),
        (&OWN.to_string(), "tcp://10.0.0.2:2", Ok(Nothing)),
        (&key, "tcp://camera.local:2", Ok(Unusable)),
        (&key, "ipc:///run/zyre", Ok(Unusable)),
        (&key, "inproc://zyre", Ok(Unusable)),
        (&key, "tcp://0.0.0.0:2", Ok(Unusable)),
        (&key, KEYED, Ok(Peer(peer(2), "tcp://10.0.0.2:2".parse().unwrap(), CURVE_KEY.parse().ok()))),
        (&key, "tcp://10.0.0.2:2|Yne@$w-vo", Ok(Unusable)),
        (&key, "", Err(Value)),
        (&key, "garbage", Err(Value)),
        (&key, "tcp://10.0.0.2:2\n", Err(Value)),
        (&key, &format!("tcp://{}:2", "x".repeat(MAX_VALUE)), Err(Value)),
        ("", "tcp://10.0.0.2:2", Err(Key)),
        ("not a uuid", "tcp://10.0.0.2:2", Err(Key)),
    ] {
        let mut table = table();
        assert_eq!(say(&mut table, CLIENT, key, value), expected, "{key} {value}");
        let taken = matches!(expected, Ok(Peer(..) | Unusable));
        assert_eq!(table.value(peer(2)).is_some(), taken, "{key} {value} is kept to be passed on");
    }
}

#[test]
fn nobody_changes_our_own_tuple_but_ourselves() {
    let mut table = table();
    let seen = table.revision();
    say(&mut table, CLIENT, OWN, "tcp://10.0.0.9:9").unwrap();
    assert_eq!(heard(&table, OTHER, seen), []);
    assert!(!table.set_own(endpoint(1)));
    assert!(table.set_own(endpoint(5)));
    assert_eq!(heard(&table, OTHER, seen), [(OWN.to_string(), "tcp://10.0.0.1:5".to_owned())]);
    table.forget(OWN);
    assert!(table.own().is_some());
}

#[test]
fn what_is_said_again_is_no_news_and_a_changed_value_replaces_the_old() {
    let mut table = table();
    say(&mut table, CLIENT, peer(2), "tcp://10.0.0.2:2").unwrap();
    let seen = table.revision();
    say(&mut table, OTHER, peer(2), "tcp://10.0.0.2:2").unwrap();
    assert_eq!(table.revision(), seen);
    say(&mut table, OTHER, peer(2), "tcp://10.0.0.2:3").unwrap();
    assert_eq!(heard(&table, CLIENT, seen), [(peer(2).to_string(), "tcp://10.0.0.2:3".to_owned())]);
    assert_eq!(heard(&table, CLIENT, 0).len(), 2);
}

#[test]
fn a_node_without_a_session_is_learned_again_when_it_speaks_again() {
    let mut table = table();
    let mut again = || say(&mut table, CLIENT, peer(2), "tcp://10.0.0.2:2").unwrap();
    assert_eq!(again(), again());
    assert_eq!(say(&mut table, HUB, peer(2), "tcp://10.0.0.2:2"), Ok(Learned::Nothing), "an echo");
    table.alive(peer(2));
    assert_eq!(say(&mut table, CLIENT, peer(2), "tcp://10.0.0.2:2"), Ok(Learned::Nothing));
    let moved = say(&mut table, CLIENT, peer(2), "tcp://10.0.0.2:3");
    assert!(matches!(moved, Ok(Learned::Peer(..))));
}

#[test]
fn a_hub_is_told_all_but_what_it_said() {
    let mut table = table();
    say(&mut table, HUB, peer(2), "tcp://10.0.0.2:2").unwrap();
    say(&mut table, CLIENT, peer(3), "tcp://10.0.0.3:3").unwrap();
    let keys: Vec<String> = heard(&table, HUB, 0).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [OWN.to_string(), peer(3).to_string()]);
}

#[test]
fn a_node_whose_publisher_has_gone_is_forgotten_unless_it_is_alive() {
    let mut table = table();
    for number in 2..=4 {
        say(&mut table, CLIENT, peer(number), "tcp://10.0.0.2:2").unwrap();
    }
    say(&mut table, OTHER, peer(3), "tcp://10.0.0.2:2").unwrap();
    say(&mut table, HUB, peer(4), "tcp://10.0.0.2:2").unwrap();
    table.alive(peer(5));
    say(&mut table, CLIENT, peer(5), "tcp://10.0.0.2:2").unwrap();
    table.closed(CLIENT);
    let known: Vec<u8> = (2..=5).filter(|number| table.value(peer(*number)).is_some()).collect();
    assert_eq!(known, [3, 5], "3 has a newer connection, 5 a session, and the hub only repeated 4");
    table.forget(peer(5));
    assert_eq!(table.value(peer(5)), None);
    assert_eq!(heard(&table, OTHER, 0).len(), 2);
}

#[test]
fn a_full_table_refuses_newcomers_and_still_follows_the_known() {
    let mut table = table();
    let id = |number: usize| PeerId::from_bytes((number as u128 + 1).to_be_bytes());
    for number in 1..MAX_TUPLES {
        say(&mut table, CLIENT, id(number), "tcp://10.0.0.2:2").unwrap();
    }
    assert_eq!(say(&mut table, CLIENT, id(MAX_TUPLES), "tcp://10.0.0.2:2"), Err(Refused::Full));
    assert!(say(&mut table, CLIENT, id(1), "tcp://10.0.0.2:3").is_ok());
    table.forget(id(1));
    assert!(say(&mut table, CLIENT, id(MAX_TUPLES), "tcp://10.0.0.2:2").is_ok());
}

#[test]
fn a_secured_node_publishes_its_key_and_passes_those_of_others_on_as_they_are() {
    let mut table = Table::new(OWN, endpoint(1), CURVE_KEY.parse().ok());
    assert_eq!(table.value(OWN), Some(format!("tcp://10.0.0.1:1|{CURVE_KEY}").as_str()));
    assert!(table.set_own(endpoint(2)));
    assert_eq!(table.value(OWN), Some(format!("tcp://10.0.0.1:2|{CURVE_KEY}").as_str()));
    let seen = table.revision();
    say(&mut table, CLIENT, peer(2), KEYED).unwrap();
    say(&mut table, CLIENT, peer(3), "tcp://10.0.0.3:2").unwrap();
    let told = heard(&table, OTHER, seen).into_iter().map(|(_, value)| value).collect::<Vec<_>>();
    assert_eq!(told, [KEYED, "tcp://10.0.0.3:2"]);
}
