//! `zyre key rotate`.

use crate::process::Network;
use crate::secured::{Folder, public_key};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

#[test]
fn nodes_one_step_apart_talk_to_each_other_at_every_step() {
    let (network, folder) = (Network::new(), Folder::new("rotate"));
    let [ahead, behind] = ["ahead.key", "behind.key"].map(|name| folder.file(name));
    network.zyre(["key", "new", &ahead]).finish();
    let old = public_key(&network, &ahead);
    for step in ["step 1 of 3", "step 2 of 3", "step 3 of 3"] {
        fs::copy(&ahead, &behind).expect("copied with its mode");
        let rotated = network.zyre(["key", "rotate", &ahead]).finish();
        assert_eq!(rotated.code, Some(0), "{rotated:?}");
        assert!(
            rotated.stdout.contains(step) && rotated.stdout.contains("one after the other"),
            "{rotated:?}"
        );

        for (ears, mouth) in [(&ahead, &behind), (&behind, &ahead)] {
            let sub = network.zyre(["--key-file", ears, "sub", "g", "--count", "1", "--timeout", "20"]);
            let shout =
                network.zyre(["--key-file", mouth, "shout", "g", "hello", "--timeout", "20"]).finish();
            assert_eq!((shout.code, sub.finish().code), (Some(0), Some(0)), "{step}: {shout:?}");
        }
    }
    assert_ne!(public_key(&network, &ahead), old);
    assert_eq!(fs::read_to_string(&ahead).expect("there").lines().count(), 1, "only the new key is left");
}

#[test]
fn a_key_file_is_changed_as_a_whole_and_keeps_its_mode_and_the_link_to_it() {
    let (network, folder) = (Network::new(), Folder::new("whole"));
    let [key, link, beside] = ["mesh.key", "link.key", "mesh.key.changing"].map(|name| folder.file(name));
    network.zyre(["key", "new", &key]).finish();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).expect("ours");
    symlink(&key, &link).expect("a link");
    let (before, old) = (fs::metadata(&key).expect("there"), fs::read_to_string(&key).expect("ours"));

    fs::write(&beside, "").expect("written");
    let busy = network.zyre(["key", "rotate", &link]).finish();
    assert_eq!(busy.code, Some(1), "{busy:?}");
    assert!(busy.stderr.contains(&format!("{beside}: it is there")), "{busy:?}");
    assert_eq!(fs::read_to_string(&key).expect("ours"), old);
    fs::remove_file(&beside).expect("ours");

    assert_eq!(network.zyre(["key", "rotate", &link]).finish().code, Some(0));
    let after = fs::metadata(&key).expect("there");
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    assert_ne!(after.ino(), before.ino(), "the new file took the place of the old one");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert!(fs::read_to_string(&key).expect("ours").contains(old.trim()), "the old key is still accepted");
    assert!(!fs::exists(&beside).expect("a folder"));
}

#[test]
fn a_file_that_cannot_be_rotated_is_left_as_it_is() {
    let (network, folder) = (Network::new(), Folder::new("left"));
    let key = folder.file("mesh.key");
    let new = || network.zyre(["key", "new"]).finish().stdout;
    let two = new() + &new();
    fs::write(&key, &two).expect("written");
    let open = network.zyre(["key", "rotate", &key]).finish();
    assert!(open.stderr.contains("chmod 600"), "{open:?}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("ours");
    let unclear = network.zyre(["key", "rotate", &key]).finish();
    assert_eq!(unclear.code, Some(1), "{unclear:?}");
    assert!(unclear.stderr.contains("only the key that all nodes have"), "{unclear:?}");
    assert_eq!(fs::read_to_string(&key).expect("ours"), two);
    assert_eq!(fs::read_dir(folder.file("")).expect("a folder").count(), 1, "nothing stays beside it");
}
