//! The text of keys: a network's, a node's certificate, and the list of those that are trusted. Each reader is given every text.

use crate::Target;
use zyre_rs::{InvalidNetworkKey, InvalidTrustedKeys, NetworkKey, NodeKey, PeerId, PublicKey, TrustedKeys};

pub(crate) const TARGET: Target = Target { name: "key_file", run, seeds, max_len: 512, smoke_runs: 40_000 };

fn seeds() -> Vec<Vec<u8>> {
    let node = NodeKey::from_secret([7; 32]);
    let (certificate, public) = (node.to_zcert("camera 1").to_string(), node.public_key());
    let (one, other) = ("0123456789abcdef".repeat(4), "FEDCBA9876543210".repeat(4));
    vec![
        one.clone().into(),
        format!("# mesh\n\n  {one}  \r\n#old\n{other}").into(),
        format!("{one}\n{}", &other[1..]).into(),
        format!("{one}{one}").into(),
        "# none".into(),
        "\u{e9}".repeat(32).into(),
        certificate.as_bytes().to_vec(),
        certificate.replace('"', "'").into(),
        certificate.replace(&public.to_string(), "").into(),
        certificate.replace("secret-key", "other-key").into(),
        certificate.replace("curve", "other").into(),
        format!("# hall\n{public} camera  1\n\n{}\n{public}", NodeKey::from_secret([8; 32]).public_key())
            .into(),
        format!("{public}x").into(),
    ]
}

fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    network(text);
    node(text);
    trusted(text);
}

fn network(text: &str) {
    let lines = text.lines().map(str::trim).enumerate();
    let lines: Vec<_> = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect();
    let is_key = |line: &str| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.parse::<NetworkKey>() {
        Ok(key) => {
            assert!(lines.iter().all(|(_, line)| is_key(line)));
            assert_eq!(key.accepted(), lines.len());
            let first = lines.first().map(|(_, line)| line.to_ascii_lowercase());
            assert_eq!(Some(key.reveal().as_str()), first.as_deref());
            let again: NetworkKey = key.reveal().parse().expect("it reads back");
            assert_eq!(again.public_key(), key.public_key());
            assert_eq!(again.accepting(key.clone()).accepted(), key.accepted() + 1);
            let shown = format!("{key:?}").to_lowercase();
            assert!(
                lines.iter().all(|(_, line)| !shown.contains(&line.to_lowercase()[..16])),
                "it does not print"
            );
        }
        Err(InvalidNetworkKey::Empty) => assert!(lines.is_empty()),
        Err(InvalidNetworkKey::Line { line }) => {
            let wrong = lines.iter().find(|(_, line)| !is_key(line)).map(|(at, _)| at + 1);
            assert_eq!(wrong, Some(line));
        }
        Err(error) => panic!("{error}"),
    }
}

fn node(text: &str) {
    match text.parse::<NodeKey>() {
        Ok(key) => {
            let again: NodeKey = key.to_zcert(text).parse().expect("it reads back, whatever its name");
            assert_eq!(again.public_key(), key.public_key());
            assert_eq!(key.peer_id(), PeerId::of_key(&key.public_key()));
            assert!(text.contains(&key.public_key().to_string()), "both halves have to be there");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn trusted(text: &str) {
    let first_word = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let words: Vec<_> = text.lines().map(first_word).collect();
    let words = words.iter().enumerate().filter_map(|(at, word)| Some((at, word.as_ref()?)));
    let words: Vec<_> = words.filter(|(_, word)| !word.starts_with('#')).collect();
    let is_key = |word: &String| word.parse::<PublicKey>().is_ok_and(|key| key.to_string() == *word);
    match text.parse::<TrustedKeys>() {
        Ok(keys) => {
            assert!(
                words.iter().all(|(_, word)| is_key(word)) && !keys.is_empty() && keys.len() <= words.len()
            );
            let line =
                |(key, name): (PublicKey, Option<&str>)| format!("{key} {}\n", name.unwrap_or_default());
            let again: TrustedKeys =
                keys.iter().map(line).collect::<String>().parse().expect("it reads back");
            assert!(again.iter().eq(keys.iter()));
            assert!(keys.iter().all(|(key, name)| keys.contains(&key) && keys.name_of(&key) == name));
        }
        Err(InvalidTrustedKeys::Empty) => assert!(words.is_empty()),
        Err(InvalidTrustedKeys::Line { line }) => {
            let wrong = words.iter().find(|(_, word)| !is_key(word)).map(|(at, _)| at + 1);
            assert_eq!(wrong, Some(line));
        }
        Err(error) => panic!("{error}"),
    }
}
