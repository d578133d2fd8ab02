//! Bytes captured from pyre 0.3.4, zyre C, zyre.js 1.3.0 and gyre, as tests and fuzzers want them.
//!
//! Each table lists `(what it is, hexadecimal digits)`; [`bytes()`] turns the digits into bytes. The
//! tests below say what each must decode to, and that our encoder writes the same bytes.

/// Beacons, versions 1 and 3, with goodbyes.
pub const BEACONS: &[(&str, &str)] = &[
    ("pyre", "5a524501276a5776403e4df4bf69128f8f8994adb58b"),
    ("pyre leaving", "5a524501276a5776403e4df4bf69128f8f8994ad0000"),
    ("zyre C", "5a524501ae6a71aba1edfbbd96acf50687958d84c000"),
    ("zyre.js", "5a5245011690a544599347778522d0498a8a0293c000"),
    ("gyre", "5a524501133c97635fb590d09a6797e68072b4fae8bf"),
    (
        "zyre C with CURVE",
        "5a524503b68ce7011de8b1fdecf99eda135ea434c000ce4a878ea8c6215d6307ce032ea4b6206df12b6731f5ec9d63dba59751b24604",
    ),
    (
        "zyre C with CURVE leaving",
        "5a524503b68ce7011de8b1fdecf99eda135ea4340000ce4a878ea8c6215d6307ce032ea4b6206df12b6731f5ec9d63dba59751b24604",
    ),
];

/// First frames of ZRE messages.
pub const MESSAGES: &[(&str, &str)] = &[
    (
        "HELLO from pyre",
        "aaa101020001157463703a2f2f31302e37372e302e313a34363437350000000100000002473101037079410000000105582d4b45590000000476616c31",
    ),
    (
        "HELLO from zyre C",
        "aaa101020001157463703a2f2f31302e37372e302e333a343931353200000001000000024731010263430000000103582d430000000133",
    ),
    (
        "HELLO from zyre.js",
        "aaa101020001157463703a2f2f31302e37372e302e323a34393135320000000100000002473101036a73420000000103582d420000000132",
    ),
    (
        "HELLO from gyre",
        "aaa101020001157463703a2f2f31302e37372e302e313a3532353435000000010000000247310103676f410000000103582d470000000131",
    ),
    (
        "HELLO from zyre C without headers",
        "aaa101020001147463703a2f2f31302e37372e302e313a363030310000000100000002473101046748756200000000",
    ),
    (
        "HELLO from zyre C, IPv6 endpoint",
        "aaa101020001137463703a2f2f666437373a3a313a343931353200000001000000024731010376364100000000",
    ),
    (
        "HELLO from zyre C, link-local endpoint",
        "aaa101020001257463703a2f2f666538303a3a313465303a323766663a666539303a343731363a343931353200000001000000024731010376364100000000",
    ),
    ("SHOUT", "aaa103020002024731"),
    ("SHOUT of three frames", "aaa103020003024731"),
    ("WHISPER", "aaa102020004"),
    ("JOIN", "aaa10402000502473202"),
    ("LEAVE", "aaa10502000602473203"),
    ("PING", "aaa106020002"),
    ("PING-OK", "aaa107020002"),
    ("GOODBYE", "aaa10a020003"),
    ("ELECT", "aaa108020002024731203343443139303443324332443745443143444539333837414631334538374641"),
    ("LEADER", "aaa109020003024731203141343042434142314339314536454437303941444341344330443833393242"),
    ("SHOUT from pyre, name cut inside a character", "aaa103020002036772c3"),
    ("JOIN from pyre, name cut inside a character", "aaa10402000302e4b802"),
];

/// Gossip frames.
pub const GOSSIP: &[(&str, &str)] = &[
    ("HELLO", "aaa00101"),
    ("PING", "aaa00301"),
    ("PONG", "aaa00401"),
    ("INVALID", "aaa00501"),
    (
        "PUBLISH",
        "aaa00201204537343042413938334633343335394435384434453244313043333931304433000000147463703a2f2f31302e37372e302e323a3630303200000000",
    ),
];

/// The bytes that hexadecimal digits stand for; anything else among them is skipped.
pub fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<u8> = hexadecimal
        .chars()
        .filter_map(|c| c.to_digit(16))
        .filter_map(|digit| digit.try_into().ok())
        .collect();
    digits.as_chunks().0.iter().map(|[high, low]| (high << 4) | low).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Beacon, Command, Decoded, Endpoint, Hello, HelloFields, decode, gossip};
    use super::*;
    use crate::{GroupName, PeerId};

    /// Each vector with what it must decode to; the lengths must agree, so that none goes unchecked.
    fn pairs<T>(vectors: &[(&'static str, &str)], expected: Vec<T>) -> Vec<(&'static str, Vec<u8>, T)> {
        assert_eq!(vectors.len(), expected.len());
        vectors.iter().zip(expected).map(|((what, hex), value)| (*what, bytes(hex), value)).collect()
    }

    fn beacons() -> Vec<Beacon> {
        let beacon = |id: &str, port, key| Beacon { id: id.parse().unwrap(), port, key };
        let key: [u8; 32] =
            bytes("ce4a878ea8c6215d6307ce032ea4b6206df12b6731f5ec9d63dba59751b24604").try_into().unwrap();
        vec![
            beacon("276a5776-403e-4df4-bf69-128f8f8994ad", 46475, None),
            beacon("276a5776-403e-4df4-bf69-128f8f8994ad", 0, None),
            beacon("AE6A71ABA1EDFBBD96ACF50687958D84", 49152, None),
            beacon("1690a544599347778522d0498a8a0293", 49152, None),
            beacon("133C97635FB590D09A6797E68072B4FA", 59583, None),
            beacon("B68CE7011DE8B1FDECF99EDA135EA434", 49152, Some(key)),
            beacon("B68CE7011DE8B1FDECF99EDA135EA434", 0, Some(key)),
        ]
    }

    fn messages() -> Vec<Decoded> {
        let group = |name: &[u8]| GroupName::from_bytes(name).unwrap();
        let g1 = || group(b"G1");
        let id = |text: &str| -> PeerId { text.parse().unwrap() };
        let message = |sequence, command| Decoded { sequence, command };
        let hello = |endpoint: &str, name: &str, header: &[(&str, &str)]| {
            let fields = HelloFields {
                endpoint: endpoint.into(),
                groups: vec![g1()],
                status: 1,
                name: name.into(),
                headers: header.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            };
            message(1, Command::Hello(Hello::new(fields).unwrap()))
        };
        vec![
            hello("tcp://10.77.0.1:46475", "pyA", &[("X-KEY", "val1")]),
            hello("tcp://10.77.0.3:49152", "cC", &[("X-C", "3")]),
            hello("tcp://10.77.0.2:49152", "jsB", &[("X-B", "2")]),
            hello("tcp://10.77.0.1:52545", "goA", &[("X-G", "1")]),
            hello("tcp://10.77.0.1:6001", "gHub", &[]),
            hello("tcp://fd77::1:49152", "v6A", &[]),
            hello("tcp://fe80::14e0:27ff:fe90:4716:49152", "v6A", &[]),
            message(2, Command::Shout { group: g1() }),
            message(3, Command::Shout { group: g1() }),
            message(4, Command::Whisper),
            message(5, Command::Join { group: group(b"G2"), status: 2 }),
            message(6, Command::Leave { group: group(b"G2"), status: 3 }),
            message(2, Command::Ping),
            message(2, Command::PingOk),
            message(3, Command::Goodbye),
            message(2, Command::Elect { group: g1(), challenger: id("3CD1904C2C2D7ED1CDE9387AF13E87FA") }),
            message(3, Command::Leader { group: g1(), leader: id("1A40BCAB1C91E6ED709ADCA4C0D8392B") }),
            message(2, Command::Shout { group: group(b"gr\xc3") }),
            message(3, Command::Join { group: group(b"\xe4\xb8"), status: 2 }),
        ]
    }

    fn gossip_messages() -> Vec<gossip::Message> {
        use gossip::{Message, Publish};
        let tuple = Publish::new("E740BA983F34359D58D4E2D10C3910D3", "tcp://10.77.0.2:6002", 0).unwrap();
        vec![Message::Hello, Message::Ping, Message::Pong, Message::Invalid, Message::Publish(tuple)]
    }

    #[test]
    fn captured_beacons_decode_and_are_encoded_to_the_same_bytes() {
        for (what, bytes, beacon) in pairs(BEACONS, beacons()) {
            assert_eq!(Beacon::decode(&bytes), Ok(beacon), "{what}");
            assert_eq!(beacon.encode(), bytes, "{what}");
        }
    }

    #[test]
    fn captured_messages_decode_and_are_encoded_to_the_same_bytes() {
        for (what, bytes, message) in pairs(MESSAGES, messages()) {
            let mut encoded = Vec::new();
            message.command.encode(message.sequence, &mut encoded);
            assert_eq!(encoded, bytes, "{what}");
            assert_eq!(decode(&bytes), Ok(message), "{what}");
        }
    }

    #[test]
    fn captured_gossip_decodes_and_is_encoded_to_the_same_bytes() {
        for (what, bytes, message) in pairs(GOSSIP, gossip_messages()) {
            let mut encoded = Vec::new();
            message.encode(&mut encoded);
            assert_eq!(encoded, bytes, "{what}");
            assert_eq!(gossip::Message::decode(&bytes), Ok(message), "{what}");
        }
    }

    #[test]
    fn captured_endpoints_are_read_and_written_to_the_same_text() {
        let mut seen = 0;
        for message in messages() {
            let Command::Hello(hello) = message.command else { continue };
            let endpoint = Endpoint::decode(&hello.endpoint).unwrap();
            assert_eq!(endpoint.to_string().as_bytes(), hello.endpoint);
            seen += 1;
        }
        assert_eq!(seen, 7);
    }

    #[test]
    fn every_strict_prefix_of_a_vector_is_an_error() {
        fn prefixes(hex: &str) -> impl Iterator<Item = Vec<u8>> {
            let whole = bytes(hex);
            (0..whole.len()).map(move |end| whole[..end].to_vec())
        }
        for (what, hex) in BEACONS {
            for prefix in prefixes(hex) {
                // 22 bytes of a version 3 beacon have the size of version 1 but not its version.
                assert!(Beacon::decode(&prefix).is_err(), "{what}, {} bytes", prefix.len());
            }
        }
        for (what, hex) in MESSAGES {
            for prefix in prefixes(hex) {
                let error = decode(&prefix).expect_err(what);
                assert_eq!(error.sequence().is_some(), prefix.len() >= 6, "{what}, {} bytes", prefix.len());
            }
        }
        for (what, hex) in GOSSIP {
            for prefix in prefixes(hex) {
                assert!(gossip::Message::decode(&prefix).is_err(), "{what}, {} bytes", prefix.len());
            }
        }
    }
}
