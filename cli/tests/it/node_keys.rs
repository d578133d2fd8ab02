//! `--cert` with `--trust`, and `zyre key` for node keys.

use crate::process::{Ended, Network, json};
use crate::secured::{Folder, public_key};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Makes the key of a node; its line for trust files.
fn new_key(network: &Network, file: &str) -> String {
    let made = network.zyre(["key", "new", "--node", file]).finish();
    assert_eq!(made.code, Some(0), "{made:?}");
    made.stdout
}

fn shown(network: &Network, file: &str) -> serde_json::Value {
    let ended = network.zyre(["key", "show", file, "--json"]).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    json(&ended.stdout)
}

fn refused(ended: &Ended, code: i32, remedy: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert!(ended.stderr.contains(remedy), "{remedy}: {ended:?}");
}

#[test]
fn nodes_that_trust_each_other_meet_under_the_uuids_of_their_keys_and_a_stranger_is_alone() {
    let (network, folder) = (Network::new(), Folder::new("trust"));
    let [ears, mouth, stranger, trust] =
        ["ears.key", "mouth.key", "stranger.key", "all.trust"].map(|n| folder.file(n));
    let lines = format!("# hall 3\n{}{}", new_key(&network, &ears), new_key(&network, &mouth));
    fs::write(&trust, lines).expect("written");
    new_key(&network, &stranger);

    let mut sub = network.zyre(["--json", "--cert", &ears, "--trust", &trust, "sub", "g", "--count", "1"]);
    let outside = network
        .zyre(["--cert", &stranger, "--trust", &trust, "shout", "g", "let me in", "--timeout", "3"])
        .finish();
    assert_eq!(outside.code, Some(3), "{outside:?}");
    let inside = network.zyre(["shout", "g", "hello", "--cert", &mouth, "--trust", &trust]).finish();
    assert_eq!(inside.code, Some(0), "{inside:?}");
    let shout = sub.line_with("\"SHOUT\"");
    assert_eq!((&shout["frames"], &shout["peer"]), (&json(r#"["hello"]"#), &shown(&network, &mouth)["uuid"]));
    assert_eq!(sub.finish().code, Some(0));
}

#[test]
fn a_node_key_is_made_for_its_owner_alone_and_its_line_is_what_trust_files_take() {
    let (network, folder) = (Network::new(), Folder::new("line"));
    let key = folder.file("cam-1.key");
    let line = new_key(&network, &key);
    assert_eq!(fs::metadata(&key).expect("made").permissions().mode() & 0o777, 0o600);
    refused(&network.zyre(["key", "new", "--node", &key]).finish(), 1, "choose another name or remove it");
    let (public, name) = line.trim_end().split_once("  ").expect("a key and a name");
    assert_eq!((public.len(), name), (40, "cam-1"));
    let shown = shown(&network, &key);
    assert_eq!((shown["public"].as_str(), shown["kind"].as_str()), (Some(public), Some("node")));
    assert_eq!(shown["uuid"].as_str().map(str::len), Some(32));

    let secret = fs::read_to_string(&key).expect("made");
    let secret = secret.split("secret-key = \"").nth(1).and_then(|rest| rest.get(..40)).expect("a secret");
    assert!(!line.contains(secret));
    let printed = network.zyre(["key", "new", "--node"]).finish();
    assert!(printed.stdout.contains("secret-key"), "without a file it is printed: {printed:?}");
}

#[test]
fn keys_are_written_as_the_two_files_of_a_czmq_certificate() {
    let (network, folder) = (Network::new(), Folder::new("zcert"));
    let [mesh, node] = ["mesh.key", "node.key"].map(|name| folder.file(name));
    network.zyre(["key", "new", &mesh]).finish();
    new_key(&network, &node);
    for (option, key, file) in
        [("--key-file", &mesh, folder.file("mesh.zcert")), ("--cert", &node, folder.file("other"))]
    {
        let exported = match option {
            "--cert" => network.zyre(["key", "export-zcert", option, key, &file]).finish(),
            // The file follows from the name of the key.
            _ => network.zyre(["key", "export-zcert", option, key]).finish(),
        };
        assert_eq!(exported.code, Some(0), "{exported:?}");
        let secret = format!("{file}_secret");
        assert_eq!(exported.stdout, format!("{file}\n{secret}\n"));
        assert_eq!(fs::metadata(&secret).expect("made").permissions().mode() & 0o777, 0o600);
        let certificate = fs::read_to_string(&file).expect("made");
        let public = shown(&network, key)["public"].as_str().expect("text").to_owned();
        assert!(certificate.contains(&format!("public-key = \"{public}\"")), "{certificate}");
        assert!(!certificate.contains("secret-key"), "{certificate}");
        // What holds the secret is a node key as well.
        assert_eq!(shown(&network, &secret)["public"], public.as_str());
        let again = network.zyre(["key", "export-zcert", option, key, &file]).finish();
        refused(&again, 1, "it is there already");
    }
}

#[test]
fn files_for_another_purpose_or_open_to_others_are_refused_with_the_remedy() {
    let (network, folder) = (Network::new(), Folder::new("wrong"));
    let [mesh, node, trust] = ["mesh.key", "node.key", "all.trust"].map(|name| folder.file(name));
    network.zyre(["key", "new", &mesh]).finish();
    fs::write(&trust, new_key(&network, &node)).expect("written");
    let mode = |file: &str, mode: u32| {
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("ours");
    };
    let peers = |cert: &str, trust: &str| network.zyre(["--cert", cert, "--trust", trust, "peers"]).finish();
    refused(&peers(&mesh, &trust), 1, "give it with --key-file");
    refused(&network.zyre(["--key-file", &node, "peers"]).finish(), 1, "give it with --cert");
    refused(&peers(&node, &node), 1, "zyre key show");
    refused(&peers(&folder.file("none"), &trust), 1, "none");
    refused(
        &network.zyre(["--cert", &node, "--trust", &trust, "demo"]).finish(),
        2,
        "leave --cert and --trust away",
    );
    mode(&node, 0o644);
    refused(&peers(&node, &trust), 1, &format!("chmod 600 {node}"));
    mode(&node, 0o600);
    mode(&trust, 0o666);
    refused(&peers(&node, &trust), 1, &format!("chmod go-w {trust}"));
    mode(&trust, 0o644);
    fs::write(&trust, "# nobody\n").expect("ours");
    refused(&peers(&node, &trust), 1, "public key");
    assert_eq!(public_key(&network, &mesh).len(), 40);
}
