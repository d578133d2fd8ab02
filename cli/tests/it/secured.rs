//! `--key-file` and `zyre key`.

use crate::process::{Network, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A folder that is removed at the end of its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("zyre-cli-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn public_key(network: &Network, file: &str) -> String {
    let shown = network.zyre(["key", "show", "--key-file", file, "--json"]).finish();
    assert_eq!(shown.code, Some(0), "{shown:?}");
    json(&shown.stdout)["public"].as_str().expect("text").to_owned()
}

#[test]
fn nodes_with_one_key_file_meet_and_one_without_is_alone() {
    let (network, folder) = (Network::new(), Folder::new("meet"));
    let key = folder.file("mesh.key");
    let made = network.zyre(["key", "new", &key]).finish();
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stdout.starts_with(&public_key(&network, &key)), "{made:?}");

    let mut ears = network.zyre(["--key-file", &key, "--json", "--name", "ears", "sub", "g", "--count", "1"]);
    let stranger = network.zyre(["shout", "g", "let me in", "--timeout", "3"]).finish();
    assert_eq!(stranger.code, Some(3), "{stranger:?}");
    let mouth = network.zyre(["shout", "g", "hello", "--key-file", &key]).finish();
    assert_eq!(mouth.code, Some(0), "{mouth:?}");
    assert_eq!(ears.line_with("\"SHOUT\"")["frames"], json(r#"["hello"]"#));
    assert_eq!(ears.finish().code, Some(0));
}

#[test]
fn a_key_file_is_made_for_its_owner_alone_and_refused_with_the_remedy_when_others_can_read_it() {
    let (network, folder) = (Network::new(), Folder::new("mode"));
    let key = folder.file("mesh.key");
    assert_eq!(network.zyre(["key", "new", &key]).finish().code, Some(0));
    assert_eq!(fs::metadata(&key).expect("made").permissions().mode() & 0o777, 0o600);
    let again = network.zyre(["key", "new", &key]).finish();
    assert_eq!(again.code, Some(1), "nothing is overwritten: {again:?}");

    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("ours");
        let refused = network.zyre(["--key-file", &key, "peers"]).finish();
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(&format!("chmod 600 {key}")), "{refused:?}");
    }
}

#[test]
fn a_file_of_several_keys_shows_its_first_and_a_broken_one_is_not_repeated() {
    let (network, folder) = (Network::new(), Folder::new("several"));
    let [one, both] = ["one", "both"].map(|name| folder.file(name));
    let new = || network.zyre(["key", "new"]).finish().stdout;
    let (first, second) = (new(), new());
    assert_eq!((first.trim().len(), second.trim().len()), (64, 64));
    assert_ne!(first, second);
    let write = |file: &str, text: &str| {
        fs::write(file, text).expect("written");
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("ours");
    };
    write(&one, &first);
    write(&both, &format!("# the new one first\n{first}{second}"));
    assert_eq!(public_key(&network, &one), public_key(&network, &both));

    write(&both, &format!("{first}{}", &second[..60]));
    let refused = network.zyre(["--key-file", &both, "peers", "-vvv"]).finish();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("line 2") && !refused.stderr.contains(&second[..8]), "{refused:?}");
    let none = network.zyre(["key", "show"]).finish();
    assert_eq!(none.code, Some(2), "{none:?}");
}

#[test]
fn no_key_appears_in_the_traces_of_a_node() {
    let (network, folder) = (Network::new(), Folder::new("traces"));
    let key = folder.file("mesh.key");
    network.zyre(["key", "new", &key]).finish();
    let secret = fs::read_to_string(&key).expect("made");
    let peers = network.zyre(["-vvv", "--key-file", &key, "peers", "--wait", "0.5"]).finish();
    assert_eq!(peers.code, Some(0), "{peers:?}");
    assert!(peers.stderr.len() > 1_000, "traces are on");
    assert!(!peers.stderr.contains(secret.trim()) && !peers.stdout.contains(secret.trim()));
}
