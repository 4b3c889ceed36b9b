//! Counts the bytes that a test's own thread has allocated.

#![expect(
    unsafe_code,
    reason = "a global allocator is unsafe to implement; this one only counts"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        NOW.set(NOW.get().wrapping_add(layout.size()));
        PEAK.set(PEAK.get().max(NOW.get()));
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // What another thread allocated may end here; the count starts anew with each measurement.
        NOW.set(NOW.get().saturating_sub(layout.size()));
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// The most bytes that `run` held at once.
pub fn peak_of(run: impl FnOnce()) -> usize {
    NOW.set(0);
    PEAK.set(0);
    run();
    PEAK.get()
}
