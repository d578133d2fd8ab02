//! One connection of the memory network: two bounded queues of bytes with the readiness calls of a socket.

use bytes::BytesMut;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;

/// Bytes under way in one direction, about what a fresh TCP connection takes.
const CAPACITY: usize = 64 * 1024;

/// One end; dropping it ends both directions, and what it has written can still be read.
#[derive(Debug)]
pub(crate) struct Pipe {
    incoming: Arc<Half>,
    outgoing: Arc<Half>,
    local: SocketAddr,
    peer: SocketAddr,
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    state: Mutex<State>,
    readable: Notify,
    writable: Notify,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    writer_gone: bool,
    reader_gone: bool,
    reset: bool,
    /// A partition: bytes wait on the way, as TCP would send them again.
    frozen: bool,
}

impl Half {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.readable.notify_waiters();
        self.writable.notify_waiters();
    }
}

/// Waits until `is_ready`; registers before it looks, so that no change is missed.
async fn until(notify: &Notify, is_ready: impl Fn() -> bool) {
    loop {
        let mut notified = pin!(notify.notified());
        notified.as_mut().enable();
        if is_ready() {
            return;
        }
        notified.await;
    }
}

impl Pipe {
    /// Both ends of a connection, and the network's hold on it.
    pub(super) fn pair(one: SocketAddr, other: SocketAddr) -> (Self, Self, Wire) {
        let (there, back) = (Arc::new(Half::default()), Arc::new(Half::default()));
        let wire = Wire([Arc::downgrade(&there), Arc::downgrade(&back)]);
        let near = Self { incoming: back.clone(), outgoing: there.clone(), local: one, peer: other };
        let far = Self { incoming: there, outgoing: back, local: other, peer: one };
        (near, far, wire)
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        let is_ready = || {
            let state = self.incoming.lock();
            state.reset || !state.frozen && (!state.bytes.is_empty() || state.writer_gone)
        };
        until(&self.incoming.readable, is_ready).await;
        Ok(())
    }

    pub(crate) fn try_read(&self, space: &mut [u8]) -> io::Result<usize> {
        let mut buffer = BytesMut::with_capacity(space.len());
        // Exactly as much room as the slice has: what does not fit must stay in the pipe.
        let spare = buffer.capacity() - space.len();
        buffer.resize(spare, 0);
        let read = self.try_read_buf(&mut buffer)?;
        space.iter_mut().zip(buffer.iter().skip(spare)).for_each(|(to, from)| *to = *from);
        Ok(read)
    }

    pub(crate) fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let mut state = self.incoming.lock();
        if state.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if state.frozen || state.bytes.is_empty() && !state.writer_gone {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // Like `BufMut`, give a full buffer some room.
        if buffer.capacity() == buffer.len() {
            buffer.reserve(64);
        }
        let count = state.bytes.len().min(buffer.capacity() - buffer.len());
        let (front, back) = state.bytes.as_slices();
        let from_front = front.len().min(count);
        buffer.extend_from_slice(front.get(..from_front).unwrap_or_default());
        buffer.extend_from_slice(back.get(..count - from_front).unwrap_or_default());
        state.bytes.drain(..count);
        if state.bytes.is_empty() {
            state.bytes = VecDeque::new();
        }
        drop(state);
        self.incoming.writable.notify_waiters();
        Ok(count)
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        let is_ready = || {
            let state = self.outgoing.lock();
            state.reset || state.reader_gone || state.bytes.len() < CAPACITY
        };
        until(&self.outgoing.writable, is_ready).await;
        Ok(())
    }

    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.outgoing.lock();
        if state.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if state.reader_gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if state.bytes.len() >= CAPACITY {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut written = 0;
        for slice in slices {
            let count = slice.len().min(CAPACITY - state.bytes.len());
            state.bytes.extend(slice.get(..count).unwrap_or_default());
            written += count;
        }
        drop(state);
        self.outgoing.readable.notify_waiters();
        Ok(written)
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.outgoing.change(|state| state.writer_gone = true);
        self.incoming.change(|state| {
            state.reader_gone = true;
            state.bytes = VecDeque::new();
        });
    }
}

/// The network's hold on a connection.
#[derive(Debug)]
pub(super) struct Wire([Weak<Half>; 2]);

impl Wire {
    pub(super) fn is_gone(&self) -> bool {
        self.0.iter().all(|half| half.strong_count() == 0)
    }

    pub(super) fn freeze(&self, frozen: bool) {
        self.halves().for_each(|half| half.change(|state| state.frozen = frozen));
    }

    pub(super) fn reset(&self) {
        self.halves().for_each(|half| half.change(|state| state.reset = true));
    }

    fn halves(&self) -> impl Iterator<Item = Arc<Half>> {
        self.0.iter().filter_map(Weak::upgrade)
    }
}
