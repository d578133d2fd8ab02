use super::*;
use crate::GroupName;
use crate::proto::sequence::Inbound;
use crate::wire;
use crate::zmtp::{Decoder, Limits, Step as Decoded, put_message};
use std::io::IoSlice;

const ROOMY: LinkLimit = LinkLimit { messages: usize::MAX, bytes: usize::MAX };
const WRAP: usize = 65_534;

fn outbox(limit: LinkLimit, policy: Overflow) -> Arc<Outbox> {
    Outbox::new(Arc::default(), Arc::default(), limit, policy)
}

fn few(messages: usize) -> LinkLimit {
    LinkLimit { messages, bytes: usize::MAX }
}

fn whisper(outbox: &Outbox, content: impl ToString) -> Result<(), Refused> {
    outbox.send_content(Head::Whisper, &[content.to_string().into()])
}

fn join(name: &str, status: u8) -> Command {
    Command::Join { group: name.try_into().unwrap(), status }
}

/// What a HELLO says in these groups.
fn hello(names: &[&str]) -> Arc<HelloFields> {
    let groups = names.iter().map(|name| GroupName::try_from(*name).unwrap()).collect();
    Arc::new(HelloFields { groups, status: names.len() as u8, ..Default::default() })
}

/// Moves the writer on by `written` bytes, as a socket would.
fn write(chunk: &mut Chunk, mut written: usize, wire: &mut Vec<u8>) {
    while written > 0 && !chunk.is_written() {
        let mut slices = [IoSlice::new(&[]); 3];
        let count = chunk.slices(&mut slices);
        let mut taken = 0;
        for slice in &slices[..count] {
            let part = slice.len().min(written - taken);
            wire.extend_from_slice(&slice[..part]);
            taken += part;
        }
        assert!(taken > 0, "an unwritten chunk has slices");
        chunk.advance(taken);
        written -= taken;
    }
}

/// Writes all there is; tells why it stopped.
fn drain(outbox: &Outbox, wire: &mut Vec<u8>) -> Step {
    let mut chunk = Chunk::default();
    loop {
        match outbox.next(&mut chunk) {
            Step::Write => write(&mut chunk, usize::MAX, wire),
            step => return step,
        }
    }
}

/// The messages on the wire: first frame decoded, content frames.
fn messages(mut wire: &[u8]) -> Vec<(wire::Decoded, Vec<Vec<u8>>)> {
    let mut decoder = Decoder::new(Limits::default());
    let mut messages = Vec::new();
    while !wire.is_empty() {
        let Decoded::Message(message) = decoder.next(wire).unwrap() else { panic!("a partial message") };
        let mut frames = message.frames();
        let head = wire::decode(frames.next().unwrap()).unwrap();
        messages.push((head, frames.map(<[u8]>::to_vec).collect()));
        wire = &wire[message.consumed()..];
    }
    messages
}

fn texts(wire: &[u8]) -> Vec<String> {
    let content = messages(wire).into_iter().filter(|(_, frames)| !frames.is_empty());
    content.map(|(_, frames)| String::from_utf8(frames.concat()).unwrap()).collect()
}

fn numbers(range: impl Iterator<Item = usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn join_and_content_leave_in_the_order_of_queueing_numbered_from_2() {
    for policy in [Overflow::DropNewest, Overflow::DropOldest] {
        let outbox = outbox(ROOMY, policy);
        let group = GroupName::try_from("G").unwrap();
        whisper(&outbox, "a").unwrap();
        outbox.send_control(&join("G", 1), None);
        outbox.send_content(Head::Shout(&group), &["b".into(), "".into(), "c".into()]).unwrap();
        outbox.send_control(&Command::Ping, None);
        let mut wire = Vec::new();
        assert_eq!(drain(&outbox, &mut wire), Step::Idle);
        let expected = [
            (Command::Whisper, vec![b"a".to_vec()]),
            (join("G", 1), vec![]),
            (Command::Shout { group }, vec![b"b".to_vec(), vec![], b"c".to_vec()]),
            (Command::Ping, vec![]),
        ];
        let expected = expected
            .into_iter()
            .zip(2..)
            .map(|((command, frames), sequence)| (wire::Decoded { sequence, command }, frames));
        assert_eq!(messages(&wire), expected.collect::<Vec<_>>(), "{policy:?}");
    }
}

#[test]
fn the_wire_is_the_same_wherever_writing_stops_and_counts_what_has_left_whole() {
    let frames =
        [Bytes::from(vec![1; 5_000]), Bytes::new(), Bytes::from(vec![2; 300]), vec![3; 4_097].into()];
    let group = GroupName::try_from("g".repeat(255).as_str()).unwrap();
    let mut expected = Vec::new();
    let mut ends = Vec::new();
    let reference = |out: &mut Vec<u8>, head: &[u8], frames: &[Bytes]| {
        let all: Vec<&[u8]> = [head].into_iter().chain(frames.iter().map(|frame| &frame[..])).collect();
        put_message(out, &all);
    };
    let outbox = outbox(ROOMY, Overflow::DropNewest);
    outbox.send_content(Head::Whisper, &frames).unwrap();
    outbox.send_control(&Command::Ping, None);
    outbox.send_content(Head::Shout(&group), &frames[..1]).unwrap();
    whisper(&outbox, "end").unwrap();
    let head = |command: Command, sequence| {
        let mut head = Vec::new();
        command.encode(sequence, &mut head);
        head
    };
    reference(&mut expected, &head(Command::Whisper, 2), &frames);
    ends.push(expected.len());
    reference(&mut expected, &head(Command::Ping, 3), &[]);
    reference(&mut expected, &head(Command::Shout { group }, 4), &frames[..1]);
    ends.push(expected.len());
    reference(&mut expected, &head(Command::Whisper, 5), &["end".into()]);
    ends.push(expected.len());

    let (mut chunk, mut wire) = (Chunk::default(), Vec::new());
    assert_eq!(outbox.next(&mut chunk), Step::Write);
    assert_eq!(outbox.stats().queued_bytes, expected.len() as u64);
    while !chunk.is_written() {
        write(&mut chunk, 7, &mut wire);
        let whole = ends.iter().filter(|end| **end <= wire.len()).count() as u64;
        assert_eq!(chunk.content_written(), whole, "after {} bytes", wire.len());
    }
    assert_eq!(wire, expected);
}

#[test]
fn both_known_flavours_pass_the_wrap_without_a_gap() {
    for flavour in [Flavour::Uint16, Flavour::Mod65535] {
        for count in [70_000, 200_000] {
            let outbox = outbox(ROOMY, Overflow::DropNewest);
            outbox.line().learn(flavour);
            (0..count).for_each(|number| whisper(&outbox, number).unwrap());
            let mut wire = Vec::new();
            assert_eq!(drain(&outbox, &mut wire), Step::Idle);
            let mut inbound = Inbound::after_hello();
            for (head, _) in messages(&wire) {
                inbound.check(head.sequence).unwrap();
            }
            assert_eq!(inbound.flavour, flavour);
            assert_eq!(texts(&wire), numbers(0..count));
        }
    }
}

#[test]
fn an_unknown_wrap_is_passed_with_a_hello_that_says_what_the_stream_said_before_it() {
    for policy in [Overflow::DropNewest, Overflow::DropOldest] {
        let outbox = outbox(ROOMY, policy);
        outbox.send_control(&join("early", 1), Some(hello(&["early"])));
        // The JOIN is 2, so this is one more than there are numbers for.
        (0..WRAP - 1).for_each(|number| whisper(&outbox, number).unwrap());
        outbox.send_control(&join("late", 2), Some(hello(&["early", "late"])));
        whisper(&outbox, "after").unwrap();
        let mut wire = Vec::new();
        assert_eq!(drain(&outbox, &mut wire), Step::Held);
        assert_eq!(messages(&wire).last().unwrap().0.sequence, WRAP as u16);
        assert_eq!(texts(&wire), numbers(0..WRAP - 2));

        wire.clear();
        assert_eq!(outbox.release(), Ok(true));
        assert_eq!(drain(&outbox, &mut wire), Step::Idle);
        let after = messages(&wire);
        let [(first, _), (last_number, _), (late, _), (last, _)] = &after[..] else { panic!("{after:?}") };
        let Command::Hello(said) = &first.command else { panic!("{first:?}") };
        assert_eq!((first.sequence, &said.groups, said.status), (1, &hello(&["early"]).groups, 1));
        assert_eq!((last_number.sequence, late.sequence, last.sequence), (2, 3, 4));
        assert_eq!(late.command, join("late", 2));
        assert_eq!(texts(&wire), [(WRAP - 2).to_string(), "after".to_owned()]);
    }
}

#[test]
fn a_wrap_that_becomes_known_in_the_hold_needs_no_hello() {
    let outbox = outbox(ROOMY, Overflow::DropNewest);
    (0..WRAP).for_each(|number| whisper(&outbox, number).unwrap());
    let mut wire = Vec::new();
    assert_eq!(drain(&outbox, &mut wire), Step::Held);
    wire.clear();
    outbox.line().learn(Flavour::Mod65535);
    assert_eq!(outbox.release(), Ok(false));
    assert_eq!(drain(&outbox, &mut wire), Step::Idle);
    assert_eq!(messages(&wire)[0].0.sequence, 0);
}

#[test]
fn drop_newest_takes_exactly_the_limit_and_again_when_something_has_left() {
    let outbox = outbox(few(10), Overflow::DropNewest);
    (0..10).for_each(|number| whisper(&outbox, number).unwrap());
    assert_eq!(whisper(&outbox, 10), Err(Refused::Full));
    // Being written is still waiting.
    let mut chunk = Chunk::default();
    assert_eq!(outbox.next(&mut chunk), Step::Write);
    assert_eq!(whisper(&outbox, 10), Err(Refused::Full));
    let mut wire = Vec::new();
    write(&mut chunk, usize::MAX, &mut wire);
    assert_eq!(outbox.next(&mut chunk), Step::Idle);
    whisper(&outbox, 11).unwrap();
    drain(&outbox, &mut wire);
    assert_eq!(texts(&wire), numbers((0..10).chain([11])));
}

#[test]
fn drop_oldest_keeps_the_newest_and_every_control_message() {
    let outbox = outbox(few(10), Overflow::DropOldest);
    for number in 0..100 {
        whisper(&outbox, number).unwrap();
        if number % 10 == 0 {
            outbox.send_control(&Command::Ping, None);
        }
    }
    assert_eq!((outbox.stats().dropped, outbox.stats().queued_messages), (90, 10));
    let mut wire = Vec::new();
    drain(&outbox, &mut wire);
    assert_eq!(texts(&wire), numbers(90..100));
    let all = messages(&wire);
    assert_eq!(all.iter().filter(|(head, _)| head.command == Command::Ping).count(), 10);
    assert!(all.iter().zip(2..).all(|((head, _), number)| head.sequence == number), "no gap: {all:?}");
    assert_eq!((outbox.stats().sent_messages, outbox.unsent()), (10, 0));
}

#[test]
fn disconnect_cuts_at_the_first_message_too_many_and_keeps_nothing() {
    let outbox = outbox(few(10), Overflow::Disconnect);
    (0..10).for_each(|number| whisper(&outbox, number).unwrap());
    assert_eq!(whisper(&outbox, 10), Err(Refused::Cut));
    assert_eq!(whisper(&outbox, 11), Err(Refused::Closed));
    outbox.send_control(&Command::Ping, None);
    assert_eq!(drain(&outbox, &mut Vec::new()), Step::Ended { full: true });
    let memory = outbox.lock().memory();
    assert_eq!((outbox.unsent(), memory, outbox.stats().queued_bytes), (10, 0, 0));
}

#[tokio::test]
async fn a_sender_that_waits_goes_on_once_its_message_fits_and_when_the_link_ends() {
    let outbox = outbox(LinkLimit { messages: 100, bytes: 1_000 }, Overflow::Block(Duration::from_secs(1)));
    let frames = [Bytes::from(vec![0; 600])];
    outbox.send_content(Head::Whisper, &frames).unwrap();
    assert_eq!(outbox.send_content(Head::Whisper, &frames), Err(Refused::Full));
    whisper(&outbox, "small").expect("there is space for less");
    let waiting = tokio::spawn({
        let (outbox, frames) = (outbox.clone(), frames.clone());
        async move {
            outbox.wait_for_space(Head::Whisper, &frames).await;
            outbox.send_content(Head::Whisper, &frames)
        }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    let mut wire = Vec::new();
    drain(&outbox, &mut wire);
    assert_eq!(waiting.await.unwrap(), Ok(()));
    let ending = outbox.wait_for_space(Head::Whisper, &frames);
    outbox.close();
    ending.await;
    assert_eq!(outbox.send_content(Head::Whisper, &frames), Err(Refused::Closed));
}

#[test]
fn one_message_of_any_size_is_taken_on_an_empty_link_only() {
    for policy in [Overflow::DropNewest, Overflow::Block(Duration::ZERO)] {
        let outbox = outbox(LinkLimit { messages: 10, bytes: 100 }, policy);
        let large = [Bytes::from(vec![7; 1_000])];
        outbox.send_content(Head::Whisper, &large).unwrap();
        assert_eq!(outbox.send_content(Head::Whisper, &large), Err(Refused::Full));
        assert_eq!(whisper(&outbox, "x"), Err(Refused::Full));
        drain(&outbox, &mut Vec::new());
        whisper(&outbox, "x").unwrap();
        assert_eq!(outbox.send_content(Head::Whisper, &large), Err(Refused::Full));
    }
}

#[test]
fn a_full_link_holds_little_more_than_its_limit_and_an_idle_one_nothing() {
    let outbox = outbox(LinkLimit { messages: usize::MAX, bytes: 8 << 20 }, Overflow::DropNewest);
    while outbox.send_content(Head::Whisper, &[Bytes::from_static(&[0; 1_000])]).is_ok() {}
    let memory = outbox.lock().memory();
    assert!((8 << 20..9 << 20).contains(&memory), "{memory}");
    let mut wire = Vec::new();
    drain(&outbox, &mut wire);
    outbox.relax();
    assert!(outbox.has_memory(), "it was in use a moment ago");
    outbox.relax();
    assert_eq!(outbox.lock().memory(), 0);
    assert!(!outbox.has_memory());
    assert_eq!(outbox.stats().sent_bytes, wire.len() as u64);
}

#[test]
fn a_peer_that_makes_us_answer_without_end_and_does_not_read_is_cut() {
    let outbox = outbox(ROOMY, Overflow::DropNewest);
    (0..10_000).for_each(|_| outbox.send_control(&Command::PingOk, None));
    assert_eq!(outbox.ended(), None);
    outbox.send_control(&Command::PingOk, None);
    assert_eq!(outbox.ended(), Some(true));
}

#[test]
fn messages_of_several_threads_keep_the_order_of_each() {
    let outbox = outbox(ROOMY, Overflow::DropNewest);
    outbox.line().learn(Flavour::Uint16);
    let mut wire = Vec::new();
    std::thread::scope(|scope| {
        let threads = [0_usize, 1].map(|thread| {
            let outbox = &outbox;
            scope.spawn(move || (0..50_000).for_each(|n| whisper(outbox, n * 2 + thread).unwrap()))
        });
        while !threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            drain(&outbox, &mut wire);
        }
    });
    drain(&outbox, &mut wire);
    let all: Vec<usize> = texts(&wire).iter().map(|text| text.parse().unwrap()).collect();
    for thread in [0, 1] {
        assert!(all.iter().filter(|n| *n % 2 == thread).copied().eq((0..50_000).map(|n| n * 2 + thread)));
    }
}

#[test]
fn a_chunk_is_sealed_frame_by_frame_and_a_broken_link_knows_what_it_has_sent() {
    let boxes = [(); 2].map(|()| outbox(ROOMY, Overflow::DropNewest));
    for outbox in &boxes {
        for size in [0, 5, 300, 4_096, 4_097, 20_000, 1] {
            outbox.send_content(Head::Whisper, &[vec![7; size].into(), vec![8; size / 3].into()]).unwrap();
        }
        outbox.send_control(&Command::Ping, None);
    }
    let (plain, sealed) = (&boxes[0], &boxes[1]);
    let (mut wire, mut chunk) = (Vec::new(), Chunk::default());
    drain(plain, &mut wire);
    for batch in [1, 1_000, usize::MAX] {
        let (mut us, mut them) = crate::zmtp::curve::tests::joined();
        let (mut chunk, mut all) = (sealed.lock().copy_of_open(), Vec::new());
        while !chunk.is_written() {
            let mut out = Vec::new();
            chunk.seal(&mut us.sealer, &mut out, batch).unwrap();
            chunk.advance_sealed(out.len());
            all.extend(out);
        }
        let mut opened = bytes::BytesMut::new();
        them.opener.open_frames(&all, &mut opened, 1 << 20).unwrap();
        assert!(opened == wire, "batches of {batch}");
    }
    // All but the last byte of the third message have gone.
    sealed.next(&mut chunk);
    let third: usize = [6, 0, 0, 6, 5, 1, 6, 300, 100].into_iter().map(crate::zmtp::curve::sealed_size).sum();
    chunk.advance_sealed(third - 1);
    sealed.abandon(&mut chunk);
    assert_eq!(sealed.unsent(), 5);
}

#[tokio::test]
async fn the_age_of_the_oldest_message_is_known_while_it_waits() {
    tokio::time::pause();
    let outbox = outbox(ROOMY, Overflow::DropNewest);
    whisper(&outbox, "old").unwrap();
    tokio::time::advance(Duration::from_secs(3)).await;
    whisper(&outbox, "new").unwrap();
    assert_eq!(outbox.stats().oldest, Some(Duration::from_secs(3)));
    let mut chunk = Chunk::default();
    outbox.next(&mut chunk);
    assert_eq!(outbox.stats().oldest, Some(Duration::from_secs(3)));
    outbox.next(&mut chunk);
    assert_eq!(outbox.stats().oldest, None);
}

#[test]
fn of_a_flood_of_pings_those_that_get_no_answer_are_told() {
    let outbox = outbox(ROOMY, Overflow::DropNewest);
    let answers = (0..20).map(|_| outbox.answer(b"\x04PING\0\0").unwrap().1);
    assert_eq!(answers.filter(|bytes| *bytes == 0).count(), 20 - 16);
}
