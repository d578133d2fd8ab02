//! The main job in one process, on whatever network there is: nodes find each other, join groups, shout, whisper
//! and work off a dealer's JSON requests. One of the workers is no node of ours but speaks pyre's bytes by hand
//! (`raw_peer.rs`). Exit code 0 means that everything happened; it takes some two seconds.

mod raw_peer;

use clap::Parser;
use raw_peer::RawPeer;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zyre_examples::{Failure, rpc, work::WorkList};
use zyre_rs::{Event, Events, Node, printable};

const GROUP: &str = "demo";
const POOL: &str = "pool/calc";
const WORKERS: [&str; 3] = ["worker-1", "worker-2", "worker-3"];
const RAW_PEER: &str = "pyre-like";
const REQUESTS: usize = 12;
/// For every step. Discovery takes milliseconds; a second beacon after a lost one comes after 1 s.
const PATIENCE: Duration = Duration::from_secs(5);

/// Several nodes meet, talk and work together; then a summary.
#[derive(Parser)]
struct Cli {
    /// Network interface (default: all there are, or loopback)
    #[arg(long)]
    interface: Option<String>,
    /// UDP port of the beacons (default: a free one, so that nobody on the network is disturbed)
    #[arg(long)]
    port: Option<u16>,
}

/// Something a member of the cast did.
struct Line {
    who: String,
    kind: Kind,
    text: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Meet,
    Hear,
    Answer,
    Part,
}

impl Line {
    fn new(who: &str, kind: Kind, text: impl Into<String>) -> Self {
        Self { who: who.to_owned(), kind, text: text.into() }
    }

    fn answered(who: &str, request: &[u8], answer: &str) -> Self {
        let request: Value = serde_json::from_slice(request).unwrap_or_default();
        let (id, params) = (request.get("id").and_then(Value::as_str).unwrap_or("?"), request.get("params"));
        let operand = |name| params.and_then(|params| params.get(name)).unwrap_or(&Value::Null).to_string();
        let answer: Value = serde_json::from_str(answer).unwrap_or_default();
        let result = answer.get("result").unwrap_or(&Value::Null);
        Self::new(
            who,
            Kind::Answer,
            format!("answers request {id}: {} + {} = {result}", operand("a"), operand("b")),
        )
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    let began = Instant::now();
    let summary = story(&cli).await?;
    println!("\nSummary");
    summary.iter().for_each(|line| println!("  ok  {line}"));
    println!("Everything worked, in {:.1} s.", began.elapsed().as_secs_f64());
    Ok(())
}

async fn story(cli: &Cli) -> Result<Vec<String>, Failure> {
    let port = match cli.port {
        Some(port) => port,
        None => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port(),
    };
    let start = async |name: &str, role: &str| {
        let builder = Node::builder(name).beacon_port(port).header("X-ROLE", role).join(GROUP);
        let builder = if role == "worker" { builder.join(POOL) } else { builder };
        match &cli.interface {
            Some(interface) => builder.interface(interface).start().await,
            None => builder.start().await,
        }
    };
    let (say, lines) = unbounded_channel();
    let mut stage = Stage { lines, heard: Vec::new() };
    let mut summary = Vec::new();

    println!(
        "1. Five nodes and one peer made by hand start and look for each other (beacons on UDP port {port})"
    );
    let began = Instant::now();
    let (listener, events) = start("listener", "listener").await?;
    tokio::spawn(live(listener.clone(), events, say.clone()));
    let mut workers = Vec::new();
    for name in WORKERS {
        let (worker, events) = start(name, "worker").await?;
        tokio::spawn(live(worker.clone(), events, say.clone()));
        workers.push(worker);
    }
    let (coordinator, mut events) = start("coordinator", "dealer").await?;
    let mailbox = coordinator.endpoint().to_string();
    let here: SocketAddrV4 = (mailbox.trim_start_matches("tcp://").parse()).map_err(|_| {
        format!("the demo needs an IPv4 network, and its mailbox is at {mailbox}; try --interface lo")
    })?;
    let raw_peer = RawPeer::start(*here.ip(), port, say.clone()).await?;
    let others = workers.len() + 2;
    for node in workers.iter().chain([&listener, &coordinator]) {
        let all_here = node.wait_until(|now| now.members(GROUP).count() >= others);
        within("every node meets every other and sees it join", all_here).await?;
    }
    let took = began.elapsed();
    stage.until(Kind::Meet, others, "the listener meets the others").await?;
    summary.push(format!(
        "{} peers found each other and joined groups in {} ms",
        others + 1,
        took.as_millis()
    ));

    println!("\n2. The coordinator shouts to the group {GROUP}");
    let reached = coordinator.shout(GROUP, "Good morning, everyone!").await?;
    println!("  coordinator  shouts \"Good morning, everyone!\" to {reached} peers");
    stage.until(Kind::Hear, WORKERS.len() + 1, "the nodes hear the shout").await?;
    summary
        .push(format!("a shout reached {reached} peers, the {} nodes among them said so", WORKERS.len() + 1));

    println!(
        "\n3. It finds the listener by its header X-ROLE and whispers to it; the listener whispers back"
    );
    let now = coordinator.membership();
    let role = now.peers().find(|peer| peer.headers.get("X-ROLE") == Some("listener"));
    let peer = role.ok_or("nobody has the header X-ROLE: listener")?.id;
    coordinator
        .whisper(peer, ["For your ears only", "a second frame"].into_iter().collect::<zyre_rs::Message>())
        .await?;
    stage.until(Kind::Hear, WORKERS.len() + 2, "the listener hears the whisper").await?;
    let mut work = WorkList::new(REQUESTS, WORKERS.len() + 1);
    let reply = within("the listener whispers back", whispered(&mut events, &mut work)).await??;
    println!("  coordinator  hears {reply}");
    summary.push("a whisper of two frames was answered by a whisper".to_owned());

    println!("\n4. The coordinator deals {REQUESTS} JSON requests to the group {POOL}, each worker in turn");
    println!("  for example  {}", rpc::request(1, "calc.add", &json!({"a": 1, "b": 10})));
    within("the workers answer", deal(&coordinator, &mut events, &mut work)).await??;
    stage.until(Kind::Answer, REQUESTS, "the workers say what they did").await?;
    summary.push(work.summary());
    summary.push(format!("one of the workers, {RAW_PEER}, speaks pyre's bytes over plain sockets"));

    println!("\n5. Everybody but the listener says goodbye");
    raw_peer.stop().await?;
    for node in workers.iter().chain([&coordinator]) {
        node.stop().await;
    }
    stage.until(Kind::Part, others, "the listener hears the goodbyes").await?;
    listener.stop().await;
    summary.push(format!("{others} goodbyes were heard"));
    Ok(summary)
}

/// What a member of the cast does with its events.
async fn live(node: Node, mut events: Events, say: UnboundedSender<Line>) {
    let me = node.name();
    let tell = |kind, text: String| _ = say.send(Line::new(me, kind, text));
    let listens = me == "listener";
    while let Some(event) = events.next().await {
        let from = printable(event.name()).into_owned();
        let quote = event.message().and_then(|message| message.text()).map(printable).unwrap_or_default();
        match &event {
            Event::Enter { endpoint, headers, .. } if listens => {
                let role = headers.get("X-ROLE").unwrap_or("none");
                tell(Kind::Meet, format!("meets {from} at {endpoint}, X-ROLE: {}", printable(role)));
            }
            Event::Shout { group, .. } => {
                tell(Kind::Hear, format!("hears {from} shout to {group}: \"{quote}\""))
            }
            Event::Whisper { peer, message, .. } => {
                let request = message.first().map_or(&[][..], |frame| frame);
                let reply = if let Some(answer) = rpc::answer(request) {
                    _ = say.send(Line::answered(me, request, &answer));
                    answer
                } else {
                    tell(Kind::Hear, format!("hears {from} whisper {} frames: \"{quote}\"…", message.len()));
                    format!("Thank you, {from}")
                };
                _ = node.whisper(*peer, reply).await;
            }
            Event::Exit { reason, .. } if listens => {
                tell(Kind::Part, format!("sees {from} leave ({reason})"))
            }
            _ => {}
        }
    }
}

/// Waits for a whisper, noting the workers that come meanwhile.
async fn whispered(events: &mut Events, work: &mut WorkList) -> Result<String, Failure> {
    loop {
        match events.next().await.ok_or("the coordinator has stopped")? {
            Event::Join { peer, name, group } if group == POOL => work.add_worker(peer, &name),
            Event::Whisper { name, message, .. } => {
                let text = message.text().unwrap_or("(not text)");
                return Ok(format!("{} whisper: \"{}\"", printable(&name), printable(text)));
            }
            _ => {}
        }
    }
}

/// The dealer of `bin/dealer.rs` in short: nobody dies here.
async fn deal(node: &Node, events: &mut Events, work: &mut WorkList) -> Result<(), Failure> {
    while !work.is_done() {
        while let Some((id, worker)) = work.deal() {
            node.whisper(worker, rpc::request(id, "calc.add", &json!({"a": id, "b": 10 * id}))).await?;
        }
        match events.next().await.ok_or("the coordinator has stopped")? {
            Event::Join { peer, name, group } if group == POOL => work.add_worker(peer, &name),
            Event::Whisper { peer, name, message } => {
                match message.first().and_then(|frame| rpc::response(frame)) {
                    Some((id, Ok(sum))) if sum == json!(11 * id) => _ = work.answered(peer, id),
                    wrong => return Err(format!("{name} answered wrongly: {wrong:?}").into()),
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Prints what the cast says, in the order it is said.
struct Stage {
    lines: UnboundedReceiver<Line>,
    heard: Vec<Kind>,
}

impl Stage {
    /// Prints until `count` lines of a kind have been said since the beginning.
    async fn until(&mut self, kind: Kind, count: usize, what: &str) -> Result<(), Failure> {
        while self.heard.iter().filter(|known| **known == kind).count() < count {
            let line = within(what, self.lines.recv()).await?.ok_or("nobody is left to speak")?;
            println!("  {:<12} {}", line.who, line.text);
            self.heard.push(line.kind);
        }
        Ok(())
    }
}

async fn within<T>(what: &str, happens: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(PATIENCE, happens).await.map_err(|_| {
        let remedy =
            "does a firewall block UDP broadcast or TCP between processes of this host? try --interface lo";
        format!("NOT SEEN within {} s: {what}; {remedy}", PATIENCE.as_secs()).into()
    })
}
