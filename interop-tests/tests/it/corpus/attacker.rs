//! Goes to a case's door and says its bytes there.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use dryoc::classic::crypto_kdf::{crypto_kdf_hkdf_sha256_expand, crypto_kdf_hkdf_sha256_extract};
use zyre_rs::PeerId;
use zyre_rs::wire::{Beacon, Command, Hello, HelloFields};
use zyre_rs::zmtp::curve::{Client, Fresh, KeyPair, Server};
use zyre_rs::zmtp::{Handshake, Identities, Mechanism, Metadata, Role};

use super::bytes::{greeting, message, zre};
use super::case::{Case, Door, Me};
use super::line::{Line, Mailbox, dealer, patience};

/// Who is attacked, and from where.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) victim: PeerId,
    pub(super) victim_at: SocketAddr,
    pub(super) good: PeerId,
    pub(super) good_at: SocketAddr,
    /// Where beacons are heard.
    pub(super) beacons: SocketAddr,
    /// The attacker's two addresses.
    pub(super) from: [Ipv4Addr; 2],
    /// The victim's gossip hub.
    pub(super) hub: Option<SocketAddr>,
    /// The network's key: the attacker has got hold of it.
    pub(super) key: Option<[u8; 32]>,
}

impl Ground {
    fn pair(&self) -> KeyPair {
        pair_of(&self.key.expect("a secured network"))
    }
}

/// The pair of a network's key, as docs/security.md says.
pub(super) fn pair_of(key: &[u8; 32]) -> KeyPair {
    let (mut prk, mut secret) = ([0; 32], [0; 32]);
    crypto_kdf_hkdf_sha256_extract(&mut prk, Some(b"zyre-rs network key"), key);
    crypto_kdf_hkdf_sha256_expand(&mut secret, b"CURVE key pair\0", &prk).expect("32 bytes are few");
    KeyPair::from_secret(secret)
}

pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).expect("random bytes");
    bytes
}

pub(super) fn random_id() -> PeerId {
    PeerId::from_bytes(random())
}

/// An attacker at its door.
pub(super) struct Attacker {
    pub(super) me: Me,
    pub(super) mailbox: Mailbox,
    ground: Ground,
    beacons: UdpSocket,
    /// Where the bytes go, unless they are a datagram.
    pub(super) line: Option<Line>,
    /// What has to stay open.
    others: Vec<Line>,
    /// What an honest peer would say at the door.
    genuine: Vec<u8>,
}

impl Attacker {
    /// Goes to the door of a case. `leaf` is where the victim comes as a client of gossip.
    pub(super) fn approach(ground: &Ground, case: &Case, leaf: Option<&Mailbox>) -> Result<Self, String> {
        let [ip, _] = ground.from;
        let beacons = UdpSocket::bind((ip, 0)).expect("an address of ours");
        beacons.set_broadcast(true).expect("a UDP socket");
        let mailbox = Mailbox::open(ip);
        let me = Me {
            id: random_id(),
            ip,
            mailbox: mailbox.address,
            victim: ground.victim,
            victim_at: ground.victim_at,
            good: ground.good,
            good_at: ground.good_at,
        };
        let mut attacker = Self {
            me,
            mailbox,
            ground: ground.clone(),
            beacons,
            line: None,
            others: Vec::new(),
            genuine: Vec::new(),
        };
        attacker.go(case, leaf)?;
        Ok(attacker)
    }

    fn go(&mut self, case: &Case, leaf: Option<&Mailbox>) -> Result<(), String> {
        let [here, elsewhere] = self.ground.from;
        match case.door {
            Door::Beacon => return Ok(()),
            Door::Fresh => self.line = Some(self.connect(here)),
            Door::Greeted => {
                let mut line = self.connect(here);
                line.greet("NULL", false)?;
                self.line = Some(line);
            }
            Door::Shaken => self.line = Some(self.shaken(here)?),
            Door::Entered => self.line = Some(self.entered()?),
            Door::Second | Door::Elsewhere => {
                let first = self.entered()?;
                self.others.push(first);
                let from = if case.door == Door::Second { here } else { elsewhere };
                self.line = Some(self.shaken(from)?);
            }
            Door::MailboxFresh | Door::MailboxGreeted | Door::MailboxUp => {
                self.beacon(self.me.id, self.me.mailbox.port());
                self.line = Some(match case.door {
                    Door::MailboxUp => self.mailbox.greeted()?,
                    Door::MailboxFresh => self.mailbox.accept(patience())?,
                    _ => {
                        let mut line = self.mailbox.accept(patience())?;
                        line.greet("NULL", false)?;
                        line
                    }
                });
            }
            Door::Hub => {
                let mut line = Line::open(here, self.ground.hub.expect("the victim is a hub"));
                line.shake(Role::Dealer { identity: Vec::new() })?;
                self.line = Some(line);
            }
            Door::Leaf => {
                let mut line = leaf.expect("the victim is a leaf").accept(patience())?;
                line.shake(Role::Router { accept: Identities::Any })?;
                // A PONG: a hub that has said something is come back to at once.
                line.say(&message(&[b"\xaa\xa0\x04\x01"]));
                self.line = Some(line);
            }
            Door::CurveGreeted | Door::CurveWelcomed | Door::CurveShaken | Door::CurveEntered => {
                self.curve_client(case)?;
            }
            Door::MailboxHello | Door::MailboxInitiate => self.curve_server(case)?,
        }
        Ok(())
    }

    fn connect(&self, from: Ipv4Addr) -> Line {
        Line::open(from, self.ground.victim_at)
    }

    fn shaken(&self, from: Ipv4Addr) -> Result<Line, String> {
        let mut line = self.connect(from);
        line.shake(dealer(self.me.id))?;
        Ok(line)
    }

    /// A connection with an accepted HELLO, and the node's link that answers it.
    fn entered(&mut self) -> Result<Line, String> {
        let mut line = self.shaken(self.me.ip)?;
        line.say(&hello(&self.me));
        let called = self.mailbox.greeted()?;
        self.others.push(called);
        Ok(line)
    }

    fn curve_client(&mut self, case: &Case) -> Result<(), String> {
        let mut line = self.connect(self.me.ip);
        line.greet("CURVE", false)?;
        let pair = self.ground.pair();
        let server = pair.public();
        let mut mechanism = Mechanism::client(Client::new(pair, server, &Fresh::new(random())));
        let mut said = Vec::new();
        let honest = vec![("Socket-Type", b"DEALER".to_vec()), ("Identity", identity(self.me.id))];
        mechanism.start(&metadata(case.metadata.as_ref().unwrap_or(&honest)), &mut said);
        if case.door != Door::CurveGreeted {
            line.write(&said);
            let welcome = line.take_frame()?;
            said.clear();
            mechanism.on_command(&welcome, &mut said).map_err(|error| error.to_string())?;
        }
        if matches!(case.door, Door::CurveShaken | Door::CurveEntered) {
            line.write(&said);
            let ready = line.take_frame()?;
            mechanism.on_command(&ready, &mut Vec::new()).map_err(|error| error.to_string())?;
            line.traffic = mechanism.into_traffic();
            said = line.seal(&hello(&self.me));
        }
        if case.door == Door::CurveEntered {
            line.write(&said);
            let called = self.sealed_call()?;
            self.others.push(called);
            said = line.seal(&message(&[&zre(2, 2, b""), b"sealed"]));
        }
        self.genuine = said;
        self.line = Some(line);
        Ok(())
    }

    fn server(&self) -> Mechanism {
        let pairs = [self.ground.pair()];
        Mechanism::server(Server::new(Arc::from(pairs), Arc::new(|_| Ok(())), Fresh::new(random())))
    }

    fn sealed_call(&self) -> Result<Line, String> {
        let mut line = self.mailbox.accept(patience())?;
        let handshake = Handshake::new(Role::Router { accept: Identities::Nodes }, self.server());
        line.shake_with(handshake).map_err(|why| format!("the victim's call fails: {why}"))?;
        line.hear(|head, _| matches!(head.command, Command::Hello(_)))
            .map_err(|why| format!("no HELLO: {why}"))?;
        Ok(line)
    }

    fn curve_server(&mut self, case: &Case) -> Result<(), String> {
        self.beacon(self.me.id, self.me.mailbox.port());
        let mut line = self.mailbox.accept(patience())?;
        line.greet("CURVE", true)?;
        let mut mechanism = self.server();
        let honest = vec![("Socket-Type", b"ROUTER".to_vec()), ("Identity", Vec::new())];
        let mut said = Vec::new();
        mechanism.start(&metadata(case.metadata.as_ref().unwrap_or(&honest)), &mut said);
        let hello = line.take_frame()?;
        mechanism.on_command(&hello, &mut said).map_err(|error| error.to_string())?;
        if case.door == Door::MailboxInitiate {
            line.write(&said);
            said.clear();
            let initiate = line.take_frame()?;
            mechanism.on_command(&initiate, &mut said).map_err(|error| error.to_string())?;
        }
        self.genuine = said;
        self.line = Some(line);
        Ok(())
    }

    /// Whether the node connects to this case's mailbox and says HELLO.
    pub(super) fn is_called(&mut self) -> Result<(), String> {
        let called = if self.ground.key.is_some() { self.sealed_call()? } else { self.mailbox.greeted()? };
        self.others.push(called);
        Ok(())
    }

    pub(super) fn beacon(&self, id: PeerId, port: u16) {
        let key = self.ground.key.map(|key| *pair_of(&key).public().as_bytes());
        self.datagram(&Beacon { id, port, key }.encode());
    }

    pub(super) fn datagram(&self, bytes: &[u8]) {
        self.beacons.send_to(bytes, self.ground.beacons).expect("a datagram of a permitted size");
    }

    /// Ends all connections and says goodbye.
    pub(super) fn leave(&mut self) {
        self.line = None;
        self.others.clear();
        self.beacon(self.me.id, 0);
    }

    /// Says the bytes of the case.
    pub(super) fn strike(&mut self, case: &Case) {
        let bytes = (case.bytes)(&self.me, &self.genuine);
        match &mut self.line {
            None => self.datagram(&bytes),
            Some(line) => {
                // What is made for a sealed connection is sealed already where it should be.
                line.write(&bytes);
                if case.hang_up {
                    line.hang_up();
                }
            }
        }
    }
}

/// 01 and the UUID.
pub(super) fn identity(id: PeerId) -> Vec<u8> {
    [&[1][..], id.as_bytes()].concat()
}

/// A proper HELLO.
pub(super) fn hello(me: &Me) -> Vec<u8> {
    let endpoint = format!("tcp://{}", me.mailbox).into_bytes();
    let fields = HelloFields { endpoint, name: b"attacker".to_vec(), ..HelloFields::default() };
    let mut head = Vec::new();
    Command::Hello(Hello::new(fields).expect("within the limits")).encode(1, &mut head);
    message(&[&head])
}

/// All that an honest peer says up to its READY.
pub(super) fn opening(me: &Me) -> Vec<u8> {
    let mut bytes = greeting("NULL", &[]);
    bytes.extend(super::bytes::command("READY", &ready_of(me)));
    bytes
}

/// The metadata of an honest peer.
pub(super) fn ready_of(me: &Me) -> Vec<u8> {
    metadata(&[("Socket-Type", b"DEALER".to_vec()), ("Identity", identity(me.id))]).encode()
}

fn metadata(properties: &[(&'static str, Vec<u8>)]) -> Metadata {
    properties.iter().fold(Metadata::default(), |known, (name, value)| known.with(name, value))
}
