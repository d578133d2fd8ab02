use proptest::prelude::*;

use super::*;
use crate::zmtp::command::{put_ping, put_pong};

/// Whatever a decoder makes of bytes: messages and commands in the order they came.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Message(Vec<Vec<u8>>),
    Command(Vec<u8>),
}

/// Feeds the pieces as a reader would: append, walk, drop what was consumed.
fn feed<'a>(
    decoder: &mut Decoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Item>, Vec<u8>, Result<(), FrameError>) {
    let (mut items, mut buffer) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let left = buffer.len() - at;
            match decoder.next(&buffer[at..]) {
                Ok(Step::Message(message)) => {
                    assert_eq!(message.frames().len(), message.ranges().len());
                    items.push(Item::Message(message.frames().map(<[u8]>::to_vec).collect()));
                    assert!(0 < message.consumed() && message.consumed() <= left);
                    at += message.consumed();
                }
                Ok(Step::Command { body, consumed }) => {
                    items.push(Item::Command(body.to_vec()));
                    assert!(consumed <= left);
                    at += consumed;
                }
                Ok(Step::NeedMore { at_least }) => {
                    assert!(at_least > 0);
                    break;
                }
                Err(error) => return (items, buffer, Err(error)),
            }
        }
        buffer.drain(..at);
    }
    (items, buffer, Ok(()))
}

fn decode(bytes: &[u8]) -> Result<Vec<Item>, FrameError> {
    let (items, _, result) = feed(&mut Decoder::new(Limits::default()), [bytes]);
    result.map(|()| items)
}

fn message(frames: &[&str]) -> Item {
    Item::Message(frames.iter().map(|frame| frame.as_bytes().to_vec()).collect())
}

fn small() -> Decoder {
    Decoder::new(Limits { max_message: 300, max_frames: 3 })
}

#[test]
fn a_captured_shout_of_three_frames_is_one_message() {
    let bytes = b"\x01\x09\xaa\xa1\x03\x02\x00\x03\x02G1\x01\x02f1\x01\x00\x00\x02f3";
    let header = b"\xaa\xa1\x03\x02\x00\x03\x02G1".to_vec();
    let expected = Item::Message(vec![header, b"f1".to_vec(), vec![], b"f3".to_vec()]);
    assert_eq!(decode(bytes), Ok(vec![expected]));
    let mut ours = Vec::new();
    put_message(&mut ours, &[b"\xaa\xa1\x03\x02\x00\x03\x02G1".as_slice(), b"f1", b"", b"f3"]);
    assert_eq!(ours, bytes);
}

#[test]
fn frames_of_255_bytes_are_short_and_of_256_long() {
    for (length, header) in [
        (255, vec![0, 255]),
        (256, vec![2, 0, 0, 0, 0, 0, 0, 1, 0]),
        (70_000, vec![2, 0, 0, 0, 0, 0, 1, 17, 112]),
    ] {
        let mut out = Vec::new();
        put_message(&mut out, &[vec![9; length]]);
        assert_eq!(out[..header.len()], header);
        assert_eq!(decode(&out), Ok(vec![Item::Message(vec![vec![9; length]])]));
    }
}

#[test]
fn no_frames_put_nothing_on_the_wire() {
    let mut out = Vec::new();
    put_message(&mut out, &[] as &[&[u8]]);
    assert!(out.is_empty());
}

#[test]
fn a_short_message_in_a_long_frame_is_accepted() {
    assert_eq!(decode(b"\x03\0\0\0\0\0\0\0\x01a\x02\0\0\0\0\0\0\0\x01b"), Ok(vec![message(&["a", "b"])]));
}

#[test]
fn need_more_names_exactly_what_is_missing() {
    let needs = |bytes: &[u8]| match Decoder::new(Limits::default()).next(bytes) {
        Ok(Step::NeedMore { at_least }) => at_least,
        other => panic!("{other:?}"),
    };
    assert_eq!(needs(b""), 2);
    assert_eq!(needs(b"\x00"), 1);
    assert_eq!(needs(b"\x02"), 8);
    assert_eq!(needs(b"\x02\0\0\0\0\0\0\x01"), 1);
    assert_eq!(needs(b"\x00\x05abc"), 2);
    assert_eq!(needs(b"\x01\x01a"), 2);
    assert_eq!(needs(b"\x02\0\0\0\0\0\x10\0\0ab"), 0x10_0000 - 2);
}

#[test]
fn reserved_flags_and_impossible_headers_are_refused_by_name() {
    for flags in 8..=255 {
        assert_eq!(decode(&[flags]), Err(FrameError::ReservedFlags { flags }));
    }
    for flags in [5, 7] {
        assert_eq!(decode(&[flags]), Err(FrameError::CommandWithMore));
    }
    assert_eq!(decode(&[2, 0x80]), Err(FrameError::LengthOverflow));
    assert_eq!(decode(&[6, 0xFF]), Err(FrameError::LengthOverflow));
}

#[test]
fn a_claim_of_16_gib_is_refused_by_its_header() {
    let claimed = 16 << 30;
    let error = FrameError::MessageTooLarge { claimed, limit: 64 << 20 };
    assert_eq!(decode(&[2, 0, 0, 0, 4, 0, 0, 0, 0]), Err(error));
    assert_eq!(decode(&[6, 0, 0, 0, 4, 0, 0, 0, 0]), Err(FrameError::CommandTooLarge { claimed }));
    let mut trusting = Decoder::new(Limits { max_message: usize::MAX, max_frames: usize::MAX });
    let Ok(Step::NeedMore { at_least }) = trusting.next(&[2, 0x7F, 255, 255, 255, 255, 255, 255, 255]) else {
        panic!("within the limits")
    };
    assert_eq!(next_read_size(at_least, 9), READ_SIZE, "a claim reserves one read and no more");
    assert_eq!(trusting.ranges.capacity(), 0);
}

#[test]
fn the_limit_counts_all_frames_of_a_message() {
    let mut exact = Vec::new();
    put_message(&mut exact, &[vec![1; 100], vec![2; 200]]);
    let (items, _, result) = feed(&mut small(), [exact.as_slice(), &exact]);
    assert_eq!((items.len(), result), (2, Ok(())), "the count starts anew with each message");

    let mut over = Vec::new();
    put_frame(&mut over, &[1; 100], true);
    put_frame_header(&mut over, 201, false);
    let (_, _, result) = feed(&mut small(), [over.as_slice()]);
    assert_eq!(result, Err(FrameError::MessageTooLarge { claimed: 301, limit: 300 }));
}

#[test]
fn endless_more_frames_are_refused_at_the_limit() {
    let three = [1, 0, 1, 0, 0, 0];
    assert_eq!(feed(&mut small(), [three.as_slice()]).0, [message(&["", "", ""])]);
    let (_, _, result) = feed(&mut small(), [[1, 0, 1, 0, 1, 0, 1, 0].as_slice()]);
    assert_eq!(result, Err(FrameError::TooManyFrames { limit: 3 }));
}

#[test]
fn endless_commands_amid_a_message_are_refused_and_between_messages_are_not() {
    let mut bytes = vec![1, 0];
    (0..3).for_each(|_| put_ping(&mut bytes, 0));
    let (items, _, result) = feed(&mut small(), [bytes.as_slice()]);
    assert_eq!((items.len(), result), (2, Err(FrameError::TooManyFrames { limit: 3 })));

    let mut bytes = Vec::new();
    (0..100).for_each(|_| put_ping(&mut bytes, 0));
    let (items, rest, result) = feed(&mut small(), [bytes.as_slice()]);
    assert_eq!((items.len(), rest.len(), result), (100, 0, Ok(())));
}

#[test]
fn a_ping_amid_a_message_comes_out_first_and_leaves_the_message_whole() {
    let mut bytes = Vec::new();
    put_frame(&mut bytes, b"a", true);
    put_ping(&mut bytes, 7);
    put_pong(&mut bytes, b"x");
    put_frame(&mut bytes, b"b", false);
    put_ping(&mut bytes, 8);
    let expected = [
        Item::Command(b"\x04PING\0\x07".to_vec()),
        Item::Command(b"\x04PONGx".to_vec()),
        message(&["a", "b"]),
        Item::Command(b"\x04PING\0\x08".to_vec()),
    ];
    assert_eq!(decode(&bytes), Ok(expected.to_vec()));
    let one_by_one = feed(&mut Decoder::new(Limits::default()), bytes.chunks(1));
    assert_eq!(one_by_one, (expected.to_vec(), vec![], Ok(())));
}

#[test]
fn commands_of_4_kib_pass_and_longer_ones_are_refused() {
    let mut bytes = Vec::new();
    put_command_header(&mut bytes, MAX_COMMAND);
    bytes.resize(9 + MAX_COMMAND, 0);
    assert!(matches!(decode(&bytes).as_deref(), Ok([Item::Command(body)]) if body.len() == MAX_COMMAND));
    let mut bytes = Vec::new();
    put_command_header(&mut bytes, MAX_COMMAND + 1);
    assert_eq!(decode(&bytes), Err(FrameError::CommandTooLarge { claimed: 4097 }));
}

#[test]
fn an_unfinished_message_is_not_walked_again() {
    let mut decoder = Decoder::new(Limits::default());
    let mut bytes = [1, 0].repeat(1000);
    assert!(matches!(decoder.next(&bytes), Ok(Step::NeedMore { .. })));
    assert_eq!((decoder.walked, decoder.ranges.len()), (2000, 1000));
    // Were the frames walked again, these would now be refused.
    bytes.fill(0xFF);
    bytes.extend_from_slice(&[0, 0]);
    let Ok(Step::Message(message)) = decoder.next(&bytes) else { panic!("whole") };
    assert_eq!((message.ranges().len(), message.consumed()), (1001, 2002));
}

#[test]
fn a_long_list_of_ranges_is_given_back() {
    let mut decoder = Decoder::new(Limits::default());
    let bytes = [[1, 0].repeat(1000), vec![0, 0]].concat();
    assert!(matches!(decoder.next(&bytes), Ok(Step::Message(_))));
    assert!(matches!(decoder.next(b""), Ok(Step::NeedMore { .. })));
    assert_eq!(decoder.ranges.capacity(), 0);
}

#[test]
fn the_read_size_doubles_with_what_has_arrived() {
    assert_eq!(next_read_size(10, 0), 10);
    assert_eq!(next_read_size(usize::MAX, 0), READ_SIZE);
    assert_eq!(next_read_size(64 << 20, 1 << 20), 1 << 20);
    assert_eq!(next_read_size(5, 64 << 20), 5);
    assert_eq!(next_read_size(0, 0), 1);
    let (mut buffered, mut reads) = (9, 0);
    while buffered < 64 << 20 {
        buffered += next_read_size((64 << 20) - buffered, buffered);
        reads += 1;
    }
    assert!(reads < 13, "{reads} reads for 64 MiB");
}

#[test]
fn every_error_is_counted_under_its_own_name() {
    let errors = [
        FrameError::ReservedFlags { flags: 8 },
        FrameError::CommandWithMore,
        FrameError::LengthOverflow,
        FrameError::CommandTooLarge { claimed: 0 },
        FrameError::MessageTooLarge { claimed: 0, limit: 0 },
        FrameError::TooManyFrames { limit: 0 },
    ];
    let names: std::collections::BTreeSet<_> = errors.iter().map(FrameError::counter).collect();
    assert_eq!(names.len(), errors.len());
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let body = || {
        prop_oneof![8 => 0..20_usize, 2 => 250..260_usize, 1 => 0..70_000_usize]
            .prop_flat_map(|length| any::<u8>().prop_map(move |byte| vec![byte; length]))
    };
    let frames = prop_oneof![9 => 1..4_usize, 1 => 1..100_usize];
    let message = frames.prop_flat_map(move |n| proptest::collection::vec(body(), n)).prop_map(Item::Message);
    let command = proptest::collection::vec(any::<u8>(), 0..300).prop_map(Item::Command);
    proptest::collection::vec(prop_oneof![4 => message, 1 => command], 0..12)
}

fn encode(items: &[Item]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        match item {
            Item::Message(frames) => put_message(&mut bytes, frames),
            Item::Command(body) => {
                put_command_header(&mut bytes, body.len());
                bytes.extend_from_slice(body);
            }
        }
    }
    bytes
}

fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn whatever_is_encoded_decodes_the_same_however_it_is_cut(
        items in items(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let bytes = encode(&items);
        let got = feed(&mut Decoder::new(Limits::default()), cut(&bytes, &cuts));
        prop_assert_eq!(got, (items, vec![], Ok(())));
    }

    #[test]
    fn a_prefix_gives_the_items_that_are_whole_and_waits_for_the_rest(
        items in items(),
        end in any::<prop::sample::Index>(),
    ) {
        let bytes = encode(&items);
        let (got, _, result) = feed(&mut Decoder::new(Limits::default()), [&bytes[..end.index(bytes.len() + 1)]]);
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(got.as_slice(), &items[..got.len()]);
    }

    #[test]
    fn arbitrary_bytes_decode_the_same_however_they_are_cut(
        bytes in proptest::collection::vec(prop_oneof![3 => 0..8_u8, 1 => any::<u8>()], 0..400),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let (whole, _, result) = feed(&mut small(), [bytes.as_slice()]);
        let (pieces, _, result_of_pieces) = feed(&mut small(), cut(&bytes, &cuts));
        prop_assert_eq!((whole, result), (pieces, result_of_pieces));
    }
}
