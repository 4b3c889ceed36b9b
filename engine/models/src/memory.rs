//! Memory that is free in this process and not yet in the system's hands.

/// Gives it back: MLX's buffers that no array uses, and on Linux, where MLX's arrays are the C library's, what that keeps
/// of them. The next steps are a little slower, so it is for when there is nothing to compute.
pub fn give_back() {
    // A cache that cannot be emptied is a cache that stays.
    let _ = mlx_rs::memory::clear_cache();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes the allocator's own locks and moves no memory that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes of all of MLX's arrays in this process.
pub fn in_arrays() -> Result<u64, crate::LoadError> {
    Ok(mlx_rs::memory::active_memory()? as u64)
}
