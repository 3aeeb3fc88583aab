//! What fuzzing calls, in tests and in `fuzz/`: any bytes in, and a broken promise out, if one broke.
//!
//! Not for users of the log: hidden, and behind the feature `simulation`.

mod decode;
mod forge;
mod image;
mod open;

pub use decode::decode;
pub use open::{Belief, open};

use crate::format::UNIT_BYTES;
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

/// Takes numbers from bytes that mean nothing; zeros when they are used up.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let count = N.min(self.0.len());
        taken[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        taken
    }
    fn u8(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }
    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }
    /// Below a bound; 0 where there is nothing to choose from.
    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.u16()) % bound.max(1)
    }
    /// A number that is more likely to matter than others.
    fn number(&mut self) -> u64 {
        match self.u8() % 8 {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => u64::MAX >> 1,
            4 => u64::from(u32::MAX) + 1,
            5 => 1 << (self.u8() % 64),
            6 => u64::from(self.u8()) * UNIT_BYTES as u64,
            _ => u64::from_le_bytes(self.bytes()),
        }
    }
    fn is_used_up(&self) -> bool {
        self.0.is_empty()
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}
