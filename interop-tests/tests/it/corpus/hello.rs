//! HELLO (attack rows T5, T6, T11, T14): its fields cut, lengths that lie, limits, endpoints of all wrong kinds, odd text.

use super::bytes::{Field, cuts, field, joined, long, message, odd_texts, short, zre};
use super::case::{Door, Expect, Me, Table, kept, nothing};

/// Most groups, headers, and bytes of a header's value and of a HELLO (docs/hardening.md, T6).
const MANY: usize = 1_024;
const VALUE: usize = 128 << 10;
const HELLO: usize = 256 << 10;

pub(super) fn table() -> Table {
    let mut table = Table::at(Door::Shaken);
    ends(&mut table);
    lengths(&mut table);
    counts(&mut table);
    limits(&mut table);
    endpoints(&mut table);
    texts(&mut table);
    tolerated(&mut table);
    before(&mut table);
    table
}

/// What a HELLO is made of.
struct Parts {
    endpoint: Vec<u8>,
    groups: Vec<Vec<u8>>,
    status: u8,
    name: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

fn parts(me: &Me) -> Parts {
    Parts {
        endpoint: format!("tcp://{}", me.mailbox).into(),
        groups: vec![b"cam".to_vec(), b"all".to_vec()],
        status: 2,
        name: b"mallory".to_vec(),
        headers: vec![(b"X-ROLE".to_vec(), b"thief".to_vec())],
    }
}

impl Parts {
    fn body(&self) -> Vec<u8> {
        joined(&self.fields())
    }

    fn fields(&self) -> Vec<Field> {
        let number = |n: usize| u32::try_from(n).expect("small").to_be_bytes();
        let mut fields = vec![
            field("endpoint's length", [u8::try_from(self.endpoint.len()).expect("short")]),
            field("endpoint", self.endpoint.clone()),
            field("count of groups", number(self.groups.len())),
        ];
        for group in &self.groups {
            fields.push(field("group's length", number(group.len())));
            fields.push(field("group", group.clone()));
        }
        fields.push(field("status", [self.status]));
        fields.push(field("name's length", [u8::try_from(self.name.len()).expect("short")]));
        fields.push(field("name", self.name.clone()));
        fields.push(field("count of headers", number(self.headers.len())));
        for (key, value) in &self.headers {
            fields.push(field("header's name length", [u8::try_from(key.len()).expect("short")]));
            fields.push(field("header's name", key.clone()));
            fields.push(field("header's value length", number(value.len())));
            fields.push(field("header's value", value.clone()));
        }
        fields
    }
}

/// A HELLO with this body.
fn raw(
    table: &mut Table,
    name: impl Into<String>,
    expect: Expect,
    body: impl Fn(&Me) -> Vec<u8> + Send + Sync + 'static,
) {
    table.made(name, expect, move |me, _| message(&[&zre(1, 1, &body(me))]));
}

/// A HELLO with some parts changed.
fn changed(
    table: &mut Table,
    name: impl Into<String>,
    expect: Expect,
    change: impl Fn(&Me, &mut Parts) + Send + Sync + 'static,
) {
    raw(table, name, expect, move |me| {
        let mut parts = parts(me);
        change(me, &mut parts);
        parts.body()
    });
}

fn truncated() -> Expect {
    kept("message_truncated")
}

fn over() -> Expect {
    kept("message_over_limit")
}

/// It is taken, so two groups are joined.
fn taken(why: &'static str) -> Expect {
    nothing(why).and("ENTER").and_times("JOIN", 2..=2)
}

fn ends(table: &mut Table) {
    let names: Vec<String> = cuts(&parts(&Me::nobody()).fields()).into_iter().map(|(name, _)| name).collect();
    for (n, name) in names.into_iter().enumerate() {
        raw(table, format!("HELLO that ends {name} ({n})"), truncated(), move |me| {
            cuts(&parts(me).fields()).swap_remove(n).1
        });
    }
    for at in 0..6 {
        table.case(
            format!("HELLO that ends after {at} bytes"),
            message(&[&zre(1, 1, b"")[..at]]),
            truncated(),
        );
    }
}

/// A length is replaced by one that lies.
fn lengths(table: &mut Table) {
    // The fields that are lengths of four bytes, with what stands behind each in the HELLO.
    for (n, what) in [(3, "first group"), (5, "second group"), (13, "header's value")] {
        for claimed in [255, 256, 65_536, 0x00FF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, u32::MAX] {
            raw(table, format!("a {what} that claims {claimed} bytes"), truncated(), move |me| {
                let mut fields = parts(me).fields();
                fields[n].bytes = claimed.to_be_bytes().to_vec();
                joined(&fields)
            });
        }
    }
    for (n, what) in [(0, "endpoint"), (8, "name"), (11, "header's name")] {
        for claimed in [120, 128, 254, 255] {
            raw(table, format!("a {what} that claims {claimed} bytes"), truncated(), move |me| {
                let mut fields = parts(me).fields();
                fields[n].bytes = vec![claimed];
                joined(&fields)
            });
        }
    }
    // One too short, so that all that follows is read out of step.
    for (n, what, expect) in [
        (0, "endpoint", over()),
        (3, "first group", truncated()),
        (5, "second group", over()),
        (8, "name", over()),
        (11, "header's name", truncated()),
    ] {
        raw(table, format!("a {what} that claims one byte less"), expect, move |me| {
            let mut fields = parts(me).fields();
            *fields[n].bytes.last_mut().expect("a length") -= 1;
            joined(&fields)
        });
    }
    raw(
        table,
        "a header's value that claims one byte less",
        taken("bytes behind the last field are ignored"),
        |me| {
            let mut fields = parts(me).fields();
            fields[13].bytes = 4_u32.to_be_bytes().to_vec();
            joined(&fields)
        },
    );
}

fn counts(table: &mut Table) {
    for (n, what) in [(2, "groups"), (10, "headers")] {
        for claimed in [1_025, 65_535, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
            raw(table, format!("{claimed} {what} claimed"), over(), move |me| {
                let mut fields = parts(me).fields();
                fields[n].bytes = claimed.to_be_bytes().to_vec();
                joined(&fields)
            });
        }
    }
    for claimed in [2_u32, 3, 1_024] {
        raw(table, format!("{claimed} headers claimed where one is"), truncated(), move |me| {
            let mut fields = parts(me).fields();
            fields[10].bytes = claimed.to_be_bytes().to_vec();
            joined(&fields)
        });
    }
    raw(table, "1,024 groups claimed where two are", truncated(), |me| {
        let mut fields = parts(me).fields();
        fields[2].bytes = 1_024_u32.to_be_bytes().to_vec();
        joined(&fields)
    });
}

fn limits(table: &mut Table) {
    let group = |n: usize| format!("g{n}").into_bytes();
    changed(
        table,
        "1,024 groups",
        nothing("1,024 are accepted").and("ENTER").and_times("JOIN", 1_024..=1_024),
        move |_, parts| {
            parts.groups = (0..MANY).map(group).collect();
        },
    );
    changed(table, "1,025 groups", over(), move |_, parts| parts.groups = (0..=MANY).map(group).collect());
    changed(table, "1,025 empty groups", over(), |_, parts| parts.groups = vec![Vec::new(); MANY + 1]);
    let header = |n: usize| (format!("X-{n}").into_bytes(), b"v".to_vec());
    changed(table, "1,024 headers", taken("1,024 are accepted"), move |_, parts| {
        parts.headers = (0..MANY).map(header).collect()
    });
    changed(table, "1,025 headers", over(), move |_, parts| parts.headers = (0..=MANY).map(header).collect());
    changed(table, "1,025 empty headers", over(), |_, parts| {
        parts.headers = vec![(Vec::new(), Vec::new()); MANY + 1]
    });
    for length in [256, 257, 1_000, 65_536] {
        changed(table, format!("a group of {length} bytes"), over(), move |_, parts| {
            parts.groups[0] = vec![b'g'; length]
        });
    }
    changed(table, "a header of 128 KiB", taken("128 KiB are accepted"), |_, parts| {
        parts.headers[0].1 = vec![b'v'; VALUE]
    });
    changed(table, "a header of 128 KiB and a byte", over(), |_, parts| {
        parts.headers[0].1 = vec![b'v'; VALUE + 1]
    });
    changed(table, "a header's name of the most bytes", taken("255 are accepted"), |_, parts| {
        parts.headers[0].0 = vec![b'k'; 255]
    });
    let filled = |size: usize| {
        move |_: &Me, parts: &mut Parts| {
            parts.headers = vec![(b"a".to_vec(), vec![0; VALUE]), (b"b".to_vec(), Vec::new())];
            let room = size - 6 - parts.body().len();
            parts.headers[1].1 = vec![0; room];
        }
    };
    changed(table, "a HELLO of 256 KiB", taken("256 KiB are accepted"), filled(HELLO));
    changed(
        table,
        "a HELLO of 256 KiB and a byte",
        kept("frame_message_too_large").then(super::case::After::Closed),
        filled(HELLO + 1),
    );
}

fn endpoints(table: &mut Table) {
    let bad = [
        "",
        "tcp",
        "tcp:",
        "tcp:/",
        "tcp://",
        "tcp://:",
        "tcp://:5670",
        "tcp://127.0.0.2",
        "tcp://127.0.0.2:",
        "tcp://127.0.0.2:0",
        "tcp://127.0.0.2:65536",
        "tcp://127.0.0.2:99999999999999999999",
        "tcp://127.0.0.2:-1",
        "tcp://127.0.0.2:+5",
        "tcp://127.0.0.2:5x",
        "tcp://127.0.0.2: 5",
        "tcp://127.0.0.2:5 ",
        " tcp://127.0.0.2:5",
        "tcp://127.0.0.2:5/",
        "tcp://127.0.0.2:5\0",
        "tcp://127.0.0.2:5\n",
        "tcp://127.0.0.2:*",
        "tcp://*:5",
        "tcp://*:*",
        "tcp://localhost:5670",
        "tcp://victim.local:5670",
        "tcp://127.1:5670",
        "tcp://0x7f.0.0.2:5670",
        "tcp://2130706434:5670",
        "tcp://127.0.0.256:5670",
        "tcp://127.0.0.2.5:5670",
        "tcp://0177.0.0.2:5670",
        "tcp://user@127.0.0.2:5670",
        "tcp://[127.0.0.2]:5670",
        "tcp://[::1:5670",
        "tcp://[::1]",
        "tcp://[::1]5670",
        "tcp://[::]:5670",
        "tcp://::1%:5670",
        "tcp://fe80::1%eth0",
        "tcp://eth0:5670",
        "tcp://eth0;127.0.0.2:5670",
        "TCP://127.0.0.2:5670",
        "udp://127.0.0.2:5670",
        "ipc:///tmp/victim",
        "ipc://@abstract",
        "inproc://victim",
        "pgm://eth0;239.0.0.1:5",
        "epgm://127.0.0.2;239.0.0.1:5",
        "vmci://1:5",
        "ws://127.0.0.2:80/zyre",
        "http://127.0.0.2/",
        "file:///etc/passwd",
        "tipc://{1,2}",
        "127.0.0.2:5670",
        "%s%s%n",
        "tcp://١٢٧.0.0.2:5",
    ];
    for endpoint in bad {
        refused(table, format!("endpoint {endpoint:?}"), "hello_bad_endpoint", move |_| {
            endpoint.as_bytes().to_vec()
        });
    }
    for (what, bytes) in odd_texts() {
        refused(table, format!("an endpoint of {what}"), "hello_bad_endpoint", move |_| bytes.clone());
    }
    refused(table, "an endpoint that goes on behind a NUL".into(), "hello_bad_endpoint", |me| {
        format!("tcp://{}\0.example.com:80", me.mailbox).into()
    });
    for far in [
        "203.0.113.9",
        "8.8.8.8",
        "10.0.0.1",
        "169.254.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "126.255.255.255",
        "128.0.0.1",
    ] {
        refused(table, format!("a mailbox at {far}"), "hello_foreign_endpoint", move |_| {
            format!("tcp://{far}:5670").into()
        });
    }
    for far in ["2001:db8::1", "fe80::1", "::ffff:203.0.113.9", "[2001:db8::1]", "ff02::1", "::1"] {
        refused(table, format!("a mailbox at {far}"), "hello_foreign_endpoint", move |_| {
            format!("tcp://{far}:5670").into()
        });
    }
    refused(table, "the victim's own mailbox".into(), "endpoint_is_ours", |me| {
        format!("tcp://{}", me.victim_at).into()
    });
    refused(table, "the good peer's mailbox".into(), "endpoint_in_use", |me| {
        format!("tcp://{}", me.good_at).into()
    });
    changed(
        table,
        "endpoint tcp://0.0.0.0, as pyre may say",
        taken("the source of the connection is meant"),
        |me, parts| {
            parts.endpoint = format!("tcp://0.0.0.0:{}", me.mailbox.port()).into();
        },
    );
    changed(table, "an endpoint in IPv6 clothes", taken("it is an IPv4 address"), |me, parts| {
        parts.endpoint = format!("tcp://::ffff:{}:{}", me.ip, me.mailbox.port()).into();
    });
}

fn refused(
    table: &mut Table,
    name: String,
    counter: &'static str,
    endpoint: impl Fn(&Me) -> Vec<u8> + Send + Sync + 'static,
) {
    let expect = super::case::closed(counter).and("hello_refused");
    changed(table, name, expect, move |me, parts| parts.endpoint = endpoint(me));
}

/// Nothing is refused for its text: others do not check it either.
fn texts(table: &mut Table) {
    let bytes_inside = "text is bytes inside, and escaped where it is shown";
    for (what, text) in odd_texts() {
        let of = text.clone();
        changed(table, format!("a name of {what}"), taken(bytes_inside), move |_, parts| {
            parts.name.clone_from(&of)
        });
        let of = text.clone();
        changed(table, format!("a group of {what}"), taken(bytes_inside), move |_, parts| {
            parts.groups[0].clone_from(&of)
        });
        let of = text.clone();
        changed(table, format!("a header's name of {what}"), taken(bytes_inside), move |_, parts| {
            parts.headers[0].0.clone_from(&of)
        });
        changed(table, format!("a header's value of {what}"), taken(bytes_inside), move |_, parts| {
            parts.headers[0].1.clone_from(&text)
        });
    }
}

/// Strange and permitted.
fn tolerated(table: &mut Table) {
    changed(table, "no name", taken("a name may be empty"), |_, parts| parts.name.clear());
    changed(table, "an empty group", taken("a group's name may be empty"), |_, parts| {
        parts.groups[0].clear()
    });
    changed(table, "a header without name and value", taken("both may be empty"), |_, parts| {
        parts.headers[0] = Default::default()
    });
    changed(table, "no header", taken("there may be none"), |_, parts| parts.headers.clear());
    changed(table, "no group", nothing("there may be none").and("ENTER"), |_, parts| parts.groups.clear());
    changed(table, "a group twice", nothing("zyre.js does that").and("ENTER").and("JOIN"), |_, parts| {
        parts.groups = vec![b"all".to_vec(), b"all".to_vec()];
    });
    changed(table, "a header twice", taken("the first counts, as with zyre"), |_, parts| {
        let first = parts.headers[0].clone();
        parts.headers.push(first);
    });
    for status in [0, 1, 3, 255] {
        changed(
            table,
            format!("two groups and status {status}"),
            taken("peers miscount"),
            move |_, parts| parts.status = status,
        );
    }
    raw(table, "bytes behind the last field", taken("they are ignored, as by all"), |me| {
        [parts(me).body(), vec![0xEE; 100]].concat()
    });
    table.made("a HELLO with content frames", taken("they are ignored"), |me, _| {
        message(&[&zre(1, 1, &parts(me).body()), b"content", b""])
    });
    changed(
        table,
        "the header by which our own nodes know each other",
        taken("it changes how we count, and no more"),
        |_, parts| {
            parts.headers = vec![(b"X-ZYRE-RS".to_vec(), b"\xff".to_vec())];
        },
    );
    changed(table, "a public key of CURVE", taken("open nodes have no use for it"), |_, parts| {
        parts.headers = vec![(b"X-PUBLICKEY".to_vec(), b"not Z85".to_vec())];
    });
    changed(table, "the victim's name", taken("names are not unique"), |_, parts| {
        parts.name = b"victim".to_vec()
    });
}

/// Something else than a HELLO with number 1.
fn before(table: &mut Table) {
    for sequence in [0, 2, 3, 255, 256, 32_768, 65_535] {
        table.made(format!("a HELLO with number {sequence}"), kept("before_hello"), move |me, _| {
            message(&[&zre(1, sequence, &parts(me).body())])
        });
    }
    let names = ["WHISPER", "SHOUT", "JOIN", "LEAVE", "PING", "PING-OK", "ELECT", "LEADER", "GOODBYE"];
    for (name, id) in names.into_iter().zip(2..) {
        let body = [short(b"all"), short(&[b'A'; 32])].concat();
        for sequence in [1, 2] {
            table.case(
                format!("{name} with number {sequence} before HELLO"),
                message(&[&zre(id, sequence, &body), b"early"]),
                kept("before_hello"),
            );
        }
    }
    for id in [0, 11, 127, 255] {
        table.case(
            format!("id {id} before HELLO"),
            message(&[&zre(id, 1, &long(b"x"))]),
            kept("before_hello"),
        );
    }
    for (name, head) in [
        ("the signature of gossip", *b"\xaa\xa0\x01\x02\0\x01"),
        ("the signature of ZRE/LOG", *b"\xaa\xa2\x01\x02\0\x01"),
        ("the signature the other way round", *b"\xa1\xaa\x01\x02\0\x01"),
        ("zeros", [0; 6]),
    ] {
        table.case(
            format!("a message with {name} before HELLO"),
            message(&[&head]),
            kept("message_bad_signature"),
        );
    }
    for version in [0, 1, 3, 255] {
        table.made(format!("a HELLO of version {version}"), kept("message_bad_version"), move |me, _| {
            let mut head = zre(1, 1, &parts(me).body());
            head[3] = version;
            message(&[&head])
        });
    }
    table.made("a HELLO of ZRE 1 (RFC 20)", kept("message_bad_version"), |me, _| {
        let mut head = b"\xaa\xa1\x01\x00\x01".to_vec();
        head.extend(short(me.ip.to_string().as_bytes()));
        message(&[&[&head[..], &me.mailbox.port().to_be_bytes(), &[0, 0, 0]].concat()])
    });
    table.case("an empty message before HELLO", message(&[b""]), truncated());
    table.case("a message of empty frames before HELLO", message(&[b"", b"", b""]), truncated());
    table.made(
        "a HELLO behind ten other messages",
        taken("the first HELLO counts").and_times("message_bad_signature", 10..=10),
        |me, _| [message(&[b"nonsense"]).repeat(10), message(&[&zre(1, 1, &parts(me).body())])].concat(),
    );
}
