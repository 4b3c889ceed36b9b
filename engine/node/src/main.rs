//! The program `espalier`: a node without a screen, and the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::cli::main()
}
