//! The other side of a CURVE connection (RFC 26), written from the specification: it makes boxes that hold anything, so
//! that a fuzzer gets through the cryptography to what is behind it.
//!
//! All keys are fixed. A peer does what it should unless the input says otherwise: an empty one is a good exchange.

use arbitrary::Unstructured;
use bytes::BytesMut;
use dryoc::classic::crypto_box::crypto_box_beforenm;
use dryoc::classic::crypto_core::crypto_scalarmult_base;
use dryoc::classic::crypto_secretbox::{crypto_secretbox_easy, crypto_secretbox_open_easy};
use zyre_rs::zmtp::curve::{CurveError, SEALED_OVERHEAD, Traffic, sealed_size};
use zyre_rs::zmtp::{Header, put_frame};

/// Most bytes in a frame that our side opens.
const MAX_FRAME: usize = 500;

/// A key pair.
pub(crate) struct Keys {
    pub(crate) secret: [u8; 32],
    pub(crate) public: [u8; 32],
}

impl Keys {
    pub(crate) fn of(secret: [u8; 32]) -> Self {
        let mut public = [0; 32];
        crypto_scalarmult_base(&mut public, &secret);
        Self { secret, public }
    }

    /// What this pair and another's public key share.
    pub(crate) fn share(&self, theirs: &[u8]) -> [u8; 32] {
        let theirs = theirs.try_into().expect("a key has 32 bytes");
        crypto_box_beforenm(theirs, &self.secret).unwrap_or_default()
    }
}

/// A nonce of 24 bytes.
fn nonce(start: &[u8], end: &[u8]) -> [u8; 24] {
    [start, end].concat().try_into().expect("24 bytes")
}

/// Makes a box.
pub(crate) fn seal(key: &[u8; 32], nonce_start: &[u8], nonce_end: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut boxed = vec![0; plain.len() + 16];
    crypto_secretbox_easy(&mut boxed, plain, &nonce(nonce_start, nonce_end), key)
        .expect("the sizes are right");
    boxed
}

/// Opens a box.
pub(crate) fn open(key: &[u8; 32], nonce_start: &[u8], nonce_end: &[u8], boxed: &[u8]) -> Option<Vec<u8>> {
    let mut plain = vec![0; boxed.len().checked_sub(16)?];
    crypto_secretbox_open_easy(&mut plain, boxed, &nonce(nonce_start, nonce_end), key).ok()?;
    Some(plain)
}

/// The body of the command frame that is all of `said`, after its name.
pub(crate) fn command<'a>(said: &'a [u8], name: &[u8]) -> &'a [u8] {
    let header = Header::decode(said).expect("a frame").expect("a whole header");
    assert!(header.command && header.size + header.body as usize == said.len());
    let body = said.get(header.size..).unwrap_or_default();
    let (length, rest) = body.split_first().expect("a name");
    assert_eq!(usize::from(*length), name.len());
    rest.strip_prefix(name).expect("the command that is due")
}

/// The next byte of the input, 0 after its end.
pub(crate) fn byte(u: &mut Unstructured<'_>) -> u8 {
    u.arbitrary().unwrap_or(0)
}

/// Up to 255 bytes of the input.
pub(crate) fn some_bytes<'a>(u: &mut Unstructured<'a>) -> &'a [u8] {
    let length = usize::from(byte(u)).min(u.len());
    u.bytes(length).unwrap_or_default()
}

/// Spoils a piece of the exchange if the input wants it; tells whether it did.
pub(crate) fn spoil(u: &mut Unstructured<'_>, bytes: &mut Vec<u8>) -> bool {
    let before = bytes.clone();
    match byte(u) {
        1 => {
            let at = usize::from(u.arbitrary::<u16>().unwrap_or(0)) % bytes.len().max(1);
            let bits = byte(u);
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bits);
        }
        2 => bytes.truncate(u.arbitrary::<u16>().unwrap_or(0).into()),
        3 => bytes.extend_from_slice(some_bytes(u)),
        4 => *bytes = some_bytes(u).to_vec(),
        _ => {}
    }
    *bytes != before
}

/// Frames both ways after the exchange. Ours are `ours` on the wire, the peer's are `theirs`; `sent` of either were counted.
pub(crate) fn talk(
    u: &mut Unstructured<'_>,
    traffic: Traffic,
    key: &[u8; 32],
    ours: &[u8],
    theirs: &[u8],
    sent: [u64; 2],
) {
    let Traffic { mut sealer, opener, .. } = traffic;
    let mut plain = Vec::new();
    for (length, more) in [(0, true), (usize::from(byte(u)), true), (300, false)] {
        put_frame(&mut plain, &vec![length as u8; length], more);
    }
    let mut wire = Vec::new();
    sealer.seal_frames(&mut wire, &plain).expect("counters are left");
    assert_eq!(unsealed(&wire, key, ours, sent[0]), plain);
    assert!(!format!("{sealer:?}{opener:?}").is_empty());
    listen(u, opener, key, theirs, sent[1]);
}

/// The frames in sealed ones, opened by the book.
fn unsealed(mut wire: &[u8], key: &[u8; 32], prefix: &[u8], mut counter: u64) -> Vec<u8> {
    let mut plain = Vec::new();
    while let Ok(Some(header)) = Header::decode(wire) {
        assert!(!header.command && !header.more);
        let body = wire.get(header.size..header.size + header.body as usize).expect("whole frames");
        counter += 1;
        let rest = body.strip_prefix(b"\x07MESSAGE").expect("a MESSAGE");
        let (nonce, boxed) = rest.split_at_checked(8).expect("a nonce");
        assert_eq!(nonce, counter.to_be_bytes());
        let opened = open(key, prefix, nonce, boxed).expect("it was sealed for us");
        let (flags, content) = opened.split_first().expect("flags");
        assert_eq!(header.size + body.len(), sealed_size(content.len()));
        put_frame(&mut plain, content, *flags == 1);
        wire = wire.get(header.size + body.len()..).unwrap_or_default();
    }
    assert!(wire.is_empty());
    plain
}

fn listen(
    u: &mut Unstructured<'_>,
    mut opener: zyre_rs::zmtp::curve::Opener,
    key: &[u8; 32],
    prefix: &[u8],
    mut last: u64,
) {
    let (mut plain, mut expected) = (BytesMut::new(), Vec::new());
    for _ in 0..6 {
        let (flags, step) = (byte(u), byte(u));
        let content = vec![step; usize::from(byte(u)) * 3];
        // 0 goes on as it should, others leave some out or say something again.
        let counter = last.wrapping_add(1).wrapping_add_signed(i64::from(step as i8));
        let mut sealed = [&[flags], &content[..]].concat();
        spoil(u, &mut sealed);
        let boxed = seal(key, prefix, &counter.to_be_bytes(), &sealed);
        let mut honest = Vec::new();
        put_frame(&mut honest, &[b"\x07MESSAGE", &counter.to_be_bytes()[..], &boxed].concat(), false);
        let mut wire = honest.clone();
        spoil(u, &mut wire);

        let flags = sealed.first().copied().unwrap_or(u8::MAX);
        let good = flags & !3 == 0 && counter > last && sealed.len() <= MAX_FRAME + 1;
        if good && wire.starts_with(&honest) {
            let start = expected.len();
            put_frame(&mut expected, sealed.get(1..).unwrap_or_default(), flags & 1 == 1);
            expected.iter_mut().skip(start).take(1).for_each(|first| *first |= (flags & 2) << 1);
        }
        let opened = open_in_pieces(&mut opener, &wire, &mut plain, usize::from(byte(u)));
        assert_eq!(plain, expected, "what was sealed comes out, and nothing else");
        if let Err(error) = &opened {
            assert!(!error.to_string().is_empty() && !error.counter().is_empty());
        }
        if wire != honest {
            return;
        }
        assert_eq!(opened.is_ok(), good, "{opened:?}");
        if !good {
            return;
        }
        last = counter;
    }
}

/// The wire as a reader sees it that gets it in two pieces.
fn open_in_pieces(
    opener: &mut zyre_rs::zmtp::curve::Opener,
    wire: &[u8],
    plain: &mut BytesMut,
    cut: usize,
) -> Result<(), CurveError> {
    let early = wire.get(..cut).unwrap_or(wire);
    let lacks = opener.missing(early, MAX_FRAME)?;
    let before = plain.len();
    let opened = opener.open_frames(early, plain, MAX_FRAME)?;
    assert!(opened.missing > 0 && (lacks == 0) == (plain.len() > before));
    assert!(plain.len() - before <= opened.consumed.saturating_sub(SEALED_OVERHEAD));
    opener.open_frames(wire.get(opened.consumed..).unwrap_or_default(), plain, MAX_FRAME).map(|_| ())
}
