use super::*;
use crate::net::memory::MemoryNetwork;
use crate::net::outbox::{Head, Refused};
use crate::net::request::Request;
use crate::net::transport::Listener;
use crate::proto::sequence::Inbound;
use crate::wire::{self, Command, HelloFields};
use crate::zmtp::{
    Decoder, Handshake, Identities, Limits, Mechanism, Role, Status, Step as Decoded, put_error, put_frame,
    put_ping,
};
use crate::{LinkLimit, Overflow};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const ROOMY: LinkLimit = LinkLimit { messages: usize::MAX, bytes: usize::MAX };

/// The ROUTER at the other end, as raw as it gets.
struct Peer {
    stream: Stream,
    buffer: BytesMut,
    decoder: Decoder,
}

impl Peer {
    async fn accept(listener: &Listener) -> Self {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("a connection").unwrap();
        let mut handshake = Handshake::new(Role::Router { accept: Identities::Nodes }, Mechanism::Null);
        let mut peer = Self { stream, buffer: BytesMut::new(), decoder: Decoder::new(Limits::default()) };
        loop {
            peer.send(&handshake.take_output()).await;
            let (consumed, status) = handshake.receive(&peer.buffer).unwrap();
            peer.buffer.advance(consumed);
            if let Status::Done(them) = status {
                assert_eq!(them.identity, [&[1][..], &[9; 16]].concat());
                return peer;
            }
            assert!(peer.read().await, "closed in the handshake");
        }
    }

    async fn send(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.stream.try_write_vectored(&[IoSlice::new(bytes)]) {
                Ok(written) => bytes = &bytes[written..],
                Err(_) => self.stream.writable().await.unwrap(),
            }
        }
    }

    /// `false` at the end.
    async fn read(&mut self) -> bool {
        loop {
            timeout(PATIENCE, self.stream.readable()).await.expect("something to read").unwrap();
            self.buffer.reserve(64 * 1024);
            match self.stream.try_read_buf(&mut self.buffer) {
                Ok(count) => return count > 0,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
    }

    /// The frames of the next message, or the body of a command as its only frame; `None` at the end.
    async fn raw(&mut self) -> Option<Vec<Vec<u8>>> {
        loop {
            let (frames, consumed) = match self.decoder.next(&self.buffer).unwrap() {
                Decoded::Message(message) => {
                    (Some(message.frames().map(<[u8]>::to_vec).collect()), message.consumed())
                }
                Decoded::Command { body, consumed } => (Some(vec![body.to_vec()]), consumed),
                Decoded::NeedMore { .. } => (None, 0),
            };
            self.buffer.advance(consumed);
            if frames.is_some() {
                return frames;
            }
            if !self.read().await {
                return None;
            }
        }
    }

    async fn next(&mut self) -> (wire::Decoded, Vec<Vec<u8>>) {
        let mut frames = VecDeque::from(self.raw().await.expect("a message"));
        (wire::decode(&frames.pop_front().unwrap()).unwrap(), frames.into())
    }

    async fn hello(&mut self) -> wire::Hello {
        match self.next().await.0 {
            wire::Decoded { sequence: 1, command: Command::Hello(hello) } => hello,
            other => panic!("{other:?}"),
        }
    }
}

/// A link under test and the two ends of its world.
struct World {
    listener: Listener,
    outbox: Arc<Outbox>,
    news: mpsc::Receiver<Request>,
    counters: Arc<Counters>,
    task: Option<LinkTask>,
}

impl World {
    async fn new(near: Transport, far: Transport, bind: &str, limit: LinkLimit, policy: Overflow) -> Self {
        let listener = far.bind(bind.parse().unwrap()).await.unwrap();
        let hello = Arc::new(HelloFields { name: b"us".to_vec(), ..Default::default() });
        let outbox = Outbox::new(Arc::default(), hello, limit, policy);
        let (driver, news) = mpsc::channel(16);
        let counters = Arc::new(Counters::default());
        let context = Arc::new(LinkContext {
            id: PeerId::from_bytes([9; 16]),
            advertised: None,
            mailbox_port: 4711,
            addresses: Arc::default(),
            transport: near,
            security: Security::Open,
            driver: Driver(driver),
            counters: counters.clone(),
        });
        let address = listener.local_addr().unwrap();
        let task = Some(LinkTask { link: LinkId(7), address, key: None, outbox: outbox.clone(), context });
        Self { listener, outbox, news, counters, task }
    }

    async fn tcp() -> Self {
        Self::new(Transport::System, Transport::System, "127.0.0.1:0", ROOMY, Overflow::DropNewest).await
    }

    async fn memory(limit: LinkLimit, policy: Overflow) -> Self {
        let network = MemoryNetwork::new();
        let [near, far] = [network.attach(), network.attach()].map(Transport::Memory);
        Self::new(near, far, "10.0.0.2:80", limit, policy).await
    }

    async fn both() -> [Self; 2] {
        [Self::tcp().await, Self::memory(ROOMY, Overflow::DropNewest).await]
    }

    fn start(&mut self) -> JoinHandle<()> {
        tokio::spawn(run(self.task.take().unwrap()))
    }

    async fn news(&mut self) -> Input {
        match timeout(PATIENCE, self.news.recv()).await.expect("news").expect("a living link") {
            Request::Tell(input) => input,
            other => panic!("{other:?}"),
        }
    }

    /// Starts the link and lets the peer take its HELLO.
    async fn up(&mut self) -> (Peer, JoinHandle<()>) {
        let task = self.start();
        let mut peer = Peer::accept(&self.listener).await;
        assert!(matches!(self.news().await, Input::LinkUp { link: LinkId(7) }));
        peer.hello().await;
        (peer, task)
    }

    fn whisper(&self, content: impl ToString) {
        self.outbox.send_content(Head::Whisper, &[content.to_string().into()]).unwrap();
    }

    fn counted(&self, name: &str) -> u64 {
        self.counters.snapshot().get(name).copied().unwrap_or(0)
    }
}

async fn joined(task: JoinHandle<()>) {
    timeout(PATIENCE, task).await.expect("the link ends").unwrap();
}

#[tokio::test]
async fn hello_comes_first_and_says_where_this_connection_comes_from() {
    for (mut world, endpoint) in World::both().await.into_iter().zip(["127.0.0.1", "10.0.0.1"]) {
        world.whisper("queued before the connection");
        let task = world.start();
        let mut peer = Peer::accept(&world.listener).await;
        let hello = peer.hello().await;
        assert_eq!(hello.endpoint, format!("tcp://{endpoint}:4711").into_bytes());
        assert_eq!(hello.name, b"us");
        let (head, frames) = peer.next().await;
        assert_eq!((head.sequence, frames), (2, vec![b"queued before the connection".to_vec()]));
        assert!(world.outbox.flushed().await);
        world.outbox.close();
        joined(task).await;
        assert!(peer.raw().await.is_none());
        assert!(!world.outbox.flushed().await || world.outbox.unsent() == 0);
    }
}

#[tokio::test]
async fn large_and_many_frames_arrive_whole() {
    for mut world in World::both().await {
        let (mut peer, _task) = world.up().await;
        let large = Bytes::from((0..10_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
        let sizes = [0, 1, 255, 256, 4_096, 4_097, 100_000];
        let many: Vec<Bytes> = sizes.iter().cycle().take(200).map(|size| large.slice(..*size)).collect();
        world.outbox.send_content(Head::Whisper, std::slice::from_ref(&large)).unwrap();
        world.outbox.send_content(Head::Whisper, &many).unwrap();
        assert!(peer.next().await.1 == [large.to_vec()]);
        assert!(peer.next().await.1 == many);
        assert!(world.outbox.flushed().await);
    }
}

#[tokio::test]
async fn two_hundred_thousand_messages_pass_an_unknown_wrap_with_hellos_and_no_loss() {
    for mut world in World::both().await {
        let (mut peer, _task) = world.up().await;
        world.outbox.send_control(
            &Command::Join { group: "G".try_into().unwrap(), status: 1 },
            Some(Arc::new(HelloFields {
                groups: vec!["G".try_into().unwrap()],
                status: 1,
                ..Default::default()
            })),
        );
        (0..200_000).for_each(|n| world.whisper(n));
        let (mut inbound, mut expected, mut hellos) = (Inbound::after_hello(), 0, 0);
        while expected < 200_000 {
            let (head, frames) = peer.next().await;
            if let Command::Hello(hello) = head.command {
                assert_eq!((head.sequence, hello.status, hello.groups.len()), (1, 1, 1));
                assert!(hello.endpoint.ends_with(b":4711"));
                inbound = Inbound::after_hello();
                hellos += 1;
                continue;
            }
            inbound.check(head.sequence).unwrap();
            if head.command == Command::Whisper {
                assert_eq!(frames, [expected.to_string().into_bytes()]);
                expected += 1;
            }
        }
        assert_eq!((hellos, world.counted("hello_in_stream")), (3, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn the_hello_at_the_wrap_waits_for_a_quiet_peer_but_not_for_ever() {
    let mut world = World::memory(ROOMY, Overflow::DropNewest).await;
    let (mut peer, _task) = world.up().await;
    (0..65_534).for_each(|n| world.whisper(n));
    for _ in 0..65_533 {
        peer.next().await;
    }
    let began = Instant::now();
    let outbox = world.outbox.clone();
    let chatter = tokio::spawn(async move {
        loop {
            outbox.line().note_read();
            sleep(Duration::from_millis(2)).await;
        }
    });
    peer.hello().await;
    let waited = began.elapsed();
    chatter.abort();
    assert!((MAX_HOLD..MAX_HOLD + Duration::from_millis(20)).contains(&waited), "{waited:?}");
    assert_eq!(peer.next().await.0.sequence, 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_link_reports_waits_and_keeps_its_queue_for_the_next_try() {
    let mut world = World::memory(ROOMY, Overflow::DropNewest).await;
    let address = world.listener.local_addr().unwrap();
    let network = MemoryNetwork::new();
    let elsewhere = Transport::Memory(network.attach()).bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
    let listener = std::mem::replace(&mut world.listener, elsewhere);
    let silent = listener;
    world.whisper("kept");
    let task = world.start();
    // Nobody greets: the handshake's deadline.
    assert!(matches!(world.news().await, Input::LinkFailed { link: LinkId(7), refused: false }));
    assert_eq!(world.counted("link_timeout"), 1);
    // Nobody listens.
    drop(silent);
    world.outbox.retry();
    assert!(matches!(world.news().await, Input::LinkFailed { refused: true, .. }));
    assert_eq!(world.counted("link_refused"), 1);
    sleep(Duration::from_secs(60)).await;
    assert!(world.news.try_recv().is_err(), "no try without being told");
    assert!(!task.is_finished());
    world.outbox.close();
    joined(task).await;
    assert_eq!((world.outbox.unsent(), world.counted("messages_unsent")), (1, 1));
    assert_eq!(address.port(), 80);
}

#[tokio::test]
async fn a_retry_delivers_what_was_queued_for_the_first_try() {
    for mut world in World::both().await {
        world.whisper("kept");
        let _task = world.start();
        let (stranger, _) = world.listener.accept().await.unwrap();
        drop(stranger);
        assert!(matches!(world.news().await, Input::LinkFailed { refused: false, .. }));
        world.outbox.retry();
        let mut peer = Peer::accept(&world.listener).await;
        peer.hello().await;
        assert_eq!(peer.next().await.1, [b"kept"]);
    }
}

#[tokio::test]
async fn a_lost_link_says_so_once_and_counts_what_it_has_not_sent() {
    for mut world in World::both().await {
        let (peer, task) = world.up().await;
        drop(peer);
        assert!(matches!(world.news().await, Input::LinkLost { link: LinkId(7), cause: LinkLoss::Closed }));
        joined(task).await;
        assert!(world.news.recv().await.is_none());
        let refused = world.outbox.send_content(Head::Whisper, &["x".into()]);
        assert_eq!((refused, world.counted("messages_unsent")), (Err(Refused::Closed), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_fills_its_link_exactly_to_the_limit() {
    let limit = LinkLimit { messages: 100, bytes: usize::MAX };
    let frames = [Bytes::from(vec![0; 1_000])];
    for policy in [Overflow::DropNewest, Overflow::Disconnect, Overflow::DropOldest] {
        let mut world = World::memory(limit, policy).await;
        let (mut peer, task) = world.up().await;
        let (mut accepted, mut refused) = (0, None);
        for _ in 0..1_000 {
            // Let the writer fill the pipe each time, so that the result does not depend on timing.
            sleep(Duration::from_millis(1)).await;
            match world.outbox.send_content(Head::Whisper, &frames) {
                Ok(()) => accepted += 1,
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let stats = world.outbox.stats();
        match policy {
            Overflow::DropNewest => {
                assert_eq!((refused, stats.queued_messages), (Some(Refused::Full), 100));
                world.outbox.close();
                joined(task).await;
                let sent = accepted - world.outbox.unsent();
                for _ in 0..sent {
                    assert_eq!(peer.next().await.1, frames);
                }
                assert!(peer.raw().await.is_none(), "what is counted unsent has not been sent whole");
            }
            Overflow::Disconnect => {
                assert_eq!(refused, Some(Refused::Cut));
                assert!(matches!(world.news().await, Input::LinkLost { cause: LinkLoss::Full, .. }));
                joined(task).await;
                assert_eq!(world.counted("messages_unsent"), 100);
            }
            _ => {
                assert_eq!((refused, accepted), (None, 1_000));
                assert_eq!(stats.sent_messages + stats.queued_messages + stats.dropped, 1_000);
                assert!(stats.dropped > 0);
                let mut inbound = Inbound::after_hello();
                for _ in 0..1_000 - stats.dropped {
                    inbound.check(peer.next().await.0.sequence).unwrap();
                }
                assert!(world.outbox.flushed().await);
            }
        }
    }
}

#[tokio::test]
async fn a_ping_is_answered_and_whatever_else_a_router_sends_is_passed_over() {
    for mut world in World::both().await {
        let (mut peer, task) = world.up().await;
        let mut bytes = Vec::new();
        put_frame(&mut bytes, &vec![0; 300_000], true);
        put_frame(&mut bytes, b"", false);
        put_ping(&mut bytes, 10);
        peer.send(&bytes).await;
        assert_eq!(peer.raw().await.unwrap(), [b"\x04PONG"]);
        assert_eq!(world.counted("link_message_ignored"), 2);
        let mut bytes = Vec::new();
        put_error(&mut bytes, "enough");
        peer.send(&bytes).await;
        assert!(matches!(world.news().await, Input::LinkLost { cause: LinkLoss::Closed, .. }));
        assert_eq!(world.counted("link_error_command"), 1);
        joined(task).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_link_is_small_and_keeps_no_buffer() {
    let mut world = World::memory(ROOMY, Overflow::DropNewest).await;
    let (mut peer, _task) = world.up().await;
    (0..10_000).for_each(|n| world.whisper(n));
    for _ in 0..10_000 {
        peer.next().await;
    }
    assert!(world.outbox.has_memory());
    world.outbox.relax();
    world.outbox.relax();
    assert!(!world.outbox.has_memory());
    world.whisper("awake again");
    assert_eq!(peer.next().await.1, [b"awake again"]);

    let world = World::memory(ROOMY, Overflow::DropNewest).await;
    let future = run(world.task.unwrap());
    let (future, outbox) = (size_of_val(&future), size_of::<Outbox>());
    println!("future {future}, outbox {outbox}");
    assert!(future <= 1_024, "{future}");
    assert!(future + outbox <= 1_536, "{future} + {outbox}");
}
