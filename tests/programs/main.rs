//! `cargo run -p tests --bin programs -- WHICH`: programs that are too big for the tests' set-up, against a node of their
//! own. Each has its own home, and says what it did; what is not as it should be is an error.

mod claude_code;
mod open_webui;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Runs programs that others wrote against a node.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// Claude Code: two turns of one session, with a call of a tool that makes a file.
    ClaudeCode {
        /// The program, from `npm install @anthropic-ai/claude-code`.
        #[arg(long, default_value = "claude")]
        program: PathBuf,
    },
    /// `Open WebUI`'s server: lists the models and chats.
    OpenWebui {
        /// The program, from `pip install open-webui`.
        #[arg(long, default_value = "open-webui")]
        program: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().which {
        Which::ClaudeCode { program } => claude_code::run(&program),
        Which::OpenWebui { program } => open_webui::run(&program),
    }
}
