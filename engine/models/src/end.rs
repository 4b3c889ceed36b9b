//! The end of a process in which MLX computes.

/// Ends it at once, without a look at what C and C++ would do on the way out: they destroy what MLX's threads still use, and a
/// process that is no longer wanted would be reported as one that crashed.
pub fn end_process(code: i32) -> ! {
    // SAFETY: nothing of this process runs after it.
    unsafe { libc::_exit(code) }
}
