//! The program `espalier`: a node without a screen, and the command line.

use std::process::ExitCode;

/// The C library's heaps, one for every few threads, keep what a busy hour left in them.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    node::cli::main()
}
