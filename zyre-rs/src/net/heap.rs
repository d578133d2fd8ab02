//! One hint to the allocator of glibc, which would else give memory back at each trough of a busy stream and fetch
//! it again, page by page, at the next crest: at 1 KiB a message that cost more than all the rest.
//!
//! glibc raises both its thresholds (what is mapped on its own, what is kept at the heap's top) when a large block is
//! freed. Other allocators take no notice.

use std::hint::black_box;
use std::sync::Once;

/// Afterwards up to twice as much stays at the top of the heap.
const LARGE: usize = 4 << 20;

/// Says that much memory will come and go from now on. Called when a connection is first busy, so that a process of idle
/// nodes stays as small as it is.
pub(crate) fn expect_load() {
    static TOLD: Once = Once::new();
    // Never written, so no page of it is ever backed.
    TOLD.call_once(|| drop(black_box(Vec::<u8>::with_capacity(LARGE))));
}
