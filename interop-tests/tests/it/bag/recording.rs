//! What is in a recording, what comes out of it, and what is left of one that ended badly.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use zyre_interop_tests::netns::{Host, Lan};
use zyre_interop_tests::peer::{Event, Spec};
use zyre_interop_tests::{Missing, or_return};

use super::{Folder, end, info, payload, play, read, record, wait_recorded};
use crate::common::{DELIVERED, DISCOVERED, figure};
use crate::rpc_cli::{ended, eventually, fails, run, zyre};

/// More than any replay here takes.
const PLAYED: Duration = Duration::from_secs(30);

#[test]
fn each_message_comes_back_frame_by_frame_as_it_was() {
    let lan = or_return!(Lan::new(3));
    let pyre = or_return!(Spec::pyre("pyre").spawn(lan.host(0)));
    let ours = or_return!(Spec::ours("ours").group("LISTEN").spawn(lan.host(1)));
    let folder = Folder::new("frames");
    let file = folder.file("day.mcap");
    let host = lan.host(2);
    let wanted = ["G", "OTHER", "--whispers", "--events", "-o", &file];
    let recorder = or_return!(record(host, &wanted, &[&pyre, &ours], &["G", "OTHER"]));
    let id = pyre
        .wait_for("ENTER", |event| event.is("ENTER") && event.name() == "recorder", DISCOVERED)
        .peer()
        .to_owned();
    let messages: [&[&[u8]]; 7] = [
        &[br#"{ "b": 1.0, "a": [true, null] }"#],
        &[b"{}\n"],
        &["grüße".as_bytes()],
        &[b""],
        &[b"null"],
        &[b"\xFF\x00", b"", b"{}"],
        &[&[0x80; 100_000]],
    ];
    for message in messages {
        pyre.shout("G", message);
    }
    ours.shout("OTHER", &[b"not played"]);
    pyre.whisper(&id, &[b"for you alone"]);
    // What came on ENTER and JOIN of the two is there as well.
    eventually("all on disk", || {
        let topics = info(host, &file)["topics"].clone();
        let count = |topic: &str| {
            let rows = topics.as_array().into_iter().flatten();
            rows.filter(|row| row["topic"] == topic).filter_map(|row| row["messages"].as_u64()).sum::<u64>()
        };
        (count("shout/G"), count("shout/OTHER"), count("whisper")) == (7, 1, 1) && count("event") >= 3
    });
    end(recorder);

    let recorded = read(&file);
    let of = |topic: &str| -> Vec<Value> {
        recorded
            .iter()
            .filter(|message| message.topic == topic)
            .map(|message| message.object.clone())
            .collect()
    };
    let shouts = of("shout/G");
    assert!(shouts.iter().all(|object| object["peer"] == pyre.id() && object["name"] == "pyre"));
    let payloads: Vec<Value> = shouts.iter().take(6).map(payload).collect();
    let expected = [
        json!({"json": {"b": 1.0, "a": [true, null]}}),
        json!({"frames": [{"text": "{}\n"}]}),
        json!({"frames": [{"text": "grüße"}]}),
        json!({"frames": [{"text": ""}]}),
        json!({"frames": [{"text": "null"}]}),
        json!({"frames": [{"base64": "/wA="}, {"text": ""}, {"text": "{}"}]}),
    ];
    assert_eq!(payloads, expected);
    assert_eq!(
        of("whisper").iter().map(payload).collect::<Vec<_>>(),
        [json!({"frames": [{"text": "for you alone"}]})]
    );
    let enters =
        of("event").into_iter().filter(|object| object["event"] == "ENTER" && object["peer"] == pyre.id());
    assert_eq!(enters.count(), 1);

    let mark = ours.mark();
    let play_g = ["-i", &file, "--groups", "G", "--remap", "G:=LISTEN"];
    let report = or_return!(play(lan.host(0), &play_g, PLAYED));
    assert_eq!((&report["sent"], &report["unheard"]), (&json!(7), &json!(0)), "{report}");
    assert_eq!(report["skipped"], recorded.len() as u64 - 7);
    let last = |event: &Event| event.is("SHOUT") && event.frames() == messages[6];
    ours.wait_since(mark, "the last shout", last, DELIVERED);
    let heard: Vec<Event> = ours.events_since(mark).into_iter().filter(|event| event.is("SHOUT")).collect();
    assert_eq!(heard.iter().map(Event::frames).collect::<Vec<_>>(), messages);
    assert!(heard.iter().all(|event| event.group() == "LISTEN" && event.name() == "player"));
}

#[test]
fn a_recording_of_all_groups_follows_new_ones_and_stays_out_of_services() {
    let lan = or_return!(Lan::new(2));
    let folder = Folder::new("all");
    let file = folder.file("all.mcap");
    let (host, other) = (lan.host(0), lan.host(1));
    let ours = or_return!(Spec::ours("ours").group("EARLY").spawn(other));
    let _server = or_return!(zyre(other, &["--name", "server", "serve", "test.echo", "--echo"]));
    let recorder = or_return!(record(host, &["--all", "--rpc", "-o", &file], &[&ours], &["EARLY"]));
    ours.join("LATE");
    let joins = |event: &Event| event.is("JOIN") && event.name() == "recorder" && event.group() == "LATE";
    ours.wait_for("the recorder in LATE", joins, DISCOVERED);
    for group in ["EARLY", "LATE"] {
        ours.shout(group, &[b"1"]);
    }
    // Nobody answers; that it came is what is recorded.
    let ask = ["call", "some.method", "--peer", "recorder", "--timeout", "0.5"];
    or_return!(fails(other, &ask, 3, "wait longer"));
    // The two JOINs of the service, the call, its cancelling, the EXIT of the caller, two shouts.
    eventually("all on disk", || {
        let topics = info(host, &file)["topics"].to_string();
        ["shout/EARLY", "shout/LATE", "rpc/provider", "rpc/request"]
            .iter()
            .all(|topic| topics.contains(topic))
    });
    end(recorder);
    let in_service = |event: &Event| event.name() == "recorder" && event.group().starts_with("svc/");
    assert!(!ours.events().iter().any(in_service));
    let recorded = read(&file);
    let of = |topic: &str| {
        recorded
            .iter()
            .filter(|message| message.topic == topic)
            .map(|message| &message.object)
            .collect::<Vec<_>>()
    };
    assert!(of("rpc/provider").iter().any(|object| object["event"] == "JOIN"
        && object["group"] == "svc/test"
        && object["name"] == "server"));
    assert_eq!(of("rpc/request")[0]["json"]["method"], "some.method");
    assert_eq!((of("shout/EARLY").len(), of("shout/LATE").len()), (1, 1));
}

#[test]
fn a_recording_that_was_killed_is_read_and_played_up_to_its_last_second() {
    let lan = or_return!(Lan::new(2));
    let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
    let folder = Folder::new("killed");
    let file = folder.file("killed.mcap");
    let host = lan.host(1);
    let mut recorder = or_return!(record(host, &["G", "-o", &file], &[&ours], &["G"]));
    ours.flood_shouts("G", 0, 5000, 100);
    wait_recorded(host, &file, 5000);
    recorder.kill();
    let told = info(host, &file);
    assert_eq!((&told["complete"], &told["messages"]), (&json!(false), &json!(5000)));
    ours.start_counting();
    let player =
        or_return!(zyre(host, &["--name", "player", "--json", "bag", "play", "-i", &file, "--immediate"]));
    let enter = ours.wait_for("ENTER", |event| event.is("ENTER") && event.name() == "player", DISCOVERED);
    let counted = ours.wait_counted(enter.peer(), 5000, DELIVERED);
    assert_eq!((counted.received, counted.missing, counted.reordered), (5000, 0, 0));
    assert_eq!(ended(player).0, Some(0));
}

/// The sender sends as fast as it can: where the recorder is slower it has to wait, and nothing is lost.
#[test]
fn a_flood_of_messages_is_recorded_whole() {
    const COUNT: u64 = 100_000;
    let lan = or_return!(Lan::new(2));
    let ours = or_return!(Spec::ours("ours").spawn(lan.host(0)));
    let folder = Folder::new("flood");
    let file = folder.file("flood.mcap");
    let host = lan.host(1);
    let recorder = or_return!(record(host, &["G", "-o", &file], &[&ours], &["G"]));
    // It stays until all has arrived: what a node has under way when it ends may be lost.
    ours.flood_shouts("G", 0, COUNT, 100);
    wait_recorded(host, &file, COUNT);
    let report = end(recorder);
    assert_eq!((&report["messages"], &report["lost"]), (&json!(COUNT), &json!(0)));
    let recorded = read(&file);
    let length = (recorded[recorded.len() - 1].time - recorded[0].time) as f64 / 1e9;
    figure(&format!("{COUNT} messages of 100 B are recorded in {length:.2} s"));
}

/// A file system of 3 MiB in memory, unmounted when dropped.
struct SmallDisk(Folder);

impl SmallDisk {
    fn mount() -> Result<Self, Missing> {
        let folder = Folder::new("disk");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(&folder.0).output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Self(folder)),
            _ => Err(Missing::new("a small file system cannot be mounted; run the tests as root")),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0.0).output();
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_what_was_kept_is_told_and_readable() {
    let lan = or_return!(Lan::new(2));
    let disk = or_return!(SmallDisk::mount());
    let ours = or_return!(Spec::ours("ours").spawn(lan.host(0)));
    let file = disk.0.file("full.mcap");
    let host = lan.host(1);
    let mut recorder = or_return!(record(host, &["G", "-o", &file], &[&ours], &["G"]));
    // Bytes that no packer makes smaller, so that the third chunk or so has no room.
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    for _ in 0..80 {
        let message: Vec<u8> = (0..50_000).map(|_| noise()).collect();
        ours.shout("G", &[&message]);
    }
    assert_eq!(recorder.wait_end(DISCOVERED).code(), Some(1));
    eventually("what was kept", || {
        recorder.events().iter().any(|event| {
            event.is("STDERR")
                && event.line().contains("the disk is full")
                && event.line().contains("are kept in")
        })
    });
    let told = info(host, &file);
    assert_eq!(told["complete"], false);
    assert!((1..80).contains(&told["messages"].as_u64().expect("a number")), "{told}");
}

#[test]
fn nothing_recorded_leaves_no_file_and_nobody_to_play_to_is_a_timeout() {
    let host = or_return!(Host::alone());
    let folder = Folder::new("nothing");
    let file = folder.file("none.mcap");
    let (code, printed) =
        or_return!(run(&host, &["--json", "bag", "record", "G", "-o", &file, "--duration", "0.5"]));
    assert_eq!((code, &printed[0]["messages"], &printed[0]["files"]), (Some(0), &json!(0), &json!([])));
    or_return!(fails(
        &host,
        &["bag", "record", "G", "-o", &file, "--timeout", "0.5"],
        3,
        "nothing to record"
    ));
    assert!(!fs::exists(&file).expect("a readable folder"));
    or_return!(fails(&host, &["bag", "info", "-i", &file], 1, "No such file"));
    or_return!(fails(&host, &["bag", "record"], 2, "--all"));

    let ours = or_return!(Spec::ours("ours").spawn(&host));
    let recorder = or_return!(record(&host, &["G", "-o", &file], &[&ours], &["G"]));
    ours.shout("G", &[b"1"]);
    wait_recorded(&host, &file, 1);
    end(recorder);
    or_return!(fails(&host, &["bag", "record", "G", "-o", &file], 1, "is there already"));
    or_return!(fails(&host, &["bag", "play", "-i", &file, "--timeout", "1"], 3, "--wait-peers 0"));
    or_return!(fails(&host, &["bag", "play", "-i", &file, "--groups", "H"], 2, "recorded were G"));
    let report = or_return!(play(&host, &["-i", &file, "--wait-peers", "0"], PLAYED));
    assert_eq!((&report["sent"], &report["unheard"]), (&json!(1), &json!(1)));
    let report =
        or_return!(play(&host, &["-i", &file, "--wait-peers", "0", "--start-offset", "0.5"], PLAYED));
    assert_eq!((&report["sent"], &report["skipped"]), (&json!(0), &json!(0)));
    assert!(!ours.events().iter().any(|event| event.is("SHOUT")));
}
