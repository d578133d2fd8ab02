use super::*;

fn id(n: u8) -> PeerId {
    PeerId::from_bytes([n; 16])
}

fn provider(n: u8, in_flight: u32, latency_ms: u64) -> Provider {
    let latency = Duration::from_millis(latency_ms);
    Provider { peer: id(n), in_flight, window: 16, latency, ejected: false, draining: false }
}

fn numbers() -> impl Iterator<Item = u64> {
    let mut random = crate::caller::Random::new(7);
    (0..1_000).map(move |_| random.next())
}

#[test]
fn least_cost_weighs_calls_in_flight_by_latency() {
    let slow_and_idle = [provider(1, 0, 10), provider(2, 3, 2)];
    assert_eq!(LeastCost.pick(&slow_and_idle, None, 5), 1);
    let slow_and_fuller = [provider(1, 0, 10), provider(2, 5, 2)];
    assert_eq!(LeastCost.pick(&slow_and_fuller, None, 5), 0);
}

#[test]
fn equals_share_the_calls() {
    let equals: Vec<_> = (0..4).map(|n| provider(n, 0, 1)).collect();
    for policy in [&mut LeastCost as &mut dyn Policy, &mut LeastInFlight, &mut Random] {
        let mut counts = [0; 4];
        numbers().for_each(|random| counts[policy.pick(&equals, None, random)] += 1);
        assert!(counts.iter().all(|count| *count > 150), "{counts:?}");
    }
}

#[test]
fn among_many_least_cost_takes_the_better_of_two_random_ones() {
    let mut many: Vec<_> = (0..100).map(|n| provider(n, 1, 1)).collect();
    many[0].in_flight = 0;
    let best = numbers().filter(|random| LeastCost.pick(&many, None, *random) == 0).count();
    assert!((5..50).contains(&best), "{best} of 1,000 found the best of 100");
    many[0].in_flight = 5;
    assert!(numbers().all(|random| LeastCost.pick(&many, None, random) != 0), "never the worse of two");
}

#[test]
fn round_robin_goes_round_also_while_candidates_come_and_go() {
    let mut policy = RoundRobin::default();
    let all: Vec<_> = (1..=4).map(|n| provider(n, 0, 1)).collect();
    let picks: Vec<_> = (0..6).map(|_| policy.pick(&all, None, 0)).collect();
    assert_eq!(picks, [0, 1, 2, 3, 0, 1]);
    let without_third = [all[0], all[1], all[3]];
    assert_eq!(policy.pick(&without_third, None, 0), 2);
    assert_eq!(policy.pick(&all[..1], None, 0), 0);
}

#[test]
fn a_consistent_hash_moves_only_the_keys_of_who_left() {
    let all: Vec<_> = (1..=8).map(|n| provider(n, 0, 1)).collect();
    let rest = &all[1..];
    let mut moved = 0;
    for key in 0..1_000 {
        let before = all[ConsistentHash.pick(&all, Some(key), 0)].peer;
        let after = rest[ConsistentHash.pick(rest, Some(key), 0)].peer;
        assert!(before == id(1) || before == after);
        moved += u32::from(before != after);
    }
    assert!((60..200).contains(&moved), "{moved} keys were at one of eight");
}

#[test]
fn a_sticky_key_stays_comes_back_and_moves_only_when_its_provider_leaves() {
    let mut policy = Sticky::default();
    let cheap_first = [provider(1, 0, 1), provider(2, 0, 50)];
    let cheap_second = [provider(1, 9, 50), provider(2, 0, 1)];
    assert_eq!(policy.pick(&cheap_first, Some(3), 0), 0);
    assert_eq!(policy.pick(&cheap_second, Some(3), 0), 0, "it stays although another is cheaper now");
    assert_eq!(policy.pick(&cheap_second[1..], Some(3), 0), 0, "its home has no credit");
    assert_eq!(policy.pick(&cheap_second, Some(3), 0), 0, "and then it comes back");
    policy.forget(id(1));
    assert_eq!(policy.pick(&cheap_second, Some(3), 0), 1);
    assert_eq!(policy.pick(&cheap_first, Some(3), 0), 1);
}
