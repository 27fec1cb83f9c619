//! How much memory is held at once: libFuzzer's own limit needs a sanitizer, and those need another compiler.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static HELD_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does everything; this only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD_BYTES.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK_BYTES.fetch_max(held, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD_BYTES.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Does it with memory that follows what came, and not what was announced.
pub fn bounded(input: &[u8], work: impl FnOnce()) {
    let before = HELD_BYTES.load(Relaxed);
    PEAK_BYTES.store(before, Relaxed);
    work();
    let peak = PEAK_BYTES.load(Relaxed).saturating_sub(before);
    // A frame has its own allocation, and is kept for the comparison; a read takes 16 KB.
    assert!(peak <= 512 * 1024 + 64 * input.len(), "{peak} bytes of memory for an input of {}", input.len());
}
